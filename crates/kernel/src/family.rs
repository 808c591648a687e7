//! Who is whose child, and in which group and session: the process table of a container.
//!
//! Everything here is guarded by one lock, the kernel's; whoever is to be told of a change is told after it is released.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minke_abi::linux::Signal;
use minke_abi::{Errno, Result};

use crate::process::{ExitStatus, Pid, Process};
use crate::tty::Pair;

/// Highest process number before numbering starts again. Linux: `/proc/sys/kernel/pid_max`.
pub(crate) const PID_MAX: u32 = 4_194_304;

/// The process that orphans become children of.
pub(crate) const INIT: Pid = Pid(1);

/// The parent of processes that were not started by one.
pub(crate) const NOBODY: Pid = Pid(0);

/// All processes of a container. Linux: `struct pid_namespace`.
#[derive(Default)]
pub(crate) struct ProcessTable {
    members: BTreeMap<u32, Member>,
    /// Numbers of the threads that are not the first of their process.
    threads: BTreeSet<u32>,
    last_pid: u32,
    /// Numbers that were given out come again.
    has_wrapped: bool,
}

/// A process among the others.
pub(crate) struct Member {
    pub(crate) process: Arc<Process>,
    pub(crate) parent: Pid,
    pub(crate) group: Pid,
    pub(crate) session: Pid,
    /// Its first parent has ended.
    is_orphan: bool,
    /// It runs another program than its parent did.
    pub(crate) has_new_image: bool,
    /// What its parent may still be told of, other than its end.
    pub(crate) change: Option<Change>,
    pub(crate) end: Option<ExitStatus>,
    /// The controlling terminal.
    pub(crate) terminal: Option<Arc<Pair>>,
    /// The foreground group of a session leader's terminal that was hung up.
    pub(crate) lost_foreground: Option<Pid>,
}

/// What happens to a process besides its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Stopped(Signal),
    Continued,
}

/// Which children are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    All,
    One(Pid),
    OfGroup(Pid),
}

/// Whom the end of a process concerns.
pub(crate) struct Mourners {
    pub(crate) parent: Option<Arc<Process>>,
    /// The new parent of the children, if one of them has ended already.
    pub(crate) init: Option<Arc<Process>>,
    /// Groups of which somebody is stopped and that nobody minds from now on.
    pub(crate) orphaned: Vec<Pid>,
    /// The children that live on.
    pub(crate) orphans: Vec<Arc<Process>>,
}

impl ProcessTable {
    pub(crate) fn tasks_count(&self) -> usize {
        self.members.len() + self.threads.len()
    }

    /// Returns a number that nobody has; `EAGAIN` when there are `tasks_max` processes and threads.
    pub(crate) fn next_number(&mut self, tasks_max: u32) -> Result<u32> {
        if self.tasks_count() >= tasks_max as usize {
            return Err(Errno::EAGAIN);
        }
        loop {
            if self.last_pid >= PID_MAX {
                self.has_wrapped = true;
                self.last_pid = 0;
            }
            self.last_pid += 1;
            if !self.is_taken(self.last_pid) {
                return Ok(self.last_pid);
            }
        }
    }

    /// A number stays taken while a group or a session has it for its name.
    fn is_taken(&self, number: u32) -> bool {
        let names = |member: &Member| [member.group.0, member.session.0].contains(&number);
        self.members.contains_key(&number)
            || self.threads.contains(&number)
            || (self.has_wrapped && self.members().any(names))
    }

    pub(crate) fn add_thread(&mut self, tid: u32) {
        self.threads.insert(tid);
    }

    pub(crate) fn has_thread(&self, tid: u32) -> bool {
        self.threads.contains(&tid)
    }

    pub(crate) fn remove_thread(&mut self, tid: u32) {
        self.threads.remove(&tid);
    }

    /// Adds a process, in the group and session of its parent, or of its own if it has none.
    pub(crate) fn add(&mut self, process: Arc<Process>, parent: Pid) {
        let pid = process.pid;
        let (group, session, terminal) = self.get(parent).map_or((pid, pid, None), |parent| {
            (parent.group, parent.session, parent.terminal.clone())
        });
        self.members.insert(
            pid.0,
            Member {
                process,
                parent,
                group,
                session,
                is_orphan: false,
                has_new_image: false,
                change: None,
                end: None,
                terminal,
                lost_foreground: None,
            },
        );
    }

    pub(crate) fn get(&self, pid: Pid) -> Option<&Member> {
        self.members.get(&pid.0)
    }

    pub(crate) fn get_mut(&mut self, pid: Pid) -> Option<&mut Member> {
        self.members.get_mut(&pid.0)
    }

    pub(crate) fn remove(&mut self, pid: Pid) -> Option<Member> {
        self.members.remove(&pid.0)
    }

    /// Takes everybody out.
    pub(crate) fn clear(&mut self) -> Vec<Arc<Process>> {
        let members = std::mem::take(&mut self.members);
        members.into_values().map(|member| member.process).collect()
    }

    pub(crate) fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.values_mut()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Returns a process's children among `which`; `ECHILD` if it has none.
    pub(crate) fn children(&self, parent: Pid, which: Children) -> Result<Vec<Pid>> {
        let is_meant = |member: &&Member| {
            member.parent == parent
                && match which {
                    Children::All => true,
                    Children::One(pid) => member.process.pid == pid,
                    Children::OfGroup(group) => member.group == group,
                }
        };
        let children: Vec<_> = self.members().filter(is_meant).collect();
        if children.is_empty() {
            return Err(Errno::ECHILD);
        }
        Ok(children.iter().map(|member| member.process.pid).collect())
    }

    /// Notes the end of a process: its children get a new parent, and what nobody will wait for is forgotten.
    ///
    /// `is_reaped` tells whether a parent leaves its children to the kernel. Linux: kernel/exit.c `exit_notify()`.
    pub(crate) fn end(
        &mut self,
        pid: Pid,
        status: ExitStatus,
        is_reaped: impl Fn(&Process) -> bool,
    ) -> Mourners {
        let mut orphaned = self.guarded_groups_around(pid);
        let children = self.members().filter(|member| member.parent == pid);
        let living = children.filter(|member| member.end.is_none());
        let orphans = living.map(|member| Arc::clone(&member.process)).collect();
        let init = self.give_away_children(pid, &is_reaped);
        let member = self.get_mut(pid).map(|member| {
            member.end = Some(status);
            (member.parent, member.is_orphan)
        });
        orphaned.retain(|group| self.is_stopped_orphan(*group));
        let (parent, is_orphan) = member.unwrap_or((NOBODY, false));
        let mut parent = self.living(parent);
        if parent.as_deref().is_some_and(&is_reaped) {
            self.remove(pid);
        } else if is_orphan && parent.as_deref().is_some_and(Process::reaps_orphans) {
            self.remove(pid);
            parent = None;
        }
        Mourners {
            parent,
            init,
            orphaned,
            orphans,
        }
    }

    fn give_away_children(
        &mut self,
        pid: Pid,
        is_reaped: &impl Fn(&Process) -> bool,
    ) -> Option<Arc<Process>> {
        let init = self.heir(pid);
        let heir = init.as_ref().map_or(NOBODY, |process| process.pid);
        let reaps = init.as_deref().is_none_or(Process::reaps_orphans);
        let forgets = reaps || init.as_deref().is_none_or(is_reaped);
        let mut ended = Vec::new();
        for child in self.members.values_mut().filter(|m| m.parent == pid) {
            child.parent = heir;
            child.is_orphan = true;
            if child.end.is_some() {
                ended.push(child.process.pid);
            }
        }
        if forgets {
            for child in &ended {
                self.remove(*child);
            }
        }
        init.filter(|_| !reaps && !ended.is_empty())
    }

    /// Returns who becomes the parent of a process's children: the nearest of its ancestors that asked for it, or process 1.
    /// Linux: kernel/exit.c `find_new_reaper()`.
    fn heir(&self, pid: Pid) -> Option<Arc<Process>> {
        let mut ancestor = self.get(pid)?.parent;
        while let Some(member) = self.get(ancestor) {
            if member.end.is_none() && member.process.settings.adopts_orphans() {
                return Some(Arc::clone(&member.process));
            }
            ancestor = member.parent;
        }
        self.living(INIT).filter(|_| pid != INIT)
    }

    /// Returns a process that has not ended.
    fn living(&self, pid: Pid) -> Option<Arc<Process>> {
        let member = self.get(pid).filter(|member| member.end.is_none())?;
        Some(Arc::clone(&member.process))
    }

    /// Puts a process into a group. Linux: kernel/sys.c `setpgid()`.
    pub(crate) fn set_group(&mut self, caller: Pid, pid: Pid, group: Pid) -> Result<()> {
        let session = self.get(caller).ok_or(Errno::ESRCH)?.session;
        let member = self.get(pid).filter(|member| member.end.is_none());
        let member = member.ok_or(Errno::ESRCH)?;
        if member.parent == caller {
            if member.session != session {
                return Err(Errno::EPERM);
            }
            if member.has_new_image {
                return Err(Errno::EACCES);
            }
        } else if pid != caller {
            return Err(Errno::ESRCH);
        }
        if member.session == pid {
            return Err(Errno::EPERM);
        }
        let is_there = |member: &Member| member.group == group && member.session == session;
        if group != pid && !self.members().any(is_there) {
            return Err(Errno::EPERM);
        }
        if let Some(member) = self.get_mut(pid) {
            member.group = group;
        }
        Ok(())
    }

    /// Makes a process the leader of a new session and group. Linux: kernel/sys.c `ksys_setsid()`.
    pub(crate) fn set_session(&mut self, pid: Pid) -> Result<()> {
        if self.members().any(|member| member.group == pid) {
            return Err(Errno::EPERM);
        }
        let member = self.get_mut(pid).ok_or(Errno::ESRCH)?;
        member.group = pid;
        member.session = pid;
        member.terminal = None;
        Ok(())
    }
}
