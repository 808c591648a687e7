//! Content that is on the device, kept in memory by blocks of the device: a read that finds it here asks nobody.
//!
//! What is kept is right because whoever reads or writes a block of a file, or frees it, holds the file's lock: none is read from the device
//! while it is written. Content that is not on the device yet is the inode's own.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::numbered::Numbered;

/// Parts of the cache.
const SHARDS: usize = 16;
/// So many blocks in a row lie in one part: as many are looked up under one lock.
const ROW_BLOCKS: u64 = 16;
/// Bytes that are kept unless told otherwise.
const CONTENT_BYTES_MAX: usize = 32 << 20;
/// Runs from so many blocks on are forgotten by looking through all that is kept.
const LONG_RUN_BLOCKS: u64 = 4096;

/// The cache.
pub(crate) struct ContentCache {
    block_size: usize,
    /// Blocks that a part keeps.
    blocks_max: AtomicUsize,
    shards: [RwLock<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    blocks: HashMap<u64, Kept, Numbered>,
    /// Numbers in the order in which blocks came; some may be gone, or be here twice.
    queue: VecDeque<u64>,
}

struct Kept {
    bytes: Box<[u8]>,
    /// It was used since eviction last came by.
    is_recent: AtomicBool,
}

impl ContentCache {
    pub(crate) fn new(block_size: usize) -> ContentCache {
        let cache = ContentCache {
            block_size,
            blocks_max: AtomicUsize::new(0),
            shards: std::array::from_fn(|_| RwLock::default()),
        };
        cache.limit(CONTENT_BYTES_MAX);
        cache
    }

    /// Keeps at most so many bytes from now on.
    pub(crate) fn limit(&self, bytes_max: usize) {
        let blocks_max = bytes_max / self.block_size / SHARDS;
        self.blocks_max.store(blocks_max, Ordering::Relaxed);
    }

    fn shard(&self, number: u64) -> &RwLock<Shard> {
        &self.shards[(number / ROW_BLOCKS) as usize % SHARDS]
    }

    fn read_shard(&self, number: u64) -> RwLockReadGuard<'_, Shard> {
        let shard = self.shard(number);
        shard.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_shard(&self, number: u64) -> RwLockWriteGuard<'_, Shard> {
        let shard = self.shard(number);
        shard.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies what is kept, from byte `at` of a block on until a block is missing, and returns how many bytes that were.
    pub(crate) fn read(&self, number: u64, at: usize, buffer: &mut [u8]) -> usize {
        let (mut number, mut at, mut done) = (number, at, 0);
        while done < buffer.len() {
            let row_end = (number / ROW_BLOCKS + 1) * ROW_BLOCKS;
            let shard = self.read_shard(number);
            while number < row_end && done < buffer.len() {
                let Some(kept) = shard.blocks.get(&number) else {
                    return done;
                };
                if !kept.is_recent.load(Ordering::Relaxed) {
                    kept.is_recent.store(true, Ordering::Relaxed);
                }
                let count = (self.block_size - at).min(buffer.len() - done);
                buffer[done..done + count].copy_from_slice(&kept.bytes[at..at + count]);
                (number, at, done) = (number + 1, 0, done + count);
            }
        }
        done
    }

    /// Returns how many blocks from one that is missing on are missing, at most `count_max` and at least one.
    pub(crate) fn missing(&self, number: u64, count_max: usize) -> usize {
        let others = (1..count_max).take_while(|index| {
            let number = number + *index as u64;
            !self.read_shard(number).blocks.contains_key(&number)
        });
        1 + others.count()
    }

    /// Keeps whole blocks.
    pub(crate) fn keep(&self, first: u64, bytes: &[u8]) {
        let blocks_max = self.blocks_max.load(Ordering::Relaxed);
        let mut blocks = (first..)
            .zip(bytes.chunks_exact(self.block_size))
            .peekable();
        while let Some((number, _)) = blocks.peek() {
            let row = number / ROW_BLOCKS;
            let mut shard = self.write_shard(*number);
            while let Some((number, bytes)) = blocks.next_if(|(it, _)| it / ROW_BLOCKS == row) {
                shard.keep(number, bytes, blocks_max);
            }
        }
    }

    /// Keeps one block, with its memory.
    pub(crate) fn keep_block(&self, number: u64, bytes: Box<[u8]>) {
        let blocks_max = self.blocks_max.load(Ordering::Relaxed);
        self.write_shard(number)
            .keep_block(number, bytes, blocks_max);
    }

    /// Forgets blocks that were freed or are being written.
    pub(crate) fn forget(&self, first: u64, count: u64) {
        if count >= LONG_RUN_BLOCKS {
            let range = first..first + count;
            for shard in &self.shards {
                let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
                shard.blocks.retain(|number, _| !range.contains(number));
            }
            return;
        }
        for number in first..first + count {
            self.write_shard(number).blocks.remove(&number);
        }
    }
}

impl Shard {
    fn keep(&mut self, number: u64, bytes: &[u8], blocks_max: usize) {
        let spare = self.make_room(blocks_max);
        let mut own = spare.unwrap_or_else(|| vec![0; bytes.len()].into());
        own.copy_from_slice(bytes);
        self.keep_block(number, own, blocks_max);
    }

    fn keep_block(&mut self, number: u64, bytes: Box<[u8]>, blocks_max: usize) {
        drop(self.make_room(blocks_max));
        if blocks_max == 0 {
            return;
        }
        let kept = Kept {
            bytes,
            is_recent: AtomicBool::new(false),
        };
        if self.blocks.insert(number, kept).is_none() {
            self.queue.push_back(number);
        }
        self.tidy_queue();
    }

    /// Drops blocks until there is room for one more, and returns the memory of the last.
    fn make_room(&mut self, blocks_max: usize) -> Option<Box<[u8]>> {
        let mut spare = None;
        while self.blocks.len() >= blocks_max.max(1) {
            spare = self.evict_one();
        }
        spare
    }

    /// Drops the oldest block that was not used since it was last looked at, and returns its memory.
    fn evict_one(&mut self) -> Option<Box<[u8]>> {
        while let Some(oldest) = self.queue.pop_front() {
            let is_recent = |it: &Kept| it.is_recent.swap(false, Ordering::Relaxed);
            if self.blocks.get(&oldest).is_some_and(is_recent) {
                self.queue.push_back(oldest);
            } else if let Some(kept) = self.blocks.remove(&oldest) {
                return Some(kept.bytes);
            }
        }
        None
    }

    /// Takes numbers out that are gone or here twice, when they are more than half of all.
    fn tidy_queue(&mut self) {
        if self.queue.len() > 2 * self.blocks.len() + 64 {
            self.queue = self.blocks.keys().copied().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 1024;

    fn read(cache: &ContentCache, number: u64, count: usize) -> Vec<u8> {
        let mut buffer = vec![0; count * SIZE];
        let done = cache.read(number, 0, &mut buffer);
        buffer.truncate(done);
        buffer
    }

    #[test]
    fn what_is_kept_is_found_up_to_what_is_missing() {
        let cache = ContentCache::new(SIZE);
        let bytes: Vec<u8> = (0..40 * SIZE).map(|at| (at / SIZE) as u8).collect();
        cache.keep(10, &bytes);
        assert_eq!(read(&cache, 10, 40), bytes);
        let mut part = [0; SIZE];
        assert_eq!(cache.read(11, 1000, &mut part), SIZE);
        assert_eq!((part[23], part[24]), (1, 2));
        cache.forget(30, 3);
        assert_eq!(read(&cache, 10, 40).len(), 20 * SIZE);
        assert_eq!(cache.missing(30, 20), 3);
    }

    #[test]
    fn no_more_is_kept_than_may_be_and_what_is_used_stays_longer() {
        let cache = ContentCache::new(SIZE);
        cache.limit(4 * SHARDS * SIZE);
        let blocks = 0..ROW_BLOCKS;
        for number in blocks.clone() {
            cache.keep(number, &[number as u8; SIZE]);
            assert_eq!(read(&cache, 0, 1), [0; SIZE]);
        }
        let kept = blocks.filter(|number| read(&cache, *number, 1).len() == SIZE);
        assert_eq!(kept.count(), 4);
        for _ in 0..1000 {
            cache.keep(1, &[1; SIZE]);
            cache.forget(1, 1);
        }
        assert!(cache.shards[0].read().unwrap().queue.len() < 200);
    }
}
