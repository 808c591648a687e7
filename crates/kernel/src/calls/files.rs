//! Calls on open files.

use minke_abi::linux::{FileType, PollEvents};
use minke_abi::{Errno, Result};

use crate::descriptor::{Fd, SeekTarget};
use crate::file::Allocation;
use crate::task::Task;
use crate::vfs::{FileSystemStatistics, Metadata};

/// What `fstatfs` shows of a pipe, as of everything that has no file system. Linux: `PIPEFS_MAGIC`.
const PIPEFS_MAGIC: u64 = 0x5049_5045;

impl Task {
    /// Reads from a descriptor, waiting while a stream has nothing.
    ///
    /// `with_buffer` is called once per try with an action on the guest's buffer; the buffer is
    /// not held between tries. A terminal that does not edit lines is waited for until it has all
    /// bytes of `VMIN`, however long the buffer is.
    pub async fn read_with(
        &self,
        fd: Fd,
        mut with_buffer: impl FnMut(&mut dyn FnMut(&mut [u8]) -> Result<usize>) -> Result<usize>,
    ) -> Result<usize> {
        let description = self.process.fds.get(fd)?;
        self.block_on_read(&description, usize::MAX, || {
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

    /// Writes to a descriptor, waiting while a stream has no room.
    ///
    /// `with_bytes` is called once per try with an action on the guest's bytes. A stream may
    /// take fewer bytes than it is given.
    pub async fn write_with(
        &self,
        fd: Fd,
        mut with_bytes: impl FnMut(&mut dyn FnMut(&[u8]) -> Result<usize>) -> Result<usize>,
    ) -> Result<usize> {
        let description = self.process.fds.get(fd)?;
        self.block_on(&description, PollEvents::OUT, || {
            with_bytes(&mut |bytes| description.write(bytes))
        })
        .await
    }

    /// Gives a range of a file room, or takes it away. POSIX: `posix_fallocate()`; Linux: `fallocate(2)`.
    pub fn allocate(&self, fd: Fd, offset: u64, length: u64, allocation: Allocation) -> Result<()> {
        let description = self.open_description_of(fd)?;
        if !description.flags().is_writable() {
            return Err(Errno::EBADF);
        }
        if length == 0 || offset.checked_add(length).is_none() {
            return Err(Errno::EINVAL);
        }
        match description.file.metadata()?.file_type {
            FileType::Regular if offset + length > i64::MAX as u64 => Err(Errno::EFBIG),
            FileType::Regular
                if allocation == Allocation::Extend && offset + length > self.file_size_max() =>
            {
                Err(Errno::EFBIG)
            }
            FileType::Regular => description.file.allocate(offset, length, allocation),
            FileType::Fifo => Err(Errno::ESPIPE),
            _ => Err(Errno::ENODEV),
        }
    }

    /// Makes what was written durable.
    pub fn sync(&self, fd: Fd) -> Result<()> {
        let description = self.open_description_of(fd)?;
        // What a pipe, a socket or a terminal has cannot be durable.
        let inode = description.inode().map_err(|_| Errno::EINVAL)?;
        match inode.metadata()?.file_type {
            FileType::Fifo | FileType::Socket | FileType::CharacterDevice => Err(Errno::EINVAL),
            _ => inode.sync(),
        }
    }

    /// Makes everything durable that was written in any mount; what cannot be is left. POSIX: `sync()`.
    pub fn sync_all(&self) {
        for mount in self.process.kernel.mounts.mounts() {
            let _ = mount.file_system.root().sync();
        }
    }

    /// Makes everything durable that was written in the file system of an open file. Linux: `syncfs(2)`.
    pub fn sync_file_system(&self, fd: Fd) -> Result<()> {
        let description = self.open_description_of(fd)?;
        match &description.location {
            Some(location) => location.mount.file_system.root().sync(),
            None => Ok(()),
        }
    }

    /// Returns the statistics of the file system that holds an open file.
    pub fn fstatfs(&self, fd: Fd) -> Result<FileSystemStatistics> {
        let description = self.process.fds.get(fd)?;
        match &description.location {
            Some(location) => location.mount.file_system.statistics(),
            None => Ok(FileSystemStatistics {
                magic: PIPEFS_MAGIC,
                block_size: 4096,
                ..FileSystemStatistics::default()
            }),
        }
    }
}
