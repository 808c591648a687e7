//! Opening a change file: superblock, map, and what the log says since.
//!
//! The log ends where no header follows. Only the last commit may be there in part, since the one before was made durable before
//! anything after it was written; so its blocks are read and compared with their checksums, and it counts whole or not at all.

use std::collections::BTreeMap;
use std::io;

use crate::error::cannot;
use crate::layout::{
    BlockNumber, DirectoryEntry, DirectoryPage, Entry, Key, PageRef, Region, SUPERBLOCK_BYTES,
    Segment, Slot, Superblock, decode_leaf,
};
use crate::map::{LEAF_BLOCKS, Map, Place};
use crate::writer::Tail;
use crate::{BLOCK_BYTES, Block, DiskError, Limits, Storage};

/// A superblock, and whether both copies are as they should be.
pub(crate) struct FoundSuperblock {
    pub(crate) superblock: Superblock,
    pub(crate) needs_repair: bool,
}

/// Reads the superblock from the newer of its copies.
///
/// Both are durable with the first commit, so without any there was none: [`DiskError::NeverBegun`].
pub(crate) fn read_superblock(storage: &dyn Storage) -> Result<FoundSuperblock, DiskError> {
    let copies = [Slot(0), Slot(1)].map(|slot| read_copy(storage, slot));
    match copies {
        [Err(DiskError::NeverBegun), Err(DiskError::NeverBegun)] => Err(DiskError::NeverBegun),
        [Err(DiskError::NeverBegun), Err(error)]
        | [Err(error @ DiskError::NewerVersion { .. }), _]
        | [_, Err(error @ DiskError::NewerVersion { .. })]
        | [Err(error), Err(_)] => Err(error),
        [Ok(superblock), Err(_)] | [Err(_), Ok(superblock)] => Ok(FoundSuperblock {
            superblock,
            needs_repair: true,
        }),
        [Ok(first), Ok(second)] => Ok(FoundSuperblock {
            needs_repair: first != second,
            superblock: if first.number < second.number {
                second
            } else {
                first
            },
        }),
    }
}

fn read_copy(storage: &dyn Storage, slot: Slot) -> Result<Superblock, DiskError> {
    let mut bytes = [0; SUPERBLOCK_BYTES];
    match read_exact(storage, slot.offset(), &mut bytes, "its superblock") {
        Err(error @ DiskError::Truncated { .. }) => {
            let is_behind_end = storage.length().is_ok_and(|it| it <= slot.offset());
            return Err(match is_behind_end {
                true => DiskError::NeverBegun,
                false => error,
            });
        }
        result => result?,
    }
    if bytes == [0; SUPERBLOCK_BYTES] {
        return Err(DiskError::NeverBegun);
    }
    Superblock::decode(&bytes, slot.offset())
}

/// Fills `bytes`; a file that ends before is [`DiskError::Truncated`].
pub(crate) fn read_exact(
    storage: &dyn Storage,
    offset: u64,
    bytes: &mut [u8],
    what: &'static str,
) -> Result<(), DiskError> {
    storage
        .read_at(offset, bytes)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => DiskError::Truncated { what, offset },
            _ => cannot("read the disk's changes")(error),
        })
}

/// A change file that is read: its pages are checked against their digests.
pub(crate) struct Reader<'a> {
    pub(crate) storage: &'a dyn Storage,
    pub(crate) key: &'a Key,
    /// Of the whole disk.
    pub(crate) blocks_count: u64,
}

/// The pages of a directory.
#[derive(Default)]
pub(crate) struct Directory {
    /// By leaf, each leaf once.
    pub(crate) entries: Vec<DirectoryEntry>,
    pub(crate) slots: Vec<Slot>,
}

impl Reader<'_> {
    /// Reads the whole directory.
    pub(crate) fn directory(
        &self,
        first: Option<PageRef>,
        limits: &Limits,
    ) -> Result<Directory, DiskError> {
        let mut directory = Directory::default();
        let mut next = first;
        let mut leaf_min = 0;
        while let Some(page) = next {
            let bytes = self.page(page, "a page of the map's directory")?;
            let corrupt = || DiskError::Corrupt {
                what: "an entry of the map's directory",
                offset: page.slot.offset(),
            };
            let decoded = DirectoryPage::decode(&bytes).ok_or_else(corrupt)?;
            // Each page has an entry, and leaves only grow: no list of pages goes on without end.
            for entry in &decoded.entries {
                let end = u64::from(entry.leaf) + u64::from(entry.count());
                if u64::from(entry.leaf) < leaf_min || end > self.leaves_count() {
                    return Err(corrupt());
                }
                leaf_min = end;
            }
            directory.slots.push(page.slot);
            directory.entries.extend(decoded.entries);
            check_memory(size_of_val(&*directory.entries), limits)?;
            next = decoded.next;
        }
        Ok(directory)
    }

    fn leaves_count(&self) -> u64 {
        self.blocks_count.div_ceil(LEAF_BLOCKS as u64)
    }

    /// Reads a leaf; each of its slots lies in the file, which has `slots_count`.
    pub(crate) fn leaf(
        &self,
        page: PageRef,
        slots_count: u64,
    ) -> Result<Box<[u32; LEAF_BLOCKS]>, DiskError> {
        let codes = decode_leaf(&self.page(page, "a leaf of the map")?);
        let outside = codes.iter().find(|code| u64::from(**code) >= slots_count);
        match outside {
            Some(slot) if *slot >= Slot::FIRST.0 => Err(DiskError::Truncated {
                what: "a block",
                offset: Slot(*slot).offset(),
            }),
            _ => Ok(codes),
        }
    }

    fn page(&self, page: PageRef, what: &'static str) -> Result<Block, DiskError> {
        let mut bytes = [0; BLOCK_BYTES];
        let offset = page.slot.offset();
        read_exact(self.storage, offset, &mut bytes, what)?;
        match self.key.page_digest(&bytes) == page.digest {
            true => Ok(bytes),
            false => Err(DiskError::Corrupt { what, offset }),
        }
    }
}

fn check_memory(bytes: usize, limits: &Limits) -> Result<(), DiskError> {
    let bytes_max = limits.map_bytes_max;
    match bytes > bytes_max {
        true => Err(DiskError::MapTooLarge { bytes_max }),
        false => Ok(()),
    }
}

/// A change file as of its last commit.
pub(crate) struct Recovered {
    pub(crate) map: Map,
    pub(crate) stored: BTreeMap<u32, PageRef>,
    pub(crate) directory: Vec<Slot>,
    /// Headers since the checkpoint.
    pub(crate) log: Vec<Slot>,
    /// Slots that only commits before the last refer to.
    pub(crate) unreleased: Vec<Slot>,
    pub(crate) tail: Tail,
    /// All slots that are taken, sorted.
    pub(crate) used: Vec<Slot>,
}

/// Reads the map and the log.
pub(crate) fn recover(
    reader: &Reader<'_>,
    superblock: &Superblock,
    limits: &Limits,
) -> Result<Recovered, DiskError> {
    let length = reader.storage.length();
    let length = length.map_err(cannot("read the size of the change file"))?;
    let directory = reader.directory(superblock.directory, limits)?;
    let tail = Tail {
        slot: superblock.log,
        sequence: superblock.sequence,
        chain: superblock.chain(),
    };
    let mut recovery = Recovery {
        reader,
        limits,
        slots_count: length / BLOCK_BYTES as u64,
        recovered: Recovered {
            map: Map::new(reader.blocks_count),
            stored: BTreeMap::new(),
            directory: directory.slots,
            log: Vec::new(),
            unreleased: Vec::new(),
            tail,
            used: Vec::new(),
        },
    };
    recovery.load(&directory.entries)?;
    let end = recovery.last_commit_end()?;
    recovery.apply(end)?;
    recovery.find_used()?;
    Ok(recovery.recovered)
}

struct Recovery<'a> {
    reader: &'a Reader<'a>,
    limits: &'a Limits,
    /// Whole slots in the file.
    slots_count: u64,
    recovered: Recovered,
}

impl Recovery<'_> {
    /// Loads the map as of the checkpoint.
    fn load(&mut self, entries: &[DirectoryEntry]) -> Result<(), DiskError> {
        for entry in entries {
            match entry.region {
                Region::Zeros(count) => {
                    let first = BlockNumber(entry.leaf * LEAF_BLOCKS as u32);
                    let count = u64::from(count) * LEAF_BLOCKS as u64;
                    self.recovered.map.set_zeros(first, count, &mut Vec::new());
                }
                Region::Page(page) => {
                    let codes = self.reader.leaf(page, self.slots_count)?;
                    self.check_end(entry.leaf, page, &codes)?;
                    self.recovered.map.load_leaf(entry.leaf, codes);
                    self.recovered.stored.insert(entry.leaf, page);
                }
            }
            self.check_memory()?;
        }
        self.recovered.map.take_changed();
        Ok(())
    }

    /// Refuses slots for blocks behind the end of the disk, which nobody could count.
    fn check_end(
        &self,
        leaf: u32,
        page: PageRef,
        codes: &[u32; LEAF_BLOCKS],
    ) -> Result<(), DiskError> {
        let first = u64::from(leaf) * LEAF_BLOCKS as u64;
        let inside = (self.reader.blocks_count - first).min(LEAF_BLOCKS as u64);
        let mut behind = codes[inside as usize..].iter();
        match behind.any(|code| *code >= Slot::FIRST.0) {
            true => Err(DiskError::Corrupt {
                what: "a leaf of the map",
                offset: page.slot.offset(),
            }),
            false => Ok(()),
        }
    }

    fn check_memory(&self) -> Result<(), DiskError> {
        let unreleased = size_of_val(&*self.recovered.unreleased);
        check_memory(self.recovered.map.bytes() + unreleased, self.limits)
    }

    /// Reads the segment that begins at the tail, if there is one, and the tail behind it.
    fn segment(&self, tail: &Tail) -> Result<Option<(Segment, Tail)>, DiskError> {
        let header = self.read_or_zeros(tail.slot)?;
        let corrupt = |what| DiskError::Corrupt {
            what,
            offset: tail.slot.offset(),
        };
        let key = self.reader.key;
        let decoded = Segment::decode(key, &header, tail.sequence, &tail.chain);
        let Some((segment, chain)) = decoded.map_err(corrupt)? else {
            return Ok(None);
        };
        if !segment.entries.iter().all(|entry| self.is_in_disk(entry)) {
            return Err(corrupt("an entry of a segment's header"));
        }
        let next = Tail {
            slot: segment.next,
            sequence: tail.sequence + 1,
            chain,
        };
        Ok(Some((segment, next)))
    }

    fn is_in_disk(&self, entry: &Entry) -> bool {
        let (first, count) = match *entry {
            Entry::Data { block, .. } => (block, 1),
            Entry::Zeros { first, count } => (first, count),
        };
        u64::from(first.0) + u64::from(count) <= self.reader.blocks_count
    }

    /// Reads a slot; where the file ends there are zeros.
    fn read_or_zeros(&self, slot: Slot) -> Result<Block, DiskError> {
        let mut bytes = [0; BLOCK_BYTES];
        match read_exact(self.reader.storage, slot.offset(), &mut bytes, "a segment") {
            Err(DiskError::Truncated { .. }) => Ok([0; BLOCK_BYTES]),
            result => result.map(|()| bytes),
        }
    }

    /// Returns the tail behind the last commit that is there as a whole.
    fn last_commit_end(&self) -> Result<Tail, DiskError> {
        let mut before_last = self.recovered.tail;
        let mut last = self.recovered.tail;
        let mut tail = self.recovered.tail;
        while let Some((segment, next)) = self.segment(&tail)? {
            tail = next;
            if segment.ends_commit {
                (before_last, last) = (last, next);
            }
        }
        match self.first_wrong_block(before_last, last)? {
            None => Ok(last),
            // What follows on a commit is written when that is durable.
            Some(slot) if tail.sequence != last.sequence => Err(DiskError::Corrupt {
                what: "a block of a commit",
                offset: slot.offset(),
            }),
            Some(_) => Ok(before_last),
        }
    }

    /// Compares the blocks of some segments with their checksums.
    fn first_wrong_block(&self, from: Tail, to: Tail) -> Result<Option<Slot>, DiskError> {
        let mut tail = from;
        while tail.sequence != to.sequence
            && let Some((segment, next)) = self.segment(&tail)?
        {
            for entry in &segment.entries {
                if let Entry::Data { slot, sum, .. } = entry
                    && !self.has_sum(*slot, *sum)?
                {
                    return Ok(Some(*slot));
                }
            }
            tail = next;
        }
        Ok(None)
    }

    fn has_sum(&self, slot: Slot, sum: u64) -> Result<bool, DiskError> {
        let is_in_file = u64::from(slot.0) < self.slots_count;
        Ok(is_in_file && self.reader.key.sum(&self.read_or_zeros(slot)?) == sum)
    }

    /// Applies the log up to a tail.
    fn apply(&mut self, end: Tail) -> Result<(), DiskError> {
        while self.recovered.tail.sequence != end.sequence
            && let Some((segment, next)) = self.segment(&self.recovered.tail)?
        {
            self.recovered.log.push(self.recovered.tail.slot);
            self.recovered.tail = next;
            for entry in segment.entries {
                self.apply_entry(entry)?;
            }
            self.check_memory()?;
        }
        Ok(())
    }

    fn apply_entry(&mut self, entry: Entry) -> Result<(), DiskError> {
        let Recovered {
            map, unreleased, ..
        } = &mut self.recovered;
        match entry {
            Entry::Zeros { first, count } => map.set_zeros(first, u64::from(count), unreleased),
            Entry::Data { slot, .. } if u64::from(slot.0) >= self.slots_count => {
                return Err(DiskError::Truncated {
                    what: "a block",
                    offset: slot.offset(),
                });
            }
            Entry::Data { block, slot, .. } => {
                if let Place::Slot(old) = map.set(block, Place::Slot(slot)) {
                    unreleased.push(old);
                }
            }
        }
        Ok(())
    }

    /// Lists the slots that are taken; none may be taken twice.
    fn find_used(&mut self) -> Result<(), DiskError> {
        let recovered = &mut self.recovered;
        let mut used = vec![recovered.tail.slot];
        used.extend(&recovered.log);
        used.extend(&recovered.unreleased);
        used.extend(&recovered.directory);
        used.extend(recovered.stored.values().map(|page| page.slot));
        recovered.map.for_each_run(|_, count, place| {
            if let Place::Slot(slot) = place {
                used.extend((slot.0..).map(Slot).take(count as usize));
            }
        });
        used.sort_unstable();
        let twice = used.windows(2).find(|pair| pair[0] == pair[1]);
        if let Some(twice) = twice {
            return Err(DiskError::Corrupt {
                what: "two uses of one slot",
                offset: twice[0].offset(),
            });
        }
        if used.last() == Some(&Slot(u32::MAX)) {
            return Err(DiskError::Unsupported {
                feature: "it has more than 16 TiB",
            });
        }
        recovered.used = used;
        Ok(())
    }
}
