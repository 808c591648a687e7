//! `minke pause`: all processes of containers stand still.

use clap::Args;

use crate::commands::{engine, for_each};
use crate::output::print_line;
use crate::report::Report;

/// Keep all processes of containers from going on
///
/// Programs that compute stand still where they are, and connections and signals wait, until `minke unpause`. The clock goes on. `minke stop`
/// and `minke kill` end a paused container as any other.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke pause web\n  minke pause web worker && minke unpause web worker"
)]
pub(crate) struct Pause {
    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Pause {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        for_each(&engine, &self.containers, |container, name| {
            engine.pause(container)?;
            Ok(print_line(name)?)
        })
    }
}
