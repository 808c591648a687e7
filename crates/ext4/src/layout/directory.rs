//! Blocks of directories: entries in a row, and the tail with a checksum.
//!
//! Spec: ext4 disk layout, "Linear (Classic) Directories".

use super::checksum::crc32c;
use super::fields::{get, put};
use super::inode::FileType;
use super::{InodeNumber, LayoutError, corrupt};

/// Longest name in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Bytes of an entry before its name.
pub const ENTRY_HEADER_BYTES: usize = 8;
/// Size of the tail that holds a block's checksum.
pub const TAIL_BYTES: usize = 12;
/// File type that marks a tail.
const TAIL_TYPE: u8 = 0xde;

/// An entry of a directory's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryEntry<'a> {
    /// Where the entry begins in its block.
    pub at: usize,
    /// Bytes from here to the next entry.
    pub record_length: usize,
    /// 0: an empty place.
    pub inode: InodeNumber,
    /// Code of the kind, see [`FileType::from_code`]; 0 without the feature `filetype`.
    pub file_type: u8,
    pub name: &'a [u8],
}

impl DirectoryEntry<'_> {
    /// Whether the place holds a name.
    pub fn is_used(&self) -> bool {
        self.inode.0 != 0
    }

    /// Bytes that the entry needs; the rest up to `record_length` is free.
    pub fn used_length(&self) -> usize {
        match self.is_used() {
            true => entry_length(self.name.len()),
            false => 0,
        }
    }
}

/// Returns the bytes that an entry with a name of `name_length` bytes needs.
pub fn entry_length(name_length: usize) -> usize {
    (ENTRY_HEADER_BYTES + name_length).next_multiple_of(4)
}

/// Goes through the entries of a block (without its tail's checksum being judged), empty places and the tail included.
///
/// Each item is an entry that lies inside the block; the first that does not is an error, and the last item.
pub fn entries(block: &[u8]) -> Entries<'_> {
    Entries { block, at: 0 }
}

/// Iterator of [`entries`].
pub struct Entries<'a> {
    block: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<DirectoryEntry<'a>, LayoutError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.block.len() {
            return None;
        }
        let entry = parse_entry(self.block, self.at);
        self.at = entry
            .as_ref()
            .map_or(self.block.len(), |it| it.at + it.record_length);
        Some(entry)
    }
}

/// Parses the entry at `at`.
///
/// # Errors
/// [`LayoutError`] if it does not lie inside the block.
pub fn parse_entry(block: &[u8], at: usize) -> Result<DirectoryEntry<'_>, LayoutError> {
    if at + ENTRY_HEADER_BYTES > block.len() {
        return Err(corrupt(
            "directory entry",
            "begins too near the end of its block",
        ));
    }
    let record_length = decode_record_length(get(block, at + 4), block.len());
    let name_length = usize::from(block[at + 6]);
    let is_sound = record_length >= entry_length(name_length)
        && record_length.is_multiple_of(4)
        && at + record_length <= block.len();
    if !is_sound {
        return Err(corrupt("directory entry", "impossible length"));
    }
    let name_at = at + ENTRY_HEADER_BYTES;
    Ok(DirectoryEntry {
        at,
        record_length,
        inode: InodeNumber(get(block, at)),
        file_type: block[at + 7],
        name: &block[name_at..name_at + name_length],
    })
}

/// Writes an entry at `at`; the caller has made sure that `record_length` bytes are there and hold the name.
///
/// `file_type` is `None` in file systems without the feature `filetype`, and for empty places.
pub fn write_entry(
    block: &mut [u8],
    at: usize,
    record_length: usize,
    inode: InodeNumber,
    file_type: Option<FileType>,
    name: &[u8],
) {
    put(block, at, inode.0);
    put(
        block,
        at + 4,
        encode_record_length(record_length, block.len()),
    );
    block[at + 6] = name.len() as u8;
    block[at + 7] = file_type.map_or(0, FileType::code);
    let name_at = at + ENTRY_HEADER_BYTES;
    block[name_at..name_at + name.len()].copy_from_slice(name);
}

/// Changes only the record length of the entry at `at`.
pub fn set_record_length(block: &mut [u8], at: usize, record_length: usize) {
    put(
        block,
        at + 4,
        encode_record_length(record_length, block.len()),
    );
}

/// Lengths of 64 KiB blocks do not fit 16 bits. Linux: `ext4_rec_len_from_disk()`.
fn decode_record_length(stored: u16, block_size: usize) -> usize {
    match stored {
        0 | u16::MAX if block_size == 1 << 16 => block_size,
        _ => usize::from(stored),
    }
}

fn encode_record_length(length: usize, block_size: usize) -> u16 {
    match length {
        0x1_0000 if block_size == 1 << 16 => u16::MAX,
        _ => length as u16,
    }
}

/// Returns where the tail lies if the block ends in one.
pub fn tail_at(block: &[u8]) -> Option<usize> {
    let at = block.len().checked_sub(TAIL_BYTES)?;
    let is_tail = get::<u32>(block, at) == 0
        && usize::from(get::<u16>(block, at + 4)) == TAIL_BYTES
        && block[at + 6] == 0
        && block[at + 7] == TAIL_TYPE;
    is_tail.then_some(at)
}

/// Writes a tail at the end of a block, with no checksum yet.
pub fn write_tail(block: &mut [u8]) {
    let at = block.len() - TAIL_BYTES;
    block[at..].fill(0);
    put(block, at + 4, TAIL_BYTES as u16);
    block[at + 7] = TAIL_TYPE;
}

/// Writes the checksum of a block of entries into its tail, if it has one. `seed` is the directory's.
pub fn seal_directory_block(seed: u32, block: &mut [u8]) {
    if let Some(at) = tail_at(block) {
        let sum = crc32c(seed, &block[..at]);
        put(block, at + 8, sum);
    }
}

/// Returns whether a block of entries has a tail with the right checksum. `seed` is the directory's.
pub fn is_directory_block_intact(seed: u32, block: &[u8]) -> bool {
    tail_at(block).is_some_and(|at| get::<u32>(block, at + 8) == crc32c(seed, &block[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_back_as_they_were_written() {
        let mut block = [0; 1024];
        write_entry(
            &mut block,
            0,
            16,
            InodeNumber(5),
            Some(FileType::Fifo),
            b"name",
        );
        write_entry(&mut block, 16, 996, InodeNumber(0), None, b"");
        write_tail(&mut block);
        let found: Vec<_> = entries(&block).map(Result::unwrap).collect();
        assert_eq!(
            (found[0].name, found[0].inode.0, found[0].file_type),
            (&b"name"[..], 5, 5)
        );
        assert_eq!((found[1].is_used(), found[2].at), (false, 1012));
        seal_directory_block(9, &mut block);
        assert!(is_directory_block_intact(9, &block));
        block[8] = b'g';
        assert!(!is_directory_block_intact(9, &block));
    }

    #[test]
    fn any_bytes_end_and_entries_stay_inside() {
        for seed in 0..1000_u32 {
            let block: Vec<u8> = (0..256)
                .map(|at| (crc32c(seed, &[at as u8]) >> 8) as u8)
                .collect();
            for entry in entries(&block).flatten() {
                assert!(entry.at + entry.record_length <= block.len());
            }
        }
        assert!(
            entries(&[0; 1024])
                .next()
                .is_some_and(|first| first.is_err())
        );
    }
}
