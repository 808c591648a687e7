//! Calls on paths.

use minke_abi::linux::OpenFlags as LinuxOpenFlags;
use minke_abi::wasi::{Errno, FdFlags, FileStat, LookupFlags, OpenFlags, Rights};
use minke_kernel::calls::Follow;
use minke_kernel::vfs::{NewInode, RenameFlags};

use super::descriptor::{file_stat, time_changes};
use super::preopen::{Place, place, read_path};
use super::{Answer, Call};

/// Permission bits of new files; the umask applies.
const FILE_MODE: u32 = 0o666;
/// Permission bits of new directories; the umask applies.
const DIRECTORY_MODE: u32 = 0o777;

/// Makes a directory.
pub(super) fn path_create_directory(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    length: u32,
) -> Answer<()> {
    let Place { at, path } = place(call, fd, Rights::PATH_CREATE_DIRECTORY, path, length)?;
    let new = NewInode::Directory;
    Ok(call.task().make_node(at, &path, &new, DIRECTORY_MODE)?)
}

/// Tells a path's attributes.
pub(super) fn path_filestat_get(
    call: &mut Call<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    length: u32,
    result: u32,
) -> Answer<()> {
    let stat = path_stat(call, fd, flags, path, length)?;
    Ok(call.memory.write(result.into(), &stat.to_preview1())?)
}

/// Sets a path's times.
#[expect(
    clippy::too_many_arguments,
    reason = "the call's own arguments, in its order"
)]
pub(super) fn path_filestat_set_times(
    call: &mut Call<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    length: u32,
    accessed: u64,
    modified: u64,
    times: u32,
) -> Answer<()> {
    let follow = follow(flags)?;
    let (accessed, modified) = time_changes(accessed, modified, times)?;
    let Place { at, path } = place(call, fd, Rights::PATH_FILESTAT_SET_TIMES, path, length)?;
    Ok(call
        .task()
        .set_times(at, &path, accessed, modified, follow)?)
}

/// Gives a file another name.
#[expect(
    clippy::too_many_arguments,
    reason = "the call's own arguments, in its order"
)]
pub(super) fn path_link(
    call: &mut Call<'_>,
    old_fd: u32,
    flags: u32,
    old: u32,
    old_length: u32,
    new_fd: u32,
    new: u32,
    new_length: u32,
) -> Answer<()> {
    let follow = follow(flags)?;
    let old = place(call, old_fd, Rights::PATH_LINK_SOURCE, old, old_length)?;
    let new = place(call, new_fd, Rights::PATH_LINK_TARGET, new, new_length)?;
    let task = call.task();
    Ok(task.link(old.at, &old.path, new.at, &new.path, follow)?)
}

/// Opens a path and gives it a descriptor.
#[expect(
    clippy::too_many_arguments,
    reason = "the call's own arguments, in its order"
)]
pub(super) fn path_open(
    call: &mut Call<'_>,
    fd: u32,
    lookup: u32,
    path: u32,
    length: u32,
    how: u32,
    base: u64,
    _inheriting: u64,
    flags: u32,
    result: u32,
) -> Answer<()> {
    let follow = follow(lookup)?;
    let how = OpenFlags::from_bits(how).ok_or(Errno::INVAL)?;
    let flags = FdFlags::from_bits(flags).ok_or(Errno::INVAL)?;
    let flags = open_flags(follow, how, Rights::from_bits_truncate(base), flags)?;
    let Place { at, path } = place(call, fd, Rights::PATH_OPEN, path, length)?;
    call.memory.check(result.into(), 4)?;
    let opened = call.task().open(at, &path, flags, FILE_MODE)?;
    Ok(call.memory.write_u32(result.into(), opened.0)?)
}

/// Tells what a symbolic link says, cut to the buffer.
pub(super) fn path_readlink(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    length: u32,
    buffer: u32,
    buffer_length: u32,
    result: u32,
) -> Answer<()> {
    let Place { at, path } = place(call, fd, Rights::PATH_READLINK, path, length)?;
    let mut target = call.task().read_link(at, &path)?;
    target.truncate(buffer_length as usize);
    call.memory.check(result.into(), 4)?;
    call.memory.write(buffer.into(), &target)?;
    Ok(call.memory.write_u32(result.into(), target.len() as u32)?)
}

/// Removes an empty directory.
pub(super) fn path_remove_directory(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    length: u32,
) -> Answer<()> {
    let Place { at, path } = place(call, fd, Rights::PATH_REMOVE_DIRECTORY, path, length)?;
    Ok(call.task().remove_directory(at, &path)?)
}

/// Moves a name.
pub(super) fn path_rename(
    call: &mut Call<'_>,
    old_fd: u32,
    old: u32,
    old_length: u32,
    new_fd: u32,
    new: u32,
    new_length: u32,
) -> Answer<()> {
    let old = place(call, old_fd, Rights::PATH_RENAME_SOURCE, old, old_length)?;
    let new = place(call, new_fd, Rights::PATH_RENAME_TARGET, new, new_length)?;
    let flags = RenameFlags::empty();
    let task = call.task();
    Ok(task.rename(old.at, &old.path, new.at, &new.path, flags)?)
}

/// Makes a symbolic link. Its target may be absolute: it stays in the container.
pub(super) fn path_symlink(
    call: &mut Call<'_>,
    target: u32,
    target_length: u32,
    fd: u32,
    path: u32,
    length: u32,
) -> Answer<()> {
    let target = read_path(call, target, target_length)?;
    let Place { at, path } = place(call, fd, Rights::PATH_SYMLINK, path, length)?;
    Ok(call.task().symlink(&target, at, &path)?)
}

/// Removes a name that is not a directory.
pub(super) fn path_unlink_file(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> Answer<()> {
    let Place { at, path } = place(call, fd, Rights::PATH_UNLINK_FILE, path, length)?;
    Ok(call.task().unlink(at, &path)?)
}

/// Returns a path's attributes.
pub(super) fn path_stat(
    call: &Call<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    length: u32,
) -> Answer<FileStat> {
    let follow = follow(flags)?;
    let Place { at, path } = place(call, fd, Rights::PATH_FILESTAT_GET, path, length)?;
    Ok(file_stat(&call.task().stat(at, &path, follow)?))
}

fn follow(flags: u32) -> Answer<Follow> {
    let flags = LookupFlags::from_bits(flags).ok_or(Errno::INVAL)?;
    Ok(match flags.contains(LookupFlags::SYMLINK_FOLLOW) {
        true => Follow::Yes,
        false => Follow::No,
    })
}

/// Returns Linux's flags of `openat(2)`. The rights that are asked for choose between reading and writing.
fn open_flags(
    follow: Follow,
    how: OpenFlags,
    rights: Rights,
    fd_flags: FdFlags,
) -> Answer<LinuxOpenFlags> {
    let is_directory = how.contains(OpenFlags::DIRECTORY);
    if is_directory && how.intersects(OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::TRUNC) {
        return Err(Errno::INVAL);
    }
    let reads = rights.intersects(Rights::FD_READ | Rights::FD_READDIR);
    // A directory is never written to, whatever rights its opener wishes its files to have.
    let writes = !is_directory && rights.intersects(Rights::FILE_WRITE);
    let mut flags = fd_flags.to_linux();
    flags |= match (reads, writes) {
        (true, true) => LinuxOpenFlags::RDWR,
        (false, true) => LinuxOpenFlags::WRONLY,
        (_, false) => LinuxOpenFlags::RDONLY,
    };
    flags.set(LinuxOpenFlags::NOFOLLOW, follow == Follow::No);
    flags.set(LinuxOpenFlags::DIRECTORY, is_directory);
    flags.set(LinuxOpenFlags::CREAT, how.contains(OpenFlags::CREAT));
    flags.set(LinuxOpenFlags::EXCL, how.contains(OpenFlags::EXCL));
    flags.set(LinuxOpenFlags::TRUNC, how.contains(OpenFlags::TRUNC));
    Ok(flags)
}
