//! What the superblock and the group descriptors fix for as long as a file system is open.

use crate::blocks::Blocks;
use crate::device::Device;
use crate::layout::features::names;
use crate::layout::superblock::SuperblockFlags;
use crate::layout::{
    Compatible, GroupDescriptor, Incompatible, InodeNumber, NameHasher, ReadOnlyCompatible,
    Superblock,
};
use crate::{Access, Error, Place};

/// Groups that a file system may have: bounds the descriptors that are held. 32 TiB of blocks of 4 KiB.
pub(crate) const GROUPS_MAX: u32 = 1 << 18;

/// Features of images that can be read.
const READABLE: Incompatible = Incompatible::FILETYPE
    .union(Incompatible::RECOVER)
    .union(Incompatible::META_BG)
    .union(Incompatible::EXTENT)
    .union(Incompatible::BIT64)
    .union(Incompatible::MMP)
    .union(Incompatible::FLEX_BG)
    .union(Incompatible::EA_INODE)
    .union(Incompatible::CSUM_SEED)
    .union(Incompatible::LARGE_DIR);
/// Of those, features of images that cannot be written.
const ONLY_READABLE: Incompatible = Incompatible::MMP.union(Incompatible::EA_INODE);
/// Features of images that can be written.
const WRITABLE: ReadOnlyCompatible = ReadOnlyCompatible::SPARSE_SUPER
    .union(ReadOnlyCompatible::LARGE_FILE)
    .union(ReadOnlyCompatible::HUGE_FILE)
    .union(ReadOnlyCompatible::GDT_CSUM)
    .union(ReadOnlyCompatible::DIR_NLINK)
    .union(ReadOnlyCompatible::EXTRA_ISIZE)
    .union(ReadOnlyCompatible::METADATA_CSUM)
    .union(ReadOnlyCompatible::ORPHAN_PRESENT);

/// Numbers that do not change.
pub(crate) struct Geometry {
    /// As it was when the file system was opened; what counts is the writer's.
    pub(crate) superblock: Superblock,
    pub(crate) block_size: usize,
    pub(crate) metadata_seed: u32,
    pub(crate) has_checksums: bool,
    /// First block of each group's inode table.
    pub(crate) inode_tables: Vec<u64>,
}

impl Geometry {
    /// Judges the features for an access.
    pub(crate) fn check_features(superblock: &Superblock, access: Access) -> Result<(), Error> {
        let unknown = superblock.incompatible().difference(READABLE);
        if !unknown.is_empty() {
            return Err(Error::Unsupported {
                features: names(unknown),
            });
        }
        if access == Access::ReadOnly {
            return Ok(());
        }
        let unknown = superblock.incompatible().intersection(ONLY_READABLE);
        if !unknown.is_empty() {
            return Err(Error::Unsupported {
                features: names(unknown),
            });
        }
        let unknown = superblock.read_only_compatible().difference(WRITABLE);
        match unknown.is_empty() {
            true => Ok(()),
            false => Err(Error::Unsupported {
                features: names(unknown),
            }),
        }
    }

    /// Reads the group descriptors.
    pub(crate) fn read<D: Device>(
        superblock: Superblock,
        blocks: &Blocks<D>,
    ) -> Result<(Geometry, Vec<GroupDescriptor>), Error> {
        let groups = superblock.groups_count();
        if groups > GROUPS_MAX {
            return Err(Error::Unsupported {
                features: format!("{groups} groups"),
            });
        }
        let size = usize::from(superblock.descriptor_size_bytes());
        let block_size = superblock.block_size_bytes() as usize;
        let mut geometry = Geometry {
            block_size,
            metadata_seed: superblock.metadata_seed(),
            has_checksums: superblock.has_metadata_checksums(),
            inode_tables: Vec::new(),
            superblock,
        };
        let mut descriptors = Vec::new();
        for group in 0..groups {
            let (block, at) = geometry.descriptor_place(group);
            let bytes = blocks.get(block, |_| Ok(()))?;
            let descriptor = GroupDescriptor::parse(&bytes[at..at + size]);
            geometry.check_descriptor(group, &descriptor, &bytes[at..at + size])?;
            geometry.inode_tables.push(descriptor.inode_table);
            descriptors.push(descriptor);
        }
        Ok((geometry, descriptors))
    }

    /// Descriptors in a block.
    pub(crate) fn descriptors_per_block(&self) -> u32 {
        (self.block_size / usize::from(self.superblock.descriptor_size_bytes())) as u32
    }

    /// Returns how many blocks at the head of a group hold superblock and descriptors, those kept for more included.
    /// Spec: "Layout", "Meta Block Groups".
    pub(crate) fn head_blocks(&self, group: u32) -> u64 {
        let superblock = &self.superblock;
        let per_block = self.descriptors_per_block();
        let has_superblock = superblock.group_has_superblock(group);
        let (index, place) = (group / per_block, group % per_block);
        let mut table = superblock.groups_count().div_ceil(per_block);
        if superblock.incompatible().contains(Incompatible::META_BG) {
            if index >= superblock.first_meta_bg {
                let has_descriptors = place <= 1 || place == per_block - 1;
                return u64::from(has_superblock) + u64::from(has_descriptors);
            }
            table = table.min(superblock.first_meta_bg);
        }
        let has_reserve = superblock.compatible().contains(Compatible::RESIZE_INODE);
        let reserve = match has_reserve {
            true => u64::from(superblock.reserved_gdt_blocks),
            false => 0,
        };
        match has_superblock {
            true => 1 + u64::from(table) + reserve,
            false => 0,
        }
    }

    /// Where a group's descriptor lies: the block, and the byte in it. Spec: "Meta Block Groups".
    pub(crate) fn descriptor_place(&self, group: u32) -> (u64, usize) {
        let size = usize::from(self.superblock.descriptor_size_bytes());
        let per_block = (self.block_size / size) as u32;
        let (index, at) = (group / per_block, (group % per_block) as usize * size);
        let has_meta_groups = self
            .superblock
            .incompatible()
            .contains(Incompatible::META_BG);
        if !has_meta_groups || index < self.superblock.first_meta_bg {
            return (
                u64::from(self.superblock.first_data_block) + 1 + u64::from(index),
                at,
            );
        }
        let first = index * per_block;
        let behind_superblock = u64::from(self.superblock.group_has_superblock(first));
        (self.group_start(first) + behind_superblock, at)
    }

    fn check_descriptor(
        &self,
        group: u32,
        found: &GroupDescriptor,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let sum = crate::layout::group::descriptor_checksum(&self.superblock, group, bytes);
        if self.superblock.has_group_checksums() && sum != found.checksum {
            return Err(Error::corrupt(Place::Group(group), "wrong checksum"));
        }
        let table_end = found.inode_table.checked_add(self.table_blocks());
        let is_inside = |block: u64| self.is_block(block);
        let is_sound = is_inside(found.block_bitmap)
            && is_inside(found.inode_bitmap)
            && is_inside(found.inode_table)
            && table_end.is_some_and(|end| end <= self.superblock.blocks_count);
        match is_sound {
            true => Ok(()),
            false => Err(Error::corrupt(
                Place::Group(group),
                "a bitmap or table outside",
            )),
        }
    }

    /// Blocks of a group's inode table.
    pub(crate) fn table_blocks(&self) -> u64 {
        let bytes =
            u64::from(self.superblock.inodes_per_group) * u64::from(self.superblock.inode_size);
        bytes.div_ceil(self.block_size as u64)
    }

    /// Whether a block lies inside the file system.
    pub(crate) fn is_block(&self, block: u64) -> bool {
        block >= u64::from(self.superblock.first_data_block) && block < self.superblock.blocks_count
    }

    /// First block of a group.
    pub(crate) fn group_start(&self, group: u32) -> u64 {
        u64::from(self.superblock.first_data_block)
            + u64::from(group) * u64::from(self.superblock.blocks_per_group)
    }

    /// Blocks of a group: fewer in the last.
    pub(crate) fn group_blocks(&self, group: u32) -> u32 {
        let rest = self.superblock.blocks_count - self.group_start(group);
        rest.min(u64::from(self.superblock.blocks_per_group)) as u32
    }

    /// Where an inode lies: the block, and the byte in it.
    pub(crate) fn inode_place(&self, number: InodeNumber) -> Result<(u64, usize), Error> {
        let index = number.0.wrapping_sub(1);
        if index >= self.superblock.inodes_count {
            return Err(Error::corrupt(
                Place::Inode(number),
                "there is no such inode",
            ));
        }
        let group = index / self.superblock.inodes_per_group;
        let index = u64::from(index % self.superblock.inodes_per_group);
        let offset = index * u64::from(self.superblock.inode_size);
        let block = self.inode_tables[group as usize] + offset / self.block_size as u64;
        Ok((block, (offset % self.block_size as u64) as usize))
    }

    /// The hasher of directories that have none of their own yet.
    pub(crate) fn hasher(&self, version: u8) -> Option<NameHasher> {
        let flags = SuperblockFlags::from_bits_retain(self.superblock.flags);
        let is_unsigned = flags.contains(SuperblockFlags::UNSIGNED_HASH);
        NameHasher::new(version, is_unsigned, self.superblock.hash_seed)
    }

    /// Sectors of 512 bytes in a block.
    pub(crate) fn sectors_per_block(&self) -> u64 {
        self.block_size as u64 / 512
    }
}
