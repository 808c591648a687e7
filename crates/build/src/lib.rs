//! The builder: a `Balenafile` and a context become an image.
//!
//! [`build`] reads the file, finds the stages that its target needs (`plan`), and evaluates each of them on top of its base
//! once those that it takes files from are done, several at a time (`schedule`). Instructions that change files make a layer
//! each; the others change the configuration only. `RUN` runs a program of the image in a sandbox process of its own.
//!
//! **Caching.** A layer's key is made of everything that decides it: the layers below, the instruction with its
//! variables replaced, and names, kinds, permissions and contents of the files that go in, but not their
//! times. A key that was seen gives the layer that was made then. Keys and layers live in the content store.
//!
//! **Reproducibility.** Equal inputs make equal images, to the digest of the manifest. Entries are sorted, owners are
//! numbers, and no time of day goes in: an entry's time is its source's in whole seconds, and the image is as old as the
//! newest of them, unless [`BuildOptions::source_date_epoch_s`] says one time for all. What a program of a build writes is as
//! old as what it was made from.
//!
//! **Confinement.** No path of a file outside the context is ever opened, whatever symbolic links say and
//! whoever moves files during the build; the kernel refuses it (`openat2`). An archive's files are never files of this machine.
//!
//! Neighbours: `balenafile` knows the language, `image` the store, `engine` runs programs. Nothing here prints; [`Progress`]
//! is told.

mod ahead;
mod archive;
mod build;
mod changes;
mod commit;
mod configure;
mod context;
mod export;
mod inputs;
mod layer;
mod lint;
mod mode;
mod options;
mod origin;
mod owner;
mod placement;
mod plan;
mod progress;
mod schedule;
mod secret;
mod select;
mod stage;
mod stopping;
mod variables;

pub use build::{BuildError, BuiltImage, HeldImage, build, build_and_hold, check};
pub use commit::{CommitOptions, commit};
pub use context::{CONTEXT_FILES_MAX, DIRECTORY_DEPTH_MAX};
pub use export::ExportError;
pub use inputs::BALENAFILE_NAMES;
pub use options::{
    BuildOptions, CachePolicy, ContextSource, Input, Output, OutputKind, PullPolicy,
};
pub use progress::{Event, OutputStream, Progress, Silent, StepLabel, Warning};
pub use secret::{Secret, SecretError, SecretSource};
