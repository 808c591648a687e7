//! Making processes and waiting for them.

use std::sync::Arc;

use minke_abi::linux::Signal;
use minke_abi::wait::{self, WaitOptions};
use minke_abi::{Errno, Result};

use crate::family::{Change, Children, ProcessTable};
use crate::platform::Nanoseconds;
use crate::process::{ExitStatus, Pid, Process};
use crate::signal::code;
use crate::task::{Deadline, Task};

/// A child that something has happened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildReport {
    pub pid: Pid,
    /// Its real user.
    pub uid: u32,
    pub news: News,
    /// CPU time that it has used, with that of the children that it has waited for.
    pub cpu_time: Nanoseconds,
}

/// What has happened to a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    Ended(ExitStatus),
    Stopped(Signal),
    Continued,
}

impl From<Change> for News {
    fn from(change: Change) -> News {
        match change {
            Change::Stopped(signal) => News::Stopped(signal),
            Change::Continued => News::Continued,
        }
    }
}

impl News {
    /// Returns `si_code` and `si_status`: `CLD_*`, and an exit code or a signal.
    pub fn code_and_status(&self) -> (i32, u32) {
        match self {
            News::Ended(ExitStatus::Exited(exit)) => (code::CHILD_EXITED, u32::from(*exit)),
            News::Ended(ended) => (code::CHILD_KILLED, ended.wait_status()),
            News::Stopped(signal) => (code::CHILD_STOPPED, u32::from(signal.raw())),
            News::Continued => (code::CHILD_CONTINUED, u32::from(Signal::CONT.raw())),
        }
    }

    /// Returns the number that `wait(2)` gives.
    pub fn wait_status(&self) -> u32 {
        match self {
            News::Ended(status) => status.wait_status(),
            News::Stopped(signal) => wait::stopped(*signal),
            News::Continued => wait::CONTINUED,
        }
    }
}

impl Task {
    /// Makes a copy of the process, as its child, which runs nothing yet; `EAGAIN` when the container has all it may have.
    ///
    /// Descriptors, directories, credentials, what is done about signals, group and session are the same; pending
    /// signals, record locks and other threads stay behind. POSIX: `fork()`.
    pub fn fork(&self) -> Result<Arc<Process>> {
        self.process.kernel.fork(self)
    }

    /// Undoes [`Task::fork`] of a child that never ran: nobody is told.
    pub fn forget_child(&self, child: &Process) {
        self.process.kernel.reap(child.pid);
        child.exit(ExitStatus::Exited(0));
    }

    /// Waits until something has happened to a child, and takes its zombie away; `None` with `WNOHANG` when nothing has,
    /// `ECHILD` without children. POSIX: `waitpid()`, `waitid()`.
    pub async fn wait_for_child(
        &self,
        which: Children,
        options: WaitOptions,
    ) -> Result<Option<ChildReport>> {
        let found = self.take_report(which, options);
        match found {
            Ok(None) if !options.contains(WaitOptions::NOHANG) => {}
            done => return done,
        }
        let waited = self.wait_for(Deadline::Never, |cx| {
            self.process.children_changed.register(cx.waker());
            self.take_report(which, options).transpose()
        });
        waited.await.transpose()
    }

    fn take_report(&self, which: Children, options: WaitOptions) -> Result<Option<ChildReport>> {
        let (report, taken) = {
            let mut table = self.process.kernel.table();
            let children = table.children(self.process.pid, which)?;
            let mut reports = children
                .into_iter()
                .filter_map(|pid| report_of(&mut table, pid, options));
            let Some(report) = reports.next() else {
                return Ok(None);
            };
            drop(reports);
            let is_taken =
                matches!(report.news, News::Ended(_)) && !options.contains(WaitOptions::NOWAIT);
            let taken = is_taken.then(|| table.remove(report.pid));
            (report, taken)
        };
        if taken.is_some() {
            self.process.cpu.child_waited_for(report.cpu_time);
        }
        // The lock is gone: its last holder may be this one.
        drop(taken);
        Ok(Some(report))
    }

    /// Puts a process into a group; 0 is the caller, and a group of its own. POSIX: `setpgid()`.
    pub fn set_group(&self, pid: Pid, group: Pid) -> Result<()> {
        let own = self.process.pid;
        let pid = if pid.0 == 0 { own } else { pid };
        let group = if group.0 == 0 { pid } else { group };
        self.process.kernel.table().set_group(own, pid, group)
    }

    /// Returns the names of a process's group and session; 0 is the caller. POSIX: `getpgid()`, `getsid()`.
    pub fn group_and_session(&self, pid: Pid) -> Result<(Pid, Pid)> {
        let pid = if pid.0 == 0 { self.process.pid } else { pid };
        let table = self.process.kernel.table();
        let member = table.get(pid).ok_or(Errno::ESRCH)?;
        Ok((member.group, member.session))
    }

    /// Makes the process the leader of a new session and group; returns their name. POSIX: `setsid()`.
    pub fn begin_session(&self) -> Result<Pid> {
        let pid = self.process.pid;
        self.process.kernel.table().set_session(pid)?;
        Ok(pid)
    }
}

/// Takes what a child's parent is to be told; nothing is left to tell unless it may be told again.
fn report_of(table: &mut ProcessTable, pid: Pid, options: WaitOptions) -> Option<ChildReport> {
    let member = table.get_mut(pid)?;
    let news = match (&member.end, member.change) {
        // A `waitid` that does not ask for ends sees none; `wait4` always does.
        (Some(status), _) if options.contains(WaitOptions::EXITED) => News::Ended(status.clone()),
        (None, Some(Change::Stopped(signal))) if options.contains(WaitOptions::UNTRACED) => {
            News::Stopped(signal)
        }
        (None, Some(Change::Continued)) if options.contains(WaitOptions::CONTINUED) => {
            News::Continued
        }
        _ => return None,
    };
    if !options.contains(WaitOptions::NOWAIT) {
        member.change = None;
    }
    Some(ChildReport {
        pid,
        uid: member.process.credentials().uid,
        news,
        cpu_time: member.process.cpu_time() + member.process.children_cpu_time(),
    })
}
