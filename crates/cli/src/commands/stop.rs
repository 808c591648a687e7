//! `minke stop`: the stop signal, and `SIGKILL` when the time is up.

use std::time::Duration;

use clap::Args;

use crate::commands::{engine, for_each};
use crate::output::print_line;
use crate::report::Report;

/// Stop running containers
///
/// Sends the image's stop signal (`TERM` unless it says another), and `KILL` when the container still runs after the timeout.
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Seconds to wait before killing the container; -1 waits for ever
    #[arg(
        short,
        long = "time",
        value_name = "SECONDS",
        default_value_t = 10,
        allow_negative_numbers = true
    )]
    timeout: i64,

    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Stop {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let timeout = u64::try_from(self.timeout).ok().map(Duration::from_secs);
        for_each(&engine, &self.containers, |container, name| {
            engine.stop(container, timeout)?;
            Ok(print_line(name)?)
        })
    }
}
