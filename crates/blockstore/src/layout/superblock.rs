//! The superblock: what the file is, what it lies on, and where map and log begin.

use std::fmt;

use super::{Digest, Identity, PageRef, Slot, array_at, put, u32_at, u64_at};
use crate::{BLOCK_BYTES, DISK_BYTES_MAX, DiskError};

/// Bytes that are read and written: one sector, which a disk writes whole or not at all.
pub(crate) const SUPERBLOCK_BYTES: usize = 512;

const MAGIC: &[u8; 8] = b"minkeCHG";
const VERSION: u32 = 1;
/// Superblocks and segments are counted from one, and no file lives so long.
const COUNT_MAX: u64 = 1 << 62;

/// Where each field begins.
mod at {
    pub(super) const MAGIC: usize = 0;
    pub(super) const VERSION: usize = 8;
    pub(super) const BLOCK_SIZE: usize = 12;
    pub(super) const UUID: usize = 16;
    pub(super) const DISK_SIZE: usize = 32;
    pub(super) const BELOW_SIZE: usize = 40;
    pub(super) const BELOW_DIGEST: usize = 48;
    pub(super) const STATE: usize = 80;
    pub(super) const FEATURES: usize = 84;
    pub(super) const NUMBER: usize = 88;
    pub(super) const SEQUENCE: usize = 96;
    pub(super) const LOG_SLOT: usize = 104;
    pub(super) const DIRECTORY_SLOT: usize = 108;
    pub(super) const DIRECTORY_DIGEST: usize = 112;
    pub(super) const CHECKSUM: usize = 480;
}

/// What may be done with a change file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// The upper end of its chain; it may be written.
    Active = 0,
    /// A snapshot, for ever unchanged.
    Frozen = 1,
    /// Its changes are being written into its base, which is neither the old nor the new one until that is done.
    Merging = 2,
    /// Its base has all its changes, durably. It may be deleted.
    Merged = 3,
}

impl State {
    fn from_number(number: u32) -> Option<State> {
        [Self::Active, Self::Frozen, Self::Merging, Self::Merged]
            .into_iter()
            .find(|it| *it as u32 == number)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Frozen => "a frozen snapshot",
            Self::Merging => "being merged into its base",
            Self::Merged => "merged into its base",
        })
    }
}

/// What a change file says about itself, before it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeFile {
    /// Tells it from all others; what its checksums begin with.
    pub uuid: [u8; 16],
    /// Of the whole disk.
    pub size_bytes: u64,
    /// What it must lie on.
    pub below: Identity,
    pub state: State,
}

/// The file's superblock. There are two equal copies, but for a moment in each checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) file: ChangeFile,
    /// Grows by one with each superblock written.
    pub(crate) number: u64,
    /// Of the log's first segment.
    pub(crate) sequence: u64,
    /// Where the log's first segment is, or will be.
    pub(crate) log: Slot,
    /// The first page of the map's directory; none if nothing is mapped.
    pub(crate) directory: Option<PageRef>,
}

impl Superblock {
    pub(crate) fn encode(&self) -> [u8; SUPERBLOCK_BYTES] {
        let mut bytes = [0; SUPERBLOCK_BYTES];
        put(&mut bytes, at::MAGIC, MAGIC);
        put(&mut bytes, at::VERSION, &VERSION.to_le_bytes());
        put(
            &mut bytes,
            at::BLOCK_SIZE,
            &(BLOCK_BYTES as u32).to_le_bytes(),
        );
        put(&mut bytes, at::UUID, &self.file.uuid);
        put(
            &mut bytes,
            at::DISK_SIZE,
            &self.file.size_bytes.to_le_bytes(),
        );
        let below = &self.file.below;
        put(&mut bytes, at::BELOW_SIZE, &below.size_bytes.to_le_bytes());
        put(&mut bytes, at::BELOW_DIGEST, &below.digest);
        let state = self.file.state as u32;
        put(&mut bytes, at::STATE, &state.to_le_bytes());
        put(&mut bytes, at::NUMBER, &self.number.to_le_bytes());
        put(&mut bytes, at::SEQUENCE, &self.sequence.to_le_bytes());
        put(&mut bytes, at::LOG_SLOT, &self.log.0.to_le_bytes());
        if let Some(page) = &self.directory {
            put(&mut bytes, at::DIRECTORY_SLOT, &page.slot.0.to_le_bytes());
            put(&mut bytes, at::DIRECTORY_DIGEST, &page.digest);
        }
        let checksum = checksum(&bytes);
        put(&mut bytes, at::CHECKSUM, &checksum);
        bytes
    }

    /// Reads a copy that lies at `offset`. One of a newer version is refused by name, whatever else it holds.
    pub(crate) fn decode(
        bytes: &[u8; SUPERBLOCK_BYTES],
        offset: u64,
    ) -> Result<Superblock, DiskError> {
        let corrupt = |what| DiskError::Corrupt { what, offset };
        if bytes[at::MAGIC..at::MAGIC + MAGIC.len()] != *MAGIC {
            return Err(corrupt("this is no change file: no superblock"));
        }
        let version = u32_at(bytes, at::VERSION);
        if version > VERSION {
            return Err(DiskError::NewerVersion {
                found: version,
                supported: VERSION,
            });
        }
        if array_at(bytes, at::CHECKSUM) != checksum(bytes) {
            return Err(corrupt("the superblock's checksum is wrong"));
        }
        Self::check(bytes).map_err(|what| match what {
            Fault::Nonsense(what) => corrupt(what),
            Fault::Unknown(feature) => DiskError::Unsupported { feature },
        })?;
        Ok(Self::fields(bytes))
    }

    /// Refuses values that no writer of this version writes.
    fn check(bytes: &[u8; SUPERBLOCK_BYTES]) -> Result<(), Fault> {
        let size = u64_at(bytes, at::DISK_SIZE);
        if u32_at(bytes, at::BLOCK_SIZE) != BLOCK_BYTES as u32 {
            return Err(Fault::Unknown("its blocks are not of 4 KiB"));
        }
        if u32_at(bytes, at::FEATURES) != 0 {
            return Err(Fault::Unknown("it has features of a newer minke"));
        }
        if size > DISK_BYTES_MAX || size < u64_at(bytes, at::BELOW_SIZE) {
            return Err(Fault::Nonsense("the disk's size in the superblock"));
        }
        if State::from_number(u32_at(bytes, at::STATE)).is_none() {
            return Err(Fault::Nonsense("the state in the superblock"));
        }
        let counts = [at::NUMBER, at::SEQUENCE].map(|it| u64_at(bytes, it));
        if counts.iter().any(|count| *count > COUNT_MAX) {
            return Err(Fault::Nonsense("a count in the superblock"));
        }
        let directory = u32_at(bytes, at::DIRECTORY_SLOT);
        if u32_at(bytes, at::LOG_SLOT) < Slot::FIRST.0 || directory == 1 {
            return Err(Fault::Nonsense("a slot in the superblock"));
        }
        Ok(())
    }

    fn fields(bytes: &[u8; SUPERBLOCK_BYTES]) -> Superblock {
        let directory = Slot(u32_at(bytes, at::DIRECTORY_SLOT));
        Superblock {
            file: ChangeFile {
                uuid: array_at(bytes, at::UUID),
                size_bytes: u64_at(bytes, at::DISK_SIZE),
                below: Identity {
                    size_bytes: u64_at(bytes, at::BELOW_SIZE),
                    digest: array_at(bytes, at::BELOW_DIGEST),
                },
                state: State::from_number(u32_at(bytes, at::STATE)).unwrap_or(State::Frozen),
            },
            number: u64_at(bytes, at::NUMBER),
            sequence: u64_at(bytes, at::SEQUENCE),
            log: Slot(u32_at(bytes, at::LOG_SLOT)),
            directory: (directory.0 != 0).then(|| PageRef {
                slot: directory,
                digest: array_at(bytes, at::DIRECTORY_DIGEST),
            }),
        }
    }

    /// Returns what the log's first segment is tied to.
    pub(crate) fn chain(&self) -> Digest {
        array_at(&self.encode(), at::CHECKSUM)
    }

    /// Returns the identity of the disk as it is when the log is empty.
    pub(crate) fn identity(&self) -> Identity {
        let mut hasher = blake3::Hasher::new_derive_key("minke disk identity 1");
        hasher.update(&self.file.uuid);
        hasher.update(&self.file.size_bytes.to_le_bytes());
        hasher.update(&self.file.below.size_bytes.to_le_bytes());
        hasher.update(&self.file.below.digest);
        hasher.update(&self.sequence.to_le_bytes());
        if let Some(page) = &self.directory {
            hasher.update(&page.digest);
        }
        Identity {
            size_bytes: self.file.size_bytes,
            digest: hasher.finalize().into(),
        }
    }
}

/// Why a superblock with a right checksum is refused.
enum Fault {
    Nonsense(&'static str),
    Unknown(&'static str),
}

fn checksum(bytes: &[u8; SUPERBLOCK_BYTES]) -> Digest {
    blake3::hash(&bytes[..at::CHECKSUM]).into()
}
