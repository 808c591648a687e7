//! Calls on processes behind descriptors. Linux: kernel/pid.c, kernel/signal.c; `pidfd_open(2)` and its kin.

use std::sync::Arc;

use minke_abi::linux::OpenFlags;
use minke_abi::{Errno, Result};

use super::signals::{may_signal, send};
use crate::descriptor::Fd;
use crate::events::process::ProcessFile;
use crate::process::{Credentials, Pid, Process};
use crate::signal::{Posted, SignalInfo};
use crate::task::Task;

impl Task {
    /// Gives a process a descriptor, which is closed at `exec`; `ESRCH` when there is none, `EINVAL` for another thread's number.
    /// Flags: `O_NONBLOCK`. Linux: `pidfd_open(2)`.
    pub fn open_process(&self, pid: Pid, flags: OpenFlags) -> Result<Fd> {
        let kernel = &self.process.kernel;
        let Some(process) = kernel.process(pid) else {
            return Err(match kernel.has_thread(pid.0) {
                true => Errno::EINVAL,
                false => Errno::ESRCH,
            });
        };
        let file = ProcessFile::new(self, process);
        self.give_number(Arc::new(file), flags | OpenFlags::CLOEXEC)
    }

    /// Returns the process behind a descriptor, and whether a wait for it is to answer at once; `EBADF` for what is none.
    pub fn process_behind(&self, fd: Fd) -> Result<(Pid, bool)> {
        let description = self.process.fds.get(fd)?;
        let process = ProcessFile::process_of(&description)?;
        Ok((process.pid, description.is_nonblocking()))
    }

    /// Sends a signal to the process behind a descriptor, or only looks whether it could be sent; `ESRCH` once its end was waited for.
    /// Linux: `pidfd_send_signal(2)`.
    pub fn signal_process_behind(&self, fd: Fd, info: Option<SignalInfo>) -> Result<()> {
        let description = self.process.fds.get(fd)?;
        let process = ProcessFile::process_of(&description)?;
        self.check_is_there(process)?;
        if !may_signal(&self.process.credentials(), &process.credentials()) {
            return Err(Errno::EPERM);
        }
        let Some(info) = info else { return Ok(()) };
        match send(process, None, info) {
            Posted::Full => Err(Errno::EAGAIN),
            _ => Ok(()),
        }
    }

    /// Gives what another process has open a descriptor here, which is closed at `exec`. Linux: `pidfd_getfd(2)`.
    pub fn take_descriptor(&self, fd: Fd, number: Fd) -> Result<Fd> {
        let description = self.process.fds.get(fd)?;
        let process = ProcessFile::process_of(&description)?;
        self.check_is_there(process)?;
        if !may_look_into(&self.process.credentials(), &process.credentials()) {
            return Err(Errno::EPERM);
        }
        if process.poll_told_end(None) {
            return Err(Errno::ESRCH);
        }
        let taken = process.fds.get(number)?;
        self.process.fds.insert(taken, true)
    }

    /// `ESRCH` for a process that nobody knows any more.
    fn check_is_there(&self, process: &Arc<Process>) -> Result<()> {
        let known = self.process.kernel.process(process.pid);
        match known.is_some_and(|known| Arc::ptr_eq(&known, process)) {
            true => Ok(()),
            false => Err(Errno::ESRCH),
        }
    }
}

/// Linux: kernel/ptrace.c `__ptrace_may_access()`, with the real ids.
fn may_look_into(who: &Credentials, other: &Credentials) -> bool {
    let is_user = [other.uid, other.euid, other.suid] == [who.uid; 3];
    let is_group = [other.gid, other.egid, other.sgid] == [who.gid; 3];
    who.is_privileged() || (is_user && is_group)
}
