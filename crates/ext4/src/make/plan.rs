//! Where everything of a new file system lies.

use std::ops::Range;

use super::geometry::{GROUPS_PER_FLEX_LOG, Geometry};
use super::runs::{Run, Runs};

/// Groups whose bitmaps and inode tables lie together.
const GROUPS_PER_FLEX: u32 = 1 << GROUPS_PER_FLEX_LOG;
/// Bytes that `lost+found` has from the start, so that a full file system can be repaired.
const LOST_AND_FOUND_BYTES: u64 = 16 << 10;
/// Blocks that it has at most: those that an inode of ext2 knows itself.
const LOST_AND_FOUND_BLOCKS_MAX: u64 = 12;

/// Places of a group's metadata.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupPlan {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) inode_table: u64,
}

/// Places of everything.
pub(super) struct Plan {
    pub(super) geometry: Geometry,
    pub(super) groups: Vec<GroupPlan>,
    pub(super) used: Runs,
    /// Blocks that metadata of fixed place takes: what is never free.
    pub(super) overhead_blocks: u64,
    pub(super) root: u64,
    pub(super) lost_and_found: Vec<Run>,
    /// The doubly indirect block of the reserved descriptors.
    pub(super) resize: u64,
    pub(super) journal: Vec<Run>,
    /// Block of the journal's extents, if they do not fit its inode.
    pub(super) journal_node: Option<u64>,
}

impl Plan {
    /// Places everything; `None` if there is no room.
    pub(super) fn new(geometry: Geometry) -> Option<Plan> {
        let mut used = Runs::default();
        for group in 0..geometry.groups_count {
            let start = geometry.group_start(group);
            let end = start + geometry.head_blocks(group);
            if end > geometry.group_end(group) {
                return None;
            }
            used.take((start, end));
        }
        let groups = place_groups(&geometry, &mut used)?;
        let (start, end) = (geometry.first_data_block, geometry.blocks_count);
        let root = used.take_row(start, end, 1)?;
        let block_size = u64::from(geometry.block_size);
        let count = (LOST_AND_FOUND_BYTES / block_size).min(LOST_AND_FOUND_BLOCKS_MAX);
        let lost_and_found = used.take_runs(start, end, count)?;
        // Behind where the first group's inode table would be if it followed the descriptors, as mke2fs does.
        let goal = start + geometry.head_blocks(0) + geometry.inode_table_blocks + 1;
        let resize = used.take_row(goal, end, 1)?;
        let journal = place_journal(&geometry, &mut used)?;
        let journal_node = match fits_inode(&journal) {
            true => None,
            false => Some(used.take_row(journal[0].0, end, 1)?),
        };
        let heads: u64 = (0..geometry.groups_count)
            .map(|it| geometry.head_blocks(it))
            .sum();
        let tables = u64::from(geometry.groups_count) * (2 + geometry.inode_table_blocks);
        let overhead_blocks = geometry.first_data_block
            + heads
            + tables
            + u64::from(geometry.journal_blocks)
            + u64::from(journal_node.is_some());
        Some(Plan {
            geometry,
            groups,
            used,
            overhead_blocks,
            root,
            lost_and_found,
            resize,
            journal,
            journal_node,
        })
    }
}

/// Places bitmaps and inode tables: those of a flexible group together, at its start, each kind in a row.
fn place_groups(geometry: &Geometry, used: &mut Runs) -> Option<Vec<GroupPlan>> {
    let mut groups = Vec::with_capacity(geometry.groups_count as usize);
    for first in (0..geometry.groups_count).step_by(GROUPS_PER_FLEX as usize) {
        let last = (first + GROUPS_PER_FLEX).min(geometry.groups_count);
        place_flexible_group(geometry, used, first..last, &mut groups)?;
    }
    Some(groups)
}

fn place_flexible_group(
    geometry: &Geometry,
    used: &mut Runs,
    members: Range<u32>,
    groups: &mut Vec<GroupPlan>,
) -> Option<()> {
    let mut row = |goal: u64, count: u64| {
        let mut at = goal;
        let blocks = members.clone().map(|_| {
            let block = used.take_row(at, geometry.blocks_count, count)?;
            at = block + count;
            Some(block)
        });
        blocks.collect::<Option<Vec<u64>>>()
    };
    // As mke2fs does it, a group that is alone leaves room for bitmaps of those that may come.
    let goal = |blocks: &[u64]| match blocks {
        [only] => only + u64::from(GROUPS_PER_FLEX),
        _ => blocks[0],
    };
    let block_bitmaps = row(geometry.group_start(members.start), 1)?;
    let inode_bitmaps = row(goal(&block_bitmaps), 1)?;
    let inode_tables = row(goal(&inode_bitmaps), geometry.inode_table_blocks)?;
    let bitmaps = block_bitmaps.into_iter().zip(inode_bitmaps);
    let places = bitmaps.zip(inode_tables);
    groups.extend(
        places.map(|((block_bitmap, inode_bitmap), inode_table)| GroupPlan {
            block_bitmap,
            inode_bitmap,
            inode_table,
        }),
    );
    Some(())
}

/// Places the journal in the middle, where ways to it are short: in that of three groups there that has most room.
fn place_journal(geometry: &Geometry, used: &mut Runs) -> Option<Vec<Run>> {
    if geometry.journal_blocks == 0 {
        return Some(Vec::new());
    }
    let middle = (geometry.first_data_block + geometry.blocks_count) / 2;
    let middle = ((middle - geometry.first_data_block) / geometry.blocks_per_group()) as u32;
    let (first, last) = match middle > GROUPS_PER_FLEX {
        true => {
            let first = middle & !(GROUPS_PER_FLEX - 1);
            (first, first + 1)
        }
        false => (middle.saturating_sub(1), middle + 1),
    };
    let last = last.min(geometry.groups_count - 1);
    let free = |group: &u32| {
        let runs = used.free(geometry.group_start(*group), geometry.group_end(*group));
        runs.map(|(from, to)| to - from).sum::<u64>()
    };
    // Of equal ones, `max_by_key` takes the last.
    let group = (first..=last).rev().max_by_key(free)?;
    let goal = geometry.group_start(group);
    let count = u64::from(geometry.journal_blocks);
    used.take_runs(goal, geometry.blocks_count, count)
}

/// Whether runs fit an inode as extents.
fn fits_inode(runs: &[Run]) -> bool {
    use crate::layout::extent::{EXTENT_BLOCKS_MAX, capacity};
    use crate::layout::inode::MAP_SIZE_BYTES;

    let extents = runs
        .iter()
        .map(|(from, to)| (to - from).div_ceil(u64::from(EXTENT_BLOCKS_MAX)));
    extents.sum::<u64>() <= capacity(MAP_SIZE_BYTES) as u64
}
