//! What the caches of a mounted file system may take of the container's memory.
//!
//! Caches are not charged to the budget, since what they hold can be had again: a guest must never get `ENOMEM` because files were read.
//! They are bounded by parts of it instead, so that a container with little memory has small caches; from 1 GiB on they
//! are as large as they get. Linux charges its page cache to the control group, and takes it back when that is full.

/// One part of so many of a container's memory is what each kind of cache may take.
const PARTS: u64 = 16;
/// Names that are kept at most, with the inodes that they lead to: some 16 MiB.
const NAMES_MAX: u64 = 16_384;
/// What a name is taken to cost, with the inode that it leads to.
const NAME_BYTES: u64 = 1024;
/// Bytes of content that wait at most to be written back.
const WAITING_BYTES_MAX: u64 = 64 << 20;
/// However little memory there is, so much of each kind works.
const BYTES_MIN: u64 = 256 << 10;

/// The most that each cache may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// Bytes of content that is on the device too.
    pub(super) content_bytes: usize,
    /// Bytes of content that is not on the device yet.
    pub(super) waiting_bytes: usize,
    pub(super) names: usize,
}

impl Shares {
    /// Divides a container's memory; `content_bytes_max` is the most that is wanted of content.
    pub(super) fn of(memory_bytes: u64, content_bytes_max: usize) -> Shares {
        let part = (memory_bytes / PARTS).max(BYTES_MIN);
        let within = |bytes_max: u64| usize::try_from(part.min(bytes_max)).unwrap_or(usize::MAX);
        Shares {
            content_bytes: within(content_bytes_max as u64),
            waiting_bytes: within(WAITING_BYTES_MAX),
            names: within(NAMES_MAX * NAME_BYTES) / NAME_BYTES as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_makes_small_caches_and_much_memory_no_larger_ones() {
        let small = Shares::of(16 << 20, 32 << 20);
        assert_eq!(
            (small.content_bytes, small.waiting_bytes),
            (1 << 20, 1 << 20)
        );
        assert_eq!(small.names, 1024);
        let large = Shares::of(u64::MAX, 32 << 20);
        assert_eq!(
            (large.content_bytes, large.waiting_bytes),
            (32 << 20, 64 << 20)
        );
        assert_eq!(large.names, 16_384);
        assert_eq!(Shares::of(0, 32 << 20).content_bytes, 256 << 10);
    }
}
