//! What is free: bitmaps of blocks and inodes, changed by the one writer, and the count of blocks that all may ask for.
//!
//! Spec: ext4 disk layout, "Block and inode Bitmaps", "Lazy Block Group Initialization", "Block and Inode Allocation Policy".

use crate::blocks::{Blocks, Seal};
use crate::device::Device;
use crate::geometry::Geometry;
use crate::layout::group::bitmap_checksum;
use crate::layout::{GroupDescriptor, GroupFlags, InodeNumber, Superblock};
use crate::{Error, Place};

/// A run that is at least so long, or as long as wanted, is taken from the first group that has one.
const GOOD_RUN_BLOCKS: u32 = 256;

/// How much is free. Guarded by a lock of its own, so that content can be accepted without the writer's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    pub(crate) blocks_free: u64,
    /// Of the free blocks, those that are kept for content that was accepted.
    pub(crate) blocks_promised: u64,
    /// Of the free blocks, those that a limit keeps from being used.
    pub(crate) blocks_withheld: u64,
    pub(crate) inodes_free: u32,
}

impl Space {
    /// Counts what is free as the groups say.
    pub(crate) fn count<D: Device>(
        geometry: &Geometry,
        blocks: &Blocks<D>,
    ) -> Result<Space, Error> {
        let (blocks_free, inodes_free) = geometry.count_free(blocks)?;
        let superblock = &geometry.superblock;
        Ok(Space {
            blocks_free: blocks_free.min(superblock.blocks_count),
            blocks_promised: 0,
            blocks_withheld: 0,
            inodes_free: inodes_free.min(superblock.inodes_count.into()) as u32,
        })
    }

    /// Free blocks that were promised to nobody.
    pub(crate) fn blocks_available(&self) -> u64 {
        let kept = self.blocks_promised.saturating_add(self.blocks_withheld);
        self.blocks_free.saturating_sub(kept)
    }

    /// Promises `count` more blocks, if there are so many.
    pub(crate) fn promise(&mut self, count: u64) -> Result<(), Error> {
        if self.blocks_available() < count {
            return Err(Error::NoSpace);
        }
        self.blocks_promised += count;
        Ok(())
    }

    /// Takes back a promise.
    pub(crate) fn release(&mut self, count: u64) {
        self.blocks_promised = self.blocks_promised.saturating_sub(count);
    }
}

/// Which free blocks may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Funds {
    /// Those that were promised to nobody.
    Free,
    /// Those that were promised to the caller.
    Promised,
}

struct Group {
    descriptor: GroupDescriptor,
    /// As the device has them, or as they are to be; `None` until needed.
    block_bitmap: Option<Vec<u8>>,
    inode_bitmap: Option<Vec<u8>>,
    is_changed: bool,
}

impl Group {
    fn count_blocks(&mut self, change: i64) {
        let count = i64::from(self.descriptor.free_blocks_count) + change;
        self.descriptor.free_blocks_count = count.max(0) as u32;
        self.descriptor.flags.remove(GroupFlags::BLOCK_UNINIT);
        self.is_changed = true;
    }

    /// Returns the bitmap of blocks of this group, which is number `index`.
    fn block_bitmap<D: Device>(
        &mut self,
        geometry: &Geometry,
        blocks: &Blocks<D>,
        index: usize,
    ) -> Result<&mut Vec<u8>, Error> {
        if self.block_bitmap.is_none() {
            let bitmap = load_block_bitmap(geometry, blocks, &self.descriptor, index as u32)?;
            self.block_bitmap = Some(bitmap);
        }
        Ok(self.block_bitmap.as_mut().expect("it was just loaded"))
    }

    /// Returns the bitmap of inodes of this group, which is number `index`.
    fn inode_bitmap<D: Device>(
        &mut self,
        geometry: &Geometry,
        blocks: &Blocks<D>,
        index: usize,
    ) -> Result<&mut Vec<u8>, Error> {
        if self.inode_bitmap.is_none() {
            let bitmap = load_inode_bitmap(geometry, blocks, &self.descriptor, index as u32)?;
            self.inode_bitmap = Some(bitmap);
        }
        Ok(self.inode_bitmap.as_mut().expect("it was just loaded"))
    }
}

/// What the writer's lock guards: allocation, and what belongs to the file system as a whole.
pub(crate) struct Writer {
    /// The superblock as it will be written.
    pub(crate) superblock: Superblock,
    /// Those that were needed.
    groups: Vec<Option<Box<Group>>>,
    /// Inodes without a name that are still open.
    pub(crate) orphans: Vec<InodeNumber>,
    /// The list of orphans differs from the device's.
    pub(crate) are_orphans_changed: bool,
    /// For the next inode's generation.
    pub(crate) generation: u32,
    /// Something of the superblock or the groups differs from the device.
    pub(crate) is_changed: bool,
}

impl Writer {
    pub(crate) fn new(geometry: &Geometry) -> Writer {
        let superblock = geometry.superblock.clone();
        let groups = (0..superblock.groups_count()).map(|_| None);
        Writer {
            generation: superblock.hash_seed[0] ^ superblock.write_time,
            groups: groups.collect(),
            superblock,
            orphans: Vec::new(),
            are_orphans_changed: false,
            is_changed: false,
        }
    }

    /// Returns a group, read when it is first needed.
    fn group<D: Device>(
        &mut self,
        geometry: &Geometry,
        blocks: &Blocks<D>,
        index: usize,
    ) -> Result<&mut Group, Error> {
        let group = &mut self.groups[index];
        if group.is_none() {
            *group = Some(Box::new(Group {
                descriptor: geometry.descriptor(blocks, index as u32)?,
                block_bitmap: None,
                inode_bitmap: None,
                is_changed: false,
            }));
        }
        Ok(group.as_mut().expect("it was just read"))
    }

    /// Takes up to `wanted` blocks in a row, near `goal`. Returns the first and how many.
    pub(crate) fn allocate_blocks<D: Device>(
        &mut self,
        geometry: &Geometry,
        blocks: &Blocks<D>,
        space: &mut Space,
        (goal, wanted, funds): (u64, u32, Funds),
    ) -> Result<(u64, u32), Error> {
        let available = match funds {
            Funds::Free => space.blocks_available(),
            Funds::Promised => space.blocks_free,
        };
        let wanted = u64::from(wanted).min(available) as u32;
        if wanted == 0 {
            return Err(Error::NoSpace);
        }
        let goal = if geometry.is_block(goal) {
            goal
        } else {
            geometry.group_start(0)
        };
        let goal_offset = goal - geometry.group_start(0);
        let per_group = u64::from(geometry.superblock.blocks_per_group);
        let goal_group = (goal_offset / per_group) as usize;
        for good in [wanted.min(GOOD_RUN_BLOCKS), 1] {
            for step in 0..=self.groups.len() {
                let group = (goal_group + step) % self.groups.len();
                // The goal's own group is tried twice: from the goal on, at the end from its begin on.
                let from = if step == 0 {
                    (goal_offset % per_group) as u32
                } else {
                    0
                };
                let found = self.group(geometry, blocks, group)?;
                if found.descriptor.free_blocks_count < good {
                    continue;
                }
                let size = geometry.group_blocks(group as u32);
                let bitmap = found.block_bitmap(geometry, blocks, group)?;
                if let Some((first, count)) = find_run(bitmap, from, size, wanted, good) {
                    (first..first + count).for_each(|bit| set_bit(bitmap, bit));
                    found.count_blocks(-i64::from(count));
                    self.is_changed = true;
                    space.blocks_free = space.blocks_free.saturating_sub(count.into());
                    return Ok((geometry.group_start(group as u32) + u64::from(first), count));
                }
            }
        }
        Err(Error::NoSpace)
    }

    /// Frees blocks.
    pub(crate) fn free_blocks<D: Device>(
        &mut self,
        geometry: &Geometry,
        blocks: &Blocks<D>,
        space: &mut Space,
        (first, count): (u64, u64),
    ) -> Result<(), Error> {
        let per_group = u64::from(geometry.superblock.blocks_per_group);
        let (mut first, end) = (first, first + count);
        while first < end {
            let offset = first
                .checked_sub(geometry.group_start(0))
                .filter(|_| geometry.is_block(first));
            let offset = offset.ok_or(Error::corrupt(Place::Block(first), "a block outside"))?;
            let (group, bit) = ((offset / per_group) as usize, (offset % per_group) as u32);
            let stop = (per_group - u64::from(bit)).min(end - first) as u32;
            let found = self.group(geometry, blocks, group)?;
            let bitmap = found.block_bitmap(geometry, blocks, group)?;
            let mut freed = 0;
            for bit in bit..bit + stop {
                freed += i64::from(has_bit(bitmap, bit));
                clear_bit(bitmap, bit);
            }
            found.count_blocks(freed);
            self.is_changed = true;
            space.blocks_free =
                (space.blocks_free + freed as u64).min(geometry.superblock.blocks_count);
            blocks.forget(first, stop.into());
            blocks.discard(first, stop.into())?;
            first += u64::from(stop);
            if freed != i64::from(stop) {
                return Err(Error::corrupt(
                    Place::Group(group as u32),
                    "a used block is marked as free",
                ));
            }
        }
        Ok(())
    }

    /// Takes those blocks of a run that are free, and returns which were.
    pub(crate) fn claim_blocks<D: Device>(
        &mut self,
        geometry: &Geometry,
        blocks: &Blocks<D>,
        space: &mut Space,
        (first, count): (u64, u64),
    ) -> Result<Vec<(u64, u64)>, Error> {
        let per_group = u64::from(geometry.superblock.blocks_per_group);
        let mut claimed: Vec<(u64, u64)> = Vec::new();
        for block in first..first + count {
            let offset = block - geometry.group_start(0);
            let (group, bit) = ((offset / per_group) as usize, (offset % per_group) as u32);
            let found = self.group(geometry, blocks, group)?;
            let bitmap = found.block_bitmap(geometry, blocks, group)?;
            if has_bit(bitmap, bit) {
                continue;
            }
            set_bit(bitmap, bit);
            found.count_blocks(-1);
            space.blocks_free = space.blocks_free.saturating_sub(1);
            match claimed.last_mut() {
                Some((start, length)) if *start + *length == block => *length += 1,
                _ => claimed.push((block, 1)),
            }
        }
        self.is_changed = true;
        Ok(claimed)
    }

    /// Takes an inode near `parent`; directories of the top are spread.
    pub(crate) fn allocate_inode<D: Device>(
        &mut self,
        geometry: &Geometry,
        blocks: &Blocks<D>,
        space: &mut Space,
        (parent, is_directory): (InodeNumber, bool),
    ) -> Result<InodeNumber, Error> {
        let per_group = geometry.superblock.inodes_per_group;
        let near = match is_directory && parent == InodeNumber::ROOT {
            true => self.emptiest_group(geometry, blocks)?,
            false => ((parent.0 - 1) / per_group) as usize,
        };
        for step in 0..self.groups.len() {
            let group = (near + step) % self.groups.len();
            let found = self.group(geometry, blocks, group)?;
            if found.descriptor.free_inodes_count == 0 {
                continue;
            }
            let reserved = geometry.superblock.first_inode - 1;
            let from = reserved
                .saturating_sub(group as u32 * per_group)
                .min(per_group);
            let bitmap = found.inode_bitmap(geometry, blocks, group)?;
            let Some((index, _)) = find_run(bitmap, from, per_group, 1, 1) else {
                continue;
            };
            let number = InodeNumber(group as u32 * per_group + index + 1);
            self.claim_inode(geometry, blocks, space, (number, is_directory))?;
            return Ok(number);
        }
        Err(Error::NoSpace)
    }

    /// Takes an inode that is free.
    pub(crate) fn claim_inode<D: Device>(
        &mut self,
        geometry: &Geometry,
        blocks: &Blocks<D>,
        space: &mut Space,
        (number, is_directory): (InodeNumber, bool),
    ) -> Result<(), Error> {
        let (group, index) = inode_place(geometry, number);
        let found = self.group(geometry, blocks, group)?;
        set_bit(found.inode_bitmap(geometry, blocks, group)?, index);
        // Linux initialises both bitmaps of a group together.
        found.block_bitmap(geometry, blocks, group)?;
        let descriptor = &mut found.descriptor;
        clear_unused_inodes(geometry, blocks, (group as u32, descriptor), index)?;
        descriptor
            .flags
            .remove(GroupFlags::INODE_UNINIT | GroupFlags::BLOCK_UNINIT);
        descriptor.free_inodes_count = descriptor.free_inodes_count.saturating_sub(1);
        let directories = &mut descriptor.used_directories_count;
        *directories = directories.saturating_add(is_directory.into());
        found.is_changed = true;
        self.is_changed = true;
        space.inodes_free = space.inodes_free.saturating_sub(1);
        Ok(())
    }

    /// Whether an inode, which is one of the table's, is taken.
    pub(crate) fn is_inode_used<D: Device>(
        &mut self,
        geometry: &Geometry,
        blocks: &Blocks<D>,
        number: InodeNumber,
    ) -> Result<bool, Error> {
        let (group, index) = inode_place(geometry, number);
        let found = self.group(geometry, blocks, group)?;
        Ok(has_bit(found.inode_bitmap(geometry, blocks, group)?, index))
    }

    fn emptiest_group<D: Device>(
        &mut self,
        geometry: &Geometry,
        blocks: &Blocks<D>,
    ) -> Result<usize, Error> {
        let (mut best, mut best_free) = (0, (0, 0));
        for index in 0..self.groups.len() {
            let descriptor = &self.group(geometry, blocks, index)?.descriptor;
            let free = (descriptor.free_blocks_count, descriptor.free_inodes_count);
            // Of equals, the first.
            if free.1 > 0 && free > best_free {
                (best, best_free) = (index, free);
            }
        }
        Ok(best)
    }

    /// Frees an inode.
    pub(crate) fn free_inode<D: Device>(
        &mut self,
        geometry: &Geometry,
        blocks: &Blocks<D>,
        space: &mut Space,
        (number, is_directory): (InodeNumber, bool),
    ) -> Result<(), Error> {
        let (at, index) = inode_place(geometry, number);
        let group = self.group(geometry, blocks, at)?;
        let bitmap = group.inode_bitmap(geometry, blocks, at)?;
        if !has_bit(bitmap, index) {
            return Err(Error::corrupt(
                Place::Inode(number),
                "a used inode is marked as free",
            ));
        }
        clear_bit(bitmap, index);
        let free = &mut group.descriptor.free_inodes_count;
        *free = free.saturating_add(1);
        let directories = &mut group.descriptor.used_directories_count;
        *directories = directories.saturating_sub(u32::from(is_directory));
        group.is_changed = true;
        self.is_changed = true;
        space.inodes_free = space.inodes_free.saturating_add(1);
        Ok(())
    }

    /// Writes changed bitmaps, and puts the descriptors of their groups into the cache.
    pub(crate) fn write_groups<D: Device>(
        &mut self,
        geometry: &Geometry,
        blocks: &Blocks<D>,
    ) -> Result<(), Error> {
        let superblock = &geometry.superblock;
        let groups = self.groups.iter_mut().enumerate();
        let groups = groups.filter_map(|(index, group)| Some((index, group.as_mut()?)));
        for (index, group) in groups.filter(|(_, group)| group.is_changed) {
            let descriptor = &mut group.descriptor;
            if let Some(bitmap) = &group.block_bitmap {
                blocks.write(descriptor.block_bitmap, bitmap)?;
                if geometry.has_checksums {
                    let used = superblock.blocks_per_group as usize / 8;
                    descriptor.block_bitmap_checksum = bitmap_checksum(superblock, &bitmap[..used]);
                }
            }
            if let Some(bitmap) = group
                .inode_bitmap
                .as_ref()
                .filter(|_| !descriptor.flags.contains(GroupFlags::INODE_UNINIT))
            {
                blocks.write(descriptor.inode_bitmap, bitmap)?;
                if geometry.has_checksums {
                    let used = superblock.inodes_per_group as usize / 8;
                    descriptor.inode_bitmap_checksum = bitmap_checksum(superblock, &bitmap[..used]);
                }
            }
            let (block, at) = geometry.descriptor_place(index as u32);
            let size = usize::from(superblock.descriptor_size_bytes());
            blocks.change(block, Seal::None, |bytes| {
                descriptor.seal(superblock, index as u32, &mut bytes[at..at + size]);
            })?;
            group.is_changed = false;
        }
        Ok(())
    }
}

/// Returns the group of an inode, and its index there.
fn inode_place(geometry: &Geometry, number: InodeNumber) -> (usize, u32) {
    let per_group = geometry.superblock.inodes_per_group;
    let index = number.0 - 1;
    ((index / per_group) as usize, index % per_group)
}

fn load_block_bitmap<D: Device>(
    geometry: &Geometry,
    blocks: &Blocks<D>,
    descriptor: &GroupDescriptor,
    group: u32,
) -> Result<Vec<u8>, Error> {
    let mut bitmap = vec![0; geometry.block_size];
    let (start, size) = (geometry.group_start(group), geometry.group_blocks(group));
    if geometry.superblock.has_group_checksums()
        && descriptor.flags.contains(GroupFlags::BLOCK_UNINIT)
    {
        let end = start + u64::from(size);
        let fixed = geometry.fixed_blocks(blocks)?;
        let from = fixed.partition_point(|(first, count)| first + count <= start);
        for (first, count) in fixed[from..].iter().take_while(|(first, _)| *first < end) {
            let range = first.saturating_sub(start)..(first + count).min(end) - start;
            range.for_each(|bit| set_bit(&mut bitmap, bit as u32));
        }
    } else {
        blocks.read(descriptor.block_bitmap, 0, &mut bitmap)?;
        let used = geometry.superblock.blocks_per_group as usize / 8;
        let sum = bitmap_checksum(&geometry.superblock, &bitmap[..used]);
        if geometry.has_checksums && sum != descriptor.block_bitmap_checksum {
            return Err(Error::corrupt(
                Place::Group(group),
                "wrong checksum of blocks",
            ));
        }
    }
    // What no block is for is used.
    (size..geometry.block_size as u32 * 8).for_each(|bit| set_bit(&mut bitmap, bit));
    Ok(bitmap)
}

fn load_inode_bitmap<D: Device>(
    geometry: &Geometry,
    blocks: &Blocks<D>,
    descriptor: &GroupDescriptor,
    group: u32,
) -> Result<Vec<u8>, Error> {
    let mut bitmap = vec![0; geometry.block_size];
    let count = geometry.superblock.inodes_per_group;
    let is_lazy = geometry.superblock.has_group_checksums();
    if !is_lazy || !descriptor.flags.contains(GroupFlags::INODE_UNINIT) {
        blocks.read(descriptor.inode_bitmap, 0, &mut bitmap)?;
        let sum = bitmap_checksum(&geometry.superblock, &bitmap[..count as usize / 8]);
        if geometry.has_checksums && sum != descriptor.inode_bitmap_checksum {
            return Err(Error::corrupt(
                Place::Group(group),
                "wrong checksum of inodes",
            ));
        }
    }
    (count..geometry.block_size as u32 * 8).for_each(|bit| set_bit(&mut bitmap, bit));
    Ok(bitmap)
}

/// Zeros the inodes of a group up to `index` that were never used, whose bytes on the device may be anything.
fn clear_unused_inodes<D: Device>(
    geometry: &Geometry,
    blocks: &Blocks<D>,
    (group, descriptor): (u32, &mut GroupDescriptor),
    index: u32,
) -> Result<(), Error> {
    if !geometry.superblock.has_group_checksums() {
        return Ok(());
    }
    let per_group = geometry.superblock.inodes_per_group;
    let used = match descriptor.flags.contains(GroupFlags::INODE_UNINIT) {
        true => 0,
        false => per_group.saturating_sub(descriptor.unused_inodes_count),
    };
    if index < used {
        return Ok(());
    }
    descriptor.unused_inodes_count = per_group - index - 1;
    let size = usize::from(geometry.superblock.inode_size);
    for unused in used..=index {
        let number = InodeNumber(group * per_group + unused + 1);
        let (block, at) = geometry.inode_place(blocks, number)?;
        blocks.change(block, Seal::None, |bytes| bytes[at..at + size].fill(0))?;
    }
    Ok(())
}

fn has_bit(bitmap: &[u8], bit: u32) -> bool {
    bitmap[bit as usize / 8] & 1 << (bit % 8) != 0
}

fn set_bit(bitmap: &mut [u8], bit: u32) {
    bitmap[bit as usize / 8] |= 1 << (bit % 8);
}

fn clear_bit(bitmap: &mut [u8], bit: u32) {
    bitmap[bit as usize / 8] &= !(1 << (bit % 8));
}

/// Finds zeros in a row in `from..size`: the first `wanted` of them, or else the longest run of at least `good`.
fn find_run(bitmap: &[u8], from: u32, size: u32, wanted: u32, good: u32) -> Option<(u32, u32)> {
    let mut best = None;
    let mut best_count = good - 1;
    let mut bit = from;
    while bit < size {
        // Full words are passed at once.
        if bit.is_multiple_of(64) && bit + 64 <= size && word(bitmap, bit) == u64::MAX {
            bit += 64;
            continue;
        }
        if has_bit(bitmap, bit) {
            bit += 1;
            continue;
        }
        let first = bit;
        while bit < size && bit - first < wanted && !has_bit(bitmap, bit) {
            let is_empty = bit.is_multiple_of(64) && bit + 64 <= size && word(bitmap, bit) == 0;
            bit += if is_empty { 64 } else { 1 };
        }
        let count = (bit - first).min(wanted);
        if count == wanted {
            return Some((first, count));
        }
        if count > best_count {
            (best, best_count) = (Some((first, count)), count);
        }
    }
    best
}

fn word(bitmap: &[u8], bit: u32) -> u64 {
    let at = bit as usize / 8;
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&bitmap[at..at + 8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_run_that_is_long_enough_is_found_else_the_longest() {
        let mut bitmap = vec![0xff; 64];
        (100..110)
            .chain(200..300)
            .for_each(|bit| clear_bit(&mut bitmap, bit));
        assert_eq!(find_run(&bitmap, 0, 512, 5, 1), Some((100, 5)));
        assert_eq!(find_run(&bitmap, 0, 512, 50, 1), Some((200, 50)));
        assert_eq!(find_run(&bitmap, 105, 512, 400, 1), Some((200, 100)));
        assert_eq!(find_run(&bitmap, 0, 512, 400, 101), None);
        assert_eq!(find_run(&bitmap, 0, 250, 100, 1), Some((200, 50)));
    }
}
