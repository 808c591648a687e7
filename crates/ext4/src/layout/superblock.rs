//! The superblock: what the file system is, and how much of it is used.
//!
//! Spec: ext4 disk layout, "Super Block".

use bitflags::bitflags;

use super::checksum::crc32c;
use super::features::{Compatible, Incompatible, ReadOnlyCompatible};
use super::fields::{put, structure};
use super::{LayoutError, corrupt};

/// Where the superblock lies on the device, in bytes.
pub const SUPERBLOCK_OFFSET: u64 = 1024;
/// `s_magic`.
pub const SUPERBLOCK_MAGIC: u16 = 0xef53;
/// `s_rev_level` of file systems whose inodes have a size and whose features are named.
pub const REVISION_DYNAMIC: u32 = 1;
/// `s_checksum_type`: the only one that there is.
pub const CHECKSUM_TYPE_CRC32C: u8 = 1;
/// Size of inodes before their size was stored.
pub const INODE_SIZE_OLD: u16 = 128;
/// First inode that is not reserved, before its number was stored.
const FIRST_INODE_OLD: u32 = 11;
/// Size of group descriptors without `64bit`.
pub const DESCRIPTOR_SIZE_OLD: u16 = 32;

/// Largest block that is supported: 64 KiB is the format's, and is read; what `mkfs` makes on common machines is at most 4 KiB.
const BLOCK_SIZE_LOG_MAX: u32 = 6;
/// Where the checksum lies.
const CHECKSUM_AT: usize = 0x3fc;

bitflags! {
    /// `s_state`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct State: u16 {
        /// Unmounted cleanly.
        const VALID = 1;
        /// Errors were found.
        const ERROR = 2;
        /// Orphans are being recovered.
        const ORPHANS = 4;
        const _ = !0;
    }
}

bitflags! {
    /// `s_flags`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SuperblockFlags: u32 {
        /// Names are hashed as signed characters.
        const SIGNED_HASH = 1;
        /// Names are hashed as unsigned characters.
        const UNSIGNED_HASH = 2;
        const TEST_FILESYS = 4;
        const _ = !0;
    }
}

structure! {
    /// The superblock's fields, named as in the specification without `s_`; of two halves one number is made.
    pub struct Superblock: 1024 bytes, little, put_little {
        0x00 inodes_count: u32,
        0x04 + 0x150 blocks_count: u64,
        0x08 + 0x154 reserved_blocks_count: u64,
        0x0c + 0x158 free_blocks_count: u64,
        0x10 free_inodes_count: u32,
        0x14 first_data_block: u32,
        /// Blocks have `1024 << log_block_size` bytes.
        0x18 log_block_size: u32,
        0x1c log_cluster_size: u32,
        0x20 blocks_per_group: u32,
        0x24 clusters_per_group: u32,
        0x28 inodes_per_group: u32,
        0x2c mount_time: u32,
        0x30 write_time: u32,
        0x34 mount_count: u16,
        0x36 mount_count_max: u16,
        0x38 magic: u16,
        0x3a state: u16,
        0x3c errors: u16,
        0x3e minor_revision: u16,
        0x40 last_check: u32,
        0x44 check_interval: u32,
        0x48 creator_os: u32,
        0x4c revision: u32,
        0x50 reserved_uid: u16,
        0x52 reserved_gid: u16,
        0x54 first_inode: u32,
        0x58 inode_size: u16,
        0x5a block_group_number: u16,
        0x5c feature_compat: u32,
        0x60 feature_incompat: u32,
        0x64 feature_ro_compat: u32,
        0x68 uuid: [u8; 16],
        0x78 volume_name: [u8; 16],
        0x88 last_mounted: [u8; 64],
        0xcc prealloc_blocks: u8,
        0xcd prealloc_dir_blocks: u8,
        0xce reserved_gdt_blocks: u16,
        0xd0 journal_uuid: [u8; 16],
        0xe0 journal_inode: u32,
        0xe4 journal_device: u32,
        0xe8 last_orphan: u32,
        0xec hash_seed: [u32; 4],
        0xfc default_hash_version: u8,
        0xfd journal_backup_type: u8,
        /// Size of group descriptors; valid with `64bit`. See [`Superblock::descriptor_size_bytes`].
        0xfe descriptor_size: u16,
        0x100 default_mount_options: u32,
        0x104 first_meta_bg: u32,
        0x108 made_time: u32,
        /// Copy of the journal inode's map and size.
        0x10c journal_blocks: [u32; 17],
        0x15c min_extra_isize: u16,
        0x15e want_extra_isize: u16,
        0x160 flags: u32,
        0x164 raid_stride: u16,
        0x166 mmp_interval: u16,
        0x168 mmp_block: u64,
        0x170 raid_stripe_width: u32,
        0x174 log_groups_per_flex: u8,
        0x175 checksum_type: u8,
        0x178 kbytes_written: u64,
        0x194 error_count: u32,
        0x240 user_quota_inode: u32,
        0x244 group_quota_inode: u32,
        0x248 overhead_blocks: u32,
        /// Groups with backups; valid with `sparse_super2`.
        0x24c backup_groups: [u32; 2],
        0x268 lost_and_found_inode: u32,
        0x26c project_quota_inode: u32,
        0x270 checksum_seed: u32,
        0x274 write_time_high: u8,
        0x275 mount_time_high: u8,
        0x276 made_time_high: u8,
        0x277 last_check_high: u8,
        0x27c encoding: u16,
        0x27e encoding_flags: u16,
        0x280 orphan_file_inode: u32,
        0x3fc checksum: u32,
    }
}

impl Superblock {
    /// Returns a superblock whose fields are all zero: to be filled.
    pub fn empty() -> Superblock {
        Superblock::read_fields(&[0; Superblock::SIZE_BYTES])
    }

    /// Parses the 1,024 bytes at [`SUPERBLOCK_OFFSET`] and checks the checksum and every number that others are divided by, multiplied
    /// with or counted to. Features are not judged.
    ///
    /// # Errors
    /// [`LayoutError`] for too few bytes, another magic number, a wrong checksum, or impossible geometry.
    pub fn parse(bytes: &[u8]) -> Result<Superblock, LayoutError> {
        if bytes.len() < Superblock::SIZE_BYTES {
            return Err(LayoutError::Truncated {
                structure: "superblock",
            });
        }
        let mut superblock = Superblock::read_fields(bytes);
        if superblock.magic != SUPERBLOCK_MAGIC {
            return Err(corrupt("superblock", "no magic number 0xef53"));
        }
        if superblock.revision < REVISION_DYNAMIC {
            superblock.inode_size = INODE_SIZE_OLD;
            superblock.first_inode = FIRST_INODE_OLD;
        }
        if superblock.has_metadata_checksums() && superblock.checksum != checksum(bytes) {
            return Err(corrupt("superblock", "wrong checksum"));
        }
        superblock.check_geometry()?;
        Ok(superblock)
    }

    /// Writes into the 1,024 bytes of a superblock, with its checksum; fields that are not known here stay as they are in `bytes`.
    pub fn write(&self, bytes: &mut [u8]) {
        self.write_fields(bytes);
        if self.revision < REVISION_DYNAMIC {
            bytes[0x54..0x5a].fill(0);
        }
        if self.has_metadata_checksums() {
            put(bytes, CHECKSUM_AT, checksum(bytes));
        }
    }

    fn check_geometry(&self) -> Result<(), LayoutError> {
        if self.log_block_size > BLOCK_SIZE_LOG_MAX {
            return Err(corrupt("superblock", "impossible block size"));
        }
        // What all else counts with.
        if self.blocks_per_group < 8 || !self.blocks_per_group.is_multiple_of(8) {
            return Err(corrupt(
                "superblock",
                "impossible number of blocks in a group",
            ));
        }
        if self.blocks_count <= u64::from(self.first_data_block) || self.blocks_count >= 1 << 48 {
            return Err(corrupt("superblock", "impossible number of blocks"));
        }
        let block_bits = self.block_size_bytes() * 8;
        let first_data_block = u32::from(self.log_block_size == 0);
        let inode_size = u32::from(self.inode_size);
        let descriptor_size = u32::from(self.descriptor_size_bytes());
        let rules = [
            (
                self.first_data_block == first_data_block,
                "impossible first data block",
            ),
            (
                inode_size.is_power_of_two()
                    && inode_size >= u32::from(INODE_SIZE_OLD)
                    && inode_size <= self.block_size_bytes(),
                "impossible inode size",
            ),
            (
                descriptor_size.is_power_of_two() && (32..=1024).contains(&descriptor_size),
                "impossible size of group descriptors",
            ),
            (
                self.has_bigalloc() || (1..=block_bits).contains(&self.blocks_per_group),
                "impossible number of blocks in a group",
            ),
            (
                (8..=block_bits).contains(&self.inodes_per_group)
                    && self.inodes_per_group.is_multiple_of(8),
                "impossible number of inodes in a group",
            ),
            (
                u64::from(self.inodes_count)
                    == u64::from(self.groups_count()) * u64::from(self.inodes_per_group),
                "the number of inodes is not that of the groups",
            ),
            (
                self.first_inode >= FIRST_INODE_OLD && self.first_inode <= self.inodes_count,
                "impossible first inode",
            ),
            (
                self.log_groups_per_flex < 32,
                "impossible size of flexible groups",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, reason)) => Err(corrupt("superblock", reason)),
            None => Ok(()),
        }
    }

    /// Features that may be ignored.
    pub fn compatible(&self) -> Compatible {
        Compatible::from_bits_retain(self.feature_compat)
    }

    /// Features without which nothing can be read.
    pub fn incompatible(&self) -> Incompatible {
        Incompatible::from_bits_retain(self.feature_incompat)
    }

    /// Features without which nothing must be written.
    pub fn read_only_compatible(&self) -> ReadOnlyCompatible {
        ReadOnlyCompatible::from_bits_retain(self.feature_ro_compat)
    }

    /// Whether metadata carries CRC-32C sums.
    pub fn has_metadata_checksums(&self) -> bool {
        self.read_only_compatible()
            .contains(ReadOnlyCompatible::METADATA_CSUM)
    }

    /// Whether group descriptors are summed, and so groups may be uninitialised.
    pub fn has_group_checksums(&self) -> bool {
        let either = ReadOnlyCompatible::METADATA_CSUM | ReadOnlyCompatible::GDT_CSUM;
        self.read_only_compatible().intersects(either)
    }

    fn has_bigalloc(&self) -> bool {
        self.read_only_compatible()
            .contains(ReadOnlyCompatible::BIGALLOC)
    }

    /// Size of a block in bytes.
    pub fn block_size_bytes(&self) -> u32 {
        1024 << self.log_block_size
    }

    /// Size of a group descriptor in bytes.
    pub fn descriptor_size_bytes(&self) -> u16 {
        match self.incompatible().contains(Incompatible::BIT64) {
            true => self.descriptor_size.max(64),
            false => DESCRIPTOR_SIZE_OLD,
        }
    }

    /// Number of block groups; 0 if it does not fit 32 bits.
    pub fn groups_count(&self) -> u32 {
        let blocks = self.blocks_count - u64::from(self.first_data_block);
        u32::try_from(blocks.div_ceil(u64::from(self.blocks_per_group))).unwrap_or(0)
    }

    /// Where the sums of metadata begin.
    pub fn metadata_seed(&self) -> u32 {
        match self.incompatible().contains(Incompatible::CSUM_SEED) {
            true => self.checksum_seed,
            false => crc32c(!0, &self.uuid),
        }
    }

    /// Whether group `group` begins with a superblock. Without `meta_bg` descriptors follow it.
    pub fn group_has_superblock(&self, group: u32) -> bool {
        if group == 0 {
            return true;
        }
        if self.compatible().contains(Compatible::SPARSE_SUPER2) {
            return self.backup_groups.contains(&group);
        }
        if !self
            .read_only_compatible()
            .contains(ReadOnlyCompatible::SPARSE_SUPER)
        {
            return true;
        }
        group == 1 || [3, 5, 7].iter().any(|base| is_power_of(group, *base))
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32c(!0, &bytes[..CHECKSUM_AT])
}

fn is_power_of(mut number: u32, base: u32) -> bool {
    while number > 1 && number.is_multiple_of(base) {
        number /= base;
    }
    number == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_lie_in_powers_of_three_five_and_seven() {
        let with: Vec<u32> = (0..130)
            .filter(|group| *group == 1 || [3, 5, 7].iter().any(|base| is_power_of(*group, *base)))
            .collect();
        assert_eq!(with, [1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }

    #[test]
    fn zero_divisors_are_refused() {
        let mut bytes = [0; 1024];
        put(&mut bytes, 0x38, SUPERBLOCK_MAGIC);
        assert!(Superblock::parse(&bytes).is_err());
        put(&mut bytes, 0x20, 8192_u32);
        put(&mut bytes, 0x14, u32::MAX);
        assert!(Superblock::parse(&bytes).is_err());
    }

    #[test]
    fn too_few_bytes_and_zeros_are_refused() {
        assert!(Superblock::parse(&[0; 1023]).is_err());
        assert!(Superblock::parse(&[0; 1024]).is_err());
    }
}
