//! Calls on open files: directories, sizes, durability.

use crate::personality::emscripten::table::{Function, Kind, WORDS};
use crate::personality::musl::files::{fadvise, fallocate, getdents};

/// Descriptor, offset, length: what `fadvise` and `fallocate` have in common.
const RANGE: [Kind; 4] = [Kind::Word, Kind::Long, Kind::Long, Kind::Word];

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    Function::syscall("__syscall_getdents64", WORDS[3], getdents),
    Function::syscall("__syscall_fdatasync", WORDS[1], |c, a| {
        c.task().sync(a.fd(0)).map(|()| 0)
    }),
    Function::syscall("__syscall_fsync", WORDS[1], |c, a| {
        c.task().sync(a.fd(0)).map(|()| 0)
    }),
    Function::syscall("__syscall_sync", WORDS[0], |_, _| Ok(0))
        .partial("does nothing: `fsync` makes a file durable"),
    Function::syscall(
        "__syscall_fallocate",
        &[Kind::Word, Kind::Word, Kind::Long, Kind::Long],
        fallocate,
    )
    .partial("mode 0, `FALLOC_FL_KEEP_SIZE` and `FALLOC_FL_PUNCH_HOLE` only"),
    Function::syscall("__syscall_fadvise64_64", &RANGE, fadvise)
        .partial("the advice is checked and not used"),
    Function::syscall("__syscall_fadvise64", &RANGE, fadvise)
        .partial("the advice is checked and not used"),
];
