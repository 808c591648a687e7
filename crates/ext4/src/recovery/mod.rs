//! Replaying the journal that Linux leaves behind when it stops without unmounting.
//!
//! The log is read whole before anything is written: transactions that end in a commit record count, the first that does not ends it.
//!
//! Fast commits, which go on from there, are done after that.
//!
//! Spec: ext4 disk layout, "Journal (jbd2)".

mod overlay;
mod replay;

use std::collections::HashMap;

use crate::blocks::Blocks;
use crate::device::Device;
use crate::file_system::FileSystem;
use crate::files::map::FileMap;
use crate::layout::checksum::crc32_be;
use crate::layout::fast_commit::{FastRecord, parse_fast_commits};
use crate::layout::features::names;
use crate::layout::journal::{
    JOURNAL_COMPAT_CHECKSUM, JOURNAL_MAGIC, JournalBlock, JournalFeatures, JournalSuperblock,
    JournalTag, commit_transaction_sum, copy_checksum, is_commit_intact, is_journal_tail_intact,
    parse_journal_header, parse_revocations, parse_tags,
};
use crate::layout::superblock::SUPERBLOCK_OFFSET;
use crate::layout::{Incompatible, InodeNumber, Superblock, Timestamp};
use crate::{Error, Place};

/// Features of journals that can be replayed.
const REPLAYABLE: JournalFeatures = JournalFeatures::REVOKE
    .union(JournalFeatures::BIT64)
    .union(JournalFeatures::ASYNC_COMMIT)
    .union(JournalFeatures::CSUM_V2)
    .union(JournalFeatures::CSUM_V3)
    .union(JournalFeatures::FAST_COMMIT);
/// Blocks for fast commits, if the journal does not say how many. Linux: `JBD2_DEFAULT_FAST_COMMIT_BLOCKS`.
const FAST_COMMIT_BLOCKS: u32 = 256;

/// What a log says.
pub(crate) struct Replayed {
    /// Blocks of the file system as the last transaction left them.
    pub(crate) blocks: HashMap<u64, Box<[u8]>>,
    journal: JournalSuperblock,
    /// The block of the device with the journal's superblock.
    superblock_block: u64,
}

/// A transaction that was committed.
struct Transaction {
    sequence: u32,
    /// Each copy with its block of the journal.
    copies: Vec<(JournalTag, u32)>,
    revoked: Vec<u64>,
}

/// Reads the log of the file system's journal.
pub(crate) fn read_log<D: Device>(
    system: &FileSystem<D>,
    now: Timestamp,
) -> Result<Replayed, Error> {
    let superblock = &system.geometry.superblock;
    if superblock.journal_inode == 0 {
        return Err(Error::Unsupported {
            features: "journal on another device".to_string(),
        });
    }
    let node = system.node(InodeNumber(superblock.journal_inode))?;
    let state = system.read_mapped_state(&node)?;
    let mut log = Log::open(&system.blocks, superblock.blocks_count, state.map())?;
    let mut blocks = HashMap::new();
    if log.journal.start != 0 {
        let (transactions, next) = log.committed()?;
        let commits = log.fast_commits(next)?;
        blocks = log.replay(&transactions)?;
        if !commits.is_empty() {
            let (device, size) = (&system.blocks.device, system.geometry.block_size);
            blocks = replay::replay(device, size, blocks, &commits, now)?;
        }
        log.journal.sequence = next.wrapping_add(1);
        log.journal.start = 0;
    }
    Ok(Replayed {
        blocks,
        superblock_block: log.place(0)?,
        journal: log.journal,
    })
}

/// Reads a log as replaying it does, and keeps nothing of it. `map` is that of the journal's inode.
///
/// # Errors
/// What is wrong with a transaction that was committed.
pub(crate) fn verify_log<D: Device>(
    blocks: &Blocks<D>,
    blocks_count: u64,
    map: &FileMap,
) -> Result<(), Error> {
    let log = Log::open(blocks, blocks_count, map)?;
    if log.journal.start == 0 {
        return Ok(());
    }
    let (transactions, next) = log.committed()?;
    log.fast_commits(next)?;
    for transaction in &transactions {
        for (tag, copy) in &transaction.copies {
            log.restore(transaction.sequence, tag, *copy)?;
        }
    }
    Ok(())
}

/// Writes what a log says to the device, and that the journal is empty.
pub(crate) fn write<D: Device>(system: &FileSystem<D>, replayed: &Replayed) -> Result<(), Error> {
    for (block, bytes) in &replayed.blocks {
        system.blocks.write(*block, bytes)?;
    }
    let size = system.geometry.block_size;
    let mut bytes = vec![0; size];
    system
        .blocks
        .read(replayed.superblock_block, 0, &mut bytes)?;
    replayed.journal.write(&mut bytes);
    system.blocks.write(replayed.superblock_block, &bytes)?;
    let mut bytes = [0; Superblock::SIZE_BYTES];
    let device = &system.blocks.device;
    device.read_at(SUPERBLOCK_OFFSET, &mut bytes)?;
    let mut superblock = Superblock::parse(&bytes).map_err(Error::layout(Place::Superblock))?;
    superblock.feature_incompat &= !Incompatible::RECOVER.bits();
    superblock.write(&mut bytes);
    device.write_at(SUPERBLOCK_OFFSET, &bytes)?;
    Ok(device.commit()?)
}

struct Log<'a, D> {
    blocks: &'a Blocks<D>,
    blocks_count: u64,
    map: &'a FileMap,
    journal: JournalSuperblock,
    /// Block behind the last of the log.
    end: u32,
    seed: u32,
}

impl<'a, D: Device> Log<'a, D> {
    fn open(
        blocks: &'a Blocks<D>,
        blocks_count: u64,
        map: &'a FileMap,
    ) -> Result<Log<'a, D>, Error> {
        let first = map
            .find(0)
            .ok_or(Error::corrupt(Place::Journal(0), "the journal is empty"))?;
        let mut bytes = vec![0; blocks.block_size()];
        blocks.read(first.physical, 0, &mut bytes)?;
        let journal = JournalSuperblock::parse(&bytes).map_err(Error::layout(Place::Journal(0)))?;
        let unknown = journal.features().difference(REPLAYABLE);
        if !unknown.is_empty() || journal.feature_ro_compat != 0 {
            return Err(Error::Unsupported {
                features: format!("journal with {}", names(unknown)),
            });
        }
        if journal.block_size as usize != blocks.block_size() {
            return Err(Error::corrupt(Place::Journal(0), "blocks of another size"));
        }
        let fast = match (
            journal.features().contains(JournalFeatures::FAST_COMMIT),
            journal.fast_commit_blocks,
        ) {
            (false, _) => 0,
            (true, 0) => FAST_COMMIT_BLOCKS,
            (true, count) => count,
        };
        let end = journal.length.saturating_sub(fast);
        if journal.first >= end || journal.start >= end {
            return Err(Error::corrupt(
                Place::Journal(0),
                "a log outside of the journal",
            ));
        }
        Ok(Log {
            blocks,
            blocks_count,
            map,
            seed: journal.seed(),
            journal,
            end,
        })
    }

    /// Returns where a block of the journal lies on the device.
    fn place(&self, block: u32) -> Result<u64, Error> {
        let run = self.map.find(block);
        Ok(run
            .ok_or(Error::corrupt(
                Place::Journal(block),
                "the journal has a hole",
            ))?
            .physical)
    }

    fn read(&self, block: u32) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; self.blocks.block_size()];
        self.blocks.read(self.place(block)?, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// Returns the block `count` behind `block`, around the end of the log.
    fn after(&self, block: u32, count: u32) -> u32 {
        let length = u64::from(self.end - self.journal.first);
        let offset = u64::from(block.saturating_sub(self.journal.first)) + u64::from(count);
        self.journal.first + (offset % length) as u32
    }

    /// Reads the transactions that were committed, and the number of the one that would come next.
    fn committed(&self) -> Result<(Vec<Transaction>, u32), Error> {
        let features = self.journal.features();
        let mut transactions = Vec::new();
        let mut sequence = self.journal.sequence;
        let mut open = Transaction {
            sequence,
            copies: Vec::new(),
            revoked: Vec::new(),
        };
        let (mut block, mut sum) = (self.journal.start, !0);
        // The log is at most as long as the journal.
        let mut left = self.end - self.journal.first;
        while left > 0 {
            let bytes = self.read(block)?;
            let Some((kind, found)) = parse_journal_header(&bytes) else {
                break;
            };
            let is_intact = match kind {
                JournalBlock::Descriptor | JournalBlock::Revocation => {
                    !self.journal.has_checksums() || is_journal_tail_intact(self.seed, &bytes)
                }
                JournalBlock::Commit => self.is_committed(&bytes, sum),
                JournalBlock::SuperblockV1 | JournalBlock::SuperblockV2 => false,
            };
            if found != sequence || !is_intact {
                break;
            }
            let mut used = 1;
            match kind {
                JournalBlock::Descriptor => {
                    sum = crc32_be(sum, &bytes);
                    for tag in parse_tags(features, &bytes) {
                        let copy = self.after(block, used);
                        if self.sums_transactions() {
                            sum = crc32_be(sum, &self.read(copy)?);
                        }
                        open.copies.push((tag, copy));
                        used += 1;
                    }
                }
                JournalBlock::Revocation => {
                    let revoked = parse_revocations(features, &bytes);
                    open.revoked
                        .extend(revoked.map_err(Error::layout(Place::Journal(block)))?);
                }
                _ => {
                    sequence = sequence.wrapping_add(1);
                    let next = Transaction {
                        sequence,
                        copies: Vec::new(),
                        revoked: Vec::new(),
                    };
                    transactions.push(std::mem::replace(&mut open, next));
                    sum = !0;
                }
            }
            block = self.after(block, used);
            left = left.saturating_sub(used);
        }
        Ok((transactions, sequence))
    }

    /// Whether commit blocks hold a sum of the whole transaction: journals before version 2.
    fn sums_transactions(&self) -> bool {
        self.journal.feature_compat & JOURNAL_COMPAT_CHECKSUM != 0 && !self.journal.has_checksums()
    }

    /// `sum` is that of the transaction's blocks.
    fn is_committed(&self, bytes: &[u8], sum: u32) -> bool {
        match commit_transaction_sum(bytes) {
            _ if self.journal.has_checksums() => is_commit_intact(self.seed, bytes),
            Some(found) if self.sums_transactions() => found == sum,
            _ => true,
        }
    }

    /// Returns the fast commits that go on from the log, whose next transaction would be `next`. They begin behind the block that follows the
    /// log's last, which neither uses: `e2fsck` finds them there alone.
    fn fast_commits(&self, next: u32) -> Result<Vec<Vec<FastRecord>>, Error> {
        let first = self.end.saturating_add(1);
        let mut bytes = Vec::new();
        for block in first..self.journal.length {
            bytes.extend(self.read(block)?);
        }
        let found = parse_fast_commits(&bytes, self.blocks.block_size(), next)
            .map_err(Error::layout(Place::Journal(first)))?;
        match found.features {
            0 => Ok(found.commits),
            features => Err(Error::Unsupported {
                features: format!("fast commits with features {features:#x}"),
            }),
        }
    }

    /// Returns what blocks are after all transactions.
    fn replay(&self, transactions: &[Transaction]) -> Result<HashMap<u64, Box<[u8]>>, Error> {
        let start = self.journal.sequence;
        let age = |sequence: u32| sequence.wrapping_sub(start);
        let mut revoked = HashMap::new();
        for transaction in transactions {
            for block in &transaction.revoked {
                revoked.insert(*block, age(transaction.sequence));
            }
        }
        let mut blocks = HashMap::new();
        for transaction in transactions {
            for (tag, copy) in &transaction.copies {
                let is_revoked = revoked
                    .get(&tag.block)
                    .is_some_and(|last| age(transaction.sequence) <= *last);
                if !is_revoked {
                    blocks.insert(tag.block, self.restore(transaction.sequence, tag, *copy)?);
                }
            }
        }
        Ok(blocks)
    }

    fn restore(&self, sequence: u32, tag: &JournalTag, copy: u32) -> Result<Box<[u8]>, Error> {
        if tag.block >= self.blocks_count {
            return Err(Error::corrupt(
                Place::Journal(copy),
                "a copy of a block outside",
            ));
        }
        let mut bytes = self.read(copy)?;
        let sum = copy_checksum(self.journal.features(), self.seed, sequence, &bytes);
        if tag.checksum.is_some_and(|expected| expected != sum) {
            return Err(Error::corrupt(
                Place::Journal(copy),
                "wrong checksum of a copy",
            ));
        }
        if tag.is_escaped {
            bytes[..4].copy_from_slice(&JOURNAL_MAGIC.to_be_bytes());
        }
        Ok(bytes.into())
    }
}
