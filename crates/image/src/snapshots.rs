//! A root's layers as snapshots of an ext4 disk: what containers write their changes over.
//!
//! `snapshots/empty.disk` is a file system without files; `snapshots/<diff id>/<chain id>.disk` has what that layer changes of the
//! disk of the layers below it. They are made from the layers' tars when they are first needed, and go with the layer. What a container
//! has changed lies over one chain of them and no other.
//!
//! Beside each, `<chain id>.made` has the random number that it was made with, which no guest may guess, and the BLAKE3 of the file. Equal layers and numbers make equal
//! bytes: one that is lost is made again with the same number, and containers over it go on. If the bytes are others after all, as with another minke, it gets a number of its
//! own, so that nobody takes it for the old one.
//!
//! Spec: OCI image-spec 1.1 config.md, "Layer ChainID".

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minke_disk::tree::{ImportError, ImportOptions, Whiteouts, import};
use minke_disk::{DiskFileError, Durability, Limits, Snapshot, WritableDisk, open_chain};
use minke_ext4::make::{Identity, Journal, MakeError, MakeOptions, make};
use minke_ext4::{Access, DeviceError, FileSystem, InodeNumber, NewInode, Ownership, Timestamp};

use crate::kept_snapshots::damage;
use crate::root::LayerFile;
use crate::store::{at, io_hint, make_directory};
use crate::{Digest, Lease, Store, StoreError};

/// Bytes of a root's disk. Its file takes what was written to it, so this only bounds what a container can fill.
pub const ROOT_DISK_BYTES: u64 = 64 << 30;

/// Directories of every root, on which the kernel's own file systems are mounted: to start changes nothing.
const MOUNT_POINTS: [&[u8]; 2] = [b"dev", b"proc"];

/// The file of the disk without files.
pub(crate) const EMPTY: &str = "empty.disk";

/// Separates the number of a file system from that of the file that it lies in.
const SYSTEM_CONTEXT: &str = "minke snapshot file system 1";

/// What a snapshot was made with, and what came of it.
pub(crate) struct Made {
    uuid: [u8; 16],
    pub(crate) sum: [u8; 32],
}

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
            _ if self.is_host_full() => Some(
                "free space on the file system of `MINKE_HOME`, or set it to a directory on another"
                    .to_owned(),
            ),
            Self::Make(_) | Self::FileSystem(_) | Self::Import(_) => None,
        }
    }

    fn is_host_full(&self) -> bool {
        const FULL: minke_ext4::Error = minke_ext4::Error::Device(DeviceError::NoSpace);
        match self {
            Self::File(_) => false,
            Self::Make(error) => matches!(error, MakeError::Device(DeviceError::NoSpace)),
            Self::FileSystem(error) => *error == FULL,
            Self::Import(error) => {
                matches!(error, ImportError::Disk { source, .. } if *source == FULL)
            }
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
        self.make_snapshots(layers, &files, || Ok(()))?;
        Ok(files)
    }

    /// Makes those of the snapshots that are not there, and does `then` before anybody can prune one.
    pub(crate) fn make_snapshots<T>(
        &self,
        layers: &[LayerFile],
        files: &[PathBuf],
        then: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let lease = self.lease()?;
        hold(&lease, layers)?;
        let _lock = self.lock_layers()?;
        for (count, file) in files.iter().enumerate() {
            if !file.exists() {
                let layer = count.checked_sub(1).map(|index| &layers[index]);
                self.make_snapshot(&lease, layer, &files[..count], file)?;
            }
        }
        then()
    }

    /// Makes those of these layers' snapshots again that are lost or damaged, lowest first, with the bytes that they had. Returns `false` when they would have
    /// others; then that one, and those over it, stay as they are.
    pub fn mend_snapshots(&self, layers: &[LayerFile]) -> Result<bool, StoreError> {
        let files = self.snapshot_files(layers);
        let lease = self.lease()?;
        hold(&lease, layers)?;
        let _lock = self.lock_layers()?;
        for (count, file) in files.iter().enumerate() {
            if file.exists() && damage(file).is_none() {
                continue;
            }
            let Some(lost) = Made::of(file) else {
                return Ok(false);
            };
            let layer = count.checked_sub(1).map(|index| &layers[index]);
            let below = &files[..count];
            let (temporary, made) = write_kept(lease.new_path(), layer, below, lost.uuid)?;
            if made.sum != lost.sum {
                return Ok(false);
            }
            // Over the damaged one: containers that run keep that, others find one at every moment.
            put(&temporary, file)?;
        }
        Ok(true)
    }

    /// Returns where the snapshots of a chain of layers are, there or not.
    pub(crate) fn snapshot_files(&self, layers: &[LayerFile]) -> Vec<PathBuf> {
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
        let directory = file.parent().expect("a snapshot is below the store");
        make_directory(directory)?;
        let made_path = file.with_extension("made");
        let lost = Made::of(file);
        let make = |uuid| write_kept(lease.new_path(), layer, below, uuid);
        let (temporary, made) = match lost {
            None => make(random_uuid())?,
            Some(lost) => match make(lost.uuid)? {
                (_, made) if made.sum != lost.sum => make(random_uuid())?,
                same => same,
            },
        };
        // Before the file: it is not known without.
        write_durably(&made_path, &made.encode()).map_err(at("write", &made_path))?;
        put(&temporary, file)
    }
}

/// Keeps the layers from being collected.
fn hold(lease: &Lease<'_>, layers: &[LayerFile]) -> Result<(), StoreError> {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
    lease.hold(&diff_ids)
}

/// Puts a snapshot that was written where it belongs. It is synced here, once, and not at each of its commits.
fn put(temporary: &Path, file: &Path) -> Result<(), StoreError> {
    let directory = file.parent().expect("a snapshot is below the store");
    let synced = File::open(temporary).and_then(|written| written.sync_all());
    synced.map_err(at("write", temporary))?;
    fs::rename(temporary, file).map_err(at("write", file))?;
    sync_directory(directory).map_err(at("write", directory))
}

impl Made {
    /// Returns that of a snapshot, there or lost.
    pub(crate) fn of(snapshot: &Path) -> Option<Made> {
        Made::decode(&fs::read(snapshot.with_extension("made")).ok()?)
    }

    fn encode(&self) -> Vec<u8> {
        [&self.uuid[..], &self.sum].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Made> {
        let (uuid, sum) = bytes.split_at_checked(16)?;
        Some(Made {
            uuid: uuid.try_into().ok()?,
            sum: sum.try_into().ok()?,
        })
    }
}

/// Writes a snapshot to a new file, which it returns with what came of it.
fn write_kept(
    path: PathBuf,
    layer: Option<&LayerFile>,
    below: &[PathBuf],
    uuid: [u8; 16],
) -> Result<(PathBuf, Made), StoreError> {
    write_snapshot(&path, layer, below, uuid)?;
    let sum = sum(&path).map_err(at("read", &path))?;
    Ok((path, Made { uuid, sum }))
}

/// Writes a snapshot to a new file, which is not durable.
pub(crate) fn write_snapshot(
    path: &Path,
    layer: Option<&LayerFile>,
    below: &[PathBuf],
    uuid: [u8; 16],
) -> Result<(), StoreError> {
    let written = open_chain(below, &Limits::default())
        .map_err(SnapshotError::from)
        .and_then(|below| match layer {
            None => make_empty(path, below, uuid),
            Some(layer) => add_layer(path, below, uuid, &layer.path),
        });
    written.map_err(|source| StoreError::Snapshot {
        layer: layer.map(|layer| layer.diff_id),
        source: Box::new(source),
    })
}

/// Makes a disk in a file that nobody relies on before it is whole: no commit waits for the host's disk.
fn new_disk(
    path: &Path,
    below: Arc<Snapshot>,
    uuid: [u8; 16],
    size_bytes: u64,
) -> Result<WritableDisk, DiskFileError> {
    let (durability, limits) = (Durability::Temporary, Limits::default());
    WritableDisk::create(path, below, uuid, size_bytes, durability, limits)
}

/// Returns the BLAKE3 of a file.
pub(crate) fn sum(path: &Path) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().into())
}

/// Makes a disk with an empty file system, and the directories that every root has.
fn make_empty(path: &Path, below: Arc<Snapshot>, uuid: [u8; 16]) -> Result<(), SnapshotError> {
    let disk = new_disk(path, below, uuid, ROOT_DISK_BYTES)?;
    make(
        &disk,
        &MakeOptions {
            identity: Identity::from_seed(blake3::derive_key(SYSTEM_CONTEXT, &uuid)),
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
fn add_layer(
    path: &Path,
    below: Arc<Snapshot>,
    uuid: [u8; 16],
    tar: &Path,
) -> Result<(), SnapshotError> {
    let failed = |source| DiskFileError::Io {
        action: "open",
        path: tar.to_owned(),
        source,
    };
    let tar = File::open(tar).map_err(failed)?;
    let is_empty = tar.metadata().map_err(failed)?.len() == 0;
    let size_bytes = below.size();
    let disk = new_disk(path, below, uuid, size_bytes)?;
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

/// Returns what tells a file from all others. Names are hashed by what comes of it, so no guest may guess it.
pub(crate) fn random_uuid() -> [u8; 16] {
    let mut uuid = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut uuid)
        .expect("Linux has random bytes");
    uuid
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = file.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// More than a disk keeps in memory, with names enough for a tree of hashes, and links.
    pub(crate) fn layer(store: &Store, number: u8) -> LayerFile {
        let path = store.root.join(format!("layer{number}.tar"));
        let mut tar = tar::Builder::new(File::create(&path).expect("made"));
        let mut add = |name: String, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(7);
            tar.append_data(&mut header, name, bytes).expect("added");
        };
        for index in 0..400_u32 {
            let bytes = vec![(index as u8).wrapping_add(number); 40_000 + index as usize];
            add(format!("directory/{number}/file{index}"), &bytes);
        }
        add("same".to_owned(), &[number; 3]);
        tar.finish().expect("written");
        LayerFile {
            diff_id: Digest::of(&[number]),
            size_bytes: fs::metadata(&path).expect("written").len(),
            path,
        }
    }

    #[test]
    fn a_snapshot_that_is_made_again_has_the_same_bytes() {
        let home = tempfile::tempdir().expect("a directory");
        let store = Store::open(home.path()).expect("a store");
        let layers = [layer(&store, 1), layer(&store, 2)];
        let files = store.root_snapshots(&layers).expect("made");
        let made: Vec<_> = files
            .iter()
            .map(|it| fs::read(it).expect("there"))
            .collect();
        for lost in [&files[1..2], &files[..], &files[2..]] {
            for file in lost {
                fs::remove_file(file).expect("there");
            }
            assert_eq!(store.root_snapshots(&layers).expect("made"), files);
            for (file, expected) in files.iter().zip(&made) {
                // Their bytes are too many to be shown.
                assert!(
                    &fs::read(file).expect("there") == expected,
                    "{}",
                    file.display()
                );
            }
        }
    }

    #[test]
    fn one_that_comes_out_otherwise_is_not_taken_for_the_old_one() {
        let home = tempfile::tempdir().expect("a directory");
        let store = Store::open(home.path()).expect("a store");
        let layers = [layer(&store, 1)];
        let files = store.root_snapshots(&layers).expect("made");
        let identity = || {
            open_chain(&files, &Limits::default())
                .expect("whole")
                .identity()
        };
        let before = identity();
        fs::remove_file(&files[1]).expect("there");
        let mut tar = fs::read(&layers[0].path).expect("there");
        // In the content of the first file.
        tar[512 + 512] ^= 1;
        fs::write(&layers[0].path, tar).expect("written");
        store.root_snapshots(&layers).expect("made");
        assert_ne!(identity(), before);
    }
}
