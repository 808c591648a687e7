//! `minke wait`: blocks until containers have ended, then prints their exit codes.

use clap::Args;

use crate::commands::{engine, for_each};
use crate::output::print_line;
use crate::report::Report;

/// Wait until containers have ended, then print their exit codes
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke wait job")]
pub(crate) struct Wait {
    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Wait {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        for_each(&engine, &self.containers, |container, _| {
            let code = engine.wait(container)?;
            Ok(print_line(&code.to_string())?)
        })
    }
}
