//! Images with bytes that nobody meant are read and written with an error or without, never with a panic or without an end.
//!
//! Sums are not made right: on images without them every change gets through, on the others most are noticed.

use std::fs;

use minke_ext4::{
    Access, AttributeMode, Device, FileSystem, FileType, InodeNumber, MemoryDevice, NewInode,
    Ownership, RenameMode, Timestamp,
};

use crate::e2fsprogs::{Image, tool};
use crate::random::{Random, seed};

const NOW: Timestamp = Timestamp {
    seconds: 1_700_000_000,
    nanoseconds: 0,
};
/// Changed images of each kind.
const ROUNDS: u64 = 400;
/// Inodes that are looked at: directories may lead in circles.
const VISITS_MAX: usize = 300;

const KINDS: &[&[&str]] = &[
    &[
        "-t",
        "ext4",
        "-b",
        "1024",
        "-O",
        "^metadata_csum,^has_journal",
    ],
    &["-t", "ext4", "-b", "1024", "-O", "orphan_file"],
    &["-t", "ext3", "-b", "1024"],
    &["-t", "ext2", "-b", "1024", "-I", "128"],
];

fn image(arguments: &[&str]) -> Vec<u8> {
    let host = tempfile::tempdir().unwrap();
    fs::create_dir(host.path().join("many")).unwrap();
    for index in 0..150 {
        let name = format!("many/a file with a name of some length {index}");
        fs::write(host.path().join(name), "content").unwrap();
    }
    let scattered = fs::File::create(host.path().join("scattered")).unwrap();
    for index in 0..30 {
        std::os::unix::fs::FileExt::write_all_at(&scattered, b"piece", index * 5000).unwrap();
    }
    std::os::unix::fs::symlink("s".repeat(100), host.path().join("link")).unwrap();
    let arguments = [arguments, &["-d", host.path().to_str().unwrap()]].concat();
    let image = Image::make(&arguments, "4M");
    image.debugfs(&[
        "ea_set /link user.a value",
        "ea_set /scattered user.b value",
    ]);
    tool("e2fsck")
        .arg("-fyD")
        .arg(image.path())
        .output()
        .unwrap();
    image.bytes()
}

/// Looks at everything that can be reached, and returns the files and directories.
fn walk<D: Device>(system: &FileSystem<D>) -> Vec<(InodeNumber, FileType)> {
    let mut found = vec![(InodeNumber::ROOT, FileType::Directory)];
    let mut index = 0;
    while index < found.len() && index < VISITS_MAX {
        let (number, kind) = found[index];
        index += 1;
        let metadata = system.metadata(number);
        let _ = (
            system.extended_attributes(number),
            system.read_link(number),
            system.parent(number),
        );
        let _ = system.extended_attribute(number, b"user.a");
        if kind == FileType::Directory {
            let mut count = 0;
            let _ = system.read_directory(number, 0, &mut |entry| {
                found.push((entry.inode, entry.file_type));
                count += 1;
                count < 1000
            });
            let _ = system.lookup(number, b"a file with a name of some length 77");
        } else {
            let mut buffer = [0; 3000];
            let size = metadata.map_or(0, |it| it.size);
            for offset in [0, 70_000, size.saturating_sub(10), u64::MAX - 5] {
                let _ = system.read(number, offset, &mut buffer);
                let _ = system.read_mapped(number, offset, 100);
            }
        }
    }
    found
}

/// Changes whatever can be changed.
fn change<D: Device>(system: &FileSystem<D>, found: &[(InodeNumber, FileType)]) {
    let owner = Ownership {
        uid: 1,
        gid: 1,
        mode: 0o644,
    };
    for (index, (number, kind)) in found.iter().take(40).enumerate() {
        let name = format!("new {index}");
        if *kind == FileType::Directory {
            for index in 0..60 {
                let name = format!("{name} {index}");
                let _ = system.create(*number, name.as_bytes(), &NewInode::Regular, owner, NOW);
            }
            let _ = system.create(*number, name.as_bytes(), &NewInode::Directory, owner, NOW);
            let _ = system.rename(
                (*number, name.as_bytes()),
                (InodeNumber::ROOT, b"moved"),
                RenameMode::Replace,
                NOW,
            );
            let _ = system.unlink(*number, b"a file with a name of some length 7", NOW);
            let _ = system.remove_directory(InodeNumber::ROOT, b"moved", NOW);
        }
        let _ = system.write(*number, 5_000, &[1; 9000], NOW);
        let _ = system.punch_hole(*number, (2_000, u64::MAX), NOW);
        let _ = system.preallocate(*number, (0, 30_000), minke_ext4::Preallocation::Extend, NOW);
        let _ = system.set_size(*number, 3_333, NOW);
        let _ =
            system.set_extended_attribute(*number, b"user.n", &[5; 300], AttributeMode::Any, NOW);
        let _ = system.remove_extended_attribute(*number, b"user.a", NOW);
    }
    for name in [&b"scattered"[..], b"link"] {
        let _ = system.unlink(InodeNumber::ROOT, name, NOW);
    }
    let _ = system.sync(NOW);
}

/// Changes a few bytes, mostly of metadata: the beginning of the image, or a block that is not all zeros.
fn spoil(random: &mut Random, bytes: &mut [u8]) {
    for _ in 0..=random.below(6) {
        let at = match random.below(3) {
            0 => 1024 + random.below(1024),
            1 => random.below(200 * 1024),
            _ => random.below(bytes.len() as u64),
        } as usize;
        bytes[at] = match random.below(4) {
            0 => 0xff,
            1 => 0,
            2 => bytes[at] ^ 1 << random.below(8),
            _ => random.below(256) as u8,
        };
    }
}

#[test]
fn spoilt_images_end_in_errors_at_worst() {
    let seed = seed();
    println!("MINKE_EXT4_SEED={seed}");
    for arguments in KINDS {
        let original = image(arguments);
        let mut random = Random(seed);
        for _ in 0..ROUNDS {
            let mut bytes = original.clone();
            spoil(&mut random, &mut bytes);
            if let Ok(system) = FileSystem::open(&bytes[..], Access::ReadOnly, NOW) {
                walk(&system);
            }
            let device = MemoryDevice::from_image(&bytes);
            if let Ok(system) = FileSystem::open(device, Access::ReadWrite, NOW) {
                let found = walk(&system);
                change(&system, &found);
            }
        }
    }
}
