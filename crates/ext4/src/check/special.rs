//! What the file system keeps for itself: orphans, the reserved descriptors, the journal, the orphan file.

use std::collections::HashMap;

use super::fault::{FaultKind, FaultPlace, Mismatch};
use super::maps::{FoundMap, MappedRun, is_zero_from};
use super::volume::address;
use super::{CheckError, Checker};
use crate::blocks::Blocks;
use crate::files::map::{FileMap, Nodes};
use crate::layout::extent::Extent;
use crate::layout::journal::{JournalFeatures, JournalSuperblock};
use crate::layout::orphan::{is_orphan_block_intact, parse_orphans};
use crate::layout::{Compatible, Inode, InodeNumber};
use crate::{Error, recovery};

/// `h_blocktype` of a superblock that tells features and users.
const JOURNAL_SUPERBLOCK_V2: u32 = 4;
/// Features of journals that are known.
const JOURNAL_FEATURES: JournalFeatures = JournalFeatures::from_bits_retain(0x3f);
/// Place of the doubly indirect block in an inode's map.
const DOUBLE_INDIRECT: usize = 13;

impl Checker<'_> {
    /// Follows the list of orphans, which begins in the superblock and goes on in their times of deletion.
    pub(super) fn find_orphans(&mut self) -> Result<(), CheckError> {
        let mut next = InodeNumber(self.volume.superblock.last_orphan);
        while next.0 != 0 {
            let is_known = !self.volume.has_inode(next)
                || self.volume.is_reserved(next)
                || next == InodeNumber::ROOT;
            let read = match is_known {
                true => None,
                false => self.inode(next)?,
            };
            // A list that comes back to itself would not end.
            let is_new = self.orphans.insert(next);
            let Some(inode) = read.filter(|inode| is_new && inode.mode != 0) else {
                self.orphans.remove(&next);
                let reason = "the list of inodes to be deleted is broken";
                self.fault(FaultPlace::Superblock, FaultKind::Orphan { reason });
                return Ok(());
            };
            next = InodeNumber(inode.deletion_time);
        }
        Ok(())
    }

    /// Reads an inode; `None` if there is none that can be.
    fn inode(&self, number: InodeNumber) -> Result<Option<Inode>, CheckError> {
        let superblock = &self.volume.superblock;
        let size = usize::from(superblock.inode_size);
        let group = (number.0 - 1) / superblock.inodes_per_group;
        let at = ((number.0 - 1) % superblock.inodes_per_group) as usize * size;
        if !self.readable_tables[group as usize] {
            return Ok(None);
        }
        let table = self.volume.groups[group as usize].inode_table;
        let block = self
            .volume
            .block(table + (at / self.volume.block_size) as u64)?;
        let bytes = &block[at % self.volume.block_size..][..size];
        Ok(Inode::parse(bytes).ok())
    }

    /// Checks the inode of the reserved descriptors: each of the first copy is an indirect block that names those of the others.
    pub(super) fn check_resize_inode(&mut self, inode: &Inode) -> Result<(), CheckError> {
        let number = InodeNumber::RESIZE;
        let reserved = self.volume.reserved_descriptor_blocks();
        let double = address(&inode.map, DOUBLE_INDIRECT);
        let has_others = (0..15).any(|it| it != DOUBLE_INDIRECT && address(&inode.map, it) != 0);
        if has_others || inode.links_count != 1 {
            self.inode_fault(number, "the inode of reserved descriptors is another");
            return Ok(());
        }
        if !self.claim(number, "doubly indirect block", double, 1) {
            return Ok(());
        }
        let groups = self.volume.superblock.groups_count();
        let copies: Vec<u32> = (1..groups)
            .filter(|it| self.volume.superblock.group_has_superblock(*it))
            .collect();
        let per_block = self.volume.block_size as u64 / 4;
        let table = self.volume.head_blocks(0).saturating_sub(1 + reserved);
        let block = self.volume.block(double)?;
        let mut is_right = true;
        for index in table..table + reserved {
            let first = u64::from(self.volume.superblock.first_data_block) + 1 + index;
            // A hostile image has many of them, but the first that is wrong is enough.
            if !is_right || !self.volume.is_inside(first, 1) {
                is_right = false;
                break;
            }
            is_right &= address(&block, (index % per_block) as usize) == first;
            let single = self.volume.block(first)?;
            let expected = copies
                .iter()
                .map(|it| first + self.volume.group_start(*it) - self.volume.group_start(0));
            is_right &= expected
                .zip(0..per_block as usize)
                .all(|(copy, place)| address(&single, place) == copy);
            is_right &= (copies.len()..per_block as usize).all(|it| address(&single, it) == 0);
        }
        let named = (0..per_block as usize).filter(|it| address(&block, *it) != 0);
        if !is_right || named.count() as u64 != reserved {
            self.inode_fault(
                number,
                "the reserved descriptors are not those of the groups",
            );
        }
        let sectors = (1 + reserved * (1 + copies.len() as u64)) * self.volume.block_size as u64;
        let count = Mismatch {
            stored: inode.blocks,
            found: sectors / 512,
        };
        if count.stored != count.found {
            let what = "number of its blocks";
            self.fault(
                FaultPlace::Inode(number),
                FaultKind::WrongCount { what, count },
            );
        }
        Ok(())
    }

    /// Checks what lies in a file of the file system's own.
    pub(super) fn check_special_file(
        &mut self,
        number: InodeNumber,
        inode: &Inode,
        found: &FoundMap,
    ) -> Result<(), CheckError> {
        let superblock = &self.volume.superblock;
        let compatible = superblock.compatible();
        let has_journal = compatible.contains(Compatible::HAS_JOURNAL);
        if has_journal && number.0 == superblock.journal_inode {
            return self.check_journal(inode, found);
        }
        let has_orphan_file = compatible.contains(Compatible::ORPHAN_FILE);
        if has_orphan_file && number.0 == superblock.orphan_file_inode {
            let seed = inode.seed(self.volume.seed, number);
            return self.check_orphan_file(seed, &found.runs);
        }
        let is_unused = number == InodeNumber::JOURNAL && !has_journal;
        if is_unused && !is_zero_from(inode, 0) {
            self.inode_fault(number, "a journal that the superblock does not know");
        }
        Ok(())
    }

    fn journal_fault(&mut self, reason: &'static str) {
        self.fault(FaultPlace::Journal, FaultKind::Journal { reason });
    }

    fn check_journal(&mut self, inode: &Inode, found: &FoundMap) -> Result<(), CheckError> {
        let first = found.runs.first().filter(|run| run.logical == 0);
        let (Some(run), false) = (first, found.is_broken) else {
            self.journal_fault("it has no blocks");
            return Ok(());
        };
        let block = self.volume.block(run.physical)?;
        let journal = match JournalSuperblock::parse(&block) {
            Ok(journal) => journal,
            Err(error) => {
                self.fault(FaultPlace::Journal, FaultKind::Layout(error));
                return Ok(());
            }
        };
        let blocks = inode.size / self.volume.block_size as u64;
        let is_v2 = journal.block_type == JOURNAL_SUPERBLOCK_V2;
        let mapped: u64 = found.runs.iter().map(|it| it.count).sum();
        let rules = [
            (
                journal.block_size as usize != self.volume.block_size,
                "its blocks are not those of the file system",
            ),
            (
                u64::from(journal.length) > blocks || mapped < u64::from(journal.length),
                "it is longer than its inode",
            ),
            (
                is_v2 && !journal.features().difference(JOURNAL_FEATURES).is_empty(),
                "it has features that are not known",
            ),
            (
                is_v2 && journal.feature_ro_compat != 0,
                "it has features that are not known",
            ),
            (
                is_v2 && journal.users_count > 1,
                "it is said to be that of several file systems",
            ),
        ];
        for (_, reason) in rules.into_iter().filter(|(is_broken, _)| *is_broken) {
            self.journal_fault(reason);
        }
        if journal.start != 0 && !self.report.needs_recovery {
            self.journal_fault("it has changes, but the superblock does not say so");
        }
        self.check_log(found)
    }

    /// Reads the changes in the journal as replaying them does.
    fn check_log(&mut self, found: &FoundMap) -> Result<(), CheckError> {
        let runs = found.runs.iter().filter_map(|run| {
            Some(Extent {
                logical: u32::try_from(run.logical).ok()?,
                count: u32::try_from(run.count).ok()?,
                physical: run.physical,
                is_unwritten: false,
            })
        });
        let map = FileMap::new(runs.collect(), Nodes::Indirect);
        let blocks = Blocks::new(self.volume.device, self.volume.block_size, HashMap::new());
        let blocks_count = self.volume.superblock.blocks_count;
        let verified = recovery::verify_log(&blocks, blocks_count, &map);
        match verified {
            // What we cannot replay may be right.
            Ok(()) | Err(Error::Unsupported { .. }) => {}
            Err(Error::Device(error)) => return Err(error.into()),
            Err(error) => self.fault(FaultPlace::Journal, FaultKind::Log(error)),
        }
        Ok(())
    }

    fn check_orphan_file(&mut self, seed: u32, runs: &[MappedRun]) -> Result<(), CheckError> {
        let number = InodeNumber(self.volume.superblock.orphan_file_inode);
        for block_number in runs
            .iter()
            .flat_map(|run| run.physical..run.physical + run.count)
        {
            let block = self.volume.block(block_number)?;
            let place = FaultPlace::InodeBlock {
                inode: number,
                block: block_number,
            };
            let is_intact = is_orphan_block_intact(seed, block_number, &block);
            if self.volume.has_checksums && !is_intact {
                self.inode_block_checksum(number, block_number, "block of orphans");
            }
            match parse_orphans(&block) {
                Ok(orphans) => {
                    for orphan in orphans {
                        self.add_orphan(orphan, place);
                    }
                }
                Err(error) => self.fault(place, FaultKind::Layout(error)),
            }
        }
        Ok(())
    }

    fn add_orphan(&mut self, orphan: InodeNumber, place: FaultPlace) {
        let is_possible = self.volume.has_inode(orphan) && !self.volume.is_reserved(orphan);
        match is_possible {
            true => {
                self.orphans.insert(orphan);
            }
            false => {
                let reason = "an inode to be deleted that there is not";
                self.fault(place, FaultKind::Orphan { reason });
            }
        }
    }
}
