//! A file system that is open: what all its operations share.
//!
//! Lock order:
//! ```text
//! writer                  names, allocation: one at a time
//!   inode                 any number of them under the writer's lock; without it, one
//!     space               how many blocks are free and promised
//!     table of inodes, shards of blocks     for a look-up
//! ```
//! Reading takes an inode's lock for reading, and those of look-ups. So does writing content, which takes it for writing: blocks are
//! allocated when it is written back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLockReadGuard, RwLockWriteGuard};

use crate::allocator::{Space, Writer};
use crate::blocks::Blocks;
use crate::device::Device;
use crate::files::WAITING_BYTES_MAX;
use crate::files::map::FileMap;
use crate::files::{extents, indirect};
use crate::geometry::Geometry;
use crate::layout::inode::{decode_device, inode_checksum, stored_inode_checksum};
use crate::layout::superblock::SUPERBLOCK_OFFSET;
use crate::layout::{
    FileType, Incompatible, Inode, InodeFlags, InodeNumber, Superblock, Timestamp,
};
use crate::nodes::{InodeHandle, Node, NodeState, Nodes};
use crate::recovery::{self, Replayed};
use crate::{Error, Place};

/// What may be done with an open file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing is written, whatever the journal and the list of orphans ask for.
    ReadOnly,
    ReadWrite,
}

/// A file system on a device. Inodes are named by their numbers, directories' entries by single names.
///
/// Every method may be called at the same time from several threads; one changes names at a time.
pub struct FileSystem<D> {
    pub(crate) blocks: Blocks<D>,
    pub(crate) geometry: Geometry,
    pub(crate) nodes: Nodes,
    pub(crate) space: Mutex<Space>,
    /// Bytes of content that are not on the device.
    pub(crate) pages_count: AtomicUsize,
    /// Bytes of such content after which a writer writes its file back.
    pub(crate) waiting_bytes_max: AtomicUsize,
    /// `None`: read-only.
    writer: Option<Mutex<Writer>>,
}

/// Attributes of an inode. POSIX: `struct stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub inode: InodeNumber,
    pub file_type: FileType,
    /// The low twelve bits of `st_mode`.
    pub mode: u16,
    pub links: u32,
    pub uid: u32,
    pub gid: u32,
    /// Major and minor number of a device node.
    pub device: (u32, u32),
    pub size: u64,
    /// Allocated sectors of 512 bytes.
    pub sectors: u64,
    pub accessed: Timestamp,
    pub modified: Timestamp,
    pub changed: Timestamp,
    /// Zero in file systems with small inodes.
    pub created: Timestamp,
    pub generation: u32,
    pub flags: InodeFlags,
}

/// Size and use of a file system. Linux: `struct kstatfs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    pub block_size: u32,
    /// Blocks for files: without those of metadata of fixed place.
    pub blocks: u64,
    pub blocks_free: u64,
    /// Free blocks that are not reserved for root.
    pub blocks_available: u64,
    pub inodes: u32,
    pub inodes_free: u32,
    pub uuid: [u8; 16],
}

impl<D: Device> FileSystem<D> {
    /// Opens the file system on a device. A journal that was left behind is replayed: on the device, or for reading only in memory.
    /// For writing, inodes without a name are freed, and `now` is their time of deletion.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Layout`] for what is no file system or a broken one, [`Error::Unsupported`] for one with features
    /// that this crate does not know, and what the device says.
    pub fn open(device: D, access: Access, now: Timestamp) -> Result<FileSystem<D>, Error> {
        let superblock = read_superblock(&device)?;
        Geometry::check_features(&superblock, access)?;
        let needs_recovery = superblock.incompatible().contains(Incompatible::RECOVER);
        let blocks = Blocks::new(
            device,
            superblock.block_size_bytes() as usize,
            HashMap::new(),
        );
        if !needs_recovery {
            return FileSystem::assemble(blocks, superblock, access, now);
        }
        let bare = FileSystem::assemble(blocks, superblock, Access::ReadOnly, now)?;
        let replayed = recovery::read_log(&bare, now)?;
        if access == Access::ReadWrite {
            recovery::write(&bare, &replayed)?;
            let system = bare.reopen(access, HashMap::new(), now)?;
            // Linux writes how much is free in all when it unmounts, not before.
            system.writer()?.is_changed = true;
            system.sync(now)?;
            return Ok(system);
        }
        let Replayed { blocks, .. } = replayed;
        bare.reopen(access, blocks, now)
    }

    /// Starts again with what a journal says of blocks.
    fn reopen(
        self,
        access: Access,
        replayed: HashMap<u64, Box<[u8]>>,
        now: Timestamp,
    ) -> Result<FileSystem<D>, Error> {
        let block_size = self.geometry.block_size;
        let blocks = Blocks::new(self.blocks.into_device(), block_size, replayed);
        let mut bytes = [0; Superblock::SIZE_BYTES];
        let offset = SUPERBLOCK_OFFSET as usize;
        blocks.read(
            (offset / block_size) as u64,
            offset % block_size,
            &mut bytes,
        )?;
        let superblock = parse_superblock(&bytes)?;
        Geometry::check_features(&superblock, access)?;
        if superblock.block_size_bytes() as usize != block_size {
            return Err(Error::corrupt(
                Place::Superblock,
                "the journal changes the block size",
            ));
        }
        FileSystem::assemble(blocks, superblock, access, now)
    }

    /// Opens the file system on a device to be written, as its blocks are: with its journal, and with the orphans that a crash left.
    pub(crate) fn open_with_orphans(device: D) -> Result<FileSystem<D>, Error> {
        let superblock = read_superblock(&device)?;
        Geometry::check_features(&superblock, Access::ReadWrite)?;
        let block_size = superblock.block_size_bytes() as usize;
        let blocks = Blocks::new(device, block_size, HashMap::new());
        let system = FileSystem::build(blocks, superblock, Access::ReadWrite)?;
        let orphans = system.find_orphans()?;
        system.writer()?.orphans = orphans;
        Ok(system)
    }

    fn assemble(
        blocks: Blocks<D>,
        superblock: Superblock,
        access: Access,
        now: Timestamp,
    ) -> Result<FileSystem<D>, Error> {
        let system = FileSystem::build(blocks, superblock, access)?;
        if access == Access::ReadWrite {
            system.recover_orphans(now)?;
        }
        Ok(system)
    }

    fn build(
        blocks: Blocks<D>,
        superblock: Superblock,
        access: Access,
    ) -> Result<FileSystem<D>, Error> {
        let bytes = superblock
            .blocks_count
            .checked_mul(superblock.block_size_bytes().into());
        if bytes.is_none_or(|bytes| bytes > blocks.device.size()) {
            return Err(Error::corrupt(
                Place::Superblock,
                "the file system is larger than its device",
            ));
        }
        let geometry = Geometry::new(superblock)?;
        let writer = (access == Access::ReadWrite).then(|| Mutex::new(Writer::new(&geometry)));
        Ok(FileSystem {
            space: Mutex::new(Space::count(&geometry, &blocks)?),
            blocks,
            geometry,
            nodes: Nodes::new(),
            pages_count: AtomicUsize::new(0),
            waiting_bytes_max: AtomicUsize::new(WAITING_BYTES_MAX),
            writer,
        })
    }

    /// Judges the descriptors of all groups; else each is judged when its group is first needed. Linux: `ext4_check_descriptors()`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the first group whose descriptor is broken, and what the device says.
    pub fn check_groups(&self) -> Result<(), Error> {
        self.geometry.descriptors(&self.blocks).map(drop)
    }

    /// Returns the superblock as it was when the file system was opened.
    pub fn superblock(&self) -> &Superblock {
        &self.geometry.superblock
    }

    /// Returns the device.
    pub fn device(&self) -> &D {
        &self.blocks.device
    }

    /// Gives the device back; what was not written by [`FileSystem::sync`] is lost.
    pub fn into_device(self) -> D {
        self.blocks.into_device()
    }

    /// Whether it may be changed.
    pub fn is_writable(&self) -> bool {
        self.writer.is_some()
    }

    /// Takes the writer's lock.
    pub(crate) fn writer(&self) -> Result<MutexGuard<'_, Writer>, Error> {
        let writer = self.writer.as_ref().ok_or(Error::ReadOnly)?;
        Ok(writer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn lock_space(&self) -> MutexGuard<'_, Space> {
        self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an inode.
    pub(crate) fn node(&self, number: InodeNumber) -> Result<Arc<Node>, Error> {
        self.nodes.get(number, || self.read_inode(number))
    }

    /// Reads an inode from its table.
    pub(crate) fn read_inode(&self, number: InodeNumber) -> Result<Inode, Error> {
        let (block, at) = self.geometry.inode_place(&self.blocks, number)?;
        let bytes = self.blocks.get(block, |_| Ok(()))?;
        let bytes = &bytes[at..at + usize::from(self.geometry.superblock.inode_size)];
        let inode = Inode::parse(bytes).map_err(Error::layout(Place::Inode(number)))?;
        if self.geometry.has_checksums
            && stored_inode_checksum(bytes)
                != inode_checksum(self.geometry.metadata_seed, number, bytes)
        {
            return Err(Error::corrupt(Place::Inode(number), "wrong checksum"));
        }
        let unusable = InodeFlags::ENCRYPT
            | InodeFlags::INLINE_DATA
            | InodeFlags::CASEFOLD
            | InodeFlags::EA_INODE;
        let flags = inode.flags.intersection(unusable);
        match flags.is_empty() {
            true => Ok(inode),
            false => Err(Error::Unsupported {
                features: crate::layout::features::names(flags),
            }),
        }
    }

    /// Reads the map of an inode that has one.
    fn load_map(&self, number: InodeNumber, inode: &Inode) -> Result<FileMap, Error> {
        let kind = inode.file_type();
        let is_mapped = matches!(kind, Some(FileType::Regular | FileType::Directory))
            || kind == Some(FileType::Symlink) && !is_fast_symlink(inode, &self.geometry)
            // The inode for reserved descriptors and such have no kind, or are regular.
            || kind.is_none();
        if !is_mapped {
            return Err(Error::InvalidArgument);
        }
        if kind == Some(FileType::Regular) && inode.size > self.size_max(inode.flags) {
            return Err(Error::corrupt(Place::Inode(number), "impossible size"));
        }
        match inode.flags.contains(InodeFlags::EXTENTS) {
            true => extents::load(&self.geometry, &self.blocks, number, inode),
            false => indirect::load(&self.geometry, &self.blocks, number, inode),
        }
    }

    /// Locks an inode for reading, with its map.
    pub(crate) fn read_mapped_state<'a>(
        &self,
        node: &'a Node,
    ) -> Result<RwLockReadGuard<'a, NodeState>, Error> {
        loop {
            let state = node.read();
            if state.map.is_some() {
                return Ok(state);
            }
            drop(state);
            drop(self.write_mapped_state(node)?);
        }
    }

    /// Locks an inode for writing, with its map.
    pub(crate) fn write_mapped_state<'a>(
        &self,
        node: &'a Node,
    ) -> Result<RwLockWriteGuard<'a, NodeState>, Error> {
        let mut state = node.write();
        if state.map.is_none() {
            state.map = Some(self.load_map(node.number, &state.inode)?);
        }
        Ok(state)
    }

    /// Returns the attributes of an inode.
    ///
    /// # Errors
    /// [`Error::Corrupt`] and the like if the inode is broken; [`Error::NotFound`] if it is not used.
    pub fn metadata(&self, number: InodeNumber) -> Result<Metadata, Error> {
        self.metadata_of(&self.inode(number)?)
    }

    /// Returns an inode, for [`FileSystem::metadata_of`] and [`FileSystem::read_from`].
    ///
    /// # Errors
    /// Those of broken images.
    pub fn inode(&self, number: InodeNumber) -> Result<InodeHandle, Error> {
        self.node(number).map(InodeHandle)
    }

    /// Returns the attributes of an inode, as [`FileSystem::metadata`].
    ///
    /// # Errors
    /// As [`FileSystem::metadata`].
    pub fn metadata_of(&self, InodeHandle(node): &InodeHandle) -> Result<Metadata, Error> {
        let number = node.number;
        let state = node.read();
        let inode = &state.inode;
        let is_open = node.opened.load(Ordering::Relaxed) > 0;
        if state.is_freed || inode.links_count == 0 && !is_open {
            return Err(Error::NotFound);
        }
        let file_type = state.file_type(number)?;
        let per_block = self.geometry.sectors_per_block();
        let sectors = match inode.flags.contains(InodeFlags::HUGE_FILE) {
            true => inode.blocks.saturating_mul(per_block),
            false => inode.blocks,
        };
        Ok(Metadata {
            inode: number,
            file_type,
            mode: inode.mode & 0xfff,
            links: inode.links_count.into(),
            uid: inode.uid,
            gid: inode.gid,
            device: match file_type {
                FileType::CharacterDevice | FileType::BlockDevice => decode_device(&inode.map),
                _ => (0, 0),
            },
            size: inode.size,
            sectors: sectors.saturating_add(state.unmapped_pages * per_block),
            accessed: inode.accessed,
            modified: inode.modified,
            changed: inode.changed,
            created: inode.created,
            generation: inode.generation,
            flags: inode.flags,
        })
    }

    /// Lets files, with what they need of metadata, have so many bytes together and no more. Those that have more already keep them.
    pub fn limit(&self, bytes_max: u64) {
        let blocks_max = bytes_max / self.geometry.block_size as u64;
        let blocks = self.geometry.superblock.blocks_count;
        let blocks = blocks.saturating_sub(self.blocks_fixed());
        let mut space = self.lock_space();
        space.blocks_withheld = blocks.saturating_sub(blocks_max);
    }

    /// Keeps at most so many bytes of content in memory that is on the device; what is not there yet is bounded by itself.
    pub fn limit_cache(&self, bytes_max: usize) {
        self.blocks.limit_content(bytes_max);
    }

    /// Lets so many bytes of content wait in memory before whoever writes more writes his file back first.
    pub fn limit_waiting(&self, bytes_max: usize) {
        self.waiting_bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    /// Counts the blocks of metadata of fixed place; none of a file system whose descriptors are broken.
    fn blocks_fixed(&self) -> u64 {
        let fixed = self.geometry.fixed_blocks(&self.blocks);
        fixed.map_or(0, |runs| runs.iter().map(|(_, count)| count).sum())
    }

    /// Returns size and use.
    pub fn statistics(&self) -> Statistics {
        let blocks_fixed = self.blocks_fixed();
        let space = self.lock_space();
        let superblock = &self.geometry.superblock;
        let blocks_free = space.blocks_available();
        let kept = blocks_fixed.saturating_add(space.blocks_withheld);
        Statistics {
            block_size: superblock.block_size_bytes(),
            blocks: superblock.blocks_count.saturating_sub(kept),
            blocks_free,
            blocks_available: blocks_free.saturating_sub(superblock.reserved_blocks_count),
            inodes: superblock.inodes_count,
            inodes_free: space.inodes_free,
            uuid: superblock.uuid,
        }
    }
}

/// Whether a symbolic link's target lies in the inode.
pub(crate) fn is_fast_symlink(inode: &Inode, geometry: &Geometry) -> bool {
    let attributes = match inode.attributes_block {
        0 => 0,
        _ if inode.flags.contains(InodeFlags::HUGE_FILE) => 1,
        _ => geometry.sectors_per_block(),
    };
    inode.size < crate::layout::inode::MAP_SIZE_BYTES as u64 && inode.blocks <= attributes
}

fn read_superblock<D: Device>(device: &D) -> Result<Superblock, Error> {
    let mut bytes = [0; Superblock::SIZE_BYTES];
    device.read_at(SUPERBLOCK_OFFSET, &mut bytes)?;
    parse_superblock(&bytes)
}

fn parse_superblock(bytes: &[u8]) -> Result<Superblock, Error> {
    Superblock::parse(bytes).map_err(Error::layout(Place::Superblock))
}
