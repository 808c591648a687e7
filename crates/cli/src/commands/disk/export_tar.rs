//! `minke disk export-tar`: a directory of a disk as a tar on standard output.

use std::io::{self, BufWriter, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use minke_disk::tree::{ExportError, Holes, export};
use minke_ext4::{Error, FileType};

use super::open::{LastLink, failed, open, resolve};
use crate::report::Report;

/// Bytes that are written at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// Write a directory of a disk to standard output as a tar
///
/// Equal trees make equal tars. Sockets are left out, and so is an empty `lost+found`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke disk export-tar data.img > rootfs.tar\n  minke disk export-tar data.img /etc | tar -tv\n  minke disk export-tar --sparse data.img > rootfs.tar"
)]
pub(crate) struct ExportTar {
    /// Leave holes of files out, as `tar --sparse` does, instead of writing zeros
    #[arg(long)]
    sparse: bool,

    /// A file with an ext2, ext3 or ext4 file system
    #[arg(value_name = "DISK")]
    disk: PathBuf,

    /// Directory of the disk
    #[arg(value_name = "DISK_PATH", default_value = "/")]
    path: String,
}

impl ExportTar {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        if io::stdout().is_terminal() {
            return Err(Report::usage(
                "a tar is not written to a terminal",
                "write `minke disk export-tar DISK > FILE`",
            ));
        }
        let system = open(&self.disk)?;
        let directory = resolve(&system, &self.path, LastLink::Follow)?;
        let on = |error| failed(&self.path, &error);
        if system.metadata(directory).map_err(on)?.file_type != FileType::Directory {
            return Err(on(Error::NotDirectory));
        }
        let holes = match self.sparse {
            true => Holes::Keep,
            false => Holes::Fill,
        };
        let output = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
        match export(&system, directory, holes, output) {
            // A reader that has gone is no error of ours.
            Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            Err(ExportError::Write(error)) => Err(error.into()),
            Err(error) => Err(Report::new(
                format!("cannot read the disk: {error}"),
                format!(
                    "`minke disk check {}` tells what is wrong",
                    self.disk.display()
                ),
            )),
            Ok(_) => Ok(0),
        }
    }
}
