//! The tree over a large directory's blocks: that each block has one place in it, and the order of hashes.

use super::directories::Directory;
use super::fault::{FaultKind, FaultPlace};
use super::{CheckError, Checker, FoundDirectory};
use crate::layout::hash_tree::{HashTreeRoot, IndexView, NODE_ENTRIES_AT, ROOT_ENTRIES_AT};
use crate::layout::superblock::SuperblockFlags;
use crate::layout::{Compatible, Incompatible, InodeNumber, LayoutError, NameHasher};

/// Levels below the root, without and with `large_dir`.
const LEVELS_MAX: u8 = 1;
const LEVELS_MAX_LARGE: u8 = 2;

/// What a block of a directory is in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IndexRole {
    Index,
    Leaf(LeafRange),
}

/// Hashes of the names that a block may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeafRange {
    first: u32,
    /// The last; with names of the hash with which the next block begins, if that says so.
    last: u32,
}

impl LeafRange {
    const ALL: LeafRange = LeafRange {
        first: 0,
        last: u32::MAX,
    };

    pub(super) fn contains(&self, hash: u32) -> bool {
        (self.first..=self.last).contains(&hash)
    }

    /// The part from `first` on up to where the next entry begins. The lowest bit of `next` is set if names of its hash are before it too.
    fn part(&self, first: u32, next: Option<u32>) -> LeafRange {
        let last = match next {
            Some(next) if next & 1 == 1 => next & !1,
            Some(next) => next.saturating_sub(1),
            None => self.last,
        };
        LeafRange {
            first: first.max(self.first),
            last: last.min(self.last),
        }
    }
}

impl Checker<'_> {
    /// Reads the tree of a directory: sets its hasher and what each block is.
    pub(super) fn read_hash_tree(
        &mut self,
        found: &FoundDirectory,
        directory: &mut Directory,
    ) -> Result<(), CheckError> {
        let superblock = &self.volume.superblock;
        let has_feature = superblock.compatible().contains(Compatible::DIR_INDEX);
        let Some(block) = self.tree_block(found, 0)?.filter(|_| has_feature) else {
            self.tree_fault(found.number, 0, "it has no root");
            return Ok(());
        };
        let root = match HashTreeRoot::parse(&block) {
            Ok(root) => root,
            Err(error) => {
                self.tree_layout_fault(found.number, 0, error);
                return Ok(());
            }
        };
        let is_unsigned = SuperblockFlags::from_bits_retain(superblock.flags)
            .contains(SuperblockFlags::UNSIGNED_HASH);
        let has_large = superblock.incompatible().contains(Incompatible::LARGE_DIR);
        let levels_max = if has_large {
            LEVELS_MAX_LARGE
        } else {
            LEVELS_MAX
        };
        directory.hasher = NameHasher::new(root.hash_version, is_unsigned, superblock.hash_seed);
        directory.roles.insert(0, IndexRole::Index);
        if directory.hasher.is_none() || root.indirect_levels > levels_max {
            self.tree_fault(found.number, 0, "unknown hash, or too many levels");
            return Ok(());
        }
        let level = Level {
            logical: 0,
            at: ROOT_ENTRIES_AT,
            below: root.indirect_levels,
            range: LeafRange::ALL,
        };
        self.read_index(found, directory, &block, level)
    }

    fn tree_fault(&mut self, directory: InodeNumber, logical: u32, reason: &'static str) {
        let place = FaultPlace::DirectoryBlock { directory, logical };
        self.fault(place, FaultKind::HashTree { reason });
    }

    fn tree_layout_fault(&mut self, directory: InodeNumber, logical: u32, error: LayoutError) {
        let place = FaultPlace::DirectoryBlock { directory, logical };
        self.fault(place, FaultKind::Layout(error));
    }

    /// Reads a block of a directory by its place in it.
    fn tree_block(
        &self,
        found: &FoundDirectory,
        logical: u32,
    ) -> Result<Option<Vec<u8>>, CheckError> {
        let logical = u64::from(logical);
        let index = found
            .blocks
            .partition_point(|run| run.logical + run.count <= logical);
        match found.blocks.get(index) {
            Some(run) if run.logical <= logical => {
                let block = run.physical + (logical - run.logical);
                Ok(Some(self.volume.block(block)?))
            }
            _ => Ok(None),
        }
    }

    /// Reads an index block and what is below it. A block is entered once, so hostile trees end.
    fn read_index(
        &mut self,
        found: &FoundDirectory,
        directory: &mut Directory,
        block: &[u8],
        level: Level,
    ) -> Result<(), CheckError> {
        let view = match IndexView::parse(block, level.at) {
            Ok(view) => view,
            Err(error) => {
                self.tree_layout_fault(found.number, level.logical, error);
                return Ok(());
            }
        };
        let hash = |index: usize| match index {
            0 => level.range.first,
            _ => view.entry(index).hash,
        };
        for index in 0..view.count() {
            let logical = view.entry(index).block;
            let next = (index + 1 < view.count()).then(|| hash(index + 1));
            if next.is_some_and(|next| next < hash(index)) {
                self.tree_fault(found.number, level.logical, "hashes are not in order");
            }
            let range = level.range.part(hash(index) & !1, next);
            let role = match level.below {
                0 => IndexRole::Leaf(range),
                _ => IndexRole::Index,
            };
            if directory.roles.contains_key(&logical) {
                self.tree_fault(found.number, level.logical, "a block is there twice");
                continue;
            }
            let Some(node) = self.tree_block(found, logical)? else {
                self.tree_fault(found.number, level.logical, "it leads to no block");
                continue;
            };
            directory.roles.insert(logical, role);
            if level.below > 0 {
                let below = Level {
                    logical,
                    at: NODE_ENTRIES_AT,
                    below: level.below - 1,
                    range,
                };
                self.read_index(found, directory, &node, below)?;
            }
        }
        Ok(())
    }
}

/// An index block's place in the tree.
#[derive(Clone, Copy)]
struct Level {
    logical: u32,
    /// Where its entries begin.
    at: usize,
    /// Levels of index blocks below.
    below: u8,
    range: LeafRange,
}
