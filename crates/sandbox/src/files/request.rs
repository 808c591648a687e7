//! What is asked about a container's files, and what is answered.

use serde::{Deserialize, Serialize};

/// What a command asks. Paths are the container's, absolute, and may be any bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "files", rename_all = "lowercase")]
pub enum FilesRequest {
    /// Answers with what a path names.
    Status { path: Vec<u8>, links: Links },
    /// Streams the changes of the root: of each a [`ChangeKind`]'s letter, the path, and a zero byte.
    Changes,
    /// Streams the changes of the root as the tar of a layer.
    Layer,
    /// Streams the root as a tar, without what is mounted in it.
    Export,
    /// Streams what a path names, and what is in it, as a tar whose first member is called `name`.
    Archive {
        path: Vec<u8>,
        name: Vec<u8>,
        links: Links,
    },
    /// Takes a stream: a tar whose members are made below a directory.
    Extract { path: Vec<u8>, owners: Owners },
}

impl FilesRequest {
    /// Whether a stream comes before the response.
    pub fn is_streamed_back(&self) -> bool {
        match self {
            FilesRequest::Status { .. } | FilesRequest::Extract { .. } => false,
            FilesRequest::Changes
            | FilesRequest::Layer
            | FilesRequest::Export
            | FilesRequest::Archive { .. } => true,
        }
    }
}

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Links {
    Followed,
    Kept,
}

/// Whom files of an archive belong to once they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owners {
    /// Root of the container.
    Root,
    /// Whom the archive says.
    Kept,
}

/// What a path of a container names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStatus {
    pub kind: FileKind,
    /// Its own path, which no link leads through.
    pub path: Vec<u8>,
    pub size_bytes: u64,
}

/// What a file is, as far as copying goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    Directory,
    Regular,
    Symlink,
    Other,
}

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    Changed,
    Added,
    Deleted,
}

impl ChangeKind {
    /// All kinds, in the order of Docker's numbers for them.
    pub const ALL: [ChangeKind; 3] = [ChangeKind::Changed, ChangeKind::Added, ChangeKind::Deleted];

    /// Returns Docker's letter.
    pub fn letter(self) -> u8 {
        match self {
            ChangeKind::Changed => b'C',
            ChangeKind::Added => b'A',
            ChangeKind::Deleted => b'D',
        }
    }
}
