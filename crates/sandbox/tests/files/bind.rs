//! Host directories in a container: what is seen, what is refused, and that nobody gets out.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minke_abi::linux::{FileType, OpenFlags};
use minke_kernel::calls::{At, Follow};
use minke_kernel::vfs::{MountOptions, NewInode, RenameFlags};
use minke_kernel::{Errno, Task};
use minke_sandbox::platform::directory::HostDirectory;
use tempfile::TempDir;

use crate::machine::{Machine, Shortcuts};
use crate::privileged::is_root;

/// A container with a host path at `/bind`.
pub(crate) fn bound(path: &Path) -> Machine {
    let machine = Machine::with_tmpfs();
    let source = HostDirectory::open(path).unwrap();
    let kind = if path.is_dir() {
        FileType::Directory
    } else {
        FileType::Regular
    };
    let mounts = &machine.kernel.mounts;
    mounts.make_mount_point(b"/bind", kind).unwrap();
    mounts
        .mount(b"/bind", source, MountOptions::default())
        .unwrap();
    machine
}

fn rename(task: &Task, old: &str, new: &str, flags: RenameFlags) -> Result<(), Errno> {
    task.rename(At::Cwd, old.as_bytes(), At::Cwd, new.as_bytes(), flags)
}

#[test]
fn host_and_guest_see_each_others_files() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("from-host"), "host").unwrap();
    let machine = bound(directory.path());
    let task = machine.root();
    assert_eq!(task.get("/bind/from-host").unwrap(), b"host");
    task.mkdir("/bind/d").unwrap();
    task.put("/bind/d/from-guest", b"guest").unwrap();
    let path = directory.path().join("d/from-guest");
    assert_eq!(fs::read(&path).unwrap(), b"guest");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o644
    );
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(fs::metadata(&path).unwrap().uid(), own);
    let seen = task
        .stat(At::Cwd, b"/bind/d/from-guest", Follow::No)
        .unwrap();
    assert_eq!((seen.uid, seen.mode), (0, 0o644));
    assert_eq!(task.names("/bind").unwrap(), ["d", "from-host"]);
}

#[test]
fn a_file_made_read_only_can_be_written_by_its_maker() {
    let directory = TempDir::new().unwrap();
    let machine = bound(directory.path());
    let task = machine.root();
    let flags = OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::WRONLY | OpenFlags::APPEND;
    let file = task
        .open_description(At::Cwd, b"/bind/object", flags, 0o444)
        .unwrap();
    file.write(b"one").unwrap();
    file.write(b"two").unwrap();
    assert_eq!(
        fs::read(directory.path().join("object")).unwrap(),
        b"onetwo"
    );
}

#[test]
fn a_single_file_can_be_bound() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("resolv.conf");
    fs::write(&path, "nameserver").unwrap();
    let machine = bound(&path);
    let task = machine.root();
    assert_eq!(task.get("/bind").unwrap(), b"nameserver");
    task.put("/bind", b"changed").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"changed");
    assert_eq!(task.unlink(At::Cwd, b"/bind"), Err(Errno::EBUSY));
    assert_eq!(task.get("/bind/.."), Err(Errno::ENOTDIR));
}

#[test]
fn links_are_followed_in_the_container_not_on_the_host() {
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let directory = TempDir::new().unwrap();
    symlink(outside.path(), directory.path().join("absolute")).unwrap();
    symlink("../..", directory.path().join("up")).unwrap();
    symlink("/etc/passwd", directory.path().join("passwd")).unwrap();
    let machine = bound(directory.path());
    let task = machine.root();
    task.mkdir("/etc").unwrap();
    task.put("/etc/passwd", b"the container's own").unwrap();
    assert_eq!(task.get("/bind/passwd").unwrap(), b"the container's own");
    assert_eq!(task.get("/bind/absolute/secret"), Err(Errno::ENOENT));
    assert_eq!(task.names("/bind/up").unwrap(), ["bind", "etc"]);
    assert_eq!(task.names("/bind/../..").unwrap(), ["bind", "etc"]);
}

#[test]
fn special_files_of_the_host_are_seen_but_not_opened() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let host = rustix::fs::open(
        directory.path(),
        rustix::fs::OFlags::DIRECTORY,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    rustix::fs::mkfifoat(&host, "fifo", rustix::fs::Mode::RWXU).unwrap();
    let machine = bound(directory.path());
    let task = machine.root();
    for (path, kind) in [
        ("/bind/fifo", FileType::Fifo),
        ("/bind/socket", FileType::Socket),
    ] {
        let seen = task.stat(At::Cwd, path.as_bytes(), Follow::No).unwrap();
        assert_eq!(seen.file_type, kind);
        let opened = task.opened(path, OpenFlags::RDWR);
        assert_eq!(opened.err(), Some(Errno::ENXIO), "{path}");
    }
    let device = NewInode::CharacterDevice(0x103);
    assert_eq!(
        task.make_node(At::Cwd, b"/bind/null", &device, 0o666),
        Err(Errno::EPERM)
    );
}

#[test]
fn set_id_bits_do_not_reach_the_host() {
    let directory = TempDir::new().unwrap();
    let machine = bound(directory.path());
    let task = machine.root();
    task.put("/bind/program", b"").unwrap();
    task.change_mode(At::Cwd, b"/bind/program", 0o6755, Follow::Yes)
        .unwrap();
    let mode = || {
        let metadata = fs::metadata(directory.path().join("program")).unwrap();
        metadata.permissions().mode() & 0o7777
    };
    assert_eq!(mode(), 0o755);
    fs::set_permissions(
        directory.path().join("program"),
        fs::Permissions::from_mode(0o4755),
    )
    .unwrap();
    let seen = task.stat(At::Cwd, b"/bind/program", Follow::No).unwrap();
    assert_eq!(seen.mode, 0o755);
}

#[test]
fn a_working_directory_that_the_guest_moves_knows_its_path() {
    let directory = TempDir::new().unwrap();
    fs::create_dir_all(directory.path().join("a/b")).unwrap();
    let machine = bound(directory.path());
    let task = machine.root();
    task.change_directory(At::Cwd, b"/bind/a/b").unwrap();
    rename(&task, "/bind/a/b", "/bind/c", RenameFlags::empty()).unwrap();
    assert_eq!(task.current_directory().unwrap(), b"/bind/c");
    task.put("../beside", b"").unwrap();
    assert!(directory.path().join("beside").exists());
    task.remove_directory(At::Cwd, b"/bind/c").unwrap();
    assert_eq!(task.current_directory(), Err(Errno::ENOENT));
}

#[test]
fn a_directory_that_the_host_moves_out_leads_back_to_the_bind() {
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let directory = TempDir::new().unwrap();
    fs::create_dir_all(directory.path().join("a/b")).unwrap();
    let machine = bound(directory.path());
    let task = machine.root();
    task.change_directory(At::Cwd, b"/bind/a/b").unwrap();
    fs::rename(directory.path().join("a/b"), outside.path().join("b")).unwrap();
    assert_eq!(task.get("../secret"), Err(Errno::ENOENT));
    assert_eq!(task.get("../../../secret"), Err(Errno::ENOENT));
    assert!(task.names("..").unwrap().is_empty());
}

#[test]
fn swapping_directories_for_links_lets_nobody_out() {
    const ROUNDS: usize = 3000;
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("file"), "secret").unwrap();
    fs::create_dir(outside.path().join("sub")).unwrap();
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir_all(path("target/sub")).unwrap();
    fs::write(path("target/file"), "inside").unwrap();
    symlink(outside.path(), path("link")).unwrap();
    let machine = bound(directory.path());
    let is_done = Arc::new(AtomicBool::new(false));
    let swapper = {
        let is_done = Arc::clone(&is_done);
        let (a, b) = (path("target"), path("link"));
        std::thread::spawn(move || {
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            let cwd = rustix::fs::CWD;
            while !is_done.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(cwd, &a, cwd, &b, exchange).unwrap();
            }
        })
    };
    let task = machine.root();
    let mut found = 0;
    for round in 0..ROUNDS {
        if let Ok(content) = task.get("/bind/target/file") {
            assert_eq!(content, b"inside");
            found += 1;
        }
        let _ = task.put(&format!("/bind/target/sub/{}", round % 10), b"made");
        let _ = task.mkdir("/bind/target/made");
        let _ = task.change_mode(At::Cwd, b"/bind/target/sub", 0o700, Follow::Yes);
        let _ = task.truncate(At::Cwd, b"/bind/target/file", 6);
        let _ = rename(
            &task,
            "/bind/target/made",
            "/bind/target/moved",
            RenameFlags::empty(),
        );
        let _ = task.remove_directory(At::Cwd, b"/bind/target/moved");
        let names = task.names("/bind/target").unwrap_or_default();
        assert!(!names.contains(&"secret".to_owned()));
    }
    is_done.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(found > 0, "the swapper was never slower than the guest");
    assert_eq!(fs::read(outside.path().join("file")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 2);
    assert_eq!(fs::read_dir(outside.path().join("sub")).unwrap().count(), 0);
}

#[test]
fn a_guest_that_goes_deep_gets_an_error_not_all_descriptors() {
    let directory = TempDir::new().unwrap();
    let machine = bound(directory.path());
    let task = machine.root();
    task.change_directory(At::Cwd, b"/bind").unwrap();
    let mut ended = None;
    for _ in 0..20_000 {
        let made = task.mkdir("d");
        let entered = made.and_then(|()| task.change_directory(At::Cwd, b"d"));
        if let Err(error) = entered {
            ended = Some(error);
            break;
        }
    }
    assert!(
        matches!(ended, Some(Errno::ENFILE | Errno::EMFILE)),
        "{ended:?}"
    );
    // Workers have small stacks: what was passed is dropped without recursion.
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().stack_size(256 << 10);
        let leave = || task.change_directory(At::Cwd, b"/bind").unwrap();
        worker.spawn_scoped(scope, leave).unwrap();
    });
    task.put("still", b"works").unwrap();
    remove_deep(directory.path());
}

/// Removes a tree that is deeper than a path can say.
fn remove_deep(path: &Path) {
    let status = std::process::Command::new("rm")
        .arg("-rf")
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success());
}

/// Runs something as a user who is not root: on Linux, credentials belong to a thread.
fn as_user(uid: u32, work: impl FnOnce() + Send) {
    use rustix::fs::{Gid, Uid};
    let change = || {
        rustix::thread::set_thread_groups(&[]).unwrap();
        rustix::thread::set_thread_gid(Gid::from_raw(uid)).unwrap();
        rustix::thread::set_thread_uid(Uid::from_raw(uid)).unwrap();
        work();
    };
    std::thread::scope(|scope| scope.spawn(change).join().unwrap());
}

#[test]
fn without_root_the_user_appears_as_root_and_owns_all_that_is_made() {
    const USER: u32 = 1000;
    if !is_root("bind::without_root_the_user_appears_as_root_and_owns_all_that_is_made") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("of-root"), "").unwrap();
    std::os::unix::fs::chown(directory.path(), Some(USER), Some(USER)).unwrap();
    as_user(USER, || {
        let machine = bound(directory.path());
        let task = machine.root();
        let owner = |name: &str| {
            let path = format!("/bind/{name}");
            let metadata = task.stat(At::Cwd, path.as_bytes(), Follow::No).unwrap();
            (metadata.uid, metadata.gid)
        };
        task.put("/bind/made", b"text").unwrap();
        assert_eq!(owner("made"), (0, 0));
        assert_eq!(owner("of-root"), (65_534, 65_534));
        assert_eq!(task.put("/bind/of-root", b""), Err(Errno::EACCES));
        let chown = |uid| task.change_owner(At::Cwd, b"/bind/made", Some(uid), None, Follow::Yes);
        assert_eq!(chown(0), Ok(()));
        assert_eq!(chown(5), Err(Errno::EPERM));
        let flags = OpenFlags::CREAT | OpenFlags::WRONLY;
        let object = task.open_description(At::Cwd, b"/bind/object", flags, 0o400);
        assert_eq!(object.unwrap().write(b"once"), Ok(4));
    });
    assert_eq!(fs::metadata(path("made")).unwrap().uid(), USER);
    assert_eq!(fs::read(path("object")).unwrap(), b"once");
}
