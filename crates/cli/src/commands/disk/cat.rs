//! `minke disk cat`: content of files.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::open::{LastLink, failed, open, resolve};
use crate::report::Report;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Print the content of files of a disk
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke disk cat data.img /etc/hosts")]
pub(crate) struct Cat {
    /// A file with an ext2, ext3 or ext4 file system
    #[arg(value_name = "DISK")]
    disk: PathBuf,

    /// Paths in the disk
    #[arg(required = true, value_name = "DISK_PATH")]
    paths: Vec<String>,
}

impl Cat {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let system = open(&self.disk)?;
        let mut piece = vec![0; PIECE_BYTES];
        let mut output = io::stdout().lock();
        for path in &self.paths {
            let number = resolve(&system, path, LastLink::Follow)?;
            let mut offset = 0;
            loop {
                let read = system.read(number, offset, &mut piece);
                let count = read.map_err(|error| failed(path, &error))?;
                if count == 0 {
                    break;
                }
                match output.write_all(&piece[..count]) {
                    // A reader that has gone is no error of ours.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
                    result => result?,
                }
                offset += count as u64;
            }
        }
        Ok(0)
    }
}
