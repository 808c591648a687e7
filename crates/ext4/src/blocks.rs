//! Metadata blocks, cached: any number of readers beside a writer that replaces them.
//!
//! A reader gets a block as it is and keeps it, whatever becomes of it. What was changed is written to the device when
//! [`Blocks::write_back`] is called, with its checksum, which is only then computed. A shard's lock is held for a look-up or for a change of one block,
//! and no other lock is taken under it. Blocks are read without it, so what was read counts only if none of the shard was written meanwhile.
//!
//! Content of files goes past this cache and through [`ContentCache`].

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::device::{Device, DeviceError};
use crate::files::cache::ContentCache;
use crate::layout::{attribute, directory, extent, hash_tree, orphan};
use crate::numbered::Numbered;
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

/// A part of the cache.
struct Shard {
    blocks: HashMap<u64, Cached, Numbered>,
    /// How often blocks of this part were written to the device or forgotten.
    writes: u64,
    /// So many blocks make it look for some to drop.
    blocks_max: usize,
}

impl Default for Shard {
    fn default() -> Shard {
        Shard {
            blocks: HashMap::default(),
            writes: 0,
            blocks_max: CLEAN_MAX,
        }
    }
}

/// The device by blocks, with a cache of metadata.
pub(crate) struct Blocks<D> {
    pub(crate) device: D,
    /// What a journal says that blocks are, where it cannot be written to the device.
    replayed: HashMap<u64, Box<[u8]>>,
    block_size: usize,
    shards: [RwLock<Shard>; SHARDS],
    content: ContentCache,
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
            content: ContentCache::new(block_size),
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
        verify: impl Fn(&[u8]) -> Result<(), Error>,
    ) -> Result<Arc<[u8]>, Error> {
        loop {
            let writes = {
                let shard = self.read_shard(number);
                if let Some(cached) = shard.blocks.get(&number) {
                    cached.is_recent.store(true, Ordering::Relaxed);
                    return Ok(Arc::clone(&cached.bytes));
                }
                shard.writes
            };
            let mut bytes = vec![0; self.block_size];
            self.read(number, 0, &mut bytes)?;
            verify(&bytes)?;
            let mut shard = self.write_shard(number);
            if shard.writes == writes || shard.blocks.contains_key(&number) {
                return Ok(shard.keep(number, bytes));
            }
            // It may have been written and dropped meanwhile: what was read may be what it was before.
        }
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
        let cached = shard.blocks.entry(number).or_insert_with(|| Cached {
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
        self.write_shard(number).blocks.insert(number, cached);
    }

    /// Drops what is known of blocks that were freed.
    pub(crate) fn forget(&self, first: u64, count: u64) {
        for number in first..first + count {
            let mut shard = self.write_shard(number);
            shard.blocks.remove(&number);
            shard.writes += 1;
        }
        self.content.forget(first, count);
    }

    /// Returns the numbers of the blocks that differ from the device's.
    pub(crate) fn changed(&self) -> BTreeSet<u64> {
        let mut numbers = BTreeSet::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            let blocks = shard.blocks.iter();
            let changed = blocks.filter(|(_, block)| block.changed.is_some());
            numbers.extend(changed.map(|(number, _)| *number));
        }
        numbers
    }

    /// Writes all changed blocks to the device, with their checksums.
    pub(crate) fn write_back(&self, has_checksums: bool) -> Result<(), Error> {
        // In the device's order.
        for number in self.changed() {
            self.write_one(number, has_checksums)?;
        }
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.blocks_max = CLEAN_MAX;
            if shard.blocks.len() > CLEAN_MAX {
                shard.evict();
            }
        }
        Ok(())
    }

    fn write_one(&self, number: u64, has_checksums: bool) -> Result<(), Error> {
        let offset = self.offset(number)?;
        let mut shard = self.write_shard(number);
        let shard = &mut *shard;
        let Some(cached) = shard.blocks.get_mut(&number) else {
            return Ok(());
        };
        let Some(seal) = cached.changed else {
            return Ok(());
        };
        shard.writes += 1;
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

    /// Reads content of a file, whose lock the caller holds: from byte `at` of a block on.
    pub(crate) fn read_content(
        &self,
        mut number: u64,
        mut at: usize,
        mut buffer: &mut [u8],
    ) -> Result<(), Error> {
        while !buffer.is_empty() {
            let count = self.content.read(number, at, buffer);
            (number, at) = self.advance(number, at + count);
            buffer = &mut buffer[count..];
            if buffer.is_empty() {
                break;
            }
            if let Some(bytes) = self.mapped(number, at, buffer.len()) {
                buffer[..bytes.len()].copy_from_slice(bytes);
                (number, at) = self.advance(number, at + bytes.len());
                buffer = &mut buffer[bytes.len()..];
                continue;
            }
            let blocks = (at + buffer.len()).div_ceil(self.block_size);
            let missing = self.content.missing(number, blocks);
            let count = (missing * self.block_size - at).min(buffer.len());
            let (part, rest) = buffer.split_at_mut(count);
            self.read_missing(number, at, part)?;
            (number, at) = self.advance(number, at + count);
            buffer = rest;
        }
        Ok(())
    }

    fn advance(&self, number: u64, at: usize) -> (u64, usize) {
        (number + (at / self.block_size) as u64, at % self.block_size)
    }

    /// Reads whole blocks from the device, keeps them, and hands out a part of them.
    fn read_missing(&self, number: u64, at: usize, part: &mut [u8]) -> Result<(), Error> {
        let size = self.block_size;
        let is_whole = at == 0 && part.len().is_multiple_of(size);
        if is_whole {
            self.read(number, 0, part)?;
            self.content.keep(number, part);
            return Ok(());
        }
        let mut bytes = vec![0; (at + part.len()).div_ceil(size) * size];
        self.read(number, 0, &mut bytes)?;
        self.content.keep(number, &bytes);
        part.copy_from_slice(&bytes[at..at + part.len()]);
        Ok(())
    }

    /// Copies content that is kept in memory, until some is missing. Returns how many bytes that were.
    pub(crate) fn read_kept(&self, number: u64, at: usize, buffer: &mut [u8]) -> usize {
        self.content.read(number, at, buffer)
    }

    /// Writes whole blocks of content to the device. The caller holds the file's lock for writing.
    pub(crate) fn write_content(&self, number: u64, bytes: &[u8]) -> Result<(), Error> {
        // What was kept is not so any more, even if writing fails.
        let count = bytes.len() / self.block_size;
        self.content.forget(number, count as u64);
        self.write(number, bytes)
    }

    /// Keeps a block of content that was just written.
    pub(crate) fn keep_content(&self, number: u64, bytes: Box<[u8]>) {
        self.content.keep_block(number, bytes);
    }

    /// Keeps at most so many bytes of content that is on the device.
    pub(crate) fn limit_content(&self, bytes_max: usize) {
        self.content.limit(bytes_max);
    }

    /// Says that blocks are not used any more.
    pub(crate) fn discard(&self, number: u64, count: u64) -> Result<(), DeviceError> {
        let size = self.block_size as u64;
        self.device.discard(number * size, count * size)
    }

    /// Returns bytes in place, from byte `at` of a block on: at most `length`.
    pub(crate) fn mapped(&self, number: u64, at: usize, length: usize) -> Option<&[u8]> {
        if !self.replayed.is_empty() {
            return None;
        }
        let offset = self.offset(number).ok()? + at as u64;
        self.device.mapped(offset, length)
    }
}

impl Shard {
    /// Keeps a block that was read, unless another has read or changed it meanwhile.
    fn keep(&mut self, number: u64, bytes: Vec<u8>) -> Arc<[u8]> {
        if self.blocks.len() >= self.blocks_max {
            self.evict();
        }
        let cached = self.blocks.entry(number).or_insert_with(|| Cached {
            bytes: bytes.into(),
            changed: None,
            is_recent: AtomicBool::new(true),
        });
        Arc::clone(&cached.bytes)
    }

    /// Drops clean blocks that were not used since the last time; all clean ones if they were.
    fn evict(&mut self) {
        let before = self.blocks.len();
        self.blocks.retain(|_, cached| {
            cached.changed.is_some() || cached.is_recent.swap(false, Ordering::Relaxed)
        });
        if self.blocks.len() == before {
            self.blocks.retain(|_, cached| cached.changed.is_some());
        }
        // Changed ones stay until they are written: looking through them again and again would take for ever.
        self.blocks_max = CLEAN_MAX.max(2 * self.blocks.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::MemoryDevice;

    /// A device whose next read of a block first lets others do something.
    struct Interrupted {
        device: MemoryDevice,
        interruption: std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>,
    }

    impl Device for Arc<Interrupted> {
        fn size(&self) -> u64 {
            self.device.size()
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
            self.device.read_at(offset, buffer)?;
            let interruption = self.interruption.lock().unwrap().take();
            interruption.into_iter().for_each(|interrupt| interrupt());
            Ok(())
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
            self.device.write_at(offset, bytes)
        }

        fn discard(&self, offset: u64, length: u64) -> Result<(), DeviceError> {
            self.device.discard(offset, length)
        }

        fn commit(&self) -> Result<(), DeviceError> {
            self.device.commit()
        }

        fn mapped(&self, _offset: u64, _length: usize) -> Option<&[u8]> {
            None
        }
    }

    #[test]
    fn a_block_that_was_written_and_dropped_while_it_was_read_is_read_again() {
        let device = Arc::new(Interrupted {
            device: MemoryDevice::new(1 << 20),
            interruption: std::sync::Mutex::default(),
        });
        let blocks = Arc::new(Blocks::new(Arc::clone(&device), 4096, HashMap::new()));
        let writer = Arc::clone(&blocks);
        *device.interruption.lock().unwrap() = Some(Box::new(move || {
            writer.change(7, Seal::None, |bytes| bytes.fill(1)).unwrap();
            writer.write_back(false).unwrap();
            writer.write_shard(7).evict();
            writer.write_shard(7).evict();
        }));
        let found = blocks.get(7, |_| Ok(())).unwrap();
        assert_eq!(found[0], 1);
        assert_eq!(blocks.get(7, |_| Ok(())).unwrap()[0], 1);
    }
}
