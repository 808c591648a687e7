//! `RUN --mount`: what a command sees besides the image.
//!
//! Spec: Dockerfile reference, "RUN --mount"; BuildKit `instructions/commands_runmount.go` parseMount().

use super::Literal;
use crate::source::Span;
use crate::word::Word;

/// `--mount=KEY[=VALUE],...` as typed. [`MountFlag::resolve`] makes a [`Mount`] of it once its variables are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFlag {
    pub options: Vec<MountOption>,
    /// `from`: a stage's name or number, or an image. Its variables are not expanded.
    pub from: Option<Literal>,
    pub span: Span,
}

/// One option of a mount, but for `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOption {
    /// Lower-cased.
    pub key: String,
    /// None for a key alone.
    pub value: Option<Word>,
    pub span: Span,
}

/// A mount, its variables replaced and its options checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub kind: MountKind,
    /// Of a bind or a cache: a stage's name or number, or an image. None for the context, and for an empty cache.
    pub from: Option<Literal>,
    /// A path in what it is from; empty for its root.
    pub source: String,
    /// Relative to the working directory, which an empty one is. For a secret, empty for no file; for an agent, empty
    /// for the default.
    pub target: String,
    pub is_read_only: bool,
    /// Of a `tmpfs`; none for no limit.
    pub size_bytes: Option<u64>,
    /// Of a cache, a secret or an agent, defaults filled in.
    pub id: String,
    pub sharing: Sharing,
    /// Whether the build fails without the secret or the agent.
    pub is_required: bool,
    /// The variable that has the secret.
    pub variable: Option<String>,
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// `type`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    #[default]
    Bind,
    /// A directory that later builds find again.
    Cache,
    Tmpfs,
    Secret,
    /// An agent's socket.
    Ssh,
}

/// `sharing`: what two builds do that use one cache at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    #[default]
    Shared,
    /// A second user gets a cache of its own.
    Private,
    /// A second user waits.
    Locked,
}
