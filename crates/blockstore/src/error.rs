//! What can go wrong with a disk.

use std::io;

use crate::layout::{Identity, State};

/// A failed operation. Unless said otherwise the disk is as it was, and the last commit is intact.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("the change file ends before {what} at offset {offset}")]
    Truncated { what: &'static str, offset: u64 },
    #[error("corrupt change file: {what} at offset {offset}")]
    Corrupt { what: &'static str, offset: u64 },
    /// Nothing was ever committed to the file: a crash came before. It may be deleted.
    #[error("the change file was never begun")]
    NeverBegun,
    #[error("the change file has version {found}, this minke reads {supported}")]
    NewerVersion { found: u32, supported: u32 },
    #[error("unsupported change file: {feature}")]
    Unsupported { feature: &'static str },
    #[error("the disk is based on `{expected}`, but was given `{found}`")]
    WrongBase { expected: Identity, found: Identity },
    #[error("the host has no space left for the disk's changes")]
    NoSpace { source: io::Error },
    #[error("the disk cannot be written: its change file is {state}")]
    ReadOnly { state: State },
    #[error("{length} bytes at offset {offset} are outside of the disk, which has {size}")]
    OutOfRange { offset: u64, length: u64, size: u64 },
    #[error("the map of the disk's changes needs too much memory: the limit is {bytes_max} bytes")]
    MapTooLarge { bytes_max: usize },
    #[error("an earlier commit may not be durable, since the host failed to write it")]
    Unsynced,
    #[error("cannot {action}")]
    Io {
        action: &'static str,
        source: io::Error,
    },
}

impl DiskError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NewerVersion { .. } => "use the newer minke that wrote it",
            Self::WrongBase { .. } => "put the disk's own base back in its place, unchanged",
            Self::NoSpace { .. } => "free space on the host: nothing that was committed is lost",
            Self::Unsynced => "look for errors of the host's disk, then open the disk again",
            Self::MapTooLarge { .. } => "merge the changes, or export the disk and start anew",
            _ => return None,
        })
    }
}

/// Names the failed action on the host; a full host has an error of its own.
pub(crate) fn cannot(action: &'static str) -> impl FnOnce(io::Error) -> DiskError {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::NoSpace { source },
        _ => DiskError::Io { action, source },
    }
}
