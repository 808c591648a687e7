//! `minke rename`.

use clap::Args;

use crate::commands::engine;
use crate::report::Report;

/// Give a container another name, whether it runs or not
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke rename web old-web")]
pub(crate) struct Rename {
    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Its name from now on
    #[arg(value_name = "NEW_NAME")]
    new_name: String,
}

impl Rename {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let container = engine.container(&self.container)?;
        engine.rename(&container, &self.new_name)?;
        Ok(0)
    }
}
