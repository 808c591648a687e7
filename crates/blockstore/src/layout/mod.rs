//! The format of a change file: slots in, values out, and back. No input or output.
//!
//! Every number is little-endian. Slots 0 and 1 hold the [`Superblock`], twice; all others are given out as they are needed.
//! Byte by byte: `docs/design/0001-disks.md`.

mod page;
mod segment;
mod superblock;

use std::fmt;

pub(crate) use page::{DIRECTORY_ENTRIES_MAX, DirectoryEntry, DirectoryPage, PageRef, Region};
pub(crate) use page::{decode_leaf, encode_leaf};
pub(crate) use segment::{ENTRIES_MAX, Entry, Segment};
pub use superblock::{ChangeFile, State};
pub(crate) use superblock::{SUPERBLOCK_BYTES, Superblock};

use crate::BLOCK_BYTES;

/// The largest disk: blocks are counted in 32 bits. Spec: ext4 disk layout, "Blocks": without `64bit` it has the same limit.
pub const DISK_BYTES_MAX: u64 = (1 << 32) * BLOCK_BYTES as u64;

/// A block of a disk, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BlockNumber(pub(crate) u32);

/// A slot of a change file, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    /// The first slot behind the superblocks.
    pub(crate) const FIRST: Slot = Slot(2);

    /// Returns where in the file the slot begins, in bytes.
    pub(crate) fn offset(self) -> u64 {
        u64::from(self.0) * BLOCK_BYTES as u64
    }
}

/// What a disk lies on: a base image, or a chain of snapshots. Equal identities mean equal bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    pub size_bytes: u64,
    /// Of a base: the BLAKE3 of its content, or whatever its owner derives from that. Of a chain: BLAKE3 over the identity below
    /// and the map of the uppermost file.
    pub digest: [u8; 32],
}

impl Identity {
    /// Nothing: every block is zeros.
    pub const NOTHING: Identity = Identity {
        size_bytes: 0,
        digest: [0; 32],
    };
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NOTHING {
            return f.write_str("nothing");
        }
        let digest = blake3::Hash::from_bytes(self.digest).to_hex();
        write!(f, "{} ({} bytes)", &digest[..16], self.size_bytes)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What makes the checksums of one file its own.
///
/// Blocks hold whatever a guest wrote. Since no guest knows the file's identifier, none can write a block that would pass for a
/// part of the log or of the map after a crash.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

/// A checksum that ties a segment to the one before it.
pub(crate) type Digest = [u8; 32];

impl Key {
    pub(crate) fn new(uuid: &[u8; 16]) -> Key {
        Key(blake3::derive_key("minke change file 1", uuid))
    }

    pub(crate) fn digest(&self, bytes: &[u8]) -> Digest {
        blake3::keyed_hash(&self.0, bytes).into()
    }

    /// Returns the digest of a page of the map.
    pub(crate) fn page_digest(&self, bytes: &[u8]) -> [u8; 16] {
        array_at(&self.digest(bytes), 0)
    }

    /// Returns the checksum of a published block.
    pub(crate) fn sum(&self, bytes: &[u8]) -> u64 {
        u64_at(&self.digest(bytes), 0)
    }
}

/// Returns the array at a place that the caller's type has.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
