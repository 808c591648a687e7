//! What a disk needs of the host: files that are read, written, made durable and shortened.

use std::io;

/// A file of the host, or what stands for one.
///
/// Several threads use one at once. What was written is seen by the reads that follow, and is durable after the next
/// [`sync`](Self::sync) that succeeds; until then a crash may keep any part of it, in sectors of 512 bytes, in any order.
pub trait Storage: Send + Sync {
    /// Returns the size in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` from `offset`; [`io::ErrorKind::UnexpectedEof`] if the file ends before. Holes are zeros.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, with a hole before it if the file was shorter. After a failure any part may be written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was written durable, the size too. Linux: `fdatasync(2)`.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file off after `length` bytes, or lengthens it by a hole. Linux: `ftruncate(2)`.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Gives the bytes' room back to the host; they read as zeros. Linux: `fallocate(2)` with `FALLOC_FL_PUNCH_HOLE` and
    /// `FALLOC_FL_KEEP_SIZE`. Where the host cannot, an error does no harm.
    fn punch(&self, offset: u64, length: u64) -> io::Result<()>;

    /// Returns the bytes as they lie in memory, if the file is mapped and has them all.
    fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let _ = (offset, length);
        None
    }
}
