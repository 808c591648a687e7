//! What lies on the device: each structure parsed into plain values and written back, with its checksum beside it.
//!
//! Nothing here follows a pointer: a structure is judged by its own bytes, and what needs others (is the block inside the
//! device, is it allocated) is the caller's. `parse` never panics whatever the bytes; `write` trusts its caller, and says for what.
//!
//! Most sums begin with a *seed*: the file system's ([`Superblock::metadata_seed`]), or the inode's to which the block belongs
//! ([`Inode::seed`]).
//!
//! | module | is |
//! |---|---|
//! | [`superblock`], [`features`] | the whole |
//! | [`group`] | groups: where bitmaps and inodes are |
//! | [`inode`], [`extent`] | files, and where their blocks are |
//! | [`directory`], [`hash_tree`], [`name_hash`] | names |
//! | [`attribute`] | extended attributes |
//! | [`journal`], [`fast_commit`], [`orphan`] | what a crash left behind |
//! | [`checksum`] | CRC-32C, CRC-16 |
//!
//! Spec: the Linux kernel's documentation, "ext4 Data Structures and Algorithms", here "ext4 disk layout".

pub mod attribute;
pub mod checksum;
pub mod directory;
pub mod extent;
pub mod fast_commit;
pub mod features;
pub(crate) mod fields;
pub mod group;
pub mod hash_tree;
pub mod inode;
pub mod journal;
pub mod name_hash;
pub mod orphan;
pub mod superblock;

pub use features::{Compatible, Incompatible, ReadOnlyCompatible};
pub use group::{GroupDescriptor, GroupFlags};
pub use inode::{FileType, Inode, InodeFlags, Timestamp};
pub use name_hash::{NameHash, NameHasher};
pub use superblock::Superblock;

/// The number of an inode; the first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeNumber(pub u32);

impl InodeNumber {
    /// The top directory. Spec: ext4 disk layout, "Special inodes".
    pub const ROOT: InodeNumber = InodeNumber(2);
    /// Blocks reserved for more group descriptors.
    pub const RESIZE: InodeNumber = InodeNumber(7);
    /// The journal.
    pub const JOURNAL: InodeNumber = InodeNumber(8);
}

impl std::fmt::Display for InodeNumber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What is wrong with a structure's bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    #[error("{structure} cut short")]
    Truncated { structure: &'static str },
    #[error("corrupt {structure}: {reason}")]
    Corrupt {
        structure: &'static str,
        reason: &'static str,
    },
    #[error("unsupported: {what}")]
    Unsupported { what: String },
}

fn corrupt(structure: &'static str, reason: &'static str) -> LayoutError {
    LayoutError::Corrupt { structure, reason }
}
