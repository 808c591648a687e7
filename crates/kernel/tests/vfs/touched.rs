//! Changes of a disk over another one: what is found by the inodes that were touched is what is found by looking at everything.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use minke_abi::linux::OpenFlags;
use minke_ext4::{Access, Device, DeviceError, FileSystem as Driver, InodeNumber, MemoryDevice};
use minke_ext4::{NewInode, Ownership, Timestamp};
use minke_kernel::calls::{At, Follow};
use minke_kernel::vfs::FileSystem;
use minke_kernel::vfs::changes::{Before, Change, Scope, visit_changes};
use minke_kernel::vfs::ext4::{Ext4FileSystem, Ext4Options};
use minke_kernel::{Errno, Task};

use crate::disk::Disk;
use crate::machine::{Machine, Shortcuts, TickingClock};
use crate::random::{Numbers, Side, step};

const BLOCK: u64 = 4096;
/// Nobody changes a disk before the one below it is finished.
const LATER_NANOSECONDS: u64 = 1 << 40;

/// A disk over another one, which counts the blocks that are read.
struct Over {
    below: Arc<MemoryDevice>,
    own: MemoryDevice,
    written: Mutex<BTreeSet<u64>>,
    reads: AtomicU64,
}

impl Over {
    fn new(below: &Arc<MemoryDevice>) -> Arc<Over> {
        Arc::new(Over {
            below: Arc::clone(below),
            own: MemoryDevice::new(below.size()),
            written: Mutex::default(),
            reads: AtomicU64::new(0),
        })
    }

    fn written_in(&self, bytes: &Range<u64>) -> Vec<Range<u64>> {
        let written = self.written.lock().unwrap();
        let blocks = written.range(bytes.start / BLOCK..bytes.end.div_ceil(BLOCK));
        blocks
            .map(|block| block * BLOCK..(block + 1) * BLOCK)
            .collect()
    }

    fn is_written(&self, block: u64) -> bool {
        self.written.lock().unwrap().contains(&block)
    }
}

impl Device for Over {
    fn size(&self) -> u64 {
        self.below.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let length = (BLOCK - at % BLOCK).min(rest.len() as u64);
            let (part, behind) = rest.split_at_mut(length as usize);
            match self.is_written(at / BLOCK) {
                true => self.own.read_at(at, part)?,
                false => self.below.read_at(at, part)?,
            }
            self.reads.fetch_add(1, Ordering::Relaxed);
            (at, rest) = (at + length, behind);
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let end = offset + bytes.len() as u64;
        for block in offset / BLOCK..end.div_ceil(BLOCK) {
            if self.written.lock().unwrap().insert(block) {
                let mut content = [0; BLOCK as usize];
                self.below.read_at(block * BLOCK, &mut content)?;
                self.own.write_at(block * BLOCK, &content)?;
            }
        }
        self.own.write_at(offset, bytes)
    }

    fn discard(&self, _offset: u64, _length: u64) -> Result<(), DeviceError> {
        Ok(())
    }

    fn commit(&self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn mapped(&self, _offset: u64, _length: usize) -> Option<&[u8]> {
        None
    }
}

/// Two disks, of which the upper one began as the lower.
struct Pair {
    lower: Disk,
    below: Arc<Over>,
    above: Arc<Over>,
    ticks: AtomicU64,
}

impl Pair {
    fn new(lower: Disk) -> Pair {
        Pair {
            // What is read of it is counted too.
            below: Over::new(&lower.device),
            above: Over::new(&lower.device),
            lower,
            ticks: AtomicU64::new(LATER_NANOSECONDS),
        }
    }

    fn mount(&self) -> Arc<Ext4FileSystem> {
        let begin = self.ticks.fetch_add(LATER_NANOSECONDS, Ordering::Relaxed);
        let options = Ext4Options {
            clock: Arc::new(TickingClock(AtomicU64::new(begin))),
            ..self.lower.options()
        };
        let device: Arc<dyn Device> = Arc::clone(&self.above) as _;
        Ext4FileSystem::mount(device, Access::ReadWrite, options).unwrap()
    }

    fn base(&self) -> Arc<Ext4FileSystem> {
        let device: Arc<dyn Device> = Arc::clone(&self.below) as _;
        Ext4FileSystem::mount(device, Access::ReadOnly, self.lower.options()).unwrap()
    }

    fn scope(&self, upper: &Ext4FileSystem, base: &Ext4FileSystem) -> Scope {
        let mut written = |bytes: Range<u64>| Ok(self.above.written_in(&bytes));
        Scope::Among(upper.touched_since(base, &mut written).unwrap())
    }

    fn reads(&self) -> u64 {
        let count = |disk: &Over| disk.reads.swap(0, Ordering::Relaxed);
        count(&self.below) + count(&self.above)
    }
}

/// Returns all that is told of changes, in its order.
fn changes(upper: &Ext4FileSystem, lower: &Ext4FileSystem, scope: &Scope) -> String {
    let mut told = String::new();
    let visited = visit_changes::<Errno>(upper, lower, scope, &mut |change| {
        match change {
            Change::Absent { path } => writeln!(told, "- {}", String::from_utf8_lossy(path)),
            Change::Present {
                path,
                metadata,
                before,
                ..
            } => {
                let mark = match before {
                    Before::Nothing => '+',
                    Before::Other => '=',
                    Before::Same(_) => '~',
                };
                let path = String::from_utf8_lossy(path);
                let (inode, changed) = (metadata.inode, metadata.changed);
                writeln!(told, "{mark} {path} {inode} {changed:?}")
            }
        }
        .unwrap();
        Ok(())
    });
    visited.unwrap();
    told
}

fn act(numbers: &mut Numbers, side: &mut Side, steps: u64) {
    for _ in 0..steps {
        // Some cannot be done.
        let _ = side.answer(&step(numbers, side.opened.len()));
    }
}

#[test]
fn what_was_touched_tells_of_the_same_changes_as_everything() {
    let mut told = 0;
    for seed in 0..10 {
        let mut numbers = Numbers(seed);
        let lower = Disk::new(64 << 20);
        {
            let file_system = lower.mount();
            let machine = Machine::with_root(Arc::clone(&file_system) as _);
            act(&mut numbers, &mut Side::new(&machine), 400);
            file_system.write_back().unwrap();
        }
        let pair = Pair::new(lower);
        for round in 0..6 {
            let upper = pair.mount();
            let machine = Machine::with_root(Arc::clone(&upper) as _);
            let mut side = Side::new(&machine);
            let steps = [0, 1, 3, 20, 100][numbers.below(5) as usize];
            act(&mut numbers, &mut side, steps);
            if numbers.below(2) == 0 {
                upper.write_back().unwrap();
                act(&mut numbers, &mut side, steps / 2);
            }
            let base = pair.base();
            let found = changes(&upper, &base, &pair.scope(&upper, &base));
            let expected = changes(&upper, &base, &Scope::Everywhere);
            assert_eq!(found, expected, "seed {seed}, round {round}");
            told += expected.lines().count();
            upper.write_back().unwrap();
        }
    }
    assert!(told > 500, "{told} changes try nothing");
}

/// A disk with 50,000 files in 1,000 directories.
fn large() -> Disk {
    let disk = Disk::new(1 << 30);
    let time = Timestamp::default();
    let system = Driver::open(Arc::clone(&disk.device), Access::ReadWrite, time).unwrap();
    let ownership = Ownership {
        uid: 0,
        gid: 0,
        mode: 0o755,
    };
    let make = |directory: InodeNumber, name: String, new: &NewInode<'_>| {
        let made = system.create(directory, name.as_bytes(), new, ownership, time);
        made.unwrap()
    };
    for outer in 0..20 {
        let outer = make(InodeNumber::ROOT, format!("d{outer}"), &NewInode::Directory);
        for inner in 0..50 {
            let inner = make(outer, format!("d{inner}"), &NewInode::Directory);
            for file in 0..50 {
                make(inner, format!("file{file}"), &NewInode::Regular);
            }
        }
    }
    system.sync(time).unwrap();
    disk
}

/// The figure stands in `docs/SPECIFICATION.md`.
#[test]
fn three_changes_among_50000_files_are_found_in_few_blocks() {
    let pair = Pair::new(large());
    let upper = pair.mount();
    let task: Task = Machine::with_root(Arc::clone(&upper) as _).root();
    let file = task.opened("/d3/d14/file15", OpenFlags::WRONLY).unwrap();
    file.write(b"changed").unwrap();
    task.change_mode(At::Cwd, b"/d9/d26/file5", 0o600, Follow::Yes)
        .unwrap();
    task.put("/d19/d49/new", b"new").unwrap();
    drop((file, task));
    upper.write_back().unwrap();
    drop(upper);

    let measure = |scope: &dyn Fn(&Ext4FileSystem, &Ext4FileSystem) -> Scope| {
        let (upper, base) = (pair.mount(), pair.base());
        pair.reads();
        let told = changes(&upper, &base, &scope(&upper, &base));
        (told, pair.reads())
    };
    let (expected, everything) = measure(&|_, _| Scope::Everywhere);
    let (found, touched) = measure(&|upper, base| pair.scope(upper, base));
    assert_eq!(found, expected);
    assert_eq!(expected.lines().count(), 4, "{expected}");
    assert!(everything > 8_000, "{everything} blocks read of everything");
    assert!(touched <= 60, "{touched} blocks read of what was touched");
}

#[test]
fn a_directory_with_the_number_of_the_file_in_whose_place_it_is_is_another() {
    let lower = Disk::new(64 << 20);
    {
        let file_system = lower.mount();
        let machine = Machine::with_root(Arc::clone(&file_system) as Arc<dyn FileSystem>);
        machine.root().put("/a", b"text").unwrap();
        file_system.write_back().unwrap();
    }
    let pair = Pair::new(lower);
    let upper = pair.mount();
    let task = Machine::with_root(Arc::clone(&upper) as _).root();
    let number = |path: &[u8]| task.stat(At::Cwd, path, Follow::No).unwrap().inode;
    let before = number(b"/a");
    task.unlink(At::Cwd, b"/a").unwrap();
    // Directories are spread over the disk, but for those that are next to their own.
    for attempt in 0.. {
        assert!(attempt < 10_000, "the number is not given again");
        Shortcuts::mkdir(&task, "/a").unwrap();
        if number(b"/a") == before {
            break;
        }
        let aside = format!("/aside{attempt}");
        let flags = minke_kernel::vfs::RenameFlags::empty();
        task.rename(At::Cwd, b"/a", At::Cwd, aside.as_bytes(), flags)
            .unwrap();
    }
    let told = changes(&upper, &pair.base(), &Scope::Everywhere);
    assert!(told.lines().any(|line| line.starts_with("= a ")), "{told}");
}

#[test]
fn a_file_with_names_in_several_directories_is_told_under_each() {
    let lower = Disk::new(64 << 20);
    {
        let file_system = lower.mount();
        let machine = Machine::with_root(Arc::clone(&file_system) as Arc<dyn FileSystem>);
        let task = machine.root();
        for directory in ["/a", "/b", "/b/c"] {
            Shortcuts::mkdir(&task, directory).unwrap();
        }
        task.put("/a/one", b"text").unwrap();
        for name in ["/b/two", "/b/c/three", "/a/four"] {
            let (old, new) = (b"/a/one", name.as_bytes());
            task.link(At::Cwd, old, At::Cwd, new, Follow::No).unwrap();
        }
        file_system.write_back().unwrap();
    }
    let pair = Pair::new(lower);
    let upper = pair.mount();
    let task = Machine::with_root(Arc::clone(&upper) as _).root();
    task.change_mode(At::Cwd, b"/b/c/three", 0o600, Follow::Yes)
        .unwrap();
    let base = pair.base();
    let told = changes(&upper, &base, &pair.scope(&upper, &base));
    let paths: Vec<_> = told
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    assert_eq!(paths, ["b/two", "b/c/three", "a/four", "a/one"]);
}
