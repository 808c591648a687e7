//! Linux's side: system calls in a directory of the host.

#![expect(unsafe_code, reason = "`truncate` and `unshare` have no safe form")]

use std::path::Path;

use minke_abi::linux::FileType;
use minke_kernel::Errno;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use tempfile::TempDir;

use super::call::{Call, MODES, Outcome, PATHS, Side, TARGETS, USER, digest, pattern};

/// A directory of the host, which is the root of everything that runs on this side.
pub(super) struct Host {
    directory: TempDir,
    /// The working directories of root and user.
    cwd: [OwnedFd; 2],
    open: Option<OwnedFd>,
}

pub(super) fn open_path_only(path: &Path) -> OwnedFd {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).unwrap()
}

pub(super) fn host_errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

/// Runs something in a thread of its own, whose root, working directory, umask and credentials
/// are its own too: nothing that it does can be about another part of the host.
pub(super) fn confined<T: Send>(
    top: &Path,
    cwd: &OwnedFd,
    is_user: bool,
    work: impl FnOnce() -> T + Send,
) -> T {
    let confine = || {
        // SAFETY: descriptors stay shared (`CLONE_FILES` is not among the flags).
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FS) }.unwrap();
        rustix::process::chroot(top).unwrap();
        rustix::process::fchdir(cwd).unwrap();
        rustix::process::umask(Mode::from_bits_retain(0o022));
        if is_user {
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_gid(Gid::from_raw(USER)).unwrap();
            rustix::thread::set_thread_uid(Uid::from_raw(USER)).unwrap();
        }
        work()
    };
    std::thread::scope(|scope| scope.spawn(confine).join().unwrap())
}

impl Host {
    pub(super) fn new(directory: TempDir) -> Host {
        let work = directory.path().join("start");
        Host {
            cwd: [open_path_only(&work), open_path_only(&work)],
            directory,
            open: None,
        }
    }
}

/// Runs a call on an open file.
pub(super) fn run_open(file: &OwnedFd, call: &Call) -> rustix::io::Result<String> {
    match call {
        Call::Read { length, offset } => {
            let mut buffer = vec![0; *length];
            rustix::io::pread(file, &mut buffer[..], *offset).map(|count| digest(&buffer[..count]))
        }
        Call::Write { length, offset } => {
            rustix::io::pwrite(file, &pattern(*length), *offset).map(|count| count.to_string())
        }
        Call::Append { length } => {
            let bytes = pattern(*length);
            let slices = [std::io::IoSlice::new(&bytes)];
            let flags = rustix::io::ReadWriteFlags::APPEND;
            rustix::io::pwritev2(file, &slices, 0, flags).map(|count| count.to_string())
        }
        Call::TruncateOpen { size } => rustix::fs::ftruncate(file, *size).map(|()| String::new()),
        _ => rustix::fs::fstat(file).map(|status| shown_status(&status)),
    }
}

/// What a confined thread brings back beside the outcome.
#[derive(Default)]
pub(super) struct Kept {
    open: Option<OwnedFd>,
    cwd: Option<OwnedFd>,
}

/// Runs a call on paths, in a confined thread.
pub(super) fn run_path(call: &Call, kept: &mut Kept) -> rustix::io::Result<String> {
    let at = |index: &usize| PATHS[*index];
    let none = AtFlags::empty();
    let done = match call {
        Call::Open { path, flags, mode } => {
            let flags = OFlags::from_bits_retain(*flags) | OFlags::CLOEXEC;
            let mode = Mode::from_bits_retain(MODES[*mode]);
            let opened = rustix::fs::openat(CWD, at(path), flags, mode);
            opened.map(|file| kept.open = Some(file))
        }
        Call::Mkdir { path, mode } => {
            rustix::fs::mkdirat(CWD, at(path), Mode::from_bits_retain(MODES[*mode]))
        }
        Call::Unlink { path } => rustix::fs::unlinkat(CWD, at(path), none),
        Call::Rmdir { path } => rustix::fs::unlinkat(CWD, at(path), AtFlags::REMOVEDIR),
        Call::Rename { old, new, flags } => {
            let flags = rustix::fs::RenameFlags::from_bits_retain(*flags);
            rustix::fs::renameat_with(CWD, at(old), CWD, at(new), flags)
        }
        Call::Link { old, new, follow } => {
            let flags = if *follow {
                AtFlags::SYMLINK_FOLLOW
            } else {
                none
            };
            rustix::fs::linkat(CWD, at(old), CWD, at(new), flags)
        }
        Call::Symlink { target, path } => rustix::fs::symlinkat(TARGETS[*target], CWD, at(path)),
        Call::ReadLink { path } => {
            let target = rustix::fs::readlinkat(CWD, at(path), Vec::new())?;
            return Ok(target.into_string().unwrap());
        }
        Call::Stat { path, follow } => {
            let flags = if *follow {
                none
            } else {
                AtFlags::SYMLINK_NOFOLLOW
            };
            let status = rustix::fs::statat(CWD, at(path), flags)?;
            return Ok(shown_status(&status));
        }
        Call::List { path } => return list_host(at(path)),
        Call::Chmod { path, mode } => {
            rustix::fs::chmodat(CWD, at(path), Mode::from_bits_retain(MODES[*mode]), none)
        }
        Call::Chown { path, uid, gid } => {
            let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
            rustix::fs::chownat(CWD, at(path), uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        }
        Call::Truncate { path, size } => truncate_host(at(path), *size),
        Call::Access { path, mode } => {
            let access = rustix::fs::Access::from_bits_retain(*mode);
            rustix::fs::accessat(CWD, at(path), access, none)
        }
        Call::Touch { path, is_now } => touch_host(at(path), *is_now),
        Call::Chdir { path } => rustix::process::chdir(at(path)).and_then(|()| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            kept.cwd = Some(rustix::fs::openat(CWD, ".", flags, Mode::empty())?);
            Ok(())
        }),
        Call::Getcwd => {
            let path = rustix::process::getcwd(Vec::new())?;
            return Ok(path.into_string().unwrap());
        }
        _ => unreachable!("calls on open files are run elsewhere"),
    };
    done.map(|()| String::new())
}

impl Side for Host {
    fn run(&mut self, call: &Call, is_user: bool) -> Outcome {
        let is_about_open = matches!(
            call,
            Call::Read { .. }
                | Call::Write { .. }
                | Call::Append { .. }
                | Call::StatOpen
                | Call::TruncateOpen { .. }
        );
        if is_about_open {
            let file = self.open.as_ref().ok_or(Errno::EBADF)?;
            return run_open(file, call).map_err(host_errno);
        }
        let who = usize::from(is_user);
        let mut kept = Kept::default();
        let top = self.directory.path();
        let outcome = confined(top, &self.cwd[who], is_user, || run_path(call, &mut kept));
        if matches!(call, Call::Open { .. }) {
            self.open = kept.open;
        }
        if let Some(cwd) = kept.cwd {
            self.cwd[who] = cwd;
        }
        outcome.map_err(host_errno)
    }
}

pub(super) fn shown_status(status: &rustix::fs::Stat) -> String {
    let kind = FileType::from_mode(status.st_mode).unwrap();
    let size = match kind {
        FileType::Directory => 0,
        _ => status.st_size,
    };
    format!(
        "{kind:?} {:o} {} {}:{} {size}",
        status.st_mode & 0o7777,
        status.st_nlink,
        status.st_uid,
        status.st_gid
    )
}

pub(super) fn list_host(path: &str) -> rustix::io::Result<String> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(directory)? {
        let entry = entry?;
        let kind = match entry.file_type() {
            rustix::fs::FileType::RegularFile => "Regular".to_owned(),
            other => format!("{other:?}"),
        };
        names.push(format!("{} {kind}", entry.file_name().to_str().unwrap()));
    }
    names.sort();
    Ok(names.join(", "))
}

pub(super) fn truncate_host(path: &str, size: u64) -> rustix::io::Result<()> {
    let path = std::ffi::CString::new(path).unwrap();
    // SAFETY: the path is a C string that lives until the call returns.
    let result = unsafe { libc::truncate(path.as_ptr(), size as libc::off_t) };
    if result == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(rustix::io::Errno::from_io_error(&error).unwrap())
}

pub(super) fn touch_host(path: &str, is_now: bool) -> rustix::io::Result<()> {
    const NOW: i64 = 0x3fff_ffff;
    let time = rustix::fs::Timespec {
        tv_sec: 5,
        tv_nsec: if is_now { NOW } else { 0 },
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::empty())
}
