//! Leases: what one running process writes and relies on.
//!
//! A lease is a directory `tmp/<name>/` for unfinished files, a lock file `tmp/<name>.lock` that its process keeps
//! locked, and rows in the database that keep contents from being collected. The kernel drops the lock when the
//! process ends, however it ends; whoever finds a lock file that nobody locks, sweeps the lease.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::NamedTempFile;

use crate::database::CachedStep;
use crate::step_snapshots::StepSnapshots;
use crate::store::at;
use crate::{Digest, Store, StoreError};

/// Bounds the attempts to make a lock file that a sweeper does not take first. One retry is rare, two are a defect.
const LOCK_ATTEMPTS_MAX: usize = 16;

/// A claim on contents of the store for as long as the value lives.
#[derive(Debug)]
pub struct Lease<'store> {
    pub(crate) store: &'store Store,
    name: String,
    directory: PathBuf,
    lock_path: PathBuf,
    /// Paths that were handed out.
    paths_count: AtomicU64,
    pub(crate) step_snapshots: StepSnapshots,
    /// Locked; closing it ends the lease for everybody else.
    _lock: File,
}

impl Store {
    /// Returns a new lease that claims nothing yet.
    pub fn lease(&self) -> Result<Lease<'_>, StoreError> {
        // What the lease is released in must be there before anything else is.
        self.database.connect()?;
        // The lock comes first: a directory without one is nobody's.
        let (lock, lock_path) = new_lock(&self.root.join("tmp"))?;
        let directory = lock_path.with_extension("");
        fs::create_dir(&directory).map_err(at("make the directory", &directory))?;
        let name = directory
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        Ok(Lease {
            store: self,
            name,
            directory,
            lock_path,
            paths_count: AtomicU64::new(0),
            step_snapshots: StepSnapshots::default(),
            _lock: lock,
        })
    }

    /// Returns what a step with this key produced, if that is still there. Hold the result with a lease, as this does.
    fn cached_step(&self, lease: &str, key: &Digest) -> Result<Option<CachedStep>, StoreError> {
        let Some(step) = self.database.step(key)? else {
            return Ok(None);
        };
        let Some(layer) = &step.layer else {
            return Ok(Some(step));
        };
        self.database
            .use_step(lease, key, &[layer.digest, layer.diff_id])?;
        let is_there = fs::metadata(self.blob_path(&layer.digest))
            .is_ok_and(|blob| blob.len() == layer.size_bytes);
        Ok(is_there.then_some(step))
    }
}

impl Lease<'_> {
    /// Returns the store of the lease.
    pub fn store(&self) -> &Store {
        self.store
    }

    /// Keeps contents (blobs, or uncompressed layers by their diff id) from being collected while the lease lives.
    ///
    /// Look for the content after this call, not before: until then it may go away.
    pub fn hold(&self, digests: &[Digest]) -> Result<(), StoreError> {
        self.store.database.hold(&self.name, digests)
    }

    /// Returns what a build step with this key produced, and holds its layer.
    pub fn cached_step(&self, key: &Digest) -> Result<Option<CachedStep>, StoreError> {
        self.store.cached_step(&self.name, key)
    }

    /// Remembers what a build step with this key produced.
    pub fn remember_step(&self, key: &Digest, step: &CachedStep) -> Result<(), StoreError> {
        self.store.database.remember_step(key, step)
    }

    /// Returns a new empty file, open for reading and writing, that has no name: it ends with its last descriptor.
    pub fn scratch_file(&self) -> Result<File, StoreError> {
        tempfile::tempfile_in(&self.directory).map_err(at("make a file in", &self.directory))
    }

    /// Returns the path of a file that is not there yet, for another process to make. It vanishes with the lease.
    pub fn scratch_path(&self) -> PathBuf {
        self.new_path()
    }

    /// Returns the path of a file that is not there yet. It vanishes with the lease unless it is renamed.
    pub(crate) fn new_path(&self) -> PathBuf {
        let number = self.paths_count.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!("new-{number}"))
    }

    /// Returns a new empty file that vanishes unless it is renamed into place.
    pub(crate) fn temporary(&self) -> Result<NamedTempFile, StoreError> {
        NamedTempFile::new_in(&self.directory).map_err(at("make a file in", &self.directory))
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next `Store::open`, since the lock goes with this value.
        let released = self.store.database.release(&self.name);
        let removed = fs::remove_dir_all(&self.directory);
        if released.is_ok() && removed.is_ok() {
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

/// Makes and locks a file of a new name, another if a sweeper takes it in between.
fn new_lock(directory: &Path) -> Result<(File, PathBuf), StoreError> {
    for _ in 0..LOCK_ATTEMPTS_MAX {
        let file = tempfile::Builder::new()
            .prefix("lease-")
            .suffix(".lock")
            .tempfile_in(directory)
            .map_err(at("make a file in", directory))?;
        let (file, path) = file
            .keep()
            .map_err(|error| at("make a file in", directory)(error.error))?;
        file.lock().map_err(at("lock the file", &path))?;
        if is_at(&file, &path) {
            return Ok((file, path));
        }
    }
    Err(at("lock a file in", directory)(
        io::ErrorKind::ResourceBusy.into(),
    ))
}

/// Returns whether an open file is the one that a path names, not one that was removed since.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(opened), Ok(named)) => opened.ino() == named.ino() && opened.dev() == named.dev(),
        _ => false,
    }
}

/// Removes the leases whose processes have ended, with their unfinished files; returns how many.
pub(crate) fn sweep_dead(store: &Store) -> Result<usize, StoreError> {
    let mut swept_count = 0;
    let directory = store.root.join("tmp");
    let entries = fs::read_dir(&directory).map_err(at("read the directory", &directory))?;
    for entry in entries {
        let path = entry.map_err(at("read the directory", &directory))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "lock")
        {
            swept_count += usize::from(sweep_one(store, &path)?);
        }
    }
    Ok(swept_count)
}

/// Returns whether the lease was a dead one.
fn sweep_one(store: &Store, lock_path: &Path) -> Result<bool, StoreError> {
    let Ok(lock) = File::open(lock_path) else {
        return Ok(false);
    };
    match lock.try_lock() {
        Ok(()) if is_at(&lock, lock_path) => {}
        Ok(()) | Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(at("lock the file", lock_path)(error)),
    }
    let directory = lock_path.with_extension("");
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(at("remove the directory", &directory)(error));
        }
        _ => {}
    }
    let name = directory
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    store.database.release(&name)?;
    fs::remove_file(lock_path).map_err(at("remove the file", lock_path))?;
    Ok(true)
}
