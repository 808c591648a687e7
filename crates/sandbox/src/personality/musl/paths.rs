//! Calls that name files by path.

use minke_abi::linux::{FileType, OpenFlags};
use minke_abi::{Errno, Result};
use minke_kernel::calls::paths::Access;
use minke_kernel::calls::{At, Follow};
use minke_kernel::vfs::{NewInode, RenameFlags};

use crate::personality::musl::context::{Arguments, Context};
use crate::runtime::GuestAddr;

/// `AT_SYMLINK_NOFOLLOW`.
pub(in crate::personality) const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
/// `AT_REMOVEDIR` of `unlinkat`; `AT_EACCESS` of `faccessat2`.
const AT_REMOVEDIR: u32 = 0x200;
/// `AT_SYMLINK_FOLLOW`.
const AT_SYMLINK_FOLLOW: u32 = 0x400;
/// `AT_EMPTY_PATH`.
pub(in crate::personality) const AT_EMPTY_PATH: u32 = 0x1000;
/// Bits of a mode that make calls keep.
pub(in crate::personality) const MODE_BITS: u32 = 0o7777;

pub(in crate::personality) fn open(
    context: &Context<'_>,
    at: At,
    path: GuestAddr,
    flags: u32,
    mode: u32,
) -> Result<i64> {
    let path = context.path(path)?;
    let flags = OpenFlags::from_bits_retain(flags);
    let fd = context.task().open(at, &path, flags, mode & MODE_BITS)?;
    Ok(i64::from(fd.0))
}

pub(in crate::personality) fn make_directory(
    context: &Context<'_>,
    at: At,
    path: GuestAddr,
    mode: u32,
) -> Result<i64> {
    let path = context.path(path)?;
    let task = context.task();
    task.make_node(at, &path, &NewInode::Directory, mode & MODE_BITS)?;
    Ok(0)
}

pub(in crate::personality) fn make_node(
    context: &Context<'_>,
    at: At,
    path: GuestAddr,
    mode: u32,
    device: u64,
) -> Result<i64> {
    let path = context.path(path)?;
    // No type is a regular file. Linux: fs/namei.c may_mknod().
    let new = match mode & !MODE_BITS {
        0 => NewInode::Regular,
        bits => match FileType::from_mode(bits).ok_or(Errno::EINVAL)? {
            FileType::Regular => NewInode::Regular,
            FileType::Fifo => NewInode::Fifo,
            FileType::Socket => NewInode::Socket,
            FileType::CharacterDevice => NewInode::CharacterDevice(device),
            FileType::BlockDevice => NewInode::BlockDevice(device),
            FileType::Directory => return Err(Errno::EPERM),
            FileType::Symlink => return Err(Errno::EINVAL),
        },
    };
    let task = context.task();
    task.make_node(at, &path, &new, mode & MODE_BITS)?;
    Ok(0)
}

pub(in crate::personality) fn unlinkat(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let path = context.path(arguments.address(1))?;
    let at = arguments.at(0);
    match arguments.word(2) {
        0 => context.task().unlink(at, &path)?,
        AT_REMOVEDIR => context.task().remove_directory(at, &path)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

pub(in crate::personality) fn rename(
    context: &Context<'_>,
    old: (At, GuestAddr),
    new: (At, GuestAddr),
    flags: u32,
) -> Result<i64> {
    let flags = RenameFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let old_path = context.path(old.1)?;
    let new_path = context.path(new.1)?;
    let task = context.task();
    task.rename(old.0, &old_path, new.0, &new_path, flags)?;
    Ok(0)
}

pub(in crate::personality) fn link(
    context: &Context<'_>,
    old: (At, GuestAddr),
    new: (At, GuestAddr),
    flags: u32,
) -> Result<i64> {
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let follow = if flags & AT_SYMLINK_FOLLOW != 0 {
        Follow::Yes
    } else {
        Follow::No
    };
    let old_path = checked_path(context, old.1, flags)?;
    let new_path = context.path(new.1)?;
    let task = context.task();
    task.link(old.0, &old_path, new.0, &new_path, follow)?;
    Ok(0)
}

pub(in crate::personality) fn symlink(
    context: &Context<'_>,
    target: GuestAddr,
    at: At,
    path: GuestAddr,
) -> Result<i64> {
    let target = context.path(target)?;
    let path = context.path(path)?;
    context.task().symlink(&target, at, &path)?;
    Ok(0)
}

/// A target that is longer than the buffer is cut without a word.
pub(in crate::personality) fn read_link(
    context: &mut Context<'_>,
    at: At,
    path: GuestAddr,
    buffer: GuestAddr,
    size: u32,
) -> Result<i64> {
    if size.cast_signed() <= 0 {
        return Err(Errno::EINVAL);
    }
    let path = context.path(path)?;
    let target = context.task().read_link(at, &path)?;
    let shown = target.len().min(size as usize);
    context.memory.write(buffer, &target[..shown])?;
    Ok(shown as i64)
}

pub(in crate::personality) fn access(
    context: &Context<'_>,
    at: At,
    path: GuestAddr,
    mode: u32,
    flags: u32,
) -> Result<i64> {
    /// `AT_EACCESS`.
    const AT_EACCESS: u32 = AT_REMOVEDIR;
    /// `R_OK`, `W_OK`, `X_OK`.
    const BITS: [(u32, Access); 3] = [(4, Access::READ), (2, Access::WRITE), (1, Access::EXECUTE)];
    if mode > 7 || flags & !(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let mut wanted = Access::empty();
    for (bit, access) in BITS {
        wanted.set(access, mode & bit != 0);
    }
    let path = checked_path(context, path, flags)?;
    let task = context.task();
    if flags & AT_EACCESS != 0 {
        task.effective_access(at, &path, wanted, follow(flags))?;
    } else {
        task.access(at, &path, wanted, follow(flags))?;
    }
    Ok(0)
}

/// Reads a path that may be empty only with `AT_EMPTY_PATH`.
pub(in crate::personality) fn checked_path(
    context: &Context<'_>,
    path: GuestAddr,
    flags: u32,
) -> Result<Vec<u8>> {
    let path = context.path(path)?;
    if path.is_empty() && flags & AT_EMPTY_PATH == 0 {
        return Err(Errno::ENOENT);
    }
    Ok(path)
}

/// Whether a symbolic link at the end is followed.
pub(in crate::personality) fn follow(flags: u32) -> Follow {
    if flags & AT_SYMLINK_NOFOLLOW != 0 {
        Follow::No
    } else {
        Follow::Yes
    }
}

/// Returns the length with the terminating zero, as the system call does.
pub(in crate::personality) fn getcwd(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let mut path = context.task().current_directory()?;
    path.push(0);
    if path.len() > arguments.word(1) as usize {
        return Err(Errno::ERANGE);
    }
    context.memory.write(arguments.address(0), &path)?;
    Ok(path.len() as i64)
}

/// An empty path is no directory.
pub(in crate::personality) fn change_directory(
    context: &Context<'_>,
    path: GuestAddr,
) -> Result<i64> {
    let path = checked_path(context, path, 0)?;
    context.task().change_directory(At::Cwd, &path).map(|()| 0)
}

pub(in crate::personality) fn remove_directory(
    context: &Context<'_>,
    path: GuestAddr,
) -> Result<i64> {
    let path = context.path(path)?;
    context.task().remove_directory(At::Cwd, &path).map(|()| 0)
}

pub(in crate::personality) fn unlink(context: &Context<'_>, path: GuestAddr) -> Result<i64> {
    let path = context.path(path)?;
    context.task().unlink(At::Cwd, &path).map(|()| 0)
}
