//! What tells files of snapshots from all others: it stays while the file does, and changes with its content.
#![expect(clippy::unwrap_used, reason = "a test's `unwrap` is an assertion")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minke_disk::{
    Durability, Limits, ReadOnly, WritableDisk, content_identity, extend_chain, open_chain,
};
use minke_ext4::make::{Identity, Journal, MakeOptions, make};
use minke_ext4::{Access, FileSystem, InodeNumber, NewInode, Ownership, Timestamp};

const DISK_BYTES: u64 = 16 << 20;
const NOW: Timestamp = Timestamp {
    seconds: 1_700_000_000,
    nanoseconds: 0,
};
const OWNER: Ownership = Ownership {
    uid: 0,
    gid: 0,
    mode: 0o644,
};

type Writable = FileSystem<WritableDisk>;

/// Snapshots over each other, each with what one change did.
struct Chain {
    directory: tempfile::TempDir,
    files: Vec<PathBuf>,
}

impl Chain {
    fn new() -> Chain {
        let mut chain = Chain {
            directory: tempfile::tempdir().unwrap(),
            files: Vec::new(),
        };
        chain.freeze(|disk| {
            make(
                &disk,
                &MakeOptions {
                    identity: Identity::from_seed([7; 32]),
                    time_seconds: NOW.seconds,
                    block_size_bytes: Some(4096),
                    label: String::new(),
                    journal: Journal::Absent,
                },
            )
            .unwrap();
            FileSystem::open(disk, Access::ReadWrite, NOW).unwrap()
        });
        chain
    }

    fn freeze(&mut self, change: impl FnOnce(WritableDisk) -> Writable) {
        let path = self.path(self.files.len());
        let below = open_chain(&self.files, &Limits::default()).unwrap();
        let uuid = [self.files.len() as u8; 16];
        let (durability, limits) = (Durability::Temporary, Limits::default());
        let disk = WritableDisk::create(&path, below, uuid, DISK_BYTES, durability, limits);
        let system = change(disk.unwrap());
        system.sync(NOW).unwrap();
        system.into_device().freeze().unwrap();
        self.files.push(path);
    }

    /// All at one time: no time tells what changed.
    fn change(&mut self, change: impl FnOnce(&Writable)) {
        self.freeze(|disk| {
            let system = FileSystem::open(disk, Access::ReadWrite, NOW).unwrap();
            change(&system);
            system
        });
    }

    fn path(&self, number: usize) -> PathBuf {
        Path::new(self.directory.path()).join(format!("{number}.disk"))
    }

    /// Of the file `program` on the first `count` snapshots.
    fn identity(&self, count: usize) -> [u8; 32] {
        let nothing = open_chain(&self.files[..0], &Limits::default()).unwrap();
        let chain = extend_chain(&nothing, &self.files[..count], &Limits::default()).unwrap();
        let device: ReadOnly<Arc<_>> = ReadOnly(chain);
        let system = FileSystem::open(device, Access::ReadOnly, NOW).unwrap();
        let number = system.lookup(InodeNumber::ROOT, b"program").unwrap();
        content_identity(&system, number).unwrap()
    }
}

fn make_file(system: &Writable, name: &[u8], bytes: &[u8]) {
    let made = system.create(InodeNumber::ROOT, name, &NewInode::Regular, OWNER, NOW);
    system.write(made.unwrap(), 0, bytes, NOW).unwrap();
}

fn program(system: &Writable) -> InodeNumber {
    system.lookup(InodeNumber::ROOT, b"program").unwrap()
}

#[test]
fn a_file_is_known_again_on_each_disk_that_leaves_it_alone() {
    let mut chain = Chain::new();
    chain.change(|system| make_file(system, b"program", &[1; 9000]));
    // Its inode shares a block with the program's.
    chain.change(|system| make_file(system, b"other", &[1; 9000]));
    let identity = chain.identity(2);
    assert_eq!(chain.identity(3), identity);
    chain.change(|system| {
        system.write(program(system), 8999, &[2], NOW).unwrap();
    });
    let written = chain.identity(4);
    assert_ne!(written, identity);
    chain.change(|system| {
        system.unlink(InodeNumber::ROOT, b"program", NOW).unwrap();
        make_file(system, b"program", &[3; 9000]);
    });
    let replaced = chain.identity(5);
    assert!(replaced != identity && replaced != written);
    chain.change(|system| make_file(system, b"last", b""));
    assert_eq!(chain.identity(6), replaced);
}

#[test]
fn files_without_blocks_differ_by_their_size_only() {
    let mut chain = Chain::new();
    chain.change(|system| make_file(system, b"program", b""));
    chain.change(|system| system.set_size(program(system), 5000, NOW).unwrap());
    assert_ne!(chain.identity(2), chain.identity(3));
}
