//! Which blocks are taken, as runs: a few for each group, however large the file system is.

use std::collections::BTreeMap;

/// A run of blocks: the first, and the one behind the last.
pub(super) type Run = (u64, u64);

/// Runs of taken blocks; neither overlap nor touch.
#[derive(Default)]
pub(super) struct Runs {
    /// The block behind the last, by the first.
    ends: BTreeMap<u64, u64>,
}

impl Runs {
    /// Takes blocks that are free.
    pub(super) fn take(&mut self, (mut start, mut end): Run) {
        if start == end {
            return;
        }
        if let Some((before, before_end)) = self.ends.range(..start).next_back() {
            assert!(*before_end <= start, "taken blocks are not taken again");
            if *before_end == start {
                start = *before;
            }
        }
        if let Some(behind_end) = self.ends.remove(&end) {
            end = behind_end;
        }
        self.ends.insert(start, end);
    }

    /// Returns the free runs between two blocks.
    pub(super) fn free(&self, start: u64, end: u64) -> impl Iterator<Item = Run> {
        let before = self.ends.range(..start).next_back();
        let mut at = before.map_or(start, |(_, end)| (*end).max(start));
        let last = std::iter::once((end, end));
        let taken = self.ends.range(start..end).map(|(from, to)| (*from, *to));
        taken.chain(last).filter_map(move |(from, to)| {
            let run = (at, from.max(at));
            at = to.max(at);
            (run.0 < run.1).then_some(run)
        })
    }

    /// Takes the first `count` blocks in a row from `goal` on, before `end`; returns the first of them.
    pub(super) fn take_row(&mut self, goal: u64, end: u64, count: u64) -> Option<u64> {
        let (start, _) = self.free(goal, end).find(|(from, to)| to - from >= count)?;
        self.take((start, start + count));
        Some(start)
    }

    /// Takes the first `count` free blocks from `goal` on, before `end`, in as many runs as it needs.
    pub(super) fn take_runs(&mut self, goal: u64, end: u64, mut count: u64) -> Option<Vec<Run>> {
        let mut runs = Vec::new();
        for (from, to) in self.free(goal, end) {
            let to = to.min(from + count);
            count -= to - from;
            runs.push((from, to));
            if count == 0 {
                break;
            }
        }
        runs.iter().for_each(|run| self.take(*run));
        (count == 0).then_some(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_runs_lie_between_taken_ones() {
        let mut runs = Runs::default();
        for run in [(5, 7), (9, 10), (7, 9), (20, 30)] {
            runs.take(run);
        }
        let free = |start, end| runs.free(start, end).collect::<Vec<_>>();
        assert_eq!(free(0, 40), [(0, 5), (10, 20), (30, 40)]);
        assert_eq!(free(6, 25), [(10, 20)]);
        assert_eq!(free(21, 29), []);
        assert_eq!(runs.take_row(0, 40, 6), Some(10));
        assert_eq!(runs.take_runs(3, 40, 5), Some(vec![(3, 5), (16, 19)]));
        assert_eq!(runs.take_runs(0, 40, 100), None);
    }
}
