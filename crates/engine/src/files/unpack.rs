//! A tar as files of the host.
//!
//! The tar is a stranger's. Its names are taken below one directory without a link on the way (`openat2`), whoever made the link: so
//! nothing is written elsewhere. Set-id bits go, unless owners are kept: a file of the container's is not to act as who copied it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use minke_archive::{Change, Content, Member, MemberKind, Modified, Reader, Whiteouts};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, Uid,
};
use rustix::io::Errno;

use super::{FilesError, Owners};

/// Bounds the files of one tar, whose directories' times are set last.
const FILES_MAX: usize = 4 << 20;

/// Bytes of a file that are held at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Makes the members of a tar below a directory of the host.
pub(crate) fn unpack(
    source: &mut dyn Read,
    directory: &Path,
    owners: Owners,
) -> Result<(), FilesError> {
    let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::open(directory, flags, Mode::empty())
        .map_err(|errno| FilesError::local("open", directory)(errno.into()))?;
    let mut unpacking = Unpacking {
        root,
        shown: directory,
        owners,
        piece: vec![0; PIECE_BYTES],
        directories: Vec::new(),
    };
    let mut reader = Reader::new(source, Whiteouts::Keep);
    let mut count = 0;
    while let Some(change) = reader.next_change().map_err(FilesError::Archive)? {
        count += 1;
        if count > FILES_MAX {
            return Err(FilesError::TooManyFiles { max: FILES_MAX });
        }
        if let Change::Add(member) = change {
            unpacking.add(&member, &mut reader)?;
        }
    }
    unpacking.finish()
}

struct Unpacking<'a> {
    root: OwnedFd,
    shown: &'a Path,
    owners: Owners,
    piece: Vec<u8>,
    /// Directories that get their mode and times when all is in them.
    directories: Vec<(PathBuf, u32, Modified)>,
}

impl Unpacking<'_> {
    fn add(
        &mut self,
        member: &Member<Content>,
        reader: &mut Reader<impl Read>,
    ) -> Result<(), FilesError> {
        let path = below(&member.path)?;
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            // The directory itself, which stays as it is.
            return Ok(());
        };
        let made = match member.kind {
            MemberKind::Directory => self.make_directory(&path, &name, member),
            _ => self.make(&path, &name, member, reader),
        };
        made.map_err(|error| match error {
            Failure::Files(error) => error,
            Failure::Io(error) => FilesError::local("write", &self.shown.join(&path))(error),
        })
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let flags = flags | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve)
    }

    /// Opens the directory of a member, and makes what a tar has left out on the way.
    fn parent(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::PATH;
        let parent = path.parent().unwrap_or(Path::new(""));
        match self.open(parent, flags) {
            Err(Errno::NOENT) => {}
            opened => return opened,
        }
        let mut made = PathBuf::new();
        for name in parent {
            let above = self.open(&made, flags)?;
            match rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => made.push(name),
                Err(errno) => return Err(errno),
            }
        }
        self.open(parent, flags)
    }

    fn make_directory(
        &mut self,
        path: &Path,
        name: &OsStr,
        member: &Member<Content>,
    ) -> Result<(), Failure> {
        let parent = self.parent(path)?;
        match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) if kind_at(&parent, name)? == Some(FileType::Directory) => {}
            Err(Errno::EXIST) => {
                return Err(FilesError::FileInTheWay(self.shown.join(path)).into());
            }
            Err(errno) => return Err(errno.into()),
        }
        self.own(&parent, name, member)?;
        let mode = self.mode(member);
        self.directories
            .push((path.to_path_buf(), mode, member.modified));
        Ok(())
    }

    fn make(
        &mut self,
        path: &Path,
        name: &OsStr,
        member: &Member<Content>,
        reader: &mut Reader<impl Read>,
    ) -> Result<(), Failure> {
        let parent = self.parent(path)?;
        match kind_at(&parent, name)? {
            None => {}
            Some(FileType::Directory) => {
                return Err(FilesError::DirectoryInTheWay(self.shown.join(path)).into());
            }
            Some(_) => rustix::fs::unlinkat(&parent, name, AtFlags::empty())?,
        }
        let special = |kind, major, minor| {
            let device = rustix::fs::makedev(major, minor);
            let mode = Mode::from_raw_mode(self.mode(member));
            rustix::fs::mknodat(&parent, name, kind, mode, device)
        };
        match &member.kind {
            MemberKind::Regular(content) => {
                return self.make_file((&parent, name), member, content, reader);
            }
            MemberKind::HardLink(target) => {
                let target = below(target)?;
                let first = target.file_name().unwrap_or_default();
                let from = self.parent(&target)?;
                rustix::fs::linkat(from, first, &parent, name, AtFlags::empty())?;
                return Ok(());
            }
            MemberKind::Symlink(target) => {
                rustix::fs::symlinkat(OsStr::from_bytes(target), &parent, name)?;
            }
            MemberKind::Fifo => special(FileType::Fifo, 0, 0)?,
            MemberKind::CharacterDevice { major, minor } => {
                special(FileType::CharacterDevice, *major, *minor)?;
            }
            MemberKind::BlockDevice { major, minor } => {
                special(FileType::BlockDevice, *major, *minor)?;
            }
            MemberKind::Directory => {}
        }
        self.own(&parent, name, member)?;
        let times = times(member.modified);
        Ok(rustix::fs::utimensat(
            &parent,
            name,
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    fn make_file(
        &mut self,
        (parent, name): (&OwnedFd, &OsStr),
        member: &Member<Content>,
        content: &Content,
        reader: &mut Reader<impl Read>,
    ) -> Result<(), Failure> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        loop {
            let read = reader.read_content(&mut self.piece);
            let (offset, count) = read.map_err(FilesError::Archive)?;
            if count == 0 {
                break;
            }
            if content.segments.is_some() {
                io::Seek::seek(&mut file, io::SeekFrom::Start(offset))?;
            }
            file.write_all(&self.piece[..count])?;
        }
        if content.segments.is_some() {
            file.set_len(content.size)?;
        }
        self.own(parent, name, member)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(self.mode(member)))?;
        Ok(rustix::fs::futimens(&file, &times(member.modified))?)
    }

    fn mode(&self, member: &Member<Content>) -> u32 {
        match self.owners {
            Owners::Kept => member.mode & 0o7777,
            Owners::Root => member.mode & 0o1777,
        }
    }

    /// Gives a file to whom the tar says, where that is asked for and allowed.
    fn own(&self, parent: impl AsFd, name: &OsStr, member: &Member<Content>) -> Result<(), Errno> {
        if self.owners == Owners::Root {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        match rustix::fs::chownat(parent, name, Some(uid), Some(gid), flags) {
            Err(Errno::PERM) => Ok(()),
            owned => owned,
        }
    }

    /// Finishes the directories, the deepest first.
    fn finish(self) -> Result<(), FilesError> {
        for (path, mode, modified) in self.directories.iter().rev() {
            let flags = OFlags::DIRECTORY | OFlags::RDONLY;
            let finished = self.open(path, flags).and_then(|directory| {
                rustix::fs::futimens(&directory, &times(*modified))?;
                rustix::fs::fchmod(&directory, Mode::from_raw_mode(*mode))
            });
            let failed =
                |errno: Errno| FilesError::local("finish", &self.shown.join(path))(errno.into());
            finished.map_err(failed)?;
        }
        Ok(())
    }
}

/// A failure of a member: what it is called comes later.
enum Failure {
    Files(FilesError),
    Io(io::Error),
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Failure {
        Failure::Files(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure::Io(errno.into())
    }
}

/// Returns a member's path below the directory; an absolute one is taken for one below it, as by tar.
fn below(path: &[u8]) -> Result<PathBuf, FilesError> {
    let names = path.split(|byte| *byte == b'/');
    let names: Vec<&[u8]> = names.filter(|it| !it.is_empty() && *it != b".").collect();
    match names.contains(&&b".."[..]) {
        true => Err(FilesError::Outside(
            String::from_utf8_lossy(path).into_owned(),
        )),
        false => Ok(names.into_iter().map(OsStr::from_bytes).collect()),
    }
}

/// Returns what has a name in a directory, if anything has.
fn kind_at(parent: &OwnedFd, name: &OsStr) -> Result<Option<FileType>, Errno> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(status) => Ok(Some(FileType::from_raw_mode(status.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn times(modified: Modified) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: modified.seconds,
            tv_nsec: i64::from(modified.nanoseconds),
        },
    }
}
