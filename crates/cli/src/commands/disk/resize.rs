//! `minke disk resize`: a larger disk.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use minke_engine::syntax::parse_bytes;
use minke_ext4::grow::grow;

use super::edit::{edit_device, merge_left, now};
use crate::report::Report;

/// Make a disk larger
///
/// The file takes no more room than before, until files fill it. A crash leaves the disk as it was, or grown.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke disk resize data.img 2G")]
pub(crate) struct Resize {
    /// A file with an ext2, ext3 or ext4 file system
    #[arg(value_name = "DISK")]
    disk: PathBuf,

    /// New size with a unit, such as `2G`
    #[arg(value_name = "SIZE")]
    size: String,
}

impl Resize {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let size = parse_bytes(&self.size)?;
        merge_left(&self.disk)?;
        let before = lengthen(&self.disk, size)?;
        let grown = edit_device(&self.disk, |volume| {
            grow(volume.clone(), now()).map(drop).map_err(|error| {
                Report::new(
                    format!("cannot resize `{}`: {error}", self.disk.display()),
                    "`minke disk check` tells what is wrong",
                )
            })
        });
        if grown.is_err() {
            // Zeros behind a file system do no harm, if they cannot be taken away.
            let _ = shorten(&self.disk, before);
        }
        grown.map(|()| 0)
    }
}

/// Makes the file longer, if nobody uses it; returns its length before.
fn lengthen(path: &Path, size: u64) -> Result<u64, Report> {
    let failed = |error: std::io::Error| {
        Report::new(
            format!("cannot resize `{}`: {error}", path.display()),
            "name a file that you may read and write, on a host with room for it",
        )
    };
    let file = File::options().read(true).write(true).open(path);
    let file = file.map_err(failed)?;
    if file.try_lock().is_err() {
        return Err(Report::new(
            format!("the disk `{}` is in use", path.display()),
            "stop the container that uses it, or wait for it to end",
        ));
    }
    let before = file.metadata().map_err(failed)?.len();
    if size < before {
        return Err(Report::new(
            format!(
                "`{}` has {before} bytes, and disks are not made smaller",
                path.display()
            ),
            "make a smaller one with `minke disk create`, and fill it by `minke disk export-tar | minke disk import-tar`",
        ));
    }
    file.set_len(size).map_err(failed)?;
    Ok(before)
}

fn shorten(path: &Path, size: u64) -> std::io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    file.try_lock()?;
    file.set_len(size)
}
