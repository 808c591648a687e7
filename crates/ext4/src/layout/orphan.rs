//! Blocks of the orphan file: inodes that have no name but are open, or whose truncation is not finished.
//!
//! Spec: ext4 disk layout, "Orphan file".

use super::checksum::crc32c;
use super::fields::{get, put};
use super::{InodeNumber, LayoutError, corrupt};

/// `ob_magic`.
const ORPHAN_MAGIC: u32 = 0x0b10_ca04;
/// Size of the tail with magic number and checksum.
const TAIL_BYTES: usize = 8;

/// Returns how many inodes a block has room for.
pub fn orphans_per_block(block_size: usize) -> usize {
    (block_size - TAIL_BYTES) / 4
}

/// Parses the inodes of a block of the orphan file.
///
/// # Errors
/// [`LayoutError`] for another magic number.
pub fn parse_orphans(block: &[u8]) -> Result<Vec<InodeNumber>, LayoutError> {
    if get::<u32>(block, block.len() - TAIL_BYTES) != ORPHAN_MAGIC {
        return Err(corrupt("orphan file", "no magic number 0x0b10ca04"));
    }
    let places = block[..block.len() - TAIL_BYTES].chunks_exact(4);
    let numbers = places.map(|place| InodeNumber(get(place, 0)));
    Ok(numbers.filter(|number| number.0 != 0).collect())
}

/// Writes block number `number` of the orphan file with `orphans`, which fit. `seed` is the orphan file's.
pub fn write_orphans(block: &mut [u8], orphans: &[InodeNumber]) {
    block.fill(0);
    for (place, orphan) in block.chunks_exact_mut(4).zip(orphans) {
        put(place, 0, orphan.0);
    }
    let tail_at = block.len() - TAIL_BYTES;
    put(block, tail_at, ORPHAN_MAGIC);
}

/// Writes the checksum of block number `number` of the orphan file. `seed` is the orphan file's.
pub fn seal_orphan_block(seed: u32, number: u64, block: &mut [u8]) {
    let sum = orphan_checksum(seed, number, block);
    let at = block.len() - 4;
    put(block, at, sum);
}

/// Returns whether the checksum of block number `number` of the orphan file is right. `seed` is the orphan file's.
pub fn is_orphan_block_intact(seed: u32, number: u64, block: &[u8]) -> bool {
    get::<u32>(block, block.len() - 4) == orphan_checksum(seed, number, block)
}

fn orphan_checksum(seed: u32, number: u64, block: &[u8]) -> u32 {
    let places = &block[..orphans_per_block(block.len()) * 4];
    crc32c(crc32c(seed, &number.to_le_bytes()), places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orphans_are_read_back_as_they_were_written() {
        let mut block = [0; 1024];
        let orphans = [InodeNumber(12), InodeNumber(15)];
        write_orphans(&mut block, &orphans);
        seal_orphan_block(3, 7, &mut block);
        assert_eq!(parse_orphans(&block).unwrap(), orphans);
        assert!(is_orphan_block_intact(3, 7, &block) && !is_orphan_block_intact(3, 8, &block));
        assert!(parse_orphans(&[0; 1024]).is_err());
    }
}
