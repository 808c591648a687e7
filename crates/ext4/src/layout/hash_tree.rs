//! The index of a large directory: a tree over its blocks, sorted by the hashes of names.
//!
//! An index block is read and changed in place through its bytes. It has `count` entries of 8 bytes; the first has no hash, in whose
//! place `limit` and `count` lie.
//!
//! Spec: ext4 disk layout, "Hash Tree Directories".

use super::checksum::crc32c;
use super::directory::parse_entry;
use super::fields::{get, put};
use super::{LayoutError, corrupt};

/// Where the root's information lies: behind `.` and `..`.
const INFO_AT: usize = 0x18;
/// `info_length`: the only one that there is.
const INFO_BYTES: usize = 8;
/// Where the entries of the root begin.
pub const ROOT_ENTRIES_AT: usize = INFO_AT + INFO_BYTES;
/// Where the entries of an inner node begin: behind an empty directory entry.
pub const NODE_ENTRIES_AT: usize = 8;
/// Size of an entry.
pub const INDEX_ENTRY_BYTES: usize = 8;
/// Size of the tail that holds a checksum.
const TAIL_BYTES: usize = 8;
/// Bits of an entry's block number.
const BLOCK_MASK: u32 = 0x0fff_ffff;

/// What the root says of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashTreeRoot {
    /// Which hash, see [`super::NameHasher::new`].
    pub hash_version: u8,
    /// Levels of index blocks below the root.
    pub indirect_levels: u8,
}

impl HashTreeRoot {
    /// Parses the root's information.
    ///
    /// # Errors
    /// [`LayoutError`] if the block begins with no `.` and `..`, or the information is of an unknown form.
    pub fn parse(block: &[u8]) -> Result<HashTreeRoot, LayoutError> {
        let dot = parse_entry(block, 0)?;
        if dot.name != b"." || dot.record_length != 12 || parse_entry(block, 12)?.name != b".." {
            return Err(corrupt("hash tree", "no `.` and `..`"));
        }
        if get::<u32>(block, INFO_AT) != 0 || usize::from(block[INFO_AT + 5]) != INFO_BYTES {
            return Err(corrupt("hash tree", "unknown form of the root"));
        }
        if block[INFO_AT + 7] & 1 != 0 {
            return Err(corrupt("hash tree", "unknown flags of the root"));
        }
        Ok(HashTreeRoot {
            hash_version: block[INFO_AT + 4],
            indirect_levels: block[INFO_AT + 6],
        })
    }

    /// Writes the root's information; `.` and `..` are the caller's.
    pub fn write(&self, block: &mut [u8]) {
        put(block, INFO_AT, 0_u32);
        block[INFO_AT + 4] = self.hash_version;
        block[INFO_AT + 5] = INFO_BYTES as u8;
        block[INFO_AT + 6] = self.indirect_levels;
        block[INFO_AT + 7] = 0;
    }
}

/// An entry: names with hashes from `hash` on are below `block`. The lowest bit of `hash` is set if the block before has names of
/// the same hash too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    pub hash: u32,
    /// Logical block of the directory.
    pub block: u32,
}

/// Reads the entries of an index block that begin at `at`: [`ROOT_ENTRIES_AT`] or [`NODE_ENTRIES_AT`].
#[derive(Clone, Copy, Debug)]
pub struct IndexView<'a> {
    block: &'a [u8],
    at: usize,
}

impl<'a> IndexView<'a> {
    /// Checks that the entries lie inside the block.
    ///
    /// # Errors
    /// [`LayoutError`] if they do not, or there is none.
    pub fn parse(block: &'a [u8], at: usize) -> Result<IndexView<'a>, LayoutError> {
        let view = IndexView { block, at };
        if view.count() == 0 || view.count() > view.limit() {
            return Err(corrupt("hash tree", "impossible number of entries"));
        }
        if at + view.limit() * INDEX_ENTRY_BYTES > block.len() {
            return Err(corrupt("hash tree", "more entries than fit"));
        }
        Ok(view)
    }

    /// How many entries fit.
    pub fn limit(&self) -> usize {
        usize::from(get::<u16>(self.block, self.at))
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        usize::from(get::<u16>(self.block, self.at + 2))
    }

    /// Returns entry `index`, which is below [`IndexView::count`].
    pub fn entry(&self, index: usize) -> IndexEntry {
        let at = self.at + index * INDEX_ENTRY_BYTES;
        IndexEntry {
            hash: if index == 0 { 0 } else { get(self.block, at) },
            block: get::<u32>(self.block, at + 4) & BLOCK_MASK,
        }
    }

    /// Returns the index of the last entry whose hash is at most `hash`.
    pub fn search(&self, hash: u32) -> usize {
        let (mut low, mut high) = (1, self.count());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.entry(middle).hash <= hash {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low - 1
    }
}

/// Writes all entries of an index block, whose room has `limit`.
///
/// # Panics
/// If there is none, or more than `limit`.
pub fn write_index(block: &mut [u8], at: usize, limit: usize, entries: &[IndexEntry]) {
    assert!(
        (1..=limit).contains(&entries.len()),
        "the caller splits index blocks"
    );
    for (index, entry) in entries.iter().enumerate() {
        let at = at + index * INDEX_ENTRY_BYTES;
        put(block, at, entry.hash);
        put(block, at + 4, entry.block);
    }
    put(block, at, limit as u16);
    put(block, at + 2, entries.len() as u16);
}

/// Returns how many entries fit from `at` on, with or without a tail for a checksum.
pub fn index_limit(block_size: usize, at: usize, has_checksum: bool) -> usize {
    let tail = if has_checksum { TAIL_BYTES } else { 0 };
    (block_size - at - tail) / INDEX_ENTRY_BYTES
}

/// Where the entries of an index block begin, as told from its bytes: the root begins with `.`, an inner node is one empty entry.
pub fn entries_at(block: &[u8]) -> usize {
    match usize::from(get::<u16>(block, 4)) {
        12 => ROOT_ENTRIES_AT,
        _ => NODE_ENTRIES_AT,
    }
}

/// Whether a block of a directory with a hash tree is an inner node: one empty entry that takes all of the block.
pub fn is_index_node(block: &[u8]) -> bool {
    parse_entry(block, 0).is_ok_and(|entry| !entry.is_used() && entry.record_length == block.len())
}

/// Returns the checksum of an index block, and where it lies; `None` if there is no room for it.
fn checksum(seed: u32, block: &[u8], at: usize) -> Option<(usize, u32)> {
    let view = IndexView::parse(block, at).ok()?;
    let tail_at = at + view.limit() * INDEX_ENTRY_BYTES;
    let reserved = block.get(tail_at..tail_at + TAIL_BYTES)?;
    let sum = crc32c(seed, &block[..at + view.count() * INDEX_ENTRY_BYTES]);
    let sum = crc32c(crc32c(sum, &reserved[..4]), &[0; 4]);
    Some((tail_at + 4, sum))
}

/// Writes the checksum of an index block whose entries begin at `at`. `seed` is the directory's.
pub fn seal_index_block(seed: u32, block: &mut [u8], at: usize) {
    if let Some((sum_at, sum)) = checksum(seed, block, at) {
        put(block, sum_at, sum);
    }
}

/// Returns whether the checksum of an index block is right. `seed` is the directory's.
pub fn is_index_block_intact(seed: u32, block: &[u8], at: usize) -> bool {
    checksum(seed, block, at).is_some_and(|(at, sum)| get::<u32>(block, at) == sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_at_or_before_a_hash_is_found() {
        let mut block = [0; 1024];
        let entries: Vec<_> = (0..50)
            .map(|it| IndexEntry {
                hash: it * 10,
                block: it,
            })
            .collect();
        let limit = index_limit(block.len(), NODE_ENTRIES_AT, true);
        write_index(&mut block, NODE_ENTRIES_AT, limit, &entries);
        let view = IndexView::parse(&block, NODE_ENTRIES_AT).unwrap();
        for hash in 0..600 {
            assert_eq!(view.search(hash), (hash as usize / 10).min(49), "{hash}");
        }
        assert_eq!(view.entry(7), entries[7]);
        seal_index_block(5, &mut block, NODE_ENTRIES_AT);
        assert!(is_index_block_intact(5, &block, NODE_ENTRIES_AT));
        put(&mut block, 8, 1000_u16);
        assert!(IndexView::parse(&block, NODE_ENTRIES_AT).is_err());
    }
}
