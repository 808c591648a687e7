//! minke's side: a guest's calls.

use std::sync::Arc;

use minke_abi::linux::{FileType, OpenFlags};
use minke_kernel::calls::paths::Access;
use minke_kernel::calls::{At, Follow};
use minke_kernel::process::Credentials;
use minke_kernel::vfs::{NewInode, RenameFlags};
use minke_kernel::{Errno, FileDescription, Task};

use super::call::{Call, MODES, Outcome, PATHS, Side, TARGETS, USER, digest, pattern};
use crate::machine::Machine;

/// A guest.
pub(super) struct Guest {
    _machine: Machine,
    root: Task,
    user: Task,
    open: Option<Arc<FileDescription>>,
}

impl Guest {
    pub(super) fn new(machine: Machine) -> Guest {
        let root = machine.root();
        let user = machine.task(Credentials::user(USER, USER));
        for task in [&root, &user] {
            task.change_directory(At::Cwd, b"/start").unwrap();
        }
        Guest {
            _machine: machine,
            root,
            user,
            open: None,
        }
    }

    fn run_open(&mut self, call: &Call) -> Outcome {
        let file = self.open.as_ref().ok_or(Errno::EBADF)?;
        match call {
            Call::Read { length, offset } => {
                let mut buffer = vec![0; *length];
                let count = file.read_at(&mut buffer, *offset)?;
                Ok(digest(&buffer[..count]))
            }
            Call::Write { length, offset } => {
                Ok(file.write_at(&pattern(*length), *offset)?.to_string())
            }
            Call::Append { length } => {
                file.set_status_flags(OpenFlags::APPEND);
                let written = file.write(&pattern(*length));
                file.set_status_flags(OpenFlags::empty());
                Ok(written?.to_string())
            }
            _ => Ok(shown_metadata(&file.file.metadata()?)),
        }
    }

    fn truncate_open(&self, task: &Task, size: u64) -> Outcome {
        let file = self.open.as_ref().ok_or(Errno::EBADF)?;
        let fd = task.process.fds.insert(Arc::clone(file), false)?;
        let cut = task.ftruncate(fd, size);
        task.close(fd)?;
        cut.map(|()| String::new())
    }
}

pub(super) fn shown_metadata(metadata: &minke_kernel::vfs::Metadata) -> String {
    let size = match metadata.file_type {
        FileType::Directory => 0,
        _ => metadata.size,
    };
    format!(
        "{:?} {:o} {} {}:{} {size}",
        metadata.file_type, metadata.mode, metadata.links, metadata.uid, metadata.gid
    )
}

pub(super) fn follow_of(follow: bool) -> Follow {
    if follow { Follow::Yes } else { Follow::No }
}

impl Side for Guest {
    fn run(&mut self, call: &Call, is_user: bool) -> Outcome {
        let task = if is_user { &self.user } else { &self.root };
        let at = |index: &usize| PATHS[*index].as_bytes();
        let cwd = At::Cwd;
        let done = match call {
            Call::Open { path, flags, mode } => {
                let flags = OpenFlags::from_bits_retain(*flags);
                let opened = task.open_description(cwd, at(path), flags, MODES[*mode]);
                self.open = None;
                self.open = Some(opened?);
                Ok(())
            }
            Call::Read { .. } | Call::Write { .. } | Call::Append { .. } | Call::StatOpen => {
                return self.run_open(call);
            }
            Call::TruncateOpen { size } => return self.truncate_open(task, *size),
            Call::Mkdir { path, mode } => {
                task.make_node(cwd, at(path), &NewInode::Directory, MODES[*mode])
            }
            Call::Unlink { path } => task.unlink(cwd, at(path)),
            Call::Rmdir { path } => task.remove_directory(cwd, at(path)),
            Call::Rename { old, new, flags } => {
                let flags = RenameFlags::from_bits_retain(*flags);
                task.rename(cwd, at(old), cwd, at(new), flags)
            }
            Call::Link { old, new, follow } => {
                task.link(cwd, at(old), cwd, at(new), follow_of(*follow))
            }
            Call::Symlink { target, path } => {
                task.symlink(TARGETS[*target].as_bytes(), cwd, at(path))
            }
            Call::ReadLink { path } => {
                let target = task.read_link(cwd, at(path))?;
                return Ok(String::from_utf8(target).unwrap());
            }
            Call::Stat { path, follow } => {
                let metadata = task.stat(cwd, at(path), follow_of(*follow))?;
                return Ok(shown_metadata(&metadata));
            }
            Call::List { path } => return list_guest(task, at(path)),
            Call::Chmod { path, mode } => {
                task.change_mode(cwd, at(path), MODES[*mode], Follow::Yes)
            }
            Call::Chown { path, uid, gid } => {
                task.change_owner(cwd, at(path), *uid, *gid, Follow::No)
            }
            Call::Truncate { path, size } => task.truncate(cwd, at(path), *size),
            Call::Access { path, mode } => task.access(
                cwd,
                at(path),
                Access::from_bits_truncate(*mode),
                Follow::Yes,
            ),
            Call::Touch { path, is_now } => touch_guest(task, at(path), *is_now),
            Call::Chdir { path } => task.change_directory(cwd, at(path)),
            Call::Getcwd => {
                let path = task.current_directory()?;
                return Ok(String::from_utf8(path).unwrap());
            }
        };
        done.map(|()| String::new())
    }
}

pub(super) fn touch_guest(task: &Task, path: &[u8], is_now: bool) -> Result<(), Errno> {
    use minke_kernel::calls::paths::TimeChange;
    let time = if is_now {
        TimeChange::Now
    } else {
        TimeChange::Set(minke_kernel::vfs::Timestamp {
            seconds: 5,
            nanoseconds: 0,
        })
    };
    task.set_times(At::Cwd, path, time, time, Follow::Yes)
}

pub(super) fn list_guest(task: &Task, path: &[u8]) -> Outcome {
    let fd = task.open(At::Cwd, path, OpenFlags::DIRECTORY, 0)?;
    let mut names = Vec::new();
    let listed = task.read_directory(fd, 0, &mut |entry| {
        let name = String::from_utf8_lossy(entry.name);
        names.push(format!("{name} {:?}", entry.file_type));
        true
    });
    task.close(fd)?;
    listed?;
    names.sort();
    Ok(names.join(", "))
}
