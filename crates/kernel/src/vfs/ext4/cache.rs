//! Names that were looked up lately: what they lead to, or that they lead nowhere. Linux: the dentry cache.
//!
//! The cache may know less than the file system, never anything else. What changes names says so after it has changed them; what
//! was looked up meanwhile is not kept, since each part counts its changes and a look-up brings the count that it began with.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use minke_ext4::InodeNumber;

use super::node::Node;
use crate::vfs::Name;

/// Parts of the cache.
const SHARDS: usize = 64;

/// The cache.
pub(super) struct NameCache {
    shards: [RwLock<Shard>; SHARDS],
    /// Names that a part keeps.
    names_max: usize,
}

#[derive(Default)]
struct Shard {
    /// By the hash of directory and name; of names with one hash, the last is kept.
    entries: HashMap<u64, Entry, BuildHasherDefault<Hashed>>,
    /// Hashes in the order in which names came; some may be gone, or be here twice.
    queue: VecDeque<u64>,
    /// How often names of this part were changed.
    changes: u64,
    /// The file system is going: nothing is kept any more.
    is_closed: bool,
}

struct Entry {
    directory: InodeNumber,
    name: Name,
    /// `None`: there is no such name.
    node: Option<Arc<Node>>,
    /// It was used since eviction last came by.
    is_recent: AtomicBool,
}

/// What is known of a name.
pub(super) enum Known {
    Node(Arc<Node>),
    Absent,
    /// Nothing: who looks it up brings this back.
    Nothing(Ticket),
}

/// When a look-up began.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    hash: u64,
    changes: u64,
}

impl NameCache {
    pub(super) fn new(names_max: usize) -> NameCache {
        NameCache {
            shards: std::array::from_fn(|_| RwLock::default()),
            names_max: names_max / SHARDS,
        }
    }

    fn read(&self, hash: u64) -> RwLockReadGuard<'_, Shard> {
        let shard = &self.shards[hash as usize % SHARDS];
        shard.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, hash: u64) -> RwLockWriteGuard<'_, Shard> {
        let shard = &self.shards[hash as usize % SHARDS];
        shard.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is known of a name.
    pub(super) fn get(&self, directory: InodeNumber, name: &[u8]) -> Known {
        let hash = hash_of(directory, name);
        let shard = self.read(hash);
        let Some(entry) = shard.find(hash, directory, name) else {
            return Known::Nothing(Ticket {
                hash,
                changes: shard.changes,
            });
        };
        match &entry.node {
            Some(node) => Known::Node(Arc::clone(node)),
            None => Known::Absent,
        }
    }

    /// Looks at what a name is known to lead to, without holding it: `look` runs under the lock.
    pub(super) fn peek<T>(
        &self,
        directory: InodeNumber,
        name: &[u8],
        look: impl FnOnce(&Arc<Node>) -> T,
    ) -> Option<T> {
        let hash = hash_of(directory, name);
        let shard = self.read(hash);
        let entry = shard.find(hash, directory, name)?;
        entry.node.as_ref().map(look)
    }

    /// Keeps what was looked up, unless names were changed since; returns whether it is still so. `place` runs under the lock if it is.
    pub(super) fn add(
        &self,
        ticket: Ticket,
        (directory, name): (InodeNumber, &[u8]),
        node: Option<&Arc<Node>>,
        place: impl FnOnce(),
    ) -> bool {
        let mut shard = self.write(ticket.hash);
        if shard.changes != ticket.changes {
            return false;
        }
        place();
        let dropped = shard.insert(ticket.hash, entry(directory, name, node), self.names_max);
        drop(shard);
        drop(dropped);
        true
    }

    /// Whether no name of the part was changed since the look-up began.
    pub(super) fn is_current(&self, ticket: Ticket) -> bool {
        self.read(ticket.hash).changes == ticket.changes
    }

    /// Keeps what a name was changed to; `None`: it was removed.
    pub(super) fn change(&self, directory: InodeNumber, name: &[u8], node: Option<&Arc<Node>>) {
        let hash = hash_of(directory, name);
        let mut shard = self.write(hash);
        shard.changes += 1;
        let dropped = shard.insert(hash, entry(directory, name, node), self.names_max);
        drop(shard);
        drop(dropped);
    }

    /// Forgets all names, for good.
    pub(super) fn close(&self) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.is_closed = true;
            let dropped = take(&mut shard.entries);
            drop(shard);
            drop(dropped);
        }
    }
}

impl Shard {
    /// Finds a name, which is used by that.
    fn find(&self, hash: u64, directory: InodeNumber, name: &[u8]) -> Option<&Entry> {
        let entry = self.entries.get(&hash)?;
        if entry.directory != directory || *entry.name != *name {
            return None;
        }
        if !entry.is_recent.load(Ordering::Relaxed) {
            entry.is_recent.store(true, Ordering::Relaxed);
        }
        Some(entry)
    }

    /// Keeps a name, and returns what had to go for it, to be dropped without the lock.
    fn insert(&mut self, hash: u64, entry: Entry, names_max: usize) -> Vec<Entry> {
        if self.is_closed {
            return vec![entry];
        }
        let mut dropped = Vec::new();
        match self.entries.insert(hash, entry) {
            Some(old) => dropped.push(old),
            None => self.queue.push_back(hash),
        }
        // Names come from the queue's front, and go to its end if they were used meanwhile: once, or the loop would not end.
        while self.entries.len() > names_max
            && let Some(oldest) = self.queue.pop_front()
        {
            let is_recent = |it: &Entry| it.is_recent.swap(false, Ordering::Relaxed);
            if self.entries.get(&oldest).is_some_and(is_recent) {
                self.queue.push_back(oldest);
            } else {
                dropped.extend(self.entries.remove(&oldest));
            }
        }
        dropped
    }
}

fn entry(directory: InodeNumber, name: &[u8], node: Option<&Arc<Node>>) -> Entry {
    Entry {
        directory,
        name: Name::from_slice(name),
        node: node.cloned(),
        is_recent: AtomicBool::new(false),
    }
}

/// Mixes bits. Whoever finds names with equal hashes only makes the cache forget his own.
fn hash_of(directory: InodeNumber, name: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(FACTOR | 1);
        product as u64 ^ (product >> 64) as u64
    };
    let mut hash = mix(FACTOR, u64::from(directory.0) << 32 | name.len() as u64);
    let (words, rest) = name.as_chunks::<8>();
    for word in words {
        hash = mix(hash.rotate_left(5), u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(hash.rotate_left(5), u64::from_le_bytes(last))
}

/// Takes numbers that are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.0 = self.0 << 8 | u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        // The lowest bits have chosen the part already.
        self.0 = number.rotate_right(8);
    }
}
