//! Each inode: its sum, what it says of itself, its blocks.

use super::fault::{FaultKind, FaultPlace, Mismatch};
use super::maps::{FoundMap, Runs, is_zero_from};
use super::{CheckError, Checker, FoundDirectory, FoundInode};
use crate::layout::fields::get;
use crate::layout::inode::{MAP_SIZE_BYTES, inode_checksum, stored_inode_checksum};
use crate::layout::{
    Compatible, FileType, GroupFlags, Inode, InodeFlags, InodeNumber, ReadOnlyCompatible,
};

/// Bytes in which an inode counts its blocks.
const SECTOR_BYTES: u64 = 512;
/// The list of bad blocks. Spec: ext4 disk layout, "Special inodes".
const BAD_BLOCKS: InodeNumber = InodeNumber(1);
/// `i_faddr`, which nothing uses.
const FRAGMENT_ADDRESS_AT: usize = 0x70;

impl Checker<'_> {
    /// Checks the inodes of all tables.
    pub(super) fn check_inodes(&mut self) -> Result<(), CheckError> {
        for group in 0..self.volume.superblock.groups_count() {
            if self.readable_tables[group as usize] {
                self.check_inode_table(group)?;
            }
        }
        if !self.inodes.contains_key(&InodeNumber::ROOT) {
            let reason = "there is no top directory";
            self.inode_fault(InodeNumber::ROOT, reason);
        }
        Ok(())
    }

    fn check_inode_table(&mut self, group: u32) -> Result<(), CheckError> {
        let superblock = &self.volume.superblock;
        let (per_group, size) = (superblock.inodes_per_group, superblock.inode_size);
        let descriptor = &self.volume.groups[group as usize];
        let (is_uninit, unused) = match superblock.has_group_checksums() {
            true => (
                descriptor.flags.contains(GroupFlags::INODE_UNINIT),
                descriptor.unused_inodes_count,
            ),
            false => (false, 0),
        };
        let table = descriptor.inode_table;
        let Some(used) = per_group.checked_sub(unused) else {
            let count = Mismatch {
                stored: unused.into(),
                found: per_group.into(),
            };
            let what = "more unused inodes than there are";
            self.fault(
                FaultPlace::Group(group),
                FaultKind::WrongCount { what, count },
            );
            return Ok(());
        };
        if is_uninit {
            return Ok(());
        }
        let per_block = self.volume.block_size as u32 / u32::from(size);
        for index in 0..used.div_ceil(per_block) {
            let block = self.volume.block(table + u64::from(index))?;
            let in_block = (used - index * per_block).min(per_block) as usize;
            for (place, bytes) in block.chunks_exact(size.into()).take(in_block).enumerate() {
                let number = group * per_group + index * per_block + place as u32 + 1;
                self.check_inode(InodeNumber(number), bytes)?;
            }
        }
        Ok(())
    }

    pub(super) fn inode_fault(&mut self, number: InodeNumber, reason: &'static str) {
        self.fault(FaultPlace::Inode(number), FaultKind::Inode { reason });
    }

    fn check_inode(&mut self, number: InodeNumber, bytes: &[u8]) -> Result<(), CheckError> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let sum = inode_checksum(self.volume.seed, number, bytes);
        if self.volume.has_checksums && sum != stored_inode_checksum(bytes) {
            let structure = "inode";
            self.fault(FaultPlace::Inode(number), FaultKind::Checksum { structure });
        }
        let inode = match Inode::parse(bytes) {
            Ok(inode) => inode,
            Err(error) => {
                self.fault(FaultPlace::Inode(number), FaultKind::Layout(error));
                return Ok(());
            }
        };
        if inode.links_count == 0 && !self.orphans.contains(&number) {
            if inode.mode != 0 && inode.deletion_time == 0 && !self.volume.is_reserved(number) {
                self.inode_fault(number, "deleted, but without a time of deletion");
            }
            return self.check_unlinked(number, &inode);
        }
        if get::<u32>(bytes, FRAGMENT_ADDRESS_AT) != 0 {
            self.inode_fault(number, "an address of a fragment");
        }
        self.check_used(number, &inode)
    }

    /// An inode without links has no blocks, but reserved ones may.
    fn check_unlinked(&mut self, number: InodeNumber, inode: &Inode) -> Result<(), CheckError> {
        let has_owner = (inode.uid, inode.gid) != (0, 0) || inode.mode != 0;
        if number == BAD_BLOCKS && (has_owner || inode.attributes_block != 0) {
            self.inode_fault(number, "the list of bad blocks is another file");
        }
        if self.volume.is_reserved(number) && number != InodeNumber::RESIZE {
            self.check_map(number, inode, Runs::Forget)?;
        }
        Ok(())
    }

    fn check_used(&mut self, number: InodeNumber, inode: &Inode) -> Result<(), CheckError> {
        let file_type = inode.file_type();
        self.inodes.insert(
            number,
            FoundInode {
                file_type,
                links_count: inode.links_count,
                references: 0,
                parent: None,
            },
        );
        let is_orphan = self.orphans.contains(&number);
        if inode.deletion_time != 0 && inode.links_count > 0 && !is_orphan {
            self.inode_fault(number, "used, but with a time of deletion");
        }
        if number == InodeNumber::ROOT && file_type != Some(FileType::Directory) {
            self.inode_fault(number, "the top directory is none");
        }
        let has_resize = self
            .volume
            .superblock
            .compatible()
            .contains(Compatible::RESIZE_INODE);
        if number == InodeNumber::RESIZE && has_resize {
            return self.check_resize_inode(inode);
        }
        self.check_flags(number, inode);
        let attributes_blocks = self.check_attributes(number, inode)?;
        match file_type {
            None => self.inode_fault(number, "of no known kind"),
            Some(FileType::Regular) => {
                let found = self.check_map(number, inode, self.runs_of_regular(number))?;
                self.check_size(number, inode, &found);
                self.check_blocks_count(number, inode, &found, attributes_blocks);
                self.check_special_file(number, inode, &found)?;
            }
            Some(FileType::Directory) => {
                let found = self.check_map(number, inode, Runs::Keep)?;
                self.check_blocks_count(number, inode, &found, attributes_blocks);
                self.found_directory(number, inode, found);
            }
            Some(FileType::Symlink) => self.check_symlink(number, inode, attributes_blocks)?,
            Some(_) => {
                self.check_device(number, inode);
                let found = FoundMap::default();
                self.check_blocks_count(number, inode, &found, attributes_blocks);
            }
        }
        Ok(())
    }

    fn runs_of_regular(&self, number: InodeNumber) -> Runs {
        match self.volume.is_reserved(number) {
            true => Runs::Keep,
            false => Runs::Forget,
        }
    }

    fn check_flags(&mut self, number: InodeNumber, inode: &Inode) {
        let is_directory = inode.file_type() == Some(FileType::Directory);
        let unknown = InodeFlags::INLINE_DATA | InodeFlags::EA_INODE;
        let rules = [
            (
                inode.flags.contains(InodeFlags::INDEX) && !is_directory,
                "a hash tree, but no directory",
            ),
            (
                inode.flags.intersects(unknown),
                "content or attributes of a kind that the features do not have",
            ),
        ];
        for (_, reason) in rules.into_iter().filter(|(is_broken, _)| *is_broken) {
            self.inode_fault(number, reason);
        }
    }

    /// The last block that has been written must not lie wholly behind the end. Space may be allocated there.
    fn check_size(&mut self, number: InodeNumber, inode: &Inode, found: &FoundMap) {
        let whole = found.written_end.saturating_sub(1) * self.volume.block_size as u64;
        if !found.is_broken && inode.size < whole {
            self.inode_fault(number, "blocks behind the end");
        }
    }

    fn check_blocks_count(
        &mut self,
        number: InodeNumber,
        inode: &Inode,
        found: &FoundMap,
        attributes_blocks: u64,
    ) {
        if found.is_broken {
            return;
        }
        let has_huge_files = self
            .volume
            .superblock
            .read_only_compatible()
            .contains(ReadOnlyCompatible::HUGE_FILE);
        let unit = match has_huge_files && inode.flags.contains(InodeFlags::HUGE_FILE) {
            true => self.volume.block_size as u64,
            false => SECTOR_BYTES,
        };
        let blocks = found.blocks + attributes_blocks;
        let count = Mismatch {
            stored: inode.blocks,
            found: blocks * self.volume.block_size as u64 / unit,
        };
        if count.stored != count.found {
            let what = "number of its blocks";
            self.fault(
                FaultPlace::Inode(number),
                FaultKind::WrongCount { what, count },
            );
        }
    }

    fn found_directory(&mut self, number: InodeNumber, inode: &Inode, found: FoundMap) {
        let block_size = self.volume.block_size as u64;
        let blocks_count = inode.size.div_ceil(block_size);
        if !found.is_broken {
            if inode.size == 0 || !inode.size.is_multiple_of(block_size) {
                self.inode_fault(number, "a directory whose size is not that of blocks");
            } else if found.end != blocks_count {
                self.inode_fault(number, "a directory whose size is not that of its blocks");
            } else if found.runs.iter().map(|it| it.count).sum::<u64>() != blocks_count {
                self.inode_fault(number, "a directory with holes");
            }
        }
        if found.written_end != found.end {
            self.inode_fault(number, "a directory with blocks that were never written");
        }
        self.directories.push(FoundDirectory {
            number,
            has_index: inode.flags.contains(InodeFlags::INDEX),
            seed: inode.seed(self.volume.seed, number),
            blocks: found.runs,
            blocks_count,
        });
    }

    /// A short target lies in the inode, a long one in one block; neither has a zero in it.
    fn check_symlink(
        &mut self,
        number: InodeNumber,
        inode: &Inode,
        attributes_blocks: u64,
    ) -> Result<(), CheckError> {
        let sectors = attributes_blocks * self.volume.block_size as u64 / SECTOR_BYTES;
        let is_short = inode.blocks == sectors && !inode.flags.contains(InodeFlags::EXTENTS);
        if is_short {
            let length = inode.map.iter().position(|byte| *byte == 0);
            let is_right = (1..MAP_SIZE_BYTES as u64).contains(&inode.size)
                && length == Some(inode.size as usize);
            if !is_right {
                self.inode_fault(number, "a symbolic link whose size is not its target's");
            }
            return Ok(());
        }
        let found = self.check_map(number, inode, Runs::Keep)?;
        self.check_blocks_count(number, inode, &found, attributes_blocks);
        let first = found.runs.first().filter(|run| run.logical == 0);
        let (Some(run), false) = (first, found.is_broken) else {
            self.inode_fault(number, "a symbolic link without a target");
            return Ok(());
        };
        if inode.flags.contains(InodeFlags::ENCRYPT) {
            return Ok(());
        }
        let block = self.volume.block(run.physical)?;
        let length = block.iter().position(|byte| *byte == 0);
        if found.end != 1 || length.is_none() || length != usize::try_from(inode.size).ok() {
            self.inode_fault(number, "a symbolic link whose size is not its target's");
        }
        Ok(())
    }

    /// Devices, fifos and sockets have no content.
    fn check_device(&mut self, number: InodeNumber, inode: &Inode) {
        let forbidden = InodeFlags::EXTENTS | InodeFlags::INDEX;
        let rules = [
            (inode.size != 0, "a device with a size"),
            (inode.flags.intersects(forbidden), "a device with a map"),
            (
                !is_zero_from(inode, 4),
                "a device with more than its number",
            ),
        ];
        for (_, reason) in rules.into_iter().filter(|(is_broken, _)| *is_broken) {
            self.inode_fault(number, reason);
        }
    }
}
