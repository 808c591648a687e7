//! Doing again what fast commits tell: inodes, then ranges of blocks, then names, commit by commit.
//!
//! All is done in memory, over what the log says, and then written together with it. Linux gives blocks that were freed to nobody before the
//! next whole transaction; so all blocks that any of the commits gives away are taken before directories grow, and what was freed is freed at the end. Inodes that
//! lost their last name become orphans, which are freed as others are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, MutexGuard};

use super::overlay::Overlay;
use crate::allocator::Writer;
use crate::device::Device;
use crate::file_system::{FileSystem, is_fast_symlink};
use crate::files::extents::empty_root;
use crate::files::map::{FileMap, Nodes};
use crate::layout::extent::Extent;
use crate::layout::fast_commit::FastRecord;
use crate::layout::superblock::INODE_SIZE_OLD;
use crate::layout::{FileType, Inode, InodeFlags, InodeNumber, Timestamp};
use crate::nodes::{Node, NodeState};
use crate::{Error, Place};

/// Links of a directory that has too many to be counted. Linux: `EXT4_LINK_MAX`.
const DIRECTORY_LINKS_MAX: u64 = 65_000;

/// Returns the blocks that differ from the device's when fast commits were done after the log's `blocks`.
pub(super) fn replay<D: Device>(
    device: &D,
    block_size: usize,
    blocks: HashMap<u64, Box<[u8]>>,
    commits: &[Vec<FastRecord>],
    now: Timestamp,
) -> Result<HashMap<u64, Box<[u8]>>, Error> {
    let overlay = Overlay::new(device, block_size, blocks);
    let system = FileSystem::open_with_orphans(overlay)?;
    let mut replay = Replay {
        writer: system.writer()?,
        system: &system,
        now,
        claimed: Vec::new(),
        freed: Vec::new(),
        touched: BTreeSet::new(),
        links: BTreeMap::new(),
    };
    replay.claim_blocks(commits)?;
    for commit in commits {
        replay.apply(commit)?;
    }
    replay.settle_links()?;
    replay.settle_blocks()?;
    replay.settle_orphans()?;
    drop(replay);
    system.sync(now)?;
    Ok(system.into_device().into_blocks())
}

struct Replay<'a, D> {
    system: &'a FileSystem<D>,
    writer: MutexGuard<'a, Writer>,
    now: Timestamp,
    /// Runs of blocks that were free and are given to files.
    claimed: Vec<(u64, u64)>,
    /// Runs of blocks that were taken from files.
    freed: Vec<(u64, u64)>,
    /// Inodes whose map or names may have changed.
    touched: BTreeSet<InodeNumber>,
    /// Names that directories have more or fewer than they had.
    links: BTreeMap<InodeNumber, i64>,
}

impl<'a, D: Device> Replay<'a, D> {
    /// Takes all blocks that are given to files.
    fn claim_blocks(&mut self, commits: &[Vec<FastRecord>]) -> Result<(), Error> {
        let mut runs = Vec::new();
        for record in commits.iter().flatten() {
            if let FastRecord::AddRange { inode, extent } = record {
                self.check_extent(*inode, extent)?;
                runs.push((extent.physical, u64::from(extent.count)));
            }
        }
        let mut space = self.system.lock_space();
        for run in joined(runs) {
            let (geometry, blocks) = (&self.system.geometry, &self.system.blocks);
            let claimed = self
                .writer
                .claim_blocks(geometry, blocks, &mut space, run)?;
            self.claimed.extend(claimed);
        }
        Ok(())
    }

    fn check_extent(&self, inode: InodeNumber, extent: &Extent) -> Result<(), Error> {
        let last = extent
            .physical
            .checked_add(u64::from(extent.count).saturating_sub(1));
        let geometry = &self.system.geometry;
        let is_sound = extent.count > 0
            && extent.logical.checked_add(extent.count).is_some()
            && geometry.is_block(extent.physical)
            && last.is_some_and(|last| geometry.is_block(last));
        match is_sound {
            true => Ok(()),
            false => Err(Error::corrupt(
                Place::Inode(inode),
                "the journal has an impossible extent",
            )),
        }
    }

    fn apply(&mut self, commit: &[FastRecord]) -> Result<(), Error> {
        // Of several records of an inode the last counts: all are from when the commit was written.
        let mut inodes = BTreeMap::new();
        for record in commit {
            if let FastRecord::Inode { number, bytes } = record {
                let inode = Inode::parse(bytes).map_err(Error::layout(Place::Inode(*number)))?;
                inodes.insert(*number, inode);
            }
        }
        for (number, inode) in &inodes {
            self.prepare_inode(*number, inode)?;
        }
        for record in commit {
            match record {
                FastRecord::AddRange { inode, extent } => self.add_range(*inode, extent)?,
                FastRecord::DeleteRange {
                    inode,
                    logical,
                    count,
                } => self.delete_range(*inode, *logical, *count)?,
                _ => {}
            }
        }
        for record in commit {
            match record {
                FastRecord::AddName {
                    directory,
                    inode,
                    name,
                } => self.add_name(*directory, *inode, name)?,
                FastRecord::RemoveName {
                    directory,
                    inode,
                    name,
                } => self.remove_name(*directory, *inode, name)?,
                _ => {}
            }
        }
        for (number, inode) in &inodes {
            self.set_fields(*number, inode)?;
        }
        Ok(())
    }

    /// Returns an inode if it is in use: records of one that was removed later in the same commit say nothing.
    fn used(&mut self, number: InodeNumber) -> Result<Option<Arc<Node>>, Error> {
        let geometry = &self.system.geometry;
        geometry.place_in_table(number)?;
        match self
            .writer
            .is_inode_used(geometry, &self.system.blocks, number)?
        {
            true => Ok(Some(self.system.node(number)?)),
            false => Ok(None),
        }
    }

    /// Makes an inode that is not there yet, instead of another of its number if there is one.
    fn prepare_inode(&mut self, number: InodeNumber, inode: &Inode) -> Result<(), Error> {
        let corrupt = |reason| Error::corrupt(Place::Inode(number), reason);
        if number != InodeNumber::ROOT && number.0 < self.system.geometry.superblock.first_inode {
            return Err(corrupt("the journal changes a reserved inode"));
        }
        let kind = inode
            .file_type()
            .ok_or(corrupt("a mode of no known kind"))?;
        if let Some(node) = self.used(number)? {
            let found = node.read().inode.clone();
            if found.generation == inode.generation && found.file_type() == Some(kind) {
                return match found
                    .flags
                    .symmetric_difference(inode.flags)
                    .contains(InodeFlags::EXTENTS)
                    || found.attributes_block != inode.attributes_block
                    || found.extra_size != inode.extra_size
                {
                    true => Err(corrupt("the journal changes the form of an inode")),
                    false => Ok(()),
                };
            }
            self.free_replaced(&node)?;
        }
        self.make_inode(number, kind, inode)
    }

    /// Frees an inode whose number was given to another.
    fn free_replaced(&mut self, node: &Arc<Node>) -> Result<(), Error> {
        if node.number == InodeNumber::ROOT {
            return Err(Error::corrupt(
                Place::Inode(node.number),
                "the journal replaces the top directory",
            ));
        }
        if self.is_mapped(&node.read().inode) {
            let mut state = self.system.write_mapped_state(node)?;
            self.cut(&mut state, 0, u32::MAX);
        }
        self.writer.orphans.retain(|orphan| *orphan != node.number);
        self.writer.are_orphans_changed = true;
        self.links.remove(&node.number);
        self.system.free_node(&mut self.writer, node, self.now)
    }

    fn is_mapped(&self, inode: &Inode) -> bool {
        match inode.file_type() {
            Some(FileType::Regular | FileType::Directory) => true,
            Some(FileType::Symlink) => !is_fast_symlink(inode, &self.system.geometry),
            _ => false,
        }
    }

    fn make_inode(
        &mut self,
        number: InodeNumber,
        kind: FileType,
        inode: &Inode,
    ) -> Result<(), Error> {
        let system = self.system;
        let (geometry, blocks) = (&system.geometry, &system.blocks);
        let room = geometry.superblock.inode_size - INODE_SIZE_OLD;
        let unusable = InodeFlags::ENCRYPT
            | InodeFlags::INLINE_DATA
            | InodeFlags::CASEFOLD
            | InodeFlags::EA_INODE;
        let is_mapped = self.is_mapped(inode);
        let needs_extents = is_mapped && !inode.flags.contains(InodeFlags::EXTENTS);
        if inode.flags.intersects(unusable)
            || needs_extents
            || inode.attributes_block != 0
            || inode.extra_size > room
        {
            return Err(Error::Unsupported {
                features: "inodes of this form in fast commits".to_string(),
            });
        }
        {
            let mut space = system.lock_space();
            let what = (number, kind == FileType::Directory);
            self.writer
                .claim_inode(geometry, blocks, &mut space, what)?;
        }
        let mut made = Inode::empty(geometry.superblock.inode_size, inode.extra_size);
        made.mode = inode.mode;
        made.generation = inode.generation;
        made.flags = inode.flags - InodeFlags::INDEX;
        made.map = inode.map;
        if is_mapped {
            empty_root(&mut made.map);
        }
        let node = Arc::new(Node::new(number, made));
        system.nodes.insert(&node);
        let mut state = node.write();
        if is_mapped {
            state.map = Some(FileMap::new(Vec::new(), Nodes::Extents(Vec::new())));
        }
        system.nodes.mark_changed(&node, &mut state);
        self.touched.insert(number);
        Ok(())
    }

    /// Takes over what a record says of an inode, but for where its content lies.
    fn set_fields(&mut self, number: InodeNumber, inode: &Inode) -> Result<(), Error> {
        let Some(node) = self.used(number)? else {
            return Ok(());
        };
        let mut state = node.write();
        let is_directory = state.inode.file_type() == Some(FileType::Directory);
        let before = state.inode.clone();
        let is_mapped = self.is_mapped(&before);
        let kept = InodeFlags::HUGE_FILE | InodeFlags::INDEX;
        state.inode = Inode {
            flags: (inode.flags - kept) | (before.flags & kept),
            blocks: before.blocks,
            deletion_time: before.deletion_time,
            attributes_block: before.attributes_block,
            tail: before.tail,
            map: if is_mapped { before.map } else { inode.map },
            ..inode.clone()
        };
        if is_directory {
            // Its blocks and its directories are counted here.
            state.inode.size = before.size;
            state.inode.links_count = before.links_count;
        }
        self.touched.insert(number);
        self.system.nodes.mark_changed(&node, &mut state);
        Ok(())
    }

    /// Unmaps blocks of a file.
    fn cut(&mut self, state: &mut NodeState, logical: u32, count: u32) {
        for run in state.map_mut().remove(logical, count) {
            self.system.add_blocks(state, -i64::from(run.count));
            self.freed.push((run.physical, u64::from(run.count)));
        }
    }

    /// Returns a file whose map is to be changed.
    fn mapped(&mut self, number: InodeNumber) -> Result<Option<Arc<Node>>, Error> {
        let Some(node) = self.used(number)? else {
            return Ok(None);
        };
        let (kind, flags) = {
            let state = node.read();
            (state.inode.file_type(), state.inode.flags)
        };
        if !flags.contains(InodeFlags::EXTENTS) {
            return Err(Error::Unsupported {
                features: "files without extents in fast commits".to_string(),
            });
        }
        // The blocks of directories are written by whole transactions; here they are made anew.
        let is_file = matches!(kind, Some(FileType::Regular | FileType::Symlink));
        self.touched.insert(number);
        Ok(is_file.then_some(node))
    }

    fn delete_range(&mut self, number: InodeNumber, logical: u32, count: u32) -> Result<(), Error> {
        let Some(node) = self.mapped(number)? else {
            return Ok(());
        };
        let mut state = self.system.write_mapped_state(&node)?;
        self.cut(&mut state, logical, count);
        self.system.nodes.mark_changed(&node, &mut state);
        Ok(())
    }

    fn add_range(&mut self, number: InodeNumber, extent: &Extent) -> Result<(), Error> {
        let Some(node) = self.mapped(number)? else {
            return Ok(());
        };
        let mut state = self.system.write_mapped_state(&node)?;
        // What lies there already may be given again, as written.
        self.cut(&mut state, extent.logical, extent.count);
        state.map_mut().insert(*extent);
        self.system.add_blocks(&mut state, i64::from(extent.count));
        self.system.nodes.mark_changed(&node, &mut state);
        Ok(())
    }

    /// Returns a directory that is there.
    fn directory(&mut self, number: InodeNumber) -> Result<Option<Arc<Node>>, Error> {
        let node = self.used(number)?;
        let node = node.filter(|node| node.read().inode.file_type() == Some(FileType::Directory));
        if node.is_some() {
            self.touched.insert(number);
        }
        Ok(node)
    }

    fn add_name(
        &mut self,
        directory: InodeNumber,
        inode: InodeNumber,
        name: &[u8],
    ) -> Result<(), Error> {
        let (Some(parent), Some(node)) = (self.directory(directory)?, self.used(inode)?) else {
            return Ok(());
        };
        let kind = node.read().file_type(inode)?;
        if kind == FileType::Directory {
            self.fill_directory(&node, directory)?;
        }
        match self.system.named(&parent, name)? {
            Some(found) if found == inode => return Ok(()),
            Some(found) => self.remove_name(directory, found, name)?,
            None => {}
        }
        let entry = (name, inode, kind);
        self.system
            .add_name(&mut self.writer, &parent, entry, self.now)?;
        self.count_link(&node, 1);
        Ok(())
    }

    /// Lets a directory begin with what all begin with, if it has no content yet; else tells it its parent.
    fn fill_directory(&mut self, node: &Arc<Node>, parent: InodeNumber) -> Result<(), Error> {
        let mut state = self.system.write_mapped_state(node)?;
        if state.map().end() > 0 {
            drop(state);
            return self.system.set_parent(node, parent);
        }
        let number = node.number;
        self.system
            .fill_directory(&mut self.writer, number, &mut state, parent)?;
        self.touched.insert(number);
        self.system.nodes.mark_changed(node, &mut state);
        Ok(())
    }

    fn remove_name(
        &mut self,
        directory: InodeNumber,
        inode: InodeNumber,
        name: &[u8],
    ) -> Result<(), Error> {
        let Some(parent) = self.directory(directory)? else {
            return Ok(());
        };
        if self
            .system
            .remove_name_of(&parent, (name, inode), self.now)?
            && let Some(node) = self.used(inode)?
        {
            self.count_link(&node, -1);
        }
        Ok(())
    }

    /// Counts a name more or less; a record of the inode in the same commit says how many there are.
    fn count_link(&mut self, node: &Arc<Node>, change: i16) {
        self.touched.insert(node.number);
        let mut state = node.write();
        if state.inode.file_type() == Some(FileType::Directory) {
            *self.links.entry(node.number).or_default() += i64::from(change);
        } else {
            state.inode.links_count = state.inode.links_count.saturating_add_signed(change);
        }
        self.system.nodes.mark_changed(node, &mut state);
    }

    /// Counts the links of directories, which their names and the directories in them are.
    fn settle_links(&mut self) -> Result<(), Error> {
        for number in self.touched.clone() {
            let Some(node) = self.directory(number)? else {
                continue;
            };
            let before = node.read().inode.links_count;
            let names = i64::from(before > 0) + self.links.get(&number).copied().unwrap_or(0);
            let links = match names > 0 {
                true => self.system.directories_in(number)?.saturating_add(2),
                false => 0,
            };
            let mut state = node.write();
            let is_uncounted = links > DIRECTORY_LINKS_MAX || before == 1 && links > 0;
            state.inode.links_count = if is_uncounted { 1 } else { links as u16 };
            self.system.nodes.mark_changed(&node, &mut state);
        }
        Ok(())
    }

    /// Frees blocks that were taken from files or claimed for them, and are no file's after all.
    fn settle_blocks(&mut self) -> Result<(), Error> {
        let mut mapped = Vec::new();
        for number in self.touched.clone() {
            let Some(node) = self.used(number)? else {
                continue;
            };
            if !self.is_mapped(&node.read().inode) {
                continue;
            }
            let state = self.system.read_mapped_state(&node)?;
            let runs = state.map().runs().iter();
            mapped.extend(runs.map(|run| (run.physical, u64::from(run.count))));
        }
        let loose = [
            std::mem::take(&mut self.claimed),
            std::mem::take(&mut self.freed),
        ]
        .concat();
        for (first, count) in without(joined(loose), &joined(mapped)) {
            self.system.free(&mut self.writer, first, count)?;
        }
        Ok(())
    }

    /// Remembers inodes without a name as those that a crash left.
    fn settle_orphans(&mut self) -> Result<(), Error> {
        for number in std::mem::take(&mut self.touched) {
            let Some(node) = self.used(number)? else {
                continue;
            };
            let is_nameless = node.read().inode.links_count == 0;
            if is_nameless && !self.writer.orphans.contains(&number) {
                self.writer.orphans.push(number);
                self.writer.are_orphans_changed = true;
                self.writer.is_changed = true;
            }
        }
        Ok(())
    }
}

/// Returns runs in order, those that touch as one.
fn joined(mut runs: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    runs.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (first, count) in runs {
        match joined.last_mut() {
            Some((start, length)) if first <= *start + *length => {
                *length = (*length).max(first + count - *start);
            }
            _ => joined.push((first, count)),
        }
    }
    joined
}

/// Returns what is in `runs` and not in `others`; both are [`joined`].
fn without(runs: Vec<(u64, u64)>, others: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut left = Vec::new();
    for (first, count) in runs {
        let (mut at, end) = (first, first + count);
        let from = others.partition_point(|(start, length)| start + length <= first);
        for (start, length) in others[from..].iter().take_while(|(start, _)| *start < end) {
            if at < *start {
                left.push((at, start - at));
            }
            at = start + length;
        }
        if at < end {
            left.push((at, end - at));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_joined_and_taken_from_each_other() {
        let runs = joined(vec![(10, 5), (0, 3), (15, 5), (12, 2), (30, 10)]);
        assert_eq!(runs, [(0, 3), (10, 10), (30, 10)]);
        assert_eq!(
            without(runs, &[(2, 9), (13, 1), (35, 5)]),
            [(0, 2), (11, 2), (14, 6), (30, 5)]
        );
    }
}
