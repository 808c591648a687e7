//! Files and directories through the calls of a task, on a tmpfs and on a disk.

use crate::disk::machines;
use crate::machine::{Machine, Shortcuts, memory_options};
use minke_abi::linux::{FileType, OpenFlags};
use minke_kernel::calls::{At, Follow};
use minke_kernel::descriptor::SeekTarget;
use minke_kernel::process::Credentials;
use minke_kernel::vfs::memory::{MemoryFileSystem, MemoryOptions};
use minke_kernel::vfs::{FileSystem, MountOptions, NewInode, RenameFlags};
use minke_kernel::{Errno, Task};

/// Processes of containers whose roots are of each kind.
fn roots() -> [Task; 2] {
    machines().map(|machine| machine.root())
}

fn rename(task: &Task, old: &str, new: &str, flags: RenameFlags) -> Result<(), Errno> {
    task.rename(At::Cwd, old.as_bytes(), At::Cwd, new.as_bytes(), flags)
}

#[test]
fn what_was_written_is_read_back_across_pages() {
    for task in roots() {
        let content: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
        task.put("/a", &content).unwrap();
        assert_eq!(task.get("/a").unwrap(), content);
        assert_eq!(task.stat(At::Cwd, b"/a", Follow::Yes).unwrap().size, 10_000);
    }
}

#[test]
fn a_hole_reads_as_zeros_and_costs_nothing() {
    for task in roots() {
        let file = task
            .opened("/sparse", OpenFlags::CREAT | OpenFlags::RDWR)
            .unwrap();
        file.write_at(b"end", 1 << 40).unwrap();
        let mut buffer = [1; 8];
        assert_eq!(file.read_at(&mut buffer, 1 << 20).unwrap(), 8);
        assert_eq!(buffer, [0; 8]);
        assert_eq!(file.file.metadata().unwrap().blocks, 8);
        assert_eq!(file.seek(SeekTarget::Data(0)).unwrap(), 1 << 40);
        assert_eq!(file.seek(SeekTarget::Hole(0)).unwrap(), 0);
    }
}

#[test]
fn a_file_cut_in_a_page_reads_zeros_when_it_grows_again() {
    for task in roots() {
        task.put("/a", &[7; 5000]).unwrap();
        task.truncate(At::Cwd, b"/a", 4500).unwrap();
        task.truncate(At::Cwd, b"/a", 5000).unwrap();
        let content = task.get("/a").unwrap();
        assert_eq!(content[4499], 7);
        assert_eq!(content[4500..], [0; 500]);
    }
}

#[test]
fn a_full_file_system_takes_what_fits_and_gives_room_back() {
    let options = MemoryOptions {
        bytes_max: Some(8192),
        ..memory_options()
    };
    let task = Machine::with_root(MemoryFileSystem::tmpfs(options).unwrap()).root();
    let file = task
        .opened("/a", OpenFlags::CREAT | OpenFlags::WRONLY)
        .unwrap();
    assert_eq!(file.write(&[1; 10_000]), Ok(8192));
    assert_eq!(file.write(&[1]), Err(Errno::ENOSPC));
    task.unlink(At::Cwd, b"/a").unwrap();
    assert_eq!(file.write(&[1]), Err(Errno::ENOSPC), "it is still open");
    drop(file);
    task.put("/b", &[1; 8192]).unwrap();
}

#[test]
fn everything_charged_is_released_with_the_file_system() {
    let options = memory_options();
    let budget = options.budget.clone();
    {
        let machine = Machine::with_root(MemoryFileSystem::tmpfs(options).unwrap());
        let task = machine.root();
        task.mkdir("/d").unwrap();
        task.mkdir("/d/e").unwrap();
        task.put("/d/e/f", &[1; 5000]).unwrap();
        task.link(At::Cwd, b"/d/e/f", At::Cwd, b"/g", Follow::No)
            .unwrap();
        assert!(budget.used() > 8192);
    }
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_very_deep_tree_is_taken_apart_without_recursion() {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    for _ in 0..50_000 {
        task.mkdir("d").unwrap();
        task.change_directory(At::Cwd, b"d").unwrap();
    }
    for _ in 0..25_000 {
        task.change_directory(At::Cwd, b"..").unwrap();
    }
    drop((task, machine));
}

#[test]
fn an_unlinked_file_lives_while_it_is_open() {
    for task in roots() {
        task.put("/a", b"text").unwrap();
        let file = task.opened("/a", OpenFlags::RDWR).unwrap();
        task.unlink(At::Cwd, b"/a").unwrap();
        assert_eq!(task.get("/a"), Err(Errno::ENOENT));
        let mut buffer = [0; 8];
        assert_eq!(file.read(&mut buffer).unwrap(), 4);
        assert_eq!(file.file.metadata().unwrap().links, 0);
    }
}

#[test]
fn a_moved_working_directory_knows_its_new_path_and_parent() {
    for task in roots() {
        for path in ["/a", "/a/b", "/x"] {
            task.mkdir(path).unwrap();
        }
        task.change_directory(At::Cwd, b"/a/b").unwrap();
        rename(&task, "/a/b", "/x/c", RenameFlags::empty()).unwrap();
        assert_eq!(task.current_directory().unwrap(), b"/x/c");
        task.put("../sibling", b"").unwrap();
        assert_eq!(task.names("/x").unwrap(), ["c", "sibling"]);
        task.remove_directory(At::Cwd, b"/x/c").unwrap();
        assert_eq!(task.current_directory(), Err(Errno::ENOENT));
        assert_eq!(task.put("file", b""), Err(Errno::ENOENT));
    }
}

#[test]
fn dot_dot_never_leaves_the_root() {
    for task in roots() {
        task.put("/top", b"here").unwrap();
        assert_eq!(task.get("/../../top").unwrap(), b"here");
        assert_eq!(task.get("../../../top").unwrap(), b"here");
    }
}

#[test]
fn links_are_followed_forty_times_and_loops_end() {
    for task in roots() {
        task.put("/0", b"end").unwrap();
        for n in 1..=41 {
            let (target, path) = (format!("{}", n - 1), format!("/{n}"));
            task.symlink(target.as_bytes(), At::Cwd, path.as_bytes())
                .unwrap();
        }
        assert_eq!(task.get("/40").unwrap(), b"end");
        assert_eq!(task.get("/41"), Err(Errno::ELOOP));
        task.symlink(b"loop", At::Cwd, b"/loop").unwrap();
        assert_eq!(task.get("/loop"), Err(Errno::ELOOP));
        assert_eq!(task.get("/loop/x"), Err(Errno::ELOOP));
    }
}

#[test]
fn exchange_swaps_a_file_and_a_directory() {
    for task in roots() {
        task.mkdir("/d").unwrap();
        task.mkdir("/d/sub").unwrap();
        task.put("/f", b"file").unwrap();
        rename(&task, "/f", "/d/sub", RenameFlags::EXCHANGE).unwrap();
        assert_eq!(task.get("/d/sub").unwrap(), b"file");
        let swapped = task.stat(At::Cwd, b"/f", Follow::No).unwrap();
        assert_eq!(swapped.file_type, FileType::Directory);
        assert_eq!(
            rename(&task, "/d", "/f", RenameFlags::NOREPLACE),
            Err(Errno::EEXIST)
        );
        assert_eq!(
            rename(&task, "/d", "/d/sub/x", RenameFlags::empty()),
            Err(Errno::ENOTDIR)
        );
        assert_eq!(
            rename(&task, "/d", "/d/x", RenameFlags::empty()),
            Err(Errno::EINVAL)
        );
    }
}

#[test]
fn a_directory_can_be_read_while_it_changes() {
    for task in roots() {
        task.mkdir("/d").unwrap();
        for n in 0..20 {
            task.put(&format!("/d/{n:02}"), b"").unwrap();
        }
        let fd = task.open(At::Cwd, b"/d", OpenFlags::DIRECTORY, 0).unwrap();
        let mut seen = Vec::new();
        let mut cookie = 0;
        loop {
            let before = seen.len();
            task.read_directory(fd, cookie, &mut |entry| {
                seen.push(entry.name.to_vec());
                cookie = entry.next_cookie;
                seen.len() < before + 3
            })
            .unwrap();
            if seen.len() == before {
                break;
            }
            // Removing what was read, and making something new, must neither skip nor repeat the rest.
            for name in &seen[before..] {
                let _ = task.unlink(At::Fd(fd), name);
            }
            if before < 12 {
                task.put(&format!("/d/new{before}"), b"").unwrap();
            }
        }
        let mut unique = seen.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), seen.len());
        let old = |n: i32| format!("{n:02}").into_bytes();
        assert!((0..20).all(|n| seen.contains(&old(n))));
    }
}

#[test]
fn mounts_are_crossed_both_ways_and_protected() {
    for machine in machines() {
        let task = machine.root();
        let mounts = &machine.kernel.mounts;
        mounts
            .make_mount_point(b"/mnt/deep", FileType::Directory)
            .unwrap();
        let inner = MemoryFileSystem::tmpfs(memory_options()).unwrap();
        mounts
            .mount(b"/mnt/deep", inner, MountOptions::default())
            .unwrap();
        task.put("/mnt/deep/file", b"inner").unwrap();
        task.put("/mnt/outer", b"outer").unwrap();
        assert_eq!(task.get("/mnt/deep/../outer").unwrap(), b"outer");
        task.change_directory(At::Cwd, b"/mnt/deep").unwrap();
        assert_eq!(task.current_directory().unwrap(), b"/mnt/deep");
        assert_eq!(
            task.remove_directory(At::Cwd, b"/mnt/deep"),
            Err(Errno::EBUSY)
        );
        assert_eq!(
            rename(&task, "/mnt/outer", "/mnt/deep/x", RenameFlags::empty()),
            Err(Errno::EXDEV)
        );
        let device = |path: &[u8]| task.stat(At::Cwd, path, Follow::Yes).unwrap().device;
        assert_ne!(device(b"/mnt"), device(b"/mnt/deep"));
    }
}

#[test]
fn a_read_only_mount_refuses_every_change() {
    for machine in machines() {
        let task = machine.root();
        let inner = MemoryFileSystem::tmpfs(memory_options()).unwrap();
        let owned = minke_kernel::vfs::Ownership {
            uid: 0,
            gid: 0,
            mode: 0o644,
        };
        inner
            .root()
            .create(b"file", &NewInode::Regular, owned)
            .unwrap();
        let options = MountOptions {
            is_read_only: true,
            ..MountOptions::default()
        };
        task.mkdir("/ro").unwrap();
        machine.kernel.mounts.mount(b"/ro", inner, options).unwrap();
        assert_eq!(task.get("/ro/file").unwrap(), b"");
        assert_eq!(task.put("/ro/file", b""), Err(Errno::EROFS));
        assert_eq!(task.put("/ro/new", b""), Err(Errno::EROFS));
        assert_eq!(task.mkdir("/ro/new"), Err(Errno::EROFS));
        assert_eq!(task.unlink(At::Cwd, b"/ro/file"), Err(Errno::EROFS));
        assert_eq!(
            task.change_mode(At::Cwd, b"/ro/file", 0o600, Follow::Yes),
            Err(Errno::EROFS)
        );
        assert_eq!(
            rename(&task, "/ro/file", "/ro/x", RenameFlags::empty()),
            Err(Errno::EROFS)
        );
    }
}

#[test]
fn a_sticky_directory_protects_what_others_own() {
    for machine in machines() {
        let root = machine.root();
        root.mkdir("/tmp").unwrap();
        root.change_mode(At::Cwd, b"/tmp", 0o1777, Follow::Yes)
            .unwrap();
        let alice = machine.task(Credentials::user(1000, 1000));
        let bob = machine.task(Credentials::user(1001, 1001));
        alice.put("/tmp/hers", b"secret").unwrap();
        assert_eq!(bob.unlink(At::Cwd, b"/tmp/hers"), Err(Errno::EPERM));
        assert_eq!(
            rename(&bob, "/tmp/hers", "/tmp/his", RenameFlags::empty()),
            Err(Errno::EPERM)
        );
        assert_eq!(bob.get("/tmp/hers").unwrap(), b"secret");
        assert_eq!(bob.put("/tmp/hers", b""), Err(Errno::EACCES));
        alice.unlink(At::Cwd, b"/tmp/hers").unwrap();
    }
}

#[test]
fn a_change_of_owner_takes_set_id_bits_away() {
    for task in roots() {
        task.put("/a", b"").unwrap();
        task.change_mode(At::Cwd, b"/a", 0o6755, Follow::Yes)
            .unwrap();
        task.change_owner(At::Cwd, b"/a", Some(5), None, Follow::Yes)
            .unwrap();
        let metadata = task.stat(At::Cwd, b"/a", Follow::Yes).unwrap();
        assert_eq!((metadata.mode, metadata.uid), (0o755, 5));
    }
}

/// Walks pass known directories together: what each of them says must still hold.
#[test]
fn a_path_through_known_directories_is_judged_at_each_of_them() {
    for machine in machines() {
        let task = machine.root();
        for path in ["/a", "/a/b", "/a/b/c", "/a/x", "/other"] {
            task.mkdir(path).unwrap();
        }
        task.put("/a/b/c/file", b"text").unwrap();
        task.symlink(b"b", At::Cwd, b"/a/link").unwrap();
        let alice = machine.task(Credentials::user(1000, 1000));
        let paths = [
            "/a/b/c/file",
            "/a//b/./c//file",
            "/a/b/../b/c/file",
            "/a/link/c/file",
        ];
        for path in [paths, paths].concat() {
            assert_eq!(alice.get(path).unwrap(), b"text", "{path}");
        }
        let get = |path: &str| alice.get(path);
        assert_eq!(get("/a/b/c/file/more/names"), Err(Errno::ENOTDIR));
        assert_eq!(get("/a/b/none/file"), Err(Errno::ENOENT));
        let long = format!("/a/b/{}/file", "n".repeat(256));
        assert_eq!(get(&long), Err(Errno::ENAMETOOLONG));

        task.change_mode(At::Cwd, b"/a/b", 0o700, Follow::Yes)
            .unwrap();
        assert_eq!(get("/a/b/c/file"), Err(Errno::EACCES));
        assert_eq!(task.get("/a/b/c/file").unwrap(), b"text");
        task.change_mode(At::Cwd, b"/a/b", 0o755, Follow::Yes)
            .unwrap();

        let flags = RenameFlags::empty();
        task.rename(At::Cwd, b"/a/b", At::Cwd, b"/other/b", flags)
            .unwrap();
        assert_eq!(get("/a/b/c/file"), Err(Errno::ENOENT));
        assert_eq!(get("/other/b/c/file").unwrap(), b"text");

        let mounts = &machine.kernel.mounts;
        let options = MountOptions::default();
        mounts
            .mount(
                b"/other/b",
                MemoryFileSystem::tmpfs(memory_options()).unwrap(),
                options,
            )
            .unwrap();
        assert_eq!(get("/other/b/c/file"), Err(Errno::ENOENT));
        task.mkdir("/other/b/c").unwrap();
        task.put("/other/b/c/file", b"above").unwrap();
        assert_eq!(get("/other/b/c/file").unwrap(), b"above");
    }
}
