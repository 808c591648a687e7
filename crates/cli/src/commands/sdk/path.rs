//! `minke sdk path`.

use clap::Args;

use super::system;
use crate::output::print_line;
use crate::report::Report;

/// Print the directory of the headers and libraries
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke sdk path")]
pub(crate) struct Path {}

impl Path {
    #[expect(
        clippy::unused_self,
        reason = "commands are run as methods of their arguments"
    )]
    pub(crate) fn run(&self) -> Result<u8, Report> {
        print_line(&system()?.directory.display().to_string())?;
        Ok(0)
    }
}
