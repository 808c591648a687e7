//! `minke snapshot`: points of a container's root that it can be put back to.

use clap::{Args, Subcommand};

use crate::report::Report;

mod create;
mod ls;
mod restore;
mod rm;

/// Manage snapshots of containers' files
///
/// A snapshot is what a container's root was at one moment. It costs no copy, and goes with its container. Volumes and binds are not in it.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  minke snapshot create web before\n  minke stop web\n  minke snapshot restore web before"
)]
pub(crate) struct Snapshot {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Create),
    #[command(alias = "list")]
    Ls(ls::Ls),
    Restore(restore::Restore),
    #[command(alias = "remove")]
    Rm(rm::Rm),
}

impl Snapshot {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        match &self.command {
            Command::Create(command) => command.run(),
            Command::Ls(command) => command.run(),
            Command::Restore(command) => command.run(),
            Command::Rm(command) => command.run(),
        }
    }
}
