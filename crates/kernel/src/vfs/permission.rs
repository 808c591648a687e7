//! Who may do what with an inode.
//!
//! Linux: `generic_permission()`, `may_delete()` in `fs/namei.c`; `setattr_prepare()` in
//! `fs/attr.c`. A container's root has `CAP_DAC_OVERRIDE`, `CAP_FOWNER`, `CAP_CHOWN`,
//! `CAP_FSETID` and `CAP_MKNOD` over the container's files, and nobody else has a capability.
//!
//! What `sysctl fs.protected_*` turns on is on, as distributions have it: `protected_hardlinks=1`,
//! `protected_symlinks=1`, `protected_regular=2`, `protected_fifos=1`.

use minke_abi::linux::FileType;
use minke_abi::{Errno, Result};

use crate::calls::paths::Access;
use crate::process::Credentials;
use crate::vfs::{Inode, Permissions};

/// What a check asks for: the three bits of `rwx`.
pub(crate) type Wanted = Access;

/// `S_ISUID`.
pub(crate) const SET_UID: u32 = 0o4000;
/// `S_ISGID`.
pub(crate) const SET_GID: u32 = 0o2000;
/// `S_ISVTX`.
pub(crate) const STICKY: u32 = 0o1000;
/// `S_IXGRP`.
pub(crate) const GROUP_EXECUTE: u32 = 0o010;
/// The bits that `chmod` may set.
pub(crate) const MODE_MASK: u32 = 0o7777;

/// Checks access by mode bits. Linux: `generic_permission()`.
pub(crate) fn check(inode: &dyn Inode, credentials: &Credentials, wanted: Wanted) -> Result<()> {
    let permissions = inode.permissions()?;
    if credentials.is_privileged() {
        return check_privileged(inode.file_type(), permissions.mode, wanted);
    }
    let shift = if credentials.euid == permissions.uid {
        6
    } else if credentials.is_in_group(permissions.gid) {
        3
    } else {
        0
    };
    let granted = Wanted::from_bits_truncate((permissions.mode >> shift) & 0o7);
    if granted.contains(wanted) {
        Ok(())
    } else {
        Err(Errno::EACCES)
    }
}

/// Root may do anything but execute a file that nobody may execute.
fn check_privileged(kind: FileType, mode: u32, wanted: Wanted) -> Result<()> {
    let is_executable = kind == FileType::Directory || mode & 0o111 != 0;
    if wanted.contains(Wanted::EXECUTE) && !is_executable {
        return Err(Errno::EACCES);
    }
    Ok(())
}

/// Checks that a name may be made in a directory. Linux: `may_create()`.
pub(crate) fn check_create(directory: &dyn Inode, credentials: &Credentials) -> Result<()> {
    check(directory, credentials, Wanted::WRITE | Wanted::EXECUTE)
}

/// Checks that a name may be removed from a directory, without a look at kinds. Linux: `may_delete()`.
pub(crate) fn check_delete(
    directory: &dyn Inode,
    victim: &dyn Inode,
    credentials: &Credentials,
) -> Result<()> {
    check_create(directory, credentials)?;
    if credentials.is_privileged() {
        return Ok(());
    }
    let directory = directory.permissions()?;
    if directory.mode & STICKY == 0 || directory.uid == credentials.euid {
        return Ok(());
    }
    if victim.permissions()?.uid == credentials.euid {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

/// Checks that the link at the end of a path may be followed: in a directory like `/tmp`, only
/// one's own, or those of the directory's owner. Linux: `may_follow_link()`.
pub(crate) fn check_follow(
    directory: &dyn Inode,
    link: &dyn Inode,
    credentials: &Credentials,
) -> Result<()> {
    const SHARED: u32 = STICKY | 0o002;
    let directory = directory.permissions()?;
    if directory.mode & SHARED != SHARED {
        return Ok(());
    }
    let owner = link.permissions()?.uid;
    if owner == credentials.euid || owner == directory.uid {
        Ok(())
    } else {
        Err(Errno::EACCES)
    }
}

/// Checks that a file in a sticky directory may be opened by a call that would also have made
/// it. Linux: `may_create_in_sticky()`.
pub(crate) fn check_open_or_create(
    directory: &dyn Inode,
    file: &dyn Inode,
    credentials: &Credentials,
) -> Result<()> {
    let directory = directory.permissions()?;
    if directory.mode & STICKY == 0 {
        return Ok(());
    }
    let owner = file.permissions()?.uid;
    if owner == directory.uid || owner == credentials.euid {
        return Ok(());
    }
    let unsafe_for = match file.file_type() {
        FileType::Regular => 0o022,
        FileType::Fifo => 0o002,
        _ => return Ok(()),
    };
    if directory.mode & unsafe_for == 0 {
        Ok(())
    } else {
        Err(Errno::EACCES)
    }
}

/// Checks that a file may be given another name: one's own, or one that could be changed
/// anyway. Linux: `may_linkat()`, `safe_hardlink_source()`.
pub(crate) fn check_link(inode: &dyn Inode, credentials: &Credentials) -> Result<()> {
    let permissions = inode.permissions()?;
    if is_owner(&permissions, credentials) {
        return Ok(());
    }
    let is_plain = inode.file_type() == FileType::Regular
        && without_set_id(permissions.mode) == permissions.mode;
    if is_plain && check(inode, credentials, Wanted::READ | Wanted::WRITE).is_ok() {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

/// Whether the caller owns the inode or acts for its owner. Linux: `inode_owner_or_capable()`.
pub(crate) fn is_owner(permissions: &Permissions, credentials: &Credentials) -> bool {
    credentials.is_privileged() || credentials.euid == permissions.uid
}

/// Returns the mode that `chmod` sets: without set-gid when the group is foreign. Linux: `setattr_copy()`.
pub(crate) fn mode_to_set(permissions: &Permissions, credentials: &Credentials, mode: u32) -> u32 {
    let mode = mode & MODE_MASK;
    if credentials.is_privileged() || credentials.is_in_group(permissions.gid) {
        mode
    } else {
        mode & !SET_GID
    }
}

/// Checks a change of owner and group. Linux: `chown_ok()`, `chgrp_ok()`.
pub(crate) fn check_chown(
    permissions: &Permissions,
    credentials: &Credentials,
    uid: Option<u32>,
    gid: Option<u32>,
) -> Result<()> {
    if credentials.is_privileged() {
        return Ok(());
    }
    let owns = credentials.euid == permissions.uid;
    let uid_is_fine = uid.is_none_or(|uid| owns && uid == permissions.uid);
    let gid_is_fine =
        gid.is_none_or(|gid| owns && (credentials.is_in_group(gid) || gid == permissions.gid));
    if uid_is_fine && gid_is_fine {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

/// Returns the mode without what a write or a change of owner takes away: set-uid, and set-gid
/// where the group may execute. Linux: `setattr_should_drop_suidgid()`.
pub(crate) fn without_set_id(mode: u32) -> u32 {
    let mode = mode & !SET_UID;
    if mode & GROUP_EXECUTE != 0 {
        mode & !SET_GID
    } else {
        mode
    }
}

/// Returns group and mode of what is made in a directory: a set-gid directory hands its group
/// down, and itself to directories. Linux: `inode_init_owner()`, `mode_strip_sgid()`.
pub(crate) fn inherited(
    directory: &Permissions,
    credentials: &Credentials,
    mode: u32,
    is_directory: bool,
) -> (u32, u32) {
    if directory.mode & SET_GID == 0 {
        return (credentials.egid, mode);
    }
    if is_directory {
        return (directory.gid, mode | SET_GID);
    }
    let both = SET_GID | GROUP_EXECUTE;
    let is_foreign = !credentials.is_privileged() && !credentials.is_in_group(directory.gid);
    let mode = if mode & both == both && is_foreign {
        mode & !SET_GID
    } else {
        mode
    };
    (directory.gid, mode)
}
