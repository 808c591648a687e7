//! `minke restart`: `stop` and `start`.

use clap::Args;
use minke_engine::Stopping;

use crate::commands::{engine, for_each};
use crate::output::print_line;
use crate::report::Report;

/// Stop containers and start them again; those that do not run are started
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke restart web")]
pub(crate) struct Restart {
    /// Signal to send [default: the container's stop signal]
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,

    /// Seconds to wait before killing the container; -1 waits for ever [default: the container's, or 10]
    #[arg(
        short,
        long = "timeout",
        alias = "time",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    timeout: Option<i64>,

    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Restart {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        for_each(&engine, &self.containers, |container, name| {
            let stopping = Stopping::of(container, self.signal.as_deref(), self.timeout)?;
            engine.restart(container, &stopping)?;
            Ok(print_line(name)?)
        })
    }
}
