//! What it costs to read a file system through twenty snapshots that lie over each other, beside the same one as one snapshot.
//!
//! `cargo bench -p minke-disk --bench disk-chain [--json]`. Both lie below a file of changes, as a container's root does. Prints the process's CPU time
//! of the fastest of rounds, the two in turns: to open everything, and then to list, stat and read all files once, with nothing in the caches of the file system.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends when something fails"
)]

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minke_disk::{Durability, Limits, Snapshot, WritableDisk, open_chain};
use minke_ext4::make::{Identity, Journal, MakeOptions, make};
use minke_ext4::{Access, Device, FileSystem, InodeNumber, NewInode, Ownership, Timestamp};
use rustix::time::{ClockId, clock_gettime};

const DISK_BYTES: u64 = 256 << 20;
const SNAPSHOTS: usize = 20;
const DIRECTORIES: usize = 20;
/// In each directory; every snapshot writes some of them anew, as layers of images do.
const FILES: usize = 50;
const FILE_BYTES: usize = 64 << 10;
const ROUNDS: usize = 40;
/// The flat disk is written in pieces of so many bytes, without those that are only zeros.
const PIECE_BYTES: usize = 64 << 10;
const NOW: Timestamp = Timestamp {
    seconds: 1_700_000_000,
    nanoseconds: 0,
};

/// The process's CPU time in microseconds.
fn cpu_time() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

fn write_files<D: Device>(system: &FileSystem<D>, turn: usize) {
    let ownership = |mode| Ownership {
        uid: 0,
        gid: 0,
        mode,
    };
    for directory in 0..DIRECTORIES {
        let name = format!("directory-{directory}");
        let parent = match system.lookup(InodeNumber::ROOT, name.as_bytes()) {
            Ok(found) => found,
            Err(_) => {
                let new = NewInode::Directory;
                let root = InodeNumber::ROOT;
                system
                    .create(root, name.as_bytes(), &new, ownership(0o755), NOW)
                    .unwrap()
            }
        };
        for file in 0..FILES {
            let name = format!("file-{file}");
            let number = match system.lookup(parent, name.as_bytes()) {
                Ok(found) if (file + directory) % SNAPSHOTS == turn => found,
                Ok(_) => continue,
                Err(_) => {
                    let new = NewInode::Regular;
                    let made = system.create(parent, name.as_bytes(), &new, ownership(0o644), NOW);
                    made.unwrap()
                }
            };
            let bytes = vec![1 + turn as u8; FILE_BYTES];
            system.write(number, 0, &bytes, NOW).unwrap();
        }
    }
    system.sync(NOW).unwrap();
}

/// Makes the snapshots, the lowest first.
fn make_chain(top: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for turn in 0..SNAPSHOTS {
        let below = open_chain(&files, &Limits::default()).unwrap();
        let path = top.join(format!("snapshot-{turn}"));
        let disk = create(&path, below, turn as u8);
        if turn == 0 {
            let options = MakeOptions {
                identity: Identity::from_seed([1; 32]),
                time_seconds: NOW.seconds,
                block_size_bytes: Some(4096),
                label: String::new(),
                journal: Journal::Absent,
            };
            make(&disk, &options).unwrap();
        }
        let system = FileSystem::open(disk, Access::ReadWrite, NOW).unwrap();
        write_files(&system, turn);
        system.into_device().freeze().unwrap();
        files.push(path);
    }
    files
}

/// Makes one snapshot of what a chain has.
fn make_flat(top: &Path, chain: &[PathBuf]) -> PathBuf {
    let from = open_chain(chain, &Limits::default()).unwrap();
    let path = top.join("flat");
    let disk = create(&path, Arc::new(Snapshot::nothing()), SNAPSHOTS as u8);
    let mut bytes = vec![0; PIECE_BYTES];
    for offset in (0..DISK_BYTES).step_by(PIECE_BYTES) {
        from.read_at(offset, &mut bytes).unwrap();
        if bytes.iter().any(|byte| *byte != 0) {
            disk.write_at(offset, &bytes).unwrap();
        }
    }
    disk.freeze().unwrap();
    path
}

fn create(path: &Path, below: Arc<Snapshot>, uuid: u8) -> WritableDisk {
    let (durability, limits) = (Durability::Durable, Limits::default());
    WritableDisk::create(path, below, [uuid + 1; 16], DISK_BYTES, durability, limits).unwrap()
}

/// What a side took at best, in microseconds.
#[derive(Clone, Copy)]
struct Figures {
    open: f64,
    read: f64,
}

const NOT_MEASURED: Figures = Figures {
    open: f64::INFINITY,
    read: f64::INFINITY,
};

impl Figures {
    fn improve(&mut self, top: &Path, files: &[PathBuf]) {
        let changes = top.join("changes");
        let start = cpu_time();
        let below = open_chain(files, &Limits::default()).unwrap();
        let disk = create(&changes, below, u8::MAX - 1);
        let system = FileSystem::open(disk, Access::ReadWrite, NOW).unwrap();
        let opened = cpu_time();
        assert_eq!(read_all(&system), DIRECTORIES * FILES * FILE_BYTES);
        self.open = self.open.min(opened - start);
        self.read = self.read.min(cpu_time() - opened);
        fs::remove_file(changes).unwrap();
    }
}

/// Lists, stats and reads everything; returns how many bytes the files have.
fn read_all<D: Device>(system: &FileSystem<D>) -> usize {
    let (mut sum, mut buffer) = (0, vec![0; FILE_BYTES]);
    for (directory, _) in entries(system, InodeNumber::ROOT) {
        for (file, name) in entries(system, directory) {
            assert_eq!(system.lookup(directory, &name).unwrap(), file);
            black_box(system.metadata(file).unwrap());
            sum += system.read(file, 0, &mut buffer).unwrap();
            black_box(&buffer);
        }
    }
    sum
}

fn entries<D: Device>(
    system: &FileSystem<D>,
    directory: InodeNumber,
) -> Vec<(InodeNumber, Vec<u8>)> {
    let mut found = Vec::new();
    let listed = system.read_directory(directory, 0, &mut |entry| {
        if ![&b"."[..], b"..", b"lost+found"].contains(&&entry.name[..]) {
            found.push((entry.inode, entry.name.to_vec()));
        }
        true
    });
    listed.unwrap();
    found
}

fn main() {
    let top = std::env::temp_dir().join(format!("minke-disk-chain-{}", std::process::id()));
    fs::create_dir(&top).unwrap();
    let chain = make_chain(&top);
    let flat = [make_flat(&top, &chain)];
    let (mut through, mut beside) = (NOT_MEASURED, NOT_MEASURED);
    for _ in 0..ROUNDS {
        through.improve(&top, &chain);
        beside.improve(&top, &flat);
    }
    fs::remove_dir_all(top).unwrap();
    if std::env::args().any(|it| it == "--json") {
        println!(
            "{{\"benchmark\":\"disk-chain\",\"chain_open_us\":{},\"flat_open_us\":{},\"chain_read_us\":{},\"flat_read_us\":{}}}",
            through.open, beside.open, through.read, beside.read
        );
        return;
    }
    let line = |name: &str, chain: f64, flat: f64| {
        println!(
            "{name}: {SNAPSHOTS} snapshots {chain:.0} µs, one {flat:.0} µs, {:.3}×",
            chain / flat
        );
    };
    line("open", through.open, beside.open);
    line("list, stat and read", through.read, beside.read);
}
