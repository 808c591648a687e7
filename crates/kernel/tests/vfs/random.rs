//! Random operations on a disk, and on a tmpfs or in a directory of the host, which must answer alike; then the disk is mounted again, and
//! `e2fsck` looks at it.

use std::collections::BTreeMap;
use std::sync::Arc;

use minke_abi::linux::{FileType, OpenFlags};
use minke_kernel::calls::extended::SetExtended;
use minke_kernel::calls::{At, Follow};
use minke_kernel::descriptor::SeekTarget;
use minke_kernel::vfs::{NewInode, RenameFlags};
use minke_kernel::{Allocation, Errno, FileDescription, Result, Task};

use crate::disk::Disk;
use crate::host::Host;
use crate::machine::{Machine, Shortcuts};

const SEEDS: u64 = 4;
/// Seeds of the comparison with the host, which is quick.
const SEEDS_HOST: u64 = 16;
const STEPS: u64 = 4_000;
/// Steps between two times at which all is written back and mounted again.
const STEPS_MOUNTED: u64 = 1_000;
pub(crate) const OPENED_MAX: usize = 8;
const FILE_BYTES_MAX: u64 = 300_000;

/// Numbers that look random and are always the same.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A file system and what is open on it.
pub(crate) struct Side {
    task: Task,
    pub(crate) opened: Vec<Arc<FileDescription>>,
}

/// One operation, to be done on both sides.
#[derive(Debug)]
pub(crate) enum Step {
    Make(String, Kind),
    Symlink(String, String),
    Link(String, String),
    Unlink(String),
    RemoveDirectory(String),
    Rename(String, String, RenameFlags),
    Write(String, u64, Vec<u8>),
    Append(String, Vec<u8>),
    Truncate(String, u64),
    Allocate(String, u64, u64, Allocation),
    ReadAll(String),
    Seek(String, SeekTarget),
    Mode(String, u32),
    Owner(String, u32),
    SetExtended(String, String, Vec<u8>),
    RemoveExtended(String, String),
    Open(String),
    ReadOpened(usize, u64, usize),
    WriteOpened(usize, u64, Vec<u8>),
    CutOpened(usize, u64),
    StatOpened(usize),
    Close(usize),
    ChangeDirectory(String),
    CurrentDirectory,
    List(String),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Regular,
    Directory,
    Fifo,
    Device,
}

/// What both sides must agree on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Nothing,
    Number(u64),
    Bytes(Vec<u8>),
    Names(Vec<String>),
    /// Kind, mode, links, owner, size.
    Attributes(FileType, u32, u32, u32, u64),
}

/// What can be seen of a path: its attributes, its content, and its extended attributes by name.
pub(crate) type Seen = (Answer, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

fn name(numbers: &mut Numbers) -> String {
    match numbers.below(20) {
        0 => "n".repeat(255),
        1 => "m".repeat(256),
        2 => "d0/..".to_owned(),
        number => format!("{}{}", ["a", "d"][(number % 2) as usize], numbers.below(12)),
    }
}

fn path(numbers: &mut Numbers) -> String {
    let depth = numbers.below(3);
    let mut path = if numbers.below(8) == 0 {
        String::new()
    } else {
        "/".to_owned()
    };
    for _ in 0..depth {
        path += &format!("d{}/", numbers.below(4));
    }
    path + &name(numbers)
}

fn bytes(numbers: &mut Numbers) -> Vec<u8> {
    let length = match numbers.below(4) {
        0 => numbers.below(100),
        1 => 4096,
        2 => numbers.below(10_000),
        _ => numbers.below(3) * 4096,
    };
    let first = numbers.below(256);
    (0..length).map(|at| (first + at * 7) as u8).collect()
}

fn offset(numbers: &mut Numbers) -> u64 {
    match numbers.below(3) {
        0 => numbers.below(FILE_BYTES_MAX / 4096) * 4096,
        1 => numbers.below(10_000),
        _ => numbers.below(FILE_BYTES_MAX),
    }
}

pub(crate) fn step(numbers: &mut Numbers, opened: usize) -> Step {
    let some = numbers.below(opened.max(1) as u64) as usize;
    let path = path(numbers);
    match numbers.below(38) {
        0..3 => Step::Make(path, Kind::Regular),
        3..7 => Step::Make(path, Kind::Directory),
        7 => Step::Make(path, [Kind::Fifo, Kind::Device][numbers.below(2) as usize]),
        8 => {
            let length = 1 + numbers.below(120) as usize;
            let targets = ["d1".to_owned(), "/d0/a1".to_owned(), "x".repeat(length)];
            Step::Symlink(targets[numbers.below(3) as usize].clone(), path)
        }
        9 => Step::Link(path, self::path(numbers)),
        10..12 => Step::Unlink(path),
        12 => Step::RemoveDirectory(path),
        13..17 => {
            let flags = [
                RenameFlags::empty(),
                RenameFlags::empty(),
                RenameFlags::NOREPLACE,
                RenameFlags::EXCHANGE,
            ];
            Step::Rename(path, self::path(numbers), flags[numbers.below(4) as usize])
        }
        17..20 => Step::Write(path, offset(numbers), bytes(numbers)),
        20 => Step::Append(path, bytes(numbers)),
        21 => Step::Truncate(path, offset(numbers)),
        22 => {
            let kinds = [Allocation::Extend, Allocation::KeepSize, Allocation::Hole];
            let kind = kinds[numbers.below(3) as usize];
            Step::Allocate(path, offset(numbers), 1 + numbers.below(20_000), kind)
        }
        23..25 => Step::ReadAll(path),
        25 => Step::Seek(path, SeekTarget::End(0)),
        26 => Step::Mode(path, numbers.below(0o10000) as u32),
        27 => Step::Owner(path, numbers.below(100_000) as u32),
        28 => Step::SetExtended(path, format!("user.{}", numbers.below(3)), bytes(numbers)),
        29 => Step::RemoveExtended(path, format!("user.{}", numbers.below(3))),
        30 => Step::Open(path),
        31 => Step::ReadOpened(some, offset(numbers), numbers.below(20_000) as usize),
        32 => Step::WriteOpened(some, offset(numbers), bytes(numbers)),
        33 => Step::CutOpened(some, offset(numbers)),
        34 => Step::StatOpened(some),
        35 => match numbers.below(2) {
            0 => Step::Close(some),
            _ => Step::ChangeDirectory(path),
        },
        36 => Step::CurrentDirectory,
        _ => Step::List(path),
    }
}

impl Side {
    pub(crate) fn new(machine: &Machine) -> Side {
        Side {
            task: machine.root(),
            opened: Vec::new(),
        }
    }

    fn attributes(&self, metadata: &minke_kernel::vfs::Metadata) -> Answer {
        // Each file system has its own idea of a directory's size.
        let size = match metadata.file_type {
            FileType::Directory => 0,
            _ => metadata.size,
        };
        let (mode, links) = (metadata.mode, metadata.links);
        Answer::Attributes(metadata.file_type, mode, links, metadata.uid, size)
    }

    pub(crate) fn answer(&mut self, step: &Step) -> Result<Answer> {
        let task = &self.task;
        let done = match step {
            Step::Make(path, kind) => {
                let new = match kind {
                    Kind::Regular => NewInode::Regular,
                    Kind::Directory => NewInode::Directory,
                    Kind::Fifo => NewInode::Fifo,
                    Kind::Device => NewInode::CharacterDevice(0x0103),
                };
                task.make_node(At::Cwd, path.as_bytes(), &new, 0o777)
            }
            Step::Symlink(target, path) => {
                task.symlink(target.as_bytes(), At::Cwd, path.as_bytes())
            }
            Step::Link(old, new) => {
                task.link(At::Cwd, old.as_bytes(), At::Cwd, new.as_bytes(), Follow::No)
            }
            Step::Unlink(path) => task.unlink(At::Cwd, path.as_bytes()),
            Step::RemoveDirectory(path) => task.remove_directory(At::Cwd, path.as_bytes()),
            Step::Rename(old, new, flags) => {
                task.rename(At::Cwd, old.as_bytes(), At::Cwd, new.as_bytes(), *flags)
            }
            Step::Truncate(path, size) => task.truncate(At::Cwd, path.as_bytes(), *size),
            Step::Mode(path, mode) => {
                task.change_mode(At::Cwd, path.as_bytes(), *mode, Follow::Yes)
            }
            Step::Owner(path, uid) => {
                task.change_owner(At::Cwd, path.as_bytes(), Some(*uid), None, Follow::No)
            }
            Step::SetExtended(path, name, value) => {
                let (path, name) = (path.as_bytes(), name.as_bytes());
                // What an inode has room for is the file system's own business.
                let value = &value[..value.len().min(500)];
                let new = (value, SetExtended::Either);
                task.set_extended_attribute(At::Cwd, path, name, new, Follow::Yes)
            }
            Step::RemoveExtended(path, name) => {
                let (path, name) = (path.as_bytes(), name.as_bytes());
                task.remove_extended_attribute(At::Cwd, path, name, Follow::Yes)
            }
            Step::ChangeDirectory(path) => task.change_directory(At::Cwd, path.as_bytes()),
            _ => return self.answer_of_open(step),
        };
        done.map(|()| Answer::Nothing)
    }

    /// Answers to what opens something or uses what is open.
    fn answer_of_open(&mut self, step: &Step) -> Result<Answer> {
        match step {
            Step::Write(path, offset, bytes) => {
                let file = self.file(path, OpenFlags::WRONLY | OpenFlags::CREAT)?;
                file.write_at(bytes, *offset)
                    .map(|count| Answer::Number(count as u64))
            }
            Step::Append(path, bytes) => {
                let file = self.file(path, OpenFlags::WRONLY | OpenFlags::APPEND)?;
                file.write(bytes)?;
                file.seek(SeekTarget::Current(0)).map(Answer::Number)
            }
            Step::Allocate(path, offset, length, kind) => {
                let file = self.file(path, OpenFlags::WRONLY)?;
                file.file
                    .allocate(*offset, *length, *kind)
                    .map(|()| Answer::Nothing)
            }
            Step::ReadAll(path) => {
                self.file(path, OpenFlags::RDONLY)?;
                self.task.get(path).map(Answer::Bytes)
            }
            Step::Seek(path, target) => {
                let file = self.file(path, OpenFlags::RDONLY)?;
                file.seek(*target).map(Answer::Number)
            }
            Step::Open(path) => {
                let file = self.file(path, OpenFlags::RDWR)?;
                if self.opened.len() < OPENED_MAX {
                    self.opened.push(file);
                }
                Ok(Answer::Nothing)
            }
            Step::CurrentDirectory => self.task.current_directory().map(Answer::Bytes),
            Step::List(path) => self.task.names(path).map(Answer::Names),
            _ => self.answer_of_opened(step),
        }
    }

    fn answer_of_opened(&mut self, step: &Step) -> Result<Answer> {
        let (Step::ReadOpened(index, ..)
        | Step::WriteOpened(index, ..)
        | Step::CutOpened(index, _)
        | Step::StatOpened(index)
        | Step::Close(index)) = step
        else {
            unreachable!("the others were answered")
        };
        if self.opened.is_empty() {
            return Ok(Answer::Nothing);
        }
        let file = Arc::clone(&self.opened[*index]);
        match step {
            Step::ReadOpened(_, offset, length) => {
                let mut buffer = vec![0; *length];
                let count = file.read_at(&mut buffer, *offset)?;
                buffer.truncate(count);
                Ok(Answer::Bytes(buffer))
            }
            Step::WriteOpened(_, offset, bytes) => file
                .write_at(bytes, *offset)
                .map(|count| Answer::Number(count as u64)),
            Step::CutOpened(_, size) => {
                let change = minke_kernel::vfs::AttributeChange {
                    size: Some(*size),
                    ..Default::default()
                };
                file.inode()?
                    .set_attributes(&change)
                    .map(|()| Answer::Nothing)
            }
            Step::StatOpened(_) => Ok(self.attributes(&file.file.metadata()?)),
            _ => {
                self.opened.swap_remove(*index);
                Ok(Answer::Nothing)
            }
        }
    }

    /// Opens a regular file; fifos would wait, and devices are the kernel's.
    fn file(&self, path: &str, flags: OpenFlags) -> Result<Arc<FileDescription>> {
        let found = self.task.stat(At::Cwd, path.as_bytes(), Follow::Yes);
        match found {
            Ok(metadata) if metadata.file_type != FileType::Regular => Err(Errno::EINVAL),
            _ => self.task.opened(path, flags),
        }
    }

    /// All that can be seen from the top, by path.
    fn tree(&self) -> BTreeMap<String, Seen> {
        let mut tree = BTreeMap::new();
        let mut pending = vec![String::new()];
        while let Some(directory) = pending.pop() {
            for name in self.task.names(&format!("{directory}/")).unwrap() {
                let path = format!("{directory}/{name}");
                if path == "/lost+found" {
                    continue;
                }
                let at = path.as_bytes();
                let metadata = self.task.stat(At::Cwd, at, Follow::No).unwrap();
                let content = match metadata.file_type {
                    FileType::Regular => self.task.get(&path).unwrap(),
                    FileType::Symlink => self.task.read_link(At::Cwd, at).unwrap(),
                    FileType::Directory => {
                        pending.push(path.clone());
                        Vec::new()
                    }
                    _ => metadata.device_id.to_le_bytes().to_vec(),
                };
                let names = self.task.extended_attributes(At::Cwd, at, Follow::No);
                let mut extended: Vec<_> = names
                    .unwrap()
                    .into_iter()
                    .map(|name| {
                        let value = self.task.extended_attribute(At::Cwd, at, &name, Follow::No);
                        (name, value.unwrap())
                    })
                    .collect();
                extended.sort();
                tree.insert(path, (self.attributes(&metadata), content, extended));
            }
        }
        tree
    }
}

/// What a disk is compared with.
trait Oracle {
    /// Leaves out of a step what it cannot judge.
    fn judged(step: Step) -> Step {
        step
    }
    fn answer(&mut self, step: &Step) -> Result<Answer>;
    fn tree(&self) -> BTreeMap<String, Seen>;
}

impl Oracle for Side {
    fn answer(&mut self, step: &Step) -> Result<Answer> {
        Side::answer(self, step)
    }

    fn tree(&self) -> BTreeMap<String, Seen> {
        Side::tree(self)
    }
}

impl Oracle for Host {
    /// What sticky directories keep root from depends on settings of the host (Linux: `fs.protected_regular`), and here any write drops
    /// the bits that let a program run as its owner, also one of root.
    fn judged(step: Step) -> Step {
        match step {
            Step::Mode(path, mode) => Step::Mode(path, mode & 0o777),
            other => other,
        }
    }

    fn answer(&mut self, step: &Step) -> Result<Answer> {
        Host::answer(self, step)
    }

    fn tree(&self) -> BTreeMap<String, Seen> {
        Host::tree(self)
    }
}

/// Does the same on both sides, until the disk is to be mounted again.
fn run<O: Oracle>(numbers: &mut Numbers, model: &mut O, disk: &mut Side, what: &str) {
    for number in 0..STEPS_MOUNTED {
        let step = O::judged(step(numbers, disk.opened.len()));
        let (expected, found) = (model.answer(&step), disk.answer(&step));
        let is_same = match (&expected, &found) {
            // The top has a directory of the file system's own.
            (Ok(Answer::Names(expected)), Ok(Answer::Names(found))) => {
                found.iter().filter(|it| *it != "lost+found").eq(expected)
            }
            _ => expected == found,
        };
        assert!(
            is_same,
            "{what}, step {number}: {step:?} gives {found:?}, expected {expected:?}"
        );
    }
    compare_trees(&model.tree(), &disk.tree(), what);
}

fn compare_trees(expected: &BTreeMap<String, Seen>, found: &BTreeMap<String, Seen>, what: &str) {
    for (path, expected) in expected {
        assert_eq!(Some(expected), found.get(path), "{what}: {path}");
    }
    assert!(found.keys().eq(expected.keys()), "{what}: names differ");
}

/// Does random operations on a disk and on what `oracle` makes for each round, which keeps what the rounds before it left.
fn compare<O: Oracle>(seed: u64, oracle: impl Fn() -> O) {
    let mut numbers = Numbers(seed);
    let disk = Disk::new(64 << 20);
    for round in 0..STEPS / STEPS_MOUNTED {
        let what = format!("seed {seed}, round {round}");
        let mut model = oracle();
        let file_system = disk.mount();
        let machine = Machine::with_root(Arc::clone(&file_system) as _);
        let mut side = Side::new(&machine);
        run(&mut numbers, &mut model, &mut side, &what);
        file_system.write_back().unwrap();
        drop((side, machine, file_system));
        // Files without a name that were open are freed when it is mounted.
        let again = Side::new(&Machine::with_root(disk.mount()));
        compare_trees(
            &model.tree(),
            &again.tree(),
            &format!("{what}, mounted again"),
        );
        disk.check(&what);
    }
}

#[test]
fn a_disk_answers_as_memory_does_and_keeps_it() {
    for seed in 0..SEEDS {
        let memory = Machine::with_tmpfs();
        compare(seed, || Side::new(&memory));
    }
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "who reads the output is told what was not compared"
)]
fn a_disk_answers_as_a_directory_of_the_host_does() {
    for seed in SEEDS..SEEDS + SEEDS_HOST {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        if !Host::new(&path).can_answer() {
            println!(
                "not compared: owners and devices need root, and {path:?} has to keep extended attributes"
            );
            return;
        }
        compare(seed, || Host::new(&path));
    }
}
