//! Commits: what was staged becomes durable at once.

use std::sync::Arc;

use super::{Disk, blocks_count, lock, write};
use crate::DiskError;
use crate::layout::{BlockNumber, Slot, State};
use crate::limits::BATCH_BLOCKS_MAX;
use crate::map::Place;
use crate::staged::Staged;
use crate::writer::{Change, Ending, Writer};

impl Disk {
    /// Makes everything that was written since the last commit durable, at once or not at all.
    ///
    /// Up to 2 MiB are one write and one sync of the host. After [`DiskError::NoSpace`] the disk is as it was, and the commit can be
    /// tried again; after a failed sync nobody knows what the host has kept, and the disk must be opened again.
    pub fn commit(&self) -> Result<(), DiskError> {
        let mut writer = lock(&self.writer);
        self.commit_with(&mut writer)?;
        let is_due = writer.log.len() >= self.limits.log_segments_max
            || writer.unreleased.len() >= self.limits.unreleased_slots_max;
        if is_due {
            // The commit is durable. A log that stays longer is read when the disk is opened.
            let _ = writer.checkpoint(&self.view, State::Active);
        }
        Ok(())
    }

    /// Commits, and writes the map, so that the next opening has no log to read and what was freed is given back.
    pub fn checkpoint(&self) -> Result<(), DiskError> {
        let mut writer = lock(&self.writer);
        self.commit_with(&mut writer)?;
        self.checkpoint_with(&mut writer)
    }

    pub(super) fn checkpoint_with(&self, writer: &mut Writer) -> Result<(), DiskError> {
        match writer.log.is_empty() && writer.unreleased.is_empty() {
            true => Ok(()),
            false => writer.checkpoint(&self.view, State::Active),
        }
    }

    pub(super) fn commit_with(&self, writer: &mut Writer) -> Result<(), DiskError> {
        writer.check()?;
        let result = self.try_commit(writer);
        let can_release = !writer.has_unfinished && !writer.unreleased.is_empty();
        match result {
            // What earlier commits freed may be enough.
            Err(DiskError::NoSpace { .. }) if can_release && !writer.is_failed => {
                writer.checkpoint(&self.view, State::Active)?;
                self.try_commit(writer)
            }
            result => result,
        }
    }

    fn try_commit(&self, writer: &mut Writer) -> Result<(), DiskError> {
        let Some(committing) = self.begin_commit() else {
            return Ok(());
        };
        let mut placed = Vec::new();
        let result = publish(writer, &committing, &mut placed);
        match &result {
            Ok(()) => self.finish_commit(writer, &committing, &placed),
            Err(_) => self.take_back(&committing, &placed),
        }
        result
    }

    /// Sets apart what was staged; `None` if nothing was.
    fn begin_commit(&self) -> Option<Arc<Staged>> {
        let view = &mut *write(&self.view);
        if view.staged.is_empty() {
            return None;
        }
        let empty = Staged::new(blocks_count(self.size_bytes));
        let committing = Arc::new(std::mem::replace(&mut view.staged, empty));
        view.committing = Some(committing.clone());
        Some(committing)
    }

    fn finish_commit(&self, writer: &mut Writer, committing: &Staged, placed: &Placed) {
        let view = &mut *write(&self.view);
        view.committing = None;
        let freed = &mut writer.unreleased;
        freed.extend(&committing.superseded);
        let map = &mut view.map;
        committing.places.for_each_run(|first, count, place| {
            let Place::Slot(slot) = place else {
                return map.set_zeros(first, count, freed);
            };
            for further in 0..count as u32 {
                let block = BlockNumber(first.0 + further);
                let place = Place::Slot(Slot(slot.0 + further));
                freed.extend(slot_of(map.set(block, place)));
            }
        });
        for (block, slot) in placed {
            freed.extend(slot_of(map.set(*block, Place::Slot(*slot))));
        }
    }

    /// Makes a failed commit staged again, below what was staged meanwhile. Blocks that were written stay in their slots.
    fn take_back(&self, committing: &Staged, placed: &Placed) {
        let mut staged = committing.clone();
        for (block, slot) in placed {
            staged.spilled(*block, *slot);
        }
        let view = &mut *write(&self.view);
        view.committing = None;
        staged.overlay(&view.staged);
        view.staged = staged;
    }
}

type Placed = [(BlockNumber, Slot)];

fn slot_of(place: Place) -> Option<Slot> {
    match place {
        Place::Slot(slot) => Some(slot),
        _ => None,
    }
}

/// Writes a commit's segments, which name its zeros first, and makes them durable. `placed` gets the blocks that were written.
fn publish(
    writer: &mut Writer,
    committing: &Staged,
    placed: &mut Vec<(BlockNumber, Slot)>,
) -> Result<(), DiskError> {
    let mut changes = Vec::new();
    committing.places.for_each_run(|first, count, place| {
        if place == Place::Zeros {
            changes.push(Change::Zeros(first, count as u32));
        }
    });
    for (block, content) in &committing.blocks {
        if changes.len() >= BATCH_BLOCKS_MAX {
            append_all(writer, &mut changes, Ending::GoesOn, placed)?;
        }
        changes.push(Change::Data(BlockNumber(*block), Arc::clone(content)));
    }
    append_all(writer, &mut changes, Ending::EndsCommit, placed)?;
    writer.sync()
}

fn append_all(
    writer: &mut Writer,
    changes: &mut Vec<Change>,
    ending: Ending,
    placed: &mut Vec<(BlockNumber, Slot)>,
) -> Result<(), DiskError> {
    while changes.len() > BATCH_BLOCKS_MAX {
        let rest = changes.split_off(BATCH_BLOCKS_MAX);
        placed.extend(writer.append(changes, Ending::GoesOn)?);
        *changes = rest;
    }
    placed.extend(writer.append(changes, ending)?);
    changes.clear();
    Ok(())
}
