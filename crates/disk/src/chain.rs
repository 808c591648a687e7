//! Snapshots over each other in files of minke's own store, and the file that is written over them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minke_blockstore::{ChangeFile, Disk, DiskError, Identity, Limits, Snapshot, Storage};

use super::host_file::{failed, random_uuid};
use super::{Access, DiskFileError, Durability, HostFile};

/// Opens frozen change files, the lowest first, as the one disk that they make; without any it is the disk of no bytes.
///
/// The files are mapped: they must be of minke's own store, where nobody changes them.
pub fn open_chain(
    files: &[impl AsRef<Path>],
    limits: &Limits,
) -> Result<Arc<Snapshot>, DiskFileError> {
    let mut chain = Snapshot::nothing();
    for path in files.iter().map(AsRef::as_ref) {
        let file = Arc::new(HostFile::open_mapped(path)?);
        chain = chain.with(file, limits).map_err(on(path))?;
    }
    Ok(Arc::new(chain))
}

/// A disk whose changes go into one file, which is locked while this lives.
#[derive(Debug)]
pub struct WritableDisk {
    pub(super) disk: Disk,
    path: PathBuf,
}

impl WritableDisk {
    /// Makes a disk of `size_bytes` over `below`; its changes go into the file at `path`, which must not be there.
    ///
    /// The file is durable with the first commit. After a failure it is gone again.
    pub fn create(
        path: &Path,
        below: Arc<Snapshot>,
        size_bytes: u64,
        limits: Limits,
    ) -> Result<WritableDisk, DiskFileError> {
        let file = Arc::new(HostFile::open(path, Access::Create)?);
        let made = random_uuid()
            .map_err(failed("name", path))
            .and_then(|uuid| Disk::create(file, below, uuid, size_bytes, limits).map_err(on(path)));
        match made {
            Ok(disk) => Ok(WritableDisk {
                disk,
                path: path.to_owned(),
            }),
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
        Ok(WritableDisk {
            disk: Disk::open(file, below, limits).map_err(on(path))?,
            path: path.to_owned(),
        })
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
        Ok(WritableDisk {
            disk: disk.map_err(on(path))?,
            path: path.to_owned(),
        })
    }

    /// Commits, and makes a snapshot of the file.
    pub fn freeze(self) -> Result<Identity, DiskFileError> {
        self.disk.freeze().map_err(on(&self.path))
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
