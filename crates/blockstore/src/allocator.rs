//! Which slots of a change file are free, and which is taken next.
//!
//! Slots are taken in sequence from a *window*, so that what is written together lies together and is one write. When the window is
//! used up, the next is the longest free run or, while the file is mostly full, new room at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::layout::Slot;

/// A free run of at least this many slots (256 KiB) is used before the file grows.
const RUN_SLOTS_MIN: u32 = 64;
/// Slots by which the file grows, 4 MiB; what is not written takes no room.
const GROWTH_SLOTS: u32 = 1024;
/// Free slots in short runs that are left alone whatever the file's size, 4 MiB.
const SCATTERED_SLOTS_MIN: u32 = 1024;

/// The free slots of one file.
pub(crate) struct Allocator {
    /// Lengths of free runs by their first slot. No two touch.
    runs: BTreeMap<u32, u32>,
    /// The same as (length, first slot).
    by_length: BTreeSet<(u32, u32)>,
    /// In the runs.
    free_count: u32,
    /// Taken from next.
    window: Range<u32>,
    /// All slots from here on are free.
    end: u32,
}

impl Allocator {
    /// Begins with the slots that are in use, sorted and each once; the superblocks' are not among them.
    pub(crate) fn new(used: &[Slot]) -> Allocator {
        let mut allocator = Allocator {
            runs: BTreeMap::new(),
            by_length: BTreeSet::new(),
            free_count: 0,
            window: 0..0,
            end: Slot::FIRST.0,
        };
        for slot in used {
            allocator.insert(allocator.end..slot.0);
            allocator.end = slot.0 + 1;
        }
        allocator
    }

    /// Takes a slot, the one behind the last where it can; `None` if the file would be too large.
    pub(crate) fn take(&mut self) -> Option<Slot> {
        if self.window.is_empty() {
            self.window = self.next_window()?;
        }
        self.window.next().map(Slot)
    }

    fn next_window(&mut self) -> Option<Range<u32>> {
        let longest = self.by_length.last().copied();
        let used_count = self.end - self.free_count;
        let may_grow = self.free_count < used_count / 2 + SCATTERED_SLOTS_MIN;
        match longest {
            Some((length, first)) if length >= RUN_SLOTS_MIN || !may_grow => {
                self.remove(first, length);
                Some(first..first + length)
            }
            _ => self.grow(),
        }
    }

    fn grow(&mut self) -> Option<Range<u32>> {
        let first = self.end;
        self.end = first.checked_add(GROWTH_SLOTS)?;
        Some(first..self.end)
    }

    /// Gives a slot back.
    pub(crate) fn release(&mut self, slot: Slot) {
        if slot.0 + 1 == self.window.start {
            self.window.start = slot.0;
        } else {
            self.insert(slot.0..slot.0 + 1);
        }
    }

    /// Returns the free runs of at least `length_min` slots that have any of these.
    pub(crate) fn long_runs_around(&self, slots: &[Slot], length_min: u32) -> Vec<Range<u32>> {
        let run_around = |slot: &Slot| {
            let (&first, &length) = self.runs.range(..=slot.0).next_back()?;
            let run = first..first + length;
            (length >= length_min && run.contains(&slot.0)).then_some(run)
        };
        let mut runs: Vec<_> = slots.iter().filter_map(run_around).collect();
        runs.sort_unstable_by_key(|run| run.start);
        runs.dedup();
        runs
    }

    /// Adds a free run, which becomes one with those that it touches.
    fn insert(&mut self, run: Range<u32>) {
        if run.is_empty() {
            return;
        }
        let Range { mut start, mut end } = run;
        if let Some((&first, &length)) = self.runs.range(..start).next_back()
            && first + length == start
        {
            self.remove(first, length);
            start = first;
        }
        if let Some(&length) = self.runs.get(&end) {
            self.remove(end, length);
            end += length;
        }
        self.runs.insert(start, end - start);
        self.by_length.insert((end - start, start));
        self.free_count += end - start;
    }

    fn remove(&mut self, first: u32, length: u32) {
        self.runs.remove(&first);
        self.by_length.remove(&(length, first));
        self.free_count -= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_in_sequence_and_fill_long_runs_before_the_file_grows() {
        let used: Vec<_> = (2..10).chain(200..300).map(Slot).collect();
        let mut allocator = Allocator::new(&used);
        let taken: Vec<_> = (0..200).map(|_| allocator.take().unwrap().0).collect();
        assert_eq!(taken, (10..200).chain(300..310).collect::<Vec<_>>());
    }

    #[test]
    fn short_runs_are_used_when_they_are_many() {
        let used: Vec<_> = (2..20_000).filter(|slot| slot % 4 == 0).map(Slot).collect();
        let mut allocator = Allocator::new(&used);
        let taken = allocator.take().unwrap();
        assert!(taken.0 < 20_000, "{taken:?}");
    }

    #[test]
    fn what_is_given_back_in_reverse_is_taken_again_in_sequence() {
        let mut allocator = Allocator::new(&[]);
        let taken: Vec<_> = (0..5).map(|_| allocator.take().unwrap()).collect();
        for slot in taken.iter().rev() {
            allocator.release(*slot);
        }
        let again: Vec<_> = (0..5).map(|_| allocator.take().unwrap()).collect();
        assert_eq!(taken, again);
    }

    #[test]
    fn a_file_cannot_grow_without_end() {
        let mut allocator = Allocator::new(&[Slot(u32::MAX - 5)]);
        allocator.remove(2, u32::MAX - 7);
        assert_eq!(allocator.take(), None);
    }
}
