//! Snapshots: a base and frozen change files over it, read as one disk.
//!
//! What the files say is brought together leaf by leaf, when a leaf is first looked at, into one map: a read through twenty
//! snapshots looks up one number, as a read of one file does. Opening reads the directories only.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::error::cannot;
use crate::layout::{DirectoryEntry, Identity, Key, PageRef, Region, State};
use crate::map::{LEAF_BLOCKS, Place};
use crate::recovery::{FoundSuperblock, Reader, read_exact, read_superblock};
use crate::{BLOCK_BYTES, DISK_BYTES_MAX, DiskError, Limits, Storage};

/// Frozen files over one base. Each is looked at when a leaf is first read.
const LAYERS_MAX: usize = 1024;
/// Leaves of a node of the merged map, 4 GiB of the disk.
const NODE_LEAVES: usize = 1024;

/// A disk that does not change. Clones share files and maps.
///
/// Its map takes 8 bytes for each block of a region of 4 MiB that a frozen file has changed and that was read.
#[derive(Clone)]
pub struct Snapshot {
    size_bytes: u64,
    identity: Identity,
    base: Option<Arc<dyn Storage>>,
    base_bytes: u64,
    /// From the lowest up.
    layers: Vec<Arc<Layer>>,
    merged: Arc<[OnceLock<MergedNode>]>,
}

/// A frozen change file.
pub(crate) struct Layer {
    storage: Arc<dyn Storage>,
    key: Key,
    /// Of the disk that it is the top of.
    identity: Identity,
    blocks_count: u64,
    /// Whole slots in the file.
    slots_count: u64,
    directory: Vec<DirectoryEntry>,
}

type MergedNode = Box<[OnceLock<MergedLeaf>]>;

enum MergedLeaf {
    Base,
    Places(Box<[MergedPlace; LEAF_BLOCKS]>),
}

/// A layer in the upper half, and what a leaf says in the lower.
#[derive(Clone, Copy, PartialEq, Eq)]
struct MergedPlace(u64);

impl MergedPlace {
    const BASE: MergedPlace = MergedPlace(0);

    fn new(layer: usize, code: u32) -> MergedPlace {
        match Place::of_code(code) {
            Place::Slot(_) => Self((layer as u64) << 32 | u64::from(code)),
            _ => Self(u64::from(code)),
        }
    }

    fn layer(self) -> usize {
        (self.0 >> 32) as usize
    }

    fn place(self) -> Place {
        Place::of_code(self.0 as u32)
    }

    /// Returns the place of the block `count` blocks further, if they lie in one run.
    fn further(self, count: u64) -> MergedPlace {
        match self.place() {
            Place::Slot(_) => Self(self.0 + count),
            _ => self,
        }
    }
}

impl Snapshot {
    /// Returns the disk of no bytes, for disks that lie on nothing.
    pub fn nothing() -> Snapshot {
        Snapshot {
            size_bytes: 0,
            identity: Identity::NOTHING,
            base: None,
            base_bytes: 0,
            layers: Vec::new(),
            merged: Arc::new([]),
        }
    }

    /// Returns the disk that `base` holds, which must not change while it is used.
    ///
    /// The caller answers for the digest; a base of another size is [`DiskError::WrongBase`].
    pub fn of_base(base: Arc<dyn Storage>, identity: Identity) -> Result<Snapshot, DiskError> {
        let length = base.length();
        let size_bytes = length.map_err(cannot("read the size of the disk's base"))?;
        if size_bytes != identity.size_bytes {
            return Err(DiskError::WrongBase {
                expected: identity,
                found: Identity {
                    size_bytes,
                    ..identity
                },
            });
        }
        check_size(size_bytes)?;
        Ok(Snapshot {
            size_bytes,
            identity,
            base: Some(base),
            base_bytes: size_bytes,
            layers: Vec::new(),
            merged: Arc::new([]),
        })
    }

    /// Returns this disk with the changes of a frozen file, which must name this one as what it lies on.
    pub fn with(&self, file: Arc<dyn Storage>, limits: &Limits) -> Result<Snapshot, DiskError> {
        let FoundSuperblock {
            superblock,
            needs_repair,
        } = read_superblock(&*file)?;
        if needs_repair {
            // What froze it may have crashed before that was durable, and what lies on it must not outlive that.
            file.sync().map_err(cannot("make the snapshot durable"))?;
        }
        if superblock.file.below != self.identity {
            return Err(DiskError::WrongBase {
                expected: superblock.file.below,
                found: self.identity,
            });
        }
        if superblock.file.state != State::Frozen {
            return Err(DiskError::Unsupported {
                feature: "a snapshot must be frozen, and this is not",
            });
        }
        if self.layers.len() == LAYERS_MAX {
            return Err(DiskError::Unsupported {
                feature: "there are more than 1024 snapshots below it",
            });
        }
        let key = Key::new(&superblock.file.uuid);
        let size_bytes = superblock.file.size_bytes;
        let blocks_count = size_bytes.div_ceil(BLOCK_BYTES as u64);
        let reader = Reader {
            storage: &*file,
            key: &key,
            blocks_count,
        };
        let directory = reader.directory(superblock.directory, limits)?.entries;
        let length = file.length();
        let length = length.map_err(cannot("read the size of the change file"))?;
        let identity = superblock.identity();
        let layer = Layer {
            storage: file,
            key,
            identity,
            blocks_count,
            slots_count: length / BLOCK_BYTES as u64,
            directory,
        };
        let layers = self.layers.iter().cloned().chain([Arc::new(layer)]);
        let nodes_count = blocks_count.div_ceil((LEAF_BLOCKS * NODE_LEAVES) as u64);
        Ok(Snapshot {
            size_bytes,
            identity,
            base: self.base.clone(),
            base_bytes: self.base_bytes,
            layers: layers.collect(),
            merged: (0..nodes_count).map(|_| OnceLock::new()).collect(),
        })
    }

    /// Returns the frozen files over `base`, from the lowest up; `None` if this disk does not lie on it.
    pub(crate) fn layers_over(&self, base: &Snapshot) -> Option<&[Arc<Layer>]> {
        let (below, own) = self.layers.split_at_checked(base.layers.len())?;
        // Keys are of random identifiers.
        let keys = below.iter().zip(&base.layers);
        let is_same = keys.into_iter().all(|(own, other)| own.key == other.key);
        (is_same && self.base_bytes == base.base_bytes).then_some(own)
    }

    /// Returns the size in bytes.
    pub fn size(&self) -> u64 {
        self.size_bytes
    }

    /// Returns what tells this disk from all others.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Returns the identity of the lowest snapshot of this chain which has these ranges of bytes as this one has them: the bytes there are the same in all disks over it
    /// that say so of the same ranges. Without any, or if all of them lie below the frozen files, it is the first of those.
    ///
    /// # Errors
    /// What reading the maps gives.
    pub fn origin_of(
        &self,
        ranges: impl IntoIterator<Item = Range<u64>>,
    ) -> Result<Identity, DiskError> {
        let mut highest = 0;
        for range in ranges {
            check_range(range.start, range.end - range.start, self.size_bytes)?;
            let mut at = range.start;
            while at < range.end {
                let (place, length) = self.run_at(at, range.end - at)?;
                highest = highest.max(match place.place() {
                    Place::Below => 0,
                    Place::Slot(_) => place.layer(),
                    // Nobody noted who made them so.
                    Place::Zeros => self.layers.len() - 1,
                });
                at += length;
            }
        }
        let layer = self.layers.get(highest);
        Ok(layer.map_or(self.identity, |layer| layer.identity))
    }

    /// Fills `bytes` from `offset`.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        check_range(offset, bytes.len() as u64, self.size_bytes)?;
        self.read_or_zeros(offset, bytes)
    }

    /// Fills `bytes` from `offset`; behind the end there are zeros.
    pub(crate) fn read_or_zeros(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        let (mut bytes, behind) = split_at_end(offset, bytes, self.size_bytes);
        behind.fill(0);
        let mut offset = offset;
        while !bytes.is_empty() {
            let (place, length) = self.run_at(offset, bytes.len() as u64)?;
            let (part, rest) = bytes.split_at_mut(length as usize);
            match place.place() {
                Place::Below => self.read_base(offset, part)?,
                Place::Zeros => part.fill(0),
                Place::Slot(slot) => {
                    let at = slot.offset() + offset % BLOCK_BYTES as u64;
                    read_stored(&*self.layers[place.layer()].storage, at, part)?;
                }
            }
            (bytes, offset) = (rest, offset + length);
        }
        Ok(())
    }

    fn read_base(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        let (bytes, behind) = split_at_end(offset, bytes, self.base_bytes);
        behind.fill(0);
        let Some(base) = self.base.as_deref().filter(|_| !bytes.is_empty()) else {
            return Ok(());
        };
        match base.mapped(offset, bytes.len()) {
            Some(mapped) => bytes.copy_from_slice(mapped),
            None => base
                .read_at(offset, bytes)
                .map_err(cannot("read the disk's base"))?,
        }
        Ok(())
    }

    /// Returns bytes from `offset` on as they lie in memory, if they do: as many, at most `length`, as one mapped file has in sequence.
    pub fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]> {
        check_range(offset, length as u64, self.size_bytes).ok()?;
        if length == 0 {
            return None;
        }
        let (place, found) = self.run_at(offset, length as u64).ok()?;
        let length = found.min(length as u64) as usize;
        match place.place() {
            Place::Below => self.base.as_ref()?.mapped(offset, length),
            Place::Zeros => None,
            Place::Slot(slot) => {
                let at = slot.offset() + offset % BLOCK_BYTES as u64;
                self.layers[place.layer()].storage.mapped(at, length)
            }
        }
    }

    /// Returns where the block at `offset` is, and how many bytes from `offset` lie in sequence with it, `length_max` at most.
    fn run_at(&self, offset: u64, length_max: u64) -> Result<(MergedPlace, u64), DiskError> {
        if self.layers.is_empty() {
            return Ok((MergedPlace::BASE, length_max));
        }
        let first = offset / BLOCK_BYTES as u64;
        let end = (offset + length_max).div_ceil(BLOCK_BYTES as u64);
        let place = self.place(first)?;
        let mut at = first;
        while at < end {
            let index = (at % LEAF_BLOCKS as u64) as usize;
            let length = (end - at).min((LEAF_BLOCKS - index) as u64);
            let expected = place.further(at - first);
            let matching = match self.leaf(at / LEAF_BLOCKS as u64)? {
                MergedLeaf::Base if expected == MergedPlace::BASE => length,
                MergedLeaf::Base => 0,
                MergedLeaf::Places(places) => {
                    let places = places[index..].iter().take(length as usize).zip(0..);
                    let matching =
                        places.take_while(|(it, count)| **it == expected.further(*count));
                    matching.count() as u64
                }
            };
            at += matching;
            if matching < length {
                break;
            }
        }
        let run_end = at * BLOCK_BYTES as u64;
        Ok((place, (run_end - offset).min(length_max)))
    }

    fn place(&self, block: u64) -> Result<MergedPlace, DiskError> {
        Ok(match self.leaf(block / LEAF_BLOCKS as u64)? {
            MergedLeaf::Base => MergedPlace::BASE,
            MergedLeaf::Places(places) => places[(block % LEAF_BLOCKS as u64) as usize],
        })
    }

    /// Returns a leaf of the merged map, which is made when it is first asked for.
    fn leaf(&self, leaf: u64) -> Result<&MergedLeaf, DiskError> {
        let (node, index) = (leaf as usize / NODE_LEAVES, leaf as usize % NODE_LEAVES);
        let empty = || (0..NODE_LEAVES).map(|_| OnceLock::new()).collect();
        let cell = &self.merged[node].get_or_init(empty)[index];
        match cell.get() {
            Some(merged) => Ok(merged),
            None => {
                // Two readers may both make it; they make the same.
                let merged = self.merge_leaf(leaf as u32)?;
                Ok(cell.get_or_init(|| merged))
            }
        }
    }

    fn merge_leaf(&self, leaf: u32) -> Result<MergedLeaf, DiskError> {
        let mut places: Option<Box<[MergedPlace; LEAF_BLOCKS]>> = None;
        for (number, layer) in self.layers.iter().enumerate() {
            let Some(region) = layer.region(leaf) else {
                continue;
            };
            let codes = match region {
                Region::Zeros(_) => Box::new([Place::Zeros.code(); LEAF_BLOCKS]),
                Region::Page(page) => layer.codes(page)?,
            };
            let places = places.get_or_insert_with(|| Box::new([MergedPlace::BASE; LEAF_BLOCKS]));
            for (place, code) in places.iter_mut().zip(codes.iter()) {
                if *code != Place::Below.code() {
                    *place = MergedPlace::new(number, *code);
                }
            }
        }
        Ok(places.map_or(MergedLeaf::Base, MergedLeaf::Places))
    }
}

impl Layer {
    fn reader(&self) -> Reader<'_> {
        Reader {
            storage: &*self.storage,
            key: &self.key,
            blocks_count: self.blocks_count,
        }
    }

    /// Reads a leaf.
    pub(crate) fn codes(&self, page: PageRef) -> Result<Box<[u32; LEAF_BLOCKS]>, DiskError> {
        self.reader().leaf(page, self.slots_count)
    }

    /// Returns what the directory says of a leaf.
    pub(crate) fn region(&self, leaf: u32) -> Option<Region> {
        let behind = self.directory.partition_point(|entry| entry.leaf <= leaf);
        let entry = self.directory[..behind].last()?;
        (leaf - entry.leaf < entry.count()).then_some(entry.region)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("identity", &self.identity)
            .field("layers_count", &self.layers.len())
            .finish_non_exhaustive()
    }
}

/// Reads bytes of blocks from a change file: a copy if it is mapped, else a call of the host.
pub(crate) fn read_stored(
    storage: &dyn Storage,
    offset: u64,
    bytes: &mut [u8],
) -> Result<(), DiskError> {
    match storage.mapped(offset, bytes.len()) {
        Some(mapped) => {
            bytes.copy_from_slice(mapped);
            Ok(())
        }
        None => read_exact(storage, offset, bytes, "a block"),
    }
}

/// Parts the bytes at `offset` into those before `end` and those behind.
fn split_at_end(offset: u64, bytes: &mut [u8], end: u64) -> (&mut [u8], &mut [u8]) {
    let before = end.saturating_sub(offset).min(bytes.len() as u64);
    bytes.split_at_mut(before as usize)
}

pub(crate) fn check_range(offset: u64, length: u64, size: u64) -> Result<(), DiskError> {
    match offset.checked_add(length) {
        Some(end) if end <= size => Ok(()),
        _ => Err(DiskError::OutOfRange {
            offset,
            length,
            size,
        }),
    }
}

pub(crate) fn check_size(size_bytes: u64) -> Result<(), DiskError> {
    match size_bytes > DISK_BYTES_MAX {
        true => Err(DiskError::Unsupported {
            feature: "a disk of more than 16 TiB",
        }),
        false => Ok(()),
    }
}
