//! Open files of the host.

use std::io::IoSlice;
use std::sync::Arc;

use minke_abi::Result;
use minke_kernel::vfs::{Inode, Metadata};
use minke_kernel::{Allocation, File};
use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::{Errno as HostErrno, ReadWriteFlags};

use super::node::Node;
use super::{Descriptor, errno};

/// A regular file of the host, open. Positions are the kernel's: every call names its own.
pub(super) struct HostFile {
    pub(super) node: Arc<Node>,
    pub(super) descriptor: Descriptor,
}

/// Tries again when a signal of the host's came in between.
fn uninterrupted<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(HostErrno::INTR) => {}
            done => return done.map_err(errno),
        }
    }
}

impl File for HostFile {
    fn is_seekable(&self) -> bool {
        true
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        uninterrupted(|| rustix::io::pread(&self.descriptor.owned, &mut *buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        uninterrupted(|| rustix::io::pwrite(&self.descriptor.owned, bytes, offset))
    }

    /// Appends in one step of the host's. Linux: `RWF_APPEND`; with offset -1, the host's position follows.
    fn append(&self, bytes: &[u8]) -> Result<(usize, u64)> {
        const FOLLOW_POSITION: u64 = u64::MAX;
        let file = &self.descriptor.owned;
        let slices = [IoSlice::new(bytes)];
        let flags = ReadWriteFlags::APPEND;
        let count = uninterrupted(|| rustix::io::pwritev2(file, &slices, FOLLOW_POSITION, flags))?;
        let end = rustix::fs::tell(file).map_err(errno)?;
        Ok((count, end))
    }

    fn metadata(&self) -> Result<Metadata> {
        self.node.metadata()
    }

    fn readable_bytes(&self) -> Result<usize> {
        let size = self.node.metadata()?.size;
        Ok(usize::try_from(size).unwrap_or(usize::MAX))
    }

    fn allocate(&self, offset: u64, length: u64, allocation: Allocation) -> Result<()> {
        let file = &self.descriptor.owned;
        let flags = match allocation {
            Allocation::Extend => FallocateFlags::empty(),
            Allocation::KeepSize => FallocateFlags::KEEP_SIZE,
            Allocation::Hole => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
        };
        uninterrupted(|| rustix::fs::fallocate(file, flags, offset, length))
    }

    fn seek_data(&self, offset: u64) -> Result<u64> {
        rustix::fs::seek(&self.descriptor.owned, SeekFrom::Data(offset)).map_err(errno)
    }

    fn seek_hole(&self, offset: u64) -> Result<u64> {
        rustix::fs::seek(&self.descriptor.owned, SeekFrom::Hole(offset)).map_err(errno)
    }
}

/// A directory of the host, open: it is read through its inode.
pub(super) struct OpenDirectory(pub(super) Arc<Node>);

impl File for OpenDirectory {
    fn is_seekable(&self) -> bool {
        true
    }

    fn read_at(&self, _buffer: &mut [u8], _offset: u64) -> Result<usize> {
        Err(minke_abi::Errno::EISDIR)
    }

    fn metadata(&self) -> Result<Metadata> {
        self.0.metadata()
    }
}
