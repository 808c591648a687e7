//! The pages of the map: leaves, which say where blocks are, and the directory, which says where leaves are.
//!
//! A leaf is for [`LEAF_BLOCKS`] blocks, 4 MiB of the disk, and has one number of 32 bits for each: 0, the disk below has it; 1, zeros; any
//! other, its slot. The directory is a list of pages, each with the digest of the next, and each entry with that of its leaf, so
//! the digest in the superblock vouches for the whole map.

use super::{Slot, array_at, put, u32_at};
use crate::map::LEAF_BLOCKS;
use crate::{BLOCK_BYTES, Block};

/// Entries that a page of the directory has room for.
pub(crate) const DIRECTORY_ENTRIES_MAX: usize = (BLOCK_BYTES - at::ENTRIES) / ENTRY_BYTES;

const MAGIC: &[u8; 8] = b"minkeDIR";
const ENTRY_BYTES: usize = 32;

/// Where each field begins.
mod at {
    pub(super) const MAGIC: usize = 0;
    pub(super) const NEXT_SLOT: usize = 8;
    pub(super) const COUNT: usize = 12;
    pub(super) const NEXT_DIGEST: usize = 16;
    pub(super) const ENTRIES: usize = 32;
}

/// A page of the map, and what it must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRef {
    pub(crate) slot: Slot,
    pub(crate) digest: [u8; 16],
}

/// What the directory says of one or more leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryEntry {
    /// The first leaf's number: that of its first block divided by [`LEAF_BLOCKS`].
    pub(crate) leaf: u32,
    pub(crate) region: Region,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    /// One leaf.
    Page(PageRef),
    /// This many leaves of zeros.
    Zeros(u32),
}

/// A page of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryPage {
    pub(crate) next: Option<PageRef>,
    /// At least one, at most [`DIRECTORY_ENTRIES_MAX`], by leaf.
    pub(crate) entries: Vec<DirectoryEntry>,
}

impl DirectoryEntry {
    /// Returns the number of leaves.
    pub(crate) fn count(&self) -> u32 {
        match self.region {
            Region::Page(_) => 1,
            Region::Zeros(count) => count,
        }
    }

    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        put(&mut bytes, 0, &self.leaf.to_le_bytes());
        put(&mut bytes, 4, &self.count().to_le_bytes());
        if let Region::Page(page) = &self.region {
            put(&mut bytes, 8, &page.slot.0.to_le_bytes());
            put(&mut bytes, 16, &page.digest);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<DirectoryEntry> {
        let count = u32_at(bytes, 4);
        let slot = Slot(u32_at(bytes, 8));
        let region = match (slot.0, count) {
            (_, 0) | (1, _) => return None,
            (0, count) => Region::Zeros(count),
            (_, 1) => Region::Page(PageRef {
                slot,
                digest: array_at(bytes, 16),
            }),
            _ => return None,
        };
        let leaf = u32_at(bytes, 0);
        Some(DirectoryEntry { leaf, region })
    }
}

impl DirectoryPage {
    pub(crate) fn encode(&self) -> Block {
        let mut bytes = [0; BLOCK_BYTES];
        put(&mut bytes, at::MAGIC, MAGIC);
        if let Some(next) = &self.next {
            put(&mut bytes, at::NEXT_SLOT, &next.slot.0.to_le_bytes());
            put(&mut bytes, at::NEXT_DIGEST, &next.digest);
        }
        let count = self.entries.len() as u32;
        put(&mut bytes, at::COUNT, &count.to_le_bytes());
        for (index, entry) in self.entries.iter().enumerate() {
            put(
                &mut bytes,
                at::ENTRIES + index * ENTRY_BYTES,
                &entry.encode(),
            );
        }
        bytes
    }

    /// Reads a page whose digest is right; `None` if it makes no sense.
    pub(crate) fn decode(bytes: &Block) -> Option<DirectoryPage> {
        let count = u32_at(bytes, at::COUNT) as usize;
        let is_page = bytes[at::MAGIC..at::MAGIC + MAGIC.len()] == *MAGIC
            && (1..=DIRECTORY_ENTRIES_MAX).contains(&count);
        let next = match Slot(u32_at(bytes, at::NEXT_SLOT)) {
            Slot(0) => None,
            slot => Some(PageRef {
                slot,
                digest: array_at(bytes, at::NEXT_DIGEST),
            }),
        };
        if !is_page || next.is_some_and(|it| it.slot < Slot::FIRST) {
            return None;
        }
        let entries = bytes[at::ENTRIES..].chunks_exact(ENTRY_BYTES).take(count);
        Some(DirectoryPage {
            next,
            entries: entries.map(DirectoryEntry::decode).collect::<Option<_>>()?,
        })
    }
}

pub(crate) fn encode_leaf(codes: &[u32; LEAF_BLOCKS]) -> Block {
    let mut bytes = [0; BLOCK_BYTES];
    for (bytes, code) in bytes.chunks_exact_mut(size_of::<u32>()).zip(codes) {
        bytes.copy_from_slice(&code.to_le_bytes());
    }
    bytes
}

pub(crate) fn decode_leaf(bytes: &Block) -> Box<[u32; LEAF_BLOCKS]> {
    let mut codes = Box::new([0; LEAF_BLOCKS]);
    for (code, bytes) in codes.iter_mut().zip(bytes.chunks_exact(size_of::<u32>())) {
        *code = u32_at(bytes, 0);
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_the_directory_is_read_back() {
        let page = PageRef {
            slot: Slot(70),
            digest: [3; 16],
        };
        let entry = |leaf| DirectoryEntry {
            leaf,
            region: match leaf % 2 {
                0 => Region::Page(page),
                _ => Region::Zeros(1 + leaf),
            },
        };
        let written = DirectoryPage {
            next: Some(page),
            entries: (0..DIRECTORY_ENTRIES_MAX as u32).map(entry).collect(),
        };
        assert_eq!(DirectoryPage::decode(&written.encode()), Some(written));
    }

    #[test]
    fn a_leaf_is_read_back() {
        let codes = std::array::from_fn(|index| index as u32 * 77);
        assert_eq!(*decode_leaf(&encode_leaf(&codes)), codes);
    }
}
