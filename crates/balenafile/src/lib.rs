//! The `Balenafile` language: text in, checked instructions out.
//!
//! A `Balenafile` is a `Dockerfile` for images whose programs are WebAssembly. This crate reads it in stages, each
//! with its own type: bytes → [`Source`] (text within bounds) → lines (continuations joined, comments gone) →
//! [`Balenafile`] (each [`Step`] an [`Instruction`] whose form has been checked) → [`Graph`] (which stage needs which).
//! What depends on more than the text, such as variables, files and other images, is left to `build`, and asked for
//! where it matters: [`Word::expand`], [`MountFlag::resolve`], [`Balenafile::graph`]. [`IgnoreFile`] reads
//! `.dockerignore`; [`RULES`] say what is better avoided.
//!
//! The instructions are declared once, in [`table::INSTRUCTIONS`]. Every complaint is a [`Diagnostic`] that names
//! file, line and column, shows the line and says what to do.
//!
//! Nothing here does I/O, and no input makes it panic.
//!
//! Spec: Docker's "Dockerfile reference"; BuildKit `frontend/dockerfile/parser` and `shell/lex.go`.

mod arguments;
mod command;
mod directive;
mod expose;
mod glob;
mod graph;
mod heredoc;
mod ignore;
mod instruction;
mod json;
mod line;
mod lint;
mod mount;
mod parse;
mod source;
mod split;
pub mod table;
mod word;

pub use arguments::{PLATFORM_ARGUMENTS, PREDEFINED_ARGUMENTS};
pub use command::{Command, ShellCommand};
pub use expose::{ExposeError, Exposed};
pub use glob::{Glob, PATTERN_BYTES_MAX};
pub use graph::{Graph, Node, Origin};
pub use ignore::IgnoreFile;
pub use instruction::{
    Add, ArgDeclaration, Balenafile, Check, Copy, CopySource, From, Healthcheck, Heredoc,
    Instruction, Literal, Mount, MountFlag, MountKind, MountOption, Onbuild, Pair, Run, RunCommand,
    RunNetwork, RunSecurity, Sharing, Stage, Step,
};
pub use line::LINE_BYTES_MAX;
pub use lint::{BaseFacts, Facts, LintOptions, RULES, Reach, Rule, rules_to_markdown};
pub use source::{BALENAFILE_BYTES_MAX, Complaint, Diagnostic, Severity, Source, Span};
pub use word::{EXPANSION_BYTES_MAX, ExpandError, Lookup, Word};
