//! Snapshots over each other in files of minke's own store, and the file that is written over them.

use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minke_blockstore::{ChangeFile, Disk, DiskError, Identity, Limits, Snapshot, State, Storage};
use minke_ext4::DeviceError;

use super::host_file::{failed, random_uuid};
use super::{Access, DiskFileError, Durability, HostFile, device};

/// Opens frozen change files, the lowest first, as the one disk that they make; without any it is the disk of no bytes.
///
/// The files are mapped: they must be of minke's own store, where nobody changes them.
pub fn open_chain(
    files: &[impl AsRef<Path>],
    limits: &Limits,
) -> Result<Arc<Snapshot>, DiskFileError> {
    extend_chain(&Arc::new(Snapshot::nothing()), files, limits)
}

/// Opens frozen change files over a disk, as [`open_chain`].
pub fn extend_chain(
    below: &Arc<Snapshot>,
    files: &[impl AsRef<Path>],
    limits: &Limits,
) -> Result<Arc<Snapshot>, DiskFileError> {
    let mut chain = Arc::clone(below);
    for path in files.iter().map(AsRef::as_ref) {
        let file = Arc::new(HostFile::open_mapped(path)?);
        chain = Arc::new(chain.with(file, limits).map_err(on(path))?);
    }
    Ok(chain)
}

/// A disk whose changes go into one file, which is locked while this lives.
#[derive(Debug)]
pub struct WritableDisk {
    pub(super) disk: Disk,
    path: PathBuf,
    durability: Durability,
    snapshot: Mutex<Asked>,
    pub(super) has_met_full_host: AtomicBool,
}

/// A snapshot that the next commit is to be.
#[derive(Debug)]
enum Asked {
    Nothing,
    /// It goes on in this file.
    In(Arc<HostFile>),
    Done(Result<(), DiskError>),
}

impl WritableDisk {
    /// Makes a disk of `size_bytes` over `below`; its changes go into the file at `path`, which must not be there.
    ///
    /// `uuid` tells the file from all others, and no guest may guess it. After a failure it is gone again.
    pub fn create(
        path: &Path,
        below: Arc<Snapshot>,
        uuid: [u8; 16],
        size_bytes: u64,
        durability: Durability,
        limits: Limits,
    ) -> Result<WritableDisk, DiskFileError> {
        let file = HostFile::open(path, Access::Create)?.with_durability(durability);
        match Disk::create(Arc::new(file), below, uuid, size_bytes, limits).map_err(on(path)) {
            Ok(disk) => Ok(WritableDisk::new(disk, path, durability)),
            Err(error) => {
                // Nobody has seen it.
                let _ = fs::remove_file(path);
                Err(error)
            }
        }
    }

    /// Opens a disk as of its last commit.
    pub fn open(
        path: &Path,
        below: Arc<Snapshot>,
        limits: Limits,
    ) -> Result<WritableDisk, DiskFileError> {
        let file = Arc::new(HostFile::open(path, Access::Write)?);
        let disk = Disk::open(file, below, limits).map_err(on(path))?;
        Ok(WritableDisk::new(disk, path, Durability::Durable))
    }

    /// Opens the disk whose changes lie in the file at `path` as of its last commit; makes it, `size_bytes` large, where there is no
    /// file, or one that a crash left before anything was in it.
    pub fn open_or_create(
        path: &Path,
        below: Arc<Snapshot>,
        size_bytes: u64,
        durability: Durability,
        limits: Limits,
    ) -> Result<WritableDisk, DiskFileError> {
        let file = match HostFile::open(path, Access::Write) {
            Err(DiskFileError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                HostFile::open(path, Access::Create)?
            }
            opened => opened?,
        };
        let length = file.length().map_err(failed("read the size of", path))?;
        let is_new = match length {
            0 => true,
            _ => matches!(ChangeFile::inspect(&file), Err(DiskError::NeverBegun)),
        };
        if is_new && length > 0 {
            file.truncate(0).map_err(failed("empty", path))?;
        }
        let file = Arc::new(file.with_durability(durability));
        let disk = match is_new {
            true => {
                let uuid = random_uuid().map_err(failed("name", path))?;
                Disk::create(file, below, uuid, size_bytes, limits)
            }
            false => Disk::open(file, below, limits),
        };
        let disk = disk.map_err(on(path))?;
        Ok(WritableDisk::new(disk, path, durability))
    }

    fn new(disk: Disk, path: &Path, durability: Durability) -> WritableDisk {
        WritableDisk {
            disk,
            path: path.to_owned(),
            durability,
            snapshot: Mutex::new(Asked::Nothing),
            has_met_full_host: AtomicBool::new(false),
        }
    }

    /// Freezes the change file, which is a snapshot from then on, and goes on in a new one at `next`. The disk stays as it is, and may be in use.
    ///
    /// The snapshot is taken by the next commit: `commit` makes one, of what is a whole for whoever writes the disk. One caller at a time.
    ///
    /// # Errors
    /// Then there is no snapshot, unless the host failed after the file was frozen: then the disk takes no more commits.
    pub fn snapshot(&self, next: &Path, commit: impl FnOnce()) -> Result<(), DiskFileError> {
        let file = HostFile::open(next, Access::Create)?.with_durability(self.durability);
        *self.asked() = Asked::In(Arc::new(file));
        commit();
        let taken = match std::mem::replace(&mut *self.asked(), Asked::Nothing) {
            Asked::Done(taken) => taken.map_err(on(next)),
            // What was to be committed could not be.
            Asked::In(_) | Asked::Nothing => Err(failed("take a snapshot with", next)(
                io::Error::other("the disk's changes cannot be written back"),
            )),
        };
        // A file that the disk went on in belongs to it now.
        taken.inspect_err(|_| {
            if !self.is_frozen() {
                drop(fs::remove_file(next));
            }
        })
    }

    /// As [`snapshot`](Self::snapshot), of a disk that nobody writes.
    pub fn snapshot_alone(&self, next: &Path) -> Result<(), DiskFileError> {
        // What goes wrong is known from what became of the request.
        self.snapshot(next, || drop(self.commit_or_snapshot()))
    }

    /// Whether the file that it goes on in could not be opened after the one before was frozen.
    fn is_frozen(&self) -> bool {
        self.disk.file().state != State::Active
    }

    /// Commits; as a snapshot, if one was asked for.
    pub(super) fn commit_or_snapshot(&self) -> Result<(), DiskError> {
        let asked = std::mem::replace(&mut *self.asked(), Asked::Nothing);
        let Asked::In(file) = asked else {
            *self.asked() = asked;
            return self.disk.commit();
        };
        let uuid = random_uuid().map_err(|source| DiskError::Io {
            action: "name a snapshot",
            source,
        });
        let taken = uuid.and_then(|uuid| self.disk.snapshot(file, uuid));
        let is_taken = taken.is_ok();
        *self.asked() = Asked::Done(taken.map(drop));
        match is_taken {
            true => Ok(()),
            // Whoever only wants its changes to be durable gets that.
            false => self.disk.commit(),
        }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits, and makes a snapshot of the file.
    pub fn freeze(self) -> Result<Identity, DiskFileError> {
        self.disk.freeze().map_err(on(&self.path))
    }

    /// Returns which parts of a range of bytes may have been written since the disk was `base`, in order.
    ///
    /// # Errors
    /// If it never was, and what reading the maps gives.
    pub fn written_since(
        &self,
        base: &Snapshot,
        range: Range<u64>,
    ) -> Result<Vec<Range<u64>>, DeviceError> {
        let written = self.disk.written_since(base, range);
        written.map_err(|error| device::failed(&error))
    }

    /// Whether something could not be written because the host had no space left, ever since it was opened.
    pub fn has_met_full_host(&self) -> bool {
        self.has_met_full_host.load(Ordering::Relaxed)
    }

    /// Returns the file with the changes.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Names the file that an error is about.
pub(super) fn on(path: &Path) -> impl FnOnce(DiskError) -> DiskFileError {
    let path = PathBuf::from(path);
    move |source| DiskFileError::Disk { path, source }
}
