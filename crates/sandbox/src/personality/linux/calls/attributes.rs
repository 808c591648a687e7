//! Calls on the attributes of files: `stat` and its kin, modes, owners, times, sizes.

use minke_abi::Result;
use minke_abi::linux::NAME_MAX;
use minke_abi::wali::{Stat, StatFs};
use minke_kernel::calls::At;
use minke_kernel::vfs::{FileSystemStatistics, Metadata, Timestamp};

use super::transfers::of_size;
use crate::personality::linux::context::{Arguments, Context, TIME_BYTES};
use crate::personality::linux::table::Syscall;
use crate::personality::musl::attributes::{
    change_mode, change_owner, change_times, fchmod, fchown, ftruncate, metadata_at, owners,
    statistics_of, truncate,
};
use crate::personality::musl::paths::AT_SYMLINK_NOFOLLOW;
use crate::runtime::GuestAddr;

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
    Syscall::now("statx", 332, |c, a| {
        // `AT_STATX_FORCE_SYNC` and its kin say nothing here.
        const SYNC_TYPE: u32 = 0x6000;
        let metadata = metadata_at(c, a.at(0), a.address(1), a.word(2) & !SYNC_TYPE)?;
        let bytes = stat_of(&metadata).encode_extended();
        c.memory.write(a.address(4), &bytes).map(|()| 0)
    })
    .partial("no time of birth"),
    Syscall::now("statfs", 137, |c, a| {
        let statistics = statistics_of(c, a.address(0))?;
        write_statfs(c, a.address(1), &statistics)
    }),
    Syscall::now("fstatfs", 138, |c, a| {
        let statistics = c.task().fstatfs(a.fd(0))?;
        write_statfs(c, a.address(1), &statistics)
    }),
    Syscall::now("chmod", 90, |c, a| {
        change_mode(c, At::Cwd, a.address(0), a.word(1), 0)
    }),
    Syscall::now("fchmod", 91, fchmod),
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
    Syscall::now("fchown", 93, fchown),
    Syscall::now("fchownat", 260, |c, a| {
        change_owner(c, a.at(0), a.address(1), owners(a, 2), a.word(4))
    }),
    Syscall::now("utimensat", 280, utimensat),
    Syscall::now("truncate", 76, |c, a| {
        let changed = truncate(c, a);
        of_size(c, changed)
    })
    .attentive(),
    Syscall::now("ftruncate", 77, |c, a| {
        let changed = ftruncate(c, a);
        of_size(c, changed)
    })
    .attentive(),
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

fn write_stat(context: &mut Context<'_>, buffer: GuestAddr, metadata: &Metadata) -> Result<i64> {
    let bytes = stat_of(metadata).encode();
    context.memory.write(buffer, &bytes)?;
    Ok(0)
}

fn stat_of(metadata: &Metadata) -> Stat {
    let time = |time: Timestamp| (time.seconds, time.nanoseconds);
    Stat {
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
    }
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

fn utimensat(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let times = match arguments.pointer(2) {
        Some(times) => Some([
            context.time(times)?,
            context.time(times.offset(TIME_BYTES))?,
        ]),
        None => None,
    };
    change_times(context, arguments, times)
}
