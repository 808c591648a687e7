//! `minke rmi`: images, by name or id.

use clap::Args;
use minke_engine::EngineError;
use minke_engine::image::{Force, StoreError};

use crate::commands::engine;
use crate::output::print_line;
use crate::report::{Kind, Report};

/// Remove images
///
/// A name is taken away; with its last name the image goes too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke rmi app:1")]
pub(crate) struct Rmi {
    /// Remove all names of an id, and an image that containers were made from
    #[arg(short, long)]
    force: bool,

    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl Rmi {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let force = if self.force { Force::Yes } else { Force::No };
        let mut code = 0;
        for name in &self.images {
            match engine.remove_image(name, force) {
                Ok(removed) => {
                    for tag in removed.untagged {
                        print_line(&format!("Untagged: {tag}"))?;
                    }
                    if let Some(id) = removed.deleted {
                        print_line(&format!("Deleted: {id}"))?;
                    }
                }
                Err(error) => {
                    // Docker says it too, and ends with 0.
                    let is_gone = matches!(error, EngineError::Image(StoreError::NotFound { .. }));
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
