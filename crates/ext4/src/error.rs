//! Why an operation of a file system failed.

use std::fmt;

use crate::device::DeviceError;
use crate::layout::{InodeNumber, LayoutError};

/// Where something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Superblock,
    /// The descriptor or the bitmaps of a group.
    Group(u32),
    Inode(InodeNumber),
    /// A block of the device.
    Block(u64),
    /// The log, at a block of it.
    Journal(u32),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Superblock => write!(formatter, "superblock"),
            Place::Group(number) => write!(formatter, "group {number}"),
            Place::Inode(number) => write!(formatter, "inode {number}"),
            Place::Block(number) => write!(formatter, "block {number}"),
            Place::Journal(number) => write!(formatter, "journal block {number}"),
        }
    }
}

/// Why an operation failed. Unless it says otherwise, nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The image is wrong.
    #[error("{place}: {reason}")]
    Corrupt { place: Place, reason: &'static str },
    /// A structure of the image is wrong.
    #[error("{place}: {error}")]
    Layout {
        place: Place,
        #[source]
        error: LayoutError,
    },
    /// The image is right, but this crate cannot use it so.
    #[error("unsupported by this driver: {features}")]
    Unsupported { features: String },
    #[error("the file system is read-only")]
    ReadOnly,
    #[error("no such name")]
    NotFound,
    #[error("the name exists")]
    Exists,
    #[error("not a directory")]
    NotDirectory,
    #[error("a directory")]
    IsDirectory,
    #[error("the directory is not empty")]
    NotEmpty,
    #[error("no space left")]
    NoSpace,
    #[error("the name is too long")]
    NameTooLong,
    #[error("too many links")]
    TooManyLinks,
    #[error("the file would be too large")]
    FileTooLarge,
    #[error("impossible argument")]
    InvalidArgument,
    #[error("no such attribute")]
    NoAttribute,
    #[error("attributes take too much room")]
    AttributesTooLarge,
}

impl Error {
    pub(crate) fn corrupt(place: Place, reason: &'static str) -> Error {
        Error::Corrupt { place, reason }
    }

    /// Wraps what is wrong with a structure at `place`.
    pub(crate) fn layout(place: Place) -> impl FnOnce(LayoutError) -> Error {
        move |error| Error::Layout { place, error }
    }
}
