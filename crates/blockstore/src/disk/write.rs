//! Staging: writes and discards wait in memory, or in fresh slots, for the commit.

use std::sync::Arc;

use super::{Disk, lock, read, write};
use crate::layout::BlockNumber;
use crate::limits::BATCH_BLOCKS_MAX;
use crate::snapshot::check_range;
use crate::writer::{Change, Ending};
use crate::{BLOCK_BYTES, Block, DiskError};

/// A part of one block.
struct Piece {
    block: BlockNumber,
    /// Where it begins in the block.
    start: usize,
    length: usize,
}

impl Piece {
    fn first(offset: u64, length_max: usize) -> Piece {
        let start = (offset % BLOCK_BYTES as u64) as usize;
        Piece {
            block: BlockNumber((offset / BLOCK_BYTES as u64) as u32),
            start,
            length: length_max.min(BLOCK_BYTES - start),
        }
    }

    fn is_whole(&self) -> bool {
        self.length == BLOCK_BYTES
    }
}

impl Disk {
    /// Writes `bytes` at `offset`. They are read back at once, and durable with the next commit.
    ///
    /// After a failure some of the blocks are written.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        check_range(offset, bytes.len() as u64, self.size_bytes)?;
        let _staging = lock(&self.staging);
        self.check_memory()?;
        let mut room = 0;
        let (mut bytes, mut offset) = (bytes, offset);
        while !bytes.is_empty() {
            if room == 0 {
                room = self.make_room()?;
            }
            room -= 1;
            let piece = Piece::first(offset, bytes.len());
            let (part, rest) = bytes.split_at(piece.length);
            self.stage(&piece, part)?;
            offset += piece.length as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Makes `length` bytes from `offset` zeros, whatever the disk below has, and gives their room back some time after the
    /// next commit.
    pub fn discard(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        check_range(offset, length, self.size_bytes)?;
        let _staging = lock(&self.staging);
        self.check_memory()?;
        let end = offset + length;
        let is_to_end = end == self.size_bytes;
        let first = offset.next_multiple_of(BLOCK_BYTES as u64);
        let behind = match is_to_end {
            true => end.next_multiple_of(BLOCK_BYTES as u64),
            false => end - end % BLOCK_BYTES as u64,
        };
        if first >= behind {
            return self.stage_zeros(offset, length);
        }
        self.stage_zeros(offset, first - offset)?;
        self.stage_zeros(behind, end.saturating_sub(behind))?;
        let number = BlockNumber((first / BLOCK_BYTES as u64) as u32);
        let count = (behind - first) / BLOCK_BYTES as u64;
        write(&self.view).staged.put_zeros(number, count);
        Ok(())
    }

    /// Writes zeros to parts of at most two blocks.
    fn stage_zeros(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        let (mut offset, mut left) = (offset, length as usize);
        while left > 0 {
            let piece = Piece::first(offset, left);
            self.make_room()?;
            self.stage(&piece, &[0; BLOCK_BYTES][..piece.length])?;
            offset += piece.length as u64;
            left -= piece.length;
        }
        Ok(())
    }

    /// Stages a part of a block; the caller holds `staging`, so that nobody else changes the block meanwhile.
    fn stage(&self, piece: &Piece, part: &[u8]) -> Result<(), DiskError> {
        let mut content: Block = [0; BLOCK_BYTES];
        if !piece.is_whole() {
            let offset = u64::from(piece.block.0) * BLOCK_BYTES as u64;
            self.read_or_zeros(offset, &mut content)?;
        }
        content[piece.start..piece.start + piece.length].copy_from_slice(part);
        if content == [0; BLOCK_BYTES] {
            write(&self.view).staged.put_zeros(piece.block, 1);
        } else {
            let content = Arc::new(content);
            write(&self.view).staged.put(piece.block, content);
        }
        Ok(())
    }

    fn check_memory(&self) -> Result<(), DiskError> {
        let bytes_max = self.limits.map_bytes_max;
        match read(&self.view).map_bytes() > bytes_max / 2 {
            true => Err(DiskError::MapTooLarge { bytes_max }),
            false => Ok(()),
        }
    }

    /// Returns how many blocks more may be in memory, at least one. If there is no room, staged blocks are written to fresh slots, to which no
    /// commit refers yet.
    fn make_room(&self) -> Result<usize, DiskError> {
        if let Some(room) = self.room() {
            return Ok(room);
        }
        let mut writer = lock(&self.writer);
        loop {
            // A commit that was waited for may have made room.
            if let Some(room) = self.room() {
                return Ok(room);
            }
            let blocks = first_blocks(&read(&self.view).staged.blocks);
            let placed = writer.append(&blocks, Ending::GoesOn)?;
            let staged = &mut write(&self.view).staged;
            for (block, slot) in placed {
                staged.spilled(block, slot);
            }
        }
    }

    fn room(&self) -> Option<usize> {
        let blocks_max = self.limits.buffered_blocks_max.max(1);
        let room = blocks_max.checked_sub(read(&self.view).staged.blocks.len());
        room.filter(|room| *room > 0)
    }
}

/// Returns as many blocks as are written at once.
fn first_blocks(blocks: &std::collections::BTreeMap<u32, Arc<Block>>) -> Vec<Change> {
    let blocks = blocks.iter().take(BATCH_BLOCKS_MAX);
    blocks
        .map(|(block, content)| Change::Data(BlockNumber(*block), Arc::clone(content)))
        .collect()
}
