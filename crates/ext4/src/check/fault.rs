//! What can be wrong with a file system, and where.

use std::fmt;

use crate::layout::{InodeNumber, LayoutError};

/// Where something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPlace {
    Superblock,
    Journal,
    /// A group's descriptor or bitmaps.
    Group(u32),
    Inode(InodeNumber),
    /// A block that belongs to an inode: of its map, or of attributes.
    InodeBlock {
        inode: InodeNumber,
        /// The block on the device.
        block: u64,
    },
    /// A block of a directory.
    DirectoryBlock {
        directory: InodeNumber,
        /// The block of the directory.
        logical: u32,
    },
    DirectoryEntry {
        directory: InodeNumber,
        logical: u32,
        /// Where in the block it begins, in bytes.
        offset: usize,
    },
}

impl fmt::Display for FaultPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultPlace::Superblock => write!(formatter, "superblock"),
            FaultPlace::Journal => write!(formatter, "journal"),
            FaultPlace::Group(number) => write!(formatter, "group {number}"),
            FaultPlace::Inode(number) => write!(formatter, "inode {number}"),
            FaultPlace::InodeBlock { inode, block } => {
                write!(formatter, "inode {inode}, block {block} of the device")
            }
            FaultPlace::DirectoryBlock { directory, logical } => {
                write!(formatter, "directory {directory}, block {logical}")
            }
            FaultPlace::DirectoryEntry {
                directory,
                logical,
                offset,
            } => write!(
                formatter,
                "directory {directory}, block {logical}, byte {offset}"
            ),
        }
    }
}

/// A count or a sum that a file system keeps, beside what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{stored} instead of {found}")]
pub struct Mismatch {
    pub stored: u64,
    pub found: u64,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The bytes are none of what should be there.
    #[error("{0}")]
    Layout(LayoutError),
    #[error("wrong checksum of the {structure}")]
    Checksum { structure: &'static str },
    #[error("the {structure} lies outside of the file system, at block {block}")]
    OutOfRange { structure: &'static str, block: u64 },
    /// Blocks belong to something else too.
    #[error("block {block} is used more than once")]
    MultiplyClaimed { block: u64 },
    #[error("{what}: {count}")]
    WrongCount { what: &'static str, count: Mismatch },
    /// The bitmap has used blocks or inodes as free.
    #[error("{count} used {what} are marked free, the first is {first}")]
    MarkedFree {
        what: &'static str,
        first: u64,
        count: u64,
    },
    /// The bitmap has free blocks or inodes as used.
    #[error("{count} free {what} are marked used, the first is {first}")]
    MarkedUsed {
        what: &'static str,
        first: u64,
        count: u64,
    },
    #[error("bits behind the end of the bitmap of {what} are not set")]
    Padding { what: &'static str },
    /// An inode is used in a part of the table that is said never to have been.
    #[error("inode {inode} is used where none is said to be")]
    UsedBeyondTable { inode: InodeNumber },
    /// A rule of the inode itself.
    #[error("{reason}")]
    Inode { reason: &'static str },
    /// A rule of the map of blocks.
    #[error("the map of blocks is wrong: {reason}")]
    Map { reason: &'static str },
    /// A rule of a directory and its entries.
    #[error("{reason}")]
    Directory { reason: &'static str },
    /// A rule of the tree over a directory's blocks.
    #[error("the hash tree is wrong: {reason}")]
    HashTree { reason: &'static str },
    #[error("the name `{name}` is there twice")]
    DuplicateName { name: String },
    #[error("`{name}` leads to inode {inode}, which is {state}")]
    BadTarget {
        name: String,
        inode: InodeNumber,
        state: &'static str,
    },
    /// No way leads there from the top directory.
    #[error("cannot be reached from the top directory")]
    Unreachable,
    #[error("{reason}")]
    Orphan { reason: &'static str },
    #[error("{reason}")]
    Journal { reason: &'static str },
    /// A change in the journal cannot be replayed.
    #[error("{0}")]
    Log(crate::Error),
    #[error("{reason}")]
    Superblock { reason: &'static str },
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub place: FaultPlace,
    pub kind: FaultKind,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.kind)
    }
}
