//! Opening the file that a command names.

use std::fs::File;
use std::path::Path;

use minke_disk::FileDevice;

use crate::report::Report;

/// Opens a disk for reading only.
pub(super) fn open_file(path: &Path) -> Result<FileDevice, Report> {
    let opened = File::open(path).and_then(FileDevice::new);
    opened.map_err(|error| {
        Report::new(
            format!("cannot open `{}`: {error}", path.display()),
            "name a file that holds an ext2, ext3 or ext4 file system",
        )
    })
}
