//! The numbers of the larger file system.

use crate::Error;
use crate::geometry::{GROUPS_MAX, Geometry};
use crate::layout::{Compatible, Incompatible, Superblock};

/// Blocks that a new last group must have beyond its own metadata; else it is left out, as with `mke2fs`.
const LAST_GROUP_BLOCKS_MIN: u64 = 50;

/// Where descriptors of new groups go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// There is room in the blocks of descriptors, or they lie in the groups already.
    Unchanged,
    /// Into reserved blocks.
    Reserved,
    /// Into the groups, from now on.
    Meta,
}

/// What the file system will be.
pub(super) struct Plan {
    /// Without what is free, which is counted later.
    pub(super) superblock: Superblock,
    pub(super) table: Table,
}

impl Plan {
    /// Chooses the numbers for at most so many blocks.
    pub(super) fn new(old: &Geometry, blocks_max: u64) -> Result<Plan, Error> {
        let mut blocks_count = possible_blocks(&old.superblock, blocks_max);
        loop {
            let plan = Plan::of_blocks(old, blocks_count)?;
            let superblock = &plan.superblock;
            let groups = superblock.groups_count();
            let is_old = groups == old.superblock.groups_count();
            let new = Geometry::new(superblock.clone())?;
            let last = groups - 1;
            let needed = new.head_blocks(last) + 2 + new.table_blocks() + LAST_GROUP_BLOCKS_MIN;
            if is_old || u64::from(new.group_blocks(last)) >= needed {
                return Ok(plan);
            }
            blocks_count = new.group_start(last);
        }
    }

    fn of_blocks(old: &Geometry, blocks_count: u64) -> Result<Plan, Error> {
        let mut superblock = old.superblock.clone();
        superblock.blocks_count = blocks_count;
        let groups = superblock.groups_count();
        superblock.inodes_count = groups * superblock.inodes_per_group;
        let share = u128::from(superblock.reserved_blocks_count) * u128::from(blocks_count);
        let share = share / u128::from(old.superblock.blocks_count);
        superblock.reserved_blocks_count = share as u64;
        // Linux counts it itself then.
        superblock.overhead_blocks = 0;
        let per_block = old.descriptors_per_block();
        let table_before = old.superblock.groups_count().div_ceil(per_block);
        let table_after = groups.div_ceil(per_block);
        let more = table_after - table_before;
        let has_meta = superblock.incompatible().contains(Incompatible::META_BG);
        if has_meta && superblock.first_meta_bg > table_before && more > 0 {
            return Err(Error::Unsupported {
                features: "growing into a table of descriptors that meta_bg continues".to_owned(),
            });
        }
        let has_reserve = superblock.compatible().contains(Compatible::RESIZE_INODE);
        let reserve = u32::from(superblock.reserved_gdt_blocks);
        let table = if has_meta || more == 0 && !has_reserve {
            Table::Unchanged
        } else if has_reserve && more <= reserve {
            superblock.reserved_gdt_blocks = (reserve - more) as u16;
            Table::Reserved
        } else {
            superblock.feature_incompat |= Incompatible::META_BG.bits();
            superblock.feature_compat &= !Compatible::RESIZE_INODE.bits();
            superblock.reserved_gdt_blocks = 0;
            superblock.first_meta_bg = table_before;
            Table::Meta
        };
        Ok(Plan { superblock, table })
    }
}

/// Returns how many blocks there may be: what numbers of blocks, groups and inodes allow.
fn possible_blocks(old: &Superblock, blocks_max: u64) -> u64 {
    let is_large = old.incompatible().contains(Incompatible::BIT64);
    let numbered = match is_large {
        true => 1 << 48,
        false => u64::from(u32::MAX),
    };
    let groups = (u32::MAX / old.inodes_per_group).min(GROUPS_MAX);
    let grouped = u64::from(groups) * u64::from(old.blocks_per_group);
    let grouped = grouped + u64::from(old.first_data_block);
    blocks_max.min(numbered - 1).min(grouped)
}
