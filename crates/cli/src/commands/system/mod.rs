//! `minke system`: the home as a whole.

use clap::{Args, Subcommand};

use crate::report::Report;

mod check;
mod df;
mod prune;

/// Manage what minke keeps
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  minke system df\n  minke system prune"
)]
pub(crate) struct System {
    #[command(subcommand)]
    command: SystemCommand,
}

#[derive(Debug, Subcommand)]
enum SystemCommand {
    Check(check::Check),
    Df(df::Df),
    Events(super::events::Events),
    Prune(prune::Prune),
}

impl System {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        match &self.command {
            SystemCommand::Check(command) => command.run(),
            SystemCommand::Df(command) => command.run(),
            SystemCommand::Events(command) => command.run(),
            SystemCommand::Prune(command) => command.run(),
        }
    }
}
