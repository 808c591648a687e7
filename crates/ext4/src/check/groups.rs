//! Groups: places of their metadata at first; at last their bitmaps and counts, against what was found to be used.

use super::fault::{FaultKind, FaultPlace, Mismatch};
use super::{CheckError, Checker};
use crate::layout::group::bitmap_checksum;
use crate::layout::{FileType, GroupDescriptor, GroupFlags, Incompatible, InodeNumber};

/// What was counted over all groups.
#[derive(Default)]
struct Totals {
    free_blocks: u64,
    free_inodes: u64,
}

impl Checker<'_> {
    /// Claims superblocks, descriptors, bitmaps and inode tables.
    pub(super) fn claim_metadata(&mut self) {
        let first = u64::from(self.volume.superblock.first_data_block);
        for group in 0..self.volume.superblock.groups_count() {
            let start = self.volume.group_start(group);
            let end = start + self.volume.head_blocks(group);
            if end > self.volume.group_end(group) {
                let reason = "superblock and descriptors do not fit their group";
                self.fault(FaultPlace::Group(group), FaultKind::Superblock { reason });
            } else {
                // Groups do not overlap, so nothing is claimed twice here.
                let _ = self.claims.claim(start.max(first), end - start);
            }
        }
        for group in 0..self.volume.superblock.groups_count() {
            let is_readable = self.claim_group(group);
            self.readable_tables.push(is_readable);
        }
        let superblock = &self.volume.superblock;
        if superblock.incompatible().contains(Incompatible::MMP) {
            self.claim_of_group(0, "multiple mount block", superblock.mmp_block, 1);
        }
    }

    /// Claims a group's bitmaps and inode table; returns whether the table has a place of its own.
    fn claim_group(&mut self, group: u32) -> bool {
        let GroupDescriptor {
            block_bitmap,
            inode_bitmap,
            inode_table,
            ..
        } = self.volume.groups[group as usize];
        self.claim_of_group(group, "block bitmap", block_bitmap, 1);
        self.claim_of_group(group, "inode bitmap", inode_bitmap, 1);
        let blocks = self.volume.inode_table_blocks();
        self.claim_of_group(group, "inode table", inode_table, blocks)
    }

    fn claim_of_group(
        &mut self,
        group: u32,
        structure: &'static str,
        first: u64,
        count: u64,
    ) -> bool {
        let place = FaultPlace::Group(group);
        if !self.volume.is_inside(first, count) {
            let block = first;
            self.fault(place, FaultKind::OutOfRange { structure, block });
            return false;
        }
        let claimed = self.claims.claim(first, count);
        if let Err(block) = claimed {
            self.fault(place, FaultKind::MultiplyClaimed { block });
        }
        claimed.is_ok()
    }

    /// Compares bitmaps and free counts with what was found.
    pub(super) fn check_bitmaps(&mut self) -> Result<(), CheckError> {
        let mut totals = Totals::default();
        let mut directories = vec![0_u32; self.volume.groups.len()];
        let mut used_inodes = vec![Vec::new(); self.volume.groups.len()];
        let per_group = self.volume.superblock.inodes_per_group;
        for (number, found) in &self.inodes {
            let group = ((number.0 - 1) / per_group) as usize;
            used_inodes[group].push((number.0 - 1) % per_group);
            if found.file_type == Some(FileType::Directory) {
                directories[group] += 1;
            }
        }
        for (group, used) in (0..).zip(used_inodes) {
            self.check_block_bitmap(group, &mut totals)?;
            self.check_inode_bitmap(group, used, &mut totals)?;
            let stored = self.volume.groups[group as usize].used_directories_count;
            let found = directories[group as usize];
            self.compare(FaultPlace::Group(group), "directories", stored, found);
        }
        let superblock = &self.volume.superblock;
        let (blocks, inodes) = (superblock.free_blocks_count, superblock.free_inodes_count);
        self.report.used_blocks_count = superblock.blocks_count - totals.free_blocks;
        let place = FaultPlace::Superblock;
        self.compare(place, "free blocks", blocks, totals.free_blocks);
        self.compare(place, "free inodes", inodes, totals.free_inodes);
        Ok(())
    }

    fn compare(
        &mut self,
        place: FaultPlace,
        what: &'static str,
        stored: impl Into<u64>,
        found: impl Into<u64>,
    ) {
        let count = Mismatch {
            stored: stored.into(),
            found: found.into(),
        };
        if count.stored != count.found {
            self.fault(place, FaultKind::WrongCount { what, count });
        }
    }

    fn check_block_bitmap(&mut self, group: u32, totals: &mut Totals) -> Result<(), CheckError> {
        let (start, end) = (self.volume.group_start(group), self.volume.group_end(group));
        let used: Vec<bool> = (start..end).map(|it| self.claims.contains(it)).collect();
        let free = used.iter().filter(|is_used| !**is_used).count() as u64;
        totals.free_blocks += free;
        let descriptor = self.volume.groups[group as usize].clone();
        let place = FaultPlace::Group(group);
        self.compare(place, "free blocks", descriptor.free_blocks_count, free);
        let is_uninit = self.is_uninit(&descriptor, GroupFlags::BLOCK_UNINIT);
        if is_uninit {
            if self.file_groups.contains(&group) {
                let reason = "files have blocks, but the bitmap is said not to be written";
                self.fault(place, FaultKind::Superblock { reason });
            }
            return Ok(());
        }
        let bitmap = Bitmap {
            what: "blocks",
            block: descriptor.block_bitmap,
            checksum: descriptor.block_bitmap_checksum,
            summed_bytes: self.volume.superblock.blocks_per_group as usize / 8,
            first: start,
        };
        self.check_bitmap(group, &bitmap, &used)
    }

    fn check_inode_bitmap(
        &mut self,
        group: u32,
        used_indexes: Vec<u32>,
        totals: &mut Totals,
    ) -> Result<(), CheckError> {
        let per_group = self.volume.superblock.inodes_per_group;
        let first = group * per_group + 1;
        let mut used = vec![false; per_group as usize];
        let reserved = self.volume.superblock.first_inode.saturating_sub(first);
        used.iter_mut()
            .take(reserved as usize)
            .for_each(|it| *it = true);
        used_indexes
            .into_iter()
            .for_each(|it| used[it as usize] = true);
        let free = used.iter().filter(|is_used| !**is_used).count() as u64;
        totals.free_inodes += free;
        let descriptor = self.volume.groups[group as usize].clone();
        let place = FaultPlace::Group(group);
        self.compare(place, "free inodes", descriptor.free_inodes_count, free);
        if self.is_uninit(&descriptor, GroupFlags::INODE_UNINIT) {
            return Ok(());
        }
        let bitmap = Bitmap {
            what: "inodes",
            block: descriptor.inode_bitmap,
            checksum: descriptor.inode_bitmap_checksum,
            summed_bytes: per_group as usize / 8,
            first: first.into(),
        };
        self.check_bitmap(group, &bitmap, &used)
    }

    /// Flags of groups count only where descriptors have sums.
    fn is_uninit(&self, descriptor: &GroupDescriptor, flag: GroupFlags) -> bool {
        self.volume.superblock.has_group_checksums() && descriptor.flags.contains(flag)
    }

    fn check_bitmap(
        &mut self,
        group: u32,
        bitmap: &Bitmap,
        used: &[bool],
    ) -> Result<(), CheckError> {
        if !self.volume.is_inside(bitmap.block, 1) {
            return Ok(());
        }
        let (what, place) = (bitmap.what, FaultPlace::Group(group));
        let block = self.volume.block(bitmap.block)?;
        let sum = bitmap_checksum(&self.volume.superblock, &block[..bitmap.summed_bytes]);
        if self.volume.has_checksums && sum != bitmap.checksum {
            let structure = "bitmap";
            self.fault(place, FaultKind::Checksum { structure });
        }
        let bit = |index: usize| block[index / 8] & 1 << (index % 8) != 0;
        let differing = |marked: bool| {
            let mut indexes =
                (0..used.len()).filter(|index| bit(*index) == marked && used[*index] != marked);
            let first = indexes.next()? as u64 + bitmap.first;
            Some((first, 1 + indexes.count() as u64))
        };
        if let Some((first, count)) = differing(false) {
            self.fault(place, FaultKind::MarkedFree { what, first, count });
        }
        if let Some((first, count)) = differing(true) {
            self.fault(place, FaultKind::MarkedUsed { what, first, count });
        }
        if (used.len()..block.len() * 8).any(|index| !bit(index)) {
            self.fault(place, FaultKind::Padding { what });
        }
        Ok(())
    }
}

/// A bitmap as its group's descriptor tells of it.
struct Bitmap {
    /// What its bits stand for.
    what: &'static str,
    block: u64,
    checksum: u32,
    summed_bytes: usize,
    /// What its first bit stands for.
    first: u64,
}

impl Checker<'_> {
    /// Whether an inode lies in a part of its table that is said to be unused.
    pub(super) fn is_beyond_table(&self, number: InodeNumber) -> bool {
        let superblock = &self.volume.superblock;
        if !superblock.has_group_checksums() {
            return false;
        }
        let (group, index) = (
            (number.0 - 1) / superblock.inodes_per_group,
            (number.0 - 1) % superblock.inodes_per_group,
        );
        let descriptor = &self.volume.groups[group as usize];
        descriptor.flags.contains(GroupFlags::INODE_UNINIT)
            || u64::from(index) + u64::from(descriptor.unused_inodes_count)
                >= u64::from(superblock.inodes_per_group)
    }
}
