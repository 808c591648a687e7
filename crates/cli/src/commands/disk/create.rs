//! `minke disk create`: an empty file system in a new file.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use minke_disk::FileDevice;
use minke_engine::image::{Digest, WholeFile};
use minke_engine::syntax::parse_bytes;
use minke_ext4::make::{Identity, Journal, MakeOptions, make};

use crate::report::Report;

/// Make a file with an empty ext4 file system
///
/// It has the features and the geometry of `mkfs.ext4`, and takes room of its size only as files fill it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke disk create --size 64M data.img\n  minke disk create --size 8G --label data --no-journal data.img"
)]
pub(crate) struct Create {
    /// Size with a unit, such as `64M` or `8G`
    #[arg(long, value_name = "SIZE")]
    size: String,

    /// Bytes of a block: 1024, 2048 or 4096 [default: 1024 below 512 MiB, else 4096]
    #[arg(long, value_name = "BYTES")]
    block_size: Option<u32>,

    /// Name of the file system, at most 16 bytes
    #[arg(
        long,
        value_name = "LABEL",
        default_value = "",
        hide_default_value = true
    )]
    label: String,

    /// Leave out the journal, which only Linux needs
    #[arg(long)]
    no_journal: bool,

    /// Any text: equal seeds and options make equal disks, of 1970 [default: by chance]
    #[arg(long, value_name = "TEXT")]
    seed: Option<String>,

    /// A file that is not there
    #[arg(value_name = "NEW")]
    disk: PathBuf,
}

impl Create {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let size = parse_bytes(&self.size)?;
        let options = self.options().map_err(|error| self.failed(&error))?;
        if self.disk.symlink_metadata().is_ok() {
            return Err(self.failed(&ErrorKind::AlreadyExists.into()));
        }
        let file = WholeFile::create(&self.disk).map_err(|error| self.failed(&error))?;
        let device = sized(&file, size).map_err(|error| self.failed(&error))?;
        make(&device, &options).map_err(|error| {
            Report::new(
                format!("cannot make `{}`: {error}", self.disk.display()),
                "choose another `--size`, `--block-size` or `--label`",
            )
        })?;
        file.publish_new().map_err(|error| self.failed(&error))?;
        Ok(0)
    }

    fn failed(&self, error: &io::Error) -> Report {
        Report::new(
            format!("cannot make `{}`: {error}", self.disk.display()),
            "name a file that is not there, in a directory that you may write",
        )
    }

    fn options(&self) -> io::Result<MakeOptions> {
        let (seed, time_seconds) = match &self.seed {
            // Nothing of the time may be in what the seed alone decides.
            Some(seed) => (Digest::of(seed.as_bytes()).bytes(), 0),
            None => {
                let mut seed = [0; 32];
                File::open("/dev/urandom")?.read_exact(&mut seed)?;
                (seed, Timestamp::now().as_second())
            }
        };
        Ok(MakeOptions {
            identity: Identity::from_seed(seed),
            time_seconds,
            block_size_bytes: self.block_size,
            label: self.label.clone(),
            journal: match self.no_journal {
                true => Journal::Absent,
                false => Journal::Usual,
            },
        })
    }
}

fn sized(file: &WholeFile, size: u64) -> io::Result<FileDevice> {
    file.file().set_len(size)?;
    FileDevice::new(file.file().try_clone()?)
}
