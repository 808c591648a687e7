//! Growing a file system to the size of its device: the last group is filled up, and groups are added behind it.
//!
//! New groups hold their own bitmaps and inodes, which every reader of every feature understands. Their descriptors go where blocks are
//! reserved for them; without a reserve, or when it is used up, into the groups that they describe (`meta_bg`).
//!
//! | module | is |
//! |---|---|
//! | `plan` | the numbers of the larger file system, and where its descriptors go |
//! | `groups` | descriptors and bitmaps |
//! | `reserve` | the inode that owns reserved descriptors |
//!
//! Spec: ext4 disk layout, "Layout", "Meta Block Groups", "Special inodes".

mod groups;
mod plan;
mod reserve;

use std::collections::HashMap;

use crate::blocks::Blocks;
use crate::device::Device;
use crate::file_system::{Access, FileSystem};
use crate::geometry::Geometry;
use crate::layout::superblock::SUPERBLOCK_OFFSET;
use crate::layout::{GroupDescriptor, Superblock, Timestamp};
use crate::{Error, Place};

use plan::{Plan, Table};

/// Why a file system was not grown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrowError {
    #[error("a file system of {blocks} blocks is not made smaller: {wanted_blocks} would be left")]
    Smaller { blocks: u64, wanted_blocks: u64 },
    #[error(transparent)]
    Disk(#[from] Error),
}

impl From<crate::DeviceError> for GrowError {
    fn from(error: crate::DeviceError) -> GrowError {
        GrowError::Disk(Error::Device(error))
    }
}

/// How large a file system was, and has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grown {
    pub blocks_before: u64,
    /// A last group that would be too small for its own metadata is left out.
    pub blocks: u64,
    pub block_size: u32,
}

/// Grows a file system to the size of its device, which has become larger, and commits it. What was added must read as zeros.
///
/// A journal that was left behind is replayed first.
///
/// # Errors
/// [`GrowError::Smaller`] if the device has become smaller, [`Error::Unsupported`] for features that cannot be written, and those of broken images. Nothing is
/// committed then but what the journal had.
pub fn grow<D: Device>(device: D, now: Timestamp) -> Result<Grown, GrowError> {
    let device = recovered(device, now)?;
    let superblock = read_superblock(&device)?;
    let block_size = superblock.block_size_bytes();
    let wanted_blocks = device.size() / u64::from(block_size);
    let blocks_before = superblock.blocks_count;
    if wanted_blocks < blocks_before {
        return Err(GrowError::Smaller {
            blocks: blocks_before,
            wanted_blocks,
        });
    }
    let blocks = Blocks::new(device, block_size as usize, HashMap::new());
    let old = Geometry::new(superblock)?;
    let descriptors = old.descriptors(&blocks)?;
    let device = blocks.into_device();
    let plan = Plan::new(&old, wanted_blocks)?;
    let grown = Grown {
        blocks_before,
        blocks: plan.superblock.blocks_count,
        block_size,
    };
    if grown.blocks > blocks_before {
        let mut grower = Grower {
            device: &device,
            old,
            new: Geometry::new(plan.superblock.clone())?,
            descriptors,
            table: plan.table,
        };
        grower.grow(now)?;
        device.commit()?;
    }
    Ok(grown)
}

/// Replays the journal and frees orphans, as opening does; what is written then is consistent.
fn recovered<D: Device>(device: D, now: Timestamp) -> Result<D, Error> {
    let superblock = read_superblock(&device)?;
    let bytes = superblock
        .blocks_count
        .saturating_mul(superblock.block_size_bytes().into());
    if bytes > device.size() {
        // Opening would call it broken, but that the device was cut off is what the caller wants to hear.
        return Ok(device);
    }
    let system = FileSystem::open(device, Access::ReadWrite, now)?;
    system.sync(now)?;
    Ok(system.into_device())
}

fn read_superblock(device: &impl Device) -> Result<Superblock, Error> {
    let mut bytes = [0; Superblock::SIZE_BYTES];
    device.read_at(SUPERBLOCK_OFFSET, &mut bytes)?;
    Superblock::parse(&bytes).map_err(Error::layout(Place::Superblock))
}

/// A file system that is being grown.
struct Grower<'d, D> {
    device: &'d D,
    old: Geometry,
    /// With the superblock as it will be written.
    new: Geometry,
    descriptors: Vec<GroupDescriptor>,
    table: Table,
}

impl<D: Device> Grower<'_, D> {
    fn grow(&mut self, now: Timestamp) -> Result<(), Error> {
        self.fill_last_group()?;
        match self.table {
            Table::Reserved => self.use_reserve(now)?,
            Table::Meta => self.release_reserve()?,
            Table::Unchanged => {}
        }
        for group in self.old.superblock.groups_count()..self.new.superblock.groups_count() {
            self.add_group(group)?;
        }
        self.count();
        let superblock = &mut self.new.superblock;
        superblock.write_time = now.seconds as u32;
        superblock.write_time_high = (now.seconds >> 32) as u8;
        self.write_descriptors()?;
        self.write_superblocks()
    }

    /// Counts what is free.
    fn count(&mut self) {
        let groups = self.descriptors.iter();
        let free_blocks = groups.map(|it| u64::from(it.free_blocks_count)).sum();
        let groups = self.descriptors.iter();
        let free_inodes = groups.map(|it| it.free_inodes_count).sum();
        self.new.superblock.free_blocks_count = free_blocks;
        self.new.superblock.free_inodes_count = free_inodes;
    }

    fn read_block(&self, number: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; self.new.block_size];
        let offset = number * self.new.block_size as u64;
        self.device.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    fn write_block(&self, number: u64, bytes: &[u8]) -> Result<(), Error> {
        let offset = number * self.new.block_size as u64;
        Ok(self.device.write_at(offset, bytes)?)
    }

    /// Writes all superblocks, the first last. What is not known of the first is in its copies too.
    fn write_superblocks(&mut self) -> Result<(), Error> {
        let mut bytes = [0; Superblock::SIZE_BYTES];
        self.device.read_at(SUPERBLOCK_OFFSET, &mut bytes)?;
        let groups = self.new.superblock.groups_count();
        let copies = (1..groups).filter(|it| self.new.superblock.group_has_superblock(*it));
        for group in copies.chain([0]).collect::<Vec<u32>>() {
            // Groups beyond 65,535 have it cut off, as Linux has it.
            self.new.superblock.block_group_number = group as u16;
            self.new.superblock.write(&mut bytes);
            let offset = match group {
                0 => SUPERBLOCK_OFFSET,
                _ => self.new.group_start(group) * self.new.block_size as u64,
            };
            self.device.write_at(offset, &bytes)?;
        }
        Ok(())
    }
}
