//! Removing trees that programs made: of any depth, and whatever permissions they left.
//!
//! A path has an end (`PATH_MAX`), and so have a process's descriptors and its stack; a tree of directories has none. So
//! each directory is moved to the top of the tree before it is emptied: nothing is ever more than one name away. What is
//! half removed when a process is killed is still below the top, for the next removal.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// What the owner needs to list a directory, to take from it, and to move it.
const OWNER_MODE: Mode = Mode::RWXU;

/// Removes a directory and all in it; one that is not there is as good. Nobody else may be at work in it.
pub(crate) fn remove_tree(top: &Path) -> io::Result<()> {
    let opened = open_directory(CWD, top);
    let opened = match opened {
        Err(Errno::NOENT) => return Ok(()),
        // It is no directory.
        Err(Errno::NOTDIR | Errno::LOOP) => return fs::remove_file(top),
        opened => opened?,
    };
    let mut moved = Moved {
        top: opened,
        pending: Vec::new(),
        names_count: 0,
    };
    moved.empty_top()?;
    while let Some(name) = moved.pending.pop() {
        let directory = open_directory(&moved.top, name.as_c_str())?;
        moved.empty(&directory)?;
        rustix::fs::unlinkat(&moved.top, &name, AtFlags::REMOVEDIR)?;
    }
    fs::remove_dir(top)
}

/// Directories that were moved to the top of their tree.
struct Moved {
    top: OwnedFd,
    /// Their names there.
    pending: Vec<CString>,
    /// How many names were tried for them.
    names_count: u64,
}

impl Moved {
    /// Removes the files of the top, and notes its directories, which are where they should be.
    fn empty_top(&mut self) -> Result<(), Errno> {
        for (name, kind) in entries(&self.top)? {
            match kind {
                FileType::Directory => self.pending.push(name),
                _ => rustix::fs::unlinkat(&self.top, &name, AtFlags::empty())?,
            }
        }
        Ok(())
    }

    /// Removes the files of a directory, and moves the directories in it to the top.
    fn empty(&mut self, directory: &OwnedFd) -> Result<(), Errno> {
        for (name, kind) in entries(directory)? {
            match kind {
                FileType::Directory => self.take(directory, &name)?,
                _ => rustix::fs::unlinkat(directory, &name, AtFlags::empty())?,
            }
        }
        Ok(())
    }

    fn take(&mut self, directory: &OwnedFd, name: &CStr) -> Result<(), Errno> {
        // Its `..` changes, so it must be writable too. Linux: fs/namei.c vfs_rename().
        open_up(directory, name)?;
        loop {
            let free =
                CString::new(self.names_count.to_string()).expect("digits are not zero bytes");
            self.names_count += 1;
            match rustix::fs::renameat(directory, name, &self.top, &free) {
                // The tree has something of this name.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                result => {
                    self.pending.push(free);
                    return result;
                }
            }
        }
    }
}

/// Returns what is in a directory, with its kind.
fn entries(directory: &OwnedFd) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let kind = match entry.file_type() {
            // Some file systems do not tell.
            FileType::Unknown => {
                let status = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(status.st_mode)
            }
            kind => kind,
        };
        entries.push((name.to_owned(), kind));
    }
    Ok(entries)
}

/// Opens a directory, which its owner may then list and change.
fn open_directory(
    parent: impl AsFd,
    name: impl rustix::path::Arg + Copy,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(&parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            open_up(&parent, name)?;
            rustix::fs::openat(&parent, name, flags, Mode::empty())
        }
        Err(errno) => Err(errno),
        Ok(directory) => {
            let mode = Mode::from_raw_mode(rustix::fs::fstat(&directory)?.st_mode);
            if !mode.contains(OWNER_MODE) {
                rustix::fs::fchmod(&directory, OWNER_MODE)?;
            }
            Ok(directory)
        }
    }
}

/// Lets the owner of a directory list, change and move it.
fn open_up(parent: impl AsFd, name: impl rustix::path::Arg + Copy) -> Result<(), Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let status = rustix::fs::statat(&parent, name, flags)?;
    let mode = Mode::from_raw_mode(status.st_mode);
    match FileType::from_raw_mode(status.st_mode) {
        FileType::Directory if !mode.contains(OWNER_MODE) => {
            rustix::fs::chmodat(&parent, name, OWNER_MODE, AtFlags::empty())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Deeper than a small thread has stack and most processes have descriptors, and by far than a path can say.
    const DEPTH: usize = 5_000;

    /// Makes directories within each other.
    fn deep(top: &Path, depth: usize) {
        fs::create_dir_all(top).expect("a directory");
        let mut directory = open_directory(CWD, top).expect("a directory");
        for _ in 0..depth {
            rustix::fs::mkdirat(&directory, c"d", OWNER_MODE).expect("a directory");
            directory = open_directory(&directory, c"d").expect("a directory");
        }
    }

    #[test]
    fn a_tree_of_any_depth_is_removed_by_a_small_thread() {
        let home = tempfile::tempdir().expect("a directory");
        let top = home.path().join("top");
        deep(&top, DEPTH);
        let remove = || remove_tree(&top).expect("it is removed");
        std::thread::scope(|scope| {
            let small = std::thread::Builder::new().stack_size(64 << 10);
            small.spawn_scoped(scope, remove).expect("a thread");
        });
        assert!(!top.exists());
    }

    #[test]
    fn names_that_the_removal_would_use_are_in_no_way() {
        let home = tempfile::tempdir().expect("a directory");
        let top = home.path().join("top");
        fs::create_dir_all(top.join("0/1/2/3")).expect("a directory");
        fs::create_dir_all(top.join("1/0")).expect("a directory");
        fs::write(top.join("2"), "a file").expect("writable");
        fs::write(top.join("0/1/file"), "a file").expect("writable");
        std::os::unix::fs::symlink("/", top.join("0/1/2/3/link")).expect("a link");
        remove_tree(&top).expect("it is removed");
        assert!(!top.exists());
    }

    #[test]
    fn directories_without_permissions_are_removed() {
        let home = tempfile::tempdir().expect("a directory");
        let top = home.path().join("top");
        fs::create_dir_all(top.join("a/b/c")).expect("a directory");
        fs::write(top.join("a/b/file"), "a file").expect("writable");
        for closed in ["a/b/c", "a/b", "a", ""] {
            fs::set_permissions(top.join(closed), Permissions::from_mode(0o000)).expect("ours");
        }
        remove_tree(&top).expect("it is removed");
        assert!(!top.exists());
    }

    #[test]
    fn what_is_not_there_is_removed_and_a_link_goes_without_what_it_names() {
        let home = tempfile::tempdir().expect("a directory");
        remove_tree(&home.path().join("missing")).expect("it is as good");
        fs::create_dir(home.path().join("real")).expect("a directory");
        let link = home.path().join("link");
        std::os::unix::fs::symlink("real", &link).expect("a link");
        remove_tree(&link).expect("it is removed");
        assert!(!link.is_symlink());
        assert!(home.path().join("real").is_dir());
    }
}
