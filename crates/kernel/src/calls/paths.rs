//! Calls that name files by path.

use std::sync::Arc;

use minke_abi::linux::OpenFlags;
use minke_abi::{Errno, Result};

use crate::descriptor::{Fd, FileDescription};
use crate::task::Task;
use crate::vfs::{FileSystemStatistics, Location, Metadata, NewInode, RenameFlags, Timestamp};

/// Where a relative path starts: `AT_FDCWD` or a directory's descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Cwd,
    Fd(Fd),
}

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    Yes,
    No,
}

/// A new file time. POSIX: `utimensat()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeChange {
    Keep,
    Now,
    Set(Timestamp),
}

bitflags::bitflags! {
    /// What `access(2)` asks for; empty asks for existence.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Access: u32 {
        const EXECUTE = 1;
        const WRITE = 2;
        const READ = 4;
    }
}

impl Task {
    /// Finds what a path names. An empty path with a descriptor is the descriptor's own file (`AT_EMPTY_PATH`).
    pub fn resolve(&self, at: At, path: &[u8], follow: Follow) -> Result<Arc<Location>> {
        let _ = (at, path, follow);
        Err(Errno::ENOSYS)
    }

    /// Opens a path and gives it a descriptor. Linux: `openat(2)`. Opening a fifo does not wait for the other end.
    pub fn open(&self, at: At, path: &[u8], flags: OpenFlags, mode: u32) -> Result<Fd> {
        let description = self.open_description(at, path, flags, mode)?;
        self.process
            .fds
            .insert(description, flags.contains(OpenFlags::CLOEXEC))
    }

    /// Opens a path without giving it a descriptor.
    pub fn open_description(
        &self,
        at: At,
        path: &[u8],
        flags: OpenFlags,
        mode: u32,
    ) -> Result<Arc<FileDescription>> {
        let _ = (at, path, flags, mode);
        Err(Errno::ENOSYS)
    }

    /// Returns a path's attributes. Linux: `newfstatat(2)`.
    pub fn stat(&self, at: At, path: &[u8], follow: Follow) -> Result<Metadata> {
        let _ = (at, path, follow);
        Err(Errno::ENOSYS)
    }

    /// Checks access with the real user and group (`access(2)`).
    pub fn access(&self, at: At, path: &[u8], access: Access, follow: Follow) -> Result<()> {
        let _ = (at, path, access, follow);
        Err(Errno::ENOSYS)
    }

    /// Makes a directory, fifo, socket or device node; the umask applies. Linux: `mkdirat(2)`, `mknodat(2)`.
    pub fn make_node(&self, at: At, path: &[u8], new: &NewInode<'_>, mode: u32) -> Result<()> {
        let _ = (at, path, new, mode);
        Err(Errno::ENOSYS)
    }

    /// Makes a symbolic link at `path` that says `target`.
    pub fn symlink(&self, target: &[u8], at: At, path: &[u8]) -> Result<()> {
        let _ = (target, at, path);
        Err(Errno::ENOSYS)
    }

    /// Returns a symbolic link's target.
    pub fn read_link(&self, at: At, path: &[u8]) -> Result<Vec<u8>> {
        let _ = (at, path);
        Err(Errno::ENOSYS)
    }

    /// Gives a file another name. `follow` concerns the old path's last link.
    pub fn link(
        &self,
        old_at: At,
        old_path: &[u8],
        new_at: At,
        new_path: &[u8],
        follow: Follow,
    ) -> Result<()> {
        let _ = (old_at, old_path, new_at, new_path, follow);
        Err(Errno::ENOSYS)
    }

    /// Removes a name that is not a directory.
    pub fn unlink(&self, at: At, path: &[u8]) -> Result<()> {
        let _ = (at, path);
        Err(Errno::ENOSYS)
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, at: At, path: &[u8]) -> Result<()> {
        let _ = (at, path);
        Err(Errno::ENOSYS)
    }

    /// Moves a name. Linux: `renameat2(2)`.
    pub fn rename(
        &self,
        old_at: At,
        old_path: &[u8],
        new_at: At,
        new_path: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        let _ = (old_at, old_path, new_at, new_path, flags);
        Err(Errno::ENOSYS)
    }

    /// Changes permission bits. Linux: `fchmodat2(2)`.
    pub fn change_mode(&self, at: At, path: &[u8], mode: u32, follow: Follow) -> Result<()> {
        let _ = (at, path, mode, follow);
        Err(Errno::ENOSYS)
    }

    /// Changes owner and group; `None` keeps. Linux: `fchownat(2)`.
    pub fn change_owner(
        &self,
        at: At,
        path: &[u8],
        uid: Option<u32>,
        gid: Option<u32>,
        follow: Follow,
    ) -> Result<()> {
        let _ = (at, path, uid, gid, follow);
        Err(Errno::ENOSYS)
    }

    /// Changes access and modification times. Linux: `utimensat(2)`.
    pub fn set_times(
        &self,
        at: At,
        path: &[u8],
        accessed: TimeChange,
        modified: TimeChange,
        follow: Follow,
    ) -> Result<()> {
        let _ = (at, path, accessed, modified, follow);
        Err(Errno::ENOSYS)
    }

    /// Sets a file's size by path.
    pub fn truncate(&self, at: At, path: &[u8], size: u64) -> Result<()> {
        let _ = (at, path, size);
        Err(Errno::ENOSYS)
    }

    /// Returns the statistics of the file system that holds a path.
    pub fn file_system_statistics(&self, at: At, path: &[u8]) -> Result<FileSystemStatistics> {
        let _ = (at, path);
        Err(Errno::ENOSYS)
    }

    /// Changes the working directory. Linux: `chdir(2)`; with an empty path and a descriptor, `fchdir(2)`.
    pub fn change_directory(&self, at: At, path: &[u8]) -> Result<()> {
        let _ = (at, path);
        Err(Errno::ENOSYS)
    }

    /// Returns the absolute path of the working directory.
    pub fn current_directory(&self) -> Result<Vec<u8>> {
        Err(Errno::ENOSYS)
    }

    /// Sets the umask and returns the old one.
    pub fn set_umask(&self, mask: u32) -> u32 {
        std::mem::replace(&mut self.process.fs().umask, mask & 0o777)
    }
}
