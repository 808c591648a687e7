//! The record locks of one file: who may read or write which range.

use smallvec::SmallVec;

use super::{Holder, LockKind};

/// Bytes of a file from `start` to `last`, both locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockedRange {
    pub start: u64,
    pub last: u64,
}

impl LockedRange {
    /// The last byte that a file can have; a range up to it goes on for ever. Linux: `OFFSET_MAX`.
    pub const LAST_MAX: u64 = i64::MAX as u64;

    fn overlaps(&self, other: &LockedRange) -> bool {
        self.start <= other.last && other.start <= self.last
    }

    /// Whether the two overlap, or one begins where the other ends.
    fn touches(&self, other: &LockedRange) -> bool {
        self.start <= other.last.saturating_add(1) && other.start <= self.last.saturating_add(1)
    }

    fn joined(&self, other: &LockedRange) -> LockedRange {
        LockedRange {
            start: self.start.min(other.start),
            last: self.last.max(other.last),
        }
    }

    /// Whether bytes of this range lie before and behind another one.
    fn surrounds(&self, other: &LockedRange) -> bool {
        self.start < other.start && other.last < self.last
    }

    /// Returns what is left of this range without another one.
    fn without(&self, other: &LockedRange) -> impl Iterator<Item = LockedRange> + use<> {
        let before = (self.start < other.start).then(|| LockedRange {
            start: self.start,
            last: self.last.min(other.start - 1),
        });
        let behind = (self.last > other.last).then(|| LockedRange {
            start: self.start.max(other.last + 1),
            last: self.last,
        });
        before.into_iter().chain(behind)
    }
}

/// A lock on a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub holder: Holder,
    pub range: LockedRange,
    pub kind: LockKind,
}

impl Record {
    fn conflicts(&self, wanted: &Record) -> bool {
        self.holder != wanted.holder
            && self.range.overlaps(&wanted.range)
            && self.kind.conflicts(wanted.kind)
    }
}

/// All record locks of a file: those of one holder together, by their start. They do not overlap, and two of one kind
/// do not touch.
#[derive(Debug, Default)]
pub(super) struct Records(Vec<Record>);

impl Records {
    /// The most that [`Records::growth_max`] returns.
    pub(super) const GROWTH_MAX: usize = 2;

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns a lock of somebody else that does not go with one that is wanted.
    pub(super) fn conflict(&self, wanted: &Record) -> Option<&Record> {
        self.0.iter().find(|record| record.conflicts(wanted))
    }

    /// Returns the first lock of a holder that lies in a range.
    pub(super) fn of(&self, holder: Holder, range: &LockedRange) -> Option<&Record> {
        self.0
            .iter()
            .find(|record| record.holder == holder && record.range.overlaps(range))
    }

    /// Returns the most locks that there are more after [`Records::set`].
    pub(super) fn growth_max(
        &self,
        holder: Holder,
        range: &LockedRange,
        kind: Option<LockKind>,
    ) -> usize {
        let splits = |record: &Record| record.holder == holder && record.range.surrounds(range);
        usize::from(self.0.iter().any(splits)) + usize::from(kind.is_some())
    }

    /// Gives a range to its holder, or takes it away (`None`), whatever he has there. Nobody else's lock conflicts.
    pub(super) fn set(&mut self, holder: Holder, range: LockedRange, kind: Option<LockKind>) {
        let of_holder = |record: &Record| record.holder == holder;
        let first = self.0.iter().position(of_holder).unwrap_or(self.0.len());
        let group = &self.0[first..];
        let group = &group[..group.iter().take_while(|it| of_holder(it)).count()];
        // Only those that touch the range change.
        let before = group.partition_point(|it| it.range.last.saturating_add(1) < range.start);
        let touching = &group[before..];
        let count = touching.partition_point(|it| it.range.touches(&range));
        let mut merged = range;
        let mut changed = SmallVec::<[Record; 4]>::new();
        for record in &touching[..count] {
            if Some(record.kind) == kind {
                merged = merged.joined(&record.range);
            } else {
                let rest = record.range.without(&range);
                changed.extend(rest.map(|range| Record { range, ..*record }));
            }
        }
        if let Some(kind) = kind {
            let at = changed.partition_point(|record| record.range.start < merged.start);
            let range = merged;
            changed.insert(
                at,
                Record {
                    holder,
                    range,
                    kind,
                },
            );
        }
        let start = first + before;
        self.0.splice(start..start + count, changed);
    }

    /// Takes everything away from a holder; returns whether he had anything.
    pub(super) fn release(&mut self, holder: Holder) -> bool {
        let before = self.0.len();
        self.0.retain(|record| record.holder != holder);
        self.0.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Pid;

    const HOLDER: Holder = Holder::Process(Pid(1));

    fn range(start: u64, last: u64) -> LockedRange {
        LockedRange { start, last }
    }

    /// Returns what one holder has, as `kind start-last`.
    fn shown(records: &Records) -> Vec<String> {
        let show = |it: &Record| format!("{:?} {}-{}", it.kind, it.range.start, it.range.last);
        records.0.iter().map(show).collect()
    }

    #[test]
    fn ranges_of_one_kind_that_touch_become_one() {
        let mut records = Records::default();
        records.set(HOLDER, range(0, 9), Some(LockKind::Shared));
        records.set(HOLDER, range(20, 29), Some(LockKind::Shared));
        records.set(HOLDER, range(10, 19), Some(LockKind::Shared));
        assert_eq!(shown(&records), ["Shared 0-29"]);
    }

    #[test]
    fn another_kind_in_the_middle_splits_a_range() {
        let mut records = Records::default();
        records.set(
            HOLDER,
            range(0, LockedRange::LAST_MAX),
            Some(LockKind::Shared),
        );
        assert_eq!(
            records.growth_max(HOLDER, &range(5, 6), Some(LockKind::Exclusive)),
            2
        );
        records.set(HOLDER, range(5, 6), Some(LockKind::Exclusive));
        let behind = format!("Shared 7-{}", LockedRange::LAST_MAX);
        assert_eq!(
            shown(&records),
            ["Shared 0-4", "Exclusive 5-6", behind.as_str()]
        );
        records.set(HOLDER, range(0, LockedRange::LAST_MAX), None);
        assert!(records.is_empty());
    }

    #[test]
    fn the_last_byte_of_all_can_be_locked_alone() {
        let mut records = Records::default();
        let last = range(LockedRange::LAST_MAX, LockedRange::LAST_MAX);
        records.set(HOLDER, last, Some(LockKind::Exclusive));
        let wanted = |start, last| Record {
            holder: Holder::Process(Pid(2)),
            range: range(start, last),
            kind: LockKind::Shared,
        };
        assert!(
            records
                .conflict(&wanted(0, LockedRange::LAST_MAX - 1))
                .is_none()
        );
        assert!(
            records
                .conflict(&wanted(0, LockedRange::LAST_MAX))
                .is_some()
        );
    }
}
