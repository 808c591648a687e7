//! The image as the check reads it: superblock, group descriptors, and blocks by their numbers.

use super::CheckError;
use super::fault::{Fault, FaultKind, FaultPlace};
use crate::device::Device;
use crate::layout::features::names;
use crate::layout::fields::get;
use crate::layout::group::descriptor_checksum;
use crate::layout::superblock::SUPERBLOCK_OFFSET;
use crate::layout::{
    Compatible, GroupDescriptor, Incompatible, InodeNumber, ReadOnlyCompatible, Superblock,
};

/// Features that change what is to be checked, and are not known.
const UNKNOWN: Incompatible = Incompatible::from_bits_retain(
    !(Incompatible::FILETYPE.bits()
        | Incompatible::RECOVER.bits()
        | Incompatible::META_BG.bits()
        | Incompatible::EXTENT.bits()
        | Incompatible::BIT64.bits()
        | Incompatible::MMP.bits()
        | Incompatible::FLEX_BG.bits()
        | Incompatible::CSUM_SEED.bits()
        | Incompatible::LARGE_DIR.bits()),
);
const UNKNOWN_READ_ONLY: ReadOnlyCompatible = ReadOnlyCompatible::from_bits_retain(
    !(ReadOnlyCompatible::SPARSE_SUPER.bits()
        | ReadOnlyCompatible::LARGE_FILE.bits()
        | ReadOnlyCompatible::HUGE_FILE.bits()
        | ReadOnlyCompatible::GDT_CSUM.bits()
        | ReadOnlyCompatible::DIR_NLINK.bits()
        | ReadOnlyCompatible::EXTRA_ISIZE.bits()
        | ReadOnlyCompatible::QUOTA.bits()
        | ReadOnlyCompatible::METADATA_CSUM.bits()
        | ReadOnlyCompatible::READONLY.bits()
        | ReadOnlyCompatible::PROJECT.bits()
        | ReadOnlyCompatible::VERITY.bits()
        | ReadOnlyCompatible::ORPHAN_PRESENT.bits()),
);
/// Groups that a file system may have: bounds the descriptors that are held.
const GROUPS_MAX: u32 = 1 << 20;

/// What is read from.
pub(super) struct Volume<'a> {
    pub(super) device: &'a dyn Device,
    pub(super) superblock: Superblock,
    pub(super) groups: Vec<GroupDescriptor>,
    pub(super) block_size: usize,
    pub(super) seed: u32,
    pub(super) has_checksums: bool,
}

impl<'a> Volume<'a> {
    /// Reads the superblock and the group descriptors; the descriptors' sums are checked.
    pub(super) fn open(
        device: &'a dyn Device,
        faults: &mut Vec<Fault>,
    ) -> Result<Volume<'a>, CheckError> {
        let mut bytes = [0; Superblock::SIZE_BYTES];
        if device.size() < SUPERBLOCK_OFFSET + bytes.len() as u64 {
            return Err(CheckError::TooSmall);
        }
        device.read_at(SUPERBLOCK_OFFSET, &mut bytes)?;
        let superblock = Superblock::parse(&bytes).map_err(CheckError::Superblock)?;
        check_features(&superblock)?;
        let blocks = device.size() / u64::from(superblock.block_size_bytes());
        if superblock.blocks_count > blocks {
            return Err(CheckError::CutShort {
                blocks_count: superblock.blocks_count,
                device_blocks_count: blocks,
            });
        }
        let mut volume = Volume {
            device,
            groups: Vec::new(),
            block_size: superblock.block_size_bytes() as usize,
            seed: superblock.metadata_seed(),
            has_checksums: superblock.has_metadata_checksums(),
            superblock,
        };
        volume.read_groups(faults)?;
        Ok(volume)
    }

    fn read_groups(&mut self, faults: &mut Vec<Fault>) -> Result<(), CheckError> {
        let size = usize::from(self.superblock.descriptor_size_bytes());
        let per_block = self.block_size / size;
        let count = self.superblock.groups_count();
        for index in 0..(count as usize).div_ceil(per_block) as u32 {
            let number = self.descriptor_block(index);
            if number >= self.superblock.blocks_count {
                return Err(CheckError::NoDescriptors);
            }
            let block = self.block(number)?;
            for bytes in block.chunks_exact(size) {
                let group = self.groups.len() as u32;
                if group == count {
                    break;
                }
                let descriptor = GroupDescriptor::parse(bytes);
                let sum = descriptor_checksum(&self.superblock, group, bytes);
                if self.superblock.has_group_checksums() && descriptor.checksum != sum {
                    faults.push(Fault {
                        place: FaultPlace::Group(group),
                        kind: FaultKind::Checksum {
                            structure: "group descriptor",
                        },
                    });
                }
                self.groups.push(descriptor);
            }
        }
        Ok(())
    }

    /// Returns where block `index` of the descriptors lies. Spec: ext4 disk layout, "Meta Block Groups".
    fn descriptor_block(&self, index: u32) -> u64 {
        let superblock = &self.superblock;
        if !self.is_meta(index) {
            return u64::from(superblock.first_data_block) + 1 + u64::from(index);
        }
        let per_block = self.block_size as u32 / u32::from(superblock.descriptor_size_bytes());
        let group = index * per_block;
        self.group_start(group) + u64::from(superblock.group_has_superblock(group))
    }

    fn is_meta(&self, index: u32) -> bool {
        self.superblock
            .incompatible()
            .contains(Incompatible::META_BG)
            && index >= self.superblock.first_meta_bg
    }

    /// Returns how many blocks at the head of a group hold superblock and descriptors, those kept for more included.
    pub(super) fn head_blocks(&self, group: u32) -> u64 {
        let superblock = &self.superblock;
        let per_block = self.block_size as u32 / u32::from(superblock.descriptor_size_bytes());
        let table = superblock.groups_count().div_ceil(per_block);
        let has_superblock = superblock.group_has_superblock(group);
        let (meta, place) = (group / per_block, group % per_block);
        if self.is_meta(meta) {
            let has_descriptors = place <= 1 || place == per_block - 1;
            return u64::from(has_superblock) + u64::from(has_descriptors);
        }
        let has_meta = superblock.incompatible().contains(Incompatible::META_BG);
        let table = match has_meta {
            true => table.min(superblock.first_meta_bg),
            false => table,
        };
        match has_superblock {
            true => 1 + u64::from(table) + self.reserved_descriptor_blocks(),
            false => 0,
        }
    }

    /// Blocks kept for more descriptors behind each copy.
    pub(super) fn reserved_descriptor_blocks(&self) -> u64 {
        match self
            .superblock
            .compatible()
            .contains(Compatible::RESIZE_INODE)
        {
            true => self.superblock.reserved_gdt_blocks.into(),
            false => 0,
        }
    }

    /// Reads a block, which the caller knows to be inside.
    pub(super) fn block(&self, number: u64) -> Result<Vec<u8>, CheckError> {
        let mut block = vec![0; self.block_size];
        self.device
            .read_at(number * self.block_size as u64, &mut block)?;
        Ok(block)
    }

    /// Whether a run lies among the blocks that files may have.
    pub(super) fn is_inside(&self, first: u64, count: u64) -> bool {
        first > u64::from(self.superblock.first_data_block)
            && first
                .checked_add(count)
                .is_some_and(|end| end <= self.superblock.blocks_count)
    }

    /// First block of a group.
    pub(super) fn group_start(&self, group: u32) -> u64 {
        u64::from(self.superblock.first_data_block)
            + u64::from(group) * u64::from(self.superblock.blocks_per_group)
    }

    /// The block behind a group's last.
    pub(super) fn group_end(&self, group: u32) -> u64 {
        let end = self.group_start(group) + u64::from(self.superblock.blocks_per_group);
        end.min(self.superblock.blocks_count)
    }

    /// Blocks of a group's inode table.
    pub(super) fn inode_table_blocks(&self) -> u64 {
        let bytes =
            u64::from(self.superblock.inodes_per_group) * u64::from(self.superblock.inode_size);
        bytes.div_ceil(self.block_size as u64)
    }

    /// Whether a number is that of an inode.
    pub(super) fn has_inode(&self, number: InodeNumber) -> bool {
        (1..=self.superblock.inodes_count).contains(&number.0)
    }

    /// Whether an inode is one that the file system keeps for itself.
    pub(super) fn is_reserved(&self, number: InodeNumber) -> bool {
        let superblock = &self.superblock;
        let mut own = vec![superblock.journal_inode];
        if superblock.compatible().contains(Compatible::ORPHAN_FILE) {
            own.push(superblock.orphan_file_inode);
        }
        if superblock
            .read_only_compatible()
            .intersects(ReadOnlyCompatible::QUOTA | ReadOnlyCompatible::PROJECT)
        {
            own.extend([
                superblock.user_quota_inode,
                superblock.group_quota_inode,
                superblock.project_quota_inode,
            ]);
        }
        number != InodeNumber::ROOT
            && (number.0 < superblock.first_inode || own.contains(&number.0))
    }
}

/// Reads the first number of a block of numbers at place `index`.
pub(super) fn address(block: &[u8], index: usize) -> u64 {
    u64::from(get::<u32>(block, index * 4))
}

fn check_features(superblock: &Superblock) -> Result<(), CheckError> {
    let unknown = superblock.incompatible().intersection(UNKNOWN);
    let unknown_read_only = superblock
        .read_only_compatible()
        .intersection(UNKNOWN_READ_ONLY);
    let features = [names(unknown), names(unknown_read_only)];
    let features: Vec<_> = features.into_iter().filter(|it| !it.is_empty()).collect();
    if !features.is_empty() {
        return Err(CheckError::Unsupported {
            what: features.join(", "),
        });
    }
    match superblock.groups_count() {
        1..=GROUPS_MAX => Ok(()),
        count => Err(CheckError::Unsupported {
            what: format!("{count} groups"),
        }),
    }
}
