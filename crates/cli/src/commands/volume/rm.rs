//! `minke volume rm`: volumes that no container has.

use clap::Args;
use minke_engine::EngineError;
use minke_engine::volumes::VolumeError;

use crate::commands::engine;
use crate::output::print_line;
use crate::report::{Kind, Report};

/// Remove volumes with their files
///
/// A volume of a container stays, whether that runs or not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke volume rm data")]
pub(crate) struct Rm {
    /// A volume that is not there is no failure
    #[arg(short, long)]
    force: bool,

    /// Names
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

impl Rm {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let mut code = 0;
        for name in &self.volumes {
            match engine.remove_volume(name) {
                Ok(()) => print_line(name)?,
                // Docker prints its name all the same.
                Err(EngineError::Volume(VolumeError::Missing { .. })) if self.force => {
                    print_line(name)?;
                }
                Err(error) => {
                    Report::from(error).print();
                    code = Kind::Command.exit_code();
                }
            }
        }
        Ok(code)
    }
}
