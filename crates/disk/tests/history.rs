//! Snapshots by name: taken, put back and removed, while the disk is written, and cut short at any moment.
#![expect(clippy::unwrap_used, reason = "a test's `unwrap` is an assertion")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use minke_disk::{
    Durability, History, HistoryError, Limits, Snapshot, WritableDisk, extend_chain, open_chain,
};
use minke_ext4::make::{Identity, Journal, MakeOptions, make};
use minke_ext4::{Access, Device, FileSystem, InodeNumber, NewInode, Ownership, Timestamp};
use tempfile::TempDir;

const DISK_BYTES: u64 = 16 << 20;
const NOW: Timestamp = Timestamp {
    seconds: 1_700_000_000,
    nanoseconds: 0,
};

struct Root {
    changes: PathBuf,
    directory: TempDir,
}

impl Root {
    fn new() -> Root {
        let directory = tempfile::tempdir().unwrap();
        Root {
            changes: directory.path().join("root.changes"),
            directory,
        }
    }

    fn below(&self) -> Arc<Snapshot> {
        below(&self.changes)
    }

    fn open(&self) -> WritableDisk {
        open(&self.changes)
    }

    fn write(&self, text: &[u8]) {
        let disk = self.open();
        disk.write_at(0, text).unwrap();
        disk.commit().unwrap();
    }

    fn first_bytes(&self) -> [u8; 4] {
        let mut bytes = [0; 4];
        self.open().read_at(0, &mut bytes).unwrap();
        bytes
    }

    fn take(&self, name: &str) -> Result<(), HistoryError> {
        let disk = self.open();
        let mut edit = History::edit(&self.changes, Durability::Durable).unwrap();
        edit.create(name, "now", |next| {
            disk.snapshot(next, || disk.commit().unwrap())
        })
    }

    fn edit(&self, change: impl FnOnce(&mut minke_disk::HistoryEdit)) {
        change(&mut History::edit(&self.changes, Durability::Durable).unwrap());
    }

    fn names(&self) -> Vec<String> {
        let snapshots = History::read(&self.changes).unwrap().snapshots();
        snapshots.into_iter().map(|it| it.name).collect()
    }

    /// The change files that are there.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names
            .filter(|name| !name.ends_with(".lock") && !name.ends_with(".snapshots"))
            .collect();
        names.sort();
        names
    }
}

fn below(changes: &Path) -> Arc<Snapshot> {
    let chain = History::read(changes).unwrap().chain();
    open_chain(&chain, &Limits::default()).unwrap()
}

fn open(changes: &Path) -> WritableDisk {
    let active = History::read(changes).unwrap().active();
    WritableDisk::open_or_create(
        &active,
        below(changes),
        DISK_BYTES,
        Durability::Durable,
        Limits::default(),
    )
    .unwrap()
}

#[test]
fn each_of_twenty_snapshots_is_put_back_as_it_was() {
    let root = Root::new();
    for number in 0..20 {
        root.write(format!("{number:04}").as_bytes());
        root.take(&format!("s{number}")).unwrap();
    }
    root.write(b"last");
    assert_eq!(&root.first_bytes(), b"last");
    assert_eq!(History::read(&root.changes).unwrap().chain().len(), 20);
    for number in [7, 19, 0] {
        root.edit(|edit| edit.restore(&format!("s{number}")).unwrap());
        assert_eq!(root.first_bytes(), format!("{number:04}").as_bytes());
        assert_eq!(root.names().len(), 20);
    }
}

#[test]
fn snapshots_are_a_tree_and_room_is_given_back_when_nothing_lies_on_it() {
    let root = Root::new();
    for name in ["one", "two"] {
        root.write(name.as_bytes());
        root.take(name).unwrap();
    }
    root.edit(|edit| edit.restore("one").unwrap());
    root.write(b"else");
    root.take("three").unwrap();
    let snapshots = History::read(&root.changes).unwrap().snapshots();
    let parents: Vec<_> = snapshots.iter().map(|it| it.parent.as_deref()).collect();
    assert_eq!(parents, [None, Some("one"), Some("one")]);
    assert!(snapshots[2].is_current && !snapshots[0].is_current);
    // Nothing lies on it.
    root.edit(|edit| edit.remove("two").unwrap());
    assert_eq!(root.files().len(), 3, "{:?}", root.files());
    // The disk does.
    root.edit(|edit| edit.remove("one").unwrap());
    assert_eq!(root.files().len(), 3);
    assert_eq!(root.names(), ["three"]);
    root.edit(|edit| edit.restore("three").unwrap());
    assert_eq!(&root.first_bytes(), b"else");
}

#[test]
fn names_are_taken_once_and_must_be_there() {
    let root = Root::new();
    root.take("one").unwrap();
    assert!(matches!(root.take("one"), Err(HistoryError::Exists { .. })));
    root.edit(|edit| {
        let missing = edit.restore("two").unwrap_err();
        assert_eq!(missing.to_string(), "no such snapshot: `two`");
        edit.remove("two").unwrap_err();
    });
    assert_eq!(root.names(), ["one"]);
}

/// Copies all files, as a process that is killed now leaves them.
fn killed(root: &Root) -> Root {
    let copy = Root::new();
    for entry in fs::read_dir(root.directory.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.directory.path().join(entry.file_name())).unwrap();
    }
    copy
}

#[test]
fn a_snapshot_that_is_cut_short_is_there_or_not_and_the_disk_goes_on() {
    let root = Root::new();
    root.write(b"kept");
    let disk = root.open();
    let (mut before, mut between, mut after) = (None, None, None);
    root.edit(|edit| {
        let taken = edit.create("one", "now", |next| {
            before = Some(killed(&root));
            let taken = disk.snapshot(next, || {
                between = Some(killed(&root));
                disk.commit().unwrap();
            });
            after = Some(killed(&root));
            taken
        });
        taken.unwrap();
    });
    let states = [(before, 0), (between, 0), (after, 1)];
    for (state, count) in states {
        let state = state.unwrap();
        assert_eq!(state.names().len(), count);
        assert_eq!(&state.first_bytes(), b"kept");
        state.write(b"more");
        assert_eq!(&state.first_bytes(), b"more");
        state.take("two").unwrap();
        assert_eq!(state.names().len(), count + 1);
        assert_eq!(state.files().len(), count + 2, "{:?}", state.files());
        state.edit(|edit| edit.restore("two").unwrap());
        assert_eq!(&state.first_bytes(), b"more");
    }
}

#[test]
fn a_snapshot_without_a_commit_is_none() {
    let root = Root::new();
    root.write(b"kept");
    let disk = root.open();
    root.edit(|edit| {
        let taken = edit.create("one", "now", |next| disk.snapshot(next, || ()));
        taken.unwrap_err();
    });
    disk.write_at(0, b"more").unwrap();
    disk.commit().unwrap();
    drop(disk);
    assert!(root.names().is_empty());
    assert_eq!(root.files(), ["root.changes"]);
    assert_eq!(&root.first_bytes(), b"more");
}

#[test]
fn a_damaged_list_is_refused_and_leads_nowhere() {
    let root = Root::new();
    root.take("one").unwrap();
    let list = root.directory.path().join("root.changes.snapshots");
    let good = fs::read_to_string(&list).unwrap();
    let loops = good.replace(r#""number":0,"below":null"#, r#""number":0,"below":0"#);
    assert_ne!(loops, good);
    for bad in [
        &good[..10],
        r#"{"layers":[],"number":0,"below":7,"last":0,"taking":null}"#,
        &loops,
    ] {
        fs::write(&list, bad).unwrap();
        let read = History::read(&root.changes).unwrap_err();
        assert!(matches!(read, HistoryError::Damaged { .. }), "{bad}");
    }
}

fn make_options() -> MakeOptions {
    MakeOptions {
        identity: Identity::from_seed([1; 32]),
        time_seconds: NOW.seconds,
        block_size_bytes: Some(4096),
        label: String::new(),
        journal: Journal::Absent,
    }
}

/// Asks `e2fsck` about the disk that a chain makes.
fn check(chain: &Arc<Snapshot>, what: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.img");
    let mut bytes = vec![0; DISK_BYTES as usize];
    chain.read_at(0, &mut bytes).unwrap();
    fs::write(&path, bytes).unwrap();
    // It lies where only root's path leads.
    let tool = ["/usr/sbin/e2fsck", "/sbin/e2fsck"].into_iter();
    let tool = tool.map(Path::new).find(|path| path.exists());
    let mut command = Command::new(tool.unwrap_or(Path::new("e2fsck")));
    let output = command.arg("-fn").arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{what}: {text}");
}

#[test]
fn snapshots_of_a_file_system_that_is_written_meanwhile_are_whole() {
    let root = Root::new();
    let disk = Arc::new(root.open());
    make(&*disk, &make_options()).unwrap();
    let device: Arc<dyn Device> = disk.clone();
    let system = FileSystem::open(device, Access::ReadWrite, NOW).unwrap();
    let has_ended = AtomicBool::new(false);
    let owner = Ownership {
        uid: 0,
        gid: 0,
        mode: 0o644,
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                let name = format!("file{}", number % 50);
                let top = InodeNumber::ROOT;
                if number >= 50 {
                    system.unlink(top, name.as_bytes(), NOW).unwrap();
                }
                let made = system.create(top, name.as_bytes(), &NewInode::Regular, owner, NOW);
                let content = vec![number as u8; 3000 * (number % 7 + 1)];
                system.write(made.unwrap(), 0, &content, NOW).unwrap();
                if has_ended.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for number in 0..20 {
            let mut edit = History::edit(&root.changes, Durability::Temporary).unwrap();
            let taken = edit.create(&format!("s{number}"), "now", |next| {
                disk.snapshot(next, || system.sync(NOW).unwrap())
            });
            taken.unwrap();
        }
        has_ended.store(true, Ordering::Relaxed);
    });
    system.sync(NOW).unwrap();
    drop((system, disk));
    let chain = History::read(&root.changes).unwrap().chain();
    let mut below = Arc::new(Snapshot::nothing());
    for (number, file) in chain.iter().enumerate() {
        below = extend_chain(&below, &[file], &Limits::default()).unwrap();
        if number % 5 == 4 {
            check(&below, &format!("snapshot {number}"));
        }
    }
    assert_eq!(below.identity(), root.below().identity());
}
