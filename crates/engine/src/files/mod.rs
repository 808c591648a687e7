//! Files between a container and the host: lists of changes, tars, copies.
//!
//! | module | is |
//! |---|---|
//! | `client` | requests to a running container's sandbox, or to a process of our own for one that does not run |
//! | [`process`] | that process |
//! | `place` | where a copy goes, by Docker's rules |
//! | `pack` | files of the host as a tar |
//! | `unpack` | a tar as files of the host |
//!
//! Tars from a container are a stranger's: nothing of one is written through a link or outside of its directory.

use std::io;
use std::path::{Path, PathBuf};

use minke_archive::ReadError;

pub(crate) mod client;
pub(crate) mod pack;
pub(crate) mod place;
pub mod process;
pub(crate) mod unpack;

pub use minke_sandbox::files::request::{ChangeKind, Links, Owners};

/// A path of a container's root that is not as its image has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathChange {
    pub kind: ChangeKind,
    /// Absolute; any bytes.
    pub path: Vec<u8>,
}

/// How something is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// Whether a link that is copied itself is followed; those below it never are.
    pub links: Links,
    /// Whom copies belong to: who gets them, or who had them.
    pub owners: Owners,
}

/// Why files were not copied.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("could not find the file `{path}` in container `{container}`")]
    NoSuchFile { path: String, container: String },
    #[error("container `{container}`: {message}")]
    Refused { container: String, message: String },
    #[error("the container has more than {max} changes")]
    TooManyChanges { max: usize },
    #[error("container `{container}` ended before all was copied")]
    Ended {
        container: String,
        source: io::Error,
    },
    #[error("cannot copy a directory to `{0}`, which is a file")]
    DirectoryToFile(String),
    #[error("no such directory: `{0}`")]
    NoSuchDirectory(String),
    #[error("`{0}` is not a directory")]
    NotDirectory(String),
    #[error("destination `{container}:{path}` must be a directory")]
    ArchiveToFile { container: String, path: String },
    #[error("cannot {action} `{}`", path.display())]
    Local {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("`{0}` of the container's archive leads out of the destination")]
    Outside(String),
    #[error("cannot overwrite directory `{}` with non-directory", .0.display())]
    DirectoryInTheWay(PathBuf),
    #[error("cannot overwrite non-directory `{}` with directory", .0.display())]
    FileInTheWay(PathBuf),
    #[error("more than {max} files")]
    TooManyFiles { max: usize },
    #[error("the container's archive is damaged")]
    Archive(#[source] ReadError),
}

impl FilesError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            FilesError::NoSuchFile { container, .. } => Some(format!(
                "`minke cp {container}:/ - | tar -t` lists what is there"
            )),
            FilesError::Ended { .. } => {
                Some("copy again: what has been written by now is not all".to_owned())
            }
            FilesError::DirectoryToFile(_) | FilesError::ArchiveToFile { .. } => {
                Some("give a directory".to_owned())
            }
            FilesError::NoSuchDirectory(_) => Some("make it first: `mkdir -p`".to_owned()),
            FilesError::Local { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free space, or copy to another file system".to_owned())
                }
                _ => Some("check the path and its permissions".to_owned()),
            },
            FilesError::DirectoryInTheWay(_) | FilesError::FileInTheWay(_) => {
                Some("remove it first, or copy to another directory".to_owned())
            }
            FilesError::Refused { message, .. } if message.contains("read-only") => {
                Some("copy to a path that the container may write".to_owned())
            }
            _ => None,
        }
    }

    pub(crate) fn local(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FilesError {
        let path = path.to_path_buf();
        move |source| FilesError::Local {
            action,
            path,
            source,
        }
    }
}
