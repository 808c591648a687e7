//! Maps of blocks: extents, and the direct and indirect blocks of ext2 and ext3.

use super::fault::{FaultKind, FaultPlace};
use super::volume::address;
use super::{CheckError, Checker};
use crate::layout::extent::{Extent, ExtentNode, is_extent_block_intact};
use crate::layout::fields::get;
use crate::layout::{Incompatible, Inode, InodeFlags, InodeNumber};

/// Blocks that an inode of ext2 knows itself.
const DIRECT_BLOCKS: usize = 12;

/// A run of a file's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MappedRun {
    pub(super) logical: u64,
    pub(super) physical: u64,
    pub(super) count: u64,
}

/// What a map was found to hold.
#[derive(Default)]
pub(super) struct FoundMap {
    /// Blocks of data and of the map itself.
    pub(super) blocks: u64,
    /// Behind the last block of data that has been written.
    pub(super) written_end: u64,
    /// Behind the last block of data.
    pub(super) end: u64,
    /// Where the blocks of data are, if that was asked for.
    pub(super) runs: Vec<MappedRun>,
    /// Something was wrong; counts mean nothing.
    pub(super) is_broken: bool,
    keeps_runs: bool,
}

impl FoundMap {
    fn add(&mut self, run: MappedRun, is_unwritten: bool) {
        self.blocks += run.count;
        self.end = self.end.max(run.logical + run.count);
        if !is_unwritten {
            self.written_end = self.written_end.max(run.logical + run.count);
        }
        if self.keeps_runs {
            match self.runs.last_mut() {
                Some(last)
                    if last.logical + last.count == run.logical
                        && last.physical + last.count == run.physical =>
                {
                    last.count += run.count;
                }
                _ => self.runs.push(run),
            }
        }
    }
}

/// Whether to remember where each block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    Keep,
    Forget,
}

impl Checker<'_> {
    /// Goes through an inode's map and claims its blocks.
    pub(super) fn check_map(
        &mut self,
        number: InodeNumber,
        inode: &Inode,
        runs: Runs,
    ) -> Result<FoundMap, CheckError> {
        let mut found = FoundMap {
            keeps_runs: runs == Runs::Keep,
            ..FoundMap::default()
        };
        if !inode.flags.contains(InodeFlags::EXTENTS) {
            self.check_direct(number, inode, &mut found)?;
            return Ok(found);
        }
        let has_extents = self
            .volume
            .superblock
            .incompatible()
            .contains(Incompatible::EXTENT);
        if !has_extents {
            self.map_fault(number, &mut found, "extents without the feature");
            return Ok(found);
        }
        let seed = inode.seed(self.volume.seed, number);
        let mut walk = ExtentWalk {
            number,
            seed,
            next_logical: 0,
            found: &mut found,
        };
        self.check_extent_node(&inode.map, None, None, &mut walk)?;
        Ok(found)
    }

    fn map_fault(&mut self, number: InodeNumber, found: &mut FoundMap, reason: &'static str) {
        found.is_broken = true;
        self.fault(FaultPlace::Inode(number), FaultKind::Map { reason });
    }

    /// Claims blocks of a file; says what is wrong and returns false if they cannot be its own.
    pub(super) fn claim(
        &mut self,
        number: InodeNumber,
        structure: &'static str,
        first: u64,
        count: u64,
    ) -> bool {
        if !self.volume.is_inside(first, count) {
            let kind = FaultKind::OutOfRange {
                structure,
                block: first,
            };
            self.fault(FaultPlace::Inode(number), kind);
            return false;
        }
        let per_group = u64::from(self.volume.superblock.blocks_per_group);
        let start = u64::from(self.volume.superblock.first_data_block);
        for group in (first - start) / per_group..=(first + count - 1 - start) / per_group {
            self.file_groups.insert(group as u32);
        }
        match self.claims.claim(first, count) {
            Ok(()) => true,
            Err(block) => {
                self.fault(
                    FaultPlace::Inode(number),
                    FaultKind::MultiplyClaimed { block },
                );
                false
            }
        }
    }

    /// Goes through a node of a tree of extents. `expected` is the depth and the first block of the file, as the node above says.
    fn check_extent_node(
        &mut self,
        bytes: &[u8],
        expected: Option<(u16, u32)>,
        end: Option<u32>,
        walk: &mut ExtentWalk<'_>,
    ) -> Result<(), CheckError> {
        let number = walk.number;
        let node = match ExtentNode::parse(bytes) {
            Ok(node) => node,
            Err(error) => {
                walk.found.is_broken = true;
                self.fault(FaultPlace::Inode(number), FaultKind::Layout(error));
                return Ok(());
            }
        };
        let (depth, first) = match &node {
            ExtentNode::Leaf(extents) => (0, extents.first().map(|it| it.logical)),
            ExtentNode::Inner { depth, entries } => (*depth, entries.first().map(|it| it.logical)),
        };
        if let Some((expected_depth, logical)) = expected {
            if depth != expected_depth {
                self.map_fault(number, walk.found, "a node of another depth than its place");
                return Ok(());
            }
            if first != Some(logical) {
                self.map_fault(
                    number,
                    walk.found,
                    "a node begins elsewhere than the one above says",
                );
            }
        }
        match node {
            ExtentNode::Leaf(extents) => {
                for extent in extents {
                    self.check_extent(&extent, end, walk);
                }
            }
            ExtentNode::Inner { depth, entries } => {
                for (index, entry) in entries.iter().enumerate() {
                    let end = entries.get(index + 1).map(|it| it.logical).or(end);
                    let is_own = self.claim(number, "block of extents", entry.node, 1);
                    if !is_own {
                        walk.found.is_broken = true;
                        continue;
                    }
                    walk.found.blocks += 1;
                    let block = self.volume.block(entry.node)?;
                    let is_intact = is_extent_block_intact(walk.seed, &block);
                    if self.volume.has_checksums && !is_intact {
                        self.inode_block_checksum(number, entry.node, "block of extents");
                    }
                    let expected = Some((depth - 1, entry.logical));
                    self.check_extent_node(&block, expected, end, walk)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn inode_block_checksum(
        &mut self,
        inode: InodeNumber,
        block: u64,
        structure: &'static str,
    ) {
        self.fault(
            FaultPlace::InodeBlock { inode, block },
            FaultKind::Checksum { structure },
        );
    }

    fn check_extent(&mut self, extent: &Extent, end: Option<u32>, walk: &mut ExtentWalk<'_>) {
        let logical = u64::from(extent.logical);
        let logical_end = logical + u64::from(extent.count);
        let rules = [
            (extent.count == 0, "an extent of no blocks"),
            (
                logical < walk.next_logical,
                "extents overlap or are not in order",
            ),
            (
                logical_end > 1 << 32 || end.is_some_and(|end| logical_end > u64::from(end)),
                "an extent reaches beyond its node's part of the file",
            ),
        ];
        if let Some((_, reason)) = rules.into_iter().find(|(is_broken, _)| *is_broken) {
            self.map_fault(walk.number, walk.found, reason);
            return;
        }
        walk.next_logical = logical_end;
        let count = u64::from(extent.count);
        if !self.claim(walk.number, "extent", extent.physical, count) {
            walk.found.is_broken = true;
            return;
        }
        let run = MappedRun {
            logical,
            physical: extent.physical,
            count,
        };
        walk.found.add(run, extent.is_unwritten);
    }

    fn check_direct(
        &mut self,
        number: InodeNumber,
        inode: &Inode,
        found: &mut FoundMap,
    ) -> Result<(), CheckError> {
        let mut logical = 0;
        for index in 0..DIRECT_BLOCKS {
            self.check_indirect(number, address(&inode.map, index), 0, &mut logical, found)?;
        }
        for level in 1..=3 {
            let block = address(&inode.map, DIRECT_BLOCKS - 1 + level);
            self.check_indirect(number, block, level, &mut logical, found)?;
        }
        Ok(())
    }

    /// Goes through a block `level` levels above data; 0: none is there. `logical` is the next block of the file.
    fn check_indirect(
        &mut self,
        number: InodeNumber,
        block: u64,
        level: usize,
        logical: &mut u64,
        found: &mut FoundMap,
    ) -> Result<(), CheckError> {
        let per_block = self.volume.block_size / 4;
        let covered = (per_block as u64).pow(level as u32);
        let structure = match level {
            0 => "block",
            _ => "indirect block",
        };
        let is_own = block != 0 && self.claim(number, structure, block, 1);
        found.is_broken |= block != 0 && !is_own;
        if !is_own {
            *logical += covered;
            return Ok(());
        }
        if level == 0 {
            let run = MappedRun {
                logical: *logical,
                physical: block,
                count: 1,
            };
            found.add(run, false);
            *logical += 1;
            return Ok(());
        }
        found.blocks += 1;
        let bytes = self.volume.block(block)?;
        for index in 0..per_block {
            self.check_indirect(number, address(&bytes, index), level - 1, logical, found)?;
        }
        Ok(())
    }
}

/// Where a walk through a tree of extents is.
struct ExtentWalk<'a> {
    number: InodeNumber,
    seed: u32,
    /// The next extent begins here or later.
    next_logical: u64,
    found: &'a mut FoundMap,
}

/// Returns whether words of an inode's map from `from` on are zeros.
pub(super) fn is_zero_from(inode: &Inode, from: usize) -> bool {
    (from..inode.map.len() / 4).all(|index| get::<u32>(&inode.map, index * 4) == 0)
}
