//! Exporting into a directory: `type=local`.
//!
//! Hard links and extended attributes are kept where the destination takes them; where it does not, a file is copied once
//! for each of its names, and attributes are left out. BuildKit: `fsutil`, `DiskWriter`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use minke_image::tree::{FileId, Node, NodeKind};
use minke_image::{Attributes, EntryMetadata};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::{ExportError, reader_of};
use crate::origin::TreeOrigin;

/// Writes all files into a directory, beside what is there. Nothing is written through a symbolic link, whoever made it.
pub(super) fn write(origin: &TreeOrigin, path: &Path) -> Result<(), ExportError> {
    fs::create_dir_all(path).map_err(ExportError::at(path))?;
    let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| ExportError::at(path)(errno.into()))?;
    let directory = Directory {
        root,
        is_owner_kept: rustix::process::geteuid().is_root(),
    };
    let all = || origin.tree.below(Path::new(""));
    let mut first: HashMap<FileId, &Path> = HashMap::new();
    for (below, node) in all() {
        let id = origin.tree.linked(node);
        let before = id.and_then(|id| first.get(&id).copied());
        let written = match before {
            Some(before) => directory.link(origin, (below, node), before),
            None => directory.write(origin, below, node),
        };
        written.map_err(ExportError::at(&path.join(below)))?;
        first.extend(id.map(|id| (id, below)));
    }
    // Last, for their times are of when they were last written to, and some may not be written to.
    let directories = all().filter(|(_, node)| node.kind == NodeKind::Directory);
    for (below, node) in directories.collect::<Vec<_>>().into_iter().rev() {
        let finished = directory.finish(below, node);
        finished.map_err(|errno| ExportError::at(&path.join(below))(errno.into()))?;
    }
    Ok(())
}

/// A directory that is written to.
struct Directory {
    root: OwnedFd,
    is_owner_kept: bool,
}

impl Directory {
    fn open(&self, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, mode, resolve)
    }

    fn parent(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let parent = path.parent().unwrap_or(Path::new(""));
        self.open(parent, OFlags::DIRECTORY | OFlags::PATH, Mode::empty())
    }

    /// Gives a file that was written one more name, or its content once more where it can have only one.
    fn link(
        &self,
        origin: &TreeOrigin,
        (path, node): (&Path, &Node),
        before: &Path,
    ) -> io::Result<()> {
        let (name, parent) = (path.file_name().unwrap_or_default(), self.parent(path)?);
        remove(&parent, name)?;
        let first = before.file_name().unwrap_or_default();
        let linked =
            rustix::fs::linkat(self.parent(before)?, first, &parent, name, AtFlags::empty());
        // Linux: `link(2)`. File systems without links, or with no more of them.
        match linked {
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK) => self.write(origin, path, node),
            result => Ok(result?),
        }
    }

    fn write(&self, origin: &TreeOrigin, path: &Path, node: &Node) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        let parent = self.parent(path)?;
        match &node.kind {
            NodeKind::Directory => match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
                Err(Errno::EXIST) | Ok(()) => Ok(()),
                Err(errno) => Err(errno.into()),
            },
            NodeKind::Special => Ok(()),
            NodeKind::Symlink { target } => {
                remove(&parent, name)?;
                rustix::fs::symlinkat(target, &parent, name)?;
                if self.is_owner_kept {
                    let (uid, gid) = owner(&node.metadata);
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    rustix::fs::chownat(&parent, name, Some(uid), Some(gid), flags)?;
                }
                Ok(())
            }
            NodeKind::File { .. } => {
                remove(&parent, name)?;
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
                let mut file = File::from(self.open(path, flags, Mode::RUSR | Mode::WUSR)?);
                io::copy(&mut reader_of(origin, node), &mut file)?;
                Ok(self.set(&file.into(), node)?)
            }
        }
    }

    fn finish(&self, path: &Path, node: &Node) -> Result<(), Errno> {
        let directory = self.open(path, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty())?;
        self.set(&directory, node)
    }

    fn set(&self, file: &OwnedFd, node: &Node) -> Result<(), Errno> {
        let metadata = &node.metadata;
        if self.is_owner_kept {
            let (uid, gid) = owner(metadata);
            rustix::fs::fchown(file, Some(uid), Some(gid))?;
        }
        // After the owner, whose change takes capabilities away, and before a mode that may forbid it.
        if let Some(attributes) = &node.attributes {
            set_attributes(file, attributes)?;
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(metadata.mode))?;
        let time = Timespec {
            tv_sec: i64::try_from(metadata.mtime_s).unwrap_or(i64::MAX),
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::futimens(file, &times)
    }
}

/// Sets the extended attributes that a file system takes from this process.
fn set_attributes(file: &OwnedFd, attributes: &Attributes) -> Result<(), Errno> {
    for (name, value) in attributes {
        let set = rustix::fs::fsetxattr(file, name.as_str(), value, XattrFlags::empty());
        match set {
            // Linux: `setxattr(2)`. A name space that it does not know or that is not ours, or more than it has room for.
            Ok(())
            | Err(
                Errno::OPNOTSUPP
                | Errno::PERM
                | Errno::ACCESS
                | Errno::INVAL
                | Errno::RANGE
                | Errno::TOOBIG
                | Errno::NOSPC,
            ) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn owner(metadata: &EntryMetadata) -> (Uid, Gid) {
    (Uid::from_raw(metadata.uid), Gid::from_raw(metadata.gid))
}

/// Makes way for a file.
fn remove(parent: &OwnedFd, name: &std::ffi::OsStr) -> Result<(), Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}
