//! `minke disk`: ext2, ext3 and ext4 file systems in files, without a mount and without root.

use clap::{Args, Subcommand};

use crate::report::Report;

mod cat;
mod check;
mod create;
mod df;
mod file;
mod ls;
mod open;
mod stat;

/// Make, read and check disks: ext2, ext3 and ext4 in a file
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  minke disk create --size 64M data.img\n  minke disk ls data.img /etc"
)]
pub(crate) struct Disk {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Cat(cat::Cat),
    Check(check::Check),
    Create(create::Create),
    Df(df::Df),
    #[command(alias = "list")]
    Ls(ls::Ls),
    Stat(stat::Stat),
}

impl Disk {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        match &self.command {
            Command::Cat(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Create(command) => command.run(),
            Command::Df(command) => command.run(),
            Command::Ls(command) => command.run(),
            Command::Stat(command) => command.run(),
        }
    }
}
