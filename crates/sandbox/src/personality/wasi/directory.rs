//! Listing directories.

use minke_abi::wasi::{DIRENT_BYTES, FileType, Rights, dirent_bytes};
use minke_kernel::vfs::DirectoryEntry;
use minke_kernel::{Fd, Result};

use super::{Answer, Call};
use crate::runtime::{GuestAddr, MemoryView};

/// Writes directory entries from a cookie on. The buffer is filled to its end: an entry that does
/// not fit is cut, and the guest asks again from that entry's cookie.
pub(super) fn fd_readdir(
    call: &mut Call<'_>,
    fd: u32,
    buffer: u32,
    length: u32,
    cookie: u64,
    result: u32,
) -> Answer<()> {
    call.require(fd, Rights::FD_READDIR)?;
    call.memory.check(buffer.into(), u64::from(length))?;
    call.memory.check(result.into(), 4)?;
    let mut listing = Listing {
        memory: &mut call.memory,
        next: buffer.into(),
        left: length,
        outcome: Ok(()),
    };
    call.guest
        .task
        .read_directory(Fd(fd), cookie, &mut |entry| listing.add(&entry))?;
    let left = listing.left;
    listing.outcome?;
    Ok(call.memory.write_u32(result.into(), length - left)?)
}

/// The part of the guest's buffer that is free.
struct Listing<'c, 'm> {
    memory: &'c mut MemoryView<'m>,
    next: GuestAddr,
    left: u32,
    outcome: Result<()>,
}

impl Listing<'_, '_> {
    /// Adds an entry; `false` when the buffer is full.
    fn add(&mut self, entry: &DirectoryEntry<'_>) -> bool {
        let head: [u8; DIRENT_BYTES] = dirent_bytes(
            entry.next_cookie,
            entry.inode,
            entry.name.len() as u32,
            FileType::from(entry.file_type),
        );
        self.outcome = self.put(&head).and_then(|()| self.put(entry.name));
        self.outcome.is_ok() && self.left > 0
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let part = &bytes[..bytes.len().min(self.left as usize)];
        self.memory.write(self.next, part)?;
        self.next = self.next.offset(part.len() as u64);
        self.left -= part.len() as u32;
        Ok(())
    }
}
