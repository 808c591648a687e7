//! Reading directories.

use minke_abi::linux::{FileType, OpenFlags};
use minke_abi::{Errno, Result};

use crate::descriptor::Fd;
use crate::task::Task;
use crate::vfs::walk::Place;
use crate::vfs::{DirectoryEntry, Inode};

/// Cookies of `.` and `..`; those of the file system follow, shifted by as many.
const DOT_ENTRIES: u64 = 2;

impl Task {
    /// Lists an open directory from a cookie on, `.` and `..` first, until `emit` says `false`. Linux: `getdents64(2)`.
    ///
    /// A cookie is 0 or a [`DirectoryEntry::next_cookie`].
    pub fn read_directory(
        &self,
        fd: Fd,
        cookie: u64,
        emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        let description = self.process.fds.get(fd)?;
        if description.flags().contains(OpenFlags::PATH) {
            return Err(Errno::EBADF);
        }
        let location = description.location.as_ref().ok_or(Errno::ENOTDIR)?;
        let place = Place::of(location);
        if !place.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        if !emit_dots(&place, cookie, emit)? {
            return Ok(());
        }
        let cookie = cookie.saturating_sub(DOT_ENTRIES);
        place.inode.read_directory(cookie, &mut |entry| {
            emit(DirectoryEntry {
                next_cookie: entry.next_cookie.saturating_add(DOT_ENTRIES),
                ..entry
            })
        })
    }
}

/// Lists `.` and `..` as far as they lie after the cookie; `false` when `emit` has enough.
fn emit_dots(
    place: &Place,
    cookie: u64,
    emit: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
) -> Result<bool> {
    let mut dot = |name, inode: &dyn Inode, next_cookie| {
        emit(DirectoryEntry {
            inode: inode.number(),
            file_type: FileType::Directory,
            name,
            next_cookie,
        })
    };
    if cookie == 0 && !dot(b".", &*place.inode, 1) {
        return Ok(false);
    }
    if cookie <= 1 {
        let parent = place.inode.parent()?;
        return Ok(dot(b"..", &*parent, DOT_ENTRIES));
    }
    Ok(true)
}
