//! `minke completion`: what a shell completes, made from the table of arguments.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::Cli;
use crate::output::print;
use crate::report::Report;

/// Print a script that lets a shell complete commands and options
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke completion bash > ~/.local/share/bash-completion/completions/minke\n  minke completion zsh > ~/.zfunc/_minke\n  minke completion fish > ~/.config/fish/completions/minke.fish"
)]
pub(crate) struct Completion {
    /// Shell that is to complete
    #[arg(value_enum)]
    shell: CompletedShell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CompletedShell {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let shell = match self.shell {
            CompletedShell::Bash => Shell::Bash,
            CompletedShell::Zsh => Shell::Zsh,
            CompletedShell::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "minke", &mut script);
        print(&String::from_utf8_lossy(&script))?;
        Ok(0)
    }
}
