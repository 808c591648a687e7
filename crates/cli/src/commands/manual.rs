//! The hidden `minke manual`: writes a page of the manual for each command, for `cargo xtask man` and packagers.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::Cli;
use crate::report::Report;

/// Write the manual's pages to a directory
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke manual /usr/local/share/man/man1")]
pub(crate) struct Manual {
    /// Directory that takes the pages; it is made
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Manual {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        std::fs::create_dir_all(&self.directory)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &self.directory))
            .map_err(|error| {
                Report::new(
                    format!(
                        "cannot write pages to `{}`: {error}",
                        self.directory.display()
                    ),
                    "give a directory that you may write",
                )
            })?;
        Ok(0)
    }
}
