//! The builder: a `Balenafile` and a directory become an image.
//!
//! [`build`] reads the file, evaluates its instructions one after the other on top of the base image, and commits the
//! result. Instructions that change files make a layer each; the others change the configuration only.
//!
//! **Caching.** A layer's key is made of everything that decides it: the layers below, the instruction with its
//! variables replaced, and names, kinds, permissions and contents of the files that go in, but not their
//! times. A key that was seen gives the layer that was made then. Keys and layers live in the content store.
//!
//! **Reproducibility.** Equal inputs make equal images, to the digest of the manifest. Entries are sorted, owners are
//! numbers, and no time of day goes in: an entry's time is its source's in whole seconds, and the image is as old as the
//! newest of them, unless [`BuildOptions::source_date_epoch_s`] says one time for all.
//!
//! **Confinement.** No path of a file outside the context is ever opened, whatever symbolic links say and
//! whoever moves files during the build; the kernel refuses it (`openat2`).
//!
//! Neighbours: `balenafile` knows the language, `image` the store. Nothing here prints; [`Progress`] is told.

mod build;
mod configure;
mod context;
mod layer;
mod owner;
mod placement;
mod progress;
mod select;
mod stage;
mod variables;

pub use build::{BALENAFILE_NAMES, BuildError, BuildOptions, BuiltImage, CachePolicy, build};
pub use context::{CONTEXT_FILES_MAX, DIRECTORY_DEPTH_MAX};
pub use progress::{Event, Progress, Silent, StepLabel, Warning};
