//! `minke snapshot rm`: snapshots that nobody will put back.

use clap::Args;

use crate::commands::engine;
use crate::output::print_line;
use crate::report::{Kind, Report};

/// Remove snapshots of a container
///
/// The container may run; its files stay as they are. The room of a snapshot that others, or the root, lie on is free when they are gone.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke snapshot rm web before-upgrade")]
pub(crate) struct Rm {
    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Names of the snapshots
    #[arg(required = true, value_name = "SNAPSHOT")]
    names: Vec<String>,
}

impl Rm {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let container = engine.container(&self.container)?;
        let mut code = 0;
        for name in &self.names {
            match engine.remove_snapshot(&container, name) {
                Ok(()) => print_line(name)?,
                Err(error) => {
                    Report::from(error).print();
                    code = Kind::Command.exit_code();
                }
            }
        }
        Ok(code)
    }
}
