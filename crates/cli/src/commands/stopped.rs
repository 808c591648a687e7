//! How containers are stopped: the arguments that `stop` and `restart` share.

use clap::Args;
use minke_engine::{Container, Engine, EngineError, Stopping};

use crate::commands::{engine, for_each};
use crate::output::print_line;
use crate::report::Report;

/// Which containers are stopped, and how.
#[derive(Debug, Args)]
pub(crate) struct Stopped {
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

impl Stopped {
    /// Does something with each container, and prints its name.
    pub(super) fn for_each(
        &self,
        action: impl Fn(&Engine, &Container, &Stopping) -> Result<(), EngineError>,
    ) -> Result<u8, Report> {
        let engine = engine()?;
        for_each(&engine, &self.containers, |container, name| {
            let stopping = Stopping::of(container, self.signal.as_deref(), self.timeout)?;
            action(&engine, container, &stopping)?;
            Ok(print_line(name)?)
        })
    }
}
