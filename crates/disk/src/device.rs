//! Disks as what a file system lies on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use minke_blockstore::{Disk, DiskError, Snapshot, Storage};
use minke_ext4::{Device, DeviceError};

use super::{HostFile, Volume, WritableDisk};

pub(super) fn failed(error: &DiskError) -> DeviceError {
    match error {
        DiskError::NoSpace { .. } => DeviceError::NoSpace,
        DiskError::ReadOnly { .. } => DeviceError::ReadOnly,
        DiskError::OutOfRange { offset, length, .. } => DeviceError::OutOfBounds {
            offset: *offset,
            end: offset.saturating_add(*length),
        },
        other => DeviceError::Failed(with_causes(other)),
    }
}

/// Says what the host said too.
fn with_causes(error: &DiskError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl Device for WritableDisk {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        let read = self.disk.read_at(offset, buffer);
        read.map_err(|error| failed(&error))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let written = self.disk.write_at(offset, bytes);
        written.map_err(|error| self.noted(&error))
    }

    fn discard(&self, offset: u64, length: u64) -> Result<(), DeviceError> {
        let discarded = self.disk.discard(offset, length);
        discarded.map_err(|error| self.noted(&error))
    }

    fn commit(&self) -> Result<(), DeviceError> {
        let committed = self.commit_or_snapshot();
        committed.map_err(|error| self.noted(&error))
    }

    fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]> {
        self.disk.mapped(offset, length)
    }
}

impl WritableDisk {
    fn noted(&self, error: &DiskError) -> DeviceError {
        if matches!(error, DiskError::NoSpace { .. }) {
            self.has_met_full_host.store(true, Ordering::Relaxed);
        }
        failed(error)
    }
}

impl Device for Volume {
    fn size(&self) -> u64 {
        self.size_bytes()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        self.with_disk(|disk| disk.read_at(offset, buffer))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.with_disk(|disk| disk.write_at(offset, bytes))
    }

    fn discard(&self, offset: u64, length: u64) -> Result<(), DeviceError> {
        self.with_disk(|disk| disk.discard(offset, length))
    }

    fn commit(&self) -> Result<(), DeviceError> {
        self.with_disk(Disk::commit)
    }

    /// Users' files are not mapped: one that is cut off meanwhile would end the process.
    fn mapped(&self, _offset: u64, _length: usize) -> Option<&[u8]> {
        None
    }
}

impl Volume {
    fn with_disk(
        &self,
        call: impl FnOnce(&Disk) -> Result<(), DiskError>,
    ) -> Result<(), DeviceError> {
        match &*self.disk() {
            Some(disk) => call(disk).map_err(|error| failed(&error)),
            None => Err(DeviceError::ReadOnly),
        }
    }
}

/// What has the bytes of a disk.
pub trait Bytes: Send + Sync {
    /// Returns how many there are.
    fn size(&self) -> u64;

    /// Fills `buffer` from `offset`.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError>;

    /// Returns bytes as they lie in memory, where they do.
    fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]>;
}

/// A disk that nobody writes.
pub struct ReadOnly<T>(pub T);

impl<T: Bytes> Device for ReadOnly<T> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        self.0.read_at(offset, buffer)
    }

    fn write_at(&self, _offset: u64, _bytes: &[u8]) -> Result<(), DeviceError> {
        Err(DeviceError::ReadOnly)
    }

    fn discard(&self, _offset: u64, _length: u64) -> Result<(), DeviceError> {
        Err(DeviceError::ReadOnly)
    }

    fn commit(&self) -> Result<(), DeviceError> {
        Err(DeviceError::ReadOnly)
    }

    fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]> {
        self.0.mapped(offset, length)
    }
}

/// A user's image file. It is not mapped: one that is cut off meanwhile would end the process.
impl Bytes for HostFile {
    fn size(&self) -> u64 {
        self.length().unwrap_or(0)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        let read = Storage::read_at(self, offset, buffer);
        read.map_err(|error| host_failed(&error))
    }

    fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]> {
        Storage::mapped(self, offset, length)
    }
}

impl<T: Bytes> Bytes for Arc<T> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        (**self).read_at(offset, buffer)
    }

    fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]> {
        (**self).mapped(offset, length)
    }
}

impl Bytes for Snapshot {
    fn size(&self) -> u64 {
        Snapshot::size(self)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        let read = Snapshot::read_at(self, offset, buffer);
        read.map_err(|error| failed(&error))
    }

    fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]> {
        Snapshot::mapped(self, offset, length)
    }
}

/// A file that is itself the disk: read, or written in place.
///
/// Written in place, a crash leaves any mixture: for files that nobody has seen yet.
pub struct FileDevice {
    file: File,
    size: u64,
}

impl FileDevice {
    /// Takes a regular file as it is.
    pub fn new(file: File) -> io::Result<FileDevice> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        Ok(FileDevice {
            size: metadata.len(),
            file,
        })
    }
}

fn host_failed(error: &io::Error) -> DeviceError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DeviceError::NoSpace,
        _ => DeviceError::Failed(error.to_string()),
    }
}

impl Device for FileDevice {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        let read = self.file.read_exact_at(buffer, offset);
        read.map_err(|error| host_failed(&error))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let written = self.file.write_all_at(bytes, offset);
        written.map_err(|error| host_failed(&error))
    }

    fn discard(&self, _offset: u64, _length: u64) -> Result<(), DeviceError> {
        Ok(())
    }

    fn commit(&self) -> Result<(), DeviceError> {
        self.file.sync_all().map_err(|error| host_failed(&error))
    }

    fn mapped(&self, _offset: u64, _length: usize) -> Option<&[u8]> {
        None
    }
}
