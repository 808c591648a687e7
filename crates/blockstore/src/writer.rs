//! The writer of a change file: segments at the end of the log, and slots for them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use crate::allocator::Allocator;
use crate::error::cannot;
use crate::layout::{
    BlockNumber, Digest, ENTRIES_MAX, Entry, Key, PageRef, Segment, Slot, Superblock,
};
use crate::view::Era;
use crate::{BLOCK_BYTES, Block, DiskError, Storage};

/// A free run of at least this many slots (64 KiB) is given back to the host; shorter ones are used again soon.
const PUNCH_SLOTS_MIN: u32 = 16;

/// Where the log goes on.
#[derive(Clone, Copy)]
pub(crate) struct Tail {
    pub(crate) slot: Slot,
    pub(crate) sequence: u64,
    pub(crate) chain: Digest,
}

/// Whether the commit is complete.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    GoesOn,
    EndsCommit,
}

/// What a segment publishes.
pub(crate) enum Change {
    Data(BlockNumber, Arc<Block>),
    Zeros(BlockNumber, u32),
}

/// All about a change file that only its writer needs.
pub(crate) struct Writer {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) key: Key,
    /// As it was written last.
    pub(crate) superblock: Superblock,
    pub(crate) allocator: Allocator,
    pub(crate) tail: Tail,
    /// Headers of segments since the checkpoint.
    pub(crate) log: Vec<Slot>,
    /// Out of use, but commits since the checkpoint refer to them.
    pub(crate) unreleased: Vec<Slot>,
    /// Leaves as of the checkpoint, by their number.
    pub(crate) stored: BTreeMap<u32, PageRef>,
    pub(crate) directory: Vec<Slot>,
    /// Leaves that the next checkpoint has to write.
    pub(crate) changed: BTreeSet<u32>,
    /// Free as soon as no reader is left of their era or of an earlier one.
    pub(crate) quarantine: VecDeque<(Arc<Era>, Vec<Slot>)>,
    /// Segments were written that the next commit belongs to.
    pub(crate) has_unfinished: bool,
    /// What the host has on disk is not known any more.
    pub(crate) is_failed: bool,
}

impl Writer {
    /// Refuses to go on after a failure that left the file's state unknown.
    pub(crate) fn check(&self) -> Result<(), DiskError> {
        match self.is_failed {
            true => Err(DiskError::Unsynced),
            false => Ok(()),
        }
    }

    /// Makes all that was written durable. A host that failed once may say later that it succeeded, so there is no second try.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        let result = self.storage.sync();
        self.is_failed |= result.is_err();
        result.map_err(cannot("make the disk's changes durable"))
    }

    /// Writes changes, at most [`BATCH_BLOCKS_MAX`](crate::limits::BATCH_BLOCKS_MAX), to the end of the log and returns where
    /// the blocks are now. After a failure the log ends where it did, and nothing is taken.
    pub(crate) fn append(
        &mut self,
        changes: &[Change],
        ending: Ending,
    ) -> Result<Vec<(BlockNumber, Slot)>, DiskError> {
        self.check()?;
        self.release_quarantined();
        let mut draft = Draft {
            tail: self.tail,
            taken: Vec::new(),
            headers: Vec::new(),
            placed: Vec::new(),
            batch: Batch::default(),
        };
        let result = self.write_segments(changes, ending, &mut draft);
        if result.is_err() {
            self.give_back(&draft.taken);
        }
        result?;
        self.tail = draft.tail;
        self.log.append(&mut draft.headers);
        self.has_unfinished = ending == Ending::GoesOn;
        Ok(draft.placed)
    }

    fn write_segments(
        &mut self,
        changes: &[Change],
        ending: Ending,
        draft: &mut Draft,
    ) -> Result<(), DiskError> {
        let count = changes.len().div_ceil(ENTRIES_MAX).max(1);
        for index in 0..count {
            let rest = &changes[index * ENTRIES_MAX..];
            let part = &rest[..rest.len().min(ENTRIES_MAX)];
            let is_last = index + 1 == count;
            self.draft_segment(part, is_last && ending == Ending::EndsCommit, draft)?;
        }
        draft.batch.write(&*self.storage)
    }

    fn draft_segment(
        &mut self,
        changes: &[Change],
        ends_commit: bool,
        draft: &mut Draft,
    ) -> Result<(), DiskError> {
        let mut entries = Vec::with_capacity(changes.len());
        for change in changes {
            entries.push(match change {
                Change::Zeros(first, count) => Entry::Zeros {
                    first: *first,
                    count: *count,
                },
                Change::Data(block, content) => {
                    let slot = self.take(&mut draft.taken)?;
                    draft.placed.push((*block, slot));
                    Entry::Data {
                        block: *block,
                        slot,
                        sum: self.key.sum(&content[..]),
                    }
                }
            });
        }
        let segment = Segment {
            sequence: draft.tail.sequence,
            next: self.take(&mut draft.taken)?,
            ends_commit,
            chain: draft.tail.chain,
            entries,
        };
        let (header, chain) = segment.encode(&self.key);
        draft.batch.put(draft.tail.slot, &header);
        for (change, entry) in changes.iter().zip(&segment.entries) {
            if let (Change::Data(_, content), Entry::Data { slot, .. }) = (change, entry) {
                draft.batch.put(*slot, content);
            }
        }
        draft.headers.push(draft.tail.slot);
        draft.tail = Tail {
            slot: segment.next,
            sequence: segment.sequence + 1,
            chain,
        };
        Ok(())
    }

    /// Takes a free slot, and notes it.
    pub(crate) fn take(&mut self, taken: &mut Vec<Slot>) -> Result<Slot, DiskError> {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let slot = self
            .allocator
            .take()
            .ok_or_else(|| DiskError::NoSpace { source: full() })?;
        taken.push(slot);
        Ok(slot)
    }

    /// Gives slots back, the last first, so that they are taken in the same order again.
    pub(crate) fn give_back(&mut self, taken: &[Slot]) {
        for slot in taken.iter().rev() {
            self.allocator.release(*slot);
        }
    }

    /// Frees the slots that no reader can be reading any more, and gives long runs of them back to the host.
    pub(crate) fn release_quarantined(&mut self) {
        while let Some(mut front) = self.quarantine.pop_front() {
            if Arc::get_mut(&mut front.0).is_none() {
                self.quarantine.push_front(front);
                return;
            }
            self.give_back(&front.1);
            for run in self.allocator.long_runs_around(&front.1, PUNCH_SLOTS_MIN) {
                let length = u64::from(run.end - run.start) * BLOCK_BYTES as u64;
                // Room that is not given back is used again; the file is right either way.
                let _ = self.storage.punch(Slot(run.start).offset(), length);
            }
        }
    }
}

/// Segments that are not written yet.
struct Draft {
    tail: Tail,
    taken: Vec<Slot>,
    headers: Vec<Slot>,
    placed: Vec<(BlockNumber, Slot)>,
    batch: Batch,
}

/// Slots to be written; those that follow on each other become one write.
#[derive(Default)]
pub(crate) struct Batch {
    runs: Vec<(Slot, Vec<u8>)>,
}

impl Batch {
    pub(crate) fn put(&mut self, slot: Slot, content: &Block) {
        match self.runs.last_mut() {
            Some((first, bytes)) if first.offset() + bytes.len() as u64 == slot.offset() => {
                bytes.extend_from_slice(content);
            }
            _ => self.runs.push((slot, content.to_vec())),
        }
    }

    /// Writes everything and begins anew.
    pub(crate) fn write(&mut self, storage: &dyn Storage) -> Result<(), DiskError> {
        for (first, bytes) in self.runs.drain(..) {
            storage
                .write_at(first.offset(), &bytes)
                .map_err(cannot("write the disk's changes"))?;
        }
        Ok(())
    }
}
