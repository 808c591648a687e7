//! Archives: images in one tar, as `save` and `load` and a build's output have them.
//!
//! | form | documents | read by |
//! |---|---|---|
//! | OCI | `oci-layout`, `index.json`, `blobs/sha256/<hex>` | skopeo, umoci, podman, containerd, Docker 25 and newer |
//! | Docker | `manifest.json`, configurations and uncompressed layers | Docker, podman, skopeo, kaniko |
//! | both | the documents of both, over the same blobs | all of them |
//!
//! | module | is |
//! |---|---|
//! | `documents` | the JSON documents of both forms |
//! | `plan` | what an archive of these images has in it |
//! | `save` | writing it |
//! | `members` | the names of a foreign archive, safely |
//! | `select` | which images of a foreign archive are meant |
//! | `load` | verifying them, and putting them into the store |
//!
//! Spec: OCI image-spec 1.1 image-layout.md; Docker: `image/spec/v1.2.md`, "Combined Image JSON + Filesystem Changeset Format".

mod documents;
mod load;
mod members;
mod plan;
mod save;
mod select;
mod transfer;
mod walk;

use std::io::{self, ErrorKind};
use std::path::PathBuf;

pub use load::{LoadOptions, Loaded};
pub use members::Limits;
pub(crate) use plan::pack;
pub use plan::{ArchiveForm, ArchivePacking, Export, SaveOptions};
pub(crate) use transfer::in_parallel;
pub use transfer::{Item, Progress, Silent};

use crate::{Digest, Platform, StoreError};

/// What can go wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot read the archive")]
    Read { source: io::Error },
    #[error("cannot write the archive `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the archive is no tar: {reason}")]
    NotTar { reason: String },
    #[error("the archive ends within `{member}`")]
    Truncated { member: String },
    #[error("the archive's member `{member}` leads out of it")]
    Outside { member: String },
    #[error("the archive has `{member}` twice")]
    Duplicate { member: String },
    #[error("the archive's member `{member}` is {found}, not a file")]
    NotFile { member: String, found: &'static str },
    #[error("the archive has more than {max} {unit}")]
    TooLarge { max: u64, unit: &'static str },
    #[error("the archive has neither `index.json` nor `manifest.json`")]
    NoImages,
    #[error("the archive has no `{member}`, which `{document}` names")]
    Missing { member: String, document: String },
    #[error("the archive's `{document}` is malformed: {reason}")]
    Malformed { document: String, reason: String },
    #[error("`{member}` has {found} bytes, `{document}` says {expected}")]
    WrongSize {
        member: String,
        document: String,
        found: u64,
        expected: u64,
    },
    #[error("`{member}` has the digest `{found}`")]
    WrongDigest { member: String, found: Digest },
    #[error("layer `{layer}` holds `{found}`, its configuration says `{expected}`")]
    WrongDiffId {
        layer: String,
        found: Digest,
        expected: Digest,
    },
    #[error("layer `{layer}` cannot be unpacked: {reason}")]
    BadLayer { layer: String, reason: String },
    #[error("{image} is for {}, not for `{wanted}`", quoted(found))]
    Platform {
        image: String,
        wanted: String,
        /// Each once.
        found: Vec<String>,
    },
}

/// Bounds the platforms that a message lists.
const PLATFORMS_SHOWN_MAX: usize = 10;

fn list_of(platforms: &[Platform]) -> Vec<String> {
    let mut list: Vec<String> = platforms.iter().map(Platform::to_string).collect();
    list.sort();
    list.dedup();
    list.truncate(PLATFORMS_SHOWN_MAX);
    list
}

fn quoted(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|it| format!("`{it}`")).collect();
    quoted.join(", ")
}

impl ArchiveError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Store(error) => return error.hint(),
            Self::Read { source } if source.kind() == ErrorKind::Unsupported => {
                "unpack it first, or pack it again, as with `xz -6`"
            }
            Self::Read { .. } => return None,
            Self::Write { path, source } => match source.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => {
                    "make its directory first, or give another path"
                }
                kind => return crate::store::io_hint(path, kind),
            },
            Self::Platform { found, .. } => {
                return Some(format!(
                    "build it for `{}`; if its programs are WebAssembly all the same, give `--platform {}`",
                    Platform::default(),
                    found.first().map_or("OS/ARCHITECTURE", String::as_str),
                ));
            }
            Self::NotTar { .. } | Self::NoImages => {
                "give an archive that `minke save`, `docker save` or `skopeo copy` wrote"
            }
            Self::Truncated { .. } | Self::WrongDigest { .. } | Self::BadLayer { .. } => {
                "the archive is damaged: fetch or save it again"
            }
            Self::TooLarge { .. } => "save fewer or smaller images at a time",
            Self::Outside { .. }
            | Self::Duplicate { .. }
            | Self::NotFile { .. }
            | Self::Missing { .. }
            | Self::Malformed { .. }
            | Self::WrongSize { .. }
            | Self::WrongDiffId { .. } => "the archive is not what it says: do not use it",
        };
        Some(text.to_owned())
    }
}
