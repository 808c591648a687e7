//! A tree of a file system, one entry after the other: a directory before what is in it, names in the order of their bytes.

use std::collections::{HashMap, HashSet};

use minke_archive::{Content, Extended, Member, MemberKind, Modified, Segment};
use minke_ext4::{Device, Error, FileSystem, FileType, InodeNumber, Metadata};

use super::shown;

/// Name at the top of every file system, for what a repair finds.
const LOST_AND_FOUND: &[u8] = b"lost+found";
/// Pieces of data of a file beyond which its holes are not told.
const SEGMENTS_MAX: usize = 1 << 18;

/// What can go wrong on the way.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    #[error("`{path}`: {source}")]
    Disk { path: String, source: Error },
    #[error("`{path}`: a directory that has two names")]
    Loop { path: String },
    #[error("`{path}`: a name that no file may have")]
    BadName { path: String },
}

/// An entry of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    pub inode: InodeNumber,
    /// Its path is relative to the top, whose own is empty. A file's content has its holes. Of the names of a file, the first has the
    /// content, and the others are hard links to it.
    pub member: Member<Content>,
}

/// A directory whose names are being gone through.
struct Frame {
    path: Vec<u8>,
    /// What is left, the next one at the end.
    names: Vec<(Vec<u8>, InodeNumber)>,
}

/// The way through a tree. Sockets are passed, as `docker export` does, and an empty `lost+found` at the top of the file system.
pub struct Walk<'s, D> {
    system: &'s FileSystem<D>,
    top: Option<InodeNumber>,
    frames: Vec<Frame>,
    /// Directories that were seen: bounds what a broken image with a loop can make of itself.
    seen: HashSet<InodeNumber>,
    /// Files with names that were not seen yet: the path of the first, and how many are left.
    linked: HashMap<InodeNumber, (Vec<u8>, u32)>,
}

impl<'s, D: Device> Walk<'s, D> {
    /// Begins with a directory, or the one file that the tree is.
    pub fn new(system: &'s FileSystem<D>, top: InodeNumber) -> Walk<'s, D> {
        Walk {
            system,
            top: Some(top),
            frames: Vec::new(),
            seen: HashSet::new(),
            linked: HashMap::new(),
        }
    }

    /// Returns the next entry; `None` at the end.
    ///
    /// # Errors
    /// [`WalkError`]; then the way is at its end.
    pub fn next_entry(&mut self) -> Result<Option<Walked>, WalkError> {
        if let Some(top) = self.top.take() {
            return self.visit(Vec::new(), top);
        }
        while let Some(frame) = self.frames.last_mut() {
            let Some((name, inode)) = frame.names.pop() else {
                self.frames.pop();
                continue;
            };
            let path = match frame.path.is_empty() {
                true => name,
                false => [&frame.path, &b"/"[..], &name].concat(),
            };
            if let Some(walked) = self.visit(path, inode)? {
                return Ok(Some(walked));
            }
        }
        Ok(None)
    }

    /// Makes an entry; `None` for what is passed.
    fn visit(&mut self, path: Vec<u8>, inode: InodeNumber) -> Result<Option<Walked>, WalkError> {
        let on = |source| WalkError::Disk {
            path: shown(&path),
            source,
        };
        let metadata = self.system.metadata(inode).map_err(on)?;
        if metadata.file_type == FileType::Socket {
            return Ok(None);
        }
        if metadata.file_type == FileType::Directory && !self.enter(&path, inode)? {
            return Ok(None);
        }
        let kind = match self.first_name(&path, &metadata) {
            Some(first) => MemberKind::HardLink(first),
            None => self.kind(&metadata).map_err(on)?,
        };
        let extended = self.extended(inode).map_err(on)?;
        let member = Member {
            path,
            kind,
            uid: metadata.uid,
            gid: metadata.gid,
            mode: metadata.mode.into(),
            modified: Modified {
                seconds: metadata.modified.seconds,
                nanoseconds: metadata.modified.nanoseconds,
            },
            extended,
        };
        Ok(Some(Walked { inode, member }))
    }

    /// Begins with a directory's names; returns whether it is shown.
    fn enter(&mut self, path: &[u8], inode: InodeNumber) -> Result<bool, WalkError> {
        if !self.seen.insert(inode) {
            return Err(WalkError::Loop { path: shown(path) });
        }
        let mut names = Vec::new();
        let listed = self.system.read_directory(inode, 0, &mut |entry| {
            names.push((entry.name.clone(), entry.inode));
            true
        });
        listed.map_err(|source| WalkError::Disk {
            path: shown(path),
            source,
        })?;
        let is_top_of_all = self.seen.contains(&InodeNumber::ROOT);
        if path == LOST_AND_FOUND && is_top_of_all && names.is_empty() {
            return Ok(false);
        }
        // Nobody who unpacks this may be led elsewhere by a broken image.
        let is_bad = |name: &[u8]| {
            matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.contains(&0)
        };
        if names.iter().any(|(name, _)| is_bad(name)) {
            return Err(WalkError::BadName { path: shown(path) });
        }
        names.sort_unstable_by(|one, other| other.cmp(one));
        let path = path.to_vec();
        self.frames.push(Frame { path, names });
        Ok(true)
    }

    /// Returns the path of a file that was there already.
    fn first_name(&mut self, path: &[u8], metadata: &Metadata) -> Option<Vec<u8>> {
        if metadata.links < 2 || metadata.file_type == FileType::Directory {
            return None;
        }
        let Some((first, left)) = self.linked.get_mut(&metadata.inode) else {
            let first = (path.to_vec(), metadata.links - 1);
            self.linked.insert(metadata.inode, first);
            return None;
        };
        *left -= 1;
        if *left > 0 {
            return Some(first.clone());
        }
        self.linked.remove(&metadata.inode).map(|(first, _)| first)
    }

    fn kind(&self, metadata: &Metadata) -> Result<MemberKind<Content>, Error> {
        let (major, minor) = metadata.device;
        Ok(match metadata.file_type {
            FileType::Regular => MemberKind::Regular(self.content(metadata)?),
            FileType::Directory => MemberKind::Directory,
            FileType::Symlink => MemberKind::Symlink(self.system.read_link(metadata.inode)?),
            FileType::CharacterDevice => MemberKind::CharacterDevice { major, minor },
            FileType::BlockDevice => MemberKind::BlockDevice { major, minor },
            FileType::Fifo | FileType::Socket => MemberKind::Fifo,
        })
    }

    fn content(&self, metadata: &Metadata) -> Result<Content, Error> {
        let size = metadata.size;
        let mut segments = Vec::new();
        let mut at = 0;
        while at < size {
            let Some(data) = self.system.next_data(metadata.inode, at)? else {
                // As GNU tar says that a file ends with a hole.
                segments.push(Segment {
                    offset: size,
                    length: 0,
                });
                break;
            };
            at = data.end;
            segments.push(Segment {
                offset: data.start,
                length: data.end - data.start,
            });
        }
        let is_whole = match &segments[..] {
            [] => true,
            [only] => only.length == size,
            more => more.len() > SEGMENTS_MAX,
        };
        Ok(match is_whole {
            true => Content::whole(size),
            false => Content {
                size,
                segments: Some(segments),
            },
        })
    }

    /// Returns the extended attributes by their names.
    fn extended(&self, inode: InodeNumber) -> Result<Extended, Error> {
        let mut names = self.system.extended_attributes(inode)?;
        names.sort_unstable();
        let pairs = names.into_iter().map(|name| {
            let value = self.system.extended_attribute(inode, &name)?;
            Ok((name, value))
        });
        pairs.collect()
    }
}
