//! Cutting and extending files, preallocating blocks, punching holes, and freeing inodes whole.

use std::sync::Arc;

use super::indirect;
use super::map::Nodes as MapNodes;
use crate::allocator::{Funds, Writer};
use crate::device::Device;
use crate::file_system::{FileSystem, is_fast_symlink};
use crate::layout::{FileType, InodeFlags, InodeNumber, Timestamp};
use crate::nodes::{Node, NodeState};
use crate::{Error, Place};

/// Whether preallocation extends a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preallocation {
    /// The file becomes at least so long.
    Extend,
    /// The size stays. Linux: `FALLOC_FL_KEEP_SIZE`.
    KeepSize,
}

impl<D: Device> FileSystem<D> {
    /// Sets the size of a regular file. What was cut off is gone, what is added reads as zeros.
    ///
    /// # Errors
    /// As [`FileSystem::write`].
    pub fn set_size(&self, number: InodeNumber, size: u64, now: Timestamp) -> Result<(), Error> {
        let mut writer = self.writer()?;
        let node = self.node(number)?;
        let mut state = self.write_regular(&node)?;
        if size > self.size_max(state.inode.flags) {
            return Err(Error::FileTooLarge);
        }
        if size < state.inode.size {
            self.zero_tail(&mut state, size)?;
            let first = size.div_ceil(self.geometry.block_size as u64) as u32;
            self.drop_pages(&mut state, first, u64::MAX);
            self.unmap(&mut writer, number, &mut state, first, u32::MAX - first)?;
        }
        state.inode.size = size;
        state.inode.modified = now;
        state.inode.changed = now;
        self.nodes.mark_changed(&node, &mut state);
        Ok(())
    }

    fn write_regular<'a>(
        &self,
        node: &'a Node,
    ) -> Result<std::sync::RwLockWriteGuard<'a, NodeState>, Error> {
        let state = self.write_mapped_state(node)?;
        match state.file_type(node.number)? {
            _ if state.is_freed => Err(Error::NotFound),
            FileType::Regular => Ok(state),
            FileType::Directory => Err(Error::IsDirectory),
            _ => Err(Error::InvalidArgument),
        }
    }

    /// Zeros the rest of the block in which `size` ends, which would show again if the file grew.
    fn zero_tail(&self, state: &mut NodeState, size: u64) -> Result<(), Error> {
        let block_size = self.geometry.block_size as u64;
        let at = (size % block_size) as usize;
        let logical = (size / block_size) as u32;
        let has_content = state.pages.contains_key(&logical)
            || state
                .map()
                .find(logical)
                .is_some_and(|run| !run.is_unwritten);
        if at > 0 && has_content {
            self.page(state, logical)?[at..].fill(0);
        }
        Ok(())
    }

    /// Unmaps blocks and frees them.
    pub(crate) fn unmap(
        &self,
        writer: &mut Writer,
        number: InodeNumber,
        state: &mut NodeState,
        first: u32,
        count: u32,
    ) -> Result<(), Error> {
        let removed = state.map_mut().remove(first, count);
        if removed.is_empty() {
            return Ok(());
        }
        if state.map().nodes == MapNodes::Indirect {
            let nodes = indirect::clear(&self.blocks, &mut state.inode, first, count)?;
            for block in nodes {
                self.free(writer, block, 1)?;
                self.add_blocks(state, -1);
            }
        }
        for run in removed {
            self.add_blocks(state, -i64::from(run.count));
            self.free(writer, run.physical, run.count.into())?;
        }
        self.fit_map(writer, number, state, Funds::Free)
    }

    /// Allocates blocks for `length` bytes from `offset` on, which read as zeros until they are written.
    ///
    /// # Errors
    /// As [`FileSystem::write`]; [`Error::Unsupported`] for files without extents. Blocks that were allocated before space ran out stay.
    pub fn preallocate(
        &self,
        number: InodeNumber,
        (offset, length): (u64, u64),
        preallocation: Preallocation,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut writer = self.writer()?;
        let node = self.node(number)?;
        let mut state = self.write_regular(&node)?;
        let end = offset
            .checked_add(length)
            .filter(|end| *end <= self.size_max(state.inode.flags));
        let end = end.ok_or(Error::FileTooLarge)?;
        if !state.inode.flags.contains(InodeFlags::EXTENTS) {
            return Err(Error::Unsupported {
                features: "preallocation without extents".to_string(),
            });
        }
        self.write_back_pages(&mut writer, &node, &mut state)?;
        let block_size = self.geometry.block_size as u64;
        let (mut logical, stop) = (
            (offset / block_size) as u32,
            end.div_ceil(block_size) as u32,
        );
        let mut result = Ok(());
        while logical < stop && result.is_ok() {
            let hole = state.map().hole_length(logical, stop - logical);
            logical += match hole {
                0 => state
                    .map()
                    .find(logical)
                    .map_or(1, |run| run.count)
                    .min(stop - logical),
                _ => match self.map_new_blocks(
                    &mut writer,
                    number,
                    &mut state,
                    (logical, hole, Funds::Free),
                    true,
                ) {
                    Ok(run) => run.count,
                    Err(error) => {
                        result = Err(error);
                        0
                    }
                },
            };
        }
        self.fit_map(&mut writer, number, &mut state, Funds::Promised)?;
        if preallocation == Preallocation::Extend && result.is_ok() {
            state.inode.size = state.inode.size.max(end);
            state.inode.modified = now;
        }
        state.inode.changed = now;
        self.nodes.mark_changed(&node, &mut state);
        result
    }

    /// Makes `length` bytes from `offset` on a hole, which reads as zeros. The size stays.
    ///
    /// # Errors
    /// As [`FileSystem::write`].
    pub fn punch_hole(
        &self,
        number: InodeNumber,
        (offset, length): (u64, u64),
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut writer = self.writer()?;
        let node = self.node(number)?;
        let mut state = self.write_regular(&node)?;
        let end = offset.saturating_add(length).min(state.inode.size);
        if offset >= end {
            return Ok(());
        }
        self.write_back_pages(&mut writer, &node, &mut state)?;
        let block_size = self.geometry.block_size as u64;
        // Behind the end of the file there is nothing to keep.
        let is_to_end = end == state.inode.size;
        let first = offset.div_ceil(block_size);
        let stop = if is_to_end {
            end.div_ceil(block_size)
        } else {
            end / block_size
        };
        if first < stop {
            let (first, count) = (first as u32, (stop - first) as u32);
            self.unmap(&mut writer, number, &mut state, first, count)?;
        }
        let head_end = end.min(first * block_size);
        self.zero(&mut state, offset, head_end)?;
        self.zero(&mut state, (stop * block_size).max(head_end), end)?;
        state.inode.modified = now;
        state.inode.changed = now;
        self.nodes.mark_changed(&node, &mut state);
        Ok(())
    }

    /// Zeros bytes of one block, if there are any.
    fn zero(&self, state: &mut NodeState, start: u64, end: u64) -> Result<(), Error> {
        let block_size = self.geometry.block_size as u64;
        let logical = (start / block_size) as u32;
        let is_hole = state.map().find(logical).is_none_or(|run| run.is_unwritten);
        if start >= end || is_hole && !state.pages.contains_key(&logical) {
            return Ok(());
        }
        let at = (start % block_size) as usize;
        self.page(state, logical)?[at..at + (end - start) as usize].fill(0);
        Ok(())
    }

    /// Frees an inode that has no name and is not open, with all it has.
    pub(crate) fn free_node(
        &self,
        writer: &mut Writer,
        node: &Arc<Node>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let number = node.number;
        let kind = node.read().file_type(number)?;
        let has_blocks = match kind {
            FileType::Regular | FileType::Directory => true,
            FileType::Symlink => !is_fast_symlink(&node.read().inode, &self.geometry),
            _ => false,
        };
        let mut state = match has_blocks {
            true => self.write_mapped_state(node)?,
            false => node.write(),
        };
        if state.is_freed {
            return Err(Error::corrupt(Place::Inode(number), "freed twice"));
        }
        if has_blocks {
            self.drop_pages(&mut state, 0, u64::MAX);
            self.unmap(writer, number, &mut state, 0, u32::MAX)?;
        }
        self.drop_attribute_block(writer, &mut state)?;
        state.inode.size = 0;
        state.inode.links_count = 0;
        state.inode.deletion_time = u32::try_from(now.seconds).unwrap_or(u32::MAX).max(1);
        state.is_freed = true;
        self.write_inode(writer, node, &mut state)?;
        drop(state);
        self.nodes.forget(number);
        let mut space = self.lock_space();
        let what = (number, kind == FileType::Directory);
        writer.free_inode(&self.geometry, &self.blocks, &mut space, what)
    }
}
