//! Options: what to build, from what, for whom.

use std::path::PathBuf;

use crate::secret::Secret;

use minke_image::Reference;

/// What to build.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    pub context: ContextSource,
    /// The file to read, from anywhere; none for `Balenafile`, then `Dockerfile`, in the context.
    pub file: Option<Input>,
    /// Names for the image; it may have none.
    pub tags: Vec<Reference>,
    /// `--target`: the stage to build; none for the last.
    pub target: Option<String>,
    /// `--build-arg`: names and values of `ARG`s.
    pub arguments: Vec<(String, String)>,
    /// `--label`: labels that the image gets beside its own.
    pub labels: Vec<(String, String)>,
    pub secrets: Vec<Secret>,
    /// One time for everything, in seconds since 1970: the environment's `SOURCE_DATE_EPOCH`. Spec: reproducible-builds.org.
    pub source_date_epoch_s: Option<u64>,
    pub cache: CachePolicy,
    /// `--no-cache-filter`: stages whose layers are made anew in any case, by name or number.
    pub renewed_stages: Vec<String>,
    pub pull: PullPolicy,
    /// Where the result goes; into the store if there are none, or tags.
    pub outputs: Vec<Output>,
}

impl BuildOptions {
    /// Options for a context and nothing else.
    pub fn new(context: ContextSource) -> Self {
        Self {
            context,
            file: None,
            tags: Vec::new(),
            target: None,
            arguments: Vec::new(),
            labels: Vec::new(),
            secrets: Vec::new(),
            source_date_epoch_s: None,
            cache: CachePolicy::Use,
            renewed_stages: Vec::new(),
            pull: PullPolicy::Missing,
            outputs: Vec::new(),
        }
    }
}

/// The files that `COPY` can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextSource {
    Directory(PathBuf),
    /// A tar, plain or packed. A text is taken as the file to build from, with no context, as Docker does.
    Archive(Input),
}

/// Where bytes are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Path(PathBuf),
    Standard,
}

/// Whether results of earlier builds are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachePolicy {
    Use,
    /// Every layer is made anew, and remembered for later builds.
    Renew,
}

/// When a base image is asked of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// Where it is not in the store.
    Missing,
    /// Always.
    Always,
}

/// Where a build's result goes beside the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub kind: OutputKind,
    /// A file, or the directory of [`OutputKind::Local`].
    pub destination: PathBuf,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// An archive of an OCI image layout.
    Oci,
    /// An archive as `docker save` writes it.
    Docker,
    /// The root's files as one tar.
    Tar,
    /// The root's files in a directory.
    Local,
}
