//! `minke image`: the commands on images, under Docker's longer names.

use clap::{Args, Subcommand};

use super::{build, history, images, load, rmi, save, tag};
use crate::report::Report;

mod export;
pub(super) mod inspect;
pub(super) mod prune;

/// Manage images
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  minke image ls\n  minke image prune -a"
)]
pub(crate) struct Image {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    Build(Box<build::Build>),
    Export(export::Export),
    History(history::History),
    Inspect(inspect::Inspect),
    Load(load::Load),
    #[command(alias = "list")]
    Ls(images::Images),
    Prune(prune::Prune),
    #[command(alias = "remove")]
    Rm(rmi::Rmi),
    Save(save::Save),
    Tag(tag::Tag),
}

impl Image {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        match &self.command {
            ImageCommand::Build(command) => command.run(),
            ImageCommand::Export(command) => command.run(),
            ImageCommand::History(command) => command.run(),
            ImageCommand::Inspect(command) => command.run(),
            ImageCommand::Load(command) => command.run(),
            ImageCommand::Ls(command) => command.run(),
            ImageCommand::Prune(command) => command.run(),
            ImageCommand::Rm(command) => command.run(),
            ImageCommand::Save(command) => command.run(),
            ImageCommand::Tag(command) => command.run(),
        }
    }
}
