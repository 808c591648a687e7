//! Calls that name files by path.

use minke_abi::linux::OpenFlags;
use minke_abi::{Errno, Result};
use minke_kernel::calls::At;
use minke_kernel::calls::open::OpenHow;
use minke_kernel::vfs::Resolve;
use wasmtime::Caller;

use crate::personality::linux::context::{Arguments, Context, task_of};
use crate::personality::linux::table::Syscall;
use crate::personality::musl::paths::{
    MODE_BITS, access, change_directory, checked_path, getcwd, link, make_directory, make_node,
    read_link, remove_directory, rename, symlink, unlink, unlinkat,
};
use crate::runtime::{Guest, GuestAddr};

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::waiting("open", 2, |c, a| {
        Box::pin(async move { open(c, At::Cwd, a.address(0), a.word(1), a.word(2)).await })
    })
    .restarting(),
    Syscall::waiting("openat", 257, |c, a| {
        Box::pin(async move { open(c, a.at(0), a.address(1), a.word(2), a.word(3)).await })
    })
    .restarting(),
    Syscall::waiting("openat2", 437, |c, a| {
        Box::pin(async move { open_bounded(c, &a).await })
    })
    .restarting()
    .partial("`RESOLVE_CACHED` always answers `EAGAIN`"),
    Syscall::now("name_to_handle_at", 303, |_, _| Err(Errno::EOPNOTSUPP))
        .refused("files have no names but paths"),
    Syscall::now("open_by_handle_at", 304, |_, _| Err(Errno::EPERM))
        .refused("files have no names but paths"),
    Syscall::waiting("creat", 85, |c, a| {
        let flags = OpenFlags::CREAT | OpenFlags::WRONLY | OpenFlags::TRUNC;
        Box::pin(async move { open(c, At::Cwd, a.address(0), flags.bits(), a.word(1)).await })
    })
    .restarting(),
    Syscall::now("mkdir", 83, |c, a| {
        make_directory(c, At::Cwd, a.address(0), a.word(1))
    }),
    Syscall::now("mkdirat", 258, |c, a| {
        make_directory(c, a.at(0), a.address(1), a.word(2))
    }),
    Syscall::now("mknod", 133, |c, a| {
        make_node(
            c,
            At::Cwd,
            a.address(0),
            a.word(1),
            a.long(2).cast_unsigned(),
        )
    }),
    Syscall::now("mknodat", 259, |c, a| {
        make_node(
            c,
            a.at(0),
            a.address(1),
            a.word(2),
            a.long(3).cast_unsigned(),
        )
    }),
    Syscall::now("rmdir", 84, |c, a| remove_directory(c, a.address(0))),
    Syscall::now("unlink", 87, |c, a| unlink(c, a.address(0))),
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
    Syscall::now("chdir", 80, |c, a| change_directory(c, a.address(0))),
    Syscall::now("chroot", 161, |c, a| {
        let path = checked_path(c, a.address(0), 0)?;
        c.task().change_root(&path).map(|()| 0)
    }),
    Syscall::now("fchdir", 81, |c, a| {
        c.task().change_directory(At::Fd(a.fd(0)), b"").map(|()| 0)
    }),
    Syscall::now("getcwd", 79, getcwd),
    Syscall::now("umask", 95, |c, a| {
        Ok(i64::from(c.task().set_umask(a.word(0))))
    }),
];

/// Waits where a fifo's other end is not open yet.
async fn open(
    caller: &mut Caller<'_, Guest>,
    at: At,
    path: GuestAddr,
    flags: u32,
    mode: u32,
) -> Result<i64> {
    let path = Context::of(caller).path(path)?;
    let flags = OpenFlags::from_bits_retain(flags);
    let task = task_of(caller);
    let fd = task.open_waiting(at, &path, flags, mode & MODE_BITS);
    Ok(i64::from(fd.await?.0))
}

/// Bytes of `struct open_how`: flags, mode, what the walk may not do.
const HOW_BYTES: u64 = 24;
/// Most bytes of a newer one, whose rest must be zeros. Linux: `PAGE_SIZE`.
const HOW_BYTES_MAX: u64 = 4096;
/// `RESOLVE_CACHED`: only what needs no look at a disk, which nobody here can promise.
const RESOLVE_CACHED: u64 = 0x20;

/// Directory, path, how, bytes of that.
async fn open_bounded(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> Result<i64> {
    let context = Context::of(caller);
    let how = read_how(&context, arguments.address(2), arguments.word(3).into())?;
    let path = context.path(arguments.address(1))?;
    let task = task_of(caller);
    let fd = task.open_within(arguments.at(0), &path, how).await?;
    Ok(i64::from(fd.0))
}

/// Linux: fs/open.c `build_open_flags()`.
fn read_how(context: &Context<'_>, address: GuestAddr, bytes: u64) -> Result<OpenHow> {
    if bytes < HOW_BYTES {
        return Err(Errno::EINVAL);
    }
    if bytes > HOW_BYTES_MAX {
        return Err(Errno::E2BIG);
    }
    let rest = (bytes - HOW_BYTES) as usize;
    let rest = context
        .memory
        .read_bytes(address.offset(HOW_BYTES), rest as u64, rest)?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Errno::E2BIG);
    }
    let [flags, mode, resolve] = [0, 8, 16].map(|at| context.memory.read_u64(address.offset(at)));
    let (flags, mode, resolve) = (flags?, mode?, resolve?);
    if resolve & RESOLVE_CACHED != 0 {
        return Err(Errno::EAGAIN);
    }
    let flags = u32::try_from(flags).map_err(|_| Errno::EINVAL)?;
    let makes = flags & (OpenFlags::CREAT.bits() | TMPFILE) != 0;
    let mode_bits = if makes { u64::from(MODE_BITS) } else { 0 };
    if flags & !OPEN_FLAGS != 0 || mode & !mode_bits != 0 {
        return Err(Errno::EINVAL);
    }
    let flags = OpenFlags::from_bits_retain(flags);
    let path_flags =
        OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW | OpenFlags::CLOEXEC;
    if flags.contains(OpenFlags::PATH) && !path_flags.contains(flags) {
        return Err(Errno::EINVAL);
    }
    let resolve = u32::try_from(resolve).ok().and_then(Resolve::from_bits);
    let resolve = resolve.ok_or(Errno::EINVAL)?;
    if resolve.contains(Resolve::BENEATH | Resolve::IN_ROOT) {
        return Err(Errno::EINVAL);
    }
    Ok(OpenHow {
        flags,
        mode: mode as u32,
        resolve,
    })
}

/// The bit of `O_TMPFILE` that is its own.
const TMPFILE: u32 = 0o20_000_000;
/// Every flag that there is. Linux: `VALID_OPEN_FLAGS`; `O_ASYNC` too.
const OPEN_FLAGS: u32 = OpenFlags::all().bits() | TMPFILE | 3 | 0o20_000;
