//! `minke snapshot create`: a container's root as it is now.

use clap::Args;

use crate::commands::engine;
use crate::output::print_line;
use crate::report::Report;

/// Take a snapshot of a container's root, and print its name
///
/// The container may run, and goes on. What its programs have written is in the snapshot, whether they made it durable or not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke snapshot create web before-upgrade")]
pub(crate) struct Create {
    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Name for the snapshot
    #[arg(value_name = "SNAPSHOT")]
    name: String,
}

impl Create {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        engine.create_snapshot(&engine.container(&self.container)?, &self.name)?;
        print_line(&self.name)?;
        Ok(0)
    }
}
