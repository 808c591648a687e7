//! Instructions: what a checked file says.
//!
//! A [`Word`] still has its variables, which mean something only when the instruction is evaluated; a [`Literal`] has
//! none, because its instruction does not expand it.

mod copy;
mod mount;
mod run;
mod words;

use std::time::Duration;

pub use copy::{Add, Copy, Heredoc, Source as CopySource};
pub use mount::{Mount, MountFlag, MountKind, MountOption, Sharing};
pub use run::{Run, RunCommand, RunNetwork, RunSecurity};

use crate::command::Command;
use crate::lint::LintOptions;
use crate::source::{Diagnostic, Source, Span};
use crate::word::Word;

/// A checked file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balenafile {
    /// The text, to point into.
    pub source: Source,
    /// `ARG`s before the first `FROM`, which only `FROM`s see.
    pub global_arguments: Vec<ArgDeclaration>,
    /// At least one, in the order of the file.
    pub stages: Vec<Stage>,
    /// What the rules found that need no more than the text; [`Balenafile::review`] finds the rest.
    pub warnings: Vec<Diagnostic>,
    /// `# check=`
    pub lint: LintOptions,
    /// `# syntax=`: a frontend for Docker to fetch. This crate is the frontend, and has nothing to do with it.
    pub syntax: Option<Literal>,
}

/// A `FROM` and the instructions up to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    pub from: From,
    /// Where `FROM` stands.
    pub span: Span,
    pub text: String,
    /// The comments right above, without `#`.
    pub comments: Vec<String>,
    pub steps: Vec<Step>,
}

/// An instruction and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub instruction: Instruction,
    pub span: Span,
    /// The instruction on one line, as typed.
    pub text: String,
    /// The comments right above, without `#`.
    pub comments: Vec<String>,
}

/// One instruction after `FROM`. Their forms are in [`crate::table::INSTRUCTIONS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    Add(Add),
    Arg(Vec<ArgDeclaration>),
    Cmd(Command),
    Copy(Copy),
    Entrypoint(Command),
    Env(Vec<Pair>),
    /// Each may expand to several ports.
    Expose(Vec<Word>),
    From(From),
    Healthcheck(Healthcheck),
    Label(Vec<Pair>),
    Maintainer(Literal),
    Onbuild(Onbuild),
    Run(Run),
    /// The program and its arguments that take a command's shell form as one more; at least the program.
    Shell(Vec<String>),
    Stopsignal(Word),
    User(Word),
    Volume(Vec<Word>),
    Workdir(Word),
}

/// `FROM [--platform=P] IMAGE [AS NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// `scratch`, an earlier stage's name or an image's.
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
    /// Whether it was written `NAME VALUE`.
    pub is_legacy: bool,
}

/// A text that is taken as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    pub text: String,
    pub span: Span,
}

/// `HEALTHCHECK NONE` or `HEALTHCHECK [FLAG...] CMD COMMAND`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// Takes a base image's check away.
    None,
    Check(Check),
}

/// How a container is found to be well. What is none was not said, or was zero, and has Docker's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub command: Command,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub start_period: Option<Duration>,
    pub start_interval: Option<Duration>,
    pub retries: Option<u32>,
}

/// `ONBUILD INSTRUCTION`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// The instruction as an image keeps it, for [`Step::parse_trigger`].
    pub text: String,
    /// What it says: neither `FROM`, `MAINTAINER` nor `ONBUILD`.
    pub instruction: Box<Instruction>,
}

impl Instruction {
    /// Returns the instruction's name, as in [`crate::table::INSTRUCTIONS`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Arg(_) => "ARG",
            Self::Cmd(_) => "CMD",
            Self::Copy(_) => "COPY",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Env(_) => "ENV",
            Self::Expose(_) => "EXPOSE",
            Self::From(_) => "FROM",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::Onbuild(_) => "ONBUILD",
            Self::Run(_) => "RUN",
            Self::Shell(_) => "SHELL",
            Self::Stopsignal(_) => "STOPSIGNAL",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Workdir(_) => "WORKDIR",
        }
    }
}
