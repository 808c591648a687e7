//! Calls on the attributes of files: `stat` and its kin, modes, owners, times, sizes.

use minke_abi::emscripten::{FileTime, Stat, StatFs};
use minke_abi::linux::NAME_MAX;
use minke_abi::{Errno, Result};
use minke_kernel::calls::At;
use minke_kernel::vfs::{FileSystemStatistics, Metadata, Timestamp};

use crate::personality::emscripten::context::{Arguments, Context};
use crate::personality::emscripten::table::{Function, Kind, WORDS};
use crate::personality::musl::attributes::{
    change_mode, change_owner, change_times, fchmod, fchown, ftruncate, metadata_at, owners,
    statistics_of, truncate,
};
use crate::personality::musl::paths::AT_SYMLINK_NOFOLLOW;
use crate::runtime::GuestAddr;

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    Function::syscall("__syscall_stat64", WORDS[2], |c, a| {
        stat_at(c, At::Cwd, a.address(0), a.address(1), 0)
    }),
    Function::syscall("__syscall_lstat64", WORDS[2], |c, a| {
        stat_at(c, At::Cwd, a.address(0), a.address(1), AT_SYMLINK_NOFOLLOW)
    }),
    Function::syscall("__syscall_fstat64", WORDS[2], |c, a| {
        let metadata = c.task().fstat(a.fd(0))?;
        write_stat(c, a.address(1), &metadata)
    }),
    Function::syscall("__syscall_fstatat64", WORDS[4], fstatat),
    Function::syscall("__syscall_newfstatat", WORDS[4], fstatat),
    Function::syscall("__syscall_statfs64", WORDS[3], |c, a| {
        let statistics = statistics_of(c, a.address(0))?;
        write_statfs(c, a, &statistics)
    }),
    Function::syscall("__syscall_fstatfs64", WORDS[3], |c, a| {
        let statistics = c.task().fstatfs(a.fd(0))?;
        write_statfs(c, a, &statistics)
    }),
    Function::syscall("__syscall_chmod", WORDS[2], |c, a| {
        change_mode(c, At::Cwd, a.address(0), a.word(1), 0)
    }),
    Function::syscall("__syscall_fchmod", WORDS[2], fchmod),
    Function::syscall("__syscall_fchmodat", WORDS[3], |c, a| {
        change_mode(c, a.at(0), a.address(1), a.word(2), 0)
    }),
    Function::syscall("__syscall_fchmodat2", WORDS[4], |c, a| {
        change_mode(c, a.at(0), a.address(1), a.word(2), a.word(3))
    }),
    Function::syscall("__syscall_chown32", WORDS[3], |c, a| {
        change_owner(c, At::Cwd, a.address(0), owners(a, 1), 0)
    }),
    Function::syscall("__syscall_lchown32", WORDS[3], |c, a| {
        change_owner(c, At::Cwd, a.address(0), owners(a, 1), AT_SYMLINK_NOFOLLOW)
    }),
    Function::syscall("__syscall_fchown32", WORDS[3], fchown),
    Function::syscall("__syscall_fchownat", WORDS[5], |c, a| {
        change_owner(c, a.at(0), a.address(1), owners(a, 2), a.word(4))
    }),
    Function::syscall("__syscall_utimensat", WORDS[4], utimensat),
    Function::syscall("__syscall_truncate64", &[Kind::Word, Kind::Long], truncate),
    Function::syscall(
        "__syscall_ftruncate64",
        &[Kind::Word, Kind::Long],
        ftruncate,
    ),
];

fn stat_at(
    context: &mut Context<'_>,
    at: At,
    path: GuestAddr,
    buffer: GuestAddr,
    flags: u32,
) -> Result<i64> {
    let metadata = metadata_at(context, at, path, flags)?;
    write_stat(context, buffer, &metadata)
}

fn fstatat(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let (path, buffer) = (arguments.address(1), arguments.address(2));
    stat_at(context, arguments.at(0), path, buffer, arguments.word(3))
}

fn write_stat(context: &mut Context<'_>, buffer: GuestAddr, metadata: &Metadata) -> Result<i64> {
    let time = |time: Timestamp| FileTime {
        seconds: time.seconds,
        nanoseconds: time.nanoseconds,
    };
    let stat = Stat {
        device: metadata.device as u32,
        mode: metadata.file_type.mode_bits() | metadata.mode,
        links: metadata.links,
        uid: metadata.uid,
        gid: metadata.gid,
        device_id: metadata.device_id as u32,
        size: metadata.size,
        block_size: metadata.block_size,
        blocks: u32::try_from(metadata.blocks).unwrap_or(u32::MAX),
        accessed: time(metadata.accessed),
        modified: time(metadata.modified),
        changed: time(metadata.changed),
        inode: metadata.inode,
    };
    let layout = context.layout();
    context.memory.write(buffer, &stat.encode(layout))?;
    Ok(0)
}

/// The second argument is the size of the caller's `struct statfs`, which tells its version.
fn write_statfs(
    context: &mut Context<'_>,
    arguments: &Arguments,
    statistics: &FileSystemStatistics,
) -> Result<i64> {
    let stat = StatFs {
        magic: statistics.magic as u32,
        block_size: statistics.block_size as u32,
        blocks: statistics.blocks,
        blocks_free: statistics.blocks_free,
        inodes: statistics.inodes,
        inodes_free: statistics.inodes_free,
        name_bytes_max: NAME_MAX as u32,
    };
    let bytes = stat
        .encode(arguments.word(1) as usize)
        .ok_or(Errno::EINVAL)?;
    context.memory.write(arguments.address(2), &bytes)?;
    Ok(0)
}

fn utimensat(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let layout = context.layout();
    let time = |address: GuestAddr| {
        let bytes = context
            .memory
            .read_bytes(address, layout.timespec_bytes(), 16)?;
        Ok(layout.decode_timespec(&bytes))
    };
    let times = match arguments.pointer(2) {
        Some(times) => Some([time(times)?, time(times.offset(layout.timespec_bytes()))?]),
        None => None,
    };
    change_times(context, arguments, times)
}
