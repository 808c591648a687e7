//! Calls on open files: directories, sizes.

use minke_abi::emscripten::encode_dirent;
use minke_abi::{Errno, Result};
use minke_kernel::descriptor::SeekTarget;
use minke_kernel::{Allocation, Fd};

use crate::personality::musl::context::{Arguments, Context};

/// Most bytes of directory entries that one call gives; more come with the next call.
const ENTRIES_BYTES_MAX: usize = 64 << 10;

/// Lists entries from the directory's position on, and moves it. Linux: fs/readdir.c getdents64().
pub(in crate::personality) fn getdents(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let fd = arguments.fd(0);
    let bytes_max = (arguments.word(2) as usize).min(ENTRIES_BYTES_MAX);
    let (entries, next) = read_entries(context, fd, bytes_max)?;
    context.memory.write(arguments.address(1), &entries)?;
    context.task().seek(fd, SeekTarget::Start(next))?;
    Ok(entries.len() as i64)
}

/// Lays out the entries that fit, and tells where to go on.
fn read_entries(context: &Context<'_>, fd: Fd, bytes_max: usize) -> Result<(Vec<u8>, u64)> {
    let task = context.task();
    let cookie = task
        .seek(fd, SeekTarget::Current(0))
        .map_err(not_a_directory)?;
    let mut bytes = Vec::new();
    let mut next = cookie;
    let mut is_cut = false;
    task.read_directory(fd, cookie, &mut |entry| {
        let room = bytes_max - bytes.len();
        let kind = entry.file_type.dirent_type();
        match encode_dirent(entry.inode, entry.next_cookie, kind, entry.name, room) {
            Some(encoded) => {
                bytes.extend(encoded);
                next = entry.next_cookie;
                true
            }
            None => {
                is_cut = true;
                false
            }
        }
    })?;
    // Not even one entry fits.
    if is_cut && bytes.is_empty() {
        return Err(Errno::EINVAL);
    }
    Ok((bytes, next))
}

/// What cannot be positioned is no directory.
fn not_a_directory(errno: Errno) -> Errno {
    if errno == Errno::ESPIPE {
        Errno::ENOTDIR
    } else {
        errno
    }
}

pub(in crate::personality) fn fallocate(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    /// `FALLOC_FL_KEEP_SIZE`.
    const KEEP_SIZE: u32 = 1;
    /// `FALLOC_FL_PUNCH_HOLE`, which goes with `FALLOC_FL_KEEP_SIZE` only.
    const PUNCH_HOLE: u32 = 2;
    let allocation = match arguments.word(1) {
        0 => Allocation::Extend,
        KEEP_SIZE => Allocation::KeepSize,
        mode if mode == PUNCH_HOLE | KEEP_SIZE => Allocation::Hole,
        _ => return Err(Errno::EOPNOTSUPP),
    };
    let (offset, length) = (arguments.size(2)?, arguments.size(3)?);
    if length == 0 {
        return Err(Errno::EINVAL);
    }
    context
        .task()
        .allocate(arguments.fd(0), offset, length, allocation)?;
    Ok(0)
}

/// Linux: mm/fadvise.c generic_fadvise().
pub(in crate::personality) fn fadvise(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    /// `POSIX_FADV_NOREUSE`, the highest.
    const ADVICE_MAX: u32 = 5;
    let description = context.task().process.fds.get(arguments.fd(0))?;
    if !description.file.is_seekable() {
        return Err(Errno::ESPIPE);
    }
    if arguments.word(3) > ADVICE_MAX || arguments.long(2) < 0 {
        return Err(Errno::EINVAL);
    }
    Ok(0)
}
