//! Open files.

use std::ops::Range;
use std::sync::Arc;

use minke_abi::linux::{FileType, OpenFlags};
use minke_abi::{Errno, Result};
use minke_ext4::Preallocation;

use super::Change;
use super::convert::errno;
use super::node::Node;
use crate::file::{Allocation, File};
use crate::vfs::Metadata;

/// A regular file or a directory that somebody has opened.
pub(super) struct OpenFile {
    node: Arc<Node>,
    durability: Durability,
    notes_access: bool,
}

/// When what was written is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    Later,
    /// When the call returns (`O_SYNC`, `O_DSYNC`).
    AtOnce,
}

impl OpenFile {
    pub(super) fn new(node: Arc<Node>, flags: OpenFlags) -> OpenFile {
        // A file that is open for longer than a day is looked at again when it is opened the next time.
        node.expect_access();
        let is_synchronous = flags.intersects(OpenFlags::SYNC | OpenFlags::DSYNC);
        OpenFile {
            node,
            durability: if is_synchronous {
                Durability::AtOnce
            } else {
                Durability::Later
            },
            notes_access: !flags.contains(OpenFlags::NOATIME),
        }
    }

    fn check_regular(&self) -> Result<()> {
        match self.node.kind {
            FileType::Directory => Err(Errno::EISDIR),
            _ => Ok(()),
        }
    }

    /// Notes a write, and makes it durable if it is to be.
    fn written(&self) -> Result<()> {
        self.node.drop_set_id()?;
        self.node.expect_access();
        self.node.shared.changed(Change::Content)?;
        match self.durability {
            Durability::Later => Ok(()),
            Durability::AtOnce => self.node.shared.write_back(),
        }
    }

    /// Returns the next data from `offset` on, which lies before the end: `ENXIO` otherwise.
    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>> {
        self.check_regular()?;
        if offset >= self.node.stat()?.size {
            return Err(Errno::ENXIO);
        }
        let system = &self.node.shared.system;
        system.next_data(self.node.number, offset).map_err(errno)
    }
}

impl File for OpenFile {
    fn is_seekable(&self) -> bool {
        true
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.check_regular()?;
        let system = &self.node.shared.system;
        let count = system
            .read_from(&self.node.inode, offset, buffer)
            .map_err(errno)?;
        if self.notes_access {
            self.node.note_access()?;
        }
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        self.check_regular()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let (system, now) = (&self.node.shared.system, self.node.shared.driver_now());
        let count = system
            .write(self.node.number, offset, bytes, now)
            .map_err(errno)?;
        self.written()?;
        Ok(count)
    }

    fn append(&self, bytes: &[u8]) -> Result<(usize, u64)> {
        self.check_regular()?;
        let (system, now) = (&self.node.shared.system, self.node.shared.driver_now());
        let written = system.append(self.node.number, bytes, now).map_err(errno)?;
        if !bytes.is_empty() {
            self.written()?;
        }
        Ok(written)
    }

    fn metadata(&self) -> Result<Metadata> {
        self.node.stat()
    }

    fn allocate(&self, offset: u64, length: u64, allocation: Allocation) -> Result<()> {
        self.check_regular()?;
        let (system, now) = (&self.node.shared.system, self.node.shared.driver_now());
        let (number, range) = (self.node.number, (offset, length));
        let done = match allocation {
            Allocation::Extend => system.preallocate(number, range, Preallocation::Extend, now),
            Allocation::KeepSize => system.preallocate(number, range, Preallocation::KeepSize, now),
            Allocation::Hole => system.punch_hole(number, range, now),
        };
        // Even if space ran out, blocks were taken.
        self.written()?;
        done.map_err(errno)
    }

    fn seek_data(&self, offset: u64) -> Result<u64> {
        let data = self.next_data(offset)?.ok_or(Errno::ENXIO)?;
        Ok(data.start)
    }

    fn seek_hole(&self, offset: u64) -> Result<u64> {
        match self.next_data(offset)? {
            // The end of a file is a hole.
            Some(data) if data.start <= offset => Ok(data.end),
            _ => Ok(offset),
        }
    }

    fn readable_bytes(&self) -> Result<usize> {
        self.check_regular()?;
        Ok(usize::try_from(self.node.stat()?.size).unwrap_or(usize::MAX))
    }
}
