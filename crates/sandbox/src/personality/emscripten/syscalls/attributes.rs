//! Calls on the attributes of files: `stat` and its kin, modes, owners, times, sizes.

use minke_abi::emscripten::{FileTime, Stat, StatFs, StatLayout};
use minke_abi::linux::{FileType, NAME_MAX};
use minke_abi::{Errno, Result};
use minke_kernel::calls::paths::TimeChange;
use minke_kernel::calls::{At, Follow};
use minke_kernel::vfs::{FileSystemStatistics, Metadata, Timestamp};

use crate::personality::emscripten::context::{Arguments, Context};
use crate::personality::emscripten::syscalls::paths::{
    AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, checked_path, follow,
};
use crate::personality::emscripten::table::{Function, Kind, WORDS};
use crate::runtime::GuestAddr;

/// Bits of `chmod`'s mode that are kept.
const MODE_BITS: u32 = 0o7777;
/// `UTIME_NOW` and `UTIME_OMIT` in place of nanoseconds.
const UTIME_NOW: i64 = 0x3fff_ffff;
const UTIME_OMIT: i64 = 0x3fff_fffe;

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
        let path = checked_path(c, a.address(0), 0)?;
        let statistics = c.task().file_system_statistics(At::Cwd, &path)?;
        write_statfs(c, a, &statistics)
    }),
    Function::syscall("__syscall_fstatfs64", WORDS[3], |c, a| {
        let statistics = c.task().fstatfs(a.fd(0))?;
        write_statfs(c, a, &statistics)
    }),
    Function::syscall("__syscall_chmod", WORDS[2], |c, a| {
        change_mode(c, At::Cwd, a.address(0), a.word(1), 0)
    }),
    Function::syscall("__syscall_fchmod", WORDS[2], |c, a| {
        c.task().fchmod(a.fd(0), a.word(1) & MODE_BITS).map(|()| 0)
    }),
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
    Function::syscall("__syscall_fchown32", WORDS[3], |c, a| {
        let (uid, gid) = owners(a, 1);
        c.task().fchown(a.fd(0), uid, gid).map(|()| 0)
    }),
    Function::syscall("__syscall_fchownat", WORDS[5], |c, a| {
        change_owner(c, a.at(0), a.address(1), owners(a, 2), a.word(4))
    }),
    Function::syscall("__syscall_utimensat", WORDS[4], utimensat),
    Function::syscall("__syscall_truncate64", &[Kind::Word, Kind::Long], |c, a| {
        let path = checked_path(c, a.address(0), 0)?;
        c.task().truncate(At::Cwd, &path, a.size(1)?).map(|()| 0)
    }),
    Function::syscall(
        "__syscall_ftruncate64",
        &[Kind::Word, Kind::Long],
        |c, a| c.task().ftruncate(a.fd(0), a.size(1)?).map(|()| 0),
    ),
];

fn fstatat(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let (path, buffer) = (arguments.address(1), arguments.address(2));
    stat_at(context, arguments.at(0), path, buffer, arguments.word(3))
}

fn stat_at(
    context: &mut Context<'_>,
    at: At,
    path: GuestAddr,
    buffer: GuestAddr,
    flags: u32,
) -> Result<i64> {
    /// `AT_NO_AUTOMOUNT`, which says nothing here.
    const AT_NO_AUTOMOUNT: u32 = 0x800;
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = checked_path(context, path, flags)?;
    let metadata = match (path.is_empty(), at) {
        (true, At::Fd(fd)) => context.task().fstat(fd)?,
        _ => context.task().stat(at, &path, follow(flags))?,
    };
    write_stat(context, buffer, &metadata)
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

/// A symbolic link has no mode of its own to change: `ENOTSUP`, as on Linux.
fn change_mode(
    context: &Context<'_>,
    at: At,
    path: GuestAddr,
    mode: u32,
    flags: u32,
) -> Result<i64> {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = checked_path(context, path, flags)?;
    let follow = follow(flags);
    let task = context.task();
    if follow == Follow::No && task.stat(at, &path, Follow::No)?.file_type == FileType::Symlink {
        return Err(Errno::ENOTSUP);
    }
    task.change_mode(at, &path, mode & MODE_BITS, follow)?;
    Ok(0)
}

fn change_owner(
    context: &Context<'_>,
    at: At,
    path: GuestAddr,
    (uid, gid): (Option<u32>, Option<u32>),
    flags: u32,
) -> Result<i64> {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = checked_path(context, path, flags)?;
    let task = context.task();
    task.change_owner(at, &path, uid, gid, follow(flags))?;
    Ok(0)
}

/// Two arguments from `first` on: user and group; -1 keeps.
fn owners(arguments: &Arguments, first: usize) -> (Option<u32>, Option<u32>) {
    let keep = |id: u32| (id != u32::MAX).then_some(id);
    (keep(arguments.word(first)), keep(arguments.word(first + 1)))
}

/// A null path changes the descriptor's own file. Linux: fs/utimes.c do_utimes_fd().
fn utimensat(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let flags = arguments.word(3);
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let (accessed, modified) = match arguments.pointer(2) {
        None => (TimeChange::Now, TimeChange::Now),
        Some(times) => {
            let layout = context.layout();
            let second = times.offset(layout.timespec_bytes());
            (
                time_change(context, layout, times)?,
                time_change(context, layout, second)?,
            )
        }
    };
    let task = context.task();
    match (arguments.pointer(1), arguments.at(0)) {
        (None, At::Cwd) => return Err(Errno::EFAULT),
        (None, At::Fd(fd)) => task.set_file_times(fd, accessed, modified)?,
        (Some(path), at) => {
            let path = checked_path(context, path, flags)?;
            task.set_times(at, &path, accessed, modified, follow(flags))?;
        }
    }
    Ok(0)
}

fn time_change(
    context: &Context<'_>,
    layout: StatLayout,
    address: GuestAddr,
) -> Result<TimeChange> {
    let bytes = context
        .memory
        .read_bytes(address, layout.timespec_bytes(), 16)?;
    let (seconds, nanoseconds) = layout.decode_timespec(&bytes);
    Ok(match nanoseconds {
        UTIME_NOW => TimeChange::Now,
        UTIME_OMIT => TimeChange::Keep,
        0..=999_999_999 => TimeChange::Set(Timestamp {
            seconds,
            nanoseconds: nanoseconds as u32,
        }),
        _ => return Err(Errno::EINVAL),
    })
}
