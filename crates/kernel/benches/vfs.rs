//! What calls on files cost: on minke's file systems, and natively on a directory of the host.
//!
//! `cargo bench -p minke-kernel --bench vfs [DIRECTORY]`, where DIRECTORY (default `/dev/shm`) is where the native
//! calls are made. Prints nanoseconds per call: the median of rounds.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends when something fails"
)]

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use minke_abi::linux::{FileType, OpenFlags};
use minke_kernel::Task;
use minke_kernel::calls::{At, Follow};
use minke_kernel::process::Credentials;
use minke_kernel::vfs::memory::MemoryFileSystem;
use minke_kernel::vfs::proc::ProcFileSystem;
use minke_kernel::vfs::tree::{ByteRange, Bytes, TreeBuilder, TreeEntry, TreeKind, TreeOwner};
use minke_kernel::vfs::{FileSystem, MountOptions, NewInode};

use machine::{Machine, memory_options};

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/vfs/machine.rs"]
mod machine;

const ROUNDS: usize = 31;
const CALLS_PER_ROUND: u32 = 2000;
const PAGE: usize = 4096;
/// A file as deep as those of real images.
const PATH: &str = "usr/lib/app/data";

/// Returns the median cost of a call in nanoseconds.
fn measure(mut call: impl FnMut()) -> u128 {
    let mut rounds: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..CALLS_PER_ROUND).for_each(|_| call());
            start.elapsed().as_nanos() / u128::from(CALLS_PER_ROUND)
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

/// stat, open+close, read, write.
type Costs = [u128; 4];

fn guest(task: &Task) -> Costs {
    let path = format!("/{PATH}");
    let path = path.as_bytes();
    let mut buffer = [0; PAGE];
    let file = task
        .open_description(At::Cwd, path, OpenFlags::RDWR, 0)
        .unwrap();
    [
        measure(|| {
            black_box(task.stat(At::Cwd, path, Follow::Yes).unwrap());
        }),
        measure(|| {
            let fd = task.open(At::Cwd, path, OpenFlags::RDONLY, 0).unwrap();
            task.close(fd).unwrap();
        }),
        measure(|| {
            black_box(file.read_at(&mut buffer, 0).unwrap());
        }),
        measure(|| {
            black_box(file.write_at(&buffer, 0).unwrap());
        }),
    ]
}

fn native(top: &Path) -> Costs {
    let top = top.join(format!("minke-bench-{}", std::process::id()));
    let path = top.join(PATH);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, [1; 2 * PAGE]).unwrap();
    let mut buffer = [0; PAGE];
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let costs = [
        measure(|| {
            black_box(std::fs::metadata(&path).unwrap());
        }),
        measure(|| drop(File::open(&path).unwrap())),
        measure(|| {
            black_box(file.read_at(&mut buffer, 0).unwrap());
        }),
        measure(|| {
            black_box(file.write_at(&buffer, 0).unwrap());
        }),
    ];
    std::fs::remove_dir_all(top).unwrap();
    costs
}

fn lower() -> Arc<dyn FileSystem> {
    let mut builder = TreeBuilder::new();
    let bytes: Arc<dyn Bytes> = Arc::new(vec![1; 2 * PAGE]);
    for n in 0..500 {
        let content = ByteRange::new(Arc::clone(&bytes), 0, 2 * PAGE).unwrap();
        let owner = TreeOwner {
            mode: 0o644,
            ..TreeOwner::default()
        };
        let entry = TreeEntry {
            owner,
            kind: TreeKind::Regular(content),
            extended: Vec::new(),
        };
        let path = if n == 0 {
            PATH.to_owned()
        } else {
            format!("usr/lib/app/other{n}")
        };
        builder.add(path.as_bytes(), entry).unwrap();
    }
    Arc::new(builder.finish())
}

/// Mounts as a container has them, so that walks meet the filter.
fn add_mounts(machine: &Machine) {
    let mounts = &machine.kernel.mounts;
    for path in ["/proc", "/dev", "/etc", "/tmp", "/data"] {
        mounts
            .make_mount_point(path.as_bytes(), FileType::Directory)
            .unwrap();
        let file_system = ProcFileSystem::new(&machine.kernel);
        mounts
            .mount(path.as_bytes(), file_system, MountOptions::default())
            .unwrap();
    }
}

fn tmpfs() -> Machine {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    for path in ["/usr", "/usr/lib", "/usr/lib/app"] {
        task.make_node(At::Cwd, path.as_bytes(), &NewInode::Directory, 0o755)
            .unwrap();
    }
    let path = format!("/{PATH}");
    let flags = OpenFlags::CREAT | OpenFlags::WRONLY;
    let file = task
        .open_description(At::Cwd, path.as_bytes(), flags, 0o666)
        .unwrap();
    file.write(&[1; 2 * PAGE]).unwrap();
    add_mounts(&machine);
    machine
}

fn overlay() -> Machine {
    let machine =
        Machine::with_root(MemoryFileSystem::overlay(&lower(), memory_options()).unwrap());
    add_mounts(&machine);
    machine
}

fn main() {
    let directory = std::env::args()
        .skip(1)
        .find(|argument| argument != "--bench");
    let directory = PathBuf::from(directory.unwrap_or_else(|| "/dev/shm".to_owned()));
    println!(
        "{:<16}{:>8}{:>12}{:>8}{:>8}",
        "ns", "stat", "open+close", "read", "write"
    );
    let print = |name: &str, [stat, open, read, write]: Costs| {
        println!("{name:<16}{stat:>8}{open:>12}{read:>8}{write:>8}");
    };
    print("native", native(&directory));
    print("tmpfs", guest(&tmpfs().root()));
    let machine = overlay();
    print("overlay", guest(&machine.root()));
    let machine = tmpfs();
    print("tmpfs, as user", {
        let root = machine.root();
        let path = format!("/{PATH}");
        root.change_mode(At::Cwd, path.as_bytes(), 0o666, Follow::Yes)
            .unwrap();
        guest(&machine.task(Credentials::user(1000, 1000)))
    });
}
