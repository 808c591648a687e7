//! From a disk to the host. The disk may be a stranger's: nothing is followed or replaced but what the user named.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use minke_disk::FileDevice;
use minke_disk::tree::{Content, Member, MemberKind, Segment, Walk, Walked};
use minke_ext4::{FileSystem, FileType};
use rustix::fs::{
    AtFlags, CWD, FileType as HostType, Mode, Timespec, Timestamps, makedev, mknodat, utimensat,
};

use super::{CopyOptions, Depth, Owners, directory_refused, is_content};
use crate::commands::disk::open::{LastLink, failed, open, resolve};
use crate::report::Report;

/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 1 << 20;
/// Mode of a file or directory until it is whole.
const UNFINISHED_MODE: u32 = 0o700;

/// Copies a file or tree of a disk to a path of the host.
pub(super) fn copy(
    disk: &Path,
    path: &str,
    target: &Path,
    options: CopyOptions,
) -> Result<(), Report> {
    let system = open(disk)?;
    let top = resolve(&system, path, LastLink::Keep)?;
    let metadata = system.metadata(top);
    let metadata = metadata.map_err(|error| failed(path, &error))?;
    if metadata.file_type == FileType::Directory && options.depth == Depth::Files {
        return Err(directory_refused(path));
    }
    let mut copy = Copy {
        system: &system,
        target: target_of(path, target),
        options,
        directories: Vec::new(),
        piece: vec![0; PIECE_BYTES],
    };
    let mut walk = Walk::new(&system, top);
    while let Some(walked) = walk.next_entry().map_err(|error| broken(disk, &error))? {
        copy.entry(&walked)?;
    }
    copy.finish_directories()
}

/// Returns the path that the copy gets.
fn target_of(path: &str, target: &Path) -> PathBuf {
    let name = path.trim_end_matches('/').rsplit('/').next();
    match name {
        Some(name) if target.is_dir() && !is_content(path) => target.join(name),
        _ => target.to_owned(),
    }
}

/// A copy on its way.
struct Copy<'s> {
    system: &'s FileSystem<FileDevice>,
    target: PathBuf,
    options: CopyOptions,
    /// Directories that are to have their modes and times when all is in them.
    directories: Vec<Member<Content>>,
    piece: Vec<u8>,
}

impl Copy<'_> {
    fn entry(&mut self, walked: &Walked) -> Result<(), Report> {
        let path = self.host_path(&walked.member.path);
        let made = self.make(walked, &path);
        made.map_err(|error| {
            Report::new(
                format!("cannot write `{}`: {error}", path.display()),
                match walked.member.kind {
                    MemberKind::CharacterDevice { .. } | MemberKind::BlockDevice { .. } => {
                        "only root may make devices; `minke disk export-tar` keeps them"
                    }
                    _ => "name a target that you may write",
                },
            )
        })
    }

    fn host_path(&self, path: &[u8]) -> PathBuf {
        match path.is_empty() {
            true => self.target.clone(),
            false => self.target.join(OsStr::from_bytes(path)),
        }
    }

    fn make(&mut self, walked: &Walked, path: &Path) -> io::Result<()> {
        let member = &walked.member;
        if member.kind == MemberKind::Directory {
            make_directory(path)?;
            self.directories.push(member.clone());
            return Ok(());
        }
        remove_file(path)?;
        match &member.kind {
            MemberKind::Regular(content) => self.make_file(walked, content, path)?,
            MemberKind::HardLink(first) => return fs::hard_link(self.host_path(first), path),
            MemberKind::Symlink(target) => symlink(OsStr::from_bytes(target), path)?,
            MemberKind::Directory => {}
            MemberKind::Fifo => make_node(path, HostType::Fifo, 0)?,
            MemberKind::CharacterDevice { major, minor } => {
                make_node(path, HostType::CharacterDevice, makedev(*major, *minor))?;
            }
            MemberKind::BlockDevice { major, minor } => {
                make_node(path, HostType::BlockDevice, makedev(*major, *minor))?;
            }
        }
        self.finish(member, path)
    }

    fn make_file(&mut self, walked: &Walked, content: &Content, path: &Path) -> io::Result<()> {
        let mut options = File::options();
        options.write(true).create_new(true).mode(UNFINISHED_MODE);
        let mut file = options.open(path)?;
        let whole = [Segment {
            offset: 0,
            length: content.size,
        }];
        for segment in content.segments.as_deref().unwrap_or(&whole) {
            io::Seek::seek(&mut file, io::SeekFrom::Start(segment.offset))?;
            let (mut at, end) = (segment.offset, segment.offset + segment.length);
            while at < end {
                let count = (end - at).min(PIECE_BYTES as u64) as usize;
                let read = self.system.read(walked.inode, at, &mut self.piece[..count]);
                let read = read.map_err(io::Error::other)?;
                if read == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                file.write_all(&self.piece[..read])?;
                at += read as u64;
            }
        }
        file.set_len(content.size)
    }

    /// Gives what was made its owner, mode and time.
    fn finish(&self, member: &Member<Content>, path: &Path) -> io::Result<()> {
        // Who does not keep owners must not make his own set-user-id programs of theirs.
        let mut kept = 0o777;
        if self.options.owners == Owners::Keep {
            lchown(path, Some(member.uid), Some(member.gid))?;
            kept = 0o7777;
        }
        if !matches!(member.kind, MemberKind::Symlink(_)) {
            fs::set_permissions(path, Permissions::from_mode(member.mode & kept))?;
        }
        let time = Timespec {
            tv_sec: member.modified.seconds,
            tv_nsec: member.modified.nanoseconds.into(),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn finish_directories(self) -> Result<(), Report> {
        for member in self.directories.iter().rev() {
            let path = self.host_path(&member.path);
            self.finish(member, &path).map_err(|error| {
                Report::new(
                    format!("cannot write `{}`: {error}", path.display()),
                    "name a target that you may write",
                )
            })?;
        }
        Ok(())
    }
}

/// Makes a directory, unless it is there: itself, not a link to one.
fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            match path.symlink_metadata()?.is_dir() {
                true => Ok(()),
                false => Err(error),
            }
        }
        made => made,
    }
}

/// Removes the file that is to be replaced, if there is one.
fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn make_node(path: &Path, kind: HostType, device: u64) -> io::Result<()> {
    Ok(mknodat(CWD, path, kind, Mode::RUSR, device)?)
}

fn broken(disk: &Path, error: &minke_disk::tree::WalkError) -> Report {
    Report::new(
        format!("cannot read the disk: {error}"),
        format!("`minke disk check {}` tells what is wrong", disk.display()),
    )
}
