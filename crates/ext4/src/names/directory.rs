//! A directory's blocks, and finding a name in them.

use std::sync::Arc;

use super::tree::TreePath;
use crate::device::Device;
use crate::file_system::FileSystem;
use crate::layout::directory::{
    DirectoryEntry, NAME_BYTES_MAX, entries, is_directory_block_intact, tail_at,
};
use crate::layout::hash_tree::{HashTreeRoot, entries_at, is_index_block_intact, is_index_node};
use crate::layout::{Compatible, FileType, Incompatible, InodeFlags, InodeNumber, NameHasher};
use crate::nodes::NodeState;
use crate::{Error, Place};

/// A directory whose lock is held.
pub(crate) struct Directory<'a, D> {
    pub(crate) system: &'a FileSystem<D>,
    pub(crate) number: InodeNumber,
    pub(crate) state: &'a NodeState,
}

/// Where an entry lies, and what it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundEntry {
    /// Block of the device.
    pub(crate) block: u64,
    /// Byte in the block.
    pub(crate) at: usize,
    /// The entry before it in the block.
    pub(crate) previous: Option<usize>,
    pub(crate) inode: InodeNumber,
}

impl<D: Device> FileSystem<D> {
    /// Finds a name in a directory.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDirectory`], [`Error::NameTooLong`], and those of broken images.
    pub fn lookup(&self, directory: InodeNumber, name: &[u8]) -> Result<InodeNumber, Error> {
        if name.len() > NAME_BYTES_MAX {
            return Err(Error::NameTooLong);
        }
        let node = self.node(directory)?;
        let state = self.read_directory_state(&node)?;
        let view = Directory {
            system: self,
            number: directory,
            state: &state,
        };
        let found = view.find(name)?;
        found.map(|it| it.inode).ok_or(Error::NotFound)
    }

    /// Returns the directory that holds a directory; itself for the top.
    ///
    /// # Errors
    /// As [`FileSystem::lookup`]; [`Error::NotFound`] once it was removed.
    pub fn parent(&self, directory: InodeNumber) -> Result<InodeNumber, Error> {
        self.lookup(directory, b"..")
    }

    /// Locks a directory for reading, with its map.
    pub(crate) fn read_directory_state<'a>(
        &self,
        node: &'a crate::nodes::Node,
    ) -> Result<std::sync::RwLockReadGuard<'a, NodeState>, Error> {
        if node.read().inode.file_type() != Some(FileType::Directory) {
            return Err(Error::NotDirectory);
        }
        let state = self.read_mapped_state(node)?;
        if state.is_freed {
            return Err(Error::NotFound);
        }
        Ok(state)
    }
}

impl<D: Device> Directory<'_, D> {
    pub(crate) fn corrupt(&self, reason: &'static str) -> Error {
        Error::corrupt(Place::Inode(self.number), reason)
    }

    /// Returns where sums of its blocks begin.
    pub(crate) fn seed(&self) -> u32 {
        self.state
            .inode
            .seed(self.system.geometry.metadata_seed, self.number)
    }

    /// Returns how many blocks it has.
    pub(crate) fn blocks_count(&self) -> u32 {
        let size = self.state.inode.size / self.system.geometry.block_size as u64;
        size.min(self.state.map().end()) as u32
    }

    /// Returns a block: its place on the device, and its bytes.
    pub(crate) fn block(&self, logical: u32) -> Result<(u64, Arc<[u8]>), Error> {
        let run = self
            .state
            .map()
            .find(logical)
            .filter(|run| !run.is_unwritten);
        let block = run.ok_or(self.corrupt("a directory with a hole"))?.physical;
        let bytes = self
            .system
            .blocks
            .get(block, |bytes| self.verify(logical, block, bytes))?;
        Ok((block, bytes))
    }

    fn verify(&self, logical: u32, block: u64, bytes: &[u8]) -> Result<(), Error> {
        if !self.system.geometry.has_checksums {
            return Ok(());
        }
        let is_intact = match self.is_index(logical, bytes) {
            true => is_index_block_intact(self.seed(), bytes, entries_at(bytes)),
            false => is_directory_block_intact(self.seed(), bytes),
        };
        match is_intact {
            true => Ok(()),
            false => Err(Error::corrupt(
                Place::Block(block),
                "wrong checksum of a directory's block",
            )),
        }
    }

    /// Whether a block is one of the hash tree's own. That it ends in a tail does not tell: Linux makes the root of what was
    /// the directory's only block, and leaves the old tail where the index has not come to yet.
    ///
    /// Linux: fs/ext4/namei.c __ext4_read_dirblock().
    fn is_index(&self, logical: u32, bytes: &[u8]) -> bool {
        let is_node = || is_index_node(bytes);
        tail_at(bytes).is_none() || self.has_tree() && (logical == 0 || is_node())
    }

    /// Whether it has a hash tree.
    pub(crate) fn has_tree(&self) -> bool {
        let features = self.system.geometry.superblock.compatible();
        features.contains(Compatible::DIR_INDEX)
            && self.state.inode.flags.contains(InodeFlags::INDEX)
    }

    /// Returns the root of the hash tree, and how names are hashed.
    pub(crate) fn tree_root(&self) -> Result<(HashTreeRoot, NameHasher), Error> {
        let (block, bytes) = self.block(0)?;
        let root = HashTreeRoot::parse(&bytes).map_err(Error::layout(Place::Block(block)))?;
        let hasher = self.system.geometry.hasher(root.hash_version);
        let levels_max = self.levels_max();
        match hasher {
            Some(hasher) if root.indirect_levels <= levels_max => Ok((root, hasher)),
            _ => Err(self.corrupt("a hash tree of unknown form")),
        }
    }

    /// Levels of index blocks below the root that there may be.
    pub(crate) fn levels_max(&self) -> u8 {
        let features = self.system.geometry.superblock.incompatible();
        if features.contains(Incompatible::LARGE_DIR) {
            2
        } else {
            1
        }
    }

    /// Finds a name.
    pub(crate) fn find(&self, name: &[u8]) -> Result<Option<FoundEntry>, Error> {
        let is_dots = name == b"." || name == b"..";
        if !self.has_tree() || is_dots {
            // The dots are in the first block, whatever else there is.
            let count = if is_dots { 1 } else { self.blocks_count() };
            for logical in 0..count {
                if let Some(found) = self.find_in_block(logical, name)? {
                    return Ok(Some(found));
                }
            }
            return Ok(None);
        }
        let (root, hasher) = self.tree_root()?;
        let hash = hasher.hash(name).major;
        let mut path = TreePath::descend(self, &root, hash)?;
        loop {
            if let Some(found) = self.find_in_block(path.leaf, name)? {
                return Ok(Some(found));
            }
            if !path.continue_with(self, hash)? {
                return Ok(None);
            }
        }
    }

    fn find_in_block(&self, logical: u32, name: &[u8]) -> Result<Option<FoundEntry>, Error> {
        let (block, bytes) = self.block(logical)?;
        let mut previous = None;
        for entry in entries(&bytes) {
            let entry: DirectoryEntry<'_> = entry.map_err(Error::layout(Place::Block(block)))?;
            if entry.is_used() && entry.name == name {
                return Ok(Some(FoundEntry {
                    block,
                    at: entry.at,
                    previous,
                    inode: entry.inode,
                }));
            }
            previous = Some(entry.at);
        }
        Ok(None)
    }

    /// Whether it holds no names but the dots.
    pub(crate) fn is_empty(&self) -> Result<bool, Error> {
        for logical in 0..self.blocks_count() {
            let (block, bytes) = self.block(logical)?;
            for entry in entries(&bytes) {
                let entry = entry.map_err(Error::layout(Place::Block(block)))?;
                if entry.is_used() && entry.name != b"." && entry.name != b".." {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
