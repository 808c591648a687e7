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
    /// A stage's name or number, or an image; none for the context.
    pub from: Option<Literal>,
    /// Empty for the root of where it is from; the id of a secret.
    pub source: String,
    /// Relative to the working directory. Empty only for secrets and keys, which have defaults.
    pub target: String,
    pub is_read_only: bool,
    /// Of a `tmpfs`; none for no limit.
    pub size_bytes: Option<u64>,
    /// Of a cache, a secret or an agent; none for the default.
    pub id: Option<String>,
    pub sharing: Sharing,
    /// Whether the build fails without the secret or the agent.
    pub is_required: bool,
    /// The variable that has the secret; an empty name stands for the secret's id.
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
