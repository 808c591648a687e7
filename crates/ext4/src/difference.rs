//! What differs between a file system and the one that it began as, without reading either whole.
//!
//! Whoever has the device knows which of its blocks were written. Those that hold inodes give the inodes that were touched; the others need not
//! be read: whatever changes names or content sets the time of change of a directory or a file. Names that came and went lie
//! in directories that changed. A file that changed under names that did not is looked for in the directory in which it was made,
//! which its inode tells ([`Inode::version`]), and only if it has names elsewhere too, in all directories, until all of its names are found.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use crate::device::{Device, DeviceError};
use crate::file_system::FileSystem;
use crate::layout::{FileType, Inode, InodeNumber};
use crate::{Error, Place};

/// Tells which parts of a range of the device's bytes may have been written since.
pub type WrittenIn<'a> = dyn FnMut(Range<u64>) -> Result<Vec<Range<u64>>, DeviceError> + 'a;

/// Where a file system may differ from its base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What is new, or changed as its time of change says.
    pub inodes: HashSet<InodeNumber>,
    /// The directories that have a name of one of them, or had, and those that lead there.
    pub directories: HashSet<InodeNumber>,
}

impl<D: Device> FileSystem<D> {
    /// Finds out where this file system may differ from `base`, as which it began: outside of the result it does not. What others change
    /// meanwhile may be in it or not.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it cannot have begun as `base`; what the devices say, and those of broken images.
    pub fn difference<B: Device>(
        &self,
        base: &FileSystem<B>,
        written: &mut WrittenIn<'_>,
    ) -> Result<Difference, Error> {
        let (own, other) = (&self.geometry, &base.geometry);
        let is_alike = own.block_size == other.block_size
            && own.superblock.inode_size == other.superblock.inode_size
            && own.superblock.inodes_per_group == other.superblock.inodes_per_group
            && own.superblock.inodes_count == other.superblock.inodes_count;
        if !is_alike {
            return Err(Error::InvalidArgument);
        }
        let mut search = Search {
            upper: self,
            base,
            found: Difference::default(),
            unnamed: HashMap::new(),
            looked_into: HashSet::new(),
        };
        for number in self.touched(written)? {
            search.compare(number)?;
        }
        search.look_where_they_were_made()?;
        search.look_everywhere()?;
        search.lead_there()
    }

    /// Returns the inodes that may have been written since, and those that lie beside them in a block.
    fn touched(&self, written: &mut WrittenIn<'_>) -> Result<BTreeSet<InodeNumber>, Error> {
        // Changes move from the inodes to the blocks to the device; in this order none is missed on its way.
        let changed = self.nodes.changed();
        let mut numbers: BTreeSet<_> = changed.iter().map(|node| node.number).collect();
        let in_memory = self.blocks.changed();
        let size = self.geometry.block_size as u64;
        for group in 0..self.geometry.superblock.groups_count() {
            let first = self.geometry.inode_table(&self.blocks, group)?;
            let blocks = first..first + self.geometry.table_blocks();
            for bytes in written(blocks.start * size..blocks.end * size)? {
                let part = bytes.start / size..bytes.end.div_ceil(size);
                for block in part.start.max(blocks.start)..part.end.min(blocks.end) {
                    numbers.extend(self.geometry.inodes_in(group, block - first));
                }
            }
            for block in in_memory.range(blocks) {
                numbers.extend(self.geometry.inodes_in(group, block - first));
            }
        }
        Ok(numbers)
    }

    /// Returns an inode that has a name; `None` of one that is not used.
    fn named_inode(&self, number: InodeNumber) -> Result<Option<Inode>, Error> {
        if let Some(node) = self.nodes.held(number) {
            let state = node.read();
            let has_name = !state.is_freed && state.inode.links_count > 0;
            return Ok(has_name.then(|| state.inode.clone()));
        }
        let (block, at) = self.geometry.inode_place(&self.blocks, number)?;
        let bytes = self.blocks.get(block, |_| Ok(()))?;
        let size = usize::from(self.geometry.superblock.inode_size);
        let parsed = Inode::parse(&bytes[at..at + size]);
        let parsed = parsed.map_err(Error::layout(Place::Inode(number)))?;
        match parsed.links_count {
            // One that was never used has no checksum either.
            0 => Ok(None),
            _ => self.read_inode(number).map(Some),
        }
    }

    /// Whether an inode is a directory that is there.
    fn is_directory(&self, number: InodeNumber) -> bool {
        let found = self.named_inode(number).ok().flatten();
        found.is_some_and(|inode| inode.file_type() == Some(FileType::Directory))
    }

    /// Whether an inode belongs to the file system itself, and has no name.
    fn is_own(&self, number: InodeNumber) -> bool {
        let superblock = &self.geometry.superblock;
        number.0 < superblock.first_inode && number != InodeNumber::ROOT
            || number.0 == superblock.orphan_file_inode
    }
}

/// A file of the base that changed.
struct Unnamed {
    /// Names of it in the base that were not found yet.
    names_left: u16,
    /// Where it was made, if its inode tells the truth.
    made_in: InodeNumber,
}

/// A search for what differs.
struct Search<'a, D, B> {
    upper: &'a FileSystem<D>,
    base: &'a FileSystem<B>,
    found: Difference,
    unnamed: HashMap<InodeNumber, Unnamed>,
    /// Directories of the base.
    looked_into: HashSet<InodeNumber>,
}

impl<D: Device, B: Device> Search<'_, D, B> {
    /// Notes an inode if it is not what it was.
    fn compare(&mut self, number: InodeNumber) -> Result<(), Error> {
        if self.upper.is_own(number) {
            return Ok(());
        }
        // The name of one that is gone was in a directory that has changed.
        let Some(now) = self.upper.named_inode(number)? else {
            return Ok(());
        };
        let before = self.base.named_inode(number)?;
        if before.as_ref().map(|inode| inode.changed) == Some(now.changed) {
            return Ok(());
        }
        self.found.inodes.insert(number);
        if now.file_type() == Some(FileType::Directory) {
            self.found.directories.insert(number);
            return Ok(());
        }
        // A generation is an inode's for life: another one is of another file, whose names are new.
        let same = before.filter(|before| {
            before.generation == now.generation && before.file_type() != Some(FileType::Directory)
        });
        if let Some(before) = same {
            let unnamed = Unnamed {
                names_left: before.links_count,
                made_in: InodeNumber(before.version as u32),
            };
            self.unnamed.insert(number, unnamed);
        }
        Ok(())
    }

    fn look_where_they_were_made(&mut self) -> Result<(), Error> {
        let made_in = self.unnamed.values().map(|unnamed| unnamed.made_in);
        let directories: BTreeSet<_> = made_in.collect();
        for directory in directories {
            let is_inode = directory.0 > 0 && directory.0 <= self.base.superblock().inodes_count;
            if is_inode && self.base.is_directory(directory) {
                self.look_into(directory, &mut Vec::new())?;
            }
        }
        Ok(())
    }

    fn look_everywhere(&mut self) -> Result<(), Error> {
        let mut pending = vec![InodeNumber::ROOT];
        let mut seen = HashSet::new();
        while !self.unnamed.is_empty() {
            let Some(directory) = pending.pop() else {
                // Names are fewer than the image counts.
                return Ok(());
            };
            if seen.insert(directory) {
                self.look_into(directory, &mut pending)?;
            }
        }
        Ok(())
    }

    /// Looks for the names of changed files in a directory of the base; adds the directories in it to `below`.
    fn look_into(
        &mut self,
        directory: InodeNumber,
        below: &mut Vec<InodeNumber>,
    ) -> Result<(), Error> {
        let is_first_look = self.looked_into.insert(directory);
        self.base.read_directory(directory, 0, &mut |entry| {
            if entry.file_type == FileType::Directory {
                below.push(entry.inode);
            } else if is_first_look && let Some(unnamed) = self.unnamed.get_mut(&entry.inode) {
                self.found.directories.insert(directory);
                unnamed.names_left = unnamed.names_left.saturating_sub(1);
                if unnamed.names_left == 0 {
                    self.unnamed.remove(&entry.inode);
                }
            }
            true
        })
    }

    /// Adds the directories through which the way leads to those that were found.
    fn lead_there(mut self) -> Result<Difference, Error> {
        let found = std::mem::take(&mut self.found.directories);
        for directory in found {
            // A name that was in one that is gone is gone too.
            let mut on_way = directory;
            while self.upper.is_directory(on_way) && self.found.directories.insert(on_way) {
                on_way = self.upper.parent(on_way)?;
            }
        }
        Ok(self.found)
    }
}
