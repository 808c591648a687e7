//! Any bytes are a file system or a complaint: read whole, and written to.
//!
//! `cargo +nightly fuzz run disk`, in `crates/ext4`. The seeds have no checksums, which few changes would get past.

#![no_main]

use libfuzzer_sys::fuzz_target;
use minke_ext4::{
    Access, AttributeMode, Device, FileSystem, FileType, InodeNumber, MemoryDevice, NewInode,
    Ownership, RenameMode, Timestamp,
};

/// Inodes that are looked at: directories may lead in circles.
const VISITS_MAX: usize = 100;
const NOW: Timestamp = Timestamp {
    seconds: 1_700_000_000,
    nanoseconds: 0,
};
const OWNER: Ownership = Ownership {
    uid: 1,
    gid: 1,
    mode: 0o644,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(system) = FileSystem::open(bytes, Access::ReadOnly, NOW) {
        walk(&system);
    }
    let device = MemoryDevice::from_image(bytes);
    if let Ok(system) = FileSystem::open(device, Access::ReadWrite, NOW) {
        for (number, kind) in walk(&system).into_iter().take(10) {
            change(&system, number, kind);
        }
        let _ = system.sync(NOW);
    }
});

fn walk<D: Device>(system: &FileSystem<D>) -> Vec<(InodeNumber, FileType)> {
    let mut found = vec![(InodeNumber::ROOT, FileType::Directory)];
    let mut index = 0;
    while index < found.len() && index < VISITS_MAX {
        let (number, kind) = found[index];
        index += 1;
        let _ = (
            system.metadata(number),
            system.read_link(number),
            system.parent(number),
        );
        for name in system.extended_attributes(number).unwrap_or_default() {
            let _ = system.extended_attribute(number, &name);
        }
        if kind == FileType::Directory {
            let mut count = 0;
            let _ = system.read_directory(number, 0, &mut |entry| {
                found.push((entry.inode, entry.file_type));
                count += 1;
                count < 100
            });
        }
        for offset in [0, 20_000, u64::MAX - 5] {
            let _ = system.read(number, offset, &mut [0; 3000]);
            let _ = system.read_mapped(number, offset, 100);
        }
    }
    found
}

fn change<D: Device>(system: &FileSystem<D>, number: InodeNumber, kind: FileType) {
    if kind == FileType::Directory {
        for index in 0..50 {
            let name = format!("a name that takes some room {index}");
            let _ = system.create(number, name.as_bytes(), &NewInode::Regular, OWNER, NOW);
        }
        let _ = system.create(number, b"d", &NewInode::Directory, OWNER, NOW);
        let to = (InodeNumber::ROOT, &b"moved"[..]);
        let _ = system.rename((number, b"d"), to, RenameMode::Replace, NOW);
        let _ = system.unlink(number, b"a name that takes some room 7", NOW);
        let _ = system.remove_directory(InodeNumber::ROOT, b"moved", NOW);
    }
    let _ = system.write(number, 5_000, &[1; 9000], NOW);
    let _ = system.punch_hole(number, (2_000, u64::MAX), NOW);
    let _ = system.set_size(number, 3_333, NOW);
    let _ = system.set_extended_attribute(number, b"user.n", &[5; 300], AttributeMode::Any, NOW);
    let _ = system.unlink(InodeNumber::ROOT, b"file", NOW);
}
