//! Job control: which session a terminal controls, which group is in its foreground, and which groups nobody minds any more.
//!
//! Everything here is guarded by the process table's lock; signals are sent after it is released.
//!
//! Linux: drivers/tty/tty_jobctrl.c; kernel/exit.c `will_become_orphaned_pgrp()`; POSIX: 11.1.4 Terminal Access Control.

use std::sync::{Arc, MutexGuard, PoisonError};

use minke_abi::linux::Signal;
use minke_abi::signal::SignalSet;
use minke_abi::{Errno, Result};

use super::pair::Pair;
use crate::family::{Member, NOBODY, ProcessTable};
use crate::kernel::Kernel;
use crate::process::{Pid, Process};
use crate::signal::Disposition;

/// Whom a terminal controls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Control {
    session: Option<Pid>,
    foreground: Option<Pid>,
}

/// Whether a process may use its terminal. Linux: `__tty_check_change()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Allowed,
    /// Nobody would let it go on: `EIO`.
    Refused,
    /// Its group gets the signal first.
    Signals(Pid),
}

/// What a session leader's terminal still means when it goes: these get signals.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LeftTerminal {
    group: Pid,
    signals: SignalSet,
}

impl ProcessTable {
    /// Whether no member of a group has a parent in its session that is not in the group. Linux: `is_current_pgrp_orphaned()`.
    pub(crate) fn is_orphaned(&self, group: Pid) -> bool {
        let is_alive = |member: &&Member| member.group == group && member.end.is_none();
        !self
            .members()
            .filter(is_alive)
            .any(|member| self.has_guardian(member))
    }

    fn has_guardian(&self, member: &Member) -> bool {
        let parent = self
            .get(member.parent)
            .filter(|_| member.parent != NOBODY && member.parent != member.process.pid);
        parent.is_some_and(|it| it.group != member.group && it.session == member.session)
    }

    /// Returns the groups that a process's end may orphan, and that are not: its own and its children's.
    pub(crate) fn guarded_groups_around(&self, pid: Pid) -> Vec<Pid> {
        let is_near = |member: &&Member| member.process.pid == pid || member.parent == pid;
        let mut groups: Vec<_> = self.members().filter(is_near).map(|it| it.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.retain(|group| !self.is_orphaned(*group));
        groups
    }

    /// Whether a group has been orphaned while a member is stopped: nobody is left to let it go on.
    pub(crate) fn is_stopped_orphan(&self, group: Pid) -> bool {
        let is_stopped = |member: &Member| {
            member.group == group && member.end.is_none() && member.process.signals.is_stopped()
        };
        self.is_orphaned(group) && self.members().any(is_stopped)
    }

    /// Returns the session of a group, or of the process of that number; `None` if there is neither. Linux: `session_of_pgrp()`.
    fn session_of_group(&self, group: Pid) -> Option<Pid> {
        let mut members = self.members();
        let member = members.find(|member| member.group == group);
        let member = member.or_else(|| self.get(group))?;
        Some(member.session)
    }

    /// Takes a session leader's terminal away from its session, because it ends or gives it up. Linux: `disassociate_ctty()`.
    pub(crate) fn leave_terminal(&mut self, leader: Pid, also: SignalSet) -> Option<LeftTerminal> {
        let member = self
            .get_mut(leader)
            .filter(|member| member.session == leader)?;
        let lost = member.lost_foreground.take();
        let Some(pair) = member.terminal.take() else {
            // The terminal went before, and this session is told of it now.
            let signals = SignalSet::of(&[Signal::HUP, Signal::CONT]);
            return lost.map(|group| LeftTerminal { group, signals });
        };
        let control = std::mem::take(&mut *pair.control());
        self.forget_terminal(leader);
        let signals = SignalSet::of(&[Signal::HUP]).with(also);
        control
            .foreground
            .map(|group| LeftTerminal { group, signals })
    }

    fn forget_terminal(&mut self, session: Pid) {
        let members = self.members_mut();
        for member in members.filter(|member| member.session == session) {
            member.terminal = None;
        }
    }
}

impl Kernel {
    /// Sends signals to all members of a group.
    pub(crate) fn signal_group(&self, group: Pid, signals: SignalSet) {
        let members: Vec<_> = {
            let table = self.table();
            let members = table.members().filter(|member| member.group == group);
            members.map(|member| Arc::clone(&member.process)).collect()
        };
        for signal in signals.iter() {
            members.iter().for_each(|process| {
                process.kill(signal);
            });
        }
    }

    pub(crate) fn tell_left(&self, left: Option<LeftTerminal>) {
        if let Some(left) = left {
            self.signal_group(left.group, left.signals);
        }
    }
}

impl Pair {
    /// Locks whom the terminal controls; the caller has the process table, or looks only.
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the foreground group, if there is one.
    pub(crate) fn foreground(&self) -> Option<Pid> {
        self.control().foreground
    }

    /// Returns the session that the terminal controls.
    pub(crate) fn session(&self) -> Option<Pid> {
        self.control().session
    }

    pub(super) fn signal_foreground(&self, signals: SignalSet) {
        if signals.is_empty() {
            return;
        }
        if let (Some(kernel), Some(group)) = (self.kernel.upgrade(), self.foreground()) {
            kernel.signal_group(group, signals);
        }
    }

    /// Whether a process may read (`SIGTTIN`), print or change the terminal (`SIGTTOU`).
    pub(crate) fn access(self: &Arc<Pair>, process: &Process, signal: Signal) -> Access {
        let table = process.kernel.table();
        let Some(member) = table.get(process.pid) else {
            return Access::Allowed;
        };
        let foreground = self.foreground();
        if !self.controls(member) || foreground.is_none_or(|group| group == member.group) {
            return Access::Allowed;
        }
        let is_ignored = process.signals.action(signal).disposition == Disposition::Ignore
            || process.signals.of_main().mask().contains(signal);
        match is_ignored {
            true if signal == Signal::TTIN => Access::Refused,
            true => Access::Allowed,
            false if table.is_orphaned(member.group) => Access::Refused,
            false => Access::Signals(member.group),
        }
    }

    /// Whether this is a process's controlling terminal.
    fn controls(self: &Arc<Pair>, member: &Member) -> bool {
        let terminal = member.terminal.as_ref();
        terminal.is_some_and(|terminal| Arc::ptr_eq(terminal, self))
    }

    /// Whether this is the controlling terminal of a process.
    pub(crate) fn is_controlling(self: &Arc<Pair>, process: &Process) -> bool {
        let table = process.kernel.table();
        table.get(process.pid).is_some_and(|it| self.controls(it))
    }

    /// Becomes the controlling terminal of a session leader that has none, if it controls nobody. Linux: `tty_open_proc_set_tty()`.
    pub(crate) fn offer(self: &Arc<Pair>, process: &Process) {
        // A terminal that is refused is opened all the same.
        let _ = self.acquire(process, Stealing::No);
    }

    /// Becomes the controlling terminal of a session. Linux: `tiocsctty()`.
    pub(crate) fn acquire(self: &Arc<Pair>, process: &Process, stealing: Stealing) -> Result<()> {
        let mut table = process.kernel.table();
        let member = table.get(process.pid).ok_or(Errno::ESRCH)?;
        let is_leader = member.session == process.pid;
        let (session, group) = (member.session, member.group);
        let controlled = self.session();
        if is_leader && controlled == Some(session) {
            return Ok(());
        }
        if !is_leader || member.terminal.is_some() || self.is_hung_up() {
            return Err(Errno::EPERM);
        }
        match (controlled, stealing) {
            (None, _) => {}
            (Some(victim), Stealing::Yes) => table.forget_terminal(victim),
            (Some(_), Stealing::No) => return Err(Errno::EPERM),
        }
        *self.control() = Control {
            session: Some(session),
            foreground: Some(group),
        };
        if let Some(member) = table.get_mut(process.pid) {
            member.terminal = Some(Arc::clone(self));
            member.lost_foreground = None;
        }
        Ok(())
    }

    /// Puts a group of the caller's session into the foreground. Linux: `tiocspgrp()`.
    pub(crate) fn set_foreground(self: &Arc<Pair>, process: &Process, group: Pid) -> Result<()> {
        let table = process.kernel.table();
        let member = table.get(process.pid).ok_or(Errno::ESRCH)?;
        if !self.controls(member) || self.session() != Some(member.session) {
            return Err(Errno::ENOTTY);
        }
        let session = table.session_of_group(group).ok_or(Errno::ESRCH)?;
        if session != member.session {
            return Err(Errno::EPERM);
        }
        self.control().foreground = Some(group);
        Ok(())
    }

    /// Ends everything: the master is gone. The session's leader hears of it. Linux: `__tty_hangup()`.
    pub(super) fn hang_up(self: &Arc<Pair>) {
        if !self.begin_hang_up() {
            return;
        }
        self.wake_all();
        let Some(kernel) = self.kernel.upgrade() else {
            return;
        };
        kernel.terminals.remove(self.number);
        let leader = {
            let mut table = kernel.table();
            let control = std::mem::take(&mut *self.control());
            control.session.and_then(|session| {
                table.forget_terminal(session);
                let leader = table.get_mut(session)?;
                leader.lost_foreground = control.foreground;
                Some(Arc::clone(&leader.process))
            })
        };
        if let Some(leader) = leader {
            leader.kill(Signal::HUP);
            leader.kill(Signal::CONT);
        }
    }
}

/// Whether a terminal is taken from another session. Linux: the argument of `TIOCSCTTY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stealing {
    Yes,
    No,
}
