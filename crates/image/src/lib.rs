//! The content store: OCI images on disk, and what a container's root is made of.
//!
//! A [`Store`] is a directory. Blobs (manifests, configurations, compressed layers) lie in
//! `blobs/sha256/<hex>` as in an OCI image layout, so that every other OCI tool can read them;
//! `index.json` and `oci-layout` beside them follow the database; `images.db` (SQLite) says which names point to which manifest; `layers/<diff id>.tar` holds
//! uncompressed layers, a cache that can always be rebuilt from the blobs and is never trusted once
//! its seal is broken; `tmp/` holds what is being written.
//!
//! Several processes use one store at once. The rules that keep them apart:
//!
//! - What is written goes to a file under `tmp/` first and is renamed into place when it is whole, so a
//!   crash leaves nothing but temporary files, which the next [`Store::open`] sweeps.
//! - A writer holds a [`Lease`]. It names each digest in the database *before* it relies on the blob,
//!   and garbage collection deletes blobs inside a write transaction, so either the collector sees the
//!   name or the writer sees that the blob is gone.
//! - A lease ends with its process: its lock file is locked by the kernel for as long as that lives.
//!
//! Lock order: `layers/.lock`, then the database; never the other way round.
//!
//! [`archive`] carries images from store to store, and to and from other tools.
//!
//! Neighbours: `build` writes images, `engine` reads them and pins those that containers use.

pub mod archive;
mod blob;
mod build_cache;
pub mod check;
mod configuration;
mod database;
mod digest;
mod fan;
mod file_digests;
mod filter;
mod garbage;
mod header_bytes;
mod image;
mod kept_snapshots;
mod layer;
mod layout;
mod lease;
mod nearest;
mod packing;
pub mod program;
mod provided;
mod reference;
mod remembered;
mod root;
mod snapshots;
mod step_snapshots;
mod store;
pub mod tree;
mod usage;
mod whole_file;
mod xz;

pub use blob::{BLOB_BYTES_MAX, Blob};
pub use build_cache::{BUILD_CACHE_BYTES_MAX, CacheEntry, PrunedSteps};
pub use configuration::{HealthCheck, HistoryEntry, ImageConfig, ParsePlatformError, Platform};
pub use database::CachedStep;
pub use digest::{Digest, Hasher, ParseDigestError};
pub use file_digests::{FileDigest, FileHasher, FileStamp};
pub use filter::{ImageFilter, LabelPattern, ParseFilterError};
pub use garbage::{Collected, Force, Removed};
pub use header_bytes::{BoundedReader, HEADER_BYTES_MAX, HeaderBytes};
pub use image::{Image, ImageSummary, Layer, NewImage};
pub use kept_snapshots::LayerSnapshot;
pub use layer::{
    Attributes, EntryMetadata, LAYER_BYTES_MAX, LayerWriter, SpecialFile, attributes_of, records_of,
};
pub use lease::Lease;
pub use nearest::nearest;
pub use packing::{Compression, Packing};
pub use provided::Provided;
pub use reference::{ParseReferenceError, Reference};
pub use root::LayerFile;
pub use snapshots::{ROOT_DISK_BYTES, SnapshotError};
pub use store::{Store, StoreError, WrongDiffId};
pub use usage::DiskUsage;
pub use whole_file::WholeFile;
