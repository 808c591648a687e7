//! Calls that change attributes, by path and by descriptor.
//!
//! Linux: `fs/attr.c`, `fs/open.c`, `fs/utimes.c`.

use std::sync::Arc;

use minke_abi::linux::FileType;
use minke_abi::{Errno, Result};

use crate::calls::open::size_change;
use crate::calls::paths::{Access, At, Follow, TimeChange, check_writable};
use crate::descriptor::{Fd, FileDescription};
use crate::process::Credentials;
use crate::task::Task;
use crate::vfs::permission::{check, check_chown, is_owner, mode_to_set, without_set_id};
use crate::vfs::walk::Place;
use crate::vfs::{AttributeChange, Inode, Timestamp};

/// Largest size that a file may be given. Linux: `loff_t`.
const SIZE_MAX: u64 = i64::MAX as u64;

impl Task {
    /// Changes permission bits. Linux: `fchmodat2(2)`.
    pub fn change_mode(&self, at: At, path: &[u8], mode: u32, follow: Follow) -> Result<()> {
        let credentials = self.process.credentials();
        let place = self.find(at, path, follow, &credentials)?;
        set_mode(&place, mode, &credentials)
    }

    /// Changes an open file's permission bits.
    pub fn fchmod(&self, fd: Fd, mode: u32) -> Result<()> {
        set_mode(&self.open_place(fd)?, mode, &self.process.credentials())
    }

    /// Changes owner and group; `None` keeps. Linux: `fchownat(2)`.
    pub fn change_owner(
        &self,
        at: At,
        path: &[u8],
        uid: Option<u32>,
        gid: Option<u32>,
        follow: Follow,
    ) -> Result<()> {
        let credentials = self.process.credentials();
        let place = self.find(at, path, follow, &credentials)?;
        set_owner(&place, uid, gid, &credentials)
    }

    /// Changes an open file's owner and group; `None` keeps.
    pub fn fchown(&self, fd: Fd, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let place = self.open_place(fd)?;
        set_owner(&place, uid, gid, &self.process.credentials())
    }

    /// Changes access and modification times. Linux: `utimensat(2)`.
    pub fn set_times(
        &self,
        at: At,
        path: &[u8],
        accessed: TimeChange,
        modified: TimeChange,
        follow: Follow,
    ) -> Result<()> {
        if (accessed, modified) == (TimeChange::Keep, TimeChange::Keep) {
            return Ok(());
        }
        let credentials = self.process.credentials();
        let place = self.find(at, path, follow, &credentials)?;
        self.set_times_of(&place, accessed, modified, &credentials)
    }

    /// Changes an open file's access and modification times.
    pub fn set_file_times(&self, fd: Fd, accessed: TimeChange, modified: TimeChange) -> Result<()> {
        if (accessed, modified) == (TimeChange::Keep, TimeChange::Keep) {
            return Ok(());
        }
        let place = self.open_place(fd)?;
        self.set_times_of(&place, accessed, modified, &self.process.credentials())
    }

    fn set_times_of(
        &self,
        place: &Place,
        accessed: TimeChange,
        modified: TimeChange,
        credentials: &Credentials,
    ) -> Result<()> {
        check_writable(&place.mount)?;
        let is_touch = (accessed, modified) == (TimeChange::Now, TimeChange::Now);
        if !is_owner(&place.inode.permissions()?, credentials) {
            if !is_touch {
                return Err(Errno::EPERM);
            }
            check(&*place.inode, credentials, Access::WRITE)?;
        }
        let now = Timestamp::from_nanoseconds(self.process.kernel.clock.realtime());
        let time_of = |change| match change {
            TimeChange::Keep => None,
            TimeChange::Now => Some(now),
            TimeChange::Set(time) => Some(time),
        };
        place.inode.set_attributes(&AttributeChange {
            accessed: time_of(accessed),
            modified: time_of(modified),
            ..AttributeChange::default()
        })
    }

    /// Sets a file's size by path.
    pub fn truncate(&self, at: At, path: &[u8], size: u64) -> Result<()> {
        if size > SIZE_MAX {
            return Err(Errno::EINVAL);
        }
        if size > self.file_size_max() {
            return Err(Errno::EFBIG);
        }
        let credentials = self.process.credentials();
        let place = self.find(at, path, Follow::Yes, &credentials)?;
        match place.inode.file_type() {
            FileType::Regular => {}
            FileType::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        check_writable(&place.mount)?;
        check(&*place.inode, &credentials, Access::WRITE)?;
        let change = size_change(&*place.inode, size, &credentials)?;
        place.inode.set_attributes(&change)
    }

    /// Sets an open file's size. Linux: `ftruncate(2)`.
    pub fn ftruncate(&self, fd: Fd, size: u64) -> Result<()> {
        if size > SIZE_MAX {
            return Err(Errno::EINVAL);
        }
        if size > self.file_size_max() {
            return Err(Errno::EFBIG);
        }
        let description = self.open_description_of(fd)?;
        let inode = regular_inode(&description).ok_or(Errno::EINVAL)?;
        if !description.flags().is_writable() {
            return Err(Errno::EINVAL);
        }
        let change = size_change(&**inode, size, &self.process.credentials())?;
        inode.set_attributes(&change)
    }

    /// Returns a description that is more than a place: `EBADF` for `O_PATH`.
    pub(super) fn open_description_of(&self, fd: Fd) -> Result<Arc<FileDescription>> {
        let description = self.process.fds.get(fd)?;
        if description
            .flags()
            .contains(minke_abi::linux::OpenFlags::PATH)
        {
            return Err(Errno::EBADF);
        }
        Ok(description)
    }

    /// Returns where an open file is. What has no place, such as a pipe, has no attributes to change: `EPERM`.
    pub(super) fn open_place(&self, fd: Fd) -> Result<Place> {
        let description = self.open_description_of(fd)?;
        let location = description.location.as_ref().ok_or(Errno::EPERM)?;
        Ok(Place::of(location))
    }
}

fn regular_inode(description: &FileDescription) -> Option<&Arc<dyn Inode>> {
    description
        .inode()
        .ok()
        .filter(|inode| inode.file_type() == FileType::Regular)
}

/// Linux: `chmod_common()`; a symbolic link has no mode to change.
fn set_mode(place: &Place, mode: u32, credentials: &Credentials) -> Result<()> {
    check_writable(&place.mount)?;
    let permissions = place.inode.permissions()?;
    if place.inode.file_type() == FileType::Symlink {
        return Err(Errno::EOPNOTSUPP);
    }
    if !is_owner(&permissions, credentials) {
        return Err(Errno::EPERM);
    }
    place.inode.set_attributes(&AttributeChange {
        mode: Some(mode_to_set(&permissions, credentials, mode)),
        ..AttributeChange::default()
    })
}

/// Linux: `chown_common()`; set-id bits of what is not a directory go, even for root.
fn set_owner(
    place: &Place,
    uid: Option<u32>,
    gid: Option<u32>,
    credentials: &Credentials,
) -> Result<()> {
    check_writable(&place.mount)?;
    let permissions = place.inode.permissions()?;
    check_chown(&permissions, credentials, uid, gid)?;
    let cleared = without_set_id(permissions.mode);
    let clears = place.inode.file_type() != FileType::Directory && cleared != permissions.mode;
    place.inode.set_attributes(&AttributeChange {
        uid,
        gid,
        mode: clears.then_some(cleared),
        ..AttributeChange::default()
    })
}
