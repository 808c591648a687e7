//! `minke tag`: one more name for an image.

use clap::Args;

use crate::commands::{engine, image_name};
use crate::report::Report;

/// Give an image one more name
///
/// An image that has the name already loses it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke tag app:1 app:latest\n  minke tag 3f2a registry.example/team/app:1"
)]
pub(crate) struct Tag {
    /// Name, id or beginning of an id
    #[arg(value_name = "IMAGE")]
    image: String,

    /// The new name, `NAME[:TAG]`
    #[arg(value_name = "NAME")]
    name: String,
}

impl Tag {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let name = image_name(&self.name)?;
        engine()?.tag_image(&self.image, &name)?;
        Ok(0)
    }
}
