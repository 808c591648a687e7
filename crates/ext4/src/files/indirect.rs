//! Maps as pointers: twelve to blocks, and three to blocks of pointers, of pointers to those, and of pointers to those.
//!
//! Such a map is read whole, and changed where it lies: one pointer at a time, with the blocks of pointers that it needs.
//!
//! Spec: ext4 disk layout, "Direct/Indirect Block Addressing".

use std::collections::HashSet;

use super::map::{FileMap, Nodes, RUNS_MAX};
use crate::blocks::{Blocks, Seal};
use crate::device::Device;
use crate::geometry::Geometry;
use crate::layout::extent::Extent;
use crate::layout::fields::{get, put};
use crate::layout::{Inode, InodeNumber};
use crate::{Error, Place};

/// Pointers to blocks in the inode itself.
const DIRECT: u64 = 12;
/// Levels of blocks of pointers.
const LEVELS: u32 = 3;

/// Returns how many blocks the map can address.
pub(crate) fn blocks_max(block_size: usize) -> u64 {
    let pointers = block_size as u64 / 4;
    let all = DIRECT + pointers + pointers.pow(2) + pointers.pow(3);
    all.min(u64::from(u32::MAX))
}

/// Reads the map of an inode with pointers.
pub(crate) fn load<D: Device>(
    geometry: &Geometry,
    blocks: &Blocks<D>,
    number: InodeNumber,
    inode: &Inode,
) -> Result<FileMap, Error> {
    let mut loader = Loader {
        geometry,
        blocks,
        number,
        runs: Vec::new(),
        visited: HashSet::new(),
        total: 0,
    };
    for index in 0..DIRECT {
        loader.take(index, get(&inode.map, index as usize * 4))?;
    }
    let pointers = geometry.block_size as u64 / 4;
    let mut logical = DIRECT;
    for level in 1..=LEVELS {
        let root = get::<u32>(&inode.map, (DIRECT as usize + level as usize - 1) * 4);
        loader.read_level(logical, root, level)?;
        logical += pointers.pow(level);
    }
    Ok(FileMap::new(loader.runs, Nodes::Indirect))
}

struct Loader<'a, D> {
    geometry: &'a Geometry,
    blocks: &'a Blocks<D>,
    number: InodeNumber,
    runs: Vec<Extent>,
    /// Blocks of pointers: none may occur twice, or few bytes would take for ever.
    visited: HashSet<u32>,
    total: u64,
}

impl<D: Device> Loader<'_, D> {
    fn corrupt(&self, reason: &'static str) -> Error {
        Error::corrupt(Place::Inode(self.number), reason)
    }

    fn read_level(&mut self, logical: u64, block: u32, level: u32) -> Result<(), Error> {
        if block == 0 {
            return Ok(());
        }
        if !self.geometry.is_block(block.into()) || !self.visited.insert(block) {
            return Err(self.corrupt("a block of pointers outside, or used twice"));
        }
        let bytes = self.blocks.get(block.into(), |_| Ok(()))?;
        let span = (self.geometry.block_size as u64 / 4).pow(level - 1);
        for (index, pointer) in bytes.as_chunks::<4>().0.iter().enumerate() {
            let pointer = u32::from_le_bytes(*pointer);
            let logical = logical + index as u64 * span;
            match level {
                _ if pointer == 0 => {}
                1 => self.take(logical, pointer)?,
                _ => self.read_level(logical, pointer, level - 1)?,
            }
        }
        Ok(())
    }

    fn take(&mut self, logical: u64, pointer: u32) -> Result<(), Error> {
        if pointer == 0 {
            return Ok(());
        }
        self.total += 1;
        let is_sound = self.geometry.is_block(pointer.into())
            && logical < u64::from(u32::MAX)
            && self.total <= self.geometry.superblock.blocks_count;
        if !is_sound {
            return Err(self.corrupt("a pointer outside"));
        }
        if let Some(last) = self.runs.last_mut()
            && super::map::end(last) == logical
            && last.physical + u64::from(last.count) == u64::from(pointer)
        {
            last.count += 1;
            return Ok(());
        }
        if self.runs.len() >= RUNS_MAX {
            return Err(Error::Unsupported {
                features: format!("{RUNS_MAX} runs in a file"),
            });
        }
        self.runs.push(Extent {
            logical: logical as u32,
            count: 1,
            physical: pointer.into(),
            is_unwritten: false,
        });
        Ok(())
    }
}

/// The way to a pointer: its place in the inode, then its place in each block of pointers on the way.
pub(crate) struct PointerPath {
    root: usize,
    indexes: Vec<usize>,
}

/// Returns the way to the pointer of block `logical` of a file.
pub(crate) fn path(block_size: usize, logical: u32) -> Option<PointerPath> {
    let pointers = block_size as u64 / 4;
    let mut rest = u64::from(logical);
    if rest < DIRECT {
        return Some(PointerPath {
            root: rest as usize,
            indexes: Vec::new(),
        });
    }
    rest -= DIRECT;
    for level in 1..=LEVELS {
        if rest < pointers.pow(level) {
            let indexes = (0..level)
                .rev()
                .map(|it| (rest / pointers.pow(it) % pointers) as usize);
            return Some(PointerPath {
                root: (DIRECT + u64::from(level) - 1) as usize,
                indexes: indexes.collect(),
            });
        }
        rest -= pointers.pow(level);
    }
    None
}

/// Sets the pointer at the end of `path`. `allocate` gives blocks for pointers that are missing on the way.
pub(crate) fn set<D: Device>(
    blocks: &Blocks<D>,
    inode: &mut Inode,
    path: &PointerPath,
    physical: u64,
    mut allocate: impl FnMut() -> Result<u64, Error>,
) -> Result<(), Error> {
    let physical = u32::try_from(physical).map_err(|_| Error::NoSpace)?;
    let mut missing = |size: usize| -> Result<u32, Error> {
        let block = allocate()?;
        blocks.put(block, Seal::None, vec![0; size]);
        u32::try_from(block).map_err(|_| Error::NoSpace)
    };
    let size = blocks.block_size();
    let root_at = path.root * 4;
    let Some((last, inner)) = path.indexes.split_last() else {
        put(&mut inode.map, root_at, physical);
        return Ok(());
    };
    let mut block: u32 = get(&inode.map, root_at);
    if block == 0 {
        block = missing(size)?;
        put(&mut inode.map, root_at, block);
    }
    for index in inner {
        let bytes = blocks.get(block.into(), |_| Ok(()))?;
        let mut next: u32 = get(&bytes, index * 4);
        drop(bytes);
        if next == 0 {
            next = missing(size)?;
            blocks.change(block.into(), Seal::None, |bytes| {
                put(bytes, index * 4, next);
            })?;
        }
        block = next;
    }
    blocks.change(block.into(), Seal::None, |bytes| {
        put(bytes, last * 4, physical);
    })
}

/// Clears the pointers of `count` blocks from `logical` on, and returns the blocks of pointers that have become empty.
pub(crate) fn clear<D: Device>(
    blocks: &Blocks<D>,
    inode: &mut Inode,
    logical: u32,
    count: u32,
) -> Result<Vec<u64>, Error> {
    let range = u64::from(logical)..u64::from(logical) + u64::from(count);
    let pointers = blocks.block_size() as u64 / 4;
    for index in 0..DIRECT {
        if range.contains(&index) {
            put(&mut inode.map, index as usize * 4, 0_u32);
        }
    }
    let mut freed = Vec::new();
    let mut start = DIRECT;
    for level in 1..=LEVELS {
        let at = (DIRECT as usize + level as usize - 1) * 4;
        let block: u32 = get(&inode.map, at);
        let stop = start + pointers.pow(level);
        if block != 0 && start < range.end && range.start < stop {
            let is_empty = clear_level(blocks, block.into(), level, start, &range, &mut freed)?;
            if is_empty {
                put(&mut inode.map, at, 0_u32);
            }
        }
        start = stop;
    }
    Ok(freed)
}

/// Clears what lies in `range` below a block of pointers whose first is for `start`; returns whether none is left, and then frees it.
fn clear_level<D: Device>(
    blocks: &Blocks<D>,
    block: u64,
    level: u32,
    start: u64,
    range: &std::ops::Range<u64>,
    freed: &mut Vec<u64>,
) -> Result<bool, Error> {
    let bytes = blocks.get(block, |_| Ok(()))?;
    let span = (bytes.len() as u64 / 4).pow(level - 1);
    let mut cleared = Vec::new();
    let mut is_empty = true;
    for (index, pointer) in bytes.as_chunks::<4>().0.iter().enumerate() {
        let pointer = u32::from_le_bytes(*pointer);
        let begin = start + index as u64 * span;
        let is_touched = begin < range.end && range.start < begin + span;
        let is_gone = match (pointer, level) {
            (0, _) => continue,
            (_, 1) => is_touched,
            _ if !is_touched => false,
            _ => clear_level(blocks, pointer.into(), level - 1, begin, range, freed)?,
        };
        match is_gone {
            true => cleared.push(index),
            false => is_empty = false,
        }
    }
    drop(bytes);
    if is_empty {
        freed.push(block);
    } else if !cleared.is_empty() {
        blocks.change(block, Seal::None, |bytes| {
            cleared
                .iter()
                .for_each(|index| put(bytes, index * 4, 0_u32));
        })?;
    }
    Ok(is_empty)
}
