//! The host's own file system, asked what the kernel is asked: a directory of it stands for the top.

use std::collections::BTreeMap;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use minke_abi::linux::FileType;
use minke_kernel::descriptor::SeekTarget;
use minke_kernel::vfs::RenameFlags;
use minke_kernel::{Allocation, Errno, Result};
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, Gid, Mode, OFlags, SeekFrom, Stat, Uid, XattrFlags,
};

use crate::random::{Answer, Kind, OPENED_MAX, Seen, Step};

/// Bytes of the longest value and list of extended attributes that the steps make.
const EXTENDED_BYTES_MAX: usize = 4096;

/// A directory of the host and what is open in it.
pub(crate) struct Host {
    /// Where the directory is, without a slash at its end.
    path: String,
    root: OwnedFd,
    cwd: OwnedFd,
    opened: Vec<File>,
}

/// What the host answers to a call.
type Done<T> = rustix::io::Result<T>;

impl Host {
    /// Asks in `directory`, which is on a file system that keeps owners, devices and extended attributes.
    pub(crate) fn new(directory: &Path) -> Host {
        let open = || rustix::fs::open(directory, OFlags::DIRECTORY | OFlags::PATH, Mode::empty());
        Host {
            path: directory.to_str().unwrap().to_owned(),
            root: open().unwrap(),
            cwd: open().unwrap(),
            opened: Vec::new(),
        }
    }

    /// Whether this process may do there all that the steps do, which needs root.
    pub(crate) fn can_answer(&self) -> bool {
        let path = format!("{}/probe", self.path);
        let device = rustix::fs::makedev(1, 3);
        let kind = rustix::fs::FileType::CharacterDevice;
        let made = rustix::fs::mknodat(CWD, &path, kind, Mode::empty(), device);
        let root = self.path.as_str();
        let kept = rustix::fs::setxattr(root, "user.probe", b"x", XattrFlags::empty());
        let _ = rustix::fs::removexattr(root, "user.probe");
        let _ = std::fs::remove_file(path);
        made.is_ok() && kept.is_ok()
    }

    /// Returns where a path begins, and what follows.
    fn at<'a>(&self, path: &'a str) -> (BorrowedFd<'_>, &'a str) {
        match path.strip_prefix('/') {
            Some("") => (self.root.as_fd(), "."),
            Some(rest) => (self.root.as_fd(), rest),
            None => (self.cwd.as_fd(), path),
        }
    }

    /// Returns the same path for calls that begin nowhere.
    fn whole(&self, path: &str) -> String {
        let (at, rest) = self.at(path);
        format!("/proc/self/fd/{}/{rest}", at.as_raw_fd())
    }

    pub(crate) fn answer(&mut self, step: &Step) -> Result<Answer> {
        if let Step::ChangeDirectory(path) = step {
            let (at, path) = self.at(path);
            let flags = OFlags::DIRECTORY | OFlags::PATH;
            self.cwd = rustix::fs::openat(at, path, flags, Mode::empty()).map_err(errno)?;
            return Ok(Answer::Nothing);
        }
        match self.change(step) {
            Some(done) => done.map(|()| Answer::Nothing).map_err(errno),
            None => self.answer_of_open(step),
        }
    }

    /// Changes names and attributes; `None` for a step that does something else.
    fn change(&self, step: &Step) -> Option<Done<()>> {
        let done = match step {
            Step::Make(path, kind) => self.make(path, *kind),
            Step::Symlink(target, path) => {
                let (at, path) = self.at(path);
                let target = match target.starts_with('/') {
                    true => format!("{}{target}", self.path),
                    false => target.clone(),
                };
                rustix::fs::symlinkat(target, at, path)
            }
            Step::Link(old, new) => {
                let ((from, old), (to, new)) = (self.at(old), self.at(new));
                rustix::fs::linkat(from, old, to, new, AtFlags::empty())
            }
            Step::Unlink(path) => {
                let (at, path) = self.at(path);
                rustix::fs::unlinkat(at, path, AtFlags::empty())
            }
            Step::RemoveDirectory(path) => {
                let (at, path) = self.at(path);
                rustix::fs::unlinkat(at, path, AtFlags::REMOVEDIR)
            }
            Step::Rename(old, new, flags) => {
                let ((from, old), (to, new)) = (self.at(old), self.at(new));
                rustix::fs::renameat_with(from, old, to, new, rename_flags(*flags))
            }
            Step::Truncate(path, size) => self.truncate(path, *size),
            Step::Mode(path, mode) => {
                let (at, path) = self.at(path);
                rustix::fs::chmodat(at, path, Mode::from_raw_mode(*mode), AtFlags::empty())
            }
            Step::Owner(path, uid) => {
                let (at, path) = self.at(path);
                let uid = Some(Uid::from_raw(*uid));
                rustix::fs::chownat(at, path, uid, None::<Gid>, AtFlags::SYMLINK_NOFOLLOW)
            }
            Step::SetExtended(path, name, value) => {
                let value = &value[..value.len().min(500)];
                let path = self.whole(path);
                rustix::fs::setxattr(path, name.as_str(), value, XattrFlags::empty())
            }
            Step::RemoveExtended(path, name) => {
                rustix::fs::removexattr(self.whole(path), name.as_str())
            }
            _ => return None,
        };
        Some(done)
    }

    fn make(&self, path: &str, kind: Kind) -> Done<()> {
        let (at, path) = self.at(path);
        // The kernel's mask, whatever this process's is.
        let mode = Mode::from_raw_mode(0o755);
        let node = |kind, device| rustix::fs::mknodat(at, path, kind, mode, device);
        match kind {
            Kind::Regular => node(rustix::fs::FileType::RegularFile, 0),
            Kind::Directory => rustix::fs::mkdirat(at, path, mode),
            Kind::Fifo => node(rustix::fs::FileType::Fifo, 0),
            Kind::Device => node(
                rustix::fs::FileType::CharacterDevice,
                rustix::fs::makedev(1, 3),
            ),
        }
    }

    /// Does what `truncate(2)` does, which nothing offers for a path below a directory that is open.
    fn truncate(&self, path: &str, size: u64) -> Done<()> {
        let (at, name) = self.at(path);
        let stat = rustix::fs::statat(at, name, AtFlags::empty())?;
        if kind_of(&stat) == FileType::Directory {
            return Err(rustix::io::Errno::ISDIR);
        }
        rustix::fs::ftruncate(self.file(path, OFlags::WRONLY)?, size)
    }

    /// Opens a regular file; fifos would wait, and devices are the kernel's.
    fn file(&self, path: &str, flags: OFlags) -> Done<File> {
        let (at, path) = self.at(path);
        let found = rustix::fs::statat(at, path, AtFlags::empty());
        if found.is_ok_and(|stat| kind_of(&stat) != FileType::Regular) {
            return Err(rustix::io::Errno::INVAL);
        }
        let mode = Mode::from_raw_mode(0o644);
        rustix::fs::openat(at, path, flags | OFlags::CLOEXEC, mode).map(File::from)
    }

    fn answer_of_open(&mut self, step: &Step) -> Result<Answer> {
        let nothing = |()| Answer::Nothing;
        match step {
            Step::Write(path, offset, bytes) => {
                let file = self.file(path, OFlags::WRONLY | OFlags::CREATE);
                written(&file.map_err(errno)?, *offset, bytes)
            }
            Step::Append(path, bytes) => {
                let file = self.file(path, OFlags::WRONLY | OFlags::APPEND);
                let file = file.map_err(errno)?;
                rustix::io::write(&file, bytes).map_err(errno)?;
                let end = rustix::fs::seek(file, SeekFrom::Current(0));
                end.map(Answer::Number).map_err(errno)
            }
            Step::Allocate(path, offset, length, kind) => {
                let file = self.file(path, OFlags::WRONLY).map_err(errno)?;
                let mode = allocation_flags(*kind);
                let done = rustix::fs::fallocate(file, mode, *offset, *length);
                done.map(nothing).map_err(errno)
            }
            Step::ReadAll(path) => {
                let file = self.file(path, OFlags::RDONLY).map_err(errno)?;
                Ok(Answer::Bytes(content(&file)))
            }
            Step::Seek(path, target) => {
                let file = self.file(path, OFlags::RDONLY).map_err(errno)?;
                let SeekTarget::End(offset) = target else {
                    unreachable!("no other is made");
                };
                let end = rustix::fs::seek(file, SeekFrom::End(*offset));
                end.map(Answer::Number).map_err(errno)
            }
            Step::Open(path) => {
                let file = self.file(path, OFlags::RDWR).map_err(errno)?;
                if self.opened.len() < OPENED_MAX {
                    self.opened.push(file);
                }
                Ok(Answer::Nothing)
            }
            Step::CurrentDirectory => self.current_directory().map(Answer::Bytes),
            Step::List(path) => {
                let (at, path) = self.at(path);
                names(at, path).map(Answer::Names).map_err(errno)
            }
            _ => self.answer_of_opened(step),
        }
    }

    fn current_directory(&self) -> Result<Vec<u8>> {
        let link = format!("/proc/self/fd/{}", self.cwd.as_raw_fd());
        let path = std::fs::read_link(link).unwrap();
        let path = path.to_str().unwrap();
        if path.ends_with(" (deleted)") {
            return Err(Errno::ENOENT);
        }
        let rest = path.strip_prefix(&self.path).unwrap();
        Ok(if rest.is_empty() { "/" } else { rest }.as_bytes().to_vec())
    }

    fn answer_of_opened(&mut self, step: &Step) -> Result<Answer> {
        let (Step::ReadOpened(index, ..)
        | Step::WriteOpened(index, ..)
        | Step::CutOpened(index, _)
        | Step::StatOpened(index)
        | Step::Close(index)) = step
        else {
            unreachable!("the others were answered")
        };
        let Some(file) = self.opened.get(*index) else {
            return Ok(Answer::Nothing);
        };
        match step {
            Step::ReadOpened(_, offset, length) => {
                let mut buffer = vec![0; *length];
                let count = file.read_at(&mut buffer, *offset).unwrap();
                buffer.truncate(count);
                Ok(Answer::Bytes(buffer))
            }
            Step::WriteOpened(_, offset, bytes) => written(file, *offset, bytes),
            Step::CutOpened(_, size) => {
                let done = rustix::fs::ftruncate(file, *size);
                done.map(|()| Answer::Nothing).map_err(errno)
            }
            Step::StatOpened(_) => Ok(self.attributes(&rustix::fs::fstat(file).unwrap())),
            _ => {
                self.opened.swap_remove(*index);
                Ok(Answer::Nothing)
            }
        }
    }

    fn attributes(&self, stat: &Stat) -> Answer {
        let kind = kind_of(stat);
        let size = match kind {
            FileType::Directory => 0,
            _ => stat.st_size as u64,
        };
        let mode = stat.st_mode & 0o7777;
        Answer::Attributes(kind, mode, stat.st_nlink as u32, stat.st_uid, size)
    }

    /// All that can be seen from the top, by path.
    pub(crate) fn tree(&self) -> BTreeMap<String, Seen> {
        let mut tree = BTreeMap::new();
        let mut pending = vec![String::new()];
        while let Some(directory) = pending.pop() {
            let found = names(CWD, &format!("{}{directory}", self.path));
            for name in found.unwrap() {
                let path = format!("{directory}/{name}");
                let seen = self.seen(&format!("{}{path}", self.path));
                if matches!(seen.0, Answer::Attributes(FileType::Directory, ..)) {
                    pending.push(path.clone());
                }
                tree.insert(path, seen);
            }
        }
        tree
    }

    /// What can be seen of a path of the host.
    fn seen(&self, path: &str) -> Seen {
        let stat = rustix::fs::lstat(path).unwrap();
        let mut attributes = self.attributes(&stat);
        let content = match kind_of(&stat) {
            FileType::Regular => content(&File::open(path).unwrap()),
            FileType::Symlink => {
                let target = std::fs::read_link(path).unwrap();
                let target = target.to_str().unwrap();
                let target = target.strip_prefix(&self.path).unwrap_or(target);
                if let Answer::Attributes(.., size) = &mut attributes {
                    *size = target.len() as u64;
                }
                target.as_bytes().to_vec()
            }
            FileType::Directory => Vec::new(),
            _ => stat.st_rdev.to_le_bytes().to_vec(),
        };
        (attributes, content, extended(path))
    }
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

fn kind_of(stat: &Stat) -> FileType {
    match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::RegularFile => FileType::Regular,
        rustix::fs::FileType::Directory => FileType::Directory,
        rustix::fs::FileType::Symlink => FileType::Symlink,
        rustix::fs::FileType::Fifo => FileType::Fifo,
        rustix::fs::FileType::CharacterDevice => FileType::CharacterDevice,
        other => unreachable!("no step makes a {other:?}"),
    }
}

fn rename_flags(flags: RenameFlags) -> rustix::fs::RenameFlags {
    rustix::fs::RenameFlags::from_bits(flags.bits()).unwrap()
}

fn allocation_flags(kind: Allocation) -> FallocateFlags {
    match kind {
        Allocation::Extend => FallocateFlags::empty(),
        Allocation::KeepSize => FallocateFlags::KEEP_SIZE,
        Allocation::Hole => FallocateFlags::KEEP_SIZE | FallocateFlags::PUNCH_HOLE,
    }
}

fn written(file: &File, offset: u64, bytes: &[u8]) -> Result<Answer> {
    let count = rustix::io::pwrite(file, bytes, offset).map_err(errno)?;
    Ok(Answer::Number(count as u64))
}

fn content(file: &File) -> Vec<u8> {
    let mut content = vec![0; rustix::fs::fstat(file).unwrap().st_size as usize];
    file.read_exact_at(&mut content, 0).unwrap();
    content
}

/// Names in a directory, in order.
fn names(at: BorrowedFd<'_>, path: &str) -> Done<Vec<String>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(at, path, flags, Mode::empty())?;
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = rustix::fs::RawDir::new(directory, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        names.push(entry?.file_name().to_str().unwrap().to_owned());
    }
    names.retain(|name| name != "." && name != "..");
    names.sort();
    Ok(names)
}

/// Extended attributes of users, by name.
fn extended(path: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut list = vec![0; EXTENDED_BYTES_MAX];
    let length = rustix::fs::llistxattr(path, &mut list).unwrap();
    let names = list[..length].split(|byte| *byte == 0);
    let mut found: Vec<_> = names
        .filter(|name| name.starts_with(b"user."))
        .map(|name| {
            let mut value = vec![0; EXTENDED_BYTES_MAX];
            let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
            value.truncate(length);
            (name.to_vec(), value)
        })
        .collect();
    found.sort();
    found
}
