//! Calls that name files by path.

use minke_abi::linux::{FileType, OpenFlags};
use minke_abi::{Errno, Result};
use minke_kernel::calls::paths::Access;
use minke_kernel::calls::{At, Follow};
use minke_kernel::vfs::{NewInode, RenameFlags};

use crate::personality::linux::context::{Arguments, Context};
use crate::personality::linux::table::Syscall;
use crate::runtime::GuestAddr;

/// `AT_SYMLINK_NOFOLLOW`.
pub(super) const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
/// `AT_REMOVEDIR` of `unlinkat`; `AT_EACCESS` of `faccessat2`.
const AT_REMOVEDIR: u32 = 0x200;
/// `AT_SYMLINK_FOLLOW`.
const AT_SYMLINK_FOLLOW: u32 = 0x400;
/// `AT_EMPTY_PATH`.
pub(super) const AT_EMPTY_PATH: u32 = 0x1000;
/// Bits of a mode that make calls keep.
pub(super) const MODE_BITS: u32 = 0o7777;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("open", 2, |c, a| {
        open(c, At::Cwd, a.address(0), a.word(1), a.word(2))
    })
    .partial("a fifo opens without waiting for the other end"),
    Syscall::now("openat", 257, |c, a| {
        open(c, a.at(0), a.address(1), a.word(2), a.word(3))
    })
    .partial("a fifo opens without waiting for the other end"),
    Syscall::now("creat", 85, |c, a| {
        let flags = OpenFlags::CREAT | OpenFlags::WRONLY | OpenFlags::TRUNC;
        open(c, At::Cwd, a.address(0), flags.bits(), a.word(1))
    }),
    Syscall::now("mkdir", 83, |c, a| {
        make_directory(c, At::Cwd, a.address(0), a.word(1))
    }),
    Syscall::now("mkdirat", 258, |c, a| {
        make_directory(c, a.at(0), a.address(1), a.word(2))
    }),
    Syscall::now("mknod", 133, |c, a| {
        make_node(c, At::Cwd, a.address(0), a.word(1), a.long(2))
    }),
    Syscall::now("mknodat", 259, |c, a| {
        make_node(c, a.at(0), a.address(1), a.word(2), a.long(3))
    }),
    Syscall::now("rmdir", 84, |c, a| {
        let path = c.path(a.address(0))?;
        c.task().remove_directory(At::Cwd, &path).map(|()| 0)
    }),
    Syscall::now("unlink", 87, |c, a| {
        let path = c.path(a.address(0))?;
        c.task().unlink(At::Cwd, &path).map(|()| 0)
    }),
    Syscall::now("unlinkat", 263, unlinkat),
    Syscall::now("rename", 82, |c, a| {
        rename(c, (At::Cwd, a.address(0)), (At::Cwd, a.address(1)), 0)
    }),
    Syscall::now("renameat", 264, |c, a| {
        rename(c, (a.at(0), a.address(1)), (a.at(2), a.address(3)), 0)
    }),
    Syscall::now("renameat2", 316, |c, a| {
        let flags = a.word(4);
        rename(c, (a.at(0), a.address(1)), (a.at(2), a.address(3)), flags)
    }),
    Syscall::now("link", 86, |c, a| {
        link(c, (At::Cwd, a.address(0)), (At::Cwd, a.address(1)), 0)
    }),
    Syscall::now("linkat", 265, |c, a| {
        let flags = a.word(4);
        link(c, (a.at(0), a.address(1)), (a.at(2), a.address(3)), flags)
    }),
    Syscall::now("symlink", 88, |c, a| {
        symlink(c, a.address(0), At::Cwd, a.address(1))
    }),
    Syscall::now("symlinkat", 266, |c, a| {
        symlink(c, a.address(0), a.at(1), a.address(2))
    }),
    Syscall::now("readlink", 89, |c, a| {
        read_link(c, At::Cwd, a.address(0), a.address(1), a.word(2))
    }),
    Syscall::now("readlinkat", 267, |c, a| {
        read_link(c, a.at(0), a.address(1), a.address(2), a.word(3))
    }),
    Syscall::now("access", 21, |c, a| {
        access(c, At::Cwd, a.address(0), a.word(1), 0)
    }),
    Syscall::now("faccessat", 269, |c, a| {
        access(c, a.at(0), a.address(1), a.word(2), 0)
    }),
    Syscall::now("faccessat2", 439, |c, a| {
        access(c, a.at(0), a.address(1), a.word(2), a.word(3))
    }),
    Syscall::now("chdir", 80, |c, a| {
        let path = c.path(a.address(0))?;
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        c.task().change_directory(At::Cwd, &path).map(|()| 0)
    }),
    Syscall::now("fchdir", 81, |c, a| {
        c.task().change_directory(At::Fd(a.fd(0)), b"").map(|()| 0)
    }),
    Syscall::now("getcwd", 79, getcwd),
    Syscall::now("umask", 95, |c, a| {
        Ok(i64::from(c.task().set_umask(a.word(0))))
    }),
];

fn open(context: &Context<'_>, at: At, path: GuestAddr, flags: u32, mode: u32) -> Result<i64> {
    let path = context.path(path)?;
    let flags = OpenFlags::from_bits_retain(flags);
    let fd = context.task().open(at, &path, flags, mode & MODE_BITS)?;
    Ok(i64::from(fd.0))
}

fn make_directory(context: &Context<'_>, at: At, path: GuestAddr, mode: u32) -> Result<i64> {
    let path = context.path(path)?;
    let task = context.task();
    task.make_node(at, &path, &NewInode::Directory, mode & MODE_BITS)?;
    Ok(0)
}

fn make_node(
    context: &Context<'_>,
    at: At,
    path: GuestAddr,
    mode: u32,
    device: i64,
) -> Result<i64> {
    let path = context.path(path)?;
    let device = device.cast_unsigned();
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

fn unlinkat(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let path = context.path(arguments.address(1))?;
    let at = arguments.at(0);
    match arguments.word(2) {
        0 => context.task().unlink(at, &path)?,
        AT_REMOVEDIR => context.task().remove_directory(at, &path)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

fn rename(
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

fn link(
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

fn symlink(context: &Context<'_>, target: GuestAddr, at: At, path: GuestAddr) -> Result<i64> {
    let target = context.path(target)?;
    let path = context.path(path)?;
    context.task().symlink(&target, at, &path)?;
    Ok(0)
}

/// A target that is longer than the buffer is cut without a word.
fn read_link(
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

fn access(context: &Context<'_>, at: At, path: GuestAddr, mode: u32, flags: u32) -> Result<i64> {
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
pub(super) fn checked_path(context: &Context<'_>, path: GuestAddr, flags: u32) -> Result<Vec<u8>> {
    let path = context.path(path)?;
    if path.is_empty() && flags & AT_EMPTY_PATH == 0 {
        return Err(Errno::ENOENT);
    }
    Ok(path)
}

/// Whether a symbolic link at the end is followed.
pub(super) fn follow(flags: u32) -> Follow {
    if flags & AT_SYMLINK_NOFOLLOW != 0 {
        Follow::No
    } else {
        Follow::Yes
    }
}

/// Returns the length with the terminating zero, as the system call does.
fn getcwd(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let mut path = context.task().current_directory()?;
    path.push(0);
    if path.len() > arguments.word(1) as usize {
        return Err(Errno::ERANGE);
    }
    context.memory.write(arguments.address(0), &path)?;
    Ok(path.len() as i64)
}
