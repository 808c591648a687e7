//! Disks in the host's files: storage for `minke-blockstore`, with locks, and image files as volumes.
//!
//! Who writes a file holds its lock alone, who reads it shares it, for as long as it is open: the kernel drops a lock when its process
//! ends, however it ends. A second writer is told that the file is in use.

mod host_file;
mod identity;
mod volume;

use std::io;
use std::path::PathBuf;

use minke_blockstore::DiskError;

pub use host_file::{Access, HostFile};
pub use identity::content_identity;
pub use volume::Volume;

/// What can go wrong with a disk in a file.
#[derive(Debug, thiserror::Error)]
pub enum DiskFileError {
    #[error("the disk `{}` is in use", path.display())]
    InUse { path: PathBuf },
    #[error("cannot {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot use the disk `{}`", path.display())]
    Disk { path: PathBuf, source: DiskError },
}

impl DiskFileError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InUse { .. } => Some("stop the container that uses it, or wait for it to end"),
            Self::Io { .. } => None,
            Self::Disk { source, .. } => source.hint(),
        }
    }
}
