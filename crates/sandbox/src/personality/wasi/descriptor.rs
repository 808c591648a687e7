//! Calls on descriptors, except those that move data.

use minke_abi::linux::SOCK_DGRAM;
use minke_abi::wasi::{
    ADVICE_MAX, Errno, FdFlags, FdStat, FileStat, FileType, FstFlags, Rights, Whence, prestat_bytes,
};
use minke_abi::wasmedge::{SO_TYPE, SOL_SOCKET};
use minke_kernel::calls::paths::TimeChange;
use minke_kernel::descriptor::SeekTarget;
use minke_kernel::vfs::{Metadata, Timestamp};
use minke_kernel::{Allocation, Fd, FileDescription};

use super::preopen::ROOT_NAME;
use super::state::RightsLimit;
use super::{Answer, Call};

/// Takes advice on how a file will be read; there is nothing to do with it.
pub(super) fn fd_advise(
    call: &mut Call<'_>,
    fd: u32,
    _offset: u64,
    length: u64,
    advice: u32,
) -> Answer<()> {
    call.require(fd, Rights::FD_ADVISE)?;
    let description = call.task().process.fds.get(Fd(fd))?;
    if advice > ADVICE_MAX || i64::try_from(length).is_err() {
        return Err(Errno::INVAL);
    }
    match description.file.is_seekable() {
        true => Ok(()),
        false if description.location.is_some() => Err(Errno::BADF),
        false => Err(Errno::SPIPE),
    }
}

/// Makes room for a range of a file.
pub(super) fn fd_allocate(call: &mut Call<'_>, fd: u32, offset: u64, length: u64) -> Answer<()> {
    call.require(fd, Rights::FD_ALLOCATE)?;
    Ok(call
        .task()
        .allocate(Fd(fd), offset, length, Allocation::Extend)?)
}

/// Closes a descriptor.
pub(super) fn fd_close(call: &mut Call<'_>, fd: u32) -> Answer<()> {
    call.task().close(Fd(fd))?;
    call.guest.wasi.forget(Fd(fd));
    Ok(())
}

/// Makes a file's data durable.
pub(super) fn fd_datasync(call: &mut Call<'_>, fd: u32) -> Answer<()> {
    call.require(fd, Rights::FD_DATASYNC)?;
    Ok(call.task().sync(Fd(fd))?)
}

/// Makes a file's data and attributes durable.
pub(super) fn fd_sync(call: &mut Call<'_>, fd: u32) -> Answer<()> {
    call.require(fd, Rights::FD_SYNC)?;
    Ok(call.task().sync(Fd(fd))?)
}

/// Tells a descriptor's kind, flags and rights.
pub(super) fn fd_fdstat_get(call: &mut Call<'_>, fd: u32, result: u32) -> Answer<()> {
    let description = call.task().process.fds.get(Fd(fd))?;
    let mut stat = describe(&description)?;
    if let Some(limit) = call.guest.wasi.limit(Fd(fd)) {
        stat.rights &= limit.base;
        stat.rights_inheriting &= limit.inheriting;
    }
    Ok(call.memory.write(result.into(), &stat.to_bytes())?)
}

/// Sets the flags that can change; the synchronous ones cannot, as on Linux.
pub(super) fn fd_fdstat_set_flags(call: &mut Call<'_>, fd: u32, flags: u32) -> Answer<()> {
    call.require(fd, Rights::FD_FDSTAT_SET_FLAGS)?;
    let description = call.task().process.fds.get(Fd(fd))?;
    let flags = FdFlags::from_bits(flags).ok_or(Errno::INVAL)?;
    let fixed = FdFlags::DSYNC | FdFlags::RSYNC | FdFlags::SYNC;
    if !FdFlags::from_linux(description.flags()).contains(flags & fixed) {
        return Err(Errno::INVAL);
    }
    description.set_status_flags(flags.to_linux());
    Ok(())
}

/// Drops rights of a descriptor; none can be added.
pub(super) fn fd_fdstat_set_rights(
    call: &mut Call<'_>,
    fd: u32,
    base: u64,
    inheriting: u64,
) -> Answer<()> {
    let description = call.task().process.fds.get(Fd(fd))?;
    let stat = describe(&description)?;
    let state = &call.guest.wasi;
    let now = state.limit(Fd(fd)).unwrap_or(RightsLimit {
        base: stat.rights,
        inheriting: stat.rights_inheriting,
    });
    let base = Rights::from_bits(base).ok_or(Errno::NOTCAPABLE)?;
    let inheriting = Rights::from_bits(inheriting).ok_or(Errno::NOTCAPABLE)?;
    if !now.base.contains(base) || !now.inheriting.contains(inheriting) {
        return Err(Errno::NOTCAPABLE);
    }
    state.set_limit(Fd(fd), RightsLimit { base, inheriting });
    Ok(())
}

/// Tells an open file's attributes.
pub(super) fn fd_filestat_get(call: &mut Call<'_>, fd: u32, result: u32) -> Answer<()> {
    let stat = descriptor_stat(call, fd)?;
    Ok(call.memory.write(result.into(), &stat.to_preview1())?)
}

/// Sets an open file's size.
pub(super) fn fd_filestat_set_size(call: &mut Call<'_>, fd: u32, size: u64) -> Answer<()> {
    call.require(fd, Rights::FD_FILESTAT_SET_SIZE)?;
    Ok(call.task().ftruncate(Fd(fd), size)?)
}

/// Sets an open file's times.
pub(super) fn fd_filestat_set_times(
    call: &mut Call<'_>,
    fd: u32,
    accessed: u64,
    modified: u64,
    flags: u32,
) -> Answer<()> {
    call.require(fd, Rights::FD_FILESTAT_SET_TIMES)?;
    let (accessed, modified) = time_changes(accessed, modified, flags)?;
    Ok(call.task().set_file_times(Fd(fd), accessed, modified)?)
}

/// Tells that a descriptor is a pre-opened directory. wasi-libc asks from 3 on until it gets `BADF`.
pub(super) fn fd_prestat_get(call: &mut Call<'_>, fd: u32, result: u32) -> Answer<()> {
    check_preopened(call, fd)?;
    let bytes = prestat_bytes(ROOT_NAME.len() as u32);
    Ok(call.memory.write(result.into(), &bytes)?)
}

/// Tells a pre-opened directory's name.
pub(super) fn fd_prestat_dir_name(
    call: &mut Call<'_>,
    fd: u32,
    name: u32,
    length: u32,
) -> Answer<()> {
    check_preopened(call, fd)?;
    if (length as usize) < ROOT_NAME.len() {
        return Err(Errno::NAMETOOLONG);
    }
    Ok(call.memory.write(name.into(), ROOT_NAME)?)
}

/// Moves a descriptor over another open one, which it closes.
pub(super) fn fd_renumber(call: &mut Call<'_>, from: u32, to: u32) -> Answer<()> {
    let (from, to) = (Fd(from), Fd(to));
    let fds = &call.guest.task.process.fds;
    let description = fds.get(from)?;
    fds.get(to)?;
    if from == to {
        return Ok(());
    }
    fds.replace(to, description, false)?;
    fds.remove(from)?;
    call.guest.wasi.renumber(from, to);
    Ok(())
}

/// Moves a descriptor's position.
pub(super) fn fd_seek(
    call: &mut Call<'_>,
    fd: u32,
    offset: i64,
    whence: u32,
    result: u32,
) -> Answer<()> {
    seek(call, fd, offset, Whence::from_preview1(whence), result)
}

/// Tells a descriptor's position.
pub(super) fn fd_tell(call: &mut Call<'_>, fd: u32, result: u32) -> Answer<()> {
    call.require(fd, Rights::FD_TELL)?;
    let position = call.task().seek(Fd(fd), SeekTarget::Current(0))?;
    Ok(call.memory.write_u64(result.into(), position)?)
}

/// Moves a position from a base that was decoded by one of the two numberings.
pub(super) fn seek(
    call: &mut Call<'_>,
    fd: u32,
    offset: i64,
    whence: Option<Whence>,
    result: u32,
) -> Answer<()> {
    let target = match whence.ok_or(Errno::INVAL)? {
        Whence::Set => SeekTarget::Start(u64::try_from(offset).map_err(|_| Errno::INVAL)?),
        Whence::Current => SeekTarget::Current(offset),
        Whence::End => SeekTarget::End(offset),
    };
    call.require(fd, Rights::FD_SEEK)?;
    call.memory.check(result.into(), 8)?;
    let position = call.task().seek(Fd(fd), target)?;
    Ok(call.memory.write_u64(result.into(), position)?)
}

/// Returns an open file's attributes.
pub(super) fn descriptor_stat(call: &Call<'_>, fd: u32) -> Answer<FileStat> {
    call.require(fd, Rights::FD_FILESTAT_GET)?;
    let description = call.task().process.fds.get(Fd(fd))?;
    let mut stat = file_stat(&description.file.metadata()?);
    stat.file_type = kind_of(&description, stat.file_type);
    Ok(stat)
}

/// Translates attributes; times before 1970 are 1970, for WASI's cannot be negative.
pub(super) fn file_stat(metadata: &Metadata) -> FileStat {
    let nanoseconds = |time: Timestamp| {
        let seconds = u64::try_from(time.seconds).unwrap_or(0);
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::from(time.nanoseconds))
    };
    FileStat {
        device: metadata.device,
        inode: metadata.inode,
        file_type: FileType::from(metadata.file_type),
        links: u64::from(metadata.links),
        size: metadata.size,
        accessed: nanoseconds(metadata.accessed),
        modified: nanoseconds(metadata.modified),
        changed: nanoseconds(metadata.changed),
    }
}

/// Reads which times to set to what.
pub(super) fn time_changes(
    accessed: u64,
    modified: u64,
    flags: u32,
) -> Answer<(TimeChange, TimeChange)> {
    let flags = FstFlags::from_bits(flags).ok_or(Errno::INVAL)?;
    let change = |time, set, now| match (flags.contains(set), flags.contains(now)) {
        (true, true) => Err(Errno::INVAL),
        (true, false) => Ok(TimeChange::Set(Timestamp::from_nanoseconds(time))),
        (false, true) => Ok(TimeChange::Now),
        (false, false) => Ok(TimeChange::Keep),
    };
    Ok((
        change(accessed, FstFlags::ATIM, FstFlags::ATIM_NOW)?,
        change(modified, FstFlags::MTIM, FstFlags::MTIM_NOW)?,
    ))
}

fn check_preopened(call: &Call<'_>, fd: u32) -> Answer<()> {
    match call.guest.wasi.is_root(Fd(fd)) {
        true => Ok(()),
        false => Err(Errno::BADF),
    }
}

/// Derives kind, flags and rights from what was opened and how.
fn describe(description: &FileDescription) -> Answer<FdStat> {
    let file_type = FileType::from(description.file.metadata()?.file_type);
    let file_type = kind_of(description, file_type);
    let flags = description.flags();
    let rights = match file_type {
        FileType::Directory => Rights::DIRECTORY,
        FileType::SocketStream | FileType::SocketDatagram => Rights::SOCKET,
        _ => {
            let seekable = description.file.is_seekable();
            let looks_seekable = seekable
                || (file_type == FileType::CharacterDevice && !description.file.is_terminal());
            let mut rights = if looks_seekable {
                Rights::FILE
            } else {
                Rights::STREAM
            };
            rights.set(Rights::FD_READ, flags.is_readable());
            rights.set(
                if seekable {
                    Rights::FILE_WRITE
                } else {
                    Rights::FD_WRITE
                },
                flags.is_writable(),
            );
            rights
        }
    };
    let rights_inheriting = match file_type {
        // wasi-libc asks for no more than this when it opens below the directory.
        FileType::Directory => Rights::all(),
        _ => rights,
    };
    Ok(FdStat {
        file_type,
        flags: FdFlags::from_linux(flags),
        rights,
        rights_inheriting,
    })
}

/// Tells stream sockets from datagram sockets.
fn kind_of(description: &FileDescription, file_type: FileType) -> FileType {
    let socket_type = description
        .file
        .socket()
        .and_then(|socket| socket.option(SOL_SOCKET, SO_TYPE).ok());
    match socket_type {
        Some(value) if value.starts_with(&SOCK_DGRAM.to_le_bytes()) => FileType::SocketDatagram,
        _ => file_type,
    }
}
