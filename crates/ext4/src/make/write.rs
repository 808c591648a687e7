//! The bytes of a new file system's blocks.

use super::geometry::{DESCRIPTOR_SIZE, FIRST_INODE, GROUPS_PER_FLEX_LOG, INODE_SIZE};
use super::plan::Plan;
use super::runs::Run;
use super::{LABEL_BYTES_MAX, MakeOptions};
use crate::device::{Device, DeviceError};
use crate::layout::directory::{TAIL_BYTES, seal_directory_block, write_entry, write_tail};
use crate::layout::extent::{
    EXTENT_BLOCKS_MAX, Extent, ExtentIndex, ExtentNode, seal_extent_block,
};
use crate::layout::fields::put;
use crate::layout::group::bitmap_checksum;
use crate::layout::inode::EXTRA_SIZE_WHOLE;
use crate::layout::journal::{JOURNAL_MAGIC, JournalSuperblock};
use crate::layout::superblock::{
    CHECKSUM_TYPE_CRC32C, REVISION_DYNAMIC, SUPERBLOCK_MAGIC, SUPERBLOCK_OFFSET, State,
    SuperblockFlags,
};
use crate::layout::{
    Compatible, FileType, GroupDescriptor, GroupFlags, Incompatible, Inode, InodeFlags,
    InodeNumber, ReadOnlyCompatible, Superblock, Timestamp,
};

const LOST_AND_FOUND: InodeNumber = InodeNumber(FIRST_INODE);
/// Bytes of a sector, in which inodes count their blocks.
const SECTOR_BYTES: u64 = 512;
/// `s_default_hash_version`: half of MD4.
const HASH_HALF_MD4: u8 = 1;
/// `s_default_mount_opts`: `user_xattr` and `acl`.
const DEFAULT_MOUNT_OPTIONS: u32 = 0xc;
/// `s_errors`: go on.
const ERRORS_CONTINUE: u16 = 1;
/// `s_jnl_backup_type`: the superblock holds a copy of the journal's map.
const JOURNAL_BACKUP: u8 = 1;
/// `h_blocktype` of a journal's superblock.
const JOURNAL_SUPERBLOCK_V2: u32 = 4;

/// Writes everything, the superblock last.
pub(super) fn write(
    device: &dyn Device,
    plan: &Plan,
    options: &MakeOptions,
) -> Result<(), DeviceError> {
    let mut writer = Writer {
        device,
        plan,
        time: Timestamp {
            seconds: options.time_seconds,
            nanoseconds: 0,
        },
        superblock: superblock(plan, options),
    };
    writer.write_directories()?;
    writer.write_resize_inode()?;
    writer.write_journal()?;
    let descriptors = writer.write_groups()?;
    writer.write_heads(&descriptors)
}

struct Writer<'a> {
    device: &'a dyn Device,
    plan: &'a Plan,
    time: Timestamp,
    superblock: Superblock,
}

impl Writer<'_> {
    fn block(&self) -> Vec<u8> {
        vec![0; self.plan.geometry.block_size as usize]
    }

    fn write_block(&self, number: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        match bytes.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => {
                let offset = number * u64::from(self.plan.geometry.block_size);
                self.device.write_at(offset, bytes)
            }
        }
    }

    /// Writes an inode of the first group, with the sums that it needs.
    fn write_inode(&self, number: InodeNumber, inode: &Inode) -> Result<(), DeviceError> {
        let mut bytes = [0; INODE_SIZE as usize];
        inode.seal(&self.superblock, number, &mut bytes);
        let table = self.plan.groups[0].inode_table * u64::from(self.plan.geometry.block_size);
        let at = table + u64::from(number.0 - 1) * u64::from(INODE_SIZE);
        self.device.write_at(at, &bytes)
    }

    /// An inode with the given mode that has `blocks` blocks.
    fn inode(&self, mode: u16, links_count: u16, size: u64, blocks: u64) -> Inode {
        let sectors = u64::from(self.plan.geometry.block_size) / SECTOR_BYTES;
        Inode {
            mode,
            links_count,
            size,
            blocks: blocks * sectors,
            accessed: self.time,
            changed: self.time,
            modified: self.time,
            created: self.time,
            ..Inode::empty(INODE_SIZE, EXTRA_SIZE_WHOLE)
        }
    }

    fn write_directories(&self) -> Result<(), DeviceError> {
        let block_size = u64::from(self.plan.geometry.block_size);
        let mode = FileType::Directory.mode_bits();
        let root = [(self.plan.root, self.plan.root + 1)];
        let mut inode = self.inode(mode | 0o755, 3, block_size, 1);
        put_extents(&mut inode, &root);
        self.write_inode(InodeNumber::ROOT, &inode)?;
        let names: [(&[u8], InodeNumber); 3] = [
            (b".", InodeNumber::ROOT),
            (b"..", InodeNumber::ROOT),
            (b"lost+found", LOST_AND_FOUND),
        ];
        self.write_directory(InodeNumber::ROOT, &root, &names)?;

        let runs = &self.plan.lost_and_found;
        let blocks = runs.iter().map(|(from, to)| to - from).sum::<u64>();
        let mut inode = self.inode(mode | 0o700, 2, blocks * block_size, blocks);
        put_extents(&mut inode, runs);
        self.write_inode(LOST_AND_FOUND, &inode)?;
        let names: [(&[u8], InodeNumber); 2] = [(b".", LOST_AND_FOUND), (b"..", InodeNumber::ROOT)];
        self.write_directory(LOST_AND_FOUND, runs, &names)
    }

    /// Writes a directory whose names fit its first block; the others are empty.
    fn write_directory(
        &self,
        number: InodeNumber,
        runs: &[Run],
        names: &[(&[u8], InodeNumber)],
    ) -> Result<(), DeviceError> {
        let seed = Inode::empty(INODE_SIZE, EXTRA_SIZE_WHOLE)
            .seed(self.superblock.metadata_seed(), number);
        let mut names = names;
        for block_number in runs.iter().flat_map(|(from, to)| *from..*to) {
            let mut block = self.block();
            put_entries(&mut block, std::mem::take(&mut names));
            write_tail(&mut block);
            seal_directory_block(seed, &mut block);
            self.write_block(block_number, &block)?;
        }
        Ok(())
    }

    /// Writes the inode that owns the reserved descriptors: each of the first copy is an indirect block that names those of the other copies.
    ///
    /// Spec: ext4 disk layout, "Special inodes" and "Block Group Descriptors".
    fn write_resize_inode(&self) -> Result<(), DeviceError> {
        let geometry = &self.plan.geometry;
        let addresses = geometry.addresses_per_block();
        let backups: Vec<u64> = geometry.backup_groups().map(u64::from).collect();
        let reserved = geometry.reserved_descriptor_blocks;
        let size = (12 + addresses + addresses * addresses) * u64::from(geometry.block_size);
        let blocks = 1 + reserved * (1 + backups.len() as u64);
        let mut inode = self.inode(FileType::Regular.mode_bits() | 0o600, 1, size, blocks);
        put(&mut inode.map, 13 * 4, self.plan.resize as u32);
        self.write_inode(InodeNumber::RESIZE, &inode)?;

        let mut double = self.block();
        for index in geometry.descriptor_blocks..geometry.descriptor_blocks + reserved {
            let number = geometry.first_data_block + 1 + index;
            put(&mut double, (index % addresses) as usize * 4, number as u32);
            let mut single = self.block();
            for (place, group) in backups.iter().enumerate() {
                let copy = number + group * geometry.blocks_per_group();
                put(&mut single, place * 4, copy as u32);
            }
            self.write_block(number, &single)?;
        }
        self.write_block(self.plan.resize, &double)
    }

    fn write_journal(&mut self) -> Result<(), DeviceError> {
        let geometry = &self.plan.geometry;
        let Some((first, _)) = self.plan.journal.first().copied() else {
            return Ok(());
        };
        let length = u64::from(geometry.journal_blocks);
        let size = length * u64::from(geometry.block_size);
        let blocks = length + u64::from(self.plan.journal_node.is_some());
        let mut inode = self.inode(FileType::Regular.mode_bits() | 0o600, 1, size, blocks);
        match self.plan.journal_node {
            None => put_extents(&mut inode, &self.plan.journal),
            Some(node) => self.write_journal_node(&mut inode, node)?,
        }
        self.write_inode(InodeNumber::JOURNAL, &inode)?;
        for (place, word) in inode.map.as_chunks::<4>().0.iter().enumerate() {
            self.superblock.journal_blocks[place] = u32::from_le_bytes(*word);
        }
        self.superblock.journal_blocks[15] = (size >> 32) as u32;
        self.superblock.journal_blocks[16] = size as u32;
        let mut block = self.block();
        journal_superblock(
            geometry.block_size,
            geometry.journal_blocks,
            &self.superblock,
        )
        .write(&mut block);
        self.write_block(first, &block)
    }

    /// Writes the journal's extents into a block of their own.
    fn write_journal_node(&self, inode: &mut Inode, node: u64) -> Result<(), DeviceError> {
        let seed = inode.seed(self.superblock.metadata_seed(), InodeNumber::JOURNAL);
        let mut block = self.block();
        ExtentNode::Leaf(extents(&self.plan.journal)).write(&mut block);
        seal_extent_block(seed, &mut block);
        let entries = vec![ExtentIndex { logical: 0, node }];
        inode.flags |= InodeFlags::EXTENTS;
        ExtentNode::Inner { depth: 1, entries }.write(&mut inode.map);
        self.write_block(node, &block)
    }

    /// Writes the bitmaps that need to be; returns the table of group descriptors.
    fn write_groups(&mut self) -> Result<Vec<u8>, DeviceError> {
        let geometry = &self.plan.geometry;
        let size = usize::from(DESCRIPTOR_SIZE);
        let table_bytes = geometry.descriptor_blocks * u64::from(geometry.block_size);
        let mut table = vec![0; table_bytes as usize];
        for group in 0..geometry.groups_count {
            let mut descriptor = self.write_group(group)?;
            self.superblock.free_blocks_count += u64::from(descriptor.free_blocks_count);
            self.superblock.free_inodes_count += descriptor.free_inodes_count;
            let bytes = &mut table[group as usize * size..][..size];
            descriptor.seal(&self.superblock, group, bytes);
        }
        Ok(table)
    }

    fn write_group(&self, group: u32) -> Result<GroupDescriptor, DeviceError> {
        let geometry = &self.plan.geometry;
        let (start, end) = (geometry.group_start(group), geometry.group_end(group));
        let places = self.plan.groups[group as usize];
        let used_inodes = if group == 0 { FIRST_INODE } else { 0 };
        let free_runs: Vec<Run> = self.plan.used.free(start, end).collect();
        let free_blocks = free_runs.iter().map(|(from, to)| to - from).sum::<u64>();
        let mut descriptor = GroupDescriptor {
            block_bitmap: places.block_bitmap,
            inode_bitmap: places.inode_bitmap,
            inode_table: places.inode_table,
            free_blocks_count: free_blocks as u32,
            free_inodes_count: geometry.inodes_per_group - used_inodes,
            unused_inodes_count: geometry.inodes_per_group - used_inodes,
            used_directories_count: if group == 0 { 2 } else { 0 },
            // The device read as zeros, and so does the table: Linux need not write it.
            flags: GroupFlags::INODE_ZEROED,
            ..GroupDescriptor::default()
        };
        let is_untouched = free_blocks == end - start - geometry.head_blocks(group);
        if group > 0 && group < geometry.groups_count - 1 && is_untouched {
            descriptor.flags |= GroupFlags::BLOCK_UNINIT;
        } else {
            let mut bitmap = vec![0xff; geometry.block_size as usize];
            for (from, to) in free_runs {
                clear_bits(&mut bitmap, (from - start) as usize, (to - start) as usize);
            }
            descriptor.block_bitmap_checksum = bitmap_checksum(&self.superblock, &bitmap);
            self.write_block(places.block_bitmap, &bitmap)?;
        }
        if used_inodes == 0 {
            descriptor.flags |= GroupFlags::INODE_UNINIT;
        } else {
            let mut bitmap = vec![0xff; geometry.block_size as usize];
            let inodes = geometry.inodes_per_group as usize;
            clear_bits(&mut bitmap, used_inodes as usize, inodes);
            descriptor.inode_bitmap_checksum =
                bitmap_checksum(&self.superblock, &bitmap[..inodes / 8]);
            self.write_block(places.inode_bitmap, &bitmap)?;
        }
        Ok(descriptor)
    }

    /// Writes superblocks and descriptors, the first copy last.
    fn write_heads(&mut self, descriptors: &[u8]) -> Result<(), DeviceError> {
        let geometry = self.plan.geometry;
        for group in geometry.backup_groups().chain([0]) {
            let start = geometry.group_start(group);
            for (index, bytes) in descriptors.chunks(geometry.block_size as usize).enumerate() {
                self.write_block(start + 1 + index as u64, bytes)?;
            }
            self.superblock.block_group_number = group as u16;
            let mut bytes = [0; Superblock::SIZE_BYTES];
            self.superblock.write(&mut bytes);
            let offset = match group {
                0 => SUPERBLOCK_OFFSET,
                _ => start * u64::from(geometry.block_size),
            };
            self.device.write_at(offset, &bytes)?;
        }
        Ok(())
    }
}

/// The superblock without what is counted while groups are written.
fn superblock(plan: &Plan, options: &MakeOptions) -> Superblock {
    let geometry = &plan.geometry;
    let mut compatible = Compatible::EXT_ATTR | Compatible::RESIZE_INODE | Compatible::DIR_INDEX;
    let has_journal = geometry.journal_blocks > 0;
    compatible.set(Compatible::HAS_JOURNAL, has_journal);
    let incompatible =
        Incompatible::FILETYPE | Incompatible::EXTENT | Incompatible::BIT64 | Incompatible::FLEX_BG;
    let read_only_compatible = ReadOnlyCompatible::SPARSE_SUPER
        | ReadOnlyCompatible::LARGE_FILE
        | ReadOnlyCompatible::HUGE_FILE
        | ReadOnlyCompatible::DIR_NLINK
        | ReadOnlyCompatible::EXTRA_ISIZE
        | ReadOnlyCompatible::METADATA_CSUM;
    let log_block_size = (geometry.block_size / 1024).ilog2();
    let (time, time_high) = (
        options.time_seconds as u32,
        (options.time_seconds >> 32) as u8,
    );
    let mut volume_name = [0; LABEL_BYTES_MAX];
    volume_name[..options.label.len()].copy_from_slice(options.label.as_bytes());
    Superblock {
        inodes_count: geometry.inodes_per_group * geometry.groups_count,
        blocks_count: geometry.blocks_count,
        reserved_blocks_count: geometry.reserved_blocks,
        first_data_block: geometry.first_data_block as u32,
        log_block_size,
        log_cluster_size: log_block_size,
        blocks_per_group: geometry.block_size * 8,
        clusters_per_group: geometry.block_size * 8,
        inodes_per_group: geometry.inodes_per_group,
        magic: SUPERBLOCK_MAGIC,
        state: State::VALID.bits(),
        errors: ERRORS_CONTINUE,
        mount_count_max: u16::MAX,
        revision: REVISION_DYNAMIC,
        first_inode: FIRST_INODE,
        inode_size: INODE_SIZE,
        feature_compat: compatible.bits(),
        feature_incompat: incompatible.bits(),
        feature_ro_compat: read_only_compatible.bits(),
        uuid: options.identity.uuid,
        volume_name,
        reserved_gdt_blocks: geometry.reserved_descriptor_blocks as u16,
        journal_inode: if has_journal {
            InodeNumber::JOURNAL.0
        } else {
            0
        },
        journal_backup_type: if has_journal { JOURNAL_BACKUP } else { 0 },
        hash_seed: words(options.identity.hash_seed),
        default_hash_version: HASH_HALF_MD4,
        flags: SuperblockFlags::SIGNED_HASH.bits(),
        descriptor_size: DESCRIPTOR_SIZE,
        default_mount_options: DEFAULT_MOUNT_OPTIONS,
        write_time: time,
        write_time_high: time_high,
        last_check: time,
        last_check_high: time_high,
        made_time: time,
        made_time_high: time_high,
        min_extra_isize: EXTRA_SIZE_WHOLE,
        want_extra_isize: EXTRA_SIZE_WHOLE,
        log_groups_per_flex: GROUPS_PER_FLEX_LOG,
        checksum_type: CHECKSUM_TYPE_CRC32C,
        overhead_blocks: plan.overhead_blocks as u32,
        ..Superblock::empty()
    }
}

/// The superblock of an empty journal.
fn journal_superblock(block_size: u32, length: u32, superblock: &Superblock) -> JournalSuperblock {
    JournalSuperblock {
        magic: JOURNAL_MAGIC,
        block_type: JOURNAL_SUPERBLOCK_V2,
        block_size,
        length,
        first: 1,
        sequence: 1,
        start: 0,
        error: 0,
        feature_compat: 0,
        feature_incompat: 0,
        feature_ro_compat: 0,
        uuid: superblock.uuid,
        users_count: 1,
        checksum_type: 0,
        fast_commit_blocks: 0,
        checksum: 0,
    }
}

fn words(bytes: [u8; 16]) -> [u32; 4] {
    let (words, _) = bytes.as_chunks::<4>();
    std::array::from_fn(|index| u32::from_le_bytes(words[index]))
}

/// Writes names into a block of a directory; the last has all the room, and without any there is an empty place.
fn put_entries(block: &mut [u8], names: &[(&[u8], InodeNumber)]) {
    let end = block.len() - TAIL_BYTES;
    if names.is_empty() {
        write_entry(block, 0, end, InodeNumber(0), None, b"");
    }
    let mut at = 0;
    for (index, (name, number)) in names.iter().enumerate() {
        let length = match index + 1 == names.len() {
            true => end - at,
            false => crate::layout::directory::entry_length(name.len()),
        };
        write_entry(block, at, length, *number, Some(FileType::Directory), name);
        at += length;
    }
}

fn put_extents(inode: &mut Inode, runs: &[Run]) {
    inode.flags |= InodeFlags::EXTENTS;
    ExtentNode::Leaf(extents(runs)).write(&mut inode.map);
}

/// Returns runs as extents, which are not longer than extents can be.
fn extents(runs: &[Run]) -> Vec<Extent> {
    let mut extents = Vec::new();
    let mut logical = 0;
    for (from, to) in runs {
        let mut physical = *from;
        while physical < *to {
            let count = (to - physical).min(u64::from(EXTENT_BLOCKS_MAX)) as u32;
            extents.push(Extent {
                logical,
                count,
                physical,
                is_unwritten: false,
            });
            logical += count;
            physical += u64::from(count);
        }
    }
    extents
}

fn clear_bits(bitmap: &mut [u8], from: usize, to: usize) {
    for bit in from..to {
        bitmap[bit / 8] &= !(1 << (bit % 8));
    }
}
