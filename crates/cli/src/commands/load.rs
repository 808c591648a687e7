//! `minke load`: the images of an archive, from a file or standard input.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use minke_engine::image::Platform;
use minke_engine::image::archive::{Limits, LoadOptions, Loaded};

use crate::commands::engine;
use crate::output::print_line;
use crate::report::Report;
use crate::transfer::Transfers;

/// Load images from an archive
///
/// Archives of OCI's and Docker's forms are read, plain or packed with gzip, bzip2, xz or zstd. All images are loaded, or none.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke load -i app.tar\n  skopeo copy docker://registry/app:1 oci-archive:app.tar:app:1 && minke load < app.tar"
)]
pub(crate) struct Load {
    /// Read from a file instead of standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// Take the images of this platform instead of WebAssembly's
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    platform: Option<Platform>,

    /// Do not show how far it is
    #[arg(short, long)]
    quiet: bool,
}

impl Load {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let archive = self.archive()?;
        let engine = engine()?;
        let transfers = Transfers::new("Loaded", self.quiet);
        let options = LoadOptions {
            platform: self.platform.clone(),
            limits: Limits::default(),
            now_s: Timestamp::now().as_second(),
        };
        let loaded = engine.load_images(archive, &options, &transfers);
        transfers.end();
        for image in loaded? {
            print_line(&line(&image))?;
        }
        Ok(0)
    }

    fn archive(&self) -> Result<File, Report> {
        if let Some(path) = &self.input {
            return File::open(path).map_err(|error| {
                Report::new(
                    format!("cannot read `{}`: {error}", path.display()),
                    "give an archive that `minke save` or `docker save` wrote",
                )
            });
        }
        if io::stdin().is_terminal() {
            // Docker: `cli/command/image/load.go`.
            return Err(Report::new(
                "requested load from stdin, but stdin is empty",
                "name the archive with `-i FILE`, or redirect it",
            ));
        }
        Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
    }
}

/// Docker: `image/tarexport/load.go`.
fn line(loaded: &Loaded) -> String {
    match loaded.names.is_empty() {
        true => format!("Loaded image ID: {}", loaded.image.id),
        false => {
            let lines = loaded
                .names
                .iter()
                .map(|name| format!("Loaded image: {name}"));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}
