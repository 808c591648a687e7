//! `minke disk`: ext2, ext3 and ext4 file systems in files, without a mount and without root.

use clap::{Args, Subcommand};

use crate::report::Report;

mod cat;
mod check;
mod cp;
mod create;
mod df;
mod edit;
mod export_tar;
mod file;
mod import_tar;
mod ls;
mod mkdir;
mod open;
mod resize;
mod rm;
mod stat;

/// Make, read, change and check disks: ext2, ext3 and ext4 in a file
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  minke disk create --size 64M data.img\n  minke disk cp -r ./etc data.img:/\n  minke disk ls data.img /etc"
)]
pub(crate) struct Disk {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Cat(cat::Cat),
    Check(check::Check),
    Cp(cp::Cp),
    Create(create::Create),
    Df(df::Df),
    ExportTar(export_tar::ExportTar),
    ImportTar(import_tar::ImportTar),
    #[command(alias = "list")]
    Ls(ls::Ls),
    Mkdir(mkdir::Mkdir),
    Resize(resize::Resize),
    Rm(rm::Rm),
    Stat(stat::Stat),
}

impl Disk {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        match &self.command {
            Command::Cat(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Cp(command) => command.run(),
            Command::Create(command) => command.run(),
            Command::Df(command) => command.run(),
            Command::ExportTar(command) => command.run(),
            Command::ImportTar(command) => command.run(),
            Command::Ls(command) => command.run(),
            Command::Mkdir(command) => command.run(),
            Command::Resize(command) => command.run(),
            Command::Rm(command) => command.run(),
            Command::Stat(command) => command.run(),
        }
    }
}
