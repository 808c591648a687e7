//! Entries of a tar, made in a file system in the order in which they come.
//!
//! A later entry replaces an earlier one of its name, except that a directory keeps what it holds. Whiteouts and opaque marks hide what
//! was there *before* this tar, whatever their place in it. Entries come from strangers: no path leads out of the tree, and there are
//! limits on all that is held.
//!
//! Equal tars on equal file systems make equal file systems: times come from the entries, and directories keep theirs.
//!
//! Spec: OCI image-spec 1.1 layer.md, "Applying Changesets", "Whiteouts".

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

use minke_archive::{Change, Content, Member, MemberKind, ReadError, Reader, Whiteouts};
use minke_ext4::{
    AttributeChange, AttributeMode, Device, Error, FileSystem, FileType, InodeNumber, NewInode,
    Ownership, Timestamp,
};

use super::hide::Left;
use super::{PIECE_BYTES, shown, timestamp};

/// Entries of a tar: bounds what is held of each until its end, about 20 bytes.
const ENTRIES_MAX: usize = 4_000_000;
/// Entries after which all changes are committed: bounds the inodes that are held in memory, some 600 bytes each.
const ENTRIES_PER_COMMIT: usize = 1 << 14;
/// Directories whose times are held, to be set when nothing comes into them any more.
const TIMES_MAX: usize = 1 << 14;
/// Steps of path walks and names looked at for whiteouts: bounds the time that a hostile tar can take. An entry takes about ten.
const STEPS_MAX: usize = 100_000_000;

/// What can go wrong with a tar that is imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("`{path}`: {source}")]
    Disk { path: String, source: Error },
    #[error("path `{path}` leaves the tree by `..`")]
    Outside { path: String },
    #[error(
        "path `{path}` is too long, has a zero byte or a component that is too long, or is no path of a file"
    )]
    BadName { path: String },
    #[error("path `{path}` goes through something that is not a directory")]
    NotDirectory { path: String },
    #[error("path `{path}` goes through too many symbolic links")]
    TooManyLinks { path: String },
    #[error("hard link to `{path}`, which is no file of the tree")]
    BadHardLink { path: String },
    #[error("more than {ENTRIES_MAX} entries")]
    TooManyEntries,
    #[error("paths and whiteouts that take more than {STEPS_MAX} steps")]
    TooMuchWork,
}

/// How a tar is imported.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions {
    /// The directory that is the top of the tar's paths.
    pub directory: InodeNumber,
    pub whiteouts: Whiteouts,
    /// Time at which the file system is changed, where no entry has one that says so.
    pub time: Timestamp,
}

/// Where the content of a file that is being made comes from.
pub trait ContentSource {
    /// Reads the next piece; returns where in the file it belongs and how many bytes it has, 0 at the end.
    ///
    /// # Errors
    /// Whatever is in the way.
    fn read_content(&mut self, buffer: &mut [u8]) -> Result<(u64, usize), ReadError>;
}

impl<R: Read> ContentSource for Reader<R> {
    fn read_content(&mut self, buffer: &mut [u8]) -> Result<(u64, usize), ReadError> {
        Reader::read_content(self, buffer)
    }
}

/// Makes all that a tar has in a file system, and returns its stream, of which what lies behind the end of the tar was not read.
///
/// The last changes wait in memory: [`FileSystem::sync`] makes them durable. Those of a large tar are committed meanwhile, so after an
/// error the file system has a part of it.
///
/// # Errors
/// [`ImportError`].
pub fn import<D: Device, R: Read>(
    system: &FileSystem<D>,
    tar: R,
    options: &ImportOptions,
) -> Result<R, ImportError> {
    let mut importer = Importer::new(system, options);
    let mut reader = Reader::new(tar, options.whiteouts);
    while let Some(change) = reader.next_change()? {
        importer.apply(&change, &mut reader)?;
    }
    importer.finish()?;
    Ok(reader.into_source())
}

/// A tree that is being filled.
pub struct Importer<'s, D> {
    pub(super) system: &'s FileSystem<D>,
    pub(super) top: InodeNumber,
    pub(super) time: Timestamp,
    /// The directories to that of the last entry, by the names of its path.
    pub(super) way: Vec<(Vec<u8>, InodeNumber)>,
    /// Names that came with this tar, hashed; none if nothing of before can be hidden.
    own: Option<HashSet<u64>>,
    /// The times that directories are to have.
    times: BTreeMap<InodeNumber, Timestamp>,
    steps: usize,
    entries: usize,
    piece: Vec<u8>,
}

impl<'s, D: Device> Importer<'s, D> {
    /// Begins to fill a directory.
    pub fn new(system: &'s FileSystem<D>, options: &ImportOptions) -> Importer<'s, D> {
        Importer {
            system,
            top: options.directory,
            time: options.time,
            way: Vec::new(),
            own: (options.whiteouts == Whiteouts::Apply).then(HashSet::new),
            times: BTreeMap::new(),
            steps: 0,
            entries: 0,
            piece: vec![0; PIECE_BYTES],
        }
    }

    /// Makes one change. `source` gives the content of a file.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn apply(
        &mut self,
        change: &Change<Content>,
        source: &mut dyn ContentSource,
    ) -> Result<(), ImportError> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(ImportError::TooManyEntries);
        }
        match change {
            Change::Add(member) => self.add(member, source)?,
            Change::WhiteOut(path) => self.white_out(path)?,
            Change::MakeOpaque(path) => self.make_opaque(path)?,
        }
        match self.entries.is_multiple_of(ENTRIES_PER_COMMIT) {
            true => self.on(b".", self.system.sync(self.time)),
            false => Ok(()),
        }
    }

    /// Ends the tree: gives directories their times.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn finish(mut self) -> Result<(), ImportError> {
        self.settle_times()
    }

    fn white_out(&mut self, path: &[u8]) -> Result<(), ImportError> {
        match self.place_of(path)? {
            Some(place) => self.remove(place, Left::Own, path),
            None => Ok(()),
        }
    }

    fn make_opaque(&mut self, path: &[u8]) -> Result<(), ImportError> {
        let directory = match self.place_of(path)? {
            None => self.top,
            Some((directory, name)) => self.directory_at(directory, name, path)?,
        };
        self.hide_content(directory, path)
    }

    fn add(
        &mut self,
        member: &Member<Content>,
        source: &mut dyn ContentSource,
    ) -> Result<(), ImportError> {
        let path = &member.path[..];
        let Some(place) = self.place_of(path)? else {
            return match member.kind {
                MemberKind::Directory => self.set_attributes(self.top, member),
                _ => Err(ImportError::BadName { path: shown(path) }),
            };
        };
        let new = match &member.kind {
            MemberKind::HardLink(target) => return self.link(place, target, member),
            MemberKind::Directory => {
                if let Some((inode, FileType::Directory)) = self.find(place.0, place.1, path)? {
                    self.note(place.0, place.1);
                    return self.set_attributes(inode, member);
                }
                NewInode::Directory
            }
            MemberKind::Regular(_) => NewInode::Regular,
            MemberKind::Symlink(target) => NewInode::Symlink(target),
            MemberKind::CharacterDevice { major, minor } => {
                NewInode::CharacterDevice(*major, *minor)
            }
            MemberKind::BlockDevice { major, minor } => NewInode::BlockDevice(*major, *minor),
            MemberKind::Fifo => NewInode::Fifo,
        };
        let time = timestamp(member.modified);
        let inode = self.create(place, &new, ownership(member), time, path)?;
        self.add_extended(inode, member)?;
        match &member.kind {
            MemberKind::Regular(content) => self.fill(inode, member, content, source),
            _ => Ok(()),
        }
    }

    /// Makes an inode under a name, in place of what has it.
    pub(super) fn create(
        &mut self,
        (directory, name): (InodeNumber, &[u8]),
        new: &NewInode<'_>,
        ownership: Ownership,
        time: Timestamp,
        path: &[u8],
    ) -> Result<InodeNumber, ImportError> {
        self.touch(directory, path)?;
        let create = || self.system.create(directory, name, new, ownership, time);
        let created = match create() {
            Err(Error::Exists) => {
                self.remove((directory, name), Left::Nothing, path)?;
                self.system.create(directory, name, new, ownership, time)
            }
            created => created,
        };
        self.note(directory, name);
        self.on(path, created)
    }

    fn link(
        &mut self,
        (directory, name): (InodeNumber, &[u8]),
        target: &[u8],
        member: &Member<Content>,
    ) -> Result<(), ImportError> {
        let path = &member.path[..];
        let bad = || ImportError::BadHardLink {
            path: shown(target),
        };
        let (target_directory, target_name) = self.place_of(target)?.ok_or_else(bad)?;
        let (inode, kind) = self
            .find(target_directory, target_name, target)?
            .ok_or_else(bad)?;
        if kind == FileType::Directory {
            return Err(bad());
        }
        self.note(directory, name);
        match self.find(directory, name, path)? {
            Some((found, _)) if found == inode => return Ok(()),
            Some(_) => self.remove((directory, name), Left::Nothing, path)?,
            None => {}
        }
        self.touch(directory, path)?;
        // It may have gone with what had the name.
        let time = self.system.metadata(inode).map_err(|_| bad())?.changed;
        self.on(path, self.system.link(directory, name, inode, time))
    }

    fn fill(
        &mut self,
        inode: InodeNumber,
        member: &Member<Content>,
        content: &Content,
        source: &mut dyn ContentSource,
    ) -> Result<(), ImportError> {
        let time = timestamp(member.modified);
        let mut end = 0;
        loop {
            let (offset, count) = source.read_content(&mut self.piece)?;
            if count == 0 {
                break;
            }
            let bytes = &self.piece[..count];
            let written = self.system.write(inode, offset, bytes, time);
            if self.on(&member.path, written)? < count {
                return self.on(&member.path, Err(Error::NoSpace));
            }
            end = offset + count as u64;
        }
        match end < content.size {
            true => {
                let sized = self.system.set_size(inode, content.size, time);
                self.on(&member.path, sized)
            }
            false => Ok(()),
        }
    }

    /// Gives an inode that was there the attributes of an entry, and no others.
    fn set_attributes(
        &mut self,
        inode: InodeNumber,
        member: &Member<Content>,
    ) -> Result<(), ImportError> {
        let path = &member.path[..];
        let Ownership { uid, gid, mode } = ownership(member);
        let time = timestamp(member.modified);
        let change = AttributeChange {
            mode: Some(mode),
            uid: Some(uid),
            gid: Some(gid),
            accessed: None,
            modified: Some(time),
        };
        for name in self.on(path, self.system.extended_attributes(inode))? {
            let removed = self.system.remove_extended_attribute(inode, &name, time);
            self.on(path, removed)?;
        }
        self.add_extended(inode, member)?;
        self.times.remove(&inode);
        self.on(path, self.system.set_attributes(inode, &change, time))
    }

    fn add_extended(
        &self,
        inode: InodeNumber,
        member: &Member<Content>,
    ) -> Result<(), ImportError> {
        let time = timestamp(member.modified);
        for (name, value) in &member.extended {
            let any = AttributeMode::Any;
            let set = self
                .system
                .set_extended_attribute(inode, name, value, any, time);
            self.on(&member.path, set)?;
        }
        Ok(())
    }

    /// Remembers the time of a directory in which names change.
    pub(super) fn touch(&mut self, directory: InodeNumber, path: &[u8]) -> Result<(), ImportError> {
        if self.times.contains_key(&directory) {
            return Ok(());
        }
        if self.times.len() >= TIMES_MAX {
            self.settle_times()?;
        }
        let modified = self.on(path, self.system.metadata(directory))?.modified;
        self.times.insert(directory, modified);
        Ok(())
    }

    /// Forgets a directory that was removed.
    pub(super) fn forget(&mut self, directory: InodeNumber) {
        self.times.remove(&directory);
    }

    fn settle_times(&mut self) -> Result<(), ImportError> {
        for (directory, time) in std::mem::take(&mut self.times) {
            let change = AttributeChange {
                modified: Some(time),
                ..AttributeChange::default()
            };
            self.on(b".", self.system.set_attributes(directory, &change, time))?;
        }
        Ok(())
    }

    /// Notes that a name came with this tar.
    pub(super) fn note(&mut self, directory: InodeNumber, name: &[u8]) {
        if let Some(own) = &mut self.own {
            own.insert(key_of(directory, name));
        }
    }

    /// Whether a name was there before this tar.
    pub(super) fn is_lower(&self, directory: InodeNumber, name: &[u8]) -> bool {
        let own = self.own.as_ref();
        own.is_some_and(|own| !own.contains(&key_of(directory, name)))
    }

    /// Counts work.
    pub(super) fn charge(&mut self, steps: usize) -> Result<(), ImportError> {
        self.steps = self.steps.saturating_add(steps);
        match self.steps > STEPS_MAX {
            true => Err(ImportError::TooMuchWork),
            false => Ok(()),
        }
    }

    /// Says which path an error of the file system is about.
    pub(super) fn on<T>(&self, path: &[u8], result: Result<T, Error>) -> Result<T, ImportError> {
        result.map_err(|source| ImportError::Disk {
            path: shown(path),
            source,
        })
    }
}

fn ownership(member: &Member<Content>) -> Ownership {
    Ownership {
        uid: member.uid,
        gid: member.gid,
        mode: (member.mode & 0o7777) as u16,
    }
}

/// Two names of 64 bits that are the same are less likely than a broken memory; who makes them so hides nothing but his own.
fn key_of(directory: InodeNumber, name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (directory.0, name).hash(&mut hasher);
    hasher.finish()
}
