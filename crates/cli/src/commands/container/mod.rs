//! `minke container`: the commands on containers under Docker's longer names.

use clap::{Args, Subcommand};

use super::{
    attach, commit, cp, create, diff, exec, export, inspect, kill, logs, pause, port, ps, rename,
    restart, rm, run, start, stats, stop, top, unpause, update, wait,
};
use crate::report::Report;

pub(super) mod prune;

/// Manage containers
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  minke container ls -a\n  minke container prune"
)]
pub(crate) struct Container {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Attach(attach::Attach),
    Commit(commit::Commit),
    Cp(cp::Cp),
    Create(Box<create::Create>),
    Diff(diff::Diff),
    Exec(Box<exec::Exec>),
    Export(export::Export),
    Inspect(inspect::Inspect),
    Kill(kill::Kill),
    Logs(logs::Logs),
    #[command(alias = "list", alias = "ps")]
    Ls(ps::Ps),
    Pause(pause::Pause),
    Port(port::Port),
    Prune(prune::Prune),
    Rename(rename::Rename),
    Restart(restart::Restart),
    #[command(alias = "remove")]
    Rm(rm::Rm),
    Run(Box<run::Run>),
    Start(start::Start),
    Stats(stats::Stats),
    Stop(stop::Stop),
    Top(top::Top),
    Unpause(unpause::Unpause),
    Update(update::Update),
    Wait(wait::Wait),
}

impl Container {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        match &self.command {
            Command::Attach(command) => command.run(),
            Command::Commit(command) => command.run(),
            Command::Cp(command) => command.run(),
            Command::Create(command) => command.run(),
            Command::Diff(command) => command.run(),
            Command::Exec(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Inspect(command) => command.run_for_containers(),
            Command::Kill(command) => command.run(),
            Command::Logs(command) => command.run(),
            Command::Ls(command) => command.run(),
            Command::Pause(command) => command.run(),
            Command::Port(command) => command.run(),
            Command::Prune(command) => command.run(),
            Command::Rename(command) => command.run(),
            Command::Restart(command) => command.run(),
            Command::Rm(command) => command.run(),
            Command::Run(command) => command.run(),
            Command::Start(command) => command.run(),
            Command::Stats(command) => command.run(),
            Command::Stop(command) => command.run(),
            Command::Top(command) => command.run(),
            Command::Unpause(command) => command.run(),
            Command::Update(command) => command.run(),
            Command::Wait(command) => command.run(),
        }
    }
}
