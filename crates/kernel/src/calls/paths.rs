//! Calls that look at what a path names, and at where paths start.

use std::sync::Arc;

use minke_abi::linux::FileType;
use minke_abi::{Errno, Result};

use crate::descriptor::{Fd, FileDescription};
use crate::process::{Credentials, FsContext, Standpoint};
use crate::task::Task;
use crate::vfs::permission::check;
use crate::vfs::walk::{Place, Walk};
use crate::vfs::{FileSystemStatistics, Location, MagicLink, Metadata, Mount, Resolve, Timestamp};

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
        if let Some(description) = self.description_itself(at, path)? {
            return description.location.clone().ok_or(Errno::EBADF);
        }
        let start = self.start(at, path)?;
        start.walk(path)?.find_location(follow)
    }

    /// Returns a path's attributes. Linux: `newfstatat(2)`.
    pub fn stat(&self, at: At, path: &[u8], follow: Follow) -> Result<Metadata> {
        if let Some(description) = self.description_itself(at, path)? {
            return description.file.metadata();
        }
        let start = self.start(at, path)?;
        let inode = start.walk(path)?.find_inode(follow)?;
        inode.metadata()
    }

    /// Checks access with the real user and group (`access(2)`).
    pub fn access(&self, at: At, path: &[u8], access: Access, follow: Follow) -> Result<()> {
        let effective = self.process.credentials();
        let real = Credentials {
            euid: effective.uid,
            egid: effective.gid,
            ..(*effective).clone()
        };
        self.check_access(at, path, access, follow, &real)
    }

    /// Checks access with the effective user and group (`AT_EACCESS` of `faccessat(2)`).
    pub fn effective_access(
        &self,
        at: At,
        path: &[u8],
        access: Access,
        follow: Follow,
    ) -> Result<()> {
        let effective = self.process.credentials();
        self.check_access(at, path, access, follow, &effective)
    }

    fn check_access(
        &self,
        at: At,
        path: &[u8],
        access: Access,
        follow: Follow,
        credentials: &Credentials,
    ) -> Result<()> {
        let place = self.find(at, path, follow, credentials)?;
        if access.is_empty() {
            return Ok(());
        }
        check(&*place.inode, credentials, access)?;
        if access.contains(Access::WRITE) && !is_special(place.inode.file_type()) {
            check_writable(&place.mount)?;
        }
        Ok(())
    }

    /// Returns a symbolic link's target; with an empty path, that of a link opened by `O_PATH`.
    pub fn read_link(&self, at: At, path: &[u8]) -> Result<Vec<u8>> {
        let credentials = self.process.credentials();
        let place = self.find(at, path, Follow::No, &credentials)?;
        match place.inode.magic_link(self) {
            None => place.inode.read_link(),
            Some(link) => match link? {
                MagicLink::Text(text) => Ok(text),
                MagicLink::Location(location) => {
                    let root = Arc::clone(&self.process.standpoint().fs.root);
                    let mut path = location.path_below(&root)?;
                    // Linux: fs/d_path.c `d_path()`.
                    if location.parent.is_some() && location.inode.metadata()?.links == 0 {
                        path.extend_from_slice(b" (deleted)");
                    }
                    Ok(path)
                }
                MagicLink::Description(_) => place.inode.read_link(),
            },
        }
    }

    /// Returns the statistics of the file system that holds a path.
    pub fn file_system_statistics(&self, at: At, path: &[u8]) -> Result<FileSystemStatistics> {
        let credentials = self.process.credentials();
        let place = self.find(at, path, Follow::Yes, &credentials)?;
        place.mount.file_system.statistics()
    }

    /// Changes the working directory. Linux: `chdir(2)`; with an empty path and a descriptor, `fchdir(2)`.
    pub fn change_directory(&self, at: At, path: &[u8]) -> Result<()> {
        let credentials = self.process.credentials();
        let place = self.find(at, path, Follow::Yes, &credentials)?;
        if !place.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        check(&*place.inode, &credentials, Access::EXECUTE)?;
        let cwd = Location::of_inode(place.mount, place.inode);
        let replace = |it: &mut Standpoint| std::mem::replace(&mut it.fs.cwd, cwd);
        let previous = self.process.change_standpoint(replace);
        // The last reference to a directory is dropped without the lock.
        drop(previous);
        Ok(())
    }

    /// Makes a directory the process's root; root only. The working directory stays. Linux: `chroot(2)`.
    pub fn change_root(&self, path: &[u8]) -> Result<()> {
        let credentials = self.process.credentials();
        let place = self.find(At::Cwd, path, Follow::Yes, &credentials)?;
        if !place.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        check(&*place.inode, &credentials, Access::EXECUTE)?;
        if !credentials.is_privileged() {
            return Err(Errno::EPERM);
        }
        let root = Location::of_inode(place.mount, place.inode);
        let replace = |it: &mut Standpoint| std::mem::replace(&mut it.fs.root, root);
        let previous = self.process.change_standpoint(replace);
        drop(previous);
        Ok(())
    }

    /// Returns the absolute path of the working directory; `ENOENT` once it was removed.
    pub fn current_directory(&self) -> Result<Vec<u8>> {
        let FsContext { cwd, root, .. } = &self.process.standpoint().fs;
        cwd.path_below(root)
    }

    /// Sets the umask and returns the old one.
    pub fn set_umask(&self, mask: u32) -> u32 {
        let replace = |it: &mut Standpoint| std::mem::replace(&mut it.fs.umask, mask & 0o777);
        self.process.change_standpoint(replace)
    }

    /// Returns where a walk along a path starts.
    pub(super) fn start(&self, at: At, path: &[u8]) -> Result<Start<'_>> {
        let from = match at {
            _ if path.first() == Some(&b'/') => From::Root,
            At::Cwd => From::Cwd,
            At::Fd(fd) => From::Description(self.directory_of(fd)?),
        };
        Ok(Start {
            task: self,
            standpoint: self.process.standpoint(),
            from,
        })
    }

    /// Returns where a bounded walk along a path starts: one that has a root of its own starts there.
    pub(super) fn start_within(&self, at: At, path: &[u8], resolve: Resolve) -> Result<Start<'_>> {
        let is_bounded = resolve.intersects(Resolve::IN_ROOT | Resolve::BENEATH);
        self.start(at, if is_bounded { b"" } else { path })
    }

    /// Finds what a path names, or a descriptor's own file for an empty path.
    pub(super) fn find(
        &self,
        at: At,
        path: &[u8],
        follow: Follow,
        credentials: &Credentials,
    ) -> Result<Place> {
        match at {
            At::Fd(fd) if path.is_empty() => self.place_of_any(fd),
            _ => self
                .start(at, path)?
                .walk_as(path, credentials)?
                .find(follow),
        }
    }

    fn description_itself(&self, at: At, path: &[u8]) -> Result<Option<Arc<FileDescription>>> {
        match at {
            At::Fd(fd) if path.is_empty() => self.process.fds.get(fd).map(Some),
            _ => Ok(None),
        }
    }

    /// Returns what a descriptor that paths start at names; what has no place is not a directory.
    fn directory_of(&self, fd: Fd) -> Result<Arc<FileDescription>> {
        let description = self.process.fds.get(fd)?;
        match description.location {
            Some(_) => Ok(description),
            None => Err(Errno::ENOTDIR),
        }
    }

    fn place_of_any(&self, fd: Fd) -> Result<Place> {
        let description = self.process.fds.get(fd)?;
        let location = description.location.as_ref().ok_or(Errno::EBADF)?;
        Ok(Place::of(location))
    }
}

/// Where a walk starts, and as whom.
pub(super) struct Start<'t> {
    task: &'t Task,
    standpoint: Arc<Standpoint>,
    from: From,
}

enum From {
    Root,
    Cwd,
    /// A directory that is open.
    Description(Arc<FileDescription>),
}

impl Start<'_> {
    pub(super) fn credentials(&self) -> &Credentials {
        &self.standpoint.credentials
    }

    /// Starts a walk as who the process is.
    pub(super) fn walk<'a>(&'a self, path: &'a [u8]) -> Result<Walk<'a>> {
        self.walk_as(path, self.credentials())
    }

    /// Starts a bounded walk.
    pub(super) fn walk_within<'a>(&'a self, path: &'a [u8], resolve: Resolve) -> Result<Walk<'a>> {
        match resolve.is_empty() {
            true => self.walk(path),
            false => self.walk(path)?.within(resolve),
        }
    }

    /// Starts a walk as somebody.
    pub(super) fn walk_as<'a>(
        &'a self,
        path: &'a [u8],
        credentials: &'a Credentials,
    ) -> Result<Walk<'a>> {
        let fs = &self.standpoint.fs;
        let start = match &self.from {
            From::Root => &fs.root,
            From::Cwd => &fs.cwd,
            From::Description(description) => {
                description.location.as_ref().ok_or(Errno::ENOTDIR)?
            }
        };
        Walk::new(&fs.root, start, credentials, Some(self.task), path)
    }
}

/// `EROFS` on a read-only mount.
pub(super) fn check_writable(mount: &Mount) -> Result<()> {
    if mount.options.is_read_only {
        Err(Errno::EROFS)
    } else {
        Ok(())
    }
}

/// Whether writing to it does not change the file system that holds its node. Linux: `special_file()`.
pub(super) fn is_special(kind: FileType) -> bool {
    !matches!(
        kind,
        FileType::Regular | FileType::Directory | FileType::Symlink
    )
}
