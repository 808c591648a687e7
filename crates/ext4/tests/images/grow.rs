//! Growing images of every kind: `e2fsck` finds nothing, what was there stays, and what was added can be used.

use std::fs;
use std::sync::Arc;

use crate::e2fsprogs::{Image, MATRIX};
use minke_ext4::check::check;
use minke_ext4::grow::{GrowError, Grown, grow};
use minke_ext4::{
    Access, Device, FileSystem, InodeNumber, MemoryDevice, NewInode, Ownership, Timestamp,
};

const NOW: Timestamp = Timestamp {
    seconds: 1_700_000_000,
    nanoseconds: 0,
};
const OWNERSHIP: Ownership = Ownership {
    uid: 0,
    gid: 0,
    mode: 0o755,
};

/// Kinds that say where descriptors of new groups go.
const TABLES: &[(&str, &[&str])] = &[
    (
        "no reserve",
        &["-t", "ext4", "-b", "1024", "-O", "^resize_inode"],
    ),
    (
        "no reserve, no checksums",
        &[
            "-t",
            "ext4",
            "-b",
            "1024",
            "-O",
            "^resize_inode,^metadata_csum,^uninit_bg",
        ],
    ),
    (
        "small reserve",
        &["-t", "ext4", "-b", "1024", "-E", "resize=70000"],
    ),
    (
        "meta_bg",
        &["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"],
    ),
    (
        "sparse_super2 of 1 KiB blocks",
        &[
            "-t",
            "ext4",
            "-b",
            "1024",
            "-O",
            "sparse_super2,^resize_inode",
        ],
    ),
    (
        "no sparse_super",
        &[
            "-t",
            "ext2",
            "-b",
            "1024",
            "-O",
            "^sparse_super,^resize_inode",
        ],
    ),
    (
        "no flex_bg",
        &["-t", "ext4", "-b", "1024", "-O", "^flex_bg"],
    ),
];

/// An image with a file, grown to `size`.
fn grown(arguments: &[&str], before: &str, size: u64) -> (Arc<MemoryDevice>, Grown) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("kept"), vec![7; 300_000]).unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    let arguments: Vec<&str> = arguments.iter().copied().chain(["-d", &path]).collect();
    let image = Image::make(&arguments, before).bytes();
    let device = MemoryDevice::new(size);
    for (number, piece) in image.chunks(4096).enumerate() {
        if piece.iter().any(|byte| *byte != 0) {
            device.write_at(number as u64 * 4096, piece).unwrap();
        }
    }
    let device = Arc::new(device);
    let grown = grow(Arc::clone(&device), NOW).unwrap();
    (device, grown)
}

fn assert_clean(device: &MemoryDevice, what: &str) {
    let image = Image::of_device(device);
    image.check(what);
    let report = check(device).unwrap();
    assert!(report.is_clean(), "{what}: {:?}", report.faults);
}

/// Writes into directories that lie in many groups, as long as there is room.
fn fill(device: &Arc<MemoryDevice>, what: &str) {
    let system = FileSystem::open(Arc::clone(device), Access::ReadWrite, NOW).unwrap();
    let kept = system.lookup(InodeNumber::ROOT, b"kept").unwrap();
    let mut bytes = vec![0; 300_000];
    assert_eq!(system.read(kept, 0, &mut bytes).unwrap(), bytes.len());
    assert!(bytes.iter().all(|byte| *byte == 7), "{what}");
    let room = system.statistics();
    let room = room.blocks_available * u64::from(room.block_size) / 2;
    let room = room.min(24 << 20);
    let content = vec![5; 64 << 10];
    for number in 0..40 {
        let name = format!("directory {number}");
        let root = InodeNumber::ROOT;
        let made = system.create(root, name.as_bytes(), &NewInode::Directory, OWNERSHIP, NOW);
        let made = system.create(made.unwrap(), b"file", &NewInode::Regular, OWNERSHIP, NOW);
        let file = made.unwrap();
        for piece in 0..room / 40 / content.len() as u64 {
            let offset = piece * content.len() as u64;
            assert_eq!(
                system.write(file, offset, &content, NOW).unwrap(),
                content.len()
            );
        }
    }
    system.sync(NOW).unwrap();
}

fn check_growth(kind: (&str, &[&str]), before: &str, size: u64) {
    let (name, arguments) = kind;
    let what = format!("{name}, {before} to {size}");
    let (device, grown) = grown(arguments, before, size);
    let bytes = grown.blocks * u64::from(grown.block_size);
    assert!(
        grown.blocks > grown.blocks_before && bytes <= size,
        "{what}: {grown:?}"
    );
    assert!(size - bytes < 16 << 20, "{what}: {grown:?}");
    assert_clean(&device, &what);
    fill(&device, &what);
    assert_clean(&device, &what);
}

#[test]
fn images_of_every_kind_grow_inside_their_last_group_and_beyond() {
    for kind in MATRIX {
        check_growth(*kind, "24M", 25 << 20);
        check_growth(*kind, "24M", 200 << 20);
    }
}

#[test]
fn descriptors_go_to_the_reserve_or_into_the_groups() {
    for kind in TABLES {
        check_growth(*kind, "20M", 45 << 20);
        check_growth(*kind, "60M", 300 << 20);
    }
}

#[test]
fn growing_again_and_again_is_like_growing_once() {
    for (name, arguments) in TABLES {
        let (device, _) = grown(arguments, "20M", 60 << 20);
        let mut device = device;
        for size in [120_u64 << 20, 160 << 20, 333 << 20] {
            let larger = MemoryDevice::new(size);
            device.for_each_piece(|offset, bytes| larger.write_at(offset, bytes).unwrap());
            device = Arc::new(larger);
            grow(Arc::clone(&device), NOW).unwrap();
            assert_clean(&device, name);
        }
        fill(&device, name);
        assert_clean(&device, name);
    }
}

#[test]
fn what_would_become_smaller_or_is_as_large_already_stays_as_it_is() {
    let image = Image::make(&["-t", "ext4"], "24M").bytes();
    let same = Arc::new(MemoryDevice::from_image(&image));
    let grown = grow(Arc::clone(&same), NOW).unwrap();
    assert_eq!(grown.blocks, grown.blocks_before);
    let shorter = MemoryDevice::from_image(&image[..20 << 20]);
    let error = grow(shorter, NOW).unwrap_err();
    assert!(matches!(error, GrowError::Smaller { .. }), "{error}");
}
