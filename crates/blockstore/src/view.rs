//! The view: which block is where at this moment.

use std::sync::Arc;

use crate::layout::{BlockNumber, Slot};
use crate::map::{Map, Place};
use crate::staged::{Staged, StagedBlock};
use crate::{Block, Snapshot, Storage};

/// What readers look at, under a lock that is held for a look-up.
pub(crate) struct View {
    /// As of the last commit.
    pub(crate) map: Map,
    /// Since then.
    pub(crate) staged: Staged,
    /// What a commit is writing just now: after `map`, before `staged`.
    pub(crate) committing: Option<Arc<Staged>>,
    pub(crate) era: Arc<Era>,
}

/// The files that a look-up refers to, and a token of its time.
///
/// A reader holds it while it reads a slot. Slots that a checkpoint frees are given out again when nobody holds the eras up to then:
/// so no reader finds another block in its slot, and none holds a lock.
pub(crate) struct Era {
    pub(crate) top: Arc<dyn Storage>,
    pub(crate) below: Arc<Snapshot>,
}

/// Where the bytes of a block are.
pub(crate) enum Found {
    InMemory(Arc<Block>),
    Zeros,
    Slot(Slot),
    Below,
}

impl View {
    pub(crate) fn new(map: Map, blocks_count: u64, era: Arc<Era>) -> View {
        View {
            map,
            staged: Staged::new(blocks_count),
            committing: None,
            era,
        }
    }

    /// Finds a block, and for how many blocks from there that goes on, `count_max` at most.
    pub(crate) fn find(&self, first: BlockNumber, count_max: u64) -> (Found, u64) {
        let mut count_max = count_max;
        let layers = [Some(&self.staged), self.committing.as_deref()];
        let layers = layers.into_iter().flatten().filter(|it| !it.is_empty());
        for staged in layers {
            let (found, count) = staged.find(first, count_max);
            count_max = count;
            match found {
                StagedBlock::InMemory(content) => return (Found::InMemory(content), count),
                StagedBlock::At(Place::Below) => {}
                StagedBlock::At(place) => return (Found::of(place), count),
            }
        }
        let (place, count) = self.map.run_at(first, count_max);
        (Found::of(place), count)
    }

    /// Returns the bytes that the maps take in memory.
    pub(crate) fn map_bytes(&self) -> usize {
        let committing = self.committing.as_ref();
        let committing = committing.map_or(0, |it| it.places.bytes());
        self.map.bytes() + self.staged.places.bytes() + committing
    }
}

impl Found {
    fn of(place: Place) -> Found {
        match place {
            Place::Below => Self::Below,
            Place::Zeros => Self::Zeros,
            Place::Slot(slot) => Self::Slot(slot),
        }
    }
}
