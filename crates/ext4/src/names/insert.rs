//! Adding entries to directories and removing them, in rows of blocks and in hash trees.
//!
//! Every step leaves a directory that is whole: if space runs out in the middle, a tree has room that is not used, and no name is lost.

use super::directory::{Directory, FoundEntry};
use super::tree::TreePath;
use crate::allocator::{Funds, Writer};
use crate::blocks::Seal;
use crate::device::Device;
use crate::file_system::FileSystem;
use crate::layout::directory::{
    ENTRY_HEADER_BYTES, entries, entry_length, parse_entry, set_record_length, tail_at,
    write_entry, write_tail,
};
use crate::layout::fields::put;
use crate::layout::hash_tree::{
    HashTreeRoot, IndexEntry, NODE_ENTRIES_AT, ROOT_ENTRIES_AT, index_limit, write_index,
};
use crate::layout::{Compatible, FileType, Incompatible, InodeFlags, InodeNumber, NameHasher};
use crate::nodes::{Node, NodeState};
use crate::{Error, Place};

/// A row of entries of a block that is to be written anew.
type Row = Vec<(u32, InodeNumber, u8, Vec<u8>)>;

/// Times that a tree is changed for one name at most: once for each level and for the leaf, and again for the halves.
const SPLITS_MAX: usize = 16;
/// Largest number of blocks that an entry of an index can name.
const TREE_BLOCKS_MAX: u32 = 1 << 28;

impl<D: Device> FileSystem<D> {
    /// Adds an entry for a name that is not there.
    pub(crate) fn insert_entry(
        &self,
        writer: &mut Writer,
        node: &Node,
        state: &mut NodeState,
        (name, inode, kind): (&[u8], InodeNumber, FileType),
    ) -> Result<(), Error> {
        let view = Directory {
            system: self,
            number: node.number,
            state,
        };
        if view.has_tree() {
            return self.insert_into_tree(writer, node.number, state, (name, inode, kind));
        }
        for logical in 0..view.blocks_count() {
            let (block, _) = view.block(logical)?;
            let seal = Seal::Directory(view.seed());
            if self.try_insert(block, seal, (name, inode, kind))? {
                return Ok(());
            }
        }
        let is_indexed = self
            .geometry
            .superblock
            .compatible()
            .contains(Compatible::DIR_INDEX);
        if is_indexed && view.blocks_count() == 1 {
            self.plant_tree(writer, node.number, state)?;
            return self.insert_into_tree(writer, node.number, state, (name, inode, kind));
        }
        let mut bytes = self.empty_block();
        assert!(
            self.insert_into(&mut bytes, (name, inode, kind)),
            "an empty block holds any name"
        );
        let seal = Seal::Directory(view.seed());
        self.append_block(writer, node.number, state, seal, bytes)?;
        Ok(())
    }

    /// Returns the code of a kind for entries.
    pub(super) fn type_of(&self, kind: FileType) -> Option<FileType> {
        let features = self.geometry.superblock.incompatible();
        features.contains(Incompatible::FILETYPE).then_some(kind)
    }

    /// Returns a block of entries without any.
    pub(crate) fn empty_block(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.geometry.block_size];
        let mut length = bytes.len();
        if self.geometry.has_checksums {
            write_tail(&mut bytes);
            length = tail_at(&bytes).expect("it was just written");
        }
        write_entry(&mut bytes, 0, length, InodeNumber(0), None, b"");
        bytes
    }

    /// Adds an entry to a block that has room; returns whether it had.
    fn try_insert(
        &self,
        block: u64,
        seal: Seal,
        entry: (&[u8], InodeNumber, FileType),
    ) -> Result<bool, Error> {
        let bytes = self.blocks.get(block, |_| Ok(()))?;
        let Some(at) =
            find_room(&bytes, entry.0.len()).map_err(Error::layout(Place::Block(block)))?
        else {
            return Ok(false);
        };
        drop(bytes);
        self.blocks
            .change(block, seal, |bytes| self.insert_at(bytes, at, entry))?;
        Ok(true)
    }

    fn insert_into(&self, bytes: &mut [u8], entry: (&[u8], InodeNumber, FileType)) -> bool {
        let room = find_room(bytes, entry.0.len());
        let Ok(Some(at)) = room else {
            return false;
        };
        self.insert_at(bytes, at, entry);
        true
    }

    /// Adds an entry in the free part of the one at `at`, which has room.
    fn insert_at(
        &self,
        bytes: &mut [u8],
        at: usize,
        (name, inode, kind): (&[u8], InodeNumber, FileType),
    ) {
        let found = parse_entry(bytes, at).expect("it was parsed when the room was found");
        let (used, length) = (found.used_length(), found.record_length);
        if used > 0 {
            set_record_length(bytes, at, used);
        }
        write_entry(
            bytes,
            at + used,
            length - used,
            inode,
            self.type_of(kind),
            name,
        );
    }

    /// Adds a block to a directory, and returns its place in it.
    pub(crate) fn append_block(
        &self,
        writer: &mut Writer,
        number: InodeNumber,
        state: &mut NodeState,
        seal: Seal,
        bytes: Vec<u8>,
    ) -> Result<u32, Error> {
        let size = self.geometry.block_size as u64;
        let logical = u32::try_from(state.inode.size / size).map_err(|_| Error::NoSpace)?;
        if state.inode.size + size > self.size_max(state.inode.flags) || logical >= TREE_BLOCKS_MAX
        {
            return Err(Error::NoSpace);
        }
        let run = self.map_new_blocks(writer, number, state, (logical, 1, Funds::Free), false)?;
        if let Err(error) = self.fit_map(writer, number, state, Funds::Free) {
            self.unmap(writer, number, state, logical, 1)?;
            return Err(error);
        }
        self.blocks.put(run.physical, seal, bytes);
        state.inode.size += size;
        Ok(logical)
    }

    /// Makes a directory of one block the root of a hash tree over one block.
    fn plant_tree(
        &self,
        writer: &mut Writer,
        number: InodeNumber,
        state: &mut NodeState,
    ) -> Result<(), Error> {
        let superblock = &self.geometry.superblock;
        let version = superblock.default_hash_version;
        let view = Directory {
            system: self,
            number,
            state,
        };
        self.geometry
            .hasher(version)
            .ok_or(view.corrupt("an unknown hash of names"))?;
        let (root_block, bytes) = view.block(0)?;
        let seed = view.seed();
        let parent = view.find(b"..")?.ok_or(view.corrupt("no `..`"))?.inode;
        let mut row = Row::new();
        for entry in entries(&bytes) {
            let entry = entry.map_err(Error::layout(Place::Block(root_block)))?;
            if entry.is_used() && entry.name != b"." && entry.name != b".." {
                row.push((0, entry.inode, entry.file_type, entry.name.to_vec()));
            }
        }
        let leaf = self.append_block(
            writer,
            number,
            state,
            Seal::Directory(seed),
            self.block_of(&row),
        )?;
        let mut root = vec![0; self.geometry.block_size];
        let kind = self.type_of(FileType::Directory);
        let rest = root.len() - 12;
        write_entry(&mut root, 0, 12, number, kind, b".");
        write_entry(&mut root, 12, rest, parent, kind, b"..");
        HashTreeRoot {
            hash_version: version % 3,
            indirect_levels: 0,
        }
        .write(&mut root);
        let limit = index_limit(root.len(), ROOT_ENTRIES_AT, self.geometry.has_checksums);
        write_index(
            &mut root,
            ROOT_ENTRIES_AT,
            limit,
            &[IndexEntry {
                hash: 0,
                block: leaf,
            }],
        );
        self.blocks.put(root_block, Seal::Index(seed), root);
        state.inode.flags |= InodeFlags::INDEX;
        Ok(())
    }

    /// Returns a block with a row of entries, which fit.
    fn block_of(&self, row: &Row) -> Vec<u8> {
        let mut bytes = self.empty_block();
        let end = parse_entry(&bytes, 0)
            .expect("it was just made")
            .record_length;
        let mut at = 0;
        for (index, (_, inode, code, name)) in row.iter().enumerate() {
            let needed = entry_length(name.len());
            let length = if index + 1 == row.len() {
                end - at
            } else {
                needed
            };
            write_entry(
                &mut bytes,
                at,
                length,
                *inode,
                FileType::from_code(*code),
                name,
            );
            at += needed;
        }
        bytes
    }

    fn insert_into_tree(
        &self,
        writer: &mut Writer,
        number: InodeNumber,
        state: &mut NodeState,
        entry: (&[u8], InodeNumber, FileType),
    ) -> Result<(), Error> {
        for _ in 0..SPLITS_MAX {
            let view = Directory {
                system: self,
                number,
                state,
            };
            let (root, hasher) = view.tree_root()?;
            let hash = hasher.hash(entry.0).major;
            let path = TreePath::descend(&view, &root, hash)?;
            let (block, _) = view.block(path.leaf)?;
            let seal = Seal::Directory(view.seed());
            if self.try_insert(block, seal, entry)? {
                return Ok(());
            }
            let full = path
                .steps
                .iter()
                .rev()
                .take_while(|step| step.view().count() >= step.view().limit())
                .count();
            match full {
                0 => self.split_leaf(writer, number, state, &path, &hasher)?,
                _ if full < path.steps.len() => {
                    self.split_index(writer, number, state, &path, full)?;
                }
                _ if root.indirect_levels < view.levels_max() => {
                    self.grow_tree(writer, number, state, &path, root)?;
                }
                _ => return Err(Error::NoSpace),
            }
        }
        Err(Error::NoSpace)
    }

    /// Splits the block at the end of `path` in two by hash. The index block above has room.
    fn split_leaf(
        &self,
        writer: &mut Writer,
        number: InodeNumber,
        state: &mut NodeState,
        path: &TreePath,
        hasher: &NameHasher,
    ) -> Result<(), Error> {
        let view = Directory {
            system: self,
            number,
            state,
        };
        let (block, bytes) = view.block(path.leaf)?;
        let seal = Seal::Directory(view.seed());
        let mut row = Row::new();
        for entry in entries(&bytes) {
            let entry = entry.map_err(Error::layout(Place::Block(block)))?;
            if entry.is_used() {
                let hash = hasher.hash(entry.name).major;
                row.push((hash, entry.inode, entry.file_type, entry.name.to_vec()));
            }
        }
        drop(bytes);
        row.sort_by_key(|(hash, ..)| *hash);
        let middle = middle_of(&row).ok_or(view.corrupt("a full block of one name"))?;
        let upper = row.split_off(middle);
        // Names of one hash may have to be in both.
        let goes_on = u32::from(row[middle - 1].0 == upper[0].0);
        let entry_hash = upper[0].0 | goes_on;
        let new = self.append_block(writer, number, state, seal, self.block_of(&upper))?;
        self.blocks.put(block, seal, self.block_of(&row));
        let seed = Directory {
            system: self,
            number,
            state,
        }
        .seed();
        self.insert_index(
            path,
            path.steps.len() - 1,
            seed,
            IndexEntry {
                hash: entry_hash,
                block: new,
            },
        )
    }

    /// Adds an entry to the index block of `path` at `level`, behind the one that was taken.
    fn insert_index(
        &self,
        path: &TreePath,
        level: usize,
        seed: u32,
        new: IndexEntry,
    ) -> Result<(), Error> {
        let step = &path.steps[level];
        let view = step.view();
        let mut all: Vec<IndexEntry> = (0..view.count()).map(|index| view.entry(index)).collect();
        all.insert(step.index + 1, new);
        let limit = view.limit();
        self.blocks.change(step.block, Seal::Index(seed), |bytes| {
            write_index(bytes, step.entries_at, limit, &all);
        })
    }

    /// Splits the highest of the `full` full index blocks at the end of `path` in two. The one above it has room.
    fn split_index(
        &self,
        writer: &mut Writer,
        number: InodeNumber,
        state: &mut NodeState,
        path: &TreePath,
        full: usize,
    ) -> Result<(), Error> {
        let level = path.steps.len() - full;
        let step = &path.steps[level];
        let view = step.view();
        let all: Vec<IndexEntry> = (0..view.count()).map(|index| view.entry(index)).collect();
        if all.len() < 2 {
            return Err(Directory {
                system: self,
                number,
                state,
            }
            .corrupt("a full index of one entry"));
        }
        let (lower, upper) = all.split_at(all.len() / 2);
        let (new, seed) = self.append_index_block(writer, number, state, upper)?;
        let limit = view.limit();
        self.blocks.change(step.block, Seal::Index(seed), |bytes| {
            write_index(bytes, step.entries_at, limit, lower);
        })?;
        self.insert_index(
            path,
            level - 1,
            seed,
            IndexEntry {
                hash: upper[0].hash,
                block: new,
            },
        )
    }

    /// Moves the entries of the root into a block below it.
    fn grow_tree(
        &self,
        writer: &mut Writer,
        number: InodeNumber,
        state: &mut NodeState,
        path: &TreePath,
        root: HashTreeRoot,
    ) -> Result<(), Error> {
        let step = &path.steps[0];
        let view = step.view();
        let all: Vec<IndexEntry> = (0..view.count()).map(|index| view.entry(index)).collect();
        let (new, seed) = self.append_index_block(writer, number, state, &all)?;
        let limit = view.limit();
        self.blocks.change(step.block, Seal::Index(seed), |bytes| {
            HashTreeRoot {
                indirect_levels: root.indirect_levels + 1,
                ..root
            }
            .write(bytes);
            write_index(
                bytes,
                step.entries_at,
                limit,
                &[IndexEntry {
                    hash: 0,
                    block: new,
                }],
            );
        })
    }

    /// Adds an index block with some entries to a directory; returns its place in it, and where sums of the directory's blocks begin.
    fn append_index_block(
        &self,
        writer: &mut Writer,
        number: InodeNumber,
        state: &mut NodeState,
        entries: &[IndexEntry],
    ) -> Result<(u32, u32), Error> {
        let seed = state.inode.seed(self.geometry.metadata_seed, number);
        let bytes = self.index_block(entries);
        let new = self.append_block(writer, number, state, Seal::Index(seed), bytes)?;
        Ok((new, seed))
    }

    /// Returns an index block below the root with some entries.
    fn index_block(&self, all: &[IndexEntry]) -> Vec<u8> {
        let mut bytes = vec![0; self.geometry.block_size];
        let length = bytes.len();
        write_entry(&mut bytes, 0, length, InodeNumber(0), None, b"");
        let limit = index_limit(length, NODE_ENTRIES_AT, self.geometry.has_checksums);
        write_index(&mut bytes, NODE_ENTRIES_AT, limit, all);
        bytes
    }

    /// Removes an entry: the one before it in its block takes its place.
    pub(crate) fn remove_entry(&self, seed: u32, found: &FoundEntry) -> Result<(), Error> {
        self.blocks
            .change(found.block, Seal::Directory(seed), |bytes| {
                let Ok(entry) = parse_entry(bytes, found.at) else {
                    return;
                };
                let length = entry.record_length;
                match found.previous {
                    Some(previous) => {
                        set_record_length(bytes, previous, found.at + length - previous);
                    }
                    None => put(bytes, found.at, 0_u32),
                }
                let used = ENTRY_HEADER_BYTES.min(length);
                if found.previous.is_some() {
                    bytes[found.at..found.at + used].fill(0);
                }
            })
    }

    /// Lets an entry lead to another inode.
    pub(crate) fn replace_entry(
        &self,
        view: &Directory<'_, D>,
        found: &FoundEntry,
        inode: InodeNumber,
        kind: FileType,
    ) -> Result<(), Error> {
        let (first, _) = view.block(0)?;
        // `..` lies in the root of a tree.
        let seal = match view.has_tree() && found.block == first {
            true => Seal::Index(view.seed()),
            false => Seal::Directory(view.seed()),
        };
        let code = self.type_of(kind).map_or(0, FileType::code);
        self.blocks.change(found.block, seal, |bytes| {
            put(bytes, found.at, inode.0);
            bytes[found.at + 7] = code;
        })
    }
}

/// Finds an entry with so much free room behind it, or an empty one, that a name of `length` bytes fits.
fn find_room(bytes: &[u8], length: usize) -> Result<Option<usize>, crate::layout::LayoutError> {
    let needed = entry_length(length);
    let end = tail_at(bytes).unwrap_or(bytes.len());
    for entry in entries(&bytes[..bytes.len()]) {
        let entry = entry?;
        if entry.at >= end {
            break;
        }
        if entry.record_length - entry.used_length() >= needed {
            return Ok(Some(entry.at));
        }
    }
    Ok(None)
}

/// Returns the index at which a row has two halves of about the same size, if possible between different hashes.
fn middle_of(row: &Row) -> Option<usize> {
    let total: usize = row.iter().map(|(.., name)| entry_length(name.len())).sum();
    let mut size = 0;
    let half = row.iter().position(|(.., name)| {
        size += entry_length(name.len());
        size * 2 > total
    })?;
    let half = half.max(1);
    let is_border = |index: &usize| row[index - 1].0 != row[*index].0;
    let border = (half..row.len()).find(is_border);
    // Not so far away that a half would be empty again at once.
    let border = border.filter(|border| *border - half <= row.len() / 4);
    let border = border.or_else(|| {
        (1..half)
            .rev()
            .find(is_border)
            .filter(|border| half - *border <= row.len() / 4)
    });
    (row.len() > 1).then(|| border.unwrap_or(half))
}
