//! Calls on the attributes of files: `stat` and its kin, modes, owners, times.

use minke_abi::linux::FileType;
use minke_abi::{Errno, Result};
use minke_kernel::calls::paths::TimeChange;
use minke_kernel::calls::{At, Follow};
use minke_kernel::vfs::{FileSystemStatistics, Metadata, Timestamp};

use super::paths::{AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, MODE_BITS, checked_path, follow};
use crate::personality::musl::context::{Arguments, Context};
use crate::runtime::GuestAddr;

/// `UTIME_NOW` and `UTIME_OMIT` in place of nanoseconds.
const UTIME_NOW: i64 = 0x3fff_ffff;
const UTIME_OMIT: i64 = 0x3fff_fffe;

/// Seconds and nanoseconds, as a guest gives them.
type Time = (i64, i64);

/// Returns what `fstatat` tells.
pub(in crate::personality) fn metadata_at(
    context: &Context<'_>,
    at: At,
    path: GuestAddr,
    flags: u32,
) -> Result<Metadata> {
    /// `AT_NO_AUTOMOUNT`, which says nothing here.
    const AT_NO_AUTOMOUNT: u32 = 0x800;
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = checked_path(context, path, flags)?;
    match (path.is_empty(), at) {
        (true, At::Fd(fd)) => context.task().fstat(fd),
        _ => context.task().stat(at, &path, follow(flags)),
    }
}

/// Returns what `statfs` tells.
pub(in crate::personality) fn statistics_of(
    context: &Context<'_>,
    path: GuestAddr,
) -> Result<FileSystemStatistics> {
    let path = checked_path(context, path, 0)?;
    context.task().file_system_statistics(At::Cwd, &path)
}

pub(in crate::personality) fn truncate(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let path = checked_path(context, arguments.address(0), 0)?;
    let size = arguments.size(1)?;
    context.task().truncate(At::Cwd, &path, size).map(|()| 0)
}

pub(in crate::personality) fn ftruncate(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let (fd, size) = (arguments.fd(0), arguments.size(1)?);
    context.task().ftruncate(fd, size).map(|()| 0)
}

pub(in crate::personality) fn fchmod(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let (fd, mode) = (arguments.fd(0), arguments.word(1));
    context.task().fchmod(fd, mode & MODE_BITS).map(|()| 0)
}

pub(in crate::personality) fn fchown(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let (uid, gid) = owners(arguments, 1);
    context.task().fchown(arguments.fd(0), uid, gid).map(|()| 0)
}

/// A symbolic link has no mode of its own to change: `ENOTSUP`.
pub(in crate::personality) fn change_mode(
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

pub(in crate::personality) fn change_owner(
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
pub(in crate::personality) fn owners(
    arguments: &Arguments,
    first: usize,
) -> (Option<u32>, Option<u32>) {
    let keep = |id: u32| (id != u32::MAX).then_some(id);
    (keep(arguments.word(first)), keep(arguments.word(first + 1)))
}

/// `utimensat` with the times that were read, if any. A null path changes the descriptor's own file.
/// Linux: fs/utimes.c do_utimes_fd().
pub(in crate::personality) fn change_times(
    context: &Context<'_>,
    arguments: &Arguments,
    times: Option<[Time; 2]>,
) -> Result<i64> {
    let flags = arguments.word(3);
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let (accessed, modified) = match times {
        None => (TimeChange::Now, TimeChange::Now),
        Some([accessed, modified]) => (time_change(accessed)?, time_change(modified)?),
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

fn time_change((seconds, nanoseconds): Time) -> Result<TimeChange> {
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
