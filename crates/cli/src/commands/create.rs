//! `minke create`: a container that is started later.

use clap::Args;

use super::options::ContainerOptions;
use crate::commands::engine;
use crate::output::print_line;
use crate::report::Report;

/// Make a container without starting it, and print its id
///
/// IMAGE is as for `minke run`. `minke start` starts the container.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke create --name web -p 8080:3000 app:1\n  minke start web"
)]
pub(crate) struct Create {
    #[command(flatten)]
    options: ContainerOptions,
}

impl Create {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let request = self.options.request()?;
        let engine = engine()?;
        let created = self.options.create(&engine, request)?;
        match created.keep() {
            Ok(id) => print_line(&id)?,
            Err(error) => {
                self.options.forget_id();
                return Err(error.into());
            }
        }
        Ok(0)
    }
}
