//! `minke unpause`: processes of paused containers go on.

use clap::Args;

use crate::commands::{engine, for_each};
use crate::output::print_line;
use crate::report::Report;

/// Let all processes of paused containers go on
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke unpause web\n  minke unpause $(minke ps -q --filter status=paused)"
)]
pub(crate) struct Unpause {
    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Unpause {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        for_each(&engine, &self.containers, |container, name| {
            engine.unpause(container)?;
            Ok(print_line(name)?)
        })
    }
}
