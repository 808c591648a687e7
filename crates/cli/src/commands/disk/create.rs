//! `minke disk create`: an empty file system in a new file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use minke_disk::FileDevice;
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

    /// A file that is not there
    #[arg(value_name = "NEW")]
    disk: PathBuf,
}

impl Create {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let size = parse_bytes(&self.size)?;
        let options = self.options().map_err(|error| self.failed(&error))?;
        let file = self.new_file(size).map_err(|error| self.failed(&error))?;
        let Err(error) = make(&file, &options) else {
            return Ok(0);
        };
        // Nobody has seen it.
        let _ = fs::remove_file(&self.disk);
        Err(Report::new(
            format!("cannot make `{}`: {error}", self.disk.display()),
            "choose another `--size`, `--block-size` or `--label`",
        ))
    }

    fn failed(&self, error: &io::Error) -> Report {
        Report::new(
            format!("cannot make `{}`: {error}", self.disk.display()),
            "name a file that is not there, in a directory that you may write",
        )
    }

    fn options(&self) -> io::Result<MakeOptions> {
        let mut seed = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut seed)?;
        Ok(MakeOptions {
            identity: Identity::from_seed(seed),
            time_seconds: Timestamp::now().as_second(),
            block_size_bytes: self.block_size,
            label: self.label.clone(),
            journal: match self.no_journal {
                true => Journal::Absent,
                false => Journal::Usual,
            },
        })
    }

    fn new_file(&self, size: u64) -> io::Result<FileDevice> {
        let path: &Path = &self.disk;
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(path)?;
        let sized = file.set_len(size).and_then(|()| FileDevice::new(file));
        sized.inspect_err(|_| {
            // Nobody has seen it.
            let _ = fs::remove_file(path);
        })
    }
}
