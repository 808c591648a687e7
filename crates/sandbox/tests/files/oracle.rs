//! The same calls on Linux and on minke's file systems: results and errors must be the same.
//!
//! A random sequence of calls runs on a directory of the host, and as a guest on a tmpfs, on an overlay
//! and on a bind. Some calls are made by another user, so that permission checks are compared too: this needs
//! root, or a user namespace.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use minke_abi::linux::{FileType, OpenFlags};
use minke_kernel::Errno;
use minke_kernel::calls::{At, Follow};
use minke_kernel::vfs::memory::MemoryFileSystem;
use minke_kernel::vfs::tree::{ByteRange, Bytes, TreeBuilder, TreeEntry, TreeKind, TreeOwner};
use minke_kernel::vfs::{FileSystem, MountOptions, NewInode};
use minke_sandbox::platform::directory::HostDirectory;
use proptest::prelude::{ProptestConfig, proptest};
use tempfile::TempDir;

use call::{Call, Side, calls, pattern, shown};
use guest::Guest;
use host::Host;

use crate::machine::{Machine, memory_options};
use crate::privileged::is_root;

mod call;
mod guest;
mod host;

/// Makes what every side begins with: `start/lower` with two names of a file, a directory and a link.
fn populate(top: &Path) {
    let lower = top.join("start/lower");
    fs::create_dir_all(lower.join("d")).unwrap();
    fs::write(lower.join("f"), pattern(5000)).unwrap();
    fs::hard_link(lower.join("f"), lower.join("g")).unwrap();
    fs::write(lower.join("d/x"), b"x").unwrap();
    std::os::unix::fs::symlink("d", lower.join("l")).unwrap();
    let all = [
        ("", 0o755),
        ("start", 0o777),
        ("start/lower", 0o777),
        ("start/lower/d", 0o755),
    ];
    let files = [("start/lower/f", 0o644), ("start/lower/d/x", 0o644)];
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
    add("start", 0o777, TreeKind::Directory);
    add("start/lower", 0o777, TreeKind::Directory);
    add("start/lower/d", 0o755, TreeKind::Directory);
    add("start/lower/f", 0o644, file(pattern(5000)));
    add("start/lower/g", 0o644, TreeKind::HardLink(b"start/lower/f"));
    add("start/lower/d/x", 0o644, file(b"x".to_vec()));
    add("start/lower/l", 0o777, TreeKind::Symlink(b"d"));
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
    directory(b"/start", 0o777);
    directory(b"/start/lower", 0o777);
    directory(b"/start/lower/d", 0o755);
    file(b"/start/lower/f", &pattern(5000));
    task.link(
        At::Cwd,
        b"/start/lower/f",
        At::Cwd,
        b"/start/lower/g",
        Follow::No,
    )
    .unwrap();
    file(b"/start/lower/d/x", b"x");
    task.symlink(b"d", At::Cwd, b"/start/lower/l").unwrap();
    machine
}

fn overlay() -> Machine {
    Machine::with_root(MemoryFileSystem::overlay(&tree(), memory_options()).unwrap())
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

/// Compares many sequences of calls on guests that `make` makes, with what they stand on; `test` is the caller's name.
fn compare_many<T>(test: &str, make: impl Fn() -> (Machine, T)) {
    if !is_root(&format!("oracle::{test}")) {
        return;
    }
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(calls in calls())| {
        let (machine, _below) = make();
        compare(machine, &calls);
    });
}

#[test]
fn tmpfs_does_what_linux_does() {
    compare_many("tmpfs_does_what_linux_does", || (tmpfs(), ()));
}

#[test]
fn the_overlay_does_what_linux_does() {
    compare_many("the_overlay_does_what_linux_does", || (overlay(), ()));
}

#[test]
fn a_bind_does_what_linux_does() {
    compare_many("a_bind_does_what_linux_does", || {
        let directory = populated();
        let bind = HostDirectory::open(directory.path()).unwrap();
        (Machine::with_root(bind), directory)
    });
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
    let path = b"/ro/start/lower/f";
    assert!(task.stat(At::Cwd, path, Follow::Yes).is_ok());
    assert_eq!(task.truncate(At::Cwd, path, 0), Err(Errno::EROFS));
    assert_eq!(task.unlink(At::Cwd, path), Err(Errno::EROFS));
    let written = task.open_description(At::Cwd, path, OpenFlags::RDWR, 0);
    assert_eq!(written.err(), Some(Errno::EROFS));
}
