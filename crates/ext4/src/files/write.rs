//! Writing content: into memory at once, from memory to the device later, when the blocks for it are allocated in runs.
//!
//! What is accepted has a promise: so many free blocks are kept that writing it back does not fail for want of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::indirect;
use super::map::Nodes as MapNodes;
use crate::Error;
use crate::allocator::{Funds, Writer};
use crate::device::Device;
use crate::file_system::FileSystem;
use crate::layout::extent::Extent;
use crate::layout::features::ReadOnlyCompatible;
use crate::layout::{FileType, InodeFlags, InodeNumber, Timestamp};
use crate::nodes::{Node, NodeState};

/// Bytes of content that may wait in memory, unless told otherwise, before a writer has to write its file back: bounds memory.
pub(crate) const WAITING_BYTES_MAX: usize = 64 << 20;
/// Blocks that are written to the device at once.
const BATCH_BLOCKS: u32 = 256;
/// Files from this size on need the feature `large_file`.
const LARGE_FILE_BYTES: u64 = 1 << 31;

/// Where writing begins.
#[derive(Clone, Copy)]
enum Start {
    At(u64),
    /// At the end of the file, wherever that is when the inode's lock was taken.
    End,
}

/// Returns how many blocks are promised for so many blocks of content without a place: each may need one for the map, and a new
/// map one for each of its levels.
fn promise_for(pages: u64) -> u64 {
    if pages == 0 { 0 } else { 2 * pages + 8 }
}

impl<D: Device> FileSystem<D> {
    /// Returns the size that files of a form may have at most.
    pub(crate) fn size_max(&self, flags: InodeFlags) -> u64 {
        let size = self.geometry.block_size as u64;
        match flags.contains(InodeFlags::EXTENTS) {
            true => u64::from(u32::MAX) * size,
            false => {
                let has_huge = self
                    .geometry
                    .superblock
                    .read_only_compatible()
                    .contains(ReadOnlyCompatible::HUGE_FILE);
                // The number of sectors has 32 bits.
                let counted = if has_huge {
                    u64::MAX
                } else {
                    (1 << 32) * 512 - (1 << 28)
                };
                (indirect::blocks_max(self.geometry.block_size) * size).min(counted)
            }
        }
    }

    /// Writes to a regular file from byte `offset` on, and returns how many bytes: fewer only if there is no space for more.
    /// They are in memory then; [`FileSystem::sync`] makes them durable.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::FileTooLarge`], [`Error::IsDirectory`], [`Error::InvalidArgument`] for what has no content,
    /// [`Error::ReadOnly`], and those of broken images.
    pub fn write(
        &self,
        number: InodeNumber,
        offset: u64,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<usize, Error> {
        let (written, _) = self.write_from(number, Start::At(offset), bytes, now)?;
        Ok(written)
    }

    /// Writes to the end of a regular file in one step, and returns how many bytes, and the size that the file has then.
    ///
    /// # Errors
    /// As [`FileSystem::write`].
    pub fn append(
        &self,
        number: InodeNumber,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(usize, u64), Error> {
        self.write_from(number, Start::End, bytes, now)
    }

    fn write_from(
        &self,
        number: InodeNumber,
        start: Start,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(usize, u64), Error> {
        if !self.is_writable() {
            return Err(Error::ReadOnly);
        }
        let node = self.node(number)?;
        let (mut done, mut start, mut has_settled) = (0, start, false);
        let written = loop {
            match self.write_pages(&node, start, &bytes[done..], now) {
                Ok((count, end)) => {
                    done += count;
                    if count == 0 || done == bytes.len() {
                        break (done, end);
                    }
                    start = match start {
                        Start::At(offset) => Start::At(offset + count as u64),
                        Start::End => Start::End,
                    };
                }
                // Promises are generous: what waits may need less.
                Err(Error::NoSpace) if !has_settled => {
                    self.write_back_content()?;
                    has_settled = true;
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break (done, node.read().inode.size),
            }
        };
        let waiting = self.pages_count.load(Ordering::Relaxed) * self.geometry.block_size;
        if waiting > self.waiting_bytes_max.load(Ordering::Relaxed) {
            let mut writer = self.writer()?;
            self.write_back_node(&mut writer, &node)?;
        }
        Ok(written)
    }

    fn write_pages(
        &self,
        node: &Arc<Node>,
        start: Start,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(usize, u64), Error> {
        let mut state = self.write_mapped_state(node)?;
        match state.file_type(node.number)? {
            FileType::Regular => {}
            FileType::Directory => return Err(Error::IsDirectory),
            _ => return Err(Error::InvalidArgument),
        }
        if state.is_freed {
            return Err(Error::NotFound);
        }
        let offset = match start {
            Start::At(offset) => offset,
            Start::End => state.inode.size,
        };
        let room = self.size_max(state.inode.flags).saturating_sub(offset);
        if room == 0 && !bytes.is_empty() {
            return Err(Error::FileTooLarge);
        }
        let bytes = &bytes[..bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        let mut done = 0;
        while done < bytes.len() {
            match self.write_page(&mut state, offset + done as u64, &bytes[done..]) {
                Ok(count) => done += count,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        if done > 0 {
            state.inode.size = state.inode.size.max(offset + done as u64);
            state.inode.modified = now;
            state.inode.changed = now;
            self.nodes.mark_changed(node, &mut state);
        }
        Ok((done, offset + done as u64))
    }

    /// Writes to one block in memory, and returns how many bytes.
    fn write_page(&self, state: &mut NodeState, offset: u64, bytes: &[u8]) -> Result<usize, Error> {
        let size = self.geometry.block_size;
        let at = (offset % size as u64) as usize;
        let logical = u32::try_from(offset / size as u64).map_err(|_| Error::FileTooLarge)?;
        let count = bytes.len().min(size - at);
        let page = match count == size {
            true if !state.pages.contains_key(&logical) => {
                self.add_page(state, logical, bytes[..size].into())?
            }
            true => state.pages.get_mut(&logical).expect("it was just found"),
            false => self.page(state, logical)?,
        };
        page[at..at + count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Returns a block in memory, with what the device has.
    pub(crate) fn page<'a>(
        &self,
        state: &'a mut NodeState,
        logical: u32,
    ) -> Result<&'a mut [u8], Error> {
        if !state.pages.contains_key(&logical) {
            let mut bytes = vec![0; self.geometry.block_size];
            if let Some(run) = state.map().find(logical).filter(|run| !run.is_unwritten) {
                self.blocks.read_content(run.physical, 0, &mut bytes)?;
            }
            self.add_page(state, logical, bytes.into())?;
        }
        Ok(state.pages.get_mut(&logical).expect("it was just added"))
    }

    /// Keeps a block in memory, which is not there yet, with a promise if it has no place.
    fn add_page<'a>(
        &self,
        state: &'a mut NodeState,
        logical: u32,
        bytes: Box<[u8]>,
    ) -> Result<&'a mut [u8], Error> {
        if state.map().find(logical).is_none() {
            let needed = promise_for(state.unmapped_pages + 1);
            self.lock_space().promise(needed - state.reserved)?;
            state.reserved = needed;
            state.unmapped_pages += 1;
        }
        self.pages_count.fetch_add(1, Ordering::Relaxed);
        Ok(state.pages.entry(logical).or_insert(bytes))
    }

    /// Forgets blocks in memory from `first` to before `end`.
    pub(crate) fn drop_pages(&self, state: &mut NodeState, first: u32, end: u64) {
        let doomed: Vec<u32> = state
            .pages
            .range(first..)
            .map(|(logical, _)| *logical)
            .collect();
        for logical in doomed
            .into_iter()
            .take_while(|logical| u64::from(*logical) < end)
        {
            state.pages.remove(&logical);
            self.pages_count.fetch_sub(1, Ordering::Relaxed);
            if state.map().find(logical).is_none() {
                state.unmapped_pages -= 1;
            }
        }
        self.settle_promise(state);
    }

    /// Gives back what was promised for blocks that have a place by now.
    fn settle_promise(&self, state: &mut NodeState) {
        let needed = promise_for(state.unmapped_pages);
        if needed < state.reserved {
            self.lock_space().release(state.reserved - needed);
            state.reserved = needed;
        }
    }

    /// Writes the content of all files to the device.
    pub(crate) fn write_back_content(&self) -> Result<(), Error> {
        let mut writer = self.writer()?;
        for node in self.nodes.changed() {
            self.write_back_node(&mut writer, &node)?;
        }
        Ok(())
    }

    /// Writes the content of a file to the device.
    pub(crate) fn write_back_node(
        &self,
        writer: &mut Writer,
        node: &Arc<Node>,
    ) -> Result<(), Error> {
        let mut state = node.write();
        match state.pages.is_empty() {
            true => Ok(()),
            false => self.write_back_pages(writer, node, &mut state),
        }
    }

    pub(crate) fn write_back_pages(
        &self,
        writer: &mut Writer,
        node: &Arc<Node>,
        state: &mut NodeState,
    ) -> Result<(), Error> {
        self.nodes.mark_changed(node, state);
        while let Some((logical, count)) = first_pages(state) {
            let run = match state.map().find(logical) {
                Some(run) => run,
                None => self.allocate_run(writer, node.number, state, logical, count)?,
            };
            let count = count.min(run.count);
            let mut buffer = Vec::with_capacity(count as usize * self.geometry.block_size);
            state
                .pages
                .range(logical..)
                .take(count as usize)
                .for_each(|(_, page)| buffer.extend_from_slice(page));
            self.blocks.write_content(run.physical, &buffer)?;
            if run.is_unwritten {
                state.map_mut().mark_written(logical, count);
            }
            for index in 0..count {
                if let Some(page) = state.pages.remove(&(logical + index)) {
                    let block = run.physical + u64::from(index);
                    self.blocks.keep_content(block, page);
                }
            }
            self.pages_count
                .fetch_sub(count as usize, Ordering::Relaxed);
        }
        self.fit_map(writer, node.number, state, Funds::Promised)?;
        self.settle_promise(state);
        Ok(())
    }

    /// Gives blocks to content in memory that has no place.
    fn allocate_run(
        &self,
        writer: &mut Writer,
        number: InodeNumber,
        state: &mut NodeState,
        logical: u32,
        count: u32,
    ) -> Result<Extent, Error> {
        let count = state.map().hole_length(logical, count);
        let run = self.map_new_blocks(
            writer,
            number,
            state,
            (logical, count, Funds::Promised),
            false,
        )?;
        state.unmapped_pages = state.unmapped_pages.saturating_sub(run.count.into());
        Ok(run)
    }

    /// Allocates up to `count` blocks in a row for a hole from `logical` on, and maps them.
    pub(crate) fn map_new_blocks(
        &self,
        writer: &mut Writer,
        number: InodeNumber,
        state: &mut NodeState,
        (logical, count, funds): (u32, u32, Funds),
        is_unwritten: bool,
    ) -> Result<Extent, Error> {
        let goal = self.goal(number, state, logical);
        let (physical, count) = self.allocate(writer, goal, count, funds)?;
        let run = Extent {
            logical,
            count,
            physical,
            is_unwritten,
        };
        if state.map().nodes == MapNodes::Indirect {
            self.set_pointers(writer, state, &run, funds)?;
        }
        state.map_mut().insert(run);
        self.add_blocks(state, i64::from(count));
        Ok(run)
    }

    fn set_pointers(
        &self,
        writer: &mut Writer,
        state: &mut NodeState,
        run: &Extent,
        funds: Funds,
    ) -> Result<(), Error> {
        let goal = run.physical + u64::from(run.count);
        let mut added = 0;
        for index in 0..run.count {
            let path = indirect::path(self.geometry.block_size, run.logical + index);
            let path = path.ok_or(Error::FileTooLarge)?;
            indirect::set(
                &self.blocks,
                &mut state.inode,
                &path,
                run.physical + u64::from(index),
                || {
                    added += 1;
                    Ok(self.allocate(writer, goal, 1, funds)?.0)
                },
            )?;
        }
        self.add_blocks(state, added);
        Ok(())
    }

    pub(crate) fn allocate(
        &self,
        writer: &mut Writer,
        goal: u64,
        count: u32,
        funds: Funds,
    ) -> Result<(u64, u32), Error> {
        let mut space = self.lock_space();
        writer.allocate_blocks(
            &self.geometry,
            &self.blocks,
            &mut space,
            (goal, count, funds),
        )
    }

    pub(crate) fn free(&self, writer: &mut Writer, first: u64, count: u64) -> Result<(), Error> {
        let mut space = self.lock_space();
        writer.free_blocks(&self.geometry, &self.blocks, &mut space, (first, count))
    }

    /// Returns where a block should lie: behind the one before it, or else near the inode.
    fn goal(&self, number: InodeNumber, state: &NodeState, logical: u32) -> u64 {
        match state.map().before(logical) {
            Some(run) => run.physical + u64::from(logical - run.logical),
            None => {
                let group = (number.0 - 1) / self.geometry.superblock.inodes_per_group;
                self.geometry.group_start(group)
            }
        }
    }

    /// Counts blocks that were allocated for an inode, or freed.
    pub(crate) fn add_blocks(&self, state: &mut NodeState, blocks: i64) {
        let unit = match state.inode.flags.contains(InodeFlags::HUGE_FILE) {
            true => 1,
            false => self.geometry.sectors_per_block() as i64,
        };
        state.inode.blocks = state.inode.blocks.saturating_add_signed(blocks * unit);
    }

    /// Takes or frees blocks for the tree of a map, until there are as many as it needs.
    pub(crate) fn fit_map(
        &self,
        writer: &mut Writer,
        number: InodeNumber,
        state: &mut NodeState,
        funds: Funds,
    ) -> Result<(), Error> {
        if !state.map().is_changed || state.map().nodes == MapNodes::Indirect {
            return Ok(());
        }
        let needed = super::extents::nodes_needed(&self.geometry, state.map());
        let goal = self.goal(number, state, u32::MAX);
        loop {
            let MapNodes::Extents(nodes) = &mut state.map_mut().nodes else {
                return Ok(());
            };
            if nodes.len() < needed {
                let (block, _) = self.allocate(writer, goal, 1, funds)?;
                self.blocks.put(
                    block,
                    crate::blocks::Seal::None,
                    vec![0; self.geometry.block_size],
                );
                nodes.push(block);
                self.add_blocks(state, 1);
            } else if nodes.len() > needed
                && let Some(block) = nodes.pop()
            {
                self.free(writer, block, 1)?;
                self.add_blocks(state, -1);
            } else {
                return Ok(());
            }
        }
    }

    /// Writes an inode, with its map, into its table's block.
    pub(crate) fn write_inode(
        &self,
        writer: &mut Writer,
        node: &Node,
        state: &mut NodeState,
    ) -> Result<(), Error> {
        if let NodeState {
            map: Some(map),
            inode,
            ..
        } = state
            && map.is_changed
        {
            super::extents::store(&self.geometry, &self.blocks, node.number, inode, map)?;
        }
        let features = writer.superblock.read_only_compatible();
        let is_large = state.inode.size >= LARGE_FILE_BYTES
            && state.inode.file_type() == Some(FileType::Regular);
        if is_large && !features.contains(ReadOnlyCompatible::LARGE_FILE) {
            writer.superblock.feature_ro_compat |= ReadOnlyCompatible::LARGE_FILE.bits();
            writer.is_changed = true;
        }
        let (block, at) = self.geometry.inode_place(&self.blocks, node.number)?;
        let size = usize::from(self.geometry.superblock.inode_size);
        self.blocks
            .change(block, crate::blocks::Seal::None, |bytes| {
                state.inode.seal(
                    &self.geometry.superblock,
                    node.number,
                    &mut bytes[at..at + size],
                );
            })?;
        self.nodes.mark_written(node, state);
        Ok(())
    }
}

/// Returns the first block in memory, and how many follow one another from it on.
fn first_pages(state: &NodeState) -> Option<(u32, u32)> {
    let mut pages = state.pages.keys();
    let first = *pages.next()?;
    let count = 1
        + (1..BATCH_BLOCKS)
            .zip(pages)
            .take_while(|(index, logical)| **logical == first + index)
            .count();
    Some((first, count as u32))
}
