//! `minke image export`: an image's root file system as a plain disk, or as one tar.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use minke_disk::tree::{Holes, export};
use minke_disk::{FileDevice, StackError, StackOptions, fitted_size, stack_layers};
use minke_engine::EngineError;
use minke_engine::image::{Image, WholeFile};
use minke_engine::syntax::parse_bytes;
use minke_ext4::make::{Identity, Journal};
use minke_ext4::{FileSystem, InodeNumber, Timestamp};

use crate::commands::engine;
use crate::report::Report;

/// Bytes that are written at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// Write an image's root file system to a file
///
/// As `ext4` it is a disk that Linux mounts, `minke run -v` takes and a card writer flashes; it takes room only for what is in it. As `tar` it is
/// all layers merged. Equal images give equal bytes. To move images between stores, use `save`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke image export --format ext4 app:1 app.img\n  minke image export --size 2G app:1 app.img\n  minke image export --format tar app:1 rootfs.tar"
)]
pub(crate) struct Export {
    /// What to write
    #[arg(long, value_enum, default_value = "ext4")]
    format: Form,

    /// Size of the disk with a unit, such as `2G` [default: what is in it, an eighth more and at least 8 MiB]
    #[arg(long, value_name = "SIZE")]
    size: Option<String>,

    /// Name, id or beginning of the id
    #[arg(value_name = "IMAGE")]
    image: String,

    /// File to write, in place of what has its name
    #[arg(value_name = "FILE")]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A disk with a journal
    Ext4,
    /// One archive, not packed
    Tar,
}

impl Export {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let size_bytes = self.size.as_deref().map(parse_bytes).transpose()?;
        if size_bytes.is_some() && self.format == Form::Tar {
            return Err(Report::usage(
                "a tar has no `--size`",
                "leave it out, or write `--format ext4`",
            ));
        }
        let engine = engine()?;
        let store = engine.store()?;
        let image = store.image(&self.image).map_err(EngineError::from)?;
        let layers = store.root_layers(&image).map_err(EngineError::from)?;
        let layers: Vec<&Path> = layers.iter().map(|layer| &*layer.path).collect();
        let output = self.new_file()?;
        match self.format {
            Form::Ext4 => {
                let options = options(&image, Journal::Usual, size_bytes);
                self.write_disk(&layers, &output, options)?;
            }
            Form::Tar => self.write_tar(&layers, &output, &image)?,
        }
        output
            .publish()
            .map_err(|error| self.cannot_write(&error))?;
        Ok(0)
    }

    fn write_disk(
        &self,
        layers: &[&Path],
        output: &WholeFile,
        mut options: StackOptions,
    ) -> Result<(), Report> {
        if options.size_bytes.is_none() {
            // It would count as content.
            let without_journal = StackOptions {
                journal: Journal::Absent,
                ..options.clone()
            };
            let (_file, scratch) = self.scratch(layers, &without_journal)?;
            let size = fitted_size(&scratch, &options);
            options.size_bytes = Some(size.map_err(|error| told(&error))?);
        }
        let file = output.file().try_clone()?;
        stack_layers(layers, file, &options).map_err(|error| told(&error))?;
        Ok(())
    }

    fn write_tar(&self, layers: &[&Path], output: &WholeFile, image: &Image) -> Result<(), Report> {
        let options = options(image, Journal::Absent, None);
        let (_file, scratch) = self.scratch(layers, &options)?;
        let target = BufWriter::with_capacity(BUFFER_BYTES, output.file());
        let written = export(&scratch, InodeNumber::ROOT, Holes::Fill, target);
        written.map(drop).map_err(|error| {
            Report::new(
                format!("cannot write `{}`: {error}", self.output.display()),
                "name a file in a directory with room for it",
            )
        })
    }

    /// Merges the layers on a disk without a name, beside the output, where there is to be room.
    fn scratch(
        &self,
        layers: &[&Path],
        options: &StackOptions,
    ) -> Result<(WholeFile, FileSystem<FileDevice>), Report> {
        let file = self.new_file()?;
        let opened: File = file.file().try_clone()?;
        let system = stack_layers(layers, opened, options).map_err(|error| told(&error))?;
        Ok((file, system))
    }

    fn new_file(&self) -> Result<WholeFile, Report> {
        WholeFile::create(&self.output).map_err(|error| self.cannot_write(&error))
    }

    fn cannot_write(&self, error: &io::Error) -> Report {
        Report::new(
            format!("cannot write `{}`: {error}", self.output.display()),
            "name a file in a directory that you may write",
        )
    }
}

/// What the disk of an image is like; nothing but the image decides.
fn options(image: &Image, journal: Journal, size_bytes: Option<u64>) -> StackOptions {
    StackOptions {
        identity: Identity::from_seed(image.id.bytes()),
        time: Timestamp {
            seconds: image.created_s.unwrap_or(0),
            nanoseconds: 0,
        },
        label: String::new(),
        journal,
        size_bytes,
    }
}

fn told(error: &StackError) -> Report {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    let hint = match error {
        StackError::Io { .. } => "name a file in a directory with room for it",
        _ => "choose a larger `--size`, or leave it out",
    };
    Report::new(message, hint)
}
