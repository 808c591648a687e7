//! Making changes durable, and inodes that lost their last name while they were open.
//!
//! Spec: ext4 disk layout, "Orphan file"; "Super Block", `s_last_orphan`.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::allocator::Writer;
use crate::blocks::Seal;
use crate::device::Device;
use crate::file_system::FileSystem;
use crate::layout::features::{Compatible, ReadOnlyCompatible};
use crate::layout::orphan::{
    is_orphan_block_intact, orphans_per_block, parse_orphans, write_orphans,
};
use crate::layout::superblock::SUPERBLOCK_OFFSET;
use crate::layout::{FileType, InodeNumber, Superblock, Timestamp};
use crate::nodes::Node;
use crate::{Error, Place};

/// Orphans that are looked for: bounds a list that goes round.
const ORPHANS_MAX: usize = 1 << 20;

/// What became of an inode that was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It has a name, or is open still.
    Kept,
    /// It had no name, and nobody had it open any more.
    Freed,
}

impl<D: Device> FileSystem<D> {
    /// Makes all that was changed durable at once. A read-only file system has nothing to do.
    ///
    /// # Errors
    /// What the device says, and those of broken images; what was not written stays changed, and nothing of it is durable.
    pub fn sync(&self, now: Timestamp) -> Result<(), Error> {
        if !self.is_writable() {
            return Ok(());
        }
        let mut writer = self.writer()?;
        for node in self.nodes.changed() {
            self.write_back_node(&mut writer, &node)?;
        }
        if writer.are_orphans_changed {
            self.write_orphans(&mut writer)?;
        }
        for node in self.nodes.changed() {
            let mut state = node.write();
            // Content that came meanwhile waits for the next time.
            if state.map.as_ref().is_some_and(|map| map.is_changed) {
                self.fit_map(
                    &mut writer,
                    node.number,
                    &mut state,
                    crate::allocator::Funds::Promised,
                )?;
            }
            let has_pages = !state.pages.is_empty();
            self.write_inode(&mut writer, &node, &mut state)?;
            if has_pages {
                self.nodes.mark_changed(&node, &mut state);
            }
        }
        if writer.is_changed {
            writer.write_groups(&self.geometry, &self.blocks)?;
            self.write_superblock(&mut writer, now)?;
            writer.is_changed = false;
        }
        self.blocks.write_back(self.geometry.has_checksums)?;
        Ok(self.blocks.device.commit()?)
    }

    fn write_superblock(&self, writer: &mut Writer, now: Timestamp) -> Result<(), Error> {
        let space = *self.lock_space();
        writer.superblock.free_blocks_count = space.blocks_free;
        writer.superblock.free_inodes_count = space.inodes_free;
        writer.superblock.write_time = now.seconds as u32;
        writer.superblock.write_time_high = (now.seconds >> 32) as u8;
        let mut bytes = [0; Superblock::SIZE_BYTES];
        let device = &self.blocks.device;
        device.read_at(SUPERBLOCK_OFFSET, &mut bytes)?;
        writer.superblock.write(&mut bytes);
        Ok(device.write_at(SUPERBLOCK_OFFSET, &bytes)?)
    }

    /// Says that an inode is in use: it is not freed when it loses its last name, before [`FileSystem::close_inode`] was called as often.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it was freed; those of broken images.
    pub fn open_inode(&self, number: InodeNumber) -> Result<(), Error> {
        let node = self.node(number)?;
        let state = node.read();
        // Without a name, only who has it open keeps it; it may be about to be freed.
        let is_kept = state.inode.links_count > 0 || node.opened.load(Ordering::Acquire) > 0;
        if state.is_freed || !is_kept {
            return Err(Error::NotFound);
        }
        node.opened.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Says that an inode that was opened is not in use any more, and frees it if it has no name. Returns whether it was freed.
    ///
    /// # Errors
    /// What goes wrong when it is freed.
    pub fn close_inode(&self, number: InodeNumber, now: Timestamp) -> Result<Closed, Error> {
        let node = self.node(number)?;
        let before = node.opened.fetch_sub(1, Ordering::AcqRel);
        assert!(before > 0, "an inode is closed as often as it was opened");
        let is_nameless = node.read().inode.links_count == 0;
        if before > 1 || !is_nameless || !self.is_writable() {
            return Ok(Closed::Kept);
        }
        let mut writer = self.writer()?;
        // It may have been opened again before the lock was taken, or freed by another.
        if node.opened.load(Ordering::Acquire) > 0 || node.read().is_freed {
            return Ok(Closed::Kept);
        }
        writer.orphans.retain(|orphan| *orphan != number);
        writer.are_orphans_changed = true;
        writer.is_changed = true;
        self.free_node(&mut writer, &node, now)?;
        Ok(Closed::Freed)
    }

    /// Frees an inode that has no name, or remembers to when it is closed.
    pub(crate) fn drop_inode(
        &self,
        writer: &mut Writer,
        node: &Arc<Node>,
        now: Timestamp,
    ) -> Result<(), Error> {
        if node.opened.load(Ordering::Acquire) == 0 {
            return self.free_node(writer, node, now);
        }
        writer.orphans.push(node.number);
        writer.are_orphans_changed = true;
        writer.is_changed = true;
        Ok(())
    }

    /// Writes the orphans where the next mount finds them.
    fn write_orphans(&self, writer: &mut Writer) -> Result<(), Error> {
        if writer
            .superblock
            .compatible()
            .contains(Compatible::ORPHAN_FILE)
        {
            self.write_orphan_file(writer)?;
        } else {
            let mut next = 0;
            for number in &writer.orphans {
                let node = self.node(*number)?;
                let mut state = node.write();
                state.inode.deletion_time = next;
                self.nodes.mark_changed(&node, &mut state);
                next = number.0;
            }
            writer.superblock.last_orphan = next;
        }
        writer.are_orphans_changed = false;
        Ok(())
    }

    fn write_orphan_file(&self, writer: &mut Writer) -> Result<(), Error> {
        let file = self.node(InodeNumber(writer.superblock.orphan_file_inode))?;
        let state = self.read_mapped_state(&file)?;
        let seal = Seal::Orphans(state.inode.seed(self.geometry.metadata_seed, file.number));
        let mut chunks = writer
            .orphans
            .chunks(orphans_per_block(self.geometry.block_size));
        for run in state.map().runs() {
            for index in 0..u64::from(run.count) {
                let mut bytes = vec![0; self.geometry.block_size];
                write_orphans(&mut bytes, chunks.next().unwrap_or_default());
                self.blocks.put(run.physical + index, seal, bytes);
            }
        }
        if chunks.next().is_some() {
            return Err(Error::Unsupported {
                features: "more orphans than the orphan file holds".to_string(),
            });
        }
        let flag = ReadOnlyCompatible::ORPHAN_PRESENT.bits();
        match writer.orphans.is_empty() {
            true => writer.superblock.feature_ro_compat &= !flag,
            false => writer.superblock.feature_ro_compat |= flag,
        }
        Ok(())
    }

    /// Frees what a crash left without a name, and ends truncations that it interrupted.
    pub(crate) fn recover_orphans(&self, now: Timestamp) -> Result<(), Error> {
        let superblock = &self.geometry.superblock;
        let has_file = superblock
            .read_only_compatible()
            .contains(ReadOnlyCompatible::ORPHAN_PRESENT);
        let orphans = self.find_orphans()?;
        if orphans.is_empty() && !has_file {
            return Ok(());
        }
        for number in orphans {
            let node = self.node(number)?;
            let (links, size, kind) = {
                let state = node.read();
                (
                    state.inode.links_count,
                    state.inode.size,
                    state.file_type(number)?,
                )
            };
            if links == 0 {
                let mut writer = self.writer()?;
                self.free_node(&mut writer, &node, now)?;
            } else {
                node.write().inode.deletion_time = 0;
                if kind == FileType::Regular {
                    // What lies behind the end goes.
                    let mut writer = self.writer()?;
                    let mut state = self.write_mapped_state(&node)?;
                    let first = size.div_ceil(self.geometry.block_size as u64) as u32;
                    self.unmap(&mut writer, number, &mut state, first, u32::MAX - first)?;
                }
                let mut state = node.write();
                self.nodes.mark_changed(&node, &mut state);
            }
        }
        let mut writer = self.writer()?;
        writer.superblock.last_orphan = 0;
        writer.are_orphans_changed = superblock.compatible().contains(Compatible::ORPHAN_FILE);
        writer.is_changed = true;
        drop(writer);
        self.sync(now)
    }

    /// Returns the inodes that a crash left without a name, or with a truncation that did not end; each once.
    pub(crate) fn find_orphans(&self) -> Result<Vec<InodeNumber>, Error> {
        let mut orphans = self.listed_orphans()?;
        let features = self.geometry.superblock.read_only_compatible();
        if features.contains(ReadOnlyCompatible::ORPHAN_PRESENT) {
            orphans.extend(self.filed_orphans()?);
        }
        let mut seen = HashSet::new();
        orphans.retain(|number| seen.insert(*number));
        Ok(orphans)
    }

    /// Follows the list from the superblock through the inodes.
    fn listed_orphans(&self) -> Result<Vec<InodeNumber>, Error> {
        let mut orphans = Vec::new();
        let mut next = self.geometry.superblock.last_orphan;
        while next != 0 {
            if orphans.len() >= ORPHANS_MAX
                || orphans.len() as u32 > self.geometry.superblock.inodes_count
            {
                return Err(Error::corrupt(
                    Place::Superblock,
                    "a list of orphans without an end",
                ));
            }
            let number = InodeNumber(next);
            if next < self.geometry.superblock.first_inode {
                return Err(Error::corrupt(
                    Place::Inode(number),
                    "a reserved inode is an orphan",
                ));
            }
            next = self.node(number)?.read().inode.deletion_time;
            orphans.push(number);
        }
        Ok(orphans)
    }

    fn filed_orphans(&self) -> Result<Vec<InodeNumber>, Error> {
        let file = self.node(InodeNumber(self.geometry.superblock.orphan_file_inode))?;
        let state = self.read_mapped_state(&file)?;
        let seed = state.inode.seed(self.geometry.metadata_seed, file.number);
        let mut orphans = Vec::new();
        for run in state.map().runs() {
            for block in run.physical..run.physical + u64::from(run.count) {
                let bytes = self.blocks.get(block, |bytes| {
                    match !self.geometry.has_checksums || is_orphan_block_intact(seed, block, bytes)
                    {
                        true => Ok(()),
                        false => Err(Error::corrupt(
                            Place::Block(block),
                            "wrong checksum of orphans",
                        )),
                    }
                })?;
                orphans.extend(parse_orphans(&bytes).map_err(Error::layout(Place::Block(block)))?);
            }
        }
        Ok(orphans)
    }
}
