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
                next_cookie: shifted(entry.next_cookie),
                ..entry
            })
        })
    }
}

/// A file system's cookie behind those of `.` and `..`, as far as a position of a file can say it: ext4's last one is the highest
/// position, and what lies before that by less than those two is no entry's.
fn shifted(cookie: u64) -> u64 {
    const POSITION_MAX: u64 = i64::MAX.unsigned_abs();
    cookie.saturating_add(DOT_ENTRIES).min(POSITION_MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_cookie_of_a_host_stays_a_position() {
        assert_eq!(shifted(7), 9);
        assert_eq!(shifted(0x7fff_ffff_ffff_ffff), 0x7fff_ffff_ffff_ffff);
    }
}
