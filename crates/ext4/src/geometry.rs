//! What the superblock and the group descriptors fix for as long as a file system is open.
//!
//! A group's descriptor is read and judged when the group is first needed: to open a file system takes as long whatever its size is.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// First block of each group's inode table; 0 until the group was needed.
    inode_tables: Vec<AtomicU64>,
    /// See [`Geometry::fixed_blocks`].
    fixed: OnceLock<Vec<(u64, u64)>>,
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

    /// Returns the numbers of a file system.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for more groups than are held.
    pub(crate) fn new(superblock: Superblock) -> Result<Geometry, Error> {
        let groups = superblock.groups_count();
        if groups > GROUPS_MAX {
            return Err(Error::Unsupported {
                features: format!("{groups} groups"),
            });
        }
        Ok(Geometry {
            block_size: superblock.block_size_bytes() as usize,
            metadata_seed: superblock.metadata_seed(),
            has_checksums: superblock.has_metadata_checksums(),
            inode_tables: (0..groups).map(|_| AtomicU64::new(0)).collect(),
            fixed: OnceLock::new(),
            superblock,
        })
    }

    /// Reads the descriptor of a group, and judges it.
    pub(crate) fn descriptor<D: Device>(
        &self,
        blocks: &Blocks<D>,
        group: u32,
    ) -> Result<GroupDescriptor, Error> {
        let size = usize::from(self.superblock.descriptor_size_bytes());
        let (block, at) = self.descriptor_place(group);
        let bytes = blocks.get(block, |_| Ok(()))?;
        let descriptor = GroupDescriptor::parse(&bytes[at..at + size]);
        self.check_descriptor(group, &descriptor, &bytes[at..at + size])?;
        Ok(descriptor)
    }

    /// Reads the descriptors of all groups, and judges them.
    pub(crate) fn descriptors<D: Device>(
        &self,
        blocks: &Blocks<D>,
    ) -> Result<Vec<GroupDescriptor>, Error> {
        (0..self.superblock.groups_count())
            .map(|group| self.descriptor(blocks, group))
            .collect()
    }

    /// Adds up the free blocks and inodes that the descriptors tell of, without judging them.
    pub(crate) fn count_free<D: Device>(&self, blocks: &Blocks<D>) -> Result<(u64, u64), Error> {
        let size = usize::from(self.superblock.descriptor_size_bytes());
        let per_block = self.descriptors_per_block();
        let groups = self.superblock.groups_count();
        let (mut free_blocks, mut free_inodes) = (0, 0);
        for first in (0..groups).step_by(per_block as usize) {
            let (block, _) = self.descriptor_place(first);
            let bytes = blocks.get(block, |_| Ok(()))?;
            let count = per_block.min(groups - first) as usize;
            for descriptor in bytes.chunks_exact(size).take(count) {
                let (blocks, inodes) = GroupDescriptor::free_counts(descriptor);
                free_blocks += u64::from(blocks);
                free_inodes += u64::from(inodes);
            }
        }
        Ok((free_blocks, free_inodes))
    }

    /// Returns the runs of metadata of fixed place, sorted: first block, and how many.
    pub(crate) fn fixed_blocks<D: Device>(
        &self,
        blocks: &Blocks<D>,
    ) -> Result<&[(u64, u64)], Error> {
        if let Some(fixed) = self.fixed.get() {
            return Ok(fixed);
        }
        let descriptors = self.descriptors(blocks)?;
        Ok(self.fixed.get_or_init(|| self.find_fixed(&descriptors)))
    }

    fn find_fixed(&self, descriptors: &[GroupDescriptor]) -> Vec<(u64, u64)> {
        let mut fixed = Vec::with_capacity(descriptors.len() * 3);
        for (group, descriptor) in (0_u32..).zip(descriptors) {
            let head = self.head_blocks(group);
            if head > 0 {
                fixed.push((self.group_start(group), head));
            }
            fixed.push((descriptor.block_bitmap, 1));
            fixed.push((descriptor.inode_bitmap, 1));
            fixed.push((descriptor.inode_table, self.table_blocks()));
        }
        fixed.sort_unstable();
        fixed
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
    pub(crate) fn inode_place<D: Device>(
        &self,
        blocks: &Blocks<D>,
        number: InodeNumber,
    ) -> Result<(u64, usize), Error> {
        let (group, block, at) = self.place_in_table(number)?;
        Ok((self.inode_table(blocks, group)? + block, at))
    }

    /// Where an inode lies: its group, the block of the group's table, and the byte in it.
    pub(crate) fn place_in_table(&self, number: InodeNumber) -> Result<(u32, u64, usize), Error> {
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
        let block_size = self.block_size as u64;
        Ok((group, offset / block_size, (offset % block_size) as usize))
    }

    /// First block of a group's inode table.
    pub(crate) fn inode_table<D: Device>(
        &self,
        blocks: &Blocks<D>,
        group: u32,
    ) -> Result<u64, Error> {
        let known = &self.inode_tables[group as usize];
        match known.load(Ordering::Relaxed) {
            0 => {
                let table = self.descriptor(blocks, group)?.inode_table;
                known.store(table, Ordering::Relaxed);
                Ok(table)
            }
            table => Ok(table),
        }
    }

    /// Returns the inodes that lie in a block of a group's table.
    pub(crate) fn inodes_in(
        &self,
        group: u32,
        block: u64,
    ) -> impl Iterator<Item = InodeNumber> + use<> {
        let per_group = self.superblock.inodes_per_group;
        let per_block = self.block_size as u32 / u32::from(self.superblock.inode_size);
        let first = (block as u32).saturating_mul(per_block).min(per_group);
        let end = first.saturating_add(per_block).min(per_group);
        let before = group * per_group + 1;
        (first..end).map(move |index| InodeNumber(before + index))
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
