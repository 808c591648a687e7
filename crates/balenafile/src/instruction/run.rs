//! `RUN`: a command of the build.

use super::{Heredoc, MountFlag};
use crate::command::ShellCommand;

/// `RUN [FLAG...] COMMAND`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub command: RunCommand,
    /// `--mount`, in the order of the file.
    pub mounts: Vec<MountFlag>,
    pub network: RunNetwork,
    pub security: RunSecurity,
}

/// What a `RUN` runs. Nothing of it is expanded: its variables are the shell's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunCommand {
    /// `["PROGRAM", "ARGUMENT"...]`, at least the program.
    Exec(Vec<String>),
    /// A text for the shell, with the here-documents that it reads.
    Shell(ShellCommand),
    /// `RUN <<NAME` and nothing else: the text is the script; one that begins in `#!` is a program file of its own.
    Script(Heredoc),
}

/// `--network`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunNetwork {
    #[default]
    Default,
    None,
    Host,
}

/// `--security`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunSecurity {
    #[default]
    Sandbox,
    Insecure,
}
