//! Where a file's blocks lie: runs in a row, whichever form the image keeps them in.
//!
//! The whole map of an inode is held while the inode is, sorted and without overlaps; changing it is changing a vector.
//! [`super::extents`] and [`super::indirect`] read and write the forms on the device.

use crate::layout::extent::Extent;

/// Runs that a map may have: bounds what an image can make us hold.
pub(crate) const RUNS_MAX: usize = 1 << 22;

/// The map of an inode.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileMap {
    /// Sorted, not overlapping; runs that go on in both file and device are one, however long.
    runs: Vec<Extent>,
    /// Blocks that hold the map itself.
    pub(crate) nodes: Nodes,
    /// It is not on the device as it is here.
    pub(crate) is_changed: bool,
}

/// Blocks that hold a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Nodes {
    /// Those of a tree of extents, in any order.
    Extents(Vec<u64>),
    /// Those of a map of pointers, which is changed in place.
    Indirect,
}

impl Default for Nodes {
    fn default() -> Nodes {
        Nodes::Extents(Vec::new())
    }
}

impl FileMap {
    pub(crate) fn new(runs: Vec<Extent>, nodes: Nodes) -> FileMap {
        FileMap {
            runs,
            nodes,
            is_changed: false,
        }
    }

    pub(crate) fn runs(&self) -> &[Extent] {
        &self.runs
    }

    /// Returns the runs that end behind `logical`.
    pub(crate) fn runs_from(&self, logical: u32) -> &[Extent] {
        &self.runs[self.index_of(logical)..]
    }

    /// Index of the first run that ends behind `logical`.
    fn index_of(&self, logical: u32) -> usize {
        self.runs
            .partition_point(|run| end(run) <= u64::from(logical))
    }

    /// Returns the rest of the run that holds `logical`, from it on.
    pub(crate) fn find(&self, logical: u32) -> Option<Extent> {
        let run = self.runs.get(self.index_of(logical))?;
        (run.logical <= logical).then(|| tail_of(run, logical))
    }

    /// Returns how many blocks from `logical` on are not mapped, at most `count_max`.
    pub(crate) fn hole_length(&self, logical: u32, count_max: u32) -> u32 {
        match self.runs.get(self.index_of(logical)) {
            Some(run) => run.logical.saturating_sub(logical).min(count_max),
            None => count_max,
        }
    }

    /// Returns the run before `logical`, near which new blocks should lie.
    pub(crate) fn before(&self, logical: u32) -> Option<&Extent> {
        self.runs[..self.runs.partition_point(|run| run.logical <= logical)].last()
    }

    /// Returns the block behind the last that is mapped.
    pub(crate) fn end(&self) -> u64 {
        self.runs.last().map_or(0, end)
    }

    /// Maps blocks that were not.
    pub(crate) fn insert(&mut self, new: Extent) {
        let index = self.index_of(new.logical);
        self.runs.insert(index, new);
        self.is_changed = true;
        self.join_after(index);
        if index > 0 {
            self.join_after(index - 1);
        }
    }

    /// Unmaps `count` blocks from `logical` on, and returns what was mapped.
    pub(crate) fn remove(&mut self, logical: u32, count: u32) -> Vec<Extent> {
        let stop = u64::from(logical) + u64::from(count);
        let first = self.index_of(logical);
        let last = first + self.runs[first..].partition_point(|run| u64::from(run.logical) < stop);
        if first == last {
            return Vec::new();
        }
        self.is_changed = true;
        let mut removed: Vec<Extent> = self.runs[first..last].to_vec();
        let mut kept = Vec::new();
        if removed[0].logical < logical {
            kept.push(head_of(&removed[0], logical));
            removed[0] = tail_of(&removed[0], logical);
        }
        let index = removed.len() - 1;
        if end(&removed[index]) > stop {
            let stop = stop as u32;
            kept.push(tail_of(&removed[index], stop));
            removed[index] = head_of(&removed[index], stop);
        }
        self.runs.splice(first..last, kept);
        removed
    }

    /// Marks mapped blocks as written.
    pub(crate) fn mark_written(&mut self, logical: u32, count: u32) {
        for mut run in self.remove(logical, count) {
            run.is_unwritten = false;
            self.insert(run);
        }
    }

    /// Makes run `index` and the next one, if they go on.
    fn join_after(&mut self, index: usize) {
        let [first, second, ..] = &self.runs[index..] else {
            return;
        };
        let count = first.count.checked_add(second.count);
        let goes_on = first.is_unwritten == second.is_unwritten
            && end(first) == u64::from(second.logical)
            && first.physical + u64::from(first.count) == second.physical;
        if let (true, Some(count)) = (goes_on, count) {
            self.runs[index].count = count;
            self.runs.remove(index + 1);
        }
    }
}

/// Block of the file behind a run.
pub(crate) fn end(run: &Extent) -> u64 {
    u64::from(run.logical) + u64::from(run.count)
}

/// The part of a run before `logical`, which lies in it.
fn head_of(run: &Extent, logical: u32) -> Extent {
    Extent {
        count: logical - run.logical,
        ..*run
    }
}

/// The part of a run from `logical` on, which lies in it.
pub(crate) fn tail_of(run: &Extent, logical: u32) -> Extent {
    let skipped = logical - run.logical;
    Extent {
        logical,
        count: run.count - skipped,
        physical: run.physical + u64::from(skipped),
        is_unwritten: run.is_unwritten,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(logical: u32, count: u32, physical: u64) -> Extent {
        Extent {
            logical,
            count,
            physical,
            is_unwritten: false,
        }
    }

    #[test]
    fn runs_that_go_on_are_one_and_come_apart_again() {
        let mut map = FileMap::default();
        map.insert(run(10, 5, 110));
        map.insert(run(0, 5, 100));
        map.insert(run(5, 5, 105));
        assert_eq!(map.runs(), [run(0, 15, 100)]);
        assert_eq!(map.remove(4, 3), [run(4, 3, 104)]);
        assert_eq!(map.runs(), [run(0, 4, 100), run(7, 8, 107)]);
        assert_eq!((map.find(6), map.find(8)), (None, Some(run(8, 7, 108))));
        assert_eq!((map.hole_length(4, 100), map.hole_length(15, 9)), (3, 9));
        assert_eq!(map.remove(0, u32::MAX).len(), 2);
        assert_eq!(map.end(), 0);
    }

    #[test]
    fn what_is_written_of_an_unwritten_run_splits_it() {
        let mut map = FileMap::default();
        map.insert(Extent {
            is_unwritten: true,
            ..run(0, 10, 50)
        });
        map.mark_written(3, 4);
        let states: Vec<_> = map
            .runs()
            .iter()
            .map(|it| (it.count, it.is_unwritten))
            .collect();
        assert_eq!(states, [(3, true), (4, false), (3, true)]);
        map.mark_written(0, 10);
        assert_eq!(map.runs(), [run(0, 10, 50)]);
    }
}
