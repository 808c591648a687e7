//! The pre-opened root, and how the working directory reaches programs that cannot ask for it.
//!
//! WASI has no working directory, and wasi-libc drops the slash that an absolute path starts
//! with: `/x` and `x` arrive as the same call on the pre-opened `/`. With the working directory
//! at the root that makes no difference. With another one (`--workdir`), a path is looked for in
//! the working directory first and in the root then. What exists in neither is made in the working
//! directory if its parent is there, else in the root.

use minke_abi::linux::{OpenFlags, PATH_MAX};
use minke_abi::wasi::{Errno, Rights};
use minke_kernel::calls::{At, Follow};
use minke_kernel::{Errno as LinuxErrno, Fd, Result, Task};
use smallvec::SmallVec;

use super::{Answer, Call};
use crate::runtime::Guest;

/// The pre-opened directory's name.
pub(super) const ROOT_NAME: &[u8] = b"/";

/// The first number that a pre-opened directory may have: wasi-libc starts to look there, others know no better.
const FIRST_PREOPEN: Fd = Fd(3);

/// Bytes of a path that is kept without an allocation.
const PATH_BYTES_INLINE: usize = 256;

/// Gives a program that starts as a WASI command its root directory, before its code runs.
pub fn preopen_root(guest: &mut Guest) -> Result<()> {
    let flags = OpenFlags::RDONLY | OpenFlags::DIRECTORY;
    let task = &guest.task;
    let opened = match task.open_description(At::Cwd, ROOT_NAME, flags, 0) {
        // A directory that the user may pass but not list.
        Err(LinuxErrno::EACCES) => {
            task.open_description(At::Cwd, ROOT_NAME, flags | OpenFlags::PATH, 0)
        }
        opened => opened,
    }?;
    let root = task.process.fds.insert_from(FIRST_PREOPEN, opened, true)?;
    let working_directory = task.current_directory()?;
    guest.wasi.set_root(root);
    if working_directory != ROOT_NAME {
        let variable = [b"PWD=", &working_directory[..]].concat();
        guest.wasi.set_pwd_variable(variable);
    }
    Ok(())
}

/// A path that was checked, and where it starts.
pub(super) struct Place {
    pub(super) at: At,
    pub(super) path: PathBytes,
}

/// A path's bytes.
pub(super) type PathBytes = SmallVec<[u8; PATH_BYTES_INLINE]>;

/// Reads a path that is relative to a directory that the guest has a right to.
pub(super) fn place(
    call: &Call<'_>,
    fd: u32,
    right: Rights,
    address: u32,
    length: u32,
) -> Answer<Place> {
    call.require(fd, right)?;
    let path = read_path(call, address, length)?;
    if path.starts_with(b"/") {
        return Err(Errno::PERM);
    }
    let state = &call.guest.wasi;
    let at = if !state.is_root(Fd(fd)) {
        At::Fd(Fd(fd))
    } else if state.pwd_variable().is_some() {
        choose_base(call.task(), Fd(fd), &path)
    } else if climbs_out(&path) {
        return Err(Errno::PERM);
    } else {
        At::Fd(Fd(fd))
    };
    Ok(Place { at, path })
}

/// Reads a path or a symbolic link's target: neither empty nor with zeros in it.
pub(super) fn read_path(call: &Call<'_>, address: u32, length: u32) -> Answer<PathBytes> {
    call.memory.check(address.into(), u64::from(length))?;
    if length as usize >= PATH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    let mut path = PathBytes::from_elem(0, length as usize);
    call.memory.read_into(address.into(), &mut path)?;
    match path.as_slice() {
        [] => Err(Errno::NOENT),
        bytes if bytes.contains(&0) => Err(Errno::INVAL),
        _ => Ok(path),
    }
}

/// Decides whether a path means the working directory or the root; see the module.
fn choose_base(task: &Task, root: Fd, path: &[u8]) -> At {
    let exists = |at, path: &[u8]| {
        !matches!(
            task.stat(at, path, Follow::No),
            Err(LinuxErrno::ENOENT | LinuxErrno::ENOTDIR)
        )
    };
    let is_here = exists(At::Cwd, path)
        || (!exists(At::Fd(root), path) && parent(path).is_none_or(|dir| exists(At::Cwd, dir)));
    if is_here { At::Cwd } else { At::Fd(root) }
}

/// Returns what comes before a path's last component, if anything does.
fn parent(path: &[u8]) -> Option<&[u8]> {
    let end = path.iter().rposition(|byte| *byte != b'/')?;
    let slash = path[..end].iter().rposition(|byte| *byte == b'/')?;
    Some(&path[..slash])
}

/// Whether a path's `..` climb above where it starts, taking every component for a directory.
fn climbs_out(path: &[u8]) -> bool {
    let mut depth = 0_usize;
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if depth == 0 => return true,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_above_their_start_climb_out() {
        for path in ["..", "a/../..", "./../a", "a//../../b"] {
            assert!(climbs_out(path.as_bytes()), "`{path}`");
        }
        for path in [".", "a/..", "a/b/../../c", "...", "..a"] {
            assert!(!climbs_out(path.as_bytes()), "`{path}`");
        }
    }

    #[test]
    fn a_parent_is_what_comes_before_the_last_component() {
        let parent_of = |path: &'static str| parent(path.as_bytes());
        assert_eq!(parent_of("a/b"), Some(&b"a"[..]));
        assert_eq!(parent_of("a/b/"), Some(&b"a"[..]));
        assert_eq!(parent_of("a"), None);
        assert_eq!(parent_of("a//"), None);
    }
}
