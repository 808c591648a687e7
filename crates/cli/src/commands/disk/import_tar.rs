//! `minke disk import-tar`: a tar from standard input, unpacked into a disk.

use std::io::{self, BufReader, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use minke_disk::tree::{ImportError, ImportOptions, ReadError, Whiteouts, import};
use minke_ext4::{Error, FileType};

use super::edit::{edit, now};
use super::open::{LastLink, failed, resolve};
use crate::report::Report;

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// Unpack a tar from standard input into a disk
///
/// Owners, permissions, times, links, devices, holes and extended attributes are those of the tar, whoever you are. If something is wrong
/// with it, the disk is as it was.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minke disk import-tar data.img < rootfs.tar\n  tar -c etc | minke disk import-tar data.img\n  minke disk import-tar --layer data.img /srv < layer.tar"
)]
pub(crate) struct ImportTar {
    /// The tar is a layer of an image: its whiteouts hide what is there
    #[arg(long)]
    layer: bool,

    /// A file with an ext2, ext3 or ext4 file system
    #[arg(value_name = "DISK")]
    disk: PathBuf,

    /// Directory of the disk to unpack into
    #[arg(value_name = "DISK_PATH", default_value = "/")]
    path: String,
}

impl ImportTar {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        if io::stdin().is_terminal() {
            return Err(Report::usage(
                "there is no tar on standard input",
                "write `minke disk import-tar DISK < FILE`",
            ));
        }
        edit(&self.disk, |system| {
            let directory = resolve(system, &self.path, LastLink::Follow)?;
            let on = |error| failed(&self.path, &error);
            if system.metadata(directory).map_err(on)?.file_type != FileType::Directory {
                return Err(on(Error::NotDirectory));
            }
            let options = ImportOptions {
                directory,
                whiteouts: match self.layer {
                    true => Whiteouts::Apply,
                    false => Whiteouts::Keep,
                },
                time: now(),
            };
            let tar = BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock());
            let mut rest = import(system, tar, &options).map_err(|error| told(&error))?;
            // Who writes the tar fills it up to its block size, and is not to be told that nobody reads.
            io::copy(&mut rest, &mut io::sink())?;
            Ok(())
        })?;
        Ok(0)
    }
}

fn told(error: &ImportError) -> Report {
    let hint = match error {
        ImportError::Read(ReadError::Archive { .. }) => {
            "a packed tar is unpacked first, such as by `zcat`"
        }
        ImportError::Disk { .. } => "`minke disk df` shows how much room there is",
        _ => "nothing was changed; look at the tar with `tar -tv`",
    };
    Report::new(format!("cannot unpack the tar: {error}"), hint)
}
