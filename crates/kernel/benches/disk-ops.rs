//! What calls on files cost on a mounted disk, and natively on a directory of the host.
//!
//! `cargo bench -p minke-kernel --bench disk-ops [--json] [DIRECTORY]`, where DIRECTORY (default: that of temporary files) is where the native calls
//! are made, and where the disk's file lies. Prints nanoseconds of the process's CPU time per call, of the fastest of rounds (others on the machine only make calls slower), and how many times as fast the disk is.
//! Writing back is not part of a call, as it is not natively; the last column says what it adds.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends when something fails"
)]

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use minke_abi::linux::OpenFlags;
use minke_ext4::make::{Identity, Journal, MakeOptions, make};
use minke_ext4::{Access, Device, DeviceError};
use minke_kernel::calls::{At, Follow};
use minke_kernel::kernel::MemoryBudget;
use minke_kernel::vfs::NewInode;
use minke_kernel::vfs::ext4::{AccessTimes, CACHE_BYTES, Ext4FileSystem, Ext4Options};
use minke_kernel::{FileDescription, Task};
use rustix::time::{ClockId, clock_gettime};

use machine::Machine;

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/vfs/machine.rs"]
mod machine;

/// How often both sides do everything, one after the other.
const TURNS: u32 = 3;
/// Many short rounds rather than few long ones: some are left alone by whatever else runs.
const ROUNDS: usize = 60;
const PAGE: usize = 4096;
const MIB: usize = 1 << 20;
const DISK_BYTES: u64 = 4 << 30;
/// Memory of a container, of which caches hold parts: as much as makes them as large as they get, and less than one has by default.
const BUDGET_BYTES: u64 = 1 << 30;
/// A file as deep as those of real images.
const PATH: &str = "usr/lib/app/data";
const FILE_BYTES: usize = 8 * MIB;
/// Pages that small reads go round in: few enough for the processor's own cache.
const PAGES_READ: u32 = 64;
const MANY: u32 = 20_000;
/// Reads of each thread, where several read at once.
const READS: u32 = 200_000;

/// A disk in a file of the host.
struct FileDevice(File);

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: std::io::Error) -> DeviceError {
    DeviceError::Failed(error.to_string())
}

impl Device for FileDevice {
    fn size(&self) -> u64 {
        DISK_BYTES
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        self.0.read_exact_at(buffer, offset).map_err(failed)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.0.write_all_at(bytes, offset).map_err(failed)
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

/// The process's CPU time in nanoseconds.
fn cpu_time() -> u64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Returns the cost of a call in nanoseconds, of the fastest round.
fn measure(calls: u32, mut round: impl FnMut()) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let start = cpu_time();
        round();
        (cpu_time() - start) as f64 / f64::from(calls)
    });
    rounds.fold(f64::INFINITY, f64::min)
}

/// The calls that both sides make, of paths that begin at a directory of their own.
trait Side {
    type Open;

    /// Makes a new directory, and lets all paths begin there from now on.
    fn enter(&self, directory: &str);

    fn make_directory(&self, path: &str);
    fn create(&self, path: &str);
    fn open(&self, path: &str) -> Self::Open;
    fn stat(&self, path: &str);
    fn unlink(&self, path: &str);
    /// Returns how many names there are.
    fn list(&self, path: &str) -> usize;
    fn read(&self, file: &Self::Open, buffer: &mut [u8], offset: u64);
    fn write(&self, file: &Self::Open, bytes: &[u8], offset: u64);
    /// Writes back what was changed.
    fn settle(&self);
}

/// The directory in which everything lies.
struct Native(PathBuf);

impl Side for Native {
    type Open = File;

    fn enter(&self, directory: &str) {
        let path = self.0.join(directory);
        fs::create_dir(&path).unwrap();
        std::env::set_current_dir(path).unwrap();
    }

    fn make_directory(&self, path: &str) {
        fs::create_dir(path).unwrap();
    }

    fn create(&self, path: &str) {
        File::create_new(path).unwrap();
    }

    fn open(&self, path: &str) -> File {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        options.open(path).unwrap()
    }

    fn stat(&self, path: &str) {
        black_box(fs::metadata(path).unwrap());
    }

    fn unlink(&self, path: &str) {
        fs::remove_file(path).unwrap();
    }

    fn list(&self, path: &str) -> usize {
        fs::read_dir(path).unwrap().count()
    }

    fn read(&self, file: &File, buffer: &mut [u8], offset: u64) {
        file.read_exact_at(buffer, offset).unwrap();
    }

    fn write(&self, file: &File, bytes: &[u8], offset: u64) {
        file.write_all_at(bytes, offset).unwrap();
    }

    fn settle(&self) {}
}

struct Disk {
    task: Task,
    file_system: Arc<Ext4FileSystem>,
    _machine: Machine,
}

impl Disk {
    fn new(directory: &Path) -> Disk {
        let path = directory.join("disk");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let file = options.open(&path).unwrap();
        file.set_len(DISK_BYTES).unwrap();
        let device = FileDevice(file);
        let options = MakeOptions {
            identity: Identity::from_seed([1; 32]),
            time_seconds: 1_700_000_000,
            block_size_bytes: None,
            label: String::new(),
            journal: Journal::Absent,
        };
        make(&device, &options).unwrap();
        let options = Ext4Options {
            clock: Arc::new(machine::TickingClock::default()),
            budget: MemoryBudget::new(BUDGET_BYTES),
            is_synchronous: false,
            access_times: AccessTimes::Relative,
            bytes_max: None,
            cache_bytes_max: CACHE_BYTES,
            on_dirty: Box::new(|| {}),
        };
        let device: Arc<dyn Device> = Arc::new(device);
        let file_system = Ext4FileSystem::mount(device, Access::ReadWrite, options).unwrap();
        let machine = Machine::with_root(Arc::clone(&file_system) as _);
        Disk {
            task: machine.root(),
            file_system,
            _machine: machine,
        }
    }
}

impl Side for Disk {
    type Open = Arc<FileDescription>;

    fn enter(&self, directory: &str) {
        self.task.change_directory(At::Cwd, b"/").unwrap();
        self.make_directory(directory);
        let directory = directory.as_bytes();
        self.task.change_directory(At::Cwd, directory).unwrap();
    }

    fn make_directory(&self, path: &str) {
        let new = NewInode::Directory;
        self.task
            .make_node(At::Cwd, path.as_bytes(), &new, 0o755)
            .unwrap();
    }

    fn create(&self, path: &str) {
        let flags = OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::WRONLY;
        let fd = self
            .task
            .open(At::Cwd, path.as_bytes(), flags, 0o644)
            .unwrap();
        self.task.close(fd).unwrap();
    }

    fn open(&self, path: &str) -> Arc<FileDescription> {
        let (path, flags) = (path.as_bytes(), OpenFlags::RDWR);
        self.task.open_description(At::Cwd, path, flags, 0).unwrap()
    }

    fn stat(&self, path: &str) {
        let found = self.task.stat(At::Cwd, path.as_bytes(), Follow::Yes);
        black_box(found.unwrap());
    }

    fn unlink(&self, path: &str) {
        self.task.unlink(At::Cwd, path.as_bytes()).unwrap();
    }

    fn list(&self, path: &str) -> usize {
        let flags = OpenFlags::DIRECTORY;
        let fd = self.task.open(At::Cwd, path.as_bytes(), flags, 0).unwrap();
        let (mut count, mut cookie) = (0, 0);
        loop {
            // As much at once as fits into a C library's buffer.
            let mut room = 32 << 10;
            let before = count;
            let listed = self.task.read_directory(fd, cookie, &mut |entry| {
                let size = 19 + entry.name.len() + 8;
                if size > room {
                    return false;
                }
                room -= size;
                count += 1;
                cookie = entry.next_cookie;
                true
            });
            listed.unwrap();
            if count == before {
                self.task.close(fd).unwrap();
                // Natively, the dots are left out.
                return count - 2;
            }
        }
    }

    fn read(&self, file: &Arc<FileDescription>, buffer: &mut [u8], offset: u64) {
        assert_eq!(file.read_at(buffer, offset).unwrap(), buffer.len());
    }

    fn write(&self, file: &Arc<FileDescription>, bytes: &[u8], offset: u64) {
        assert_eq!(file.write_at(bytes, offset).unwrap(), bytes.len());
    }

    fn settle(&self) {
        self.file_system.write_back().unwrap();
    }
}

/// A measure's name, how many times as fast as natively it should be, and the nanoseconds per call and for writing back.
struct Figure {
    name: &'static str,
    reach: f64,
    call_ns: f64,
    settle_ns: f64,
}

fn figure(name: &'static str, reach: f64, call_ns: f64) -> Figure {
    Figure {
        name,
        reach,
        call_ns,
        settle_ns: 0.0,
    }
}

fn run<S: Side>(side: &S) -> Vec<Figure> {
    for directory in ["usr", "usr/lib", "usr/lib/app"] {
        side.make_directory(directory);
    }
    side.create(PATH);
    let file = side.open(PATH);
    (0..FILE_BYTES / MIB).for_each(|at| side.write(&file, &[1; MIB], (at * MIB) as u64));
    side.settle();
    let mut figures = reads(side, &file);
    figures.extend(writes(side));
    figures.extend(names(side));
    figures
}

fn reads<S: Side>(side: &S, file: &S::Open) -> Vec<Figure> {
    const CALLS: u32 = 1000;
    let each =
        |mut call: Box<dyn FnMut(u32) + '_>| measure(CALLS, || (0..CALLS).for_each(&mut *call));
    let mut page = [0; PAGE];
    let mut large = vec![0; MIB];
    let page_at = |number: u32| u64::from(number * 13 % PAGES_READ) * PAGE as u64;
    vec![
        figure(
            "4 KiB cached read",
            1.5,
            each(Box::new(|number| {
                side.read(file, &mut page, page_at(number));
            })),
        ),
        figure("stat", 2.0, each(Box::new(|_| side.stat(PATH)))),
        figure("open+close", 2.0, each(Box::new(|_| drop(side.open(PATH))))),
        figure("1 MiB cached read", 0.9, {
            let calls = 8;
            measure(calls, || {
                (0..calls).for_each(|number| {
                    side.read(file, &mut large, u64::from(number % 8) * MIB as u64);
                });
            })
        }),
    ]
}

/// Writes a new file of 16 MiB in pieces, and writes it back.
fn writes<S: Side>(side: &S) -> Vec<Figure> {
    let sizes = [
        ("4 KiB sequential write", 1.0, PAGE),
        ("1 MiB write", 0.8, MIB),
    ];
    let written = sizes.map(|(name, reach, size)| {
        let bytes = vec![2; size];
        let calls = (2 * FILE_BYTES / size) as u32;
        let mut settle = Vec::new();
        let mut rounds: Vec<f64> = (0..ROUNDS / 4)
            .map(|_| {
                side.create("new");
                let file = side.open("new");
                let start = cpu_time();
                (0..calls)
                    .for_each(|number| side.write(&file, &bytes, u64::from(number) * size as u64));
                let end = cpu_time();
                side.settle();
                settle.push((cpu_time() - end) as f64 / f64::from(calls));
                drop(file);
                side.unlink("new");
                (end - start) as f64 / f64::from(calls)
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        settle.sort_by(f64::total_cmp);
        Figure {
            settle_ns: settle[0],
            ..figure(name, reach, rounds[0])
        }
    });
    written.into()
}

fn names<S: Side>(side: &S) -> Vec<Figure> {
    let path = |directory: &str, number: u32| format!("{directory}/file-{number:06}");
    let timed = |name, reach, calls: u32, call: &mut dyn FnMut(u32)| {
        let start = cpu_time();
        (0..calls).for_each(call);
        let end = cpu_time();
        side.settle();
        Figure {
            settle_ns: (cpu_time() - end) as f64 / f64::from(calls),
            ..figure(name, reach, (end - start) as f64 / f64::from(calls))
        }
    };
    const FEW: u32 = 2_000;
    side.make_directory("few");
    let create = timed("create", 0.8, FEW, &mut |number| {
        side.create(&path("few", number));
    });
    let unlink = timed("unlink", 0.6, FEW, &mut |number| {
        side.unlink(&path("few", number));
    });
    side.make_directory("many");
    (0..MANY).for_each(|number| side.create(&path("many", number)));
    side.settle();
    let many = timed("create among 20,000", 0.5, FEW, &mut |number| {
        side.create(&path("many", MANY + number));
    });
    let count = MANY + FEW;
    let listing = measure(count, || assert_eq!(side.list("many") as u32, count));
    vec![
        create,
        unlink,
        many,
        figure("readdir, for each name", 1.0, listing),
    ]
}

/// Keeps the lower figures of two runs.
fn faster(one: Vec<Figure>, other: Vec<Figure>) -> Vec<Figure> {
    let both = one.into_iter().zip(other).map(|(one, other)| Figure {
        call_ns: one.call_ns.min(other.call_ns),
        settle_ns: one.settle_ns.min(other.settle_ns),
        ..one
    });
    both.collect()
}

/// How many times as many reads four threads do in a second as one does.
fn four_readers<S: Side + Sync>(side: &S) -> f64
where
    S::Open: Sync,
{
    let file = side.open(PATH);
    let time = |threads: u32| {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for first in 0..threads {
                let file = &file;
                scope.spawn(move || {
                    let mut page = [0; PAGE];
                    for number in 0..READS {
                        let at = (number * 13 + first) % PAGES_READ;
                        side.read(file, &mut page, u64::from(at) * PAGE as u64);
                    }
                });
            }
        });
        start.elapsed().as_secs_f64() / f64::from(threads)
    };
    let mut ratios: Vec<f64> = (0..5).map(|_| time(1) / time(4)).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[2]
}

/// Prints a line for each figure, for people.
fn print_table(theirs: &[Figure], ours: &[Figure], readers: (f64, f64)) {
    println!(
        "{:<24}{:>10}{:>10}{:>8}{:>8}{:>14}",
        "ns of CPU time", "native", "disk", "ratio", "reach", "+ write-back"
    );
    for (theirs, ours) in theirs.iter().zip(ours) {
        println!(
            "{:<24}{:>10.0}{:>10.0}{:>8.2}{:>8.1}{:>14.0}",
            ours.name,
            theirs.call_ns,
            ours.call_ns,
            theirs.call_ns / ours.call_ns,
            ours.reach,
            ours.settle_ns
        );
    }
    println!(
        "four readers to one      native {:.2}, disk {:.2}, to reach 1.8 with two processors",
        readers.0, readers.1
    );
}

/// Prints an object for each figure, for `cargo xtask bench --only disk-ops`.
fn print_json(theirs: &[Figure], ours: &[Figure], readers: (f64, f64)) {
    let line = |name: &str, unit: &str, native: f64, disk: f64, reach: f64| {
        println!(
            "{{\"benchmark\":\"disk-ops\",\"name\":\"{name}\",\"unit\":\"{unit}\",\"native\":{native},\"disk\":{disk},\"reach\":{reach}}}"
        );
    };
    for (theirs, ours) in theirs.iter().zip(ours) {
        line(ours.name, "ns", theirs.call_ns, ours.call_ns, ours.reach);
    }
    line("four readers to one", "times", readers.0, readers.1, 1.8);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let directory = arguments.iter().find(|it| !it.starts_with("--"));
    let directory = directory.map_or_else(std::env::temp_dir, PathBuf::from);
    let top = directory.join(format!("minke-disk-ops-{}", std::process::id()));
    fs::create_dir(&top).unwrap();
    let disk = Disk::new(&top);
    fs::create_dir(top.join("native")).unwrap();
    let native = Native(top.join("native"));
    let turn = |number: u32| {
        let directory = format!("turn-{number}");
        native.enter(&directory);
        let theirs = (run(&native), four_readers(&native));
        disk.enter(&directory);
        (theirs, (run(&disk), four_readers(&disk)))
    };
    // In turns, so that whatever else the machine does meets both.
    let ((theirs, their_readers), (ours, our_readers)) = (1..TURNS).map(turn).fold(
        turn(0),
        |((theirs, their_readers), (ours, our_readers)), (native, disk)| {
            (
                (faster(theirs, native.0), their_readers.max(native.1)),
                (faster(ours, disk.0), our_readers.max(disk.1)),
            )
        },
    );
    let readers = (their_readers, our_readers);
    std::env::set_current_dir("/").unwrap();
    match arguments.iter().any(|it| it == "--json") {
        true => print_json(&theirs, &ours, readers),
        false => print_table(&theirs, &ours, readers),
    }
    drop(disk);
    fs::remove_dir_all(top).unwrap();
}
