//! Calls that name files by path.

use minke_abi::linux::{FileType, OpenFlags};
use minke_abi::{Errno, Result};
use minke_kernel::calls::paths::Access;
use minke_kernel::calls::{At, Follow};
use minke_kernel::vfs::{NewInode, RenameFlags};

use crate::personality::emscripten::context::{Arguments, Context};
use crate::personality::emscripten::table::{Function, WORDS};
use crate::runtime::GuestAddr;

/// `AT_SYMLINK_NOFOLLOW`.
pub(super) const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
/// `AT_REMOVEDIR` of `unlinkat`; `AT_EACCESS` of `faccessat`.
const AT_REMOVEDIR: u32 = 0x200;
/// `AT_SYMLINK_FOLLOW`.
const AT_SYMLINK_FOLLOW: u32 = 0x400;
/// `AT_EMPTY_PATH`.
pub(super) const AT_EMPTY_PATH: u32 = 0x1000;
/// Bits of a mode that make calls keep.
const MODE_BITS: u32 = 0o7777;

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    Function::syscall("__syscall_open", WORDS[3], open),
    Function::syscall("__syscall_openat", WORDS[4], openat),
    Function::syscall("__syscall_mkdir", WORDS[2], |c, a| {
        make_directory(c, At::Cwd, a.address(0), a.word(1))
    }),
    Function::syscall("__syscall_mkdirat", WORDS[3], |c, a| {
        make_directory(c, a.at(0), a.address(1), a.word(2))
    }),
    Function::syscall("__syscall_mknod", WORDS[3], |c, a| {
        make_node(c, At::Cwd, a.address(0), a.word(1), a.word(2))
    }),
    Function::syscall("__syscall_mknodat", WORDS[4], |c, a| {
        make_node(c, a.at(0), a.address(1), a.word(2), a.word(3))
    }),
    Function::syscall("__syscall_rmdir", WORDS[1], |c, a| {
        let path = c.path(a.address(0))?;
        c.task().remove_directory(At::Cwd, &path).map(|()| 0)
    }),
    Function::syscall("__syscall_unlink", WORDS[1], |c, a| {
        let path = c.path(a.address(0))?;
        c.task().unlink(At::Cwd, &path).map(|()| 0)
    }),
    Function::syscall("__syscall_unlinkat", WORDS[3], unlinkat),
    Function::syscall("__syscall_rename", WORDS[2], |c, a| {
        rename(c, (At::Cwd, a.address(0)), (At::Cwd, a.address(1)), 0)
    }),
    Function::syscall("__syscall_renameat", WORDS[4], |c, a| {
        rename(c, (a.at(0), a.address(1)), (a.at(2), a.address(3)), 0)
    }),
    Function::syscall("__syscall_renameat2", WORDS[5], |c, a| {
        let flags = a.word(4);
        rename(c, (a.at(0), a.address(1)), (a.at(2), a.address(3)), flags)
    }),
    Function::syscall("__syscall_link", WORDS[2], |c, a| {
        link(c, (At::Cwd, a.address(0)), (At::Cwd, a.address(1)), 0)
    }),
    Function::syscall("__syscall_linkat", WORDS[5], |c, a| {
        let flags = a.word(4);
        link(c, (a.at(0), a.address(1)), (a.at(2), a.address(3)), flags)
    }),
    Function::syscall("__syscall_symlink", WORDS[2], |c, a| {
        symlink(c, a.address(0), At::Cwd, a.address(1))
    }),
    Function::syscall("__syscall_symlinkat", WORDS[3], |c, a| {
        symlink(c, a.address(0), a.at(1), a.address(2))
    }),
    Function::syscall("__syscall_readlink", WORDS[3], |c, a| {
        read_link(c, At::Cwd, a.address(0), a.address(1), a.word(2))
    }),
    Function::syscall("__syscall_readlinkat", WORDS[4], |c, a| {
        read_link(c, a.at(0), a.address(1), a.address(2), a.word(3))
    }),
    Function::syscall("__syscall_access", WORDS[2], |c, a| {
        access(c, At::Cwd, a.address(0), a.word(1), 0)
    }),
    Function::syscall("__syscall_faccessat", WORDS[4], |c, a| {
        access(c, a.at(0), a.address(1), a.word(2), a.word(3))
    }),
    Function::syscall("__syscall_faccessat2", WORDS[4], |c, a| {
        access(c, a.at(0), a.address(1), a.word(2), a.word(3))
    }),
    Function::syscall("__syscall_chdir", WORDS[1], |c, a| {
        let path = c.path(a.address(0))?;
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        c.task().change_directory(At::Cwd, &path).map(|()| 0)
    }),
    Function::syscall("__syscall_fchdir", WORDS[1], |c, a| {
        c.task().change_directory(At::Fd(a.fd(0)), b"").map(|()| 0)
    }),
    Function::syscall("__syscall_getcwd", WORDS[2], getcwd),
    Function::syscall("__syscall_umask", WORDS[1], |c, a| {
        Ok(i64::from(c.task().set_umask(a.word(0))))
    }),
];

fn open(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let mode = context.variadic(arguments.pointer(2));
    open_at(
        context,
        At::Cwd,
        arguments.address(0),
        arguments.word(1),
        mode,
    )
}

fn openat(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let mode = context.variadic(arguments.pointer(3));
    let at = arguments.at(0);
    open_at(context, at, arguments.address(1), arguments.word(2), mode)
}

/// The mode counts, and is looked at, only where a file may be made.
fn open_at(
    context: &Context<'_>,
    at: At,
    path: GuestAddr,
    flags: u32,
    mode: Result<u32>,
) -> Result<i64> {
    let path = context.path(path)?;
    let flags = OpenFlags::from_bits_retain(flags);
    let mode = if flags.contains(OpenFlags::CREAT) {
        mode? & MODE_BITS
    } else {
        0
    };
    let fd = context.task().open(at, &path, flags, mode)?;
    Ok(i64::from(fd.0))
}

fn make_directory(context: &Context<'_>, at: At, path: GuestAddr, mode: u32) -> Result<i64> {
    let path = context.path(path)?;
    let mode = mode & MODE_BITS;
    let task = context.task();
    task.make_node(at, &path, &NewInode::Directory, mode)?;
    Ok(0)
}

fn make_node(
    context: &Context<'_>,
    at: At,
    path: GuestAddr,
    mode: u32,
    device: u32,
) -> Result<i64> {
    let path = context.path(path)?;
    let device = u64::from(device);
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
    let old_path = context.path(old.1)?;
    if old_path.is_empty() && flags & AT_EMPTY_PATH == 0 {
        return Err(Errno::ENOENT);
    }
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

/// A target that is longer than the buffer is cut without a word, as on Linux.
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
    let mut target = context.task().read_link(at, &path)?;
    target.truncate(size as usize);
    context.memory.write(buffer, &target)?;
    Ok(target.len() as i64)
}

fn access(context: &Context<'_>, at: At, path: GuestAddr, mode: u32, flags: u32) -> Result<i64> {
    /// `AT_EACCESS`: with the effective user. Ours never differs in a way that a guest can set up without `setuid`.
    const AT_EACCESS: u32 = AT_REMOVEDIR;
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EACCESS | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let access = Access::from_bits(mode).ok_or(Errno::EINVAL)?;
    let path = checked_path(context, path, flags)?;
    context.task().access(at, &path, access, follow(flags))?;
    Ok(0)
}

fn getcwd(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let mut path = context.task().current_directory()?;
    path.push(0);
    if path.len() > arguments.word(1) as usize {
        return Err(Errno::ERANGE);
    }
    context.memory.write(arguments.address(0), &path)?;
    Ok(path.len() as i64)
}

/// Returns what a path's flags say about a link at its end.
pub(super) fn follow(flags: u32) -> Follow {
    if flags & AT_SYMLINK_NOFOLLOW != 0 {
        Follow::No
    } else {
        Follow::Yes
    }
}

/// Reads a path that may be empty only where the flags say so.
pub(super) fn checked_path(context: &Context<'_>, path: GuestAddr, flags: u32) -> Result<Vec<u8>> {
    let path = context.path(path)?;
    if path.is_empty() && flags & AT_EMPTY_PATH == 0 {
        return Err(Errno::ENOENT);
    }
    Ok(path)
}
