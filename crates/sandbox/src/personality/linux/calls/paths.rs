//! Calls that name files by path.

use minke_abi::Result;
use minke_abi::linux::OpenFlags;
use minke_kernel::calls::At;
use wasmtime::Caller;

use crate::personality::linux::context::{Context, task_of};
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
