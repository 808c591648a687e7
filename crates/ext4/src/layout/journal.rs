//! The journal's blocks, which Linux leaves behind when it stops without unmounting. All numbers are big-endian.
//!
//! Spec: ext4 disk layout, "Journal (jbd2)".

use bitflags::bitflags;

use super::checksum::crc32c;
use super::fields::{Field, structure};
use super::{LayoutError, corrupt};

/// `h_magic` of each block of the journal that is no copy.
pub const JOURNAL_MAGIC: u32 = 0xc03b_3998;
/// Where the superblock's checksum lies.
const CHECKSUM_AT: usize = 0xfc;
/// Size of a block's header.
pub const JOURNAL_HEADER_BYTES: usize = 12;
/// Size of the checksum at the end of descriptor and revocation blocks.
const TAIL_BYTES: usize = 4;

bitflags! {
    /// `s_feature_incompat`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct JournalFeatures: u32 {
        const REVOKE = 0x1;
        const BIT64 = 0x2;
        const ASYNC_COMMIT = 0x4;
        const CSUM_V2 = 0x8;
        const CSUM_V3 = 0x10;
        const FAST_COMMIT = 0x20;
        const _ = !0;
    }
}

/// `s_feature_compat`: commit blocks hold a CRC-32 of the transaction.
pub const JOURNAL_COMPAT_CHECKSUM: u32 = 1;

/// `h_blocktype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalBlock {
    Descriptor,
    Commit,
    SuperblockV1,
    SuperblockV2,
    Revocation,
}

/// Returns the kind and the transaction of a block, or `None` if it is none of the journal's own.
pub fn parse_journal_header(block: &[u8]) -> Option<(JournalBlock, u32)> {
    if block.len() < JOURNAL_HEADER_BYTES || u32::big(block, 0) != JOURNAL_MAGIC {
        return None;
    }
    let kind = match u32::big(block, 4) {
        1 => JournalBlock::Descriptor,
        2 => JournalBlock::Commit,
        3 => JournalBlock::SuperblockV1,
        4 => JournalBlock::SuperblockV2,
        5 => JournalBlock::Revocation,
        _ => return None,
    };
    Some((kind, u32::big(block, 8)))
}

structure! {
    /// The journal's superblock, in its first block; named as in the specification without `s_`.
    pub struct JournalSuperblock: 1024 bytes, big, put_big {
        0x00 magic: u32,
        0x04 block_type: u32,
        0x0c block_size: u32,
        /// Number of blocks of the journal.
        0x10 length: u32,
        /// First block of the log.
        0x14 first: u32,
        /// First transaction that is expected in the log.
        0x18 sequence: u32,
        /// Where the log starts; 0: it is empty.
        0x1c start: u32,
        0x20 error: u32,
        0x24 feature_compat: u32,
        0x28 feature_incompat: u32,
        0x2c feature_ro_compat: u32,
        0x30 uuid: [u8; 16],
        0x40 users_count: u32,
        0x50 checksum_type: u8,
        0x54 fast_commit_blocks: u32,
        0xfc checksum: u32,
    }
}

impl JournalSuperblock {
    /// Parses the first 1,024 bytes of the journal.
    ///
    /// # Errors
    /// [`LayoutError`] if it is none, its checksum is wrong, or its log lies outside.
    pub fn parse(bytes: &[u8]) -> Result<JournalSuperblock, LayoutError> {
        if bytes.len() < JournalSuperblock::SIZE_BYTES {
            return Err(LayoutError::Truncated {
                structure: "journal superblock",
            });
        }
        let mut superblock = JournalSuperblock::read_fields(bytes);
        match parse_journal_header(bytes) {
            Some((JournalBlock::SuperblockV2, _)) => {}
            Some((JournalBlock::SuperblockV1, _)) => {
                (superblock.feature_compat, superblock.feature_incompat) = (0, 0);
            }
            _ => return Err(corrupt("journal superblock", "no magic number 0xc03b3998")),
        }
        if superblock.has_checksums() && superblock.checksum != checksum(bytes) {
            return Err(corrupt("journal superblock", "wrong checksum"));
        }
        let is_inside = superblock.first > 0
            && superblock.first < superblock.length
            && superblock.start < superblock.length;
        match is_inside {
            true => Ok(superblock),
            false => Err(corrupt(
                "journal superblock",
                "a log outside of the journal",
            )),
        }
    }

    /// Writes into the superblock's bytes, with its checksum; fields that are not known here stay as they are in `bytes`.
    pub fn write(&self, bytes: &mut [u8]) {
        self.write_fields(bytes);
        if self.has_checksums() {
            checksum(bytes).put_big(bytes, CHECKSUM_AT);
        }
    }

    /// Features without which the log cannot be replayed.
    pub fn features(&self) -> JournalFeatures {
        JournalFeatures::from_bits_retain(self.feature_incompat)
    }

    /// Whether the journal's own blocks carry CRC-32C sums.
    pub fn has_checksums(&self) -> bool {
        self.features()
            .intersects(JournalFeatures::CSUM_V2 | JournalFeatures::CSUM_V3)
    }

    /// Where sums of the journal's blocks begin.
    pub fn seed(&self) -> u32 {
        crc32c(!0, &self.uuid)
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let sum = crc32c(!0, &bytes[..CHECKSUM_AT]);
    crc32c(
        crc32c(sum, &[0; 4]),
        &bytes[CHECKSUM_AT + 4..JournalSuperblock::SIZE_BYTES],
    )
}

/// Where a copied block belongs: an entry of a descriptor block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalTag {
    /// The block on the device.
    pub block: u64,
    /// The copy's first four bytes were the magic number and are zeros here.
    pub is_escaped: bool,
    /// Sum of the copy; 16 bits of it before version 3; `None` without sums.
    pub checksum: Option<u32>,
}

const TAG_ESCAPED: u32 = 1;
const TAG_SAME_UUID: u32 = 2;
const TAG_LAST: u32 = 8;

/// Parses the entries of a descriptor block.
pub fn parse_tags(features: JournalFeatures, block: &[u8]) -> Vec<JournalTag> {
    let is_v3 = features.contains(JournalFeatures::CSUM_V3);
    let is_wide = features.contains(JournalFeatures::BIT64);
    let has_sums = features.intersects(JournalFeatures::CSUM_V2 | JournalFeatures::CSUM_V3);
    let tag_size = if is_v3 {
        16
    } else if is_wide {
        12
    } else {
        8
    };
    let end = block.len() - if has_sums { TAIL_BYTES } else { 0 };
    let mut tags = Vec::new();
    let mut at = JOURNAL_HEADER_BYTES;
    while at + tag_size <= end {
        let flags = if is_v3 {
            u32::big(block, at + 4)
        } else {
            u32::from(u16::big(block, at + 6))
        };
        let sum = if is_v3 {
            u32::big(block, at + 12)
        } else {
            u32::from(u16::big(block, at + 4))
        };
        let high = if is_wide { u32::big(block, at + 8) } else { 0 };
        tags.push(JournalTag {
            block: u64::from(high) << 32 | u64::from(u32::big(block, at)),
            is_escaped: flags & TAG_ESCAPED != 0,
            checksum: has_sums.then_some(sum),
        });
        if flags & TAG_LAST != 0 {
            break;
        }
        at += tag_size + if flags & TAG_SAME_UUID == 0 { 16 } else { 0 };
    }
    tags
}

/// Returns the sum of a copied block as its tag holds it. `block` is as it lies in the journal.
pub fn copy_checksum(features: JournalFeatures, seed: u32, sequence: u32, block: &[u8]) -> u32 {
    let sum = crc32c(crc32c(seed, &sequence.to_be_bytes()), block);
    match features.contains(JournalFeatures::CSUM_V3) {
        true => sum,
        false => sum & 0xffff,
    }
}

/// Parses the block numbers of a revocation block.
///
/// # Errors
/// [`LayoutError`] if it claims to use more bytes than it has.
pub fn parse_revocations(features: JournalFeatures, block: &[u8]) -> Result<Vec<u64>, LayoutError> {
    const LIST_AT: usize = JOURNAL_HEADER_BYTES + 4;
    let end = u32::big(block, JOURNAL_HEADER_BYTES) as usize;
    if !(LIST_AT..=block.len()).contains(&end) {
        return Err(corrupt("revocation block", "impossible size"));
    }
    let list = &block[LIST_AT..end];
    Ok(match features.contains(JournalFeatures::BIT64) {
        true => list
            .chunks_exact(8)
            .map(|number| u64::big(number, 0))
            .collect(),
        false => list
            .chunks_exact(4)
            .map(|number| u32::big(number, 0).into())
            .collect(),
    })
}

/// Returns whether the sum at the end of a descriptor or revocation block is right.
pub fn is_journal_tail_intact(seed: u32, block: &[u8]) -> bool {
    let at = block.len() - TAIL_BYTES;
    u32::big(block, at) == crc32c(crc32c(seed, &block[..at]), &[0; TAIL_BYTES])
}

/// Where the sum of a commit block lies.
const COMMIT_SUM_AT: usize = 0x10;

/// Returns whether the sum of a commit block (journals of version 2 and 3) is right.
pub fn is_commit_intact(seed: u32, block: &[u8]) -> bool {
    let sum = crc32c(crc32c(seed, &block[..COMMIT_SUM_AT]), &[0; 4]);
    u32::big(block, COMMIT_SUM_AT) == crc32c(sum, &block[COMMIT_SUM_AT + 4..])
}

/// Returns the CRC-32 that a commit block of a journal with [`JOURNAL_COMPAT_CHECKSUM`] holds; `None` if it holds none.
pub fn commit_transaction_sum(block: &[u8]) -> Option<u32> {
    (block[0xc] == 1 && block[0xd] == 4).then(|| u32::big(block, COMMIT_SUM_AT))
}
