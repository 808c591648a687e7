//! Random operations on our file system and on the model, with the same answers; then the same tree, also for the drivers of others, and an image that `e2fsck` finds clean.
//!
//! `MINKE_EXT4_SEED` repeats a run, `MINKE_EXT4_OPERATIONS` sets how many operations an image gets.

use minke_ext4::{
    Access, AttributeChange, AttributeMode, Error, FileSystem, FileType, InodeNumber, MemoryDevice,
    NewInode, Ownership, Preallocation, RenameMode, Timestamp,
};

use crate::e2fsprogs::{Image, MATRIX};
use crate::model::{Model, ModelInode};
use crate::oracles;

/// Operations for each image unless the environment says otherwise: a million for all of them, which take some 45 s of one processor.
const OPERATIONS_DEFAULT: u64 = 36_000;
/// Operations between two checks of everything.
const CHECK_INTERVAL: u64 = 10_000;
/// Largest file.
const FILE_BYTES_MAX: u64 = 400_000;
/// Numbers of inodes that the tree is kept below.
const INODES_MAX: usize = 600;

/// Numbers without a pattern. Steele and others: SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len() as u64) as usize])
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        let start = self.next();
        (0..length)
            .map(|index| (start.wrapping_add(index * 0x9e37) >> 3) as u8)
            .collect()
    }
}

struct Run {
    system: FileSystem<MemoryDevice>,
    model: Model,
    random: Random,
    /// Seconds of the next operation.
    now: i64,
    opened: Vec<InodeNumber>,
}

impl Run {
    fn now(&self) -> Timestamp {
        Timestamp {
            seconds: self.now,
            nanoseconds: 0,
        }
    }

    fn directory(&mut self) -> InodeNumber {
        // One is preferred, so that it grows.
        let all = self.model.of_kind(|kind| kind == FileType::Directory);
        match self.random.below(3) {
            0 => InodeNumber::ROOT,
            _ => self.random.pick(&all).unwrap(),
        }
    }

    fn any(&mut self, is_wanted: impl Fn(FileType) -> bool) -> Option<InodeNumber> {
        let all = self.model.of_kind(is_wanted);
        self.random.pick(&all)
    }

    fn new_name(&mut self) -> Vec<u8> {
        let length = self.random.below(40) * self.random.below(7);
        let number = self.random.below(2000);
        format!("{number}-{}", "n".repeat(length as usize)).into_bytes()
    }

    /// Mostly a name that is there.
    fn name_in(&mut self, directory: InodeNumber) -> Vec<u8> {
        let names: Vec<&[u8]> = self.model.inodes[&directory]
            .entries
            .keys()
            .map(Vec::as_slice)
            .filter(|it| *it != b"lost+found")
            .collect();
        let name = self.random.pick(&names).map(<[u8]>::to_vec);
        match (self.random.below(10), name) {
            (1.., Some(name)) => name,
            _ => self.new_name(),
        }
    }

    fn step(&mut self) {
        self.now += 1;
        let is_full = self.model.inodes.len() > INODES_MAX;
        match self.random.below(100) {
            0..18 if !is_full => self.create(),
            0..25 => self.unlink(),
            25..29 => self.remove_directory(),
            29..33 => self.link(),
            33..40 => self.rename(),
            40..60 => self.write(),
            60..65 => self.set_size(),
            65..67 => self.punch(),
            67..69 => self.preallocate(),
            69..74 => self.set_attribute(),
            74..76 => self.remove_attribute(),
            76..79 => self.change(),
            79..82 => self.open_or_close(),
            82..83 => self.system.sync(self.now()).unwrap(),
            83..95 => self.read(),
            _ => self.look_up(),
        }
    }

    fn create(&mut self) {
        let directory = self.directory();
        let name = self.new_name();
        let target = vec![b't'; 1 + self.random.below(130) as usize];
        let new = match self.random.below(12) {
            0..6 => NewInode::Regular,
            6..9 => NewInode::Directory,
            9 => NewInode::Symlink(&target),
            10 => NewInode::Fifo,
            _ => NewInode::CharacterDevice(4, 300),
        };
        let kind = match new {
            NewInode::Regular => FileType::Regular,
            NewInode::Directory => FileType::Directory,
            NewInode::Symlink(_) => FileType::Symlink,
            NewInode::Fifo => FileType::Fifo,
            _ => FileType::CharacterDevice,
        };
        let mode = self.random.below(0o10000) as u16;
        let ownership = Ownership {
            uid: 70_000,
            gid: 5,
            mode,
        };
        let expected = self.model.check_create(directory, &name);
        let found = self
            .system
            .create(directory, &name, &new, ownership, self.now());
        match (expected, found) {
            (Ok(()), Ok(number)) => {
                let mut inode = ModelInode::new(kind, mode, directory);
                inode.uid = 70_000;
                if kind == FileType::Symlink {
                    inode.content = target;
                }
                self.model.create(directory, &name, number, inode);
            }
            (Ok(()), Err(Error::NoSpace)) => {}
            (expected, found) => assert_eq!(expected, found.map(drop)),
        }
    }

    fn unlink(&mut self) {
        let directory = self.directory();
        let name = self.name_in(directory);
        let found = self.system.unlink(directory, &name, self.now());
        assert_eq!(self.model.unlink(directory, &name), found);
    }

    fn remove_directory(&mut self) {
        let directory = self.directory();
        let name = self.name_in(directory);
        let found = self.system.remove_directory(directory, &name, self.now());
        assert_eq!(self.model.remove_directory(directory, &name), found);
    }

    fn link(&mut self) {
        let directory = self.directory();
        let name = self.new_name();
        let Some(target) = self.any(|_| true) else {
            return;
        };
        let expected = self.model.check_link(directory, &name, target);
        match (
            expected,
            self.system.link(directory, &name, target, self.now()),
        ) {
            (Ok(()), Ok(())) => self.model.link(directory, &name, target),
            (Ok(()), Err(Error::NoSpace)) => {}
            (expected, found) => assert_eq!(expected, found),
        }
    }

    fn rename(&mut self) {
        let (from, to) = (self.directory(), self.directory());
        let old = self.name_in(from);
        let new = if self.random.below(2) == 0 {
            self.name_in(to)
        } else {
            self.new_name()
        };
        let mode = match self.random.below(4) {
            0 => RenameMode::Exchange,
            1 => RenameMode::KeepExisting,
            _ => RenameMode::Replace,
        };
        let found = self
            .system
            .rename((from, &old), (to, &new), mode, self.now());
        if found == Err(Error::NoSpace) {
            return;
        }
        assert_eq!(
            self.model.rename((from, &old), (to, &new), mode),
            found,
            "{from} {to} {mode:?}"
        );
    }

    fn file(&mut self) -> Option<InodeNumber> {
        self.any(|kind| kind == FileType::Regular)
    }

    fn offset(&mut self, number: InodeNumber) -> u64 {
        let size = self.model.inodes[&number].content.len() as u64;
        match self.random.below(4) {
            0 => size,
            1 => self.random.below(FILE_BYTES_MAX / 4096) * 4096,
            2 => self.random.below(FILE_BYTES_MAX),
            _ => self.random.below(size + 1),
        }
    }

    fn write(&mut self) {
        let Some(number) = self.file() else { return };
        let offset = self.offset(number);
        let length = match self.random.below(3) {
            0 => self.random.below(100),
            1 => self.random.below(3) * 4096,
            _ => self.random.below(30_000),
        };
        let bytes = self.random.bytes(length);
        match self.system.write(number, offset, &bytes, self.now()) {
            Ok(count) => {
                let now = self.now;
                let inode = self.model.inode(number);
                if count > 0 {
                    let end = offset as usize + count;
                    let size = inode.content.len().max(end);
                    inode.content.resize(size, 0);
                    inode.content[offset as usize..end].copy_from_slice(&bytes[..count]);
                    inode.modified = now;
                }
            }
            error => assert_eq!(error, Err(Error::NoSpace)),
        }
    }

    fn set_size(&mut self) {
        let Some(number) = self.file() else { return };
        let size = self.offset(number);
        match self.system.set_size(number, size, self.now()) {
            Ok(()) => {
                let now = self.now;
                let inode = self.model.inode(number);
                inode.content.resize(size as usize, 0);
                inode.modified = now;
            }
            // The rest of a block is zeroed in memory.
            error => assert_eq!(error, Err(Error::NoSpace)),
        }
    }

    fn punch(&mut self) {
        let Some(number) = self.file() else { return };
        let (offset, length) = (self.offset(number), self.random.below(50_000));
        self.system
            .punch_hole(number, (offset, length), self.now())
            .unwrap();
        let now = self.now;
        let inode = self.model.inode(number);
        let end = inode.content.len().min((offset + length) as usize);
        if (offset as usize) < end {
            inode.content[offset as usize..end].fill(0);
            inode.modified = now;
        }
    }

    fn preallocate(&mut self) {
        let Some(number) = self.file() else { return };
        let (offset, length) = (self.offset(number), self.random.below(50_000));
        let kind = if self.random.below(2) == 0 {
            Preallocation::Extend
        } else {
            Preallocation::KeepSize
        };
        self.model.inode(number).is_preallocated = true;
        match self
            .system
            .preallocate(number, (offset, length), kind, self.now())
        {
            Ok(()) if kind == Preallocation::Extend => {
                let now = self.now;
                let inode = self.model.inode(number);
                let size = inode.content.len().max((offset + length) as usize);
                inode.content.resize(size, 0);
                inode.modified = now;
            }
            Ok(()) | Err(Error::NoSpace | Error::Unsupported { .. }) => {}
            error => error.unwrap(),
        }
    }

    fn attribute_name(&mut self) -> Vec<u8> {
        let prefix = ["user.", "trusted.", "security."][self.random.below(3) as usize];
        format!("{prefix}{}", self.random.below(6)).into_bytes()
    }

    fn set_attribute(&mut self) {
        let Some(number) = self.any(|_| true) else {
            return;
        };
        let name = self.attribute_name();
        let length = self.random.below(20) * self.random.below(20);
        let value = self.random.bytes(length);
        let mode = [
            AttributeMode::Any,
            AttributeMode::Create,
            AttributeMode::Replace,
        ][self.random.below(3) as usize];
        let expected = self.model.check_attribute(number, &name, mode);
        match (
            expected,
            self.system
                .set_extended_attribute(number, &name, &value, mode, self.now()),
        ) {
            (Ok(()), Ok(())) => drop(self.model.inode(number).attributes.insert(name, value)),
            (Ok(()), Err(Error::NoSpace | Error::AttributesTooLarge)) => {}
            (expected, found) => assert_eq!(expected, found),
        }
    }

    fn remove_attribute(&mut self) {
        let Some(number) = self.any(|_| true) else {
            return;
        };
        let name = self.attribute_name();
        match self
            .system
            .remove_extended_attribute(number, &name, self.now())
        {
            // A block that others share is copied.
            Err(Error::NoSpace) => {}
            found => {
                let removed = self.model.inode(number).attributes.remove(&name);
                assert_eq!(removed.ok_or(Error::NoAttribute).map(drop), found);
            }
        }
    }

    fn change(&mut self) {
        let Some(number) = self.any(|_| true) else {
            return;
        };
        let mode = self.random.below(0o10000) as u16;
        let uid = self.random.below(100_000) as u32;
        let change = AttributeChange {
            mode: Some(mode),
            uid: Some(uid),
            ..AttributeChange::default()
        };
        self.system
            .set_attributes(number, &change, self.now())
            .unwrap();
        let inode = self.model.inode(number);
        (inode.mode, inode.uid) = (mode, uid);
    }

    fn open_or_close(&mut self) {
        if self.opened.len() < 10
            && let Some(number) = self.any(|_| true)
        {
            self.system.open_inode(number).unwrap();
            self.model.inode(number).opened += 1;
            self.opened.push(number);
        } else {
            self.close();
        }
    }

    fn close(&mut self) {
        let index = self.random.below(self.opened.len() as u64) as usize;
        let number = self.opened.swap_remove(index);
        self.system.close_inode(number, self.now()).unwrap();
        self.model.close(number);
    }

    fn read(&mut self) {
        let Some(number) = self.file() else { return };
        let offset = self.offset(number);
        let mut buffer = vec![0xee; self.random.below(20_000) as usize];
        let length = self.system.read(number, offset, &mut buffer).unwrap();
        let content = &self.model.inodes[&number].content;
        let expected = content.get(offset as usize..).unwrap_or_default();
        let expected = &expected[..expected.len().min(buffer.len())];
        assert!(buffer[..length] == *expected, "inode {number} at {offset}");
    }

    fn look_up(&mut self) {
        let directory = self.directory();
        let name = self.name_in(directory);
        let expected = self.model.inodes[&directory].entries.get(&name).copied();
        let is_removed = self.model.inodes[&directory].links == 0;
        let found = self.system.lookup(directory, &name);
        assert!(is_removed || found == expected.ok_or(Error::NotFound));
    }

    /// Closes everything, compares, and looks at the image as others do; then goes on with it.
    fn check(mut self, what: &str) -> Run {
        self.model.compare(&self.system, what);
        while !self.opened.is_empty() {
            self.close();
        }
        self.system.sync(self.now()).unwrap();
        let device = self.system.into_device();
        let image = Image::of_device(&device);
        image.check(what);
        oracles::compare(&self.model, &image, what);
        self.system = FileSystem::open(device, Access::ReadWrite, Timestamp::default()).unwrap();
        self.model.compare(&self.system, what);
        self
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn run(name: &str, arguments: &[&str], size: &str, seed: u64) {
    println!("{name}: MINKE_EXT4_SEED={seed}");
    let device = MemoryDevice::from_image(&Image::make(arguments, size).bytes());
    let system = FileSystem::open(device, Access::ReadWrite, Timestamp::default()).unwrap();
    let model = Model::of(&system);
    let mut run = Run {
        system,
        model,
        random: Random(seed),
        now: 1_700_000_000,
        opened: Vec::new(),
    };
    let operations = number("MINKE_EXT4_OPERATIONS").unwrap_or(OPERATIONS_DEFAULT);
    for index in 0..operations {
        run.step();
        if (index + 1) % CHECK_INTERVAL == 0 || index + 1 == operations {
            run = run.check(&format!(
                "{name}, seed {seed}, after {} operations",
                index + 1
            ));
        }
    }
}

pub(crate) fn seed() -> u64 {
    let clock = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    number("MINKE_EXT4_SEED").unwrap_or(clock.as_nanos() as u64)
}

/// Runs on some kinds of images with much room.
fn run_all(kinds: &[(&str, &[&str])]) {
    for (index, (name, arguments)) in kinds.iter().enumerate() {
        run(name, arguments, "80M", seed() + index as u64);
    }
}

/// Runs on some kinds of images that have room for few files.
fn run_all_full(kinds: &[(&str, &[&str])]) {
    for (index, (name, arguments)) in kinds.iter().enumerate() {
        let mut arguments = arguments.to_vec();
        arguments.extend(["-N", "200"]);
        run(name, &arguments, "16M", seed() + 100 + index as u64);
    }
}

/// Kinds that are tried by the first of two tests, which run side by side.
const HALF: usize = MATRIX.len() / 2;

#[test]
fn random_operations_answer_as_the_model_and_leave_clean_images() {
    run_all(&MATRIX[..HALF]);
}

#[test]
fn random_operations_on_older_kinds_answer_as_the_model_and_leave_clean_images() {
    run_all(&MATRIX[HALF..]);
}

#[test]
fn random_operations_on_disks_that_are_full_tear_nothing() {
    run_all_full(&MATRIX[..HALF]);
}

#[test]
fn random_operations_on_disks_of_older_kinds_that_are_full_tear_nothing() {
    run_all_full(&MATRIX[HALF..]);
}
