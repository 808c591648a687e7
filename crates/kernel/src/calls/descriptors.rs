//! Calls on descriptors themselves.

use minke_abi::Result;
use minke_abi::linux::OpenFlags;

use crate::descriptor::{Fd, FileDescription};
use crate::pipe::pipe;
use crate::task::Task;

impl Task {
    /// Closes a descriptor.
    pub fn close(&self, fd: Fd) -> Result<()> {
        self.process.fds.remove(fd).map(drop)
    }

    /// Copies a descriptor to the lowest free number that is not below `minimum` (`dup`, `F_DUPFD`).
    pub fn duplicate(&self, fd: Fd, minimum: Fd, is_close_on_exec: bool) -> Result<Fd> {
        let description = self.process.fds.get(fd)?;
        self.process
            .fds
            .insert_from(minimum, description, is_close_on_exec)
    }

    /// Copies a descriptor to a given number (`dup2`); the same number twice changes nothing.
    pub fn duplicate_to(&self, fd: Fd, target: Fd, is_close_on_exec: bool) -> Result<()> {
        let description = self.process.fds.get(fd)?;
        if fd == target {
            return Ok(());
        }
        self.process
            .fds
            .replace(target, description, is_close_on_exec)
    }

    /// Makes a pipe; returns its reading and writing descriptors. Flags: `O_NONBLOCK`, `O_CLOEXEC`.
    pub fn pipe(&self, flags: OpenFlags) -> Result<(Fd, Fd)> {
        self.process.fds.check_room()?;
        let (reader, writer) = pipe(self);
        let is_close_on_exec = flags.contains(OpenFlags::CLOEXEC);
        let status = flags & OpenFlags::NONBLOCK;
        let reader = FileDescription::new(reader, None, status | OpenFlags::RDONLY);
        let writer = FileDescription::new(writer, None, status | OpenFlags::WRONLY);
        let read_fd = self.process.fds.insert(reader, is_close_on_exec)?;
        let write_fd = self
            .process
            .fds
            .insert(writer, is_close_on_exec)
            .inspect_err(|_| {
                let _ = self.process.fds.remove(read_fd);
            })?;
        Ok((read_fd, write_fd))
    }
}
