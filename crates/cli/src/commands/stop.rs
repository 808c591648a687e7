//! `minke stop`: the stop signal, and `SIGKILL` when the time is up.

use clap::Args;
use minke_engine::Stopping;

use crate::commands::{engine, for_each};
use crate::output::print_line;
use crate::report::Report;

/// Stop running containers
///
/// Sends the container's stop signal (`TERM` unless it or its image says another), and `KILL` when it still runs after the timeout.
/// A container that is stopped is not restarted, whatever its restart policy.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke stop web\n  minke stop -t 2 web worker")]
pub(crate) struct Stop {
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

impl Stop {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        for_each(&engine, &self.containers, |container, name| {
            let stopping = Stopping::of(container, self.signal.as_deref(), self.timeout)?;
            engine.stop(container, &stopping)?;
            Ok(print_line(name)?)
        })
    }
}
