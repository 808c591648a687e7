//! Metadata blocks, cached: any number of readers beside a writer that replaces them.
//!
//! A reader gets a block as it is and keeps it, whatever becomes of it. What was changed is written to the device when
//! [`Blocks::write_back`] is called, with its checksum, which is only then computed. A shard's lock is held for a look-up or for a change of one block,
//! and no other lock is taken under it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::device::{Device, DeviceError};
use crate::layout::{attribute, directory, extent, hash_tree, orphan};
use crate::{Error, Place};

/// Parts of the cache: so many changes can be made at once.
const SHARDS: usize = 16;
/// Clean blocks that a shard keeps: 16 MiB in all with blocks of 4 KiB.
const CLEAN_MAX: usize = 256;

/// How a changed block gets its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// It has none of its own.
    None,
    /// A directory's entries, with the directory's seed.
    Directory(u32),
    /// An index block of a directory.
    Index(u32),
    /// A node of an inode's extents.
    Extents(u32),
    /// Extended attributes, with the file system's seed.
    Attributes(u32),
    /// A block of the orphan file.
    Orphans(u32),
}

impl Seal {
    fn apply(self, number: u64, block: &mut [u8]) {
        match self {
            Seal::None => {}
            Seal::Directory(seed) => directory::seal_directory_block(seed, block),
            Seal::Index(seed) => {
                let at = hash_tree::entries_at(block);
                hash_tree::seal_index_block(seed, block, at);
            }
            Seal::Extents(seed) => extent::seal_extent_block(seed, block),
            Seal::Attributes(seed) => attribute::seal_attribute_block(seed, number, block),
            Seal::Orphans(seed) => orphan::seal_orphan_block(seed, number, block),
        }
    }
}

struct Cached {
    bytes: Arc<[u8]>,
    /// How it is to be summed, if it was changed since it was written.
    changed: Option<Seal>,
    /// It was used since eviction last came by.
    is_recent: AtomicBool,
}

type Shard = HashMap<u64, Cached>;

/// The device by blocks, with a cache of metadata.
pub(crate) struct Blocks<D> {
    pub(crate) device: D,
    /// What a journal says that blocks are, where it cannot be written to the device.
    replayed: HashMap<u64, Box<[u8]>>,
    block_size: usize,
    shards: [RwLock<Shard>; SHARDS],
}

impl<D: Device> Blocks<D> {
    pub(crate) fn new(
        device: D,
        block_size: usize,
        replayed: HashMap<u64, Box<[u8]>>,
    ) -> Blocks<D> {
        Blocks {
            device,
            replayed,
            block_size,
            shards: std::array::from_fn(|_| RwLock::default()),
        }
    }

    pub(crate) fn block_size(&self) -> usize {
        self.block_size
    }

    /// Gives the device back.
    pub(crate) fn into_device(self) -> D {
        self.device
    }

    fn read_shard(&self, number: u64) -> RwLockReadGuard<'_, Shard> {
        let shard = &self.shards[number as usize % SHARDS];
        shard.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_shard(&self, number: u64) -> RwLockWriteGuard<'_, Shard> {
        let shard = &self.shards[number as usize % SHARDS];
        shard.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn offset(&self, number: u64) -> Result<u64, Error> {
        number
            .checked_mul(self.block_size as u64)
            .ok_or(Error::corrupt(
                Place::Block(number),
                "a block beyond the end",
            ))
    }

    /// Returns a block of metadata. `verify` judges it when it comes from the device.
    pub(crate) fn get(
        &self,
        number: u64,
        verify: impl FnOnce(&[u8]) -> Result<(), Error>,
    ) -> Result<Arc<[u8]>, Error> {
        if let Some(cached) = self.read_shard(number).get(&number) {
            cached.is_recent.store(true, Ordering::Relaxed);
            return Ok(Arc::clone(&cached.bytes));
        }
        let mut bytes = vec![0; self.block_size];
        self.read(number, 0, &mut bytes)?;
        verify(&bytes)?;
        let mut shard = self.write_shard(number);
        if shard.len() >= CLEAN_MAX {
            evict(&mut shard);
        }
        // Another may have read it, or a writer changed it, meanwhile.
        let cached = shard.entry(number).or_insert_with(|| Cached {
            bytes: bytes.into(),
            changed: None,
            is_recent: AtomicBool::new(true),
        });
        Ok(Arc::clone(&cached.bytes))
    }

    /// Changes a block that was read before, or reads it now without judging it.
    pub(crate) fn change<T>(
        &self,
        number: u64,
        seal: Seal,
        change: impl FnOnce(&mut [u8]) -> T,
    ) -> Result<T, Error> {
        let bytes = self.get(number, |_| Ok(()))?;
        let mut shard = self.write_shard(number);
        let cached = shard.entry(number).or_insert_with(|| Cached {
            bytes: Arc::clone(&bytes),
            changed: None,
            is_recent: AtomicBool::new(true),
        });
        drop(bytes);
        cached.changed = Some(seal);
        if Arc::get_mut(&mut cached.bytes).is_none() {
            cached.bytes = cached.bytes.to_vec().into();
        }
        let bytes = Arc::get_mut(&mut cached.bytes).expect("it was copied if others had it");
        Ok(change(bytes))
    }

    /// Replaces a whole block.
    pub(crate) fn put(&self, number: u64, seal: Seal, bytes: Vec<u8>) {
        let cached = Cached {
            bytes: bytes.into(),
            changed: Some(seal),
            is_recent: AtomicBool::new(true),
        };
        self.write_shard(number).insert(number, cached);
    }

    /// Drops what is known of a block that was freed.
    pub(crate) fn forget(&self, number: u64) {
        self.write_shard(number).remove(&number);
    }

    /// Writes all changed blocks to the device, with their checksums.
    pub(crate) fn write_back(&self, has_checksums: bool) -> Result<(), Error> {
        let mut numbers = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            numbers.extend(
                shard
                    .iter()
                    .filter(|(_, it)| it.changed.is_some())
                    .map(|(number, _)| *number),
            );
        }
        // In the device's order.
        numbers.sort_unstable();
        for number in numbers {
            self.write_one(number, has_checksums)?;
        }
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            if shard.len() > CLEAN_MAX {
                evict(&mut shard);
            }
        }
        Ok(())
    }

    fn write_one(&self, number: u64, has_checksums: bool) -> Result<(), Error> {
        let offset = self.offset(number)?;
        let mut shard = self.write_shard(number);
        let Some(cached) = shard.get_mut(&number) else {
            return Ok(());
        };
        let Some(seal) = cached.changed else {
            return Ok(());
        };
        if has_checksums && seal != Seal::None {
            let mut bytes = cached.bytes.to_vec();
            seal.apply(number, &mut bytes);
            cached.bytes = bytes.into();
        }
        self.device.write_at(offset, &cached.bytes)?;
        cached.changed = None;
        Ok(())
    }

    /// Reads bytes past the cache: content of files, from byte `at` of a block on.
    pub(crate) fn read(&self, number: u64, at: usize, buffer: &mut [u8]) -> Result<(), Error> {
        let offset = self.offset(number)? + at as u64;
        self.device.read_at(offset, buffer)?;
        if self.replayed.is_empty() {
            return Ok(());
        }
        let mut begin = 0;
        let (mut number, mut at) = (number + (at / self.block_size) as u64, at % self.block_size);
        while begin < buffer.len() {
            let count = (self.block_size - at).min(buffer.len() - begin);
            if let Some(bytes) = self.replayed.get(&number) {
                buffer[begin..begin + count].copy_from_slice(&bytes[at..at + count]);
            }
            (number, at, begin) = (number + 1, 0, begin + count);
        }
        Ok(())
    }

    /// Writes bytes past the cache.
    pub(crate) fn write(&self, number: u64, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.device.write_at(self.offset(number)?, bytes)?)
    }

    /// Says that blocks are not used any more.
    pub(crate) fn discard(&self, number: u64, count: u64) -> Result<(), DeviceError> {
        let size = self.block_size as u64;
        self.device.discard(number * size, count * size)
    }

    /// Returns bytes in place, from byte `at` of a block on.
    pub(crate) fn mapped(&self, number: u64, at: usize, length: usize) -> Option<&[u8]> {
        if !self.replayed.is_empty() {
            return None;
        }
        let offset = self.offset(number).ok()? + at as u64;
        self.device.mapped(offset, length)
    }
}

/// Drops clean blocks that were not used since the last time; all clean ones if they were.
fn evict(shard: &mut Shard) {
    let before = shard.len();
    shard.retain(|_, cached| {
        cached.changed.is_some() || cached.is_recent.swap(false, Ordering::Relaxed)
    });
    if shard.len() == before {
        shard.retain(|_, cached| cached.changed.is_some());
    }
}
