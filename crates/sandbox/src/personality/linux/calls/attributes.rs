//! Calls on the attributes of files: `stat` and its kin, modes, owners, times, sizes.

use minke_abi::linux::{FileType, NAME_MAX};
use minke_abi::wali::{Stat, StatFs};
use minke_abi::{Errno, Result};
use minke_kernel::calls::paths::TimeChange;
use minke_kernel::calls::{At, Follow};
use minke_kernel::vfs::{FileSystemStatistics, Metadata, Timestamp};

use super::paths::{AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, MODE_BITS, checked_path, follow};
use crate::personality::linux::context::{Arguments, Context, TIME_BYTES};
use crate::personality::linux::table::Syscall;
use crate::runtime::GuestAddr;

/// `UTIME_NOW` and `UTIME_OMIT` in place of nanoseconds.
const UTIME_NOW: i64 = 0x3fff_ffff;
const UTIME_OMIT: i64 = 0x3fff_fffe;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("stat", 4, |c, a| {
        stat_at(c, At::Cwd, a.address(0), a.address(1), 0)
    }),
    Syscall::now("lstat", 6, |c, a| {
        stat_at(c, At::Cwd, a.address(0), a.address(1), AT_SYMLINK_NOFOLLOW)
    }),
    Syscall::now("fstat", 5, |c, a| {
        let metadata = c.task().fstat(a.fd(0))?;
        write_stat(c, a.address(1), &metadata)
    }),
    Syscall::now("fstatat", 262, |c, a| {
        stat_at(c, a.at(0), a.address(1), a.address(2), a.word(3))
    }),
    Syscall::now("newfstatat", 262, |c, a| {
        stat_at(c, a.at(0), a.address(1), a.address(2), a.word(3))
    }),
    Syscall::now("statfs", 137, |c, a| {
        let path = checked_path(c, a.address(0), 0)?;
        let statistics = c.task().file_system_statistics(At::Cwd, &path)?;
        write_statfs(c, a.address(1), &statistics)
    }),
    Syscall::now("fstatfs", 138, |c, a| {
        let statistics = c.task().fstatfs(a.fd(0))?;
        write_statfs(c, a.address(1), &statistics)
    }),
    Syscall::now("chmod", 90, |c, a| {
        change_mode(c, At::Cwd, a.address(0), a.word(1), 0)
    }),
    Syscall::now("fchmod", 91, |c, a| {
        c.task().fchmod(a.fd(0), a.word(1) & MODE_BITS).map(|()| 0)
    }),
    Syscall::now("fchmodat", 268, |c, a| {
        change_mode(c, a.at(0), a.address(1), a.word(2), 0)
    }),
    Syscall::now("fchmodat2", 452, |c, a| {
        change_mode(c, a.at(0), a.address(1), a.word(2), a.word(3))
    }),
    Syscall::now("chown", 92, |c, a| {
        change_owner(c, At::Cwd, a.address(0), owners(a, 1), 0)
    }),
    Syscall::now("lchown", 94, |c, a| {
        change_owner(c, At::Cwd, a.address(0), owners(a, 1), AT_SYMLINK_NOFOLLOW)
    }),
    Syscall::now("fchown", 93, |c, a| {
        let (uid, gid) = owners(a, 1);
        c.task().fchown(a.fd(0), uid, gid).map(|()| 0)
    }),
    Syscall::now("fchownat", 260, |c, a| {
        change_owner(c, a.at(0), a.address(1), owners(a, 2), a.word(4))
    }),
    Syscall::now("utimensat", 280, utimensat),
    Syscall::now("truncate", 76, |c, a| {
        let path = checked_path(c, a.address(0), 0)?;
        c.task().truncate(At::Cwd, &path, a.size(1)?).map(|()| 0)
    }),
    Syscall::now("ftruncate", 77, |c, a| {
        c.task().ftruncate(a.fd(0), a.size(1)?).map(|()| 0)
    }),
];

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
    let time = |time: Timestamp| (time.seconds, time.nanoseconds);
    let stat = Stat {
        device: metadata.device,
        inode: metadata.inode,
        links: u64::from(metadata.links),
        mode: metadata.file_type.mode_bits() | metadata.mode,
        uid: metadata.uid,
        gid: metadata.gid,
        device_id: metadata.device_id,
        size: metadata.size,
        block_size: u64::from(metadata.block_size),
        blocks: metadata.blocks,
        times: [
            time(metadata.accessed),
            time(metadata.modified),
            time(metadata.changed),
        ],
    };
    context.memory.write(buffer, &stat.encode())?;
    Ok(0)
}

fn write_statfs(
    context: &mut Context<'_>,
    buffer: GuestAddr,
    statistics: &FileSystemStatistics,
) -> Result<i64> {
    let stat = StatFs {
        magic: statistics.magic,
        block_size: statistics.block_size,
        blocks: statistics.blocks,
        blocks_free: statistics.blocks_free,
        inodes: statistics.inodes,
        inodes_free: statistics.inodes_free,
        name_bytes_max: NAME_MAX as u64,
    };
    context.memory.write(buffer, &stat.encode())?;
    Ok(0)
}

/// A symbolic link has no mode of its own to change: `ENOTSUP`.
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
        Some(times) => (
            time_change(context, times)?,
            time_change(context, times.offset(TIME_BYTES))?,
        ),
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

fn time_change(context: &Context<'_>, address: GuestAddr) -> Result<TimeChange> {
    let (seconds, nanoseconds) = context.time(address)?;
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
