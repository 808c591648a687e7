//! Calls that name files by path.

use minke_abi::Result;
use minke_abi::linux::OpenFlags;
use minke_kernel::calls::At;

use crate::personality::emscripten::context::{Arguments, Context};
use crate::personality::emscripten::table::{Function, WORDS};
use crate::personality::musl::paths;
use crate::personality::musl::paths::{
    access, change_directory, getcwd, link, make_directory, make_node, read_link, remove_directory,
    rename, symlink, unlink, unlinkat,
};
use crate::runtime::GuestAddr;

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
        make_node(c, At::Cwd, a.address(0), a.word(1), u64::from(a.word(2)))
    }),
    Function::syscall("__syscall_mknodat", WORDS[4], |c, a| {
        make_node(c, a.at(0), a.address(1), a.word(2), u64::from(a.word(3)))
    }),
    Function::syscall("__syscall_rmdir", WORDS[1], |c, a| {
        remove_directory(c, a.address(0))
    }),
    Function::syscall("__syscall_unlink", WORDS[1], |c, a| unlink(c, a.address(0))),
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
        change_directory(c, a.address(0))
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
    let makes = OpenFlags::from_bits_retain(flags).contains(OpenFlags::CREAT);
    let mode = if makes { mode? } else { 0 };
    paths::open(context, at, path, flags, mode)
}
