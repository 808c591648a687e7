//! Extended attributes. Linux: `fs/xattr.c`; `xattr(7)`.

use minke_abi::linux::{FileType, NAME_MAX};
use minke_abi::{Errno, Result};

use crate::calls::paths::{Access, At, Follow, check_writable};
use crate::descriptor::Fd;
use crate::events::notify::Happening;
use crate::process::Credentials;
use crate::task::Task;
use crate::vfs::permission::{STICKY, check, is_owner};
use crate::vfs::walk::Place;

/// Longest value. Linux: `XATTR_SIZE_MAX`.
const VALUE_BYTES_MAX: usize = 65_536;

/// Whether setting makes a new attribute, changes one, or either. Linux: `XATTR_CREATE`, `XATTR_REPLACE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetExtended {
    Either,
    Create,
    Replace,
}

impl Task {
    /// Returns an extended attribute's value. Linux: `getxattr(2)`, `lgetxattr(2)`.
    pub fn extended_attribute(
        &self,
        at: At,
        path: &[u8],
        name: &[u8],
        follow: Follow,
    ) -> Result<Vec<u8>> {
        let credentials = self.process.credentials();
        let place = self.find(at, path, follow, &credentials)?;
        value(&place, name, &credentials)
    }

    /// Returns an open file's extended attribute. Linux: `fgetxattr(2)`.
    pub fn file_extended_attribute(&self, fd: Fd, name: &[u8]) -> Result<Vec<u8>> {
        value(&self.open_place(fd)?, name, &self.process.credentials())
    }

    /// Sets an extended attribute. Linux: `setxattr(2)`, `lsetxattr(2)`.
    pub fn set_extended_attribute(
        &self,
        at: At,
        path: &[u8],
        name: &[u8],
        new: (&[u8], SetExtended),
        follow: Follow,
    ) -> Result<()> {
        let credentials = self.process.credentials();
        let location = self.resolve(at, path, follow)?;
        set(&Place::of(&location), name, new, &credentials)?;
        self.tell(&location, Happening::ATTRIB);
        Ok(())
    }

    /// Sets an open file's extended attribute. Linux: `fsetxattr(2)`.
    pub fn set_file_extended_attribute(
        &self,
        fd: Fd,
        name: &[u8],
        new: (&[u8], SetExtended),
    ) -> Result<()> {
        let location = self.open_location(fd)?;
        let credentials = self.process.credentials();
        set(&Place::of(&location), name, new, &credentials)?;
        self.tell(&location, Happening::ATTRIB);
        Ok(())
    }

    /// Removes an extended attribute. Linux: `removexattr(2)`, `lremovexattr(2)`.
    pub fn remove_extended_attribute(
        &self,
        at: At,
        path: &[u8],
        name: &[u8],
        follow: Follow,
    ) -> Result<()> {
        let credentials = self.process.credentials();
        let location = self.resolve(at, path, follow)?;
        remove(&Place::of(&location), name, &credentials)?;
        self.tell(&location, Happening::ATTRIB);
        Ok(())
    }

    /// Removes an open file's extended attribute. Linux: `fremovexattr(2)`.
    pub fn remove_file_extended_attribute(&self, fd: Fd, name: &[u8]) -> Result<()> {
        let location = self.open_location(fd)?;
        let credentials = self.process.credentials();
        remove(&Place::of(&location), name, &credentials)?;
        self.tell(&location, Happening::ATTRIB);
        Ok(())
    }

    /// Lists the names of an open file's extended attributes. Linux: `flistxattr(2)`.
    pub fn file_extended_attributes(&self, fd: Fd) -> Result<Vec<Vec<u8>>> {
        names(&self.open_place(fd)?, &self.process.credentials())
    }

    /// Lists the names of extended attributes that the caller may see. Linux: `listxattr(2)`.
    pub fn extended_attributes(&self, at: At, path: &[u8], follow: Follow) -> Result<Vec<Vec<u8>>> {
        let credentials = self.process.credentials();
        let place = self.find(at, path, follow, &credentials)?;
        names(&place, &credentials)
    }
}

fn names(place: &Place, credentials: &Credentials) -> Result<Vec<Vec<u8>>> {
    let mut names = place.inode.extended_attributes()?;
    names.retain(|name| credentials.is_privileged() || !name.starts_with(b"trusted."));
    Ok(names)
}

fn remove(place: &Place, name: &[u8], credentials: &Credentials) -> Result<()> {
    check_writable(&place.mount)?;
    check_name(place, name, Access::WRITE, credentials)?;
    place.inode.set_extended_attribute(name, None)
}

fn value(place: &Place, name: &[u8], credentials: &Credentials) -> Result<Vec<u8>> {
    check_name(place, name, Access::READ, credentials)?;
    place.inode.extended_attribute(name)
}

fn set(
    place: &Place,
    name: &[u8],
    (value, how): (&[u8], SetExtended),
    credentials: &Credentials,
) -> Result<()> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(Errno::E2BIG);
    }
    check_writable(&place.mount)?;
    check_name(place, name, Access::WRITE, credentials)?;
    let exists = match place.inode.extended_attribute(name) {
        Err(Errno::ENODATA) => false,
        found => found.map(|_| true)?,
    };
    match how {
        SetExtended::Create if exists => return Err(Errno::EEXIST),
        SetExtended::Replace if !exists => return Err(Errno::ENODATA),
        _ => {}
    }
    place.inode.set_extended_attribute(name, Some(value))
}

/// Checks a name's class and who may use it. Linux: `xattr_permission()`.
fn check_name(place: &Place, name: &[u8], wanted: Access, credentials: &Credentials) -> Result<()> {
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(Errno::ERANGE);
    }
    let is_write = wanted.contains(Access::WRITE);
    let refused = if is_write {
        Errno::EPERM
    } else {
        Errno::ENODATA
    };
    let class = name.split(|byte| *byte == b'.').next().unwrap_or(name);
    match class {
        b"user" => check_user_name(place, wanted, credentials, refused),
        b"trusted" if credentials.is_privileged() => Ok(()),
        b"trusted" => Err(refused),
        b"security" if !is_write || credentials.is_privileged() => Ok(()),
        b"security" => Err(Errno::EPERM),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

/// Only files and directories have `user.` attributes; those of a sticky directory belong to its owner.
fn check_user_name(
    place: &Place,
    wanted: Access,
    credentials: &Credentials,
    refused: Errno,
) -> Result<()> {
    let kind = place.inode.file_type();
    if !matches!(kind, FileType::Regular | FileType::Directory) {
        return Err(refused);
    }
    let permissions = place.inode.permissions()?;
    let is_sticky = kind == FileType::Directory && permissions.mode & STICKY != 0;
    if is_sticky && wanted.contains(Access::WRITE) && !is_owner(&permissions, credentials) {
        return Err(Errno::EPERM);
    }
    check(&*place.inode, credentials, wanted)
}
