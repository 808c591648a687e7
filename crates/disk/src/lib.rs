//! Disks in files of the host: what `minke-blockstore` keeps, with locks, as block devices for `minke-ext4`.
//!
//! Who writes a file holds its lock alone, who reads it shares it, for as long as it is open: the kernel drops a lock when its process
//! ends, however it ends. A second writer is told that the file is in use.
//!
//! | module | is |
//! |---|---|
//! | `host_file` | a file with its lock, mapped or not |
//! | `chain` | snapshots over each other, and the file that is written over them |
//! | `history` | snapshots of the file that is written, by name |
//! | `volume` | an image file of a user, written through a change file beside it |
//! | `content` | what tells files of snapshots from all others |
//! | `device` | each of these as what a file system lies on |
//! | `new_disk` | disks of named volumes, empty or with what an image has |
//! | `stack` | layers of an image as one plain disk |
//! | [`tree`] | trees of files between tars and file systems |

mod chain;
mod content;
mod device;
mod history;
mod host_file;
mod identity;
mod new_disk;
mod stack;
pub mod tree;
mod volume;

use std::io;
use std::path::PathBuf;

pub use chain::{WritableDisk, extend_chain, open_chain};
pub use content::content_identity;
pub use device::{FileDevice, ReadOnly};
pub use history::{History, HistoryEdit, HistoryError, NamedSnapshot, SNAPSHOTS_MAX};
pub use host_file::{Access, Durability, HostFile};
pub use identity::{image_identity, is_disk};
pub use minke_blockstore::{DiskError, Identity, Limits, Snapshot};
pub use new_disk::{NewDiskError, fill_disk, make_disk};
pub use stack::{StackError, StackOptions, fitted_size, stack_layers};
pub use volume::{Volume, changes_path};

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
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free space on the file system that it lies on")
                }
                _ => None,
            },
            Self::Disk { source, .. } => source.hint(),
        }
    }
}
