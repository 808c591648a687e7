//! ext2, ext3 and ext4 on a block device, from the disk-layout documentation: bytes in, values out.
//!
//! Nothing here asks the host: the device comes in as a [`Device`], and times as arguments. Images are foreign: every
//! number of them is checked before it is used, and what one can make this crate hold or do is bounded by the image's own bytes.
//!
//! [`FileSystem`] is the whole: inodes by their numbers, names one by one. A device publishes all that was written at once, so no journal
//! is written; one that Linux left behind is replayed when the file system is opened.
//!
//! | module | is |
//! |---|---|
//! | [`device`] | what a file system lies on |
//! | [`layout`] | each structure by its bytes; nothing else knows them |
//! | `file_system`, `geometry` | an open file system, and what does not change of it; the order of locks |
//! | `blocks`, `nodes` | metadata blocks and inodes in memory |
//! | `allocator` | what is free |
//! | `files`, `seek`, `names`, `attributes` | content and its holes, directories, attributes |
//! | [`make`], [`mod@grow`], [`check`] | making file systems, making them larger, and finding what is wrong with one |
//! | `difference` | what differs from the file system that this one began as |
//! | `recovery`, `sync` | the journal, orphans, making changes durable |
//!
//! Spec: the Linux kernel's documentation, "ext4 Data Structures and Algorithms", here "ext4 disk layout".

mod allocator;
mod attributes;
mod blocks;
pub mod check;
pub mod device;
mod difference;
mod error;
mod file_system;
mod files;
mod geometry;
pub mod grow;
pub mod layout;
pub mod make;
mod names;
mod nodes;
mod numbered;
mod recovery;
mod seek;
mod sync;

pub use attributes::{AttributeChange, AttributeMode};
pub use device::{Device, DeviceError, MemoryDevice};
pub use difference::{Difference, WrittenIn};
pub use error::{Error, Place};
pub use file_system::{Access, FileSystem, Metadata, Statistics};
pub use files::Preallocation;
pub use layout::{FileType, InodeFlags, InodeNumber, Timestamp};
pub use names::{ListedEntry, NewInode, Ownership, RenameMode};
pub use nodes::InodeHandle;
pub use seek::ContentRun;
pub use sync::Closed;
