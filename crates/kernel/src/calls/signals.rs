//! Sending signals and waiting for them.

use std::sync::Arc;

use minke_abi::linux::Signal;
use minke_abi::signal::SignalSet;
use minke_abi::{Errno, Result};

use crate::family::{INIT, Member};
use crate::process::{Credentials, Pid, Process};
use crate::signal::{Disposition, Posted, SignalInfo, code};
use crate::task::{Deadline, Task};

/// Whom a signal is for. POSIX: `kill()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Process(Pid),
    Group(Pid),
    /// The caller's group.
    OwnGroup,
    /// Everybody but process 1 and the caller.
    All,
}

impl Target {
    /// Reads the first argument of `kill(2)`.
    pub fn from_raw(pid: i32) -> Target {
        match pid {
            0 => Target::OwnGroup,
            -1 => Target::All,
            1.. => Target::Process(Pid(pid.unsigned_abs())),
            _ => Target::Group(Pid(pid.unsigned_abs())),
        }
    }
}

impl Task {
    /// Sends a signal, or only looks whether it could be sent; `ESRCH` when nobody is meant, `EPERM` when the caller
    /// may signal none of those. Linux: kernel/signal.c `kill_something_info()`.
    pub fn send_signal(&self, target: Target, signal: Option<Signal>) -> Result<()> {
        let info = signal.map(|signal| self.own_info(signal, code::USER));
        self.send_signal_with(target, info)
    }

    /// What is said of a signal that the task sends.
    pub fn own_info(&self, signal: Signal, code: i32) -> SignalInfo {
        SignalInfo {
            signal,
            code,
            pid: self.process.pid.0,
            uid: self.process.credentials().uid,
            value: 0,
        }
    }

    /// As [`Task::send_signal`], with what is said of it; `EAGAIN` when too many are queued. Linux: `rt_sigqueueinfo(2)`.
    pub fn send_signal_with(&self, target: Target, info: Option<SignalInfo>) -> Result<()> {
        let meant = self.meant(target);
        if meant.is_empty() {
            return Err(Errno::ESRCH);
        }
        let sender = self.process.credentials();
        let allowed: Vec<_> = meant
            .into_iter()
            .filter(|process| may_signal(&sender, &process.credentials()))
            .collect();
        if allowed.is_empty() {
            return Err(Errno::EPERM);
        }
        let Some(info) = info else { return Ok(()) };
        let posted: Vec<_> = allowed.iter().map(|it| send(it, None, info)).collect();
        if posted.iter().all(|posted| *posted == Posted::Full) {
            return Err(Errno::EAGAIN);
        }
        Ok(())
    }

    /// Sends a signal to one thread, of a process if one is named; `ESRCH` when there is no such thread. Linux: `tgkill(2)`,
    /// `tkill(2)`.
    pub fn signal_thread(
        &self,
        process: Option<Pid>,
        tid: u32,
        info: Option<SignalInfo>,
    ) -> Result<()> {
        let meant = self.process_with_thread(process, tid)?;
        if !may_signal(&self.process.credentials(), &meant.credentials()) {
            return Err(Errno::EPERM);
        }
        let Some(info) = info else { return Ok(()) };
        match send(&meant, Some(tid), info) {
            Posted::Full => Err(Errno::EAGAIN),
            _ => Ok(()),
        }
    }

    fn process_with_thread(&self, process: Option<Pid>, tid: u32) -> Result<Arc<Process>> {
        let mut processes = match process {
            Some(pid) => self.process.kernel.process(pid).into_iter().collect(),
            None => self.process.kernel.processes(),
        };
        let at = processes.iter().position(|it| it.signals.is_thread(tid));
        at.map(|at| processes.swap_remove(at)).ok_or(Errno::ESRCH)
    }

    fn meant(&self, target: Target) -> Vec<Arc<Process>> {
        let own = self.process.pid;
        let table = self.process.kernel.table();
        let own_group = table.get(own).map(|member| member.group);
        let is_meant = |member: &&Member| {
            let pid = member.process.pid;
            match target {
                Target::Process(meant) => pid == meant,
                Target::Group(group) => member.group == group,
                Target::OwnGroup => Some(member.group) == own_group,
                Target::All => pid != INIT && pid != own,
            }
        };
        let meant = table.members().filter(is_meant);
        meant.map(|member| Arc::clone(&member.process)).collect()
    }

    /// Waits with another mask until a handler is to be called, which gives `EINTR`; the caller puts back the mask that is
    /// returned when it has called it. POSIX: `sigsuspend()`.
    pub async fn suspend(&self, mask: SignalSet) -> SignalSet {
        let before = self.signals().set_mask(mask);
        let _ = self.wait_for::<()>(Deadline::Never, |_| None).await;
        before
    }

    /// Waits for a signal of a set, and takes it; `EAGAIN` when the deadline has passed first. POSIX: `sigtimedwait()`.
    pub async fn wait_for_signal(&self, set: SignalSet, deadline: Deadline) -> Result<SignalInfo> {
        let signals = self.signals();
        let taken = self.wait_for(deadline, |_| signals.take_pending(set).map(Ok));
        taken.await.unwrap_or(Err(Errno::EAGAIN))
    }
}

/// Process 1 gets from inside only what it has a handler for, or blocks to wait for it. Linux: kernel/signal.c
/// `sig_ignored()`, `sig_task_ignored()`.
pub(super) fn send(process: &Process, tid: Option<u32>, info: SignalInfo) -> Posted {
    let handles = || {
        let action = process.signals.action(info.signal);
        matches!(action.disposition, Disposition::Handler(_))
    };
    let blocks = || process.signals.mask_of(tid).contains(info.signal);
    if process.pid != INIT || blocks() || handles() {
        process.kill_thread_with(tid, info)
    } else {
        Posted::Ignored
    }
}

/// Linux: kernel/signal.c `kill_ok_by_cred()`.
pub(super) fn may_signal(sender: &Credentials, receiver: &Credentials) -> bool {
    let own = [sender.uid, sender.euid];
    sender.is_privileged() || own.contains(&receiver.uid) || own.contains(&receiver.suid)
}
