//! Group descriptors: where a group's bitmaps and inodes lie, and what of it is free.
//!
//! Spec: ext4 disk layout, "Block Group Descriptors" and "Block and inode Bitmaps".

use bitflags::bitflags;

use super::checksum::{crc16, crc32c};
use super::features::ReadOnlyCompatible;
use super::fields::{get, join, put};
use super::superblock::{DESCRIPTOR_SIZE_OLD, Superblock};

/// Where the checksum lies.
const CHECKSUM_AT: usize = 0x1e;

bitflags! {
    /// `bg_flags`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct GroupFlags: u16 {
        /// No inode of the group is used; its bitmap is not written.
        const INODE_UNINIT = 1;
        /// Only metadata of fixed place is in the group; its block bitmap is not written.
        const BLOCK_UNINIT = 2;
        /// The inode table has been zeroed.
        const INODE_ZEROED = 4;
        const _ = !0;
    }
}

/// A group descriptor, named as in the specification without `bg_`; of two halves one number is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupDescriptor {
    /// Block of the block bitmap.
    pub block_bitmap: u64,
    /// Block of the inode bitmap.
    pub inode_bitmap: u64,
    /// First block of the inode table.
    pub inode_table: u64,
    pub free_blocks_count: u32,
    pub free_inodes_count: u32,
    pub used_directories_count: u32,
    pub flags: GroupFlags,
    /// Sum of the block bitmap; 16 bits of it on small descriptors.
    pub block_bitmap_checksum: u32,
    pub inode_bitmap_checksum: u32,
    /// Inodes at the end of the table that were never used.
    pub unused_inodes_count: u32,
    pub checksum: u16,
}

impl GroupDescriptor {
    /// Parses a descriptor of `bytes.len()` bytes: 32, or 64 and more.
    pub fn parse(bytes: &[u8]) -> GroupDescriptor {
        let is_large = bytes.len() > usize::from(DESCRIPTOR_SIZE_OLD);
        let high = |at| if is_large { get::<u32>(bytes, at) } else { 0 };
        let high_half = |at| {
            if is_large {
                u32::from(get::<u16>(bytes, at)) << 16
            } else {
                0
            }
        };
        let half = |at| u32::from(get::<u16>(bytes, at));
        GroupDescriptor {
            block_bitmap: join(get(bytes, 0), high(0x20)),
            inode_bitmap: join(get(bytes, 4), high(0x24)),
            inode_table: join(get(bytes, 8), high(0x28)),
            free_blocks_count: half(0xc) | high_half(0x2c),
            free_inodes_count: half(0xe) | high_half(0x2e),
            used_directories_count: half(0x10) | high_half(0x30),
            flags: GroupFlags::from_bits_retain(get(bytes, 0x12)),
            block_bitmap_checksum: half(0x18) | high_half(0x38),
            inode_bitmap_checksum: half(0x1a) | high_half(0x3a),
            unused_inodes_count: half(0x1c) | high_half(0x32),
            checksum: get(bytes, CHECKSUM_AT),
        }
    }

    /// Reads of a descriptor only how many blocks and inodes of the group are free.
    pub fn free_counts(bytes: &[u8]) -> (u32, u32) {
        let is_large = bytes.len() > usize::from(DESCRIPTOR_SIZE_OLD);
        let count = |low_at, high_at| {
            let high = if is_large {
                get::<u16>(bytes, high_at)
            } else {
                0
            };
            u32::from(get::<u16>(bytes, low_at)) | u32::from(high) << 16
        };
        (count(0xc, 0x2c), count(0xe, 0x2e))
    }

    /// Writes into the descriptor's bytes; the checksum as it is, see [`GroupDescriptor::seal`].
    pub fn write(&self, bytes: &mut [u8]) {
        put(bytes, 0, self.block_bitmap as u32);
        put(bytes, 4, self.inode_bitmap as u32);
        put(bytes, 8, self.inode_table as u32);
        let halves = [
            (0xc, 0x2c, self.free_blocks_count),
            (0xe, 0x2e, self.free_inodes_count),
            (0x10, 0x30, self.used_directories_count),
            (0x18, 0x38, self.block_bitmap_checksum),
            (0x1a, 0x3a, self.inode_bitmap_checksum),
            (0x1c, 0x32, self.unused_inodes_count),
        ];
        put(bytes, 0x12, self.flags.bits());
        put(bytes, CHECKSUM_AT, self.checksum);
        let is_large = bytes.len() > usize::from(DESCRIPTOR_SIZE_OLD);
        for (low_at, high_at, value) in halves {
            put(bytes, low_at, value as u16);
            if is_large {
                put(bytes, high_at, (value >> 16) as u16);
            }
        }
        if is_large {
            put(bytes, 0x20, (self.block_bitmap >> 32) as u32);
            put(bytes, 0x24, (self.inode_bitmap >> 32) as u32);
            put(bytes, 0x28, (self.inode_table >> 32) as u32);
        }
    }

    /// Writes the descriptor of group `group` into `bytes` with the checksum that the file system's features ask for.
    pub fn seal(&mut self, superblock: &Superblock, group: u32, bytes: &mut [u8]) {
        self.write(bytes);
        self.checksum = descriptor_checksum(superblock, group, bytes);
        put(bytes, CHECKSUM_AT, self.checksum);
    }
}

/// Returns the checksum of a descriptor's bytes, whatever its field for it holds; 0 for file systems without.
pub fn descriptor_checksum(superblock: &Superblock, group: u32, bytes: &[u8]) -> u16 {
    let (before, after) = (&bytes[..CHECKSUM_AT], &bytes[CHECKSUM_AT + 2..]);
    let features = superblock.read_only_compatible();
    if features.contains(ReadOnlyCompatible::METADATA_CSUM) {
        let sum = crc32c(superblock.metadata_seed(), &group.to_le_bytes());
        let sum = crc32c(crc32c(sum, before), &[0, 0]);
        crc32c(sum, after) as u16
    } else if features.contains(ReadOnlyCompatible::GDT_CSUM) {
        let sum = crc16(crc16(!0, &superblock.uuid), &group.to_le_bytes());
        // What follows the checksum is summed only where descriptors are large.
        crc16(crc16(sum, before), after)
    } else {
        0
    }
}

/// Returns the checksum of a bitmap's used bytes as a descriptor of this file system keeps it: 16 bits of it in small ones.
///
/// `bitmap` is all bytes of the group's bits: `blocks_per_group / 8` or `inodes_per_group / 8`.
pub fn bitmap_checksum(superblock: &Superblock, bitmap: &[u8]) -> u32 {
    let sum = crc32c(superblock.metadata_seed(), bitmap);
    match superblock.descriptor_size_bytes() > DESCRIPTOR_SIZE_OLD {
        true => sum,
        false => sum & 0xffff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_read_back_as_it_was_written() {
        let descriptor = GroupDescriptor {
            block_bitmap: 0x12_3456_789a,
            inode_bitmap: 0x23_4567_89ab,
            inode_table: 0x34_5678_9abc,
            free_blocks_count: 0x1_2345,
            free_inodes_count: 0x2_3456,
            used_directories_count: 0x3_4567,
            flags: GroupFlags::INODE_ZEROED,
            block_bitmap_checksum: 0x1234_5678,
            inode_bitmap_checksum: 0x2345_6789,
            unused_inodes_count: 0x4_5678,
            checksum: 0x5678,
        };
        let mut bytes = [0; 64];
        descriptor.write(&mut bytes);
        assert_eq!(GroupDescriptor::parse(&bytes), descriptor);
        assert_eq!(GroupDescriptor::free_counts(&bytes), (0x1_2345, 0x2_3456));
        let mut small = [0; 32];
        descriptor.write(&mut small);
        assert_eq!(GroupDescriptor::parse(&small).block_bitmap, 0x3456_789a);
    }
}
