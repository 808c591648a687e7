//! What was written since the last commit, or is being committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Block;
use crate::layout::{BlockNumber, Slot};
use crate::map::{Map, Place};

/// Changes that no commit has published.
#[derive(Clone)]
pub(crate) struct Staged {
    /// In memory. They go before `places`.
    pub(crate) blocks: BTreeMap<u32, Arc<Block>>,
    /// Zeros, and blocks that were written to fresh slots to make room in memory.
    pub(crate) places: Map,
    /// Slots of `places` that were staged over; the log refers to them until the next checkpoint.
    pub(crate) superseded: Vec<Slot>,
    is_touched: bool,
}

/// Where a staged block is.
pub(crate) enum StagedBlock {
    InMemory(Arc<Block>),
    At(Place),
}

impl Staged {
    pub(crate) fn new(blocks_count: u64) -> Staged {
        Staged {
            blocks: BTreeMap::new(),
            places: Map::new(blocks_count),
            superseded: Vec::new(),
            is_touched: false,
        }
    }

    /// Returns whether nothing was staged.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_touched
    }

    pub(crate) fn put(&mut self, block: BlockNumber, content: Arc<Block>) {
        self.is_touched = true;
        self.blocks.insert(block.0, content);
    }

    pub(crate) fn put_zeros(&mut self, first: BlockNumber, count: u64) {
        self.is_touched = true;
        let end = u64::from(first.0) + count;
        while let Some((&block, _)) = self.blocks.range(first.0..).next()
            && u64::from(block) < end
        {
            self.blocks.remove(&block);
        }
        self.places.set_zeros(first, count, &mut self.superseded);
    }

    /// Notes that a block from memory is in a slot now.
    pub(crate) fn spilled(&mut self, block: BlockNumber, slot: Slot) {
        self.blocks.remove(&block.0);
        if let Place::Slot(old) = self.places.set(block, Place::Slot(slot)) {
            self.superseded.push(old);
        }
    }

    /// Lays what was staged later over this; the later one has nothing in slots.
    pub(crate) fn overlay(&mut self, later: &Staged) {
        later
            .places
            .for_each_run(|first, count, _| self.put_zeros(first, count));
        for (block, content) in &later.blocks {
            self.put(BlockNumber(*block), Arc::clone(content));
        }
    }

    /// Finds a block, and for how many blocks from there that goes on, `count_max` at most; [`Place::Below`] if it is not staged.
    pub(crate) fn find(&self, first: BlockNumber, count_max: u64) -> (StagedBlock, u64) {
        let until = match self.blocks.range(first.0..).next() {
            Some((block, content)) if *block == first.0 => {
                return (StagedBlock::InMemory(Arc::clone(content)), 1);
            }
            Some((block, _)) => u64::from(*block - first.0),
            None => count_max,
        };
        let (place, count) = self.places.run_at(first, count_max.min(until));
        (StagedBlock::At(place), count)
    }
}
