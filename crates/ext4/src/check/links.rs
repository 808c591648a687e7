//! Links: as many as there are names, and for each directory a way from the top.

use std::collections::{HashMap, HashSet};

use super::Checker;
use super::fault::{FaultKind, FaultPlace, Mismatch};
use crate::layout::{FileType, InodeNumber, ReadOnlyCompatible};

/// Links of a directory from which on `dir_nlink` stops counting.
const LINKS_MAX: u32 = 65_000;

impl Checker<'_> {
    /// Remembers which directory a directory's `..` names.
    pub(super) fn report_parent(&mut self, directory: InodeNumber, parent: InodeNumber) {
        self.dot_dots.push((directory, parent));
    }

    /// Compares link counts with names, `..` with the directory that has the name, and looks for the way to the top.
    pub(super) fn check_links(&mut self) {
        for (directory, named) in std::mem::take(&mut self.dot_dots) {
            let parent = match directory {
                InodeNumber::ROOT => Some(InodeNumber::ROOT),
                _ => self.inodes.get(&directory).and_then(|it| it.parent),
            };
            if parent.is_some_and(|parent| parent != named) {
                let reason = "`..` leads elsewhere than to the directory that has the name";
                self.directory_fault(directory, 0, reason);
            }
        }
        let mut numbers: Vec<InodeNumber> = self.inodes.keys().copied().collect();
        numbers.sort_unstable();
        let mut ways = Ways {
            known: HashMap::from([(InodeNumber::ROOT, true)]),
        };
        for number in numbers {
            if !self.volume.is_reserved(number) && !self.orphans.contains(&number) {
                self.check_links_of(number, &mut ways);
            }
        }
    }

    fn check_links_of(&mut self, number: InodeNumber, ways: &mut Ways) {
        let Some(found) = self.inodes.get(&number) else {
            return;
        };
        let is_directory = found.file_type == Some(FileType::Directory);
        let count = Mismatch {
            stored: found.links_count.into(),
            found: found.references.into(),
        };
        let is_named = match is_directory {
            true => matches!(self.way_up(number, ways), Way::Top | Way::Lost),
            false => found.references > 0,
        };
        if !is_named {
            self.fault(FaultPlace::Inode(number), FaultKind::Unreachable);
        }
        let stops_counting = self
            .volume
            .superblock
            .read_only_compatible()
            .contains(ReadOnlyCompatible::DIR_NLINK);
        let is_uncounted = stops_counting && is_directory && count.stored == 1;
        let is_right =
            count.stored == count.found || is_uncounted && count.found > u64::from(LINKS_MAX);
        if !is_right {
            let what = "number of its links";
            self.fault(
                FaultPlace::Inode(number),
                FaultKind::WrongCount { what, count },
            );
        }
    }

    /// Goes up from a directory to one of which it is known whether there is a way to it.
    fn way_up(&self, number: InodeNumber, ways: &mut Ways) -> Way {
        let mut passed = HashSet::new();
        let mut at = number;
        let way = loop {
            if let Some(is_reachable) = ways.known.get(&at) {
                break match is_reachable {
                    true => Way::Top,
                    false => Way::Lost,
                };
            }
            if !passed.insert(at) {
                break Way::Ring;
            }
            match self.inodes.get(&at).and_then(|it| it.parent) {
                Some(parent) => at = parent,
                None if at == number => break Way::Nowhere,
                None => break Way::Lost,
            }
        };
        let known = passed.into_iter().map(|it| (it, way == Way::Top));
        ways.known.extend(known);
        way
    }
}

/// Directories of which it is known whether a way leads there from the top.
struct Ways {
    known: HashMap<InodeNumber, bool>,
}

/// Where the way up from a directory leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Top,
    /// It has no name.
    Nowhere,
    /// One above it has no name, or is in a ring: that is the one to report.
    Lost,
    /// Back to where it was.
    Ring,
}
