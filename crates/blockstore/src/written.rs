//! Which blocks of a disk may differ from a snapshot that it lies on.

use std::ops::Range;

use crate::disk::Disk;
use crate::layout::{BlockNumber, Region};
use crate::map::{LEAF_BLOCKS, Place};
use crate::view::Found;
use crate::{BLOCK_BYTES, DiskError, Snapshot};

const BYTES: u64 = BLOCK_BYTES as u64;

impl Disk {
    /// Returns which parts of a range of bytes were written or discarded, committed or not, since the disk was `base`: whole blocks, in order,
    /// none beside another. What was written back as it was before is among them.
    ///
    /// # Errors
    /// [`DiskError::WrongBase`] if it never was `base`; what reading the maps gives.
    pub fn written_since(
        &self,
        base: &Snapshot,
        range: Range<u64>,
    ) -> Result<Vec<Range<u64>>, DiskError> {
        let first = range.start / BYTES;
        let end = range.end.min(self.size()).div_ceil(BYTES);
        let mut blocks = Vec::new();
        let below = self.look(|view| {
            let mut at = first;
            while at < end {
                let (found, count) = view.find(BlockNumber(at as u32), end - at);
                if !matches!(found, Found::Below) {
                    blocks.push(at..at + count);
                }
                at += count;
            }
            view.era.below.clone()
        });
        below.add_written(base, first..end, &mut blocks)?;
        Ok(joined(blocks))
    }
}

impl Snapshot {
    /// Adds the blocks of a range that frozen files over `base` have.
    fn add_written(
        &self,
        base: &Snapshot,
        range: Range<u64>,
        blocks: &mut Vec<Range<u64>>,
    ) -> Result<(), DiskError> {
        let own = self.layers_over(base).ok_or(DiskError::WrongBase {
            expected: self.identity(),
            found: base.identity(),
        })?;
        let leaf_blocks = LEAF_BLOCKS as u64;
        for layer in own {
            for leaf in range.start / leaf_blocks..range.end.div_ceil(leaf_blocks) {
                let first = leaf * leaf_blocks;
                let part = first.max(range.start)..(first + leaf_blocks).min(range.end);
                match layer.region(leaf as u32) {
                    None => {}
                    Some(Region::Zeros(_)) => blocks.push(part),
                    Some(Region::Page(page)) => {
                        let codes = layer.codes(page)?;
                        let is_own =
                            |block: &u64| codes[(block - first) as usize] != Place::Below.code();
                        blocks.extend(part.filter(is_own).map(|block| block..block + 1));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Sorts ranges of blocks and joins those that touch; returns them in bytes.
fn joined(mut blocks: Vec<Range<u64>>) -> Vec<Range<u64>> {
    blocks.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in blocks {
        let bytes = range.start * BYTES..range.end * BYTES;
        match joined.last_mut() {
            Some(last) if bytes.start <= last.end => last.end = last.end.max(bytes.end),
            _ => joined.push(bytes),
        }
    }
    joined
}
