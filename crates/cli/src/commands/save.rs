//! `minke save`: images as one archive, for other stores and other tools.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use minke_engine::engine::images::Destination;
use minke_engine::image::Compression;
use minke_engine::image::archive::{ArchiveForm, ArchivePacking, SaveOptions};

use crate::commands::engine;
use crate::report::Report;
use crate::transfer::Transfers;

/// Save images to an archive
///
/// The archive is OCI's and Docker's at the same time: `docker load`, `podman load` and `skopeo copy` read it, and so does `minke load`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke save -o app.tar app:1\n  minke save app:1 | ssh host minke load\n  minke save -o app.tar --format oci --compression gzip app:1 && skopeo inspect oci-archive:app.tar"
)]
pub(crate) struct Save {
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Documents in the archive
    #[arg(long, value_enum, default_value = "both")]
    format: Form,

    /// How the layers are packed [default: as they are; in the format `docker` not at all]
    #[arg(long, value_enum)]
    compression: Option<Packing>,

    /// Do not show how far it is
    #[arg(short, long)]
    quiet: bool,

    /// Names, ids or beginnings of ids; a name without a tag stands for all of its tags
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// The names are those of skopeo and podman too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// OCI's and Docker's at the same time
    Both,
    /// `index.json` and what it names
    #[value(alias = "oci-archive")]
    Oci,
    /// `manifest.json` and what it names
    #[value(alias = "docker-archive")]
    Docker,
}

/// Docker: BuildKit's exporters, `compression=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Packing {
    /// As they are, so that the image keeps its digest
    Keep,
    Uncompressed,
    Gzip,
    Zstd,
}

impl Save {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        if self.output.is_none() && io::stdout().is_terminal() {
            // Docker: `cli/command/image/save.go`.
            return Err(Report::new(
                "cowardly refusing to save to a terminal",
                "use the `-o` flag or redirect",
            ));
        }
        let engine = engine()?;
        let exports = engine.store().map_err(Report::from)?.exports(&self.images);
        let exports = exports.map_err(minke_engine::EngineError::from)?;
        let transfers = Transfers::new("Saved", self.quiet);
        let options = self.options();
        let standard_output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let destination = match &self.output {
            Some(path) => Destination::File(path),
            None => Destination::Open(&standard_output),
        };
        let saved = engine.save_images(&exports, &options, &destination, &transfers);
        transfers.end();
        saved?;
        Ok(0)
    }

    fn options(&self) -> SaveOptions {
        let form = match self.format {
            Form::Both => ArchiveForm::Both,
            Form::Oci => ArchiveForm::Oci,
            Form::Docker => ArchiveForm::Docker,
        };
        let packing = self.compression.map(|compression| match compression {
            Packing::Keep => ArchivePacking::Keep,
            Packing::Uncompressed => ArchivePacking::As(Compression::None),
            Packing::Gzip => ArchivePacking::As(Compression::Gzip),
            Packing::Zstd => ArchivePacking::As(Compression::Zstd),
        });
        let options = SaveOptions::new(form);
        SaveOptions {
            packing: packing.unwrap_or(options.packing),
            ..options
        }
    }
}
