//! The same calls on Linux and on minke's file systems: results and errors must be the same.
//!
//! A random sequence of calls runs on a directory of the host, and as a guest on a tmpfs, on an overlay
//! and on a bind. With root, some calls are made by another user, so that permission
//! checks are compared too.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use minke_abi::linux::{FileType, OpenFlags};
use minke_kernel::calls::paths::Access;
use minke_kernel::calls::{At, Follow};
use minke_kernel::process::Credentials;
use minke_kernel::vfs::memory::MemoryFileSystem;
use minke_kernel::vfs::tree::{ByteRange, Bytes, TreeBuilder, TreeEntry, TreeKind, TreeOwner};
use minke_kernel::vfs::{FileSystem, MountOptions, NewInode, RenameFlags};
use minke_kernel::{Errno, FileDescription, Task};
use minke_sandbox::platform::directory::HostDirectory;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof, proptest};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use tempfile::TempDir;

use crate::machine::{Machine, memory_options};

/// The user who is not root.
const USER: u32 = 1000;
/// Names and paths that get in each other's way; `lower` and what it holds is there from the start.
const PATHS: &[&str] = &[
    "a",
    "b",
    "a/",
    "a/b",
    "a/b/",
    "a/./b",
    "a/../b",
    "a/b/c",
    "b/c",
    "l",
    "l/",
    "l/a",
    "m",
    ".",
    "..",
    "a/.",
    "a/..",
    "lower",
    "lower/f",
    "lower/g",
    "lower/d",
    "lower/d/x",
    "lower/l",
    "lower/d/../f",
    "lower/f/x",
    "",
];
/// Where symbolic links lead.
const TARGETS: &[&str] = &[
    "a",
    "b",
    "a/b",
    "../work/a",
    "l",
    "lower",
    "lower/f",
    "m",
    "nowhere",
    "/work/lower/d",
];
const MODES: &[u32] = &[
    0o777, 0o755, 0o700, 0o644, 0o600, 0o444, 0o555, 0o111, 0o000, 0o1777,
];

/// A call, with indices into the tables above.
#[derive(Clone, Debug)]
enum Call {
    Open {
        path: usize,
        flags: u32,
        mode: usize,
    },
    Read {
        length: usize,
        offset: u64,
    },
    Write {
        length: usize,
        offset: u64,
    },
    Append {
        length: usize,
    },
    StatOpen,
    TruncateOpen {
        size: u64,
    },
    Mkdir {
        path: usize,
        mode: usize,
    },
    Unlink {
        path: usize,
    },
    Rmdir {
        path: usize,
    },
    Rename {
        old: usize,
        new: usize,
        flags: u32,
    },
    Link {
        old: usize,
        new: usize,
        follow: bool,
    },
    Symlink {
        target: usize,
        path: usize,
    },
    ReadLink {
        path: usize,
    },
    Stat {
        path: usize,
        follow: bool,
    },
    List {
        path: usize,
    },
    Chmod {
        path: usize,
        mode: usize,
    },
    Chown {
        path: usize,
        uid: Option<u32>,
        gid: Option<u32>,
    },
    Truncate {
        path: usize,
        size: u64,
    },
    Access {
        path: usize,
        mode: u32,
    },
    Touch {
        path: usize,
        is_now: bool,
    },
    Chdir {
        path: usize,
    },
    Getcwd,
}

fn path() -> impl Strategy<Value = usize> {
    0..PATHS.len()
}

/// A mode; sticky directories, the last, only where the host protects them as minke does.
fn mode() -> impl Strategy<Value = usize> {
    let is_set = |(name, value): &(&str, &str)| {
        let path = format!("/proc/sys/fs/protected_{name}");
        fs::read_to_string(path).is_ok_and(|text| text.trim() == *value)
    };
    let ours = [("regular", "2"), ("symlinks", "1"), ("fifos", "1")];
    let sticky = usize::from(ours.iter().all(is_set));
    0..MODES.len() - 1 + sticky
}

fn owner() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![
        proptest::strategy::Just(None),
        proptest::strategy::Just(Some(0)),
        proptest::strategy::Just(Some(USER)),
    ]
}

fn open_flags() -> impl Strategy<Value = u32> {
    let access = 0..3_u32;
    let others = [
        OpenFlags::CREAT,
        OpenFlags::EXCL,
        OpenFlags::TRUNC,
        OpenFlags::NOFOLLOW,
        OpenFlags::DIRECTORY,
        OpenFlags::PATH,
    ];
    (access, any::<[bool; 6]>(), any::<[bool; 6]>()).prop_map(move |(access, set, also)| {
        let chosen = others.iter().zip(set.iter().zip(also));
        // Each flag in a quarter of the calls.
        let flags = chosen.filter(|(_, (set, also))| **set && *also);
        flags.fold(access, |all, (flag, _)| all | flag.bits())
    })
}

fn call() -> impl Strategy<Value = Call> {
    let size = 0..9000_u64;
    let length = 0..6000_usize;
    prop_oneof![
        4 => (path(), open_flags(), mode()).prop_map(|(path, flags, mode)| Call::Open { path, flags, mode }),
        4 => path().prop_map(|path| Call::Open { path, flags: 0o102, mode: 0 }),
        2 => (length.clone(), size.clone()).prop_map(|(length, offset)| Call::Read { length, offset }),
        2 => (length.clone(), size.clone()).prop_map(|(length, offset)| Call::Write { length, offset }),
        1 => length.prop_map(|length| Call::Append { length }),
        1 => proptest::strategy::Just(Call::StatOpen),
        1 => size.clone().prop_map(|size| Call::TruncateOpen { size }),
        4 => (path(), mode()).prop_map(|(path, mode)| Call::Mkdir { path, mode }),
        2 => path().prop_map(|path| Call::Unlink { path }),
        2 => path().prop_map(|path| Call::Rmdir { path }),
        4 => (path(), path(), 0..3_u32).prop_map(|(old, new, flags)| Call::Rename { old, new, flags }),
        2 => (path(), path(), any::<bool>()).prop_map(|(old, new, follow)| Call::Link { old, new, follow }),
        2 => (0..TARGETS.len(), path()).prop_map(|(target, path)| Call::Symlink { target, path }),
        1 => path().prop_map(|path| Call::ReadLink { path }),
        3 => (path(), any::<bool>()).prop_map(|(path, follow)| Call::Stat { path, follow }),
        2 => path().prop_map(|path| Call::List { path }),
        2 => (path(), mode()).prop_map(|(path, mode)| Call::Chmod { path, mode }),
        2 => (path(), owner(), owner()).prop_map(|(path, uid, gid)| Call::Chown { path, uid, gid }),
        1 => (path(), size).prop_map(|(path, size)| Call::Truncate { path, size }),
        1 => (path(), 0..8_u32).prop_map(|(path, mode)| Call::Access { path, mode }),
        1 => (path(), any::<bool>()).prop_map(|(path, is_now)| Call::Touch { path, is_now }),
        1 => path().prop_map(|path| Call::Chdir { path }),
        1 => proptest::strategy::Just(Call::Getcwd),
    ]
}

/// What a call gave, as text: both sides must write the same.
type Outcome = Result<String, Errno>;

/// Bytes that tell their position.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8 + 1).collect()
}

/// A checksum that shows differences without printing kilobytes.
fn digest(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    format!("{} bytes {sum:x}", bytes.len())
}

/// Linux on one side, minke on the other.
trait Side {
    fn run(&mut self, call: &Call, is_user: bool) -> Outcome;
}

/// A guest.
struct Guest {
    _machine: Machine,
    root: Task,
    user: Task,
    open: Option<Arc<FileDescription>>,
}

impl Guest {
    fn new(machine: Machine) -> Guest {
        let root = machine.root();
        let user = machine.task(Credentials::user(USER, USER));
        for task in [&root, &user] {
            task.change_directory(At::Cwd, b"/work").unwrap();
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

fn shown_metadata(metadata: &minke_kernel::vfs::Metadata) -> String {
    let size = match metadata.file_type {
        FileType::Directory => 0,
        _ => metadata.size,
    };
    format!(
        "{:?} {:o} {} {}:{} {size}",
        metadata.file_type, metadata.mode, metadata.links, metadata.uid, metadata.gid
    )
}

fn follow_of(follow: bool) -> Follow {
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

fn touch_guest(task: &Task, path: &[u8], is_now: bool) -> Result<(), Errno> {
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

fn list_guest(task: &Task, path: &[u8]) -> Outcome {
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

/// A directory of the host, which is the root of everything that runs on this side.
struct Host {
    directory: TempDir,
    /// The working directories of root and user.
    cwd: [OwnedFd; 2],
    open: Option<OwnedFd>,
}

fn open_path_only(path: &Path) -> OwnedFd {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).unwrap()
}

fn host_errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

/// Runs something in a thread of its own, whose root, working directory, umask and credentials
/// are its own too: nothing that it does can be about another part of the host.
fn confined<T: Send>(
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
    fn new(directory: TempDir) -> Host {
        let work = directory.path().join("work");
        Host {
            cwd: [open_path_only(&work), open_path_only(&work)],
            directory,
            open: None,
        }
    }
}

/// Runs a call on an open file.
fn run_open(file: &OwnedFd, call: &Call) -> rustix::io::Result<String> {
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
struct Kept {
    open: Option<OwnedFd>,
    cwd: Option<OwnedFd>,
}

/// Runs a call on paths, in a confined thread.
fn run_path(call: &Call, kept: &mut Kept) -> rustix::io::Result<String> {
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

fn shown_status(status: &rustix::fs::Stat) -> String {
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

fn list_host(path: &str) -> rustix::io::Result<String> {
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

fn truncate_host(path: &str, size: u64) -> rustix::io::Result<()> {
    let path = std::ffi::CString::new(path).unwrap();
    // SAFETY: the path is a C string that lives until the call returns.
    let result = unsafe { libc::truncate(path.as_ptr(), size as libc::off_t) };
    if result == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(rustix::io::Errno::from_io_error(&error).unwrap())
}

fn touch_host(path: &str, is_now: bool) -> rustix::io::Result<()> {
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

/// Makes what every side begins with: `work/lower` with two names of a file, a directory and a link.
fn populate(top: &Path) {
    let lower = top.join("work/lower");
    fs::create_dir_all(lower.join("d")).unwrap();
    fs::write(lower.join("f"), pattern(5000)).unwrap();
    fs::hard_link(lower.join("f"), lower.join("g")).unwrap();
    fs::write(lower.join("d/x"), b"x").unwrap();
    std::os::unix::fs::symlink("d", lower.join("l")).unwrap();
    let all = [
        ("", 0o755),
        ("work", 0o777),
        ("work/lower", 0o777),
        ("work/lower/d", 0o755),
    ];
    let files = [("work/lower/f", 0o644), ("work/lower/d/x", 0o644)];
    for (path, mode) in all.iter().chain(&files) {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(*mode);
        fs::set_permissions(top.join(path), mode).unwrap();
    }
}

fn populated() -> TempDir {
    let directory = TempDir::new().unwrap();
    populate(directory.path());
    directory
}

fn tree() -> Arc<dyn FileSystem> {
    let mut builder = TreeBuilder::new();
    let mut add = |path: &str, mode, kind| {
        let owner = TreeOwner {
            mode,
            ..TreeOwner::default()
        };
        let entry = TreeEntry {
            owner,
            kind,
            extended: Vec::new(),
        };
        builder.add(path.as_bytes(), entry).unwrap();
    };
    let file = |content: Vec<u8>| {
        let length = content.len();
        let bytes: Arc<dyn Bytes> = Arc::new(content);
        TreeKind::Regular(ByteRange::new(bytes, 0, length).unwrap())
    };
    add("/", 0o755, TreeKind::Directory);
    add("work", 0o777, TreeKind::Directory);
    add("work/lower", 0o777, TreeKind::Directory);
    add("work/lower/d", 0o755, TreeKind::Directory);
    add("work/lower/f", 0o644, file(pattern(5000)));
    add("work/lower/g", 0o644, TreeKind::HardLink(b"work/lower/f"));
    add("work/lower/d/x", 0o644, file(b"x".to_vec()));
    add("work/lower/l", 0o777, TreeKind::Symlink(b"d"));
    Arc::new(builder.finish())
}

/// Copies the beginning into a tmpfs by calls.
fn tmpfs() -> Machine {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    task.set_umask(0);
    let directory = |path: &[u8], mode| {
        task.make_node(At::Cwd, path, &NewInode::Directory, mode)
            .unwrap();
    };
    let file = |path: &[u8], content: &[u8]| {
        let flags = OpenFlags::CREAT | OpenFlags::WRONLY;
        let file = task.open_description(At::Cwd, path, flags, 0o644).unwrap();
        file.write(content).unwrap();
    };
    directory(b"/work", 0o777);
    directory(b"/work/lower", 0o777);
    directory(b"/work/lower/d", 0o755);
    file(b"/work/lower/f", &pattern(5000));
    task.link(
        At::Cwd,
        b"/work/lower/f",
        At::Cwd,
        b"/work/lower/g",
        Follow::No,
    )
    .unwrap();
    file(b"/work/lower/d/x", b"x");
    task.symlink(b"d", At::Cwd, b"/work/lower/l").unwrap();
    machine
}

fn overlay() -> Machine {
    Machine::with_root(MemoryFileSystem::overlay(&tree(), memory_options()).unwrap())
}

/// Whether the tests may act as another user and own files as they like.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether the host has `fs.protected_hardlinks`, which minke always has.
fn protects_hard_links() -> bool {
    fs::read_to_string("/proc/sys/fs/protected_hardlinks").is_ok_and(|text| text.trim() == "1")
}

/// Runs the calls on both sides and compares each outcome.
fn compare(guest: Machine, calls: &[(Call, bool)]) {
    let mut host = Host::new(populated());
    let mut guest = Guest::new(guest);
    for (index, (call, is_user)) in calls.iter().enumerate() {
        if *is_user && matches!(call, Call::Link { .. }) && !protects_hard_links() {
            continue;
        }
        let expected = host.run(call, *is_user);
        let found = guest.run(call, *is_user);
        let who = if *is_user { "user" } else { "root" };
        assert_eq!(found, expected, "call {index} by {who}: {}", shown(call));
    }
}

/// Writes a call with its paths.
fn shown(call: &Call) -> String {
    let named = |path: &usize| PATHS[*path];
    match call {
        Call::Rename { old, new, .. } | Call::Link { old, new, .. } => {
            format!("{call:?} `{}` `{}`", named(old), named(new))
        }
        Call::Symlink { target, path } => {
            format!("{call:?} `{}` `{}`", TARGETS[*target], named(path))
        }
        Call::Open { path, .. }
        | Call::Mkdir { path, .. }
        | Call::Unlink { path }
        | Call::Rmdir { path }
        | Call::ReadLink { path }
        | Call::Stat { path, .. }
        | Call::List { path }
        | Call::Chmod { path, .. }
        | Call::Chown { path, .. }
        | Call::Truncate { path, .. }
        | Call::Access { path, .. }
        | Call::Touch { path, .. }
        | Call::Chdir { path } => format!("{call:?} `{}`", named(path)),
        _ => format!("{call:?}"),
    }
}

fn calls() -> impl Strategy<Value = Vec<(Call, bool)>> {
    proptest::collection::vec((call(), any::<bool>()), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tmpfs_does_what_linux_does(calls in calls()) {
        if is_root() {
            compare(tmpfs(), &calls);
        }
    }

    #[test]
    fn the_overlay_does_what_linux_does(calls in calls()) {
        if is_root() {
            compare(overlay(), &calls);
        }
    }

    #[test]
    fn a_bind_does_what_linux_does(calls in calls()) {
        if is_root() {
            let directory = populated();
            let machine = Machine::with_root(HostDirectory::open(directory.path()).unwrap());
            compare(machine, &calls);
        }
    }
}

#[test]
fn a_read_only_bind_refuses_what_linux_refuses() {
    let directory = populated();
    let machine = Machine::with_tmpfs();
    let mounts = &machine.kernel.mounts;
    mounts
        .make_mount_point(b"/ro", FileType::Directory)
        .unwrap();
    let options = MountOptions {
        is_read_only: true,
        ..MountOptions::default()
    };
    let source = HostDirectory::open(directory.path()).unwrap();
    mounts.mount(b"/ro", source, options).unwrap();
    let task = machine.root();
    let path = b"/ro/work/lower/f";
    assert!(task.stat(At::Cwd, path, Follow::Yes).is_ok());
    assert_eq!(task.truncate(At::Cwd, path, 0), Err(Errno::EROFS));
    assert_eq!(task.unlink(At::Cwd, path), Err(Errno::EROFS));
    let written = task.open_description(At::Cwd, path, OpenFlags::RDWR, 0);
    assert_eq!(written.err(), Some(Errno::EROFS));
}
