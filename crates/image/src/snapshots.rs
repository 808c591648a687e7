//! A root's layers as snapshots of an ext4 disk: what containers write their changes over.
//!
//! `snapshots/empty.disk` is a file system without files; `snapshots/<diff id>/<chain id>.disk` has what that layer changes of the
//! disk of the layers below it. They are made from the layers' tars when they are first needed, and go with the layer. What a container
//! has changed lies over one chain of them and no other: so one that is made again is of no use to a container of before.
//!
//! Spec: OCI image-spec 1.1 config.md, "Layer ChainID".

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minke_disk::tree::{ImportError, ImportOptions, Whiteouts, import};
use minke_disk::{DiskFileError, Limits, Snapshot, WritableDisk, open_chain};
use minke_ext4::make::{Identity, Journal, MakeError, MakeOptions, make};
use minke_ext4::{Access, FileSystem, InodeNumber, NewInode, Ownership, Timestamp};

use crate::root::LayerFile;
use crate::store::{at, io_hint, make_directory};
use crate::{Digest, Lease, Store, StoreError};

/// Bytes of a root's disk. Its file takes what was written to it, so this only bounds what a container can fill.
pub const ROOT_DISK_BYTES: u64 = 64 << 30;

/// Directories of every root, on which the kernel's own file systems are mounted: to start changes nothing.
const MOUNT_POINTS: [&[u8]; 2] = [b"dev", b"proc"];

/// The file of the disk without files.
const EMPTY: &str = "empty.disk";

/// What all is as old as whose age no layer tells.
const EPOCH: Timestamp = Timestamp {
    seconds: 0,
    nanoseconds: 0,
};

/// Why a layer's snapshot could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error(transparent)]
    File(#[from] DiskFileError),
    #[error("cannot make a file system")]
    Make(#[from] MakeError),
    #[error(transparent)]
    FileSystem(#[from] minke_ext4::Error),
    #[error(transparent)]
    Import(#[from] ImportError),
}

impl SnapshotError {
    /// Returns what a person can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::File(DiskFileError::Io { path, source, .. }) => io_hint(path, source.kind()),
            Self::File(error) => error.hint().map(str::to_owned),
            Self::Make(_) | Self::FileSystem(_) | Self::Import(_) => None,
        }
    }
}

impl Store {
    /// Returns the snapshots that make these layers' disk, lowest first, making those that are not there.
    ///
    /// The files stay while the image of the layers does, as the layers themselves.
    pub fn root_snapshots(&self, layers: &[LayerFile]) -> Result<Vec<PathBuf>, StoreError> {
        let files = self.snapshot_files(layers);
        if files.iter().all(|file| file.exists()) {
            return Ok(files);
        }
        let lease = self.lease()?;
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
        lease.hold(&diff_ids)?;
        let _lock = self.lock_layers()?;
        for (count, file) in files.iter().enumerate() {
            if !file.exists() {
                let layer = count.checked_sub(1).map(|index| &layers[index]);
                self.make_snapshot(&lease, layer, &files[..count], file)?;
            }
        }
        Ok(files)
    }

    /// Returns where the snapshots of a chain of layers are, there or not.
    fn snapshot_files(&self, layers: &[LayerFile]) -> Vec<PathBuf> {
        let directory = self.root.join("snapshots");
        let mut files = vec![directory.join(EMPTY)];
        let mut chain_id: Option<Digest> = None;
        for layer in layers {
            let chain = match chain_id {
                None => layer.diff_id,
                Some(below) => Digest::of(format!("{below} {}", layer.diff_id).as_bytes()),
            };
            let of_layer = directory.join(layer.diff_id.hex());
            files.push(of_layer.join(format!("{}.disk", chain.hex())));
            chain_id = Some(chain);
        }
        files
    }

    /// Makes one snapshot over those below it. The caller holds `layers/.lock`.
    fn make_snapshot(
        &self,
        lease: &Lease<'_>,
        layer: Option<&LayerFile>,
        below: &[PathBuf],
        file: &Path,
    ) -> Result<(), StoreError> {
        let failed = |source: SnapshotError| StoreError::Snapshot {
            layer: layer.map(|layer| layer.diff_id),
            source: Box::new(source),
        };
        let directory = file.parent().expect("a snapshot is below the store");
        make_directory(directory)?;
        let temporary = lease.new_path();
        let made = open_chain(below, &Limits::default())
            .map_err(SnapshotError::from)
            .and_then(|below| match layer {
                None => make_empty(&temporary, below),
                Some(layer) => add_layer(&temporary, below, &layer.path),
            });
        made.map_err(failed)?;
        fs::rename(&temporary, file).map_err(at("write", file))?;
        sync_directory(directory).map_err(at("write", directory))
    }
}

/// Makes a disk with an empty file system, and the directories that every root has.
fn make_empty(path: &Path, below: Arc<Snapshot>) -> Result<(), SnapshotError> {
    let disk = WritableDisk::create(path, below, ROOT_DISK_BYTES, Limits::default())?;
    make(
        &disk,
        &MakeOptions {
            identity: Identity::from_seed(seed()),
            time_seconds: EPOCH.seconds,
            block_size_bytes: Some(4096),
            label: String::new(),
            // What lies below it is written as a whole or not at all.
            journal: Journal::Absent,
        },
    )?;
    let system = FileSystem::open(disk, Access::ReadWrite, EPOCH)?;
    // Images have none.
    system.remove_directory(InodeNumber::ROOT, b"lost+found", EPOCH)?;
    let owner = Ownership {
        uid: 0,
        gid: 0,
        mode: 0o755,
    };
    for name in MOUNT_POINTS {
        system.create(InodeNumber::ROOT, name, &NewInode::Directory, owner, EPOCH)?;
    }
    freeze(system)
}

/// Makes a disk with what a layer changes of the one below.
fn add_layer(path: &Path, below: Arc<Snapshot>, tar: &Path) -> Result<(), SnapshotError> {
    let failed = |source| DiskFileError::Io {
        action: "open",
        path: tar.to_owned(),
        source,
    };
    let tar = File::open(tar).map_err(failed)?;
    let is_empty = tar.metadata().map_err(failed)?.len() == 0;
    let size_bytes = below.size();
    let disk = WritableDisk::create(path, below, size_bytes, Limits::default())?;
    let system = FileSystem::open(disk, Access::ReadWrite, EPOCH)?;
    let options = ImportOptions {
        directory: InodeNumber::ROOT,
        whiteouts: Whiteouts::Apply,
        time: EPOCH,
    };
    // A file of no bytes is a layer that changes nothing: umoci makes such.
    if !is_empty {
        import(&system, tar, &options)?;
    }
    freeze(system)
}

fn freeze(system: FileSystem<WritableDisk>) -> Result<(), SnapshotError> {
    system.sync(EPOCH)?;
    system.into_device().freeze()?;
    Ok(())
}

/// Returns what tells the disks of this store from all others. Names are hashed by it, so no guest may guess it.
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut seed)
        .expect("Linux has random bytes");
    seed
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
