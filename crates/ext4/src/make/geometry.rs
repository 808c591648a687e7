//! Numbers of a new file system: how many groups, inodes, and blocks of what.

use super::{BLOCK_SIZES, Journal, MakeError, MakeOptions};
use crate::layout::superblock::INODE_SIZE_OLD;

/// Size of an inode.
pub(super) const INODE_SIZE: u16 = 2 * INODE_SIZE_OLD;
/// Size of a group descriptor, with `64bit`.
pub(super) const DESCRIPTOR_SIZE: u16 = 64;
/// First inode that is not reserved: `lost+found`.
pub(super) const FIRST_INODE: u32 = 11;
/// Logarithm of how many groups' bitmaps and inode tables lie together.
pub(super) const GROUPS_PER_FLEX_LOG: u8 = 4;
/// How many times larger a file system can become: descriptors for so much are reserved.
const GROWTH: u64 = 1024;
/// Blocks that a last group must have beyond its own metadata; else it is left out.
const LAST_GROUP_BLOCKS_MIN: u64 = 50;
/// Part of the blocks that only root may use.
const RESERVED_PERCENT: u64 = 5;

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;
/// Usage types of `mke2fs.conf`: below which size, block size, bytes for each inode.
const USAGES: [(u64, u32, u64); 5] = [
    (3 * MIB, 1024, 8192),
    (512 * MIB, 1024, 4096),
    (4 * TIB, 4096, 16384),
    (16 * TIB, 4096, 32768),
    (u64::MAX, 4096, 65536),
];
/// Blocks of a journal: below how many blocks of the file system, how many.
const JOURNALS: [(u64, u32); 9] = [
    (2048, 0),
    (32_768, 1024),
    (256 << 10, 4096),
    (512 << 10, 8192),
    (4096 << 10, 16_384),
    (8192 << 10, 32_768),
    (16_384 << 10, 65_536),
    (32_768 << 10, 131_072),
    (u64::MAX, 262_144),
];

/// How many there are of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) block_size: u32,
    pub(super) blocks_count: u64,
    pub(super) first_data_block: u64,
    pub(super) groups_count: u32,
    pub(super) inodes_per_group: u32,
    /// Blocks of a group's inode table.
    pub(super) inode_table_blocks: u64,
    /// Blocks of the group descriptors.
    pub(super) descriptor_blocks: u64,
    /// Blocks kept for more of them.
    pub(super) reserved_descriptor_blocks: u64,
    /// Blocks that only root may use.
    pub(super) reserved_blocks: u64,
    /// 0: no journal.
    pub(super) journal_blocks: u32,
}

impl Geometry {
    /// Chooses the numbers for a device of `size_bytes`.
    pub(super) fn new(size_bytes: u64, options: &MakeOptions) -> Result<Geometry, MakeError> {
        let usage = USAGES.iter().find(|(below, ..)| size_bytes < *below);
        let (_, usual_block_size, inode_ratio) = *usage.unwrap_or(&USAGES[USAGES.len() - 1]);
        let block_size = options.block_size_bytes.unwrap_or(usual_block_size);
        if !BLOCK_SIZES.contains(&block_size) {
            return Err(MakeError::BlockSize {
                size_bytes: block_size,
            });
        }
        let blocks_count = size_bytes / u64::from(block_size);
        if blocks_count >= 1 << 32 {
            return Err(MakeError::TooLarge { size_bytes });
        }
        let inodes = blocks_count * u64::from(block_size) / inode_ratio;
        let mut geometry = Geometry::of_blocks(blocks_count, block_size, inodes)
            .ok_or(MakeError::TooSmall { size_bytes })?;
        if options.journal == Journal::Usual {
            geometry.journal_blocks = usual_journal_blocks(geometry.blocks_count);
        }
        Ok(geometry)
    }

    /// Divides blocks into groups; a last group that is too small is left out, where mke2fs may make all groups smaller. `None` if it
    /// is the only one.
    fn of_blocks(blocks_count: u64, block_size: u32, inodes: u64) -> Option<Geometry> {
        let first_data_block = u64::from(block_size == 1024);
        let blocks_per_group = u64::from(block_size) * 8;
        let blocks = blocks_count.checked_sub(first_data_block)?;
        let groups = blocks.div_ceil(blocks_per_group);
        let (inodes_per_group, inode_table_blocks) = inode_table(inodes, groups.max(1), block_size);
        let mut geometry = Geometry {
            block_size,
            blocks_count,
            first_data_block,
            groups_count: groups as u32,
            inodes_per_group,
            inode_table_blocks,
            descriptor_blocks: descriptor_blocks(groups, block_size),
            reserved_descriptor_blocks: 0,
            reserved_blocks: blocks_count * RESERVED_PERCENT / 100,
            journal_blocks: 0,
        };
        geometry.reserved_descriptor_blocks = geometry.growth();
        let rest = blocks % blocks_per_group;
        let last = geometry.groups_count.checked_sub(1)?;
        if rest == 0 || rest >= geometry.fixed_blocks(last) + LAST_GROUP_BLOCKS_MIN {
            return Some(geometry);
        }
        Geometry::of_blocks(blocks_count - rest, block_size, inodes)
    }

    /// Blocks of descriptors to reserve for growth: at most as many as an indirect block has places for.
    fn growth(&self) -> u64 {
        let blocks_max = (self.blocks_count * GROWTH).min(u64::from(u32::MAX));
        let groups_max = (blocks_max - self.first_data_block).div_ceil(self.blocks_per_group());
        let blocks = descriptor_blocks(groups_max, self.block_size);
        let growth = blocks.saturating_sub(self.descriptor_blocks);
        growth.min(self.addresses_per_block())
    }

    /// Blocks of a group's own metadata, if it lay in the group.
    fn fixed_blocks(&self, group: u32) -> u64 {
        2 + self.inode_table_blocks + self.head_blocks(group)
    }

    /// Blocks at the head of a group: superblock and descriptors, or none.
    pub(super) fn head_blocks(&self, group: u32) -> u64 {
        match has_superblock(group) {
            true => 1 + self.descriptor_blocks + self.reserved_descriptor_blocks,
            false => 0,
        }
    }

    pub(super) fn blocks_per_group(&self) -> u64 {
        u64::from(self.block_size) * 8
    }

    /// Block numbers of 32 bits in a block.
    pub(super) fn addresses_per_block(&self) -> u64 {
        u64::from(self.block_size) / 4
    }

    /// First block of a group.
    pub(super) fn group_start(&self, group: u32) -> u64 {
        self.first_data_block + u64::from(group) * self.blocks_per_group()
    }

    /// The block behind a group's last.
    pub(super) fn group_end(&self, group: u32) -> u64 {
        (self.group_start(group) + self.blocks_per_group()).min(self.blocks_count)
    }

    /// Groups with copies of the superblock.
    pub(super) fn backup_groups(&self) -> impl Iterator<Item = u32> {
        (1..self.groups_count).filter(|group| has_superblock(*group))
    }
}

/// Whether a group begins with a superblock. Spec: ext4 disk layout, "Super Block", `sparse_super`.
fn has_superblock(group: u32) -> bool {
    let is_power_of = |base: u32| {
        let mut power = base;
        while power < group {
            power = power.saturating_mul(base);
        }
        power == group
    };
    group <= 1 || [3, 5, 7].into_iter().any(is_power_of)
}

/// Returns the inodes of each group, and the blocks of their table, which they fill.
fn inode_table(inodes: u64, groups: u64, block_size: u32) -> (u32, u64) {
    let (block_size, inode_size) = (u64::from(block_size), u64::from(INODE_SIZE));
    let wanted = inodes
        .max(u64::from(FIRST_INODE) + 1)
        .div_ceil(groups)
        .min(block_size * 8);
    let blocks = (wanted * inode_size).div_ceil(block_size);
    let inodes = (blocks * block_size / inode_size).min(block_size * 8) & !7;
    let inodes = inodes.max(u64::from(FIRST_INODE).next_multiple_of(8));
    (inodes as u32, (inodes * inode_size).div_ceil(block_size))
}

fn descriptor_blocks(groups: u64, block_size: u32) -> u64 {
    (groups * u64::from(DESCRIPTOR_SIZE)).div_ceil(u64::from(block_size))
}

fn usual_journal_blocks(blocks_count: u64) -> u32 {
    let row = JOURNALS.iter().find(|(below, _)| blocks_count < *below);
    row.map_or(0, |(_, blocks)| *blocks)
}
