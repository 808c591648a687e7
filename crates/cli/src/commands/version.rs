//! `minke version`.

use clap::Args;

use crate::output::print_line;
use crate::report::Report;

/// Show the version of minke
#[derive(Debug, Args)]
pub(crate) struct Version {}

impl Version {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        print_line(concat!("minke ", env!("CARGO_PKG_VERSION")))?;
        Ok(0)
    }
}
