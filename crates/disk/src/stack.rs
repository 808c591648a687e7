//! Layers of an image over each other as one plain disk, or as what can be read of one.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use minke_archive::Whiteouts;
use minke_ext4::make::{Identity, Journal, MakeError, MakeOptions, make};
use minke_ext4::{Access, Error, FileSystem, InodeNumber, MemoryDevice, Timestamp};

use super::FileDevice;
use super::tree::{ImportError, ImportOptions, import};

/// Bytes of a block of the disk.
const BLOCK_SIZE: u32 = 4096;
/// Bytes that are read of a layer at a time.
const BUFFER_BYTES: usize = 256 << 10;
/// Part of the content that is left free, and how much at least.
const SLACK_DIVISOR: u64 = 8;
const SLACK_BYTES_MIN: u64 = 8 << 20;
/// Sizes are multiples of this.
const UNIT_BYTES: u64 = 1 << 20;
/// What a disk for content that was not measured yet has: room for any tar, whose entries take 512 bytes at least, at 16 KiB for an inode.
const SCRATCH_FACTOR: u64 = 32;
const SCRATCH_BYTES_MIN: u64 = 2 << 30;
/// Disks of more blocks cannot be made.
const SCRATCH_BYTES_MAX: u64 = 15 << 40;

/// Why layers did not become a disk.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    #[error("cannot {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot make the disk")]
    Make(#[from] MakeError),
    #[error("cannot write the disk")]
    Disk(#[from] Error),
    #[error("cannot apply the layer `{}`", path.display())]
    Layer { path: PathBuf, source: ImportError },
}

/// What the disk is to be like; it depends on nothing else.
#[derive(Clone, Debug)]
pub struct StackOptions {
    pub identity: Identity,
    /// When it was made, and what has no time of its own.
    pub time: Timestamp,
    pub label: String,
    pub journal: Journal,
    /// `None`: as large as need be for the layers, whatever is in them.
    pub size_bytes: Option<u64>,
}

/// Makes a disk in an empty file and applies layers to it, the lowest first. They are tars that are not packed.
///
/// # Errors
/// [`StackError`]; then the file is worth nothing.
pub fn stack_layers(
    layers: &[impl AsRef<Path>],
    file: File,
    options: &StackOptions,
) -> Result<FileSystem<FileDevice>, StackError> {
    let size_bytes = match options.size_bytes {
        Some(size) => size,
        None => scratch_size(layers)?,
    };
    let at = |source| StackError::Io {
        action: "write",
        path: PathBuf::from("the disk"),
        source,
    };
    file.set_len(size_bytes).map_err(at)?;
    let device = FileDevice::new(file).map_err(at)?;
    make(&device, &make_options(options))?;
    let system = FileSystem::open(device, Access::ReadWrite, options.time)?;
    for layer in layers {
        apply(&system, layer.as_ref(), options.time)?;
    }
    system.sync(options.time)?;
    Ok(system)
}

/// Returns the size of a disk that has what this one has, with an eighth more, at least 8 MiB, to be filled by others than root.
///
/// # Errors
/// [`StackError::Make`] if there is no such disk.
pub fn fitted_size(
    content: &FileSystem<FileDevice>,
    options: &StackOptions,
) -> Result<u64, StackError> {
    let used = content.statistics();
    let used_bytes = (used.blocks - used.blocks_free) * u64::from(used.block_size);
    let needed = used_bytes + (used_bytes / SLACK_DIVISOR).max(SLACK_BYTES_MIN);
    let inodes = used.inodes - used.inodes_free;
    let inodes = inodes + inodes / SLACK_DIVISOR as u32;
    let mut size_bytes = needed.next_multiple_of(UNIT_BYTES);
    loop {
        let found = empty_statistics(size_bytes, options)?;
        let available = found.blocks_available * u64::from(found.block_size);
        let missing = needed.saturating_sub(available);
        let missing_inodes = inodes.saturating_sub(found.inodes_free);
        if missing == 0 && missing_inodes == 0 {
            return Ok(size_bytes);
        }
        let bytes_per_inode = size_bytes.div_ceil(found.inodes.into());
        let more = missing.max(u64::from(missing_inodes) * bytes_per_inode);
        size_bytes = (size_bytes + more).next_multiple_of(UNIT_BYTES);
    }
}

/// Returns what an empty disk of a size has.
fn empty_statistics(
    size_bytes: u64,
    options: &StackOptions,
) -> Result<minke_ext4::Statistics, StackError> {
    let device = MemoryDevice::new(size_bytes);
    make(&device, &make_options(options))?;
    let system = FileSystem::open(device, Access::ReadOnly, options.time)?;
    Ok(system.statistics())
}

fn make_options(options: &StackOptions) -> MakeOptions {
    MakeOptions {
        identity: options.identity,
        time_seconds: options.time.seconds,
        block_size_bytes: Some(BLOCK_SIZE),
        label: options.label.clone(),
        journal: options.journal,
    }
}

fn scratch_size(layers: &[impl AsRef<Path>]) -> Result<u64, StackError> {
    let mut tars_bytes = 0;
    for layer in layers {
        let metadata = layer.as_ref().metadata().map_err(reading(layer.as_ref()))?;
        tars_bytes += metadata.len();
    }
    let size_bytes = SCRATCH_BYTES_MIN.saturating_add(tars_bytes.saturating_mul(SCRATCH_FACTOR));
    Ok(size_bytes
        .next_multiple_of(UNIT_BYTES)
        .min(SCRATCH_BYTES_MAX))
}

fn apply(system: &FileSystem<FileDevice>, layer: &Path, time: Timestamp) -> Result<(), StackError> {
    let file = File::open(layer).map_err(reading(layer))?;
    let options = ImportOptions {
        directory: InodeNumber::ROOT,
        whiteouts: Whiteouts::Apply,
        time,
    };
    let tar = BufReader::with_capacity(BUFFER_BYTES, file);
    let imported = import(system, tar, &options);
    imported.map(drop).map_err(|source| StackError::Layer {
        path: layer.to_owned(),
        source,
    })
}

fn reading(path: &Path) -> impl FnOnce(io::Error) -> StackError {
    let path = path.to_owned();
    move |source| StackError::Io {
        action: "read",
        path,
        source,
    }
}
