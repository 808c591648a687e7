//! Calls on open files.

use minke_abi::linux::PollEvents;
use minke_abi::{Errno, Result};

use crate::calls::paths::TimeChange;
use crate::descriptor::{Fd, SeekTarget};
use crate::task::Task;
use crate::vfs::{FileSystemStatistics, Metadata};

impl Task {
    /// Reads from a descriptor, waiting while a stream has nothing.
    ///
    /// `with_buffer` is called once per try with an action on the guest's buffer; the buffer is
    /// not held between tries.
    pub async fn read_with(
        &self,
        fd: Fd,
        mut with_buffer: impl FnMut(&mut dyn FnMut(&mut [u8]) -> Result<usize>) -> Result<usize>,
    ) -> Result<usize> {
        let description = self.process.fds.get(fd)?;
        self.block_on(&description, PollEvents::IN, || {
            with_buffer(&mut |buffer| description.read(buffer))
        })
        .await
    }

    /// Moves a descriptor's position.
    pub fn seek(&self, fd: Fd, target: SeekTarget) -> Result<u64> {
        self.process.fds.get(fd)?.seek(target)
    }

    /// Returns an open file's attributes.
    pub fn fstat(&self, fd: Fd) -> Result<Metadata> {
        self.process.fds.get(fd)?.file.metadata()
    }

    /// Sets an open file's size. Linux: `ftruncate(2)`.
    pub fn ftruncate(&self, fd: Fd, size: u64) -> Result<()> {
        let _ = (fd, size);
        Err(Errno::ENOSYS)
    }

    /// Makes sure that a range has room; grows the file. POSIX: `posix_fallocate()`.
    pub fn allocate(&self, fd: Fd, offset: u64, length: u64) -> Result<()> {
        let _ = (fd, offset, length);
        Err(Errno::ENOSYS)
    }

    /// Makes what was written durable.
    pub fn sync(&self, fd: Fd) -> Result<()> {
        let _ = fd;
        Err(Errno::ENOSYS)
    }

    /// Changes an open file's permission bits.
    pub fn fchmod(&self, fd: Fd, mode: u32) -> Result<()> {
        let _ = (fd, mode);
        Err(Errno::ENOSYS)
    }

    /// Changes an open file's owner and group; `None` keeps.
    pub fn fchown(&self, fd: Fd, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let _ = (fd, uid, gid);
        Err(Errno::ENOSYS)
    }

    /// Changes an open file's access and modification times.
    pub fn set_file_times(&self, fd: Fd, accessed: TimeChange, modified: TimeChange) -> Result<()> {
        let _ = (fd, accessed, modified);
        Err(Errno::ENOSYS)
    }

    /// Returns the statistics of the file system that holds an open file.
    pub fn fstatfs(&self, fd: Fd) -> Result<FileSystemStatistics> {
        let _ = fd;
        Err(Errno::ENOSYS)
    }
}
