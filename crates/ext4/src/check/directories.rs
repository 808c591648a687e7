//! Directories: each block, each entry, and what it leads to.

use std::collections::{BTreeMap, HashSet};

use super::fault::{FaultKind, FaultPlace};
use super::hash_tree::{IndexRole, LeafRange};
use super::{CheckError, Checker, FoundDirectory};
use crate::layout::directory::{
    DirectoryEntry, ENTRY_HEADER_BYTES, entries, is_directory_block_intact,
};
use crate::layout::hash_tree::{entries_at, is_index_block_intact};
use crate::layout::{FileType, Incompatible, InodeNumber, NameHasher};

/// How a directory's blocks hang together, and the names that were seen.
pub(super) struct Directory {
    pub(super) number: InodeNumber,
    pub(super) seed: u32,
    pub(super) hasher: Option<NameHasher>,
    /// What the tree says of each block; nothing for directories without one.
    pub(super) roles: BTreeMap<u32, IndexRole>,
    names: HashSet<Box<[u8]>>,
}

impl Checker<'_> {
    /// Checks all directories that were found.
    pub(super) fn check_directories(&mut self) -> Result<(), CheckError> {
        let directories = std::mem::take(&mut self.directories);
        for found in &directories {
            self.check_directory(found)?;
        }
        self.directories = directories;
        Ok(())
    }

    fn check_directory(&mut self, found: &FoundDirectory) -> Result<(), CheckError> {
        let mut directory = Directory {
            number: found.number,
            seed: found.seed,
            hasher: None,
            roles: BTreeMap::new(),
            names: HashSet::new(),
        };
        if found.has_index {
            self.read_hash_tree(found, &mut directory)?;
        }
        let has_begin = found.blocks.first().is_some_and(|run| run.logical == 0);
        if !has_begin {
            self.directory_fault(found.number, 0, "there is no first block");
        }
        for run in &found.blocks {
            for offset in 0..run.count {
                let logical = run.logical + offset;
                if logical >= found.blocks_count {
                    break;
                }
                let block = self.volume.block(run.physical + offset)?;
                // Directories have less than 2^32 blocks: their maps have no more places.
                self.check_directory_block(&mut directory, logical as u32, &block);
            }
        }
        Ok(())
    }

    pub(super) fn directory_fault(
        &mut self,
        directory: InodeNumber,
        logical: u32,
        reason: &'static str,
    ) {
        let place = FaultPlace::DirectoryBlock { directory, logical };
        self.fault(place, FaultKind::Directory { reason });
    }

    fn check_directory_block(&mut self, directory: &mut Directory, logical: u32, block: &[u8]) {
        let number = directory.number;
        let place = FaultPlace::DirectoryBlock {
            directory: number,
            logical,
        };
        let role = directory.roles.get(&logical).copied();
        let is_index = matches!(role, Some(IndexRole::Index));
        let is_intact = match is_index {
            true => is_index_block_intact(directory.seed, block, entries_at(block)),
            false => is_directory_block_intact(directory.seed, block),
        };
        if self.volume.has_checksums && !is_intact {
            let structure = "directory block";
            self.fault(place, FaultKind::Checksum { structure });
        }
        if is_index && logical > 0 {
            return;
        }
        let range = match role {
            Some(IndexRole::Leaf(range)) => Some(range),
            None if directory.hasher.is_some() => {
                let reason = "a block that it does not know";
                self.fault(place, FaultKind::HashTree { reason });
                None
            }
            _ => None,
        };
        self.check_entries(directory, logical, block, range);
    }

    fn check_entries(
        &mut self,
        directory: &mut Directory,
        logical: u32,
        block: &[u8],
        range: Option<LeafRange>,
    ) {
        for (index, entry) in entries(block).enumerate() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let place = FaultPlace::DirectoryBlock {
                        directory: directory.number,
                        logical,
                    };
                    self.fault(place, FaultKind::Layout(error));
                    return;
                }
            };
            let place = FaultPlace::DirectoryEntry {
                directory: directory.number,
                logical,
                offset: entry.at,
            };
            if logical == 0 && index < 2 {
                let is_ended =
                    block.get(entry.at + ENTRY_HEADER_BYTES + entry.name.len()) == Some(&0);
                self.check_dots(directory.number, index, &entry, is_ended, place);
            } else if entry.is_used() {
                self.check_entry(directory, &entry, range, place);
            }
        }
    }

    /// The first two entries are `.` and `..`.
    fn check_dots(
        &mut self,
        directory: InodeNumber,
        index: usize,
        entry: &DirectoryEntry<'_>,
        is_ended: bool,
        place: FaultPlace,
    ) {
        let expected: &[u8] = [b".".as_slice(), b".."][index];
        if entry.name != expected || !entry.is_used() {
            let reason = "the first entries are not `.` and `..`";
            self.fault(place, FaultKind::Directory { reason });
            return;
        }
        if !is_ended {
            let reason = "no zero behind `.` or `..`";
            self.fault(place, FaultKind::Directory { reason });
        }
        if index == 0 && entry.inode != directory {
            let reason = "`.` leads elsewhere";
            self.fault(place, FaultKind::Directory { reason });
            return;
        }
        if self.check_target(entry, place) {
            self.check_code(entry, place);
            if let Some(target) = self.inodes.get_mut(&entry.inode) {
                target.references += 1;
            }
            if index == 1 {
                self.report_parent(directory, entry.inode);
            }
        }
    }

    fn check_entry(
        &mut self,
        directory: &mut Directory,
        entry: &DirectoryEntry<'_>,
        range: Option<LeafRange>,
        place: FaultPlace,
    ) {
        let rules = [
            (entry.name.is_empty(), "an entry without a name"),
            (
                matches!(entry.name, b"." | b".."),
                "`.` or `..` in the midst",
            ),
            (
                entry.name.iter().any(|byte| matches!(byte, 0 | b'/')),
                "a name with a slash or a zero",
            ),
        ];
        for (_, reason) in rules.into_iter().filter(|(is_broken, _)| *is_broken) {
            self.fault(place, FaultKind::Directory { reason });
        }
        if !directory.names.insert(entry.name.into()) {
            let name = shown(entry.name);
            self.fault(place, FaultKind::DuplicateName { name });
        }
        if let (Some(hasher), Some(range)) = (&directory.hasher, range)
            && !range.contains(hasher.hash(entry.name).major)
        {
            let reason = "a name in a block of other hashes";
            self.fault(place, FaultKind::HashTree { reason });
        }
        if self.check_target(entry, place) {
            self.check_code(entry, place);
            self.add_reference(directory.number, entry, place);
        }
    }

    /// Returns whether an entry leads to an inode that is used.
    fn check_target(&mut self, entry: &DirectoryEntry<'_>, place: FaultPlace) -> bool {
        let state = if !self.volume.has_inode(entry.inode) {
            "not there"
        } else if self.volume.is_reserved(entry.inode) {
            "the file system's own"
        } else if self.is_beyond_table(entry.inode) {
            "in a part of the table that was never used"
        } else if !self.inodes.contains_key(&entry.inode) {
            "deleted"
        } else {
            return true;
        };
        let kind = FaultKind::BadTarget {
            name: shown(entry.name),
            inode: entry.inode,
            state,
        };
        self.fault(place, kind);
        false
    }

    fn check_code(&mut self, entry: &DirectoryEntry<'_>, place: FaultPlace) {
        let has_codes = self
            .volume
            .superblock
            .incompatible()
            .contains(Incompatible::FILETYPE);
        let file_type = self.inodes.get(&entry.inode).and_then(|it| it.file_type);
        let expected = match has_codes {
            true => file_type.map_or(0, FileType::code),
            false => 0,
        };
        if entry.file_type != expected {
            let reason = "an entry of another kind than its inode";
            self.fault(place, FaultKind::Directory { reason });
        }
    }

    fn add_reference(
        &mut self,
        directory: InodeNumber,
        entry: &DirectoryEntry<'_>,
        place: FaultPlace,
    ) {
        let Some(target) = self.inodes.get_mut(&entry.inode) else {
            return;
        };
        target.references = target.references.saturating_add(1);
        if target.file_type != Some(FileType::Directory) {
            return;
        }
        if target.parent.is_some() || entry.inode == InodeNumber::ROOT {
            let reason = "a directory that has a name already";
            self.fault(place, FaultKind::Directory { reason });
        } else {
            target.parent = Some(directory);
        }
    }
}

/// A name as messages show it.
fn shown(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}
