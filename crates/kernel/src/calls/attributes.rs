//! Calls that change attributes, by path and by descriptor.
//!
//! Linux: `fs/attr.c`, `fs/open.c`, `fs/utimes.c`.

use std::sync::Arc;

use minke_abi::linux::FileType;
use minke_abi::{Errno, Result};

use crate::calls::open::size_change;
use crate::calls::paths::{Access, At, Follow, TimeChange, check_writable};
use crate::descriptor::{Fd, FileDescription};
use crate::events::notify::Happening;
use crate::process::Credentials;
use crate::task::Task;
use crate::vfs::permission::{check, check_chown, is_owner, mode_to_set, without_set_id};
use crate::vfs::walk::Place;
use crate::vfs::{AttributeChange, Inode, Location, Timestamp};

/// Largest size that a file may be given. Linux: `loff_t`.
const SIZE_MAX: u64 = i64::MAX as u64;

impl Task {
    /// Changes permission bits. Linux: `fchmodat2(2)`.
    pub fn change_mode(&self, at: At, path: &[u8], mode: u32, follow: Follow) -> Result<()> {
        let credentials = self.process.credentials();
        let location = self.resolve(at, path, follow)?;
        set_mode(&Place::of(&location), mode, &credentials)?;
        self.tell(&location, Happening::ATTRIB);
        Ok(())
    }

    /// Changes an open file's permission bits.
    pub fn fchmod(&self, fd: Fd, mode: u32) -> Result<()> {
        let location = self.open_location(fd)?;
        set_mode(&Place::of(&location), mode, &self.process.credentials())?;
        self.tell(&location, Happening::ATTRIB);
        Ok(())
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
        let location = self.resolve(at, path, follow)?;
        set_owner(&Place::of(&location), uid, gid, &credentials)?;
        self.tell(&location, Happening::ATTRIB);
        Ok(())
    }

    /// Changes an open file's owner and group; `None` keeps.
    pub fn fchown(&self, fd: Fd, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let location = self.open_location(fd)?;
        set_owner(&Place::of(&location), uid, gid, &self.process.credentials())?;
        self.tell(&location, Happening::ATTRIB);
        Ok(())
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
        let location = self.resolve(at, path, follow)?;
        self.set_times_of(&location, accessed, modified, &credentials)
    }

    /// Changes an open file's access and modification times.
    pub fn set_file_times(&self, fd: Fd, accessed: TimeChange, modified: TimeChange) -> Result<()> {
        if (accessed, modified) == (TimeChange::Keep, TimeChange::Keep) {
            return Ok(());
        }
        let location = self.open_location(fd)?;
        self.set_times_of(&location, accessed, modified, &self.process.credentials())
    }

    fn set_times_of(
        &self,
        location: &Location,
        accessed: TimeChange,
        modified: TimeChange,
        credentials: &Credentials,
    ) -> Result<()> {
        check_writable(&location.mount)?;
        let is_touch = (accessed, modified) == (TimeChange::Now, TimeChange::Now);
        if !is_owner(&location.inode.permissions()?, credentials) {
            if !is_touch {
                return Err(Errno::EPERM);
            }
            check(&*location.inode, credentials, Access::WRITE)?;
        }
        let now = Timestamp::from_nanoseconds(self.process.kernel.clock.realtime());
        let time_of = |change| match change {
            TimeChange::Keep => None,
            TimeChange::Now => Some(now),
            TimeChange::Set(time) => Some(time),
        };
        location.inode.set_attributes(&AttributeChange {
            accessed: time_of(accessed),
            modified: time_of(modified),
            ..AttributeChange::default()
        })?;
        self.tell(location, Happening::ATTRIB);
        Ok(())
    }

    /// Tells who watches a file or its directory.
    pub(super) fn tell(&self, location: &Location, what: Happening) {
        self.process.kernel.notifier.tell(location, what);
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
        let location = self.resolve(at, path, Follow::Yes)?;
        match location.inode.file_type() {
            FileType::Regular => {}
            FileType::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        check_writable(&location.mount)?;
        check(&*location.inode, &credentials, Access::WRITE)?;
        let change = size_change(&*location.inode, size, &credentials)?;
        location.inode.set_attributes(&change)?;
        self.tell(&location, Happening::MODIFY);
        Ok(())
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
        inode.set_attributes(&change)?;
        if let Some(location) = &description.location {
            self.tell(location, Happening::MODIFY);
        }
        Ok(())
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
    pub(super) fn open_location(&self, fd: Fd) -> Result<Arc<Location>> {
        let description = self.open_description_of(fd)?;
        description.location.clone().ok_or(Errno::EPERM)
    }

    /// Returns the place of an open file.
    pub(super) fn open_place(&self, fd: Fd) -> Result<Place> {
        let location = self.open_location(fd)?;
        Ok(Place::of(&location))
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
