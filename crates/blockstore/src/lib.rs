//! Disks that keep only their changes: a base, a chain of read-only snapshots over it, and one file that is written.
//!
//! A [`Disk`] is bytes of a fixed size. What was written lies in its *change file*, which says for each block of 4 KiB where the
//! block is now, that it is all zeros, or nothing: then the [`Snapshot`] below has it. [`Disk::commit`] makes all that was
//! written since the last commit durable at once or not at all, by one sequential write and one [`Storage::sync`]. A crash, a torn
//! write, a lost write or a full host loses nothing that a commit confirmed.
//!
//! The words: a *block* is 4 KiB of the disk, a *slot* 4 KiB of a change file. A slot that a commit since the last checkpoint
//! refers to is never written again, so each beginning of the log is one whole commit. A *segment* is a header in one slot with
//! the blocks that it publishes in others; the log is a list of segments, each of which names the slot of the next. A
//! *checkpoint* writes the changed pages of the map, begins an empty log, and frees what nothing refers to any more.
//!
//! [`Snapshot`]s are frozen change files; [`merge`] writes what a file has changed into its base.
//!
//! The format byte by byte, and why it is so: `docs/design/0001-disks.md`. Change files are foreign bytes: whatever they hold, they are
//! opened or refused, in bounded memory ([`Limits`]).
//!
//! Lock order of a disk: `staging` (one writer at a time), then `writer` (the log; held while a commit is written), then `view`
//! (which block is where; held for look-ups and never during input or output). Readers take only the last.
//!
//! This crate asks no host: files come in through [`Storage`], and unique identifiers as arguments. Neighbours: `disk` has
//! storage in the host's files, with locks; `ext4` puts file systems on disks.

mod allocator;
mod checkpoint;
mod disk;
mod error;
mod layout;
mod limits;
mod map;
mod merge;
mod recovery;
mod snapshot;
mod staged;
mod storage;
mod view;
mod writer;
mod written;

pub use disk::Disk;
pub use error::DiskError;
pub use layout::{ChangeFile, DISK_BYTES_MAX, Identity, State};
pub use limits::Limits;
pub use merge::merge;
pub use snapshot::Snapshot;
pub use storage::Storage;

/// Bytes of a block and of a slot, and what a disk is read and changed by. Linux: a page; ext4's usual block.
pub const BLOCK_BYTES: usize = 4096;

/// The content of one block.
type Block = [u8; BLOCK_BYTES];
