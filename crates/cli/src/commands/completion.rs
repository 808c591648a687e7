//! `minke completion`: scripts through which a shell asks `minke __complete` what a word may become.

use clap::{Args, ValueEnum};

use crate::output::print;
use crate::report::Report;

/// Print a script with which a shell completes commands, options and names
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
        print(match self.shell {
            CompletedShell::Bash => include_str!("completion/minke.bash"),
            CompletedShell::Zsh => include_str!("completion/minke.zsh"),
            CompletedShell::Fish => include_str!("completion/minke.fish"),
        })?;
        Ok(0)
    }
}
