//! A segment's header: which blocks it publishes, where they lie, and where the next segment begins.

use super::{BlockNumber, Digest, Key, Slot, array_at, put, u32_at, u64_at};
use crate::{BLOCK_BYTES, Block};

/// Entries that a header has room for.
pub(crate) const ENTRIES_MAX: usize = (BLOCK_BYTES - at::ENTRIES) / ENTRY_BYTES;

const MAGIC: &[u8; 8] = b"minkeSEG";
const ENTRY_BYTES: usize = 16;
/// In place of a slot: the blocks are zeros.
const ZEROS: u32 = 1;
/// Flag of the segment that ends a commit.
const ENDS_COMMIT: u32 = 1;

/// Where each field begins.
mod at {
    pub(super) const MAGIC: usize = 0;
    pub(super) const SEQUENCE: usize = 8;
    pub(super) const NEXT: usize = 16;
    pub(super) const COUNT: usize = 20;
    pub(super) const FLAGS: usize = 24;
    pub(super) const CHAIN: usize = 32;
    pub(super) const CHECKSUM: usize = 64;
    pub(super) const ENTRIES: usize = 128;
}

/// A part of a commit: all its segments count, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// One more than that of the segment before.
    pub(crate) sequence: u64,
    /// Where the next segment's header is, or will be.
    pub(crate) next: Slot,
    pub(crate) ends_commit: bool,
    /// The checksum of the header before, or of the superblock: an old header in a used slot is never taken for the next one.
    pub(crate) chain: Digest,
    /// At most [`ENTRIES_MAX`], later ones over earlier ones.
    pub(crate) entries: Vec<Entry>,
}

/// A change of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Data {
        block: BlockNumber,
        slot: Slot,
        /// Of the block: data and header reach the disk in any order, and a header whose data is not there is no commit.
        sum: u64,
    },
    Zeros {
        first: BlockNumber,
        count: u32,
    },
}

impl Entry {
    fn encode(self) -> [u8; ENTRY_BYTES] {
        let (block, slot, value) = match self {
            Self::Data { block, slot, sum } => (block, slot.0, sum),
            Self::Zeros { first, count } => (first, ZEROS, u64::from(count)),
        };
        let mut bytes = [0; ENTRY_BYTES];
        put(&mut bytes, 0, &block.0.to_le_bytes());
        put(&mut bytes, 4, &slot.to_le_bytes());
        put(&mut bytes, 8, &value.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Entry> {
        let block = BlockNumber(u32_at(bytes, 0));
        let value = u64_at(bytes, 8);
        match u32_at(bytes, 4) {
            0 => None,
            ZEROS => Some(Self::Zeros {
                first: block,
                count: u32::try_from(value).ok()?,
            }),
            slot => Some(Self::Data {
                block,
                slot: Slot(slot),
                sum: value,
            }),
        }
    }
}

impl Segment {
    /// Returns the header and its checksum, which the next segment names.
    pub(crate) fn encode(&self, key: &Key) -> (Block, Digest) {
        let mut bytes = [0; BLOCK_BYTES];
        put(&mut bytes, at::MAGIC, MAGIC);
        put(&mut bytes, at::SEQUENCE, &self.sequence.to_le_bytes());
        put(&mut bytes, at::NEXT, &self.next.0.to_le_bytes());
        let count = self.entries.len() as u32;
        put(&mut bytes, at::COUNT, &count.to_le_bytes());
        let flags = if self.ends_commit { ENDS_COMMIT } else { 0 };
        put(&mut bytes, at::FLAGS, &flags.to_le_bytes());
        put(&mut bytes, at::CHAIN, &self.chain);
        for (index, entry) in self.entries.iter().enumerate() {
            put(
                &mut bytes,
                at::ENTRIES + index * ENTRY_BYTES,
                &entry.encode(),
            );
        }
        let checksum = key.digest(&bytes);
        put(&mut bytes, at::CHECKSUM, &checksum);
        (bytes, checksum)
    }

    /// Reads the header that follows on `chain`; `None` if this is not it, be it torn, old or never written.
    ///
    /// What is it, but makes no sense, is an error that says what is wrong.
    pub(crate) fn decode(
        key: &Key,
        bytes: &Block,
        sequence: u64,
        chain: &Digest,
    ) -> Result<Option<(Segment, Digest)>, &'static str> {
        let is_next = bytes[at::MAGIC..at::MAGIC + MAGIC.len()] == *MAGIC
            && u64_at(bytes, at::SEQUENCE) == sequence
            && array_at(bytes, at::CHAIN) == *chain;
        let checksum: Digest = array_at(bytes, at::CHECKSUM);
        if !is_next || checksum != checksum_of(key, bytes) {
            return Ok(None);
        }
        let flags = u32_at(bytes, at::FLAGS);
        let next = Slot(u32_at(bytes, at::NEXT));
        let count = u32_at(bytes, at::COUNT) as usize;
        if flags & !ENDS_COMMIT != 0 || next < Slot::FIRST || count > ENTRIES_MAX {
            return Err("a field of a segment's header");
        }
        let entries = bytes[at::ENTRIES..].chunks_exact(ENTRY_BYTES).take(count);
        let segment = Segment {
            sequence,
            next,
            ends_commit: flags == ENDS_COMMIT,
            chain: *chain,
            entries: entries
                .map(Entry::decode)
                .collect::<Option<_>>()
                .ok_or("an entry of a segment's header")?,
        };
        Ok(Some((segment, checksum)))
    }
}

/// Computes the checksum as if its own field held zeros.
fn checksum_of(key: &Key, bytes: &Block) -> Digest {
    let mut bytes = *bytes;
    bytes[at::CHECKSUM..at::CHECKSUM + size_of::<Digest>()].fill(0);
    key.digest(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> Segment {
        let data = |block| Entry::Data {
            block: BlockNumber(block),
            slot: Slot(block + 7),
            sum: u64::from(block) << 40,
        };
        let zeros = Entry::Zeros {
            first: BlockNumber(9),
            count: 3,
        };
        Segment {
            sequence: 5,
            next: Slot(300),
            ends_commit: true,
            chain: [7; 32],
            entries: (0..ENTRIES_MAX as u32 - 1)
                .map(data)
                .chain([zeros])
                .collect(),
        }
    }

    #[test]
    fn a_full_header_is_read_back() {
        let key = Key::new(&[1; 16]);
        let (bytes, checksum) = segment().encode(&key);
        let read = Segment::decode(&key, &bytes, 5, &[7; 32]);
        assert_eq!(read, Ok(Some((segment(), checksum))));
    }

    #[test]
    fn a_header_of_another_file_place_or_time_is_not_the_next_one() {
        let key = Key::new(&[1; 16]);
        let (mut bytes, _) = segment().encode(&key);
        assert_eq!(Segment::decode(&key, &bytes, 6, &[7; 32]), Ok(None));
        assert_eq!(Segment::decode(&key, &bytes, 5, &[8; 32]), Ok(None));
        let other = Key::new(&[2; 16]);
        assert_eq!(Segment::decode(&other, &bytes, 5, &[7; 32]), Ok(None));
        bytes[2000] ^= 1;
        assert_eq!(Segment::decode(&key, &bytes, 5, &[7; 32]), Ok(None));
    }
}
