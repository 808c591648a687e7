//! The snapshots of layers that a store has: listing, pruning and checking them.
//!
//! The layout is told in `snapshots`.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::check::named_files;
use crate::snapshots::{EMPTY, Made, sum};
use crate::store::at;
use crate::{Digest, Store, StoreError};

/// Bytes of the blocks that `stat` counts. POSIX, `sys/stat.h`, and `stat(2)` of Linux.
const STAT_BLOCK_BYTES: u64 = 512;

/// A snapshot of a layer over those below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSnapshot {
    pub path: PathBuf,
    /// The layer's diff id; `None` for the disk without files.
    pub layer: Option<Digest>,
    /// Bytes that it takes on the host.
    pub size_bytes: u64,
}

impl LayerSnapshot {
    /// Returns `None` if there is no such file.
    fn at(path: PathBuf, layer: Option<Digest>) -> Option<LayerSnapshot> {
        let size_bytes = fs::metadata(&path).ok()?.blocks() * STAT_BLOCK_BYTES;
        Some(LayerSnapshot {
            path,
            layer,
            size_bytes,
        })
    }

    /// Returns the file's name, which is its own in a store. Containers know it too, also those of a home that was moved.
    pub fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// Returns the chain id of the layer and those below it; `None` for the disk without files.
    pub fn chain_id(&self) -> Option<Digest> {
        let stem = self.path.file_stem()?.to_str()?;
        Digest::from_hex(stem)
    }
}

impl Store {
    /// Returns the snapshots that are there.
    pub fn snapshots(&self) -> Result<Vec<LayerSnapshot>, StoreError> {
        snapshots_in(&self.root)
    }

    /// Removes a snapshot that is damaged; what it was made with stays, as with [`Store::prune_snapshots`].
    pub fn remove_damaged_snapshot(&self, path: &Path) -> Result<(), StoreError> {
        let _lock = self.lock_layers()?;
        match damage(path) {
            Some(_) => fs::remove_file(path).map_err(at("remove", path)),
            None => Ok(()),
        }
    }

    /// Removes the snapshots with other names than those that are needed; returns the bytes that were freed. What they were made with stays: they are made
    /// again with the same bytes.
    ///
    /// The caller sees to it that nobody takes one into use meanwhile.
    pub fn prune_snapshots(&self, needed: &HashSet<OsString>) -> Result<u64, StoreError> {
        let _lock = self.lock_layers()?;
        // As a collection does, which removes snapshots too.
        self.database.write(|_| {
            let mut freed_bytes = 0;
            for snapshot in snapshots_in(&self.root)? {
                if !needed.contains(snapshot.name()) {
                    fs::remove_file(&snapshot.path).map_err(at("remove", &snapshot.path))?;
                    freed_bytes += snapshot.size_bytes;
                }
            }
            Ok(freed_bytes)
        })
    }
}

/// Returns what is wrong with the snapshots of the store at `root`: which, and the reason. They are compared with their sums.
pub fn damaged_snapshots(root: &Path) -> Result<Vec<(PathBuf, String)>, StoreError> {
    if !root.join("snapshots").exists() {
        return Ok(Vec::new());
    }
    let snapshots = snapshots_in(root)?.into_iter();
    Ok(snapshots
        .filter_map(|it| damage(&it.path).map(|reason| (it.path, reason)))
        .collect())
}

/// Returns what is wrong with a snapshot. One without a sum, of an older minke, is taken as it is.
pub(crate) fn damage(path: &Path) -> Option<String> {
    let made = Made::of(path)?;
    match sum(path) {
        Ok(found) if found == made.sum => None,
        Ok(_) => Some("is not what was written".to_owned()),
        // It was removed just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("cannot be read: {error}")),
    }
}

/// Returns the snapshots of the store at `root`, which need not be whole.
fn snapshots_in(root: &Path) -> Result<Vec<LayerSnapshot>, StoreError> {
    let directory = root.join("snapshots");
    let mut snapshots = Vec::new();
    snapshots.extend(LayerSnapshot::at(directory.join(EMPTY), None));
    for (layer, directory) in named_files(&directory)? {
        let files = layer.map(|_| fs::read_dir(directory));
        // One that goes meanwhile has no files.
        for file in files.into_iter().flatten().flatten().flatten() {
            let path = file.path();
            if path.extension().is_some_and(|it| it == "disk") {
                snapshots.extend(LayerSnapshot::at(path, layer));
            }
        }
    }
    Ok(snapshots)
}
