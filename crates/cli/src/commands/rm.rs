//! `minke rm`: containers that have ended, or any with `-f`.

use clap::Args;
use minke_engine::{AnonymousVolumes, EngineError};

use crate::commands::engine;
use crate::output::print_line;
use crate::report::{Kind, Report};

/// Remove containers
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke rm job\n  minke rm -f web")]
pub(crate) struct Rm {
    /// Kill a running container first; a container that is not there is no failure
    #[arg(short, long)]
    force: bool,

    /// Remove its volumes that nobody named too
    #[arg(short, long)]
    volumes: bool,

    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Rm {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let volumes = match self.volumes {
            true => AnonymousVolumes::Removed,
            false => AnonymousVolumes::Kept,
        };
        let mut code = 0;
        for name in &self.containers {
            let result = engine
                .container(name)
                .and_then(|container| match self.force {
                    true => engine.remove_by_force(&container, volumes),
                    false => engine.remove(&container, volumes),
                });
            match result {
                Ok(()) => print_line(name)?,
                Err(error) => {
                    // Docker says it too, and ends with 0.
                    let is_gone = matches!(error, EngineError::NoSuchContainer { .. });
                    Report::from(error).print();
                    if !(self.force && is_gone) {
                        code = Kind::Command.exit_code();
                    }
                }
            }
        }
        Ok(code)
    }
}
