//! What is particular of mounted disks: when changes become durable, times of access, limits, and what many do at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use minke_abi::linux::OpenFlags;
use minke_ext4::{Access, Device};
use minke_kernel::calls::{At, Follow};
use minke_kernel::vfs::ext4::{AccessTimes, Ext4FileSystem, Ext4Options};
use minke_kernel::vfs::{FileSystem, NewInode, Ownership, RenameFlags, Timestamp};
use minke_kernel::{Errno, Task};

use crate::disk::Disk;
use crate::machine::{Machine, Shortcuts};

const SIZE: u64 = 64 << 20;

fn machine(disk: &Disk) -> (Machine, Arc<Ext4FileSystem>) {
    let file_system = disk.mount();
    (
        Machine::with_root(Arc::clone(&file_system) as _),
        file_system,
    )
}

fn accessed(task: &Task, path: &str) -> Timestamp {
    let metadata = task.stat(At::Cwd, path.as_bytes(), Follow::Yes);
    metadata.unwrap().accessed
}

#[test]
fn an_inode_is_one_object_whatever_its_name() {
    let file_system = Disk::new(SIZE).mount();
    let root = file_system.root();
    let ownership = Ownership {
        uid: 0,
        gid: 0,
        mode: 0o644,
    };
    let made = root.create(b"a", &NewInode::Regular, ownership).unwrap();
    root.link(b"b", &made).unwrap();
    let (a, b) = (root.lookup(b"a").unwrap(), root.lookup(b"b").unwrap());
    assert!(Arc::ptr_eq(&made, &a) && Arc::ptr_eq(&a, &b));
}

#[test]
fn what_was_not_written_back_is_told_once_and_gone_when_it_was() {
    let disk = Disk::new(SIZE);
    let (machine, file_system) = machine(&disk);
    let task = machine.root();
    assert!(!file_system.is_dirty());
    task.put("/a", b"one").unwrap();
    task.put("/b", b"two").unwrap();
    assert_eq!(disk.dirtied.load(Ordering::Relaxed), 1);
    assert!(file_system.is_dirty());
    file_system.write_back().unwrap();
    assert!(!file_system.is_dirty());
    task.put("/a", b"three").unwrap();
    assert_eq!(disk.dirtied.load(Ordering::Relaxed), 2);
}

#[test]
fn what_fsync_confirmed_is_there_when_the_disk_is_opened_again() {
    let disk = Disk::new(SIZE);
    let (machine, _file_system) = machine(&disk);
    let task = machine.root();
    task.put("/a", b"text").unwrap();
    let fd = task.open(At::Cwd, b"/a", OpenFlags::RDWR, 0).unwrap();
    task.sync(fd).unwrap();
    let again = Machine::with_root(disk.mount());
    assert_eq!(again.root().get("/a").unwrap(), b"text");
}

#[test]
fn synchronous_files_and_mounts_are_never_dirty_between_calls() {
    let disk = Disk::new(SIZE);
    let (machine, file_system) = machine(&disk);
    let task = machine.root();
    task.put("/a", b"").unwrap();
    file_system.write_back().unwrap();
    let flags = OpenFlags::WRONLY | OpenFlags::SYNC;
    task.opened("/a", flags).unwrap().write(b"text").unwrap();
    assert!(!file_system.is_dirty());

    let options = Ext4Options {
        is_synchronous: true,
        ..disk.options()
    };
    let file_system = Disk::new(SIZE).mount_with(options);
    let task = Machine::with_root(Arc::clone(&file_system) as _).root();
    task.put("/a", b"text").unwrap();
    assert!(!file_system.is_dirty());
    task.unlink(At::Cwd, b"/a").unwrap();
    assert!(!file_system.is_dirty());
}

#[test]
fn reading_changes_the_time_of_access_only_after_a_change() {
    let disk = Disk::new(SIZE);
    let (machine, _file_system) = machine(&disk);
    let task = machine.root();
    task.put("/a", b"text").unwrap();
    let made = accessed(&task, "/a");
    task.get("/a").unwrap();
    let first = accessed(&task, "/a");
    assert!(first > made);
    task.get("/a").unwrap();
    assert_eq!(accessed(&task, "/a"), first);
    task.put("/a", b"other").unwrap();
    task.get("/a").unwrap();
    let second = accessed(&task, "/a");
    assert!(second > first);
    task.put("/a", b"again").unwrap();
    let flags = OpenFlags::NOATIME;
    task.opened("/a", flags).unwrap().read(&mut [0; 8]).unwrap();
    assert_eq!(accessed(&task, "/a"), second);
}

#[test]
fn a_mount_without_times_of_access_stays_clean_when_it_is_read() {
    let disk = Disk::new(SIZE);
    let options = Ext4Options {
        access_times: AccessTimes::Never,
        ..disk.options()
    };
    let file_system = disk.mount_with(options);
    let task = Machine::with_root(Arc::clone(&file_system) as _).root();
    task.put("/a", b"text").unwrap();
    file_system.write_back().unwrap();
    task.get("/a").unwrap();
    task.names("/").unwrap();
    assert!(!file_system.is_dirty());
}

#[test]
fn setting_only_the_time_of_access_changes_the_time_of_change() {
    let disk = Disk::new(SIZE);
    let (machine, _file_system) = machine(&disk);
    let task = machine.root();
    task.put("/a", b"text").unwrap();
    let before = task.stat(At::Cwd, b"/a", Follow::Yes).unwrap();
    let inode = task.opened("/a", OpenFlags::RDONLY).unwrap();
    let change = minke_kernel::vfs::AttributeChange {
        accessed: Some(Timestamp::default()),
        ..Default::default()
    };
    inode.inode().unwrap().set_attributes(&change).unwrap();
    let after = task.stat(At::Cwd, b"/a", Follow::Yes).unwrap();
    assert_eq!(after.accessed, Timestamp::default());
    assert!(after.changed > before.changed);
}

#[test]
fn a_limit_is_shown_and_kept_and_room_comes_back() {
    let disk = Disk::new(SIZE);
    let options = Ext4Options {
        bytes_max: Some(1 << 20),
        ..disk.options()
    };
    let file_system = disk.mount_with(options);
    let statistics = file_system.statistics().unwrap();
    assert_eq!(statistics.blocks * statistics.block_size, 1 << 20);
    let task = Machine::with_root(Arc::clone(&file_system) as _).root();
    let file = task.opened("/a", OpenFlags::CREAT | OpenFlags::RDWR);
    let file = file.unwrap();
    let mut written = 0;
    let refused = loop {
        match file.write(&[1; 5000]) {
            Ok(count) => written += count as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, Errno::ENOSPC);
    assert!(written > 1 << 19 && written < 1 << 20, "{written}");
    assert_eq!(task.get("/a").unwrap().len() as u64, written);
    file_system.write_back().unwrap();
    drop(file);
    task.unlink(At::Cwd, b"/a").unwrap();
    task.put("/b", &vec![1; 1 << 19]).unwrap();
    file_system.write_back().unwrap();
    drop((task, file_system));
    disk.check("limited");
}

#[test]
fn a_disk_that_is_only_read_refuses_changes_and_is_never_dirty() {
    let disk = Disk::new(SIZE);
    let (machine, file_system) = machine(&disk);
    machine.root().put("/a", b"text").unwrap();
    file_system.write_back().unwrap();
    drop((machine, file_system));
    let device: Arc<dyn Device> = Arc::clone(&disk.device) as _;
    let file_system = Ext4FileSystem::mount(device, Access::ReadOnly, disk.options()).unwrap();
    let task = Machine::with_root(Arc::clone(&file_system) as _).root();
    assert_eq!(task.get("/a").unwrap(), b"text");
    assert_eq!(task.put("/b", b""), Err(Errno::EROFS));
    assert_eq!(task.unlink(At::Cwd, b"/a"), Err(Errno::EROFS));
    assert_eq!(task.put("/a", b""), Err(Errno::EROFS));
    assert!(!file_system.is_dirty());
}

#[test]
fn a_file_without_a_name_is_freed_when_it_is_closed() {
    let disk = Disk::new(SIZE);
    let (machine, file_system) = machine(&disk);
    let task = machine.root();
    // What a directory grows by stays.
    task.put("/a", b"").unwrap();
    task.unlink(At::Cwd, b"/a").unwrap();
    let before = file_system.statistics().unwrap();
    task.put("/a", &vec![1; 1 << 20]).unwrap();
    let file = task.opened("/a", OpenFlags::RDWR).unwrap();
    task.unlink(At::Cwd, b"/a").unwrap();
    file_system.write_back().unwrap();
    let mut buffer = [0; 100];
    assert_eq!(file.read_at(&mut buffer, 1 << 19), Ok(100));
    assert!(file_system.statistics().unwrap().blocks_free < before.blocks_free);
    drop(file);
    assert_eq!(file_system.statistics().unwrap(), before);
    file_system.write_back().unwrap();
    disk.check("freed");
}

#[test]
fn a_deep_tree_is_walked_and_let_go_of_without_recursion() {
    const DEPTH: usize = 20_000;
    let disk = Disk::new(512 << 20);
    let (machine, file_system) = machine(&disk);
    let task = machine.root();
    for _ in 0..DEPTH {
        task.mkdir("d").unwrap();
        task.change_directory(At::Cwd, b"d").unwrap();
    }
    for _ in 0..DEPTH / 2 {
        task.change_directory(At::Cwd, b"..").unwrap();
    }
    file_system.write_back().unwrap();
    drop((task, machine, file_system));
    disk.check("deep");
}

#[test]
fn a_disk_whose_directories_form_a_circle_is_walked_and_changed_without_end_or_panic() {
    let mut disk = Disk::new(16 << 20);
    let (machine, file_system) = machine(&disk);
    let task = machine.root();
    for path in ["/a", "/a/b", "/x"] {
        task.mkdir(path).unwrap();
    }
    file_system.write_back().unwrap();
    drop((task, machine, file_system));
    disk.edit(&[
        "ln a a/b/above",
        "ln / a/b/top",
        "ln a/b x/again",
        "ln <8> x/own",
    ]);

    let (machine, file_system) = self::machine(&disk);
    let task = machine.root();
    task.change_directory(At::Cwd, b"/a/b/above/b/above/b")
        .unwrap();
    assert_eq!(task.current_directory().unwrap(), b"/a/b");
    task.change_directory(At::Cwd, b"/x/again").unwrap();
    task.current_directory().unwrap();
    assert_eq!(task.get("/x/own"), Err(Errno::EIO));
    let moves = [
        ("/a", "/a/b/c"),
        ("/a/b/above", "/x/c"),
        ("/a/b", "/x/again/d"),
        ("/x/again", "/a/e"),
        ("/a/b/top", "/a/f"),
        ("/x", "/a/b/g"),
        ("/a", "/x/c/h"),
    ];
    for (old, new) in moves {
        for flags in [RenameFlags::empty(), RenameFlags::EXCHANGE] {
            // What it answers does not matter, but that it does.
            let _ = task.rename(At::Cwd, old.as_bytes(), At::Cwd, new.as_bytes(), flags);
        }
        let _ = task.change_directory(At::Cwd, new.as_bytes());
        let _ = task.current_directory();
        let _ = task.change_directory(At::Cwd, b"../../../../..");
    }
    for path in ["/a/b/above", "/x/again", "/a/b", "/a", "/x"] {
        let _ = task.remove_directory(At::Cwd, path.as_bytes());
    }
    file_system.write_back().unwrap();
}

#[test]
fn many_read_write_and_list_at_once() {
    const FILE_BYTES: usize = 200_000;
    const ROUNDS: usize = 300;
    let disk = Disk::new(SIZE);
    let (machine, file_system) = machine(&disk);
    let first = machine.root();
    first.mkdir("/d").unwrap();
    for number in 0..20 {
        first
            .put(&format!("/stays{number}"), &[number; FILE_BYTES / 10])
            .unwrap();
    }
    first.put("/turns", &[0; FILE_BYTES]).unwrap();
    std::thread::scope(|scope| {
        for reader in 0..4_u8 {
            let task = machine.root();
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let number = ((round + usize::from(reader)) % 20) as u8;
                    let content = task.get(&format!("/stays{number}")).unwrap();
                    assert_eq!(content, [number; FILE_BYTES / 10]);
                    // Reads and writes of a block are each of one piece.
                    let file = task.opened("/turns", OpenFlags::RDONLY).unwrap();
                    let mut block = [0; 4096];
                    while file.read(&mut block).unwrap() == block.len() {
                        assert!(block.iter().all(|byte| *byte == block[0]));
                    }
                }
            });
        }
        let task = machine.root();
        let writer = &file_system;
        scope.spawn(move || {
            for round in 0..ROUNDS {
                let file = task.opened("/turns", OpenFlags::WRONLY).unwrap();
                for block in 0..FILE_BYTES / 4096 {
                    let offset = block as u64 * 4096;
                    file.write_at(&[round as u8; 4096], offset).unwrap();
                }
                task.put(&format!("/d/{round}"), b"new").unwrap();
                if round % 3 == 0 {
                    task.unlink(At::Cwd, format!("/d/{}", round / 2).as_bytes())
                        .unwrap();
                }
                if round % 10 == 0 {
                    writer.write_back().unwrap();
                }
            }
        });
        let task = machine.root();
        scope.spawn(move || {
            for _ in 0..ROUNDS {
                assert!(task.names("/").unwrap().len() >= 22);
                for name in task.names("/d").unwrap() {
                    let found = task.stat(At::Cwd, format!("/d/{name}").as_bytes(), Follow::No);
                    assert!(matches!(found, Ok(_) | Err(Errno::ENOENT)));
                }
            }
        });
    });
    file_system.write_back().unwrap();
    disk.check("many at once");
}
