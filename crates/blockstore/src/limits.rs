//! How much a disk may hold in memory and leave in its log.

use crate::layout::ENTRIES_MAX;

/// Bounds of one disk. The defaults are for use; tests take small ones to meet every bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Blocks that are kept in memory until they are committed; as many again while a commit is written. Above it they go to
    /// fresh slots, where no one finds them before the commit.
    pub buffered_blocks_max: usize,
    /// Bytes of the maps of one disk, which are 4 for each block of a region of 4 MiB that has any change. It bounds what a hostile file
    /// can make us hold: opening is refused above it, and writes above half of it, so that what was written can be opened.
    pub map_bytes_max: usize,
    /// Segments of the log before a checkpoint. It bounds what opening after a crash reads.
    pub log_segments_max: usize,
    /// Slots that are out of use but still held for the commits since the last checkpoint. It bounds garbage in the file.
    pub unreleased_slots_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // 8 MiB.
            buffered_blocks_max: 2048,
            // 256 GiB of changes.
            map_bytes_max: 512 << 20,
            // A checkpoint costs three syncs: with commits of one block each, 0.3 %.
            log_segments_max: 1024,
            // 64 MiB.
            unreleased_slots_max: 16 << 10,
        }
    }
}

/// Blocks that are written at once at most: two segments, 2 MiB of memory for the copy that makes them one write.
pub(crate) const BATCH_BLOCKS_MAX: usize = 2 * ENTRIES_MAX;
