//! The inode that owns the reserved descriptors: each of the first copy is an indirect block that names those of the other copies.
//!
//! Spec: ext4 disk layout, "Special inodes".

use super::Grower;
use crate::device::Device;
use crate::layout::fields::{get, put};
use crate::layout::{Inode, InodeNumber, Timestamp};
use crate::{Error, Place};

/// Place of the doubly indirect block in an inode's map.
const DOUBLE_INDIRECT_AT: usize = 13 * 4;
/// Bytes of a sector, in which inodes count their blocks.
const SECTOR_BYTES: u64 = 512;

impl<D: Device> Grower<'_, D> {
    /// Lets the reserve have what the descriptors leave of it, in the new groups too.
    pub(super) fn use_reserve(&mut self, now: Timestamp) -> Result<(), Error> {
        let (mut inode, mut bytes, offset) = self.reserve_inode()?;
        let superblock = &self.new.superblock;
        let groups = superblock.groups_count();
        let copies = (1..groups).filter(|group| superblock.group_has_superblock(*group));
        let copies: Vec<u64> = copies.map(|group| self.new.group_start(group)).collect();
        let addresses = self.new.block_size / 4;
        let table = groups.div_ceil(self.new.descriptors_per_block());
        let reserved = u32::from(superblock.reserved_gdt_blocks);
        let mut double = vec![0; self.new.block_size];
        let first = self.new.group_start(0);
        for index in table..table + reserved {
            let number = first + 1 + u64::from(index);
            put(&mut double, (index as usize % addresses) * 4, number as u32);
            let mut single = vec![0; self.new.block_size];
            for (place, start) in copies.iter().take(addresses).enumerate() {
                put(
                    &mut single,
                    place * 4,
                    (start + 1 + u64::from(index)) as u32,
                );
            }
            self.write_block(number, &single)?;
        }
        let doubly: u32 = get(&inode.map, DOUBLE_INDIRECT_AT);
        self.write_block(doubly.into(), &double)?;
        let blocks = 1 + u64::from(reserved) * (1 + copies.len() as u64);
        inode.blocks = blocks * self.new.block_size as u64 / SECTOR_BYTES;
        inode.changed = now;
        inode.seal(&self.new.superblock, InodeNumber::RESIZE, &mut bytes);
        Ok(self.device.write_at(offset, &bytes)?)
    }

    /// Frees the reserve, and the inode that has it.
    pub(super) fn release_reserve(&mut self) -> Result<(), Error> {
        let reserved = u32::from(self.old.superblock.reserved_gdt_blocks);
        let has_reserve = self.old.superblock.compatible();
        if !has_reserve.contains(crate::layout::Compatible::RESIZE_INODE) {
            return Ok(());
        }
        let (inode, bytes, offset) = self.reserve_inode()?;
        let doubly: u32 = get(&inode.map, DOUBLE_INDIRECT_AT);
        let per_group = u64::from(self.old.superblock.blocks_per_group);
        let at = u64::from(doubly) - self.old.group_start(0);
        let (group, bit) = ((at / per_group) as u32, (at % per_group) as u32);
        self.free_bits(group, bit..bit + 1)?;
        let groups = self.old.superblock.groups_count();
        let table = groups.div_ceil(self.old.descriptors_per_block());
        for group in 0..groups {
            if self.old.superblock.group_has_superblock(group) {
                self.free_bits(group, 1 + table..1 + table + reserved)?;
            }
        }
        Ok(self.device.write_at(offset, &vec![0; bytes.len()])?)
    }

    /// Returns the inode, its bytes, and where they lie.
    fn reserve_inode(&self) -> Result<(Inode, Vec<u8>, u64), Error> {
        let number = InodeNumber::RESIZE;
        let (group, block, at) = self.old.place_in_table(number)?;
        let block = self.descriptors[group as usize].inode_table + block;
        let offset = block * self.old.block_size as u64 + at as u64;
        let mut bytes = vec![0; self.old.superblock.inode_size.into()];
        self.device.read_at(offset, &mut bytes)?;
        let inode = Inode::parse(&bytes).map_err(Error::layout(Place::Inode(number)))?;
        let doubly: u32 = get(&inode.map, DOUBLE_INDIRECT_AT);
        match self.old.is_block(doubly.into()) {
            true => Ok((inode, bytes, offset)),
            false => Err(Error::corrupt(
                Place::Inode(number),
                "the inode of reserved descriptors has none",
            )),
        }
    }
}
