//! `minke volume`: files that outlive containers.

use clap::{Args, Subcommand};

use crate::report::Report;

mod create;
mod inspect;
mod ls;
pub(super) mod prune;
mod rm;

/// Manage volumes
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  minke volume create data\n  minke run --rm -v data:/data app:1"
)]
pub(crate) struct Volume {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Create),
    Inspect(inspect::Inspect),
    #[command(alias = "list")]
    Ls(ls::Ls),
    Prune(prune::Prune),
    #[command(alias = "remove")]
    Rm(rm::Rm),
}

impl Volume {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        match &self.command {
            Command::Create(command) => command.run(),
            Command::Inspect(command) => command.run(),
            Command::Ls(command) => command.run(),
            Command::Prune(command) => command.run(),
            Command::Rm(command) => command.run(),
        }
    }
}
