//! Fast commits: what small changes did, told in records behind the journal's log instead of in copies of blocks.
//!
//! A record is a tag, a length, and a value; none crosses the end of a block. The first is a head with the transaction that all of them follow; each tail
//! ends a commit, with the sum of its bytes. Whatever is behind the last whole commit was not finished, or is older. All numbers are little-endian.
//!
//! Spec: ext4 disk layout, "Journal (jbd2)", "Fast commits". What it leaves open was seen in journals of Linux 6.18: the sum of a commit begins with 0 and
//! covers padding too, and a tail takes the rest of its block.

use super::checksum::crc32c;
use super::extent::{EXTENT_ENTRY_BYTES, Extent, parse_extent};
use super::fields::get;
use super::{InodeNumber, LayoutError, corrupt};

/// Bytes of a record's tag and length.
const HEADER_BYTES: usize = 4;
/// Bytes of a tail's transaction, which its sum covers, and of the sum.
const TAIL_BYTES: usize = 8;
/// Bytes of a name's two inodes.
const NAME_AT: usize = 8;

const TAG_ADD_RANGE: u16 = 1;
const TAG_DELETE_RANGE: u16 = 2;
const TAG_CREATE: u16 = 3;
const TAG_LINK: u16 = 4;
const TAG_UNLINK: u16 = 5;
const TAG_INODE: u16 = 6;
const TAG_PADDING: u16 = 7;
const TAG_TAIL: u16 = 8;
const TAG_HEAD: u16 = 9;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FastRecord {
    /// Blocks of a file lie there now, whatever was mapped before.
    AddRange { inode: InodeNumber, extent: Extent },
    /// Blocks of a file are mapped no more.
    DeleteRange {
        inode: InodeNumber,
        logical: u32,
        count: u32,
    },
    /// A directory got a name, of an inode that was made for it or that has others.
    AddName {
        directory: InodeNumber,
        inode: InodeNumber,
        name: Vec<u8>,
    },
    /// A directory lost a name.
    RemoveName {
        directory: InodeNumber,
        inode: InodeNumber,
        name: Vec<u8>,
    },
    /// An inode as it was last, without extended attributes; its map may lead to nodes that were never written.
    Inode { number: InodeNumber, bytes: Vec<u8> },
}

/// The commits that are whole, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FastCommits {
    /// `fc_features`: what a reader has to know; none is known.
    pub features: u32,
    pub commits: Vec<Vec<FastRecord>>,
}

/// A record of which only the borders are known.
struct Raw<'a> {
    tag: u16,
    value: &'a [u8],
    /// Header and value.
    whole: &'a [u8],
}

/// Parses the blocks for fast commits, as far as commits of `transaction` follow each other.
///
/// # Errors
/// [`LayoutError`] for a commit whose sum is right, but which has records that make no sense.
pub fn parse_fast_commits(
    blocks: &[u8],
    block_size: usize,
    transaction: u32,
) -> Result<FastCommits, LayoutError> {
    let mut found = FastCommits::default();
    let mut open = Vec::new();
    let (mut sum, mut has_head) = (0, false);
    for raw in blocks.chunks_exact(block_size).flat_map(raw_records) {
        match raw.tag {
            TAG_HEAD if raw.value.len() >= 8 && get::<u32>(raw.value, 4) == transaction => {
                found.features |= get::<u32>(raw.value, 0);
                has_head = true;
            }
            _ if !has_head => break,
            TAG_ADD_RANGE..=TAG_INODE => open.push((raw.tag, raw.value)),
            TAG_PADDING => {}
            TAG_TAIL if is_tail_intact(sum, &raw, transaction) => {
                let records = open.drain(..).map(|(tag, value)| parse_record(tag, value));
                found.commits.push(records.collect::<Result<_, _>>()?);
                sum = 0;
                continue;
            }
            _ => break,
        }
        sum = crc32c(sum, raw.whole);
    }
    Ok(found)
}

/// Splits a block into records; one that would cross its end is the last, and of no known tag.
fn raw_records(block: &[u8]) -> impl Iterator<Item = Raw<'_>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        let (tag, length) = match rest.len() {
            0 => return None,
            HEADER_BYTES.. => (get::<u16>(rest, 0), usize::from(get::<u16>(rest, 2))),
            _ => (0, usize::MAX),
        };
        let end = length.saturating_add(HEADER_BYTES);
        let raw = match end <= rest.len() {
            true => Raw {
                tag,
                value: &rest[HEADER_BYTES..end],
                whole: &rest[..end],
            },
            false => Raw {
                tag: 0,
                value: &[],
                whole: &[],
            },
        };
        rest = rest.get(end..).unwrap_or_default();
        Some(raw)
    })
}

fn is_tail_intact(sum: u32, raw: &Raw<'_>, transaction: u32) -> bool {
    const SUMMED_BYTES: usize = HEADER_BYTES + 4;
    raw.value.len() >= TAIL_BYTES
        && get::<u32>(raw.value, 0) == transaction
        && get::<u32>(raw.value, 4) == crc32c(sum, &raw.whole[..SUMMED_BYTES])
}

fn parse_record(tag: u16, value: &[u8]) -> Result<FastRecord, LayoutError> {
    let length_min = match tag {
        TAG_ADD_RANGE => 4 + EXTENT_ENTRY_BYTES,
        TAG_DELETE_RANGE => 12,
        TAG_INODE => 4,
        _ => NAME_AT,
    };
    if value.len() < length_min {
        return Err(corrupt("fast commit", "a record cut short"));
    }
    let number = |at| get::<u32>(value, at);
    let inode = InodeNumber(number(0));
    Ok(match tag {
        TAG_ADD_RANGE => FastRecord::AddRange {
            inode,
            extent: parse_extent(&value[4..]),
        },
        TAG_DELETE_RANGE => FastRecord::DeleteRange {
            inode,
            logical: number(4),
            count: number(8),
        },
        TAG_INODE => FastRecord::Inode {
            number: inode,
            bytes: value[4..].to_vec(),
        },
        TAG_UNLINK => FastRecord::RemoveName {
            directory: inode,
            inode: InodeNumber(number(4)),
            name: value[NAME_AT..].to_vec(),
        },
        TAG_CREATE | TAG_LINK => FastRecord::AddName {
            directory: inode,
            inode: InodeNumber(number(4)),
            name: value[NAME_AT..].to_vec(),
        },
        _ => return Err(corrupt("fast commit", "a record of unknown kind")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_BYTES: usize = 64;

    fn record(tag: u16, value: &[u8]) -> Vec<u8> {
        [
            &tag.to_le_bytes()[..],
            &(value.len() as u16).to_le_bytes(),
            value,
        ]
        .concat()
    }

    fn name(tag: u16, name: &[u8]) -> Vec<u8> {
        record(
            tag,
            &[&2_u32.to_le_bytes()[..], &12_u32.to_le_bytes(), name].concat(),
        )
    }

    /// Ends a commit, and its block.
    fn with_tail(mut bytes: Vec<u8>, transaction: u32) -> Vec<u8> {
        let rest = BLOCK_BYTES - bytes.len() % BLOCK_BYTES;
        bytes.extend(
            [TAG_TAIL, (rest - HEADER_BYTES) as u16]
                .map(u16::to_le_bytes)
                .concat(),
        );
        bytes.extend(transaction.to_le_bytes());
        bytes.extend(crc32c(0, &bytes).to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
        bytes
    }

    fn head(transaction: u32) -> Vec<u8> {
        record(TAG_HEAD, &[[0; 4], transaction.to_le_bytes()].concat())
    }

    #[test]
    fn commits_follow_each_other_over_padding_until_one_is_torn() {
        let mut first = head(7);
        first.extend(name(TAG_CREATE, b"a"));
        first.extend(record(
            TAG_PADDING,
            &vec![0; BLOCK_BYTES - first.len() - HEADER_BYTES],
        ));
        first.extend(name(TAG_UNLINK, b"b"));
        let mut blocks = with_tail(first, 7);
        let whole = blocks.len();
        blocks.extend(with_tail(name(TAG_LINK, b"c"), 7));
        blocks.extend(with_tail(name(TAG_LINK, b"d"), 7));
        let parse = |blocks: &[u8]| parse_fast_commits(blocks, BLOCK_BYTES, 7).unwrap().commits;
        let lengths: Vec<usize> = parse(&blocks).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1, 1]);
        blocks[whole + 9] ^= 1;
        assert_eq!(
            parse(&blocks).len(),
            1,
            "what is behind a torn one does not count"
        );
        assert!(
            parse_fast_commits(&blocks, BLOCK_BYTES, 8)
                .unwrap()
                .commits
                .is_empty()
        );
    }

    #[test]
    fn a_record_that_makes_no_sense_is_a_fault_only_if_its_commit_is_whole() {
        let mut bytes = head(7);
        bytes.extend(record(TAG_ADD_RANGE, &[1; 5]));
        let mut blocks = with_tail(bytes, 7);
        assert!(parse_fast_commits(&blocks, BLOCK_BYTES, 7).is_err());
        blocks[3] = 0xff;
        assert_eq!(
            parse_fast_commits(&blocks, BLOCK_BYTES, 7),
            Ok(FastCommits::default())
        );
    }
}
