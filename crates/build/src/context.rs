//! The context: the directory whose files a build can read, and nothing beyond it.
//!
//! Every file is opened by the kernel relative to the context's own descriptor and below it: `..`, absolute symbolic links
//! and links that lead out fail, and so do files that are swapped for links in between.
//! BuildKit resolves such links against the context as if it were the root; here they are an error that says so.
//!
//! Linux: `openat2(2)`, `RESOLVE_BENEATH`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use minke_balenafile::IgnoreFile;
use minke_image::FileStamp;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::owner::Owner;

/// Bounds the files that one instruction copies, and the names of a directory.
pub const CONTEXT_FILES_MAX: usize = 2_000_000;

/// Bounds directories inside each other, each of which is a part of a path that the kernel must take too.
pub const DIRECTORY_DEPTH_MAX: usize = 200;

/// Bounds the attempts to open a path while somebody renames directories. Linux: `openat2(2)`, `EAGAIN`.
const OPEN_ATTEMPTS_MAX: usize = 100;

/// A directory and what of it exists for the build.
#[derive(Debug)]
pub(crate) struct Context {
    root: OwnedFd,
    ignore: IgnoreFile,
}

/// Why a path of the context could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextError {
    #[error("no such file or directory")]
    NotFound,
    #[error("it is not a directory")]
    NotDirectory,
    #[error("it leads out of the context")]
    Outside,
    /// Than this.
    #[error("it has more than {0} files")]
    TooManyFiles(usize),
    #[error("it has more than {DIRECTORY_DEPTH_MAX} directories inside each other")]
    TooDeep,
    #[error("it is a socket, a pipe or a device")]
    Special,
    #[error("its symbolic links lead in a circle, or it was changed while it was read")]
    Changed,
    #[error(transparent)]
    Io(io::Error),
}

impl From<ContextError> for io::Error {
    fn from(error: ContextError) -> Self {
        match error {
            ContextError::Io(error) => error,
            other => Self::other(other),
        }
    }
}

impl From<Errno> for ContextError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::NotFound,
            Errno::NOTDIR => Self::NotDirectory,
            Errno::XDEV => Self::Outside,
            Errno::LOOP => Self::Changed,
            errno => Self::Io(errno.into()),
        }
    }
}

/// What a name of a directory is, without following it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    Symlink,
    /// A socket, a pipe or a device, which an image cannot have.
    Special,
}

/// Tells a file that has several names from others: inode and device of the host, or place and number of its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Link(pub(crate) u64, pub(crate) u64);

/// A name's metadata.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    pub(crate) mtime_s: u64,
    pub(crate) size_bytes: u64,
    /// Of a file that has several names.
    pub(crate) link: Option<Link>,
    /// Of a file of the host.
    pub(crate) stamp: Option<FileStamp>,
}

impl Status {
    fn of(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Symlink,
            _ => Kind::Special,
        };
        let nanoseconds = |seconds: i64, rest: u64| {
            let rest = i64::try_from(rest).unwrap_or(0);
            seconds.saturating_mul(1_000_000_000).saturating_add(rest)
        };
        let size_bytes = u64::try_from(stat.st_size).unwrap_or(0);
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            // Whoever owns the context is nobody in the image.
            owner: Owner::default(),
            size_bytes,
            link: (kind == Kind::File && stat.st_nlink > 1)
                .then_some(Link(stat.st_ino, stat.st_dev)),
            // Files from before 1970 have no time in a tar.
            mtime_s: u64::try_from(stat.st_mtime).unwrap_or(0),
            stamp: Some(FileStamp {
                device: stat.st_dev,
                inode: stat.st_ino,
                size_bytes,
                mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
                ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            }),
        }
    }

    /// Returns what the kernel says of a file of the host; none for what is no file.
    pub(crate) fn file_stamp(&self) -> Option<FileStamp> {
        self.stamp.filter(|_| self.kind == Kind::File)
    }

    /// The top of a tree, which has no entry of its own.
    pub(crate) fn of_top() -> Self {
        Self {
            kind: Kind::Directory,
            mode: 0o755,
            owner: Owner::default(),
            mtime_s: 0,
            size_bytes: 0,
            link: None,
            stamp: None,
        }
    }
}

impl Context {
    pub(crate) fn open(path: &Path) -> Result<Self, ContextError> {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        Ok(Self {
            root: rustix::fs::open(path, flags, Mode::empty())?,
            ignore: IgnoreFile::default(),
        })
    }

    /// Returns the patterns of what does not exist for the build.
    pub(crate) fn ignore(&self) -> &IgnoreFile {
        &self.ignore
    }

    /// Sets the patterns of what does not exist for the build.
    pub(crate) fn with_ignore(self, ignore: IgnoreFile) -> Self {
        Self { ignore, ..self }
    }

    /// Opens a path relative to the context, the empty one for the context itself.
    fn open_below(
        &self,
        path: &Path,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, ContextError> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = flags | OFlags::CLOEXEC;
        let resolve = resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..OPEN_ATTEMPTS_MAX {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Opens a path that was followed before: one with a symbolic link in it was swapped since.
    fn open_exact(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, ContextError> {
        self.open_below(path, flags, ResolveFlags::NO_SYMLINKS)
    }

    /// Follows the symbolic links of a path within the context, and returns the path without them and what is there.
    pub(crate) fn follow(&self, path: &Path) -> Result<(PathBuf, Status), ContextError> {
        let opened = self.open_below(path, OFlags::PATH, ResolveFlags::empty())?;
        let (root, real) = (path_of(&self.root)?, path_of(&opened)?);
        let real = real
            .strip_prefix(&root)
            .map_err(|_| ContextError::Outside)?;
        Ok((real.to_owned(), Status::of(&rustix::fs::fstat(&opened)?)))
    }

    /// Returns the sorted names of a directory with what they are. The path has no symbolic link.
    pub(crate) fn list(&self, path: &Path) -> Result<Vec<(OsString, Status)>, ContextError> {
        let directory = self.open_exact(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if entries.len() >= CONTEXT_FILES_MAX {
                return Err(ContextError::TooManyFiles(CONTEXT_FILES_MAX));
            }
            let stat = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            entries.push((name.to_owned(), Status::of(&stat)));
        }
        entries.sort_by(|left, right| left.0.cmp(&right.0));
        Ok(entries)
    }

    /// Opens a regular file and returns what it is now. The path has no symbolic link.
    pub(crate) fn open_file(&self, path: &Path) -> Result<(File, Status), ContextError> {
        // A pipe that took the file's place must not stop the build: without waiting, it is open at once and refused.
        let opened = self.open_exact(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let status = Status::of(&rustix::fs::fstat(&opened)?);
        match status.kind {
            Kind::File => Ok((File::from(opened), status)),
            _ => Err(ContextError::Changed),
        }
    }

    /// Returns where a symbolic link points, as it is written.
    pub(crate) fn read_link(&self, path: &Path) -> Result<PathBuf, ContextError> {
        let opened = self.open_exact(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let target = rustix::fs::readlinkat(&opened, "", Vec::new())?;
        Ok(PathBuf::from(OsStr::from_bytes(target.to_bytes())))
    }
}

/// Returns the path of what is open, as the kernel knows it now. Linux: `proc_pid_fd(5)`.
fn path_of(opened: &OwnedFd) -> Result<PathBuf, ContextError> {
    let link = format!("/proc/self/fd/{}", opened.as_raw_fd());
    std::fs::read_link(link).map_err(ContextError::Io)
}
