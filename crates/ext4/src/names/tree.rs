//! The way through a directory's hash tree to the block that has the names of a hash.
//!
//! Spec: ext4 disk layout, "Hash Tree Directories".

use std::sync::Arc;

use super::directory::Directory;
use crate::device::Device;
use crate::layout::hash_tree::{
    HashTreeRoot, IndexEntry, IndexView, NODE_ENTRIES_AT, ROOT_ENTRIES_AT,
};
use crate::{Error, Place};

/// An index block on the way, and which of its entries was taken.
pub(crate) struct Step {
    /// Block of the device.
    pub(crate) block: u64,
    bytes: Arc<[u8]>,
    /// Where its entries begin.
    pub(crate) entries_at: usize,
    pub(crate) index: usize,
}

impl Step {
    /// Reads the index block at `logical` and takes the entry for `hash`.
    fn take<D: Device>(
        directory: &Directory<'_, D>,
        logical: u32,
        entries_at: usize,
        hash: u32,
    ) -> Result<Step, Error> {
        let (block, bytes) = directory.block(logical)?;
        let view =
            IndexView::parse(&bytes, entries_at).map_err(Error::layout(Place::Block(block)))?;
        let index = view.search(hash);
        Ok(Step {
            block,
            bytes,
            entries_at,
            index,
        })
    }

    pub(crate) fn view(&self) -> IndexView<'_> {
        IndexView::parse(&self.bytes, self.entries_at).expect("it was parsed when it was read")
    }

    fn entry(&self) -> IndexEntry {
        self.view().entry(self.index)
    }
}

/// The index blocks from the root to the one above `leaf`.
pub(crate) struct TreePath {
    pub(crate) steps: Vec<Step>,
    /// Logical block with the names.
    pub(crate) leaf: u32,
}

impl TreePath {
    /// Goes to the block in which names with `hash` begin.
    pub(crate) fn descend<D: Device>(
        directory: &Directory<'_, D>,
        root: &HashTreeRoot,
        hash: u32,
    ) -> Result<TreePath, Error> {
        let mut steps = vec![Step::take(directory, 0, ROOT_ENTRIES_AT, hash)?];
        for _ in 0..root.indirect_levels {
            let logical = steps[steps.len() - 1].entry().block;
            steps.push(Step::take(directory, logical, NODE_ENTRIES_AT, hash)?);
        }
        let leaf = steps[steps.len() - 1].entry().block;
        Ok(TreePath { steps, leaf })
    }

    /// Returns the hash from which on the next block has names, if there is a next one. Its lowest bit says that names of the hash before it go on there.
    pub(crate) fn next_hash(&self) -> Option<u32> {
        let steps = self.steps.iter().rev();
        let mut next = steps.filter(|step| step.index + 1 < step.view().count());
        next.next()
            .map(|step| step.view().entry(step.index + 1).hash)
    }

    /// Goes to the next block; returns whether there is one.
    pub(crate) fn advance<D: Device>(
        &mut self,
        directory: &Directory<'_, D>,
    ) -> Result<bool, Error> {
        let mut level = self.steps.len();
        loop {
            if level == 0 {
                return Ok(false);
            }
            level -= 1;
            let step = &mut self.steps[level];
            if step.index + 1 < step.view().count() {
                step.index += 1;
                break;
            }
        }
        for below in level + 1..self.steps.len() {
            let logical = self.steps[below - 1].entry().block;
            self.steps[below] = Step::take(directory, logical, NODE_ENTRIES_AT, 0)?;
        }
        self.leaf = self.steps[self.steps.len() - 1].entry().block;
        Ok(true)
    }

    /// Goes to the next block if names of `hash` go on there.
    pub(crate) fn continue_with<D: Device>(
        &mut self,
        directory: &Directory<'_, D>,
        hash: u32,
    ) -> Result<bool, Error> {
        match self.next_hash() {
            Some(next) if next == hash | 1 => self.advance(directory),
            _ => Ok(false),
        }
    }
}
