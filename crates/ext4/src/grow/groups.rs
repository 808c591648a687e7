//! Descriptors and bitmaps of the groups.

use super::Grower;
use crate::Error;
use crate::device::Device;
use crate::layout::group::bitmap_checksum;
use crate::layout::{GroupDescriptor, GroupFlags, Incompatible};

impl<D: Device> Grower<'_, D> {
    /// Frees the blocks that the group that was last has now.
    pub(super) fn fill_last_group(&mut self) -> Result<(), Error> {
        let last = self.old.superblock.groups_count() - 1;
        let (before, after) = (self.old.group_blocks(last), self.new.group_blocks(last));
        self.free_bits(last, before..after)
    }

    /// Frees blocks of an old group, counted from its first.
    pub(super) fn free_bits(
        &mut self,
        group: u32,
        bits: std::ops::Range<u32>,
    ) -> Result<(), Error> {
        let superblock = &self.new.superblock;
        let bitmap_bytes = superblock.blocks_per_group as usize / 8;
        let descriptor = &mut self.descriptors[group as usize];
        descriptor.free_blocks_count += bits.end - bits.start;
        let is_lazy = superblock.has_group_checksums();
        if is_lazy && descriptor.flags.contains(GroupFlags::BLOCK_UNINIT) || bits.is_empty() {
            return Ok(());
        }
        let place = descriptor.block_bitmap;
        let mut bitmap = self.read_block(place)?;
        for bit in bits {
            bitmap[bit as usize / 8] &= !(1 << (bit % 8));
        }
        let sum = bitmap_checksum(&self.new.superblock, &bitmap[..bitmap_bytes]);
        if self.new.has_checksums {
            self.descriptors[group as usize].block_bitmap_checksum = sum;
        }
        self.write_block(place, &bitmap)
    }

    /// Adds a group that has nothing but its metadata, which follows what is at its head.
    pub(super) fn add_group(&mut self, group: u32) -> Result<(), Error> {
        let superblock = &self.new.superblock;
        let start = self.new.group_start(group);
        let head = self.new.head_blocks(group);
        let used = head + 2 + self.new.table_blocks();
        let inodes = superblock.inodes_per_group;
        let mut descriptor = GroupDescriptor {
            block_bitmap: start + head,
            inode_bitmap: start + head + 1,
            inode_table: start + head + 2,
            free_blocks_count: self.new.group_blocks(group) - used as u32,
            free_inodes_count: inodes,
            ..GroupDescriptor::default()
        };
        let is_last = group + 1 == superblock.groups_count();
        if superblock.has_group_checksums() {
            descriptor.unused_inodes_count = inodes;
            // What was added reads as zeros, and so do the inodes.
            descriptor.flags = GroupFlags::INODE_ZEROED | GroupFlags::INODE_UNINIT;
            if !is_last {
                descriptor.flags |= GroupFlags::BLOCK_UNINIT;
            }
        }
        if !descriptor.flags.contains(GroupFlags::BLOCK_UNINIT) {
            let bitmap = self.bitmap(used as u32, self.new.group_blocks(group));
            let counted = superblock.blocks_per_group as usize / 8;
            if self.new.has_checksums {
                descriptor.block_bitmap_checksum = bitmap_checksum(superblock, &bitmap[..counted]);
            }
            self.write_block(descriptor.block_bitmap, &bitmap)?;
        }
        if !descriptor.flags.contains(GroupFlags::INODE_UNINIT) {
            let bitmap = self.bitmap(0, inodes);
            self.write_block(descriptor.inode_bitmap, &bitmap)?;
        }
        self.descriptors.push(descriptor);
        Ok(())
    }

    /// Makes a bitmap whose bits from `used` to before `end` are free.
    fn bitmap(&self, used: u32, end: u32) -> Vec<u8> {
        let mut bitmap = vec![0xff; self.new.block_size];
        for bit in used..end {
            bitmap[bit as usize / 8] &= !(1 << (bit % 8));
        }
        bitmap
    }

    /// Writes the blocks of descriptors, with all their copies.
    pub(super) fn write_descriptors(&mut self) -> Result<(), Error> {
        let superblock = &self.new.superblock;
        let size = usize::from(superblock.descriptor_size_bytes());
        let per_block = self.new.descriptors_per_block();
        let mut places = Vec::new();
        for (index, descriptors) in (0_u32..).zip(self.descriptors.chunks_mut(per_block as usize)) {
            let mut bytes = vec![0; self.new.block_size];
            for (at, descriptor) in descriptors.iter_mut().enumerate() {
                let group = index * per_block + at as u32;
                descriptor.seal(superblock, group, &mut bytes[at * size..][..size]);
            }
            places.push((index, bytes));
        }
        for (index, bytes) in places {
            for place in self.descriptor_places(index) {
                self.write_block(place, &bytes)?;
            }
        }
        Ok(())
    }

    /// Returns where a block of descriptors lies, and its copies.
    fn descriptor_places(&self, index: u32) -> Vec<u64> {
        let superblock = &self.new.superblock;
        let groups = superblock.groups_count();
        let has_meta = superblock.incompatible().contains(Incompatible::META_BG);
        if has_meta && index >= superblock.first_meta_bg {
            let per_block = self.new.descriptors_per_block();
            let first = index * per_block;
            let holders = [first, first + 1, first + per_block - 1];
            let holders = holders.into_iter().filter(|group| *group < groups);
            let place = |group| {
                self.new.group_start(group) + u64::from(superblock.group_has_superblock(group))
            };
            return holders.map(place).collect();
        }
        let limit = match has_meta {
            true => groups.min(superblock.first_meta_bg * self.new.descriptors_per_block()),
            false => groups,
        };
        let holders = (0..limit).filter(|group| superblock.group_has_superblock(*group));
        let places = holders.map(|group| self.new.group_start(group) + 1 + u64::from(index));
        places.collect()
    }
}
