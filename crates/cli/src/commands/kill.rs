//! `minke kill`: a signal to containers, `SIGKILL` unless another is asked for.

use clap::Args;

use crate::commands::{engine, for_each};
use crate::output::print_line;
use crate::report::Report;

/// Send a signal to running containers
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke kill web\n  minke kill -s HUP web")]
pub(crate) struct Kill {
    /// Signal to send, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
    signal: String,

    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Kill {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        for_each(&engine, &self.containers, |container, name| {
            engine.kill(container, &self.signal)?;
            Ok(print_line(name)?)
        })
    }
}
