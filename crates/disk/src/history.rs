//! The snapshots of a disk that is written, by name: frozen change files, and the one that takes changes.
//!
//! A disk is known by the path of its first change file, `root.changes`; those that follow have a number behind it, `root.changes.3`. Which
//! lies on which, and what they are called, is in `root.changes.snapshots`, which is replaced as a whole. They are a tree: a disk that was put back
//! to a snapshot goes on from there, and the snapshots that came after stay.
//!
//! To take a snapshot, the list first says which one is about to be taken and where the disk goes on; then the change file is frozen, in one
//! step; then the list says that it is done. Whoever reads a list of the first kind looks at the change file: if it is frozen, the snapshot was
//! taken. So whatever is killed, and whenever, the snapshot is there or not, and what was written is on the disk. Nobody need be asked and nothing
//! be repaired, and a disk that is in use can be looked at.
//!
//! The list is a file of whoever writes the disk, and its content is checked as a stranger's: names of files are made of numbers alone.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use minke_blockstore::{ChangeFile, State};
use serde::{Deserialize, Serialize};

use super::host_file::failed;
use super::{Access, DiskFileError, Durability, HostFile};

/// Bounds the change files of one disk; a chain may have 1,024, of which an image takes up to 128.
pub const SNAPSHOTS_MAX: usize = 512;

/// Bounds what is read of a list: 512 names and times are less.
const LIST_BYTES_MAX: u64 = 1 << 20;

/// What follows the path of the first change file in that of the list, and in that of its lock.
const LIST_SUFFIX: &str = ".snapshots";
const LOCK_SUFFIX: &str = ".lock";

/// What can go wrong with snapshots.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("there is a snapshot `{name}` already")]
    Exists { name: String },
    #[error("no such snapshot: `{name}`")]
    Missing { name: String },
    #[error("there are {max} snapshots, and no more can be")]
    TooMany { max: usize },
    #[error("the list of snapshots `{}` is damaged", path.display())]
    Damaged { path: PathBuf },
    #[error(transparent)]
    File(#[from] DiskFileError),
}

/// A snapshot with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSnapshot {
    pub name: String,
    /// As it was given when the snapshot was taken.
    pub created_at: String,
    /// The snapshot with a name that it lies on.
    pub parent: Option<String>,
    /// Whether the disk goes on from it.
    pub is_current: bool,
    /// What it changes of what it lies on.
    pub file: PathBuf,
}

/// The change files of one disk.
#[derive(Clone, Debug)]
pub struct History {
    changes: PathBuf,
    list: List,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct List {
    /// Frozen files, each after what it lies on.
    layers: Vec<Layer>,
    /// The file that takes changes; 0 is the first.
    number: u32,
    /// The frozen file that it lies on.
    below: Option<u32>,
    /// The greatest number that was ever given to a file.
    last: u32,
    /// A snapshot that is about to be taken, or was.
    taking: Option<Taking>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Layer {
    number: u32,
    below: Option<u32>,
    /// `None` for one that was removed, while others lie on it.
    name: Option<String>,
    created_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Taking {
    name: String,
    created_at: String,
    /// Where the disk goes on.
    next: u32,
}

impl History {
    /// Reads what became of the disk whose first change file is `changes`; nothing, if there is no list.
    pub fn read(changes: &Path) -> Result<History, HistoryError> {
        let path = with_suffix(changes, LIST_SUFFIX);
        let list = match read_list(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => List::default(),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(HistoryError::Damaged { path });
            }
            list => list.map_err(failed("read", &path))?,
        };
        if !list.is_sound() {
            return Err(HistoryError::Damaged { path });
        }
        let mut history = History {
            changes: changes.to_owned(),
            list,
        };
        history.settle();
        Ok(history)
    }

    /// Waits until nobody else changes the list, and reads it.
    pub fn edit(changes: &Path, durability: Durability) -> Result<HistoryEdit, HistoryError> {
        let path = with_suffix(changes, LOCK_SUFFIX);
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        let locked = options
            .open(&path)
            .and_then(|lock| lock.lock().map(|()| lock));
        let lock = locked.map_err(failed("lock", &path))?;
        Ok(HistoryEdit {
            history: History::read(changes)?,
            durability,
            _lock: lock,
        })
    }

    /// Returns the frozen files that the disk lies on, the lowest first.
    pub fn chain(&self) -> Vec<PathBuf> {
        let mut chain: Vec<PathBuf> = self
            .list
            .line(self.list.below)
            .map(|layer| self.file(layer.number))
            .collect();
        chain.reverse();
        chain
    }

    /// Returns the file that takes changes. It is made when the disk is first opened.
    pub fn active(&self) -> PathBuf {
        self.file(self.list.number)
    }

    /// Returns all files that hold changes, there or not.
    pub fn files(&self) -> Vec<PathBuf> {
        let layers = self.list.layers.iter().map(|layer| layer.number);
        let numbers = layers.chain([self.list.number]);
        numbers.map(|number| self.file(number)).collect()
    }

    /// Returns the snapshots that have names, in the order in which they were taken.
    pub fn snapshots(&self) -> Vec<NamedSnapshot> {
        let named = |number| {
            let mut line = self.list.line(number);
            line.find_map(|layer| Some((layer.number, layer.name.clone()?)))
        };
        let current = named(self.list.below).map(|(number, _)| number);
        let layers = self.list.layers.iter();
        let snapshots = layers.filter_map(|layer| {
            Some(NamedSnapshot {
                name: layer.name.clone()?,
                created_at: layer.created_at.clone(),
                parent: named(layer.below).map(|(_, name)| name),
                is_current: Some(layer.number) == current,
                file: self.file(layer.number),
            })
        });
        snapshots.collect()
    }

    fn file(&self, number: u32) -> PathBuf {
        match number {
            0 => self.changes.clone(),
            _ => with_suffix(&self.changes, &format!(".{number}")),
        }
    }

    /// Finds out what became of a snapshot that was about to be taken.
    fn settle(&mut self) {
        let Some(taking) = self.list.taking.take() else {
            return;
        };
        if is_frozen(&self.active()) {
            self.list.layers.push(Layer {
                number: self.list.number,
                below: self.list.below,
                name: Some(taking.name),
                created_at: taking.created_at,
            });
            self.list.below = Some(self.list.number);
            self.list.number = taking.next;
        }
    }
}

impl List {
    /// Returns a frozen file and what it lies on, down to the lowest.
    fn line(&self, from: Option<u32>) -> impl Iterator<Item = &Layer> {
        let find = |number: u32| self.layers.iter().find(move |it| it.number == number);
        std::iter::successors(from.and_then(find), move |layer| layer.below.and_then(find))
    }

    /// Whether it is a list that was written here: then following it comes to an end.
    fn is_sound(&self) -> bool {
        let mut seen = HashSet::new();
        let is_there = |seen: &HashSet<u32>, below: Option<u32>| {
            below.is_none_or(|number| seen.contains(&number))
        };
        let layers = self.layers.len() <= SNAPSHOTS_MAX
            && self
                .layers
                .iter()
                .all(|layer| is_there(&seen, layer.below) && seen.insert(layer.number));
        let next = self.taking.as_ref().map(|taking| taking.next);
        let top = [Some(self.number), next].into_iter().flatten();
        layers && is_there(&seen, self.below) && top.into_iter().all(|it| seen.insert(it))
    }

    /// Forgets files without a name that nothing with a name, nor the disk, lies on.
    fn forget_unneeded(&mut self) {
        let mut needed: HashSet<u32> = self.line(self.below).map(|it| it.number).collect();
        for layer in self.layers.iter().filter(|layer| layer.name.is_some()) {
            needed.extend(self.line(Some(layer.number)).map(|it| it.number));
        }
        self.layers.retain(|layer| needed.contains(&layer.number));
    }

    fn named(&self, name: &str) -> Option<usize> {
        self.layers
            .iter()
            .position(|layer| layer.name.as_deref() == Some(name))
    }
}

/// A list of snapshots that nobody else changes.
#[derive(Debug)]
pub struct HistoryEdit {
    history: History,
    durability: Durability,
    _lock: File,
}

impl HistoryEdit {
    /// Returns what is there.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Takes a snapshot. `freeze` makes a change file at the path that it is given, freezes the active one, and has the disk go on in the new
    /// one, as [`WritableDisk::snapshot`](super::WritableDisk::snapshot) does.
    ///
    /// # Errors
    /// Then there is no snapshot, unless the host failed after it was taken.
    pub fn create(
        &mut self,
        name: &str,
        created_at: &str,
        freeze: impl FnOnce(&Path) -> Result<(), DiskFileError>,
    ) -> Result<(), HistoryError> {
        let name = name.to_owned();
        if self.history.list.named(&name).is_some() {
            return Err(HistoryError::Exists { name });
        }
        if self.history.list.layers.len() >= SNAPSHOTS_MAX {
            return Err(HistoryError::TooMany { max: SNAPSHOTS_MAX });
        }
        let next = self.next_number();
        self.history.list.taking = Some(Taking {
            name,
            created_at: created_at.to_owned(),
            next,
        });
        self.write()?;
        let next = self.history.file(next);
        // Of one that was given up, perhaps.
        ignore_missing(fs::remove_file(&next)).map_err(failed("remove", &next))?;
        let frozen = freeze(&next);
        self.history.settle();
        let written = self.write();
        self.remove_unneeded();
        frozen?;
        written
    }

    /// Removes a snapshot. Its room is free once nothing lies on it any more.
    pub fn remove(&mut self, name: &str) -> Result<(), HistoryError> {
        let layer = self.find(name)?;
        self.history.list.layers[layer].name = None;
        self.history.list.forget_unneeded();
        self.write()?;
        self.remove_unneeded();
        Ok(())
    }

    /// Puts the disk, which nobody has open, back to what it was at a snapshot. What was written since the last snapshot is gone.
    pub fn restore(&mut self, name: &str) -> Result<(), HistoryError> {
        let layer = self.find(name)?;
        let list = &mut self.history.list;
        list.below = Some(list.layers[layer].number);
        list.forget_unneeded();
        self.history.list.number = self.next_number();
        self.write()?;
        self.remove_unneeded();
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, HistoryError> {
        let missing = || HistoryError::Missing {
            name: name.to_owned(),
        };
        self.history.list.named(name).ok_or_else(missing)
    }

    fn next_number(&mut self) -> u32 {
        let list = &mut self.history.list;
        list.last = list.last.max(list.number) + 1;
        list.last
    }

    fn write(&self) -> Result<(), HistoryError> {
        let path = with_suffix(&self.history.changes, LIST_SUFFIX);
        let written = write_list(&path, &self.history.list, self.durability);
        Ok(written.map_err(failed("write", &path))?)
    }

    /// Removes files of the disk that the list does not name. What cannot be removed now is removed the next time.
    fn remove_unneeded(&self) {
        let needed = self.history.files();
        let Some((directory, name)) = self
            .history
            .changes
            .parent()
            .zip(self.history.changes.file_name())
        else {
            return;
        };
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if is_numbered(&entry.file_name(), name) && !needed.contains(&path) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Whether a name is that of a change file of the disk whose first one is called `first`.
fn is_numbered(name: &std::ffi::OsStr, first: &std::ffi::OsStr) -> bool {
    let rest = name
        .as_encoded_bytes()
        .strip_prefix(first.as_encoded_bytes());
    rest.is_some_and(|rest| match rest {
        [] => true,
        [b'.', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    })
}

/// Whether a change file is a snapshot. One that cannot be read is found out by who opens it.
fn is_frozen(path: &Path) -> bool {
    HostFile::open(path, Access::Look)
        .is_ok_and(|file| ChangeFile::inspect(&file).is_ok_and(|it| it.state == State::Frozen))
}

fn read_list(path: &Path) -> io::Result<List> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LIST_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    // One that is cut short too.
    serde_json::from_slice(&bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Replaces the list: readers see the old or the new one.
fn write_list(path: &Path, list: &List, durability: Durability) -> io::Result<()> {
    let new = with_suffix(path, ".new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(list)?)?;
        if durability == Durability::Durable {
            file.sync_all()?;
        }
        fs::rename(&new, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&new)))?;
    match (durability, path.parent()) {
        (Durability::Durable, Some(directory)) => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
