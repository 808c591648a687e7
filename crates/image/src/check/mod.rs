//! Checking a whole store, and repairing what can be derived from the rest.
//!
//! Everything is read: each blob is hashed, each image's documents are parsed and compared with the database, each cached tar
//! is compared with its diff id. Nothing is changed by a check. A repair makes again what other contents determine, and removes
//! what cannot be; it says which images are lost by that.
//!
//! | module | is |
//! |---|---|
//! | `inspect` | finding what is wrong |
//! | `repair` | putting it right |

mod inspect;
mod repair;

use std::fmt;
use std::path::PathBuf;

use crate::{Digest, Reference};

pub use crate::kept_snapshots::damaged_snapshots;
pub use inspect::check;
pub(crate) use inspect::{is_corrupt, named_files};
pub use repair::{Repaired, repair};

/// Something that is wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// SQLite cannot read the database, or it contradicts itself.
    Database { path: PathBuf, reason: String },
    /// A blob that an image or a build step needs.
    Blob {
        digest: Digest,
        reason: BlobFault,
        /// Names, or ids, of the images that need it.
        images: Vec<String>,
    },
    /// An image whose manifest or configuration makes no sense.
    Document {
        image: String,
        digest: Digest,
        reason: String,
    },
    /// A layer whose blob is whole, and holds something else than its image's configuration says.
    Content {
        image: String,
        manifest: Digest,
        layer: Digest,
        reason: String,
    },
    /// An image whose blobs in the database are not those of its manifest.
    Records { image: String, digest: Digest },
    /// A cached tar of a layer.
    Layer {
        path: PathBuf,
        diff_id: Digest,
        reason: String,
    },
    /// A file that nothing needs.
    Orphan { path: PathBuf, size_bytes: u64 },
    /// A file that no store has.
    Stray { path: PathBuf },
    /// `index.json` says otherwise than the database.
    Index { path: PathBuf },
}

/// What is wrong with a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobFault {
    Missing,
    Size { found: u64, expected: u64 },
    Digest { found: Digest },
}

impl fmt::Display for BlobFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("is missing"),
            Self::Size { found, expected } => {
                write!(formatter, "has {found} bytes instead of {expected}")
            }
            Self::Digest { found } => write!(
                formatter,
                "is corrupt: its content has the digest `{found}`"
            ),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database { path, reason } => {
                write!(
                    formatter,
                    "the image database `{}` is corrupt: {reason}",
                    path.display()
                )
            }
            Self::Blob {
                digest,
                reason,
                images,
            } if images.is_empty() => {
                write!(formatter, "blob `{digest}` of the build cache {reason}")
            }
            Self::Blob {
                digest,
                reason,
                images,
            } => {
                write!(formatter, "blob `{digest}` of {} {reason}", quoted(images))
            }
            Self::Document {
                image,
                digest,
                reason,
            } => {
                write!(
                    formatter,
                    "blob `{digest}` of `{image}` makes no sense: {reason}"
                )
            }
            Self::Content {
                image,
                layer,
                reason,
                ..
            } => write!(formatter, "layer `{layer}` of `{image}` {reason}"),
            Self::Records { image, digest } => {
                write!(
                    formatter,
                    "the database has other contents for `{image}` than its manifest `{digest}`"
                )
            }
            Self::Layer { path, reason, .. } => {
                write!(formatter, "cached layer `{}` {reason}", path.display())
            }
            Self::Orphan { path, size_bytes } => {
                write!(
                    formatter,
                    "`{}` ({size_bytes} bytes) belongs to nothing",
                    path.display()
                )
            }
            Self::Stray { path } => write!(formatter, "`{}` is no part of a store", path.display()),
            Self::Index { path } => {
                write!(
                    formatter,
                    "`{}` does not say what the database does",
                    path.display()
                )
            }
        }
    }
}

pub(crate) fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// What people call an image: its first name, or its short id.
pub(crate) fn label(names: &[Reference], id: &Digest) -> String {
    names
        .first()
        .map_or_else(|| id.short(), Reference::to_string)
}
