//! Paths of entries, taken apart in the file system: `..` has no business there, symbolic links are followed inside the tree.

use minke_archive::Modified;
use minke_ext4::{Device, Error, FileType, InodeNumber, NewInode, Ownership};

use super::import::{ImportError, Importer};
use super::{shown, timestamp};

/// Longest component and path, and most symbolic links on one way. Linux: `NAME_MAX`, `PATH_MAX`, `MAXSYMLINKS`.
const NAME_MAX: usize = 255;
const PATH_MAX: usize = 4096;
const SYMLINKS_MAX: usize = 40;
/// A directory that no entry tells of.
const IMPLICIT_DIRECTORY: Ownership = Ownership {
    uid: 0,
    gid: 0,
    mode: 0o755,
};

/// One component of a way.
enum Step {
    Into(InodeNumber),
    Link {
        /// The target's components, last first.
        target: Vec<Vec<u8>>,
        from: InodeNumber,
    },
}

impl<D: Device> Importer<'_, D> {
    /// Returns the directory and the name that a path ends with; `None` for the top itself. Directories on the way that are missing are
    /// made.
    ///
    /// Linux: `openat2(2)`, `RESOLVE_IN_ROOT`.
    pub(super) fn place_of<'p>(
        &mut self,
        path: &'p [u8],
    ) -> Result<Option<(InodeNumber, &'p [u8])>, ImportError> {
        check_path(path)?;
        let mut names = path.split(|byte| *byte == b'/').filter(is_name);
        let Some(last) = names.next_back() else {
            return Ok(None);
        };
        let mut directory = self.top;
        let mut depth = 0;
        let mut names = names.peekable();
        // Entries follow their neighbours mostly: the way to the last one's directory is known.
        while let (Some(name), Some((known, inode))) = (names.peek(), self.way.get(depth)) {
            if *name != known {
                break;
            }
            directory = *inode;
            depth += 1;
            names.next();
        }
        self.way.truncate(depth);
        let rest: Vec<Vec<u8>> = names.rev().map(<[u8]>::to_vec).collect();
        let directory = self.follow(directory, rest, path)?;
        Ok(Some((directory, last)))
    }

    /// Goes on to the directory that `pending` leads to, the next component at the end.
    fn follow(
        &mut self,
        mut directory: InodeNumber,
        mut pending: Vec<Vec<u8>>,
        path: &[u8],
    ) -> Result<InodeNumber, ImportError> {
        let mut links_left = SYMLINKS_MAX;
        self.charge(pending.len() + 1)?;
        while let Some(name) = pending.pop() {
            match self.step(directory, &name, path)? {
                Step::Into(inode) => {
                    directory = inode;
                    // Behind a link the names are not those of the path.
                    if links_left == SYMLINKS_MAX {
                        self.way.push((name, inode));
                    }
                }
                Step::Link { target, from } => {
                    let too_many = || ImportError::TooManyLinks { path: shown(path) };
                    links_left = links_left.checked_sub(1).ok_or_else(too_many)?;
                    self.charge(target.len())?;
                    pending.extend(target);
                    directory = from;
                }
            }
        }
        Ok(directory)
    }

    fn step(
        &mut self,
        directory: InodeNumber,
        name: &[u8],
        path: &[u8],
    ) -> Result<Step, ImportError> {
        if name == b".." {
            let parent = match directory == self.top {
                true => Ok(directory),
                false => self.system.parent(directory),
            };
            return Ok(Step::Into(self.on(path, parent)?));
        }
        let Some((inode, kind)) = self.find(directory, name, path)? else {
            let inode = self.directory_at(directory, name, path)?;
            return Ok(Step::Into(inode));
        };
        match kind {
            FileType::Directory => Ok(Step::Into(inode)),
            FileType::Symlink => {
                let target = self.on(path, self.system.read_link(inode))?;
                check_text(&target)?;
                let names = target.split(|byte| *byte == b'/').filter(is_name);
                Ok(Step::Link {
                    target: names.rev().map(<[u8]>::to_vec).collect(),
                    from: if target.starts_with(b"/") {
                        self.top
                    } else {
                        directory
                    },
                })
            }
            // A lower layer's file makes room for this layer's directory, as when unpacking.
            _ if self.is_lower(directory, name) => {
                let inode = self.directory_at(directory, name, path)?;
                Ok(Step::Into(inode))
            }
            _ => Err(ImportError::NotDirectory { path: shown(path) }),
        }
    }

    /// Returns what a name leads to.
    pub(super) fn find(
        &self,
        directory: InodeNumber,
        name: &[u8],
        path: &[u8],
    ) -> Result<Option<(InodeNumber, FileType)>, ImportError> {
        let inode = match self.system.lookup(directory, name) {
            Err(Error::NotFound) => return Ok(None),
            found => self.on(path, found)?,
        };
        let metadata = self.on(path, self.system.metadata(inode))?;
        Ok(Some((inode, metadata.file_type)))
    }

    /// Returns the directory of this name, which replaces anything else that has it.
    pub(super) fn directory_at(
        &mut self,
        directory: InodeNumber,
        name: &[u8],
        path: &[u8],
    ) -> Result<InodeNumber, ImportError> {
        if let Some((inode, FileType::Directory)) = self.find(directory, name, path)? {
            self.note(directory, name);
            return Ok(inode);
        }
        let time = timestamp(Modified::default());
        let place = (directory, name);
        self.create(place, &NewInode::Directory, IMPLICIT_DIRECTORY, time, path)
    }
}

fn is_name(component: &&[u8]) -> bool {
    !component.is_empty() && *component != b"."
}

fn check_path(path: &[u8]) -> Result<(), ImportError> {
    if path.split(|byte| *byte == b'/').any(|name| name == b"..") {
        return Err(ImportError::Outside { path: shown(path) });
    }
    check_text(path)
}

fn check_text(path: &[u8]) -> Result<(), ImportError> {
    let is_long = |name: &[u8]| name.len() > NAME_MAX;
    let is_bad = path.len() >= PATH_MAX
        || path.contains(&0)
        || path.split(|byte| *byte == b'/').any(is_long);
    match is_bad {
        true => Err(ImportError::BadName { path: shown(path) }),
        false => Ok(()),
    }
}
