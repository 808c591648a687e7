//! Extents: runs of blocks, and the tree that holds them.
//!
//! Spec: ext4 disk layout, "Extent Tree".

use super::checksum::crc32c;
use super::fields::{get, join, put};
use super::{LayoutError, corrupt};

/// `eh_magic`.
const EXTENT_MAGIC: u16 = 0xf30a;
/// Size of a node's header, and of each entry.
pub const EXTENT_ENTRY_BYTES: usize = 12;
/// Levels below the root that a tree may have.
pub const EXTENT_DEPTH_MAX: u16 = 5;
/// Blocks of the longest extent that has been written.
pub const EXTENT_BLOCKS_MAX: u32 = 32_768;
/// Blocks of the longest extent that has not been written.
pub const UNWRITTEN_BLOCKS_MAX: u32 = 32_767;

/// A run of a file's blocks that lie in a row on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First block of the file.
    pub logical: u32,
    /// Number of blocks.
    pub count: u32,
    /// First block on the device.
    pub physical: u64,
    /// Allocated, but reads as zeros.
    pub is_unwritten: bool,
}

/// An entry of an inner node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentIndex {
    /// First block of the file that the node below has.
    pub logical: u32,
    /// The block of the node below.
    pub node: u64,
}

/// The entries of a node of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtentNode {
    Leaf(Vec<Extent>),
    /// `depth` is the number of levels below, at least 1.
    Inner {
        depth: u16,
        entries: Vec<ExtentIndex>,
    },
}

impl ExtentNode {
    /// Parses a node: an inode's map, or a block. The order of the entries and where they lead is not judged.
    ///
    /// # Errors
    /// [`LayoutError`] for another magic number, or more entries than fit.
    pub fn parse(bytes: &[u8]) -> Result<ExtentNode, LayoutError> {
        if bytes.len() < EXTENT_ENTRY_BYTES {
            return Err(LayoutError::Truncated {
                structure: "extent node",
            });
        }
        if get::<u16>(bytes, 0) != EXTENT_MAGIC {
            return Err(corrupt("extent node", "no magic number 0xf30a"));
        }
        let (count, limit, depth): (u16, u16, u16) = (get(bytes, 2), get(bytes, 4), get(bytes, 6));
        if count > limit || usize::from(limit) > capacity(bytes.len()) {
            return Err(corrupt("extent node", "more entries than fit"));
        }
        if depth > EXTENT_DEPTH_MAX {
            return Err(corrupt("extent node", "too deep"));
        }
        let (entries, _) = bytes[EXTENT_ENTRY_BYTES..].as_chunks::<EXTENT_ENTRY_BYTES>();
        let entries = entries.iter().take(usize::from(count));
        Ok(match depth {
            0 => ExtentNode::Leaf(entries.map(|entry| parse_extent(entry)).collect()),
            _ => ExtentNode::Inner {
                depth,
                entries: entries.map(|entry| parse_index(entry)).collect(),
            },
        })
    }

    /// Writes the node over all of `bytes`, with room for as many entries as fit; a block's checksum is [`seal_extent_block`]'s.
    ///
    /// # Panics
    /// If there are more entries than [`capacity`] says.
    pub fn write(&self, bytes: &mut [u8]) {
        let (depth, count) = match self {
            ExtentNode::Leaf(extents) => (0, extents.len()),
            ExtentNode::Inner { depth, entries } => (*depth, entries.len()),
        };
        let limit = capacity(bytes.len());
        assert!(count <= limit, "the caller splits nodes");
        bytes.fill(0);
        put(bytes, 0, EXTENT_MAGIC);
        put(bytes, 2, count as u16);
        put(bytes, 4, limit as u16);
        put(bytes, 6, depth);
        let places = bytes[EXTENT_ENTRY_BYTES..].chunks_exact_mut(EXTENT_ENTRY_BYTES);
        match self {
            ExtentNode::Leaf(extents) => {
                places
                    .zip(extents)
                    .for_each(|(place, extent)| write_extent(extent, place));
            }
            ExtentNode::Inner { entries, .. } => {
                places
                    .zip(entries)
                    .for_each(|(place, entry)| write_index(entry, place));
            }
        }
    }
}

pub(super) fn parse_extent(bytes: &[u8]) -> Extent {
    let length = u32::from(get::<u16>(bytes, 4));
    let is_unwritten = length > EXTENT_BLOCKS_MAX;
    Extent {
        logical: get(bytes, 0),
        count: if is_unwritten {
            length - EXTENT_BLOCKS_MAX
        } else {
            length
        },
        physical: join(get(bytes, 8), u32::from(get::<u16>(bytes, 6))),
        is_unwritten,
    }
}

fn write_extent(extent: &Extent, bytes: &mut [u8]) {
    let length = match extent.is_unwritten {
        true => extent.count + EXTENT_BLOCKS_MAX,
        false => extent.count,
    };
    put(bytes, 0, extent.logical);
    put(bytes, 4, length as u16);
    put(bytes, 6, (extent.physical >> 32) as u16);
    put(bytes, 8, extent.physical as u32);
}

fn parse_index(bytes: &[u8]) -> ExtentIndex {
    ExtentIndex {
        logical: get(bytes, 0),
        node: join(get(bytes, 4), u32::from(get::<u16>(bytes, 8))),
    }
}

fn write_index(entry: &ExtentIndex, bytes: &mut [u8]) {
    put(bytes, 0, entry.logical);
    put(bytes, 4, entry.node as u32);
    put(bytes, 8, (entry.node >> 32) as u16);
}

/// Returns how many entries a node of `size_bytes` bytes holds.
pub const fn capacity(size_bytes: usize) -> usize {
    (size_bytes - EXTENT_ENTRY_BYTES) / EXTENT_ENTRY_BYTES
}

/// Where the checksum of a node's block lies: behind the room that its own header claims.
fn checksum_at(block: &[u8]) -> Option<usize> {
    let at = EXTENT_ENTRY_BYTES * (1 + usize::from(get::<u16>(block, 4)));
    (at + 4 <= block.len()).then_some(at)
}

/// Writes the checksum of a node's block. `seed` is the inode's.
pub fn seal_extent_block(seed: u32, block: &mut [u8]) {
    if let Some(at) = checksum_at(block) {
        let sum = crc32c(seed, &block[..at]);
        put(block, at, sum);
    }
}

/// Returns whether the checksum of a node's block is right. `seed` is the inode's.
pub fn is_extent_block_intact(seed: u32, block: &[u8]) -> bool {
    checksum_at(block).is_some_and(|at| get::<u32>(block, at) == crc32c(seed, &block[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_back_as_they_were_written() {
        let leaf = ExtentNode::Leaf(vec![
            Extent {
                logical: 0,
                count: EXTENT_BLOCKS_MAX,
                physical: 0x1234_5678_9abc,
                is_unwritten: false,
            },
            Extent {
                logical: 40_000,
                count: UNWRITTEN_BLOCKS_MAX,
                physical: 7,
                is_unwritten: true,
            },
        ]);
        let entries = vec![ExtentIndex {
            logical: 5,
            node: 0x1234_5678_9abc,
        }];
        let inner = ExtentNode::Inner { depth: 1, entries };
        for node in [leaf, inner] {
            let mut block = [1; 1024];
            node.write(&mut block);
            assert_eq!(ExtentNode::parse(&block).unwrap(), node);
            seal_extent_block(3, &mut block);
            assert!(is_extent_block_intact(3, &block) && !is_extent_block_intact(4, &block));
        }
    }

    #[test]
    fn more_entries_than_fit_are_refused() {
        let mut map = [0; 60];
        ExtentNode::Leaf(Vec::new()).write(&mut map);
        put(&mut map, 2, 5_u16);
        assert!(ExtentNode::parse(&map).is_err());
        put(&mut map, 4, 5_u16);
        assert!(ExtentNode::parse(&map).is_err());
    }
}
