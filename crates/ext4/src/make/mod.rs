//! Makes file systems: ext4 with the features that `mkfs.ext4` gives one, and a geometry that is the same as its.
//!
//! What is made depends on the options alone: no clock, no chance. Blocks of zeros are not written, so that a sparse file stays
//! sparse: 8 GiB take some hundred kilobytes.
//!
//! | module | is |
//! |---|---|
//! | `geometry` | how many groups, inodes, and blocks of what |
//! | `runs` | which blocks are taken |
//! | `plan` | where everything lies |
//! | `write` | the blocks' bytes |
//!
//! Spec: ext4 disk layout, "Layout", "Flexible Block Groups", "Special inodes"; `mke2fs(8)` and `mke2fs.conf(5)` for defaults.

mod geometry;
mod plan;
mod runs;
mod write;

use crate::device::{Device, DeviceError};

/// Bytes that the label has room for.
pub const LABEL_BYTES_MAX: usize = 16;
/// Block sizes that can be made, in bytes.
pub const BLOCK_SIZES: [u32; 3] = [1024, 2048, 4096];

/// What tells a file system from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub uuid: [u8; 16],
    /// By which names are hashed: whoever knows it can make names that collide.
    pub hash_seed: [u8; 16],
}

impl Identity {
    /// Takes both from random bytes, as version 4 of RFC 9562 forms them.
    pub fn from_seed(seed: [u8; 32]) -> Identity {
        let (first, second) = seed.split_at(16);
        Identity {
            uuid: random_uuid(first),
            hash_seed: random_uuid(second),
        }
    }
}

fn random_uuid(bytes: &[u8]) -> [u8; 16] {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(bytes);
    uuid[6] = uuid[6] & 0x0f | 0x40;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

/// Whether a file system has a journal. One that only this crate writes needs none; Linux does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// As large as `mkfs.ext4` makes it; none below 2,048 blocks.
    Usual,
    Absent,
}

/// What a file system is to be like.
#[derive(Clone, Debug)]
pub struct MakeOptions {
    pub identity: Identity,
    /// Seconds since 1970: when it was made.
    pub time_seconds: i64,
    /// One of [`BLOCK_SIZES`]; `None`: 1 KiB below 512 MiB, else 4 KiB, as `mke2fs.conf` says.
    pub block_size_bytes: Option<u32>,
    /// At most [`LABEL_BYTES_MAX`] bytes.
    pub label: String,
    pub journal: Journal,
}

/// Why no file system was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    #[error("{size_bytes} bytes are too few for a file system")]
    TooSmall { size_bytes: u64 },
    #[error("{size_bytes} bytes are more than blocks of this size can have numbers for")]
    TooLarge { size_bytes: u64 },
    #[error("a block of {size_bytes} bytes cannot be made")]
    BlockSize { size_bytes: u32 },
    #[error("the label `{label}` is longer than {LABEL_BYTES_MAX} bytes")]
    LabelTooLong { label: String },
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Makes a file system that fills the device, and commits it.
///
/// The device must read as zeros, as a new file does: what is to be zero is not written.
///
/// # Errors
/// [`MakeError`] if the device is too small or too large or the options are impossible (then nothing was written), or as the device fails.
pub fn make(device: &dyn Device, options: &MakeOptions) -> Result<(), MakeError> {
    if options.label.len() > LABEL_BYTES_MAX {
        return Err(MakeError::LabelTooLong {
            label: options.label.clone(),
        });
    }
    let geometry = geometry::Geometry::new(device.size(), options)?;
    let plan = plan::Plan::new(geometry).ok_or(MakeError::TooSmall {
        size_bytes: device.size(),
    })?;
    write::write(device, &plan, options)?;
    Ok(device.commit()?)
}
