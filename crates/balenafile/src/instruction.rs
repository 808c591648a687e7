//! Instructions: what a checked file says.

use crate::command::Command;
use crate::source::{Diagnostic, Source, Span};
use crate::word::Word;

/// A checked file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balenafile {
    /// The text, to point into.
    pub source: Source,
    /// `ARG`s before the first `FROM`, which only `FROM`s see.
    pub global_arguments: Vec<ArgDeclaration>,
    /// At least one; only one is supported yet.
    pub stages: Vec<Stage>,
    pub warnings: Vec<Diagnostic>,
}

/// A `FROM` and the instructions up to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    pub from: From,
    /// Where `FROM` stands.
    pub span: Span,
    pub text: String,
    pub steps: Vec<Step>,
}

/// An instruction and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub instruction: Instruction,
    pub span: Span,
    /// The instruction on one line, as typed.
    pub text: String,
}

/// One instruction after `FROM`. Their forms are in [`crate::table::INSTRUCTIONS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    From(From),
    Arg(Vec<ArgDeclaration>),
    Env(Vec<Pair>),
    Label(Vec<Pair>),
    Copy(Copy),
    Workdir(Word),
    User(Word),
    /// Each may expand to several ports.
    Expose(Vec<Word>),
    Cmd(Command),
    Entrypoint(Command),
}

/// `FROM [--platform=P] IMAGE [AS NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// `scratch` or an image's name.
    pub image: Word,
    pub platform: Option<Word>,
    /// Lower-cased.
    pub name: Option<String>,
}

/// One name of an `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgDeclaration {
    pub name: String,
    pub default: Option<Word>,
    pub span: Span,
}

/// `NAME=VALUE` of `ENV` and `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub name: Word,
    pub value: Word,
}

/// `COPY [--chown=USER[:GROUP]] [--chmod=MODE] SOURCE... DESTINATION`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// At least one.
    pub sources: Vec<Word>,
    pub destination: Word,
    pub chown: Option<Word>,
    pub chmod: Option<Word>,
}
