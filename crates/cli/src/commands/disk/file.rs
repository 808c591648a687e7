//! A file of the host as the device of a file system.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use minke_ext4::{Device, DeviceError};

use crate::report::Report;

/// A file that holds a disk.
pub(super) struct DiskFile {
    file: File,
    size: u64,
}

impl DiskFile {
    /// Opens a disk for reading only.
    pub(super) fn open(path: &Path) -> Result<DiskFile, Report> {
        let opened = File::open(path).and_then(DiskFile::of);
        opened.map_err(|error| {
            Report::new(
                format!("cannot open `{}`: {error}", path.display()),
                "name a file that holds an ext2, ext3 or ext4 file system",
            )
        })
    }

    /// Takes a file as it is.
    pub(super) fn of(file: File) -> io::Result<DiskFile> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        Ok(DiskFile {
            size: metadata.len(),
            file,
        })
    }
}

fn failed(error: &io::Error) -> DeviceError {
    match error.kind() {
        io::ErrorKind::StorageFull => DeviceError::NoSpace,
        _ => DeviceError::Failed(error.to_string()),
    }
}

impl Device for DiskFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        let read = self.file.read_exact_at(buffer, offset);
        read.map_err(|error| failed(&error))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let written = self.file.write_all_at(bytes, offset);
        written.map_err(|error| failed(&error))
    }

    fn discard(&self, _offset: u64, _length: u64) -> Result<(), DeviceError> {
        Ok(())
    }

    fn commit(&self) -> Result<(), DeviceError> {
        self.file.sync_all().map_err(|error| failed(&error))
    }

    fn mapped(&self, _offset: u64, _length: usize) -> Option<&[u8]> {
        None
    }
}
