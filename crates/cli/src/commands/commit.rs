//! `minke commit`: an image of what a container has become.

use clap::Args;
use minke_build::CommitOptions;

use crate::commands::{engine, image_name};
use crate::output::print_line;
use crate::report::Report;

/// Make an image of what a container has become
///
/// The image has the container's image below, a layer of what the container has changed, and the container's own configuration: its command,
/// environment, labels and so on. What is mounted in the container is not part of it. A program that runs without an image is made part of it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke commit web web:patched\n  minke commit -m 'with data' -c 'CMD [\"/app\", \"--fast\"]' -c 'ENV MODE=test' web web:2"
)]
pub(crate) struct Commit {
    /// Say what was changed, in the image's history
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,

    /// Say who made the image, such as `Ada <ada@example.org>`
    #[arg(short, long, value_name = "NAME")]
    author: Option<String>,

    /// Apply an instruction: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    changes: Vec<String>,

    /// Taken as from Docker: a container is not paused, each of its files is taken as it is when it is read
    #[arg(short, long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pause: bool,

    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// The image's name; without one it has only its id
    #[arg(value_name = "IMAGE[:TAG]")]
    image: Option<String>,
}

impl Commit {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let tag = self.image.as_deref().map(image_name).transpose()?;
        let engine = engine()?;
        let container = engine.container(&self.container)?;
        let options = CommitOptions {
            tag,
            author: self.author.clone(),
            message: self.message.clone().unwrap_or_default(),
            changes: self.changes.clone(),
        };
        let image = minke_build::commit(&engine, &container, &options)?;
        print_line(&image.id.to_string())?;
        Ok(0)
    }
}
