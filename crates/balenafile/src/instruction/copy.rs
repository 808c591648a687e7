//! `COPY` and `ADD`: what goes where.

use super::Literal;
use crate::source::Span;
use crate::word::Word;

/// `COPY [FLAG...] SOURCE... DESTINATION`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// At least one.
    pub sources: Vec<Source>,
    pub destination: Word,
    /// `--from`: a stage's name or number, or an image; none for the context. [`crate::Balenafile::origin`] tells which.
    pub from: Option<Literal>,
    pub chown: Option<Word>,
    pub chmod: Option<Word>,
    /// `--link`: the files do not depend on what is below them.
    pub is_linked: bool,
    /// `--parents`: the directories of each source are kept.
    pub keeps_parents: bool,
    /// `--exclude`: patterns, relative to each source, of what is left out.
    pub excludes: Vec<Literal>,
}

/// `ADD [FLAG...] SOURCE... DESTINATION`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// At least one: paths of the context, `http(s)` addresses, git addresses, or here-documents.
    pub sources: Vec<Source>,
    pub destination: Word,
    pub chown: Option<Word>,
    pub chmod: Option<Word>,
    pub is_linked: bool,
    pub excludes: Vec<Literal>,
    /// `--keep-git-dir`: of a git source; none if it was not said.
    pub keeps_git_directory: Option<bool>,
    /// `--checksum`: `ALGORITHM:HEX` of what an address gives.
    pub checksum: Option<Word>,
    /// `--unpack`: none unpacks archives of the context and leaves those of addresses whole.
    pub unpacks: Option<bool>,
}

/// One source of `COPY` and `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path or a pattern, or for `ADD` an address.
    Path(Word),
    /// `<<NAME`: a file of that name with this text.
    Heredoc(Heredoc),
}

/// A text that stands in the file itself, below its instruction.
///
/// Spec: Dockerfile reference, "Here-Documents".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, quotes removed.
    pub name: String,
    /// Where `<<NAME` stands.
    pub span: Span,
    /// The lines up to the one that ends it, without their leading tabs for `<<-`. Nothing in it is special for a
    /// quoted name; else variables are, and quotes are not.
    pub text: Word,
}
