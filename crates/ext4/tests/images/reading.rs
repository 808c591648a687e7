//! Trees that `mke2fs` copied from a directory of the host are read as they are there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use minke_ext4::layout::Superblock;
use minke_ext4::layout::checksum::crc32c;
use minke_ext4::layout::directory::write_tail;
use minke_ext4::layout::hash_tree::{ROOT_ENTRIES_AT, is_index_block_intact, seal_index_block};
use minke_ext4::{Access, FileSystem, FileType, InodeNumber, MemoryDevice, Timestamp};

use crate::e2fsprogs::{Image, MATRIX, tool};

const NOW: Timestamp = Timestamp {
    seconds: 1_700_000_000,
    nanoseconds: 5,
};

/// Makes files of all kinds that an ordinary user can make.
fn fill(directory: &Path) {
    let mut deep = directory.to_path_buf();
    for level in 0..40 {
        deep.push(format!("level {level}"));
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("bottom"), "here").unwrap();
    let many = directory.join("many");
    fs::create_dir(&many).unwrap();
    for index in 0..1500 {
        let name = format!("file number {index} {}", "x".repeat(index % 100));
        fs::write(many.join(name), index.to_string()).unwrap();
    }
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(|it| it.to_le_bytes()).collect();
    fs::write(directory.join("large"), &content).unwrap();
    let sparse = fs::File::create(directory.join("sparse")).unwrap();
    for index in 0..40 {
        sparse
            .write_all_at(&content[index..index + 700], index as u64 * 150_000 + 77)
            .unwrap();
    }
    sparse.set_len(9_000_001).unwrap();
    fs::write(directory.join("empty"), "").unwrap();
    fs::set_permissions(directory.join("empty"), PermissionsExt::from_mode(0o4751)).unwrap();
    fs::hard_link(directory.join("large"), deep.join("linked")).unwrap();
    symlink("fast", directory.join("fast")).unwrap();
    symlink("slow/".repeat(200), directory.join("slow")).unwrap();
    symlink("y".repeat(59), directory.join("fast of 59")).unwrap();
    symlink("y".repeat(60), directory.join("slow of 60")).unwrap();
}

/// Compares a directory with one of the host, and all below.
pub(crate) fn compare<D: minke_ext4::Device>(
    system: &FileSystem<D>,
    number: InodeNumber,
    host: &Path,
) {
    let mut listed = Vec::new();
    system
        .read_directory(number, 0, &mut |entry| {
            listed.push(entry.clone());
            true
        })
        .unwrap();
    let names: BTreeSet<Vec<u8>> = listed.iter().map(|it| it.name.clone()).collect();
    assert_eq!(
        names.len(),
        listed.len(),
        "{}: each name once",
        host.display()
    );
    let expected: BTreeSet<Vec<u8>> = fs::read_dir(host)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_encoded_bytes())
        .collect();
    let found: BTreeSet<Vec<u8>> = names
        .iter()
        .filter(|it| *it != b"lost+found")
        .cloned()
        .collect();
    assert_eq!(found, expected, "{}", host.display());
    for entry in listed.iter().filter(|it| it.name != b"lost+found") {
        let path = host.join(String::from_utf8(entry.name.clone()).unwrap());
        assert_eq!(system.lookup(number, &entry.name).unwrap(), entry.inode);
        compare_file(system, entry.inode, entry.file_type, &path);
        if entry.file_type == FileType::Directory {
            assert_eq!(system.parent(entry.inode).unwrap(), number);
            compare(system, entry.inode, &path);
        }
    }
}

fn compare_file<D: minke_ext4::Device>(
    system: &FileSystem<D>,
    number: InodeNumber,
    kind: FileType,
    path: &Path,
) {
    let expected = fs::symlink_metadata(path).unwrap();
    let found = system.metadata(number).unwrap();
    assert_eq!(found.file_type, kind);
    assert_eq!(
        u32::from(found.mode),
        expected.mode() & 0o7777,
        "{}",
        path.display()
    );
    assert_eq!((found.uid, found.gid), (expected.uid(), expected.gid()));
    assert_eq!(
        found.modified.seconds,
        expected.mtime(),
        "{}",
        path.display()
    );
    match kind {
        FileType::Regular => {
            assert_eq!(
                (found.size, u64::from(found.links)),
                (expected.size(), expected.nlink())
            );
            let mut content = vec![0; found.size as usize + 1];
            let length = system.read(number, 0, &mut content).unwrap();
            let expected = fs::read(path).unwrap();
            assert!(content[..length] == expected, "{}", path.display());
            for offset in (0..expected.len()).step_by(777_777) {
                let mut part = [0; 5000];
                let length = system.read(number, offset as u64, &mut part).unwrap();
                assert_eq!(part[..length], expected[offset..offset + length]);
            }
        }
        FileType::Symlink => {
            let target = fs::read_link(path)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes();
            assert_eq!(system.read_link(number).unwrap(), target);
        }
        _ => assert_eq!(
            u64::from(found.links),
            expected.nlink(),
            "{}",
            path.display()
        ),
    }
}

#[test]
fn trees_of_every_kind_of_image_are_read_as_they_were_copied() {
    let host = tempfile::tempdir().unwrap();
    fill(host.path());
    for (name, arguments) in MATRIX {
        println!("{name}");
        let mut arguments = arguments.to_vec();
        arguments.extend(["-d", host.path().to_str().unwrap()]);
        let image = Image::make(&arguments, "60M");
        let bytes = image.bytes();
        let system = FileSystem::open(&bytes[..], Access::ReadOnly, NOW).unwrap();
        compare(&system, InodeNumber::ROOT, host.path());
        // Now with hash trees, where the image has any.
        let status = tool("e2fsck")
            .args(["-fyD"])
            .arg(image.path())
            .output()
            .unwrap()
            .status;
        assert!(status.code().is_some_and(|code| code <= 1), "{name}");
        let bytes = image.bytes();
        let system = FileSystem::open(&bytes[..], Access::ReadOnly, NOW).unwrap();
        compare(&system, InodeNumber::ROOT, host.path());
    }
}

#[test]
fn the_root_of_a_hash_tree_may_end_as_the_block_that_it_was_before() {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..600 {
        fs::write(directory.path().join(format!("file {number}")), "x").unwrap();
    }
    let path = directory.path().to_str().unwrap();
    let image = Image::make(&["-t", "ext4", "-d", path], "20M");
    // `mke2fs` makes no hash trees; this does.
    let path = image.path();
    tool("e2fsck").arg("-fyD").arg(path).output().unwrap();
    let said = image.debugfs(&["bmap / 0", "stat /"]);
    let lines = || said.lines().map(str::trim);
    let block: usize = lines().find_map(|line| line.parse().ok()).unwrap();
    let generation = lines().find_map(|line| line.split("Generation: ").nth(1));
    let generation = generation.and_then(|text| text.split(' ').next());
    let generation: u32 = generation.unwrap().parse().unwrap();
    let mut bytes = image.bytes();
    let seed = Superblock::parse(&bytes[1024..2048]).unwrap();
    let seed = crc32c(seed.metadata_seed(), &InodeNumber::ROOT.0.to_le_bytes());
    let seed = crc32c(seed, &generation.to_le_bytes());
    let root = &mut bytes[block * 4096..(block + 1) * 4096];
    assert!(is_index_block_intact(seed, root, ROOT_ENTRIES_AT));
    // Linux leaves the tail of the directory's only block in the root that it makes of it.
    write_tail(root);
    seal_index_block(seed, root, ROOT_ENTRIES_AT);
    Image::of(&bytes).check("an old tail in a root");
    let system = FileSystem::open(&bytes[..], Access::ReadOnly, NOW).unwrap();
    system.lookup(InodeNumber::ROOT, b"file 599").unwrap();
    let mut count = 0;
    system
        .read_directory(InodeNumber::ROOT, 0, &mut |_| {
            count += 1;
            true
        })
        .unwrap();
    assert_eq!(count, 600 + ["lost+found"].len());
}

#[test]
fn what_a_device_maps_is_read_in_place() {
    let host = tempfile::tempdir().unwrap();
    fill(host.path());
    let image = Image::make(&["-t", "ext4", "-d", host.path().to_str().unwrap()], "60M");
    let bytes = image.bytes();
    let system = FileSystem::open(&bytes[..], Access::ReadOnly, NOW).unwrap();
    let number = system.lookup(InodeNumber::ROOT, b"large").unwrap();
    let expected = fs::read(host.path().join("large")).unwrap();
    let mut offset = 1234;
    while offset < expected.len() {
        let part = system
            .read_mapped(number, offset as u64, 1 << 20)
            .unwrap()
            .unwrap();
        assert!(!part.is_empty() && *part == expected[offset..offset + part.len()]);
        offset += part.len();
    }
}

#[test]
fn attributes_and_devices_of_debugfs_are_read() {
    for (name, arguments) in MATRIX {
        let image = Image::make(arguments, "20M");
        let long = "v".repeat(700);
        image.debugfs(&[
            "write /dev/null file",
            "ea_set /file user.short value",
            &format!("ea_set /file user.long {long}"),
            "ea_set /file trusted.t 1",
            "mknod pipe p",
            "mknod char c 5 300",
            "mknod block b 8 1",
        ]);
        let bytes = image.bytes();
        let system = FileSystem::open(&bytes[..], Access::ReadOnly, NOW).unwrap();
        let file = system.lookup(InodeNumber::ROOT, b"file").unwrap();
        let mut names = system.extended_attributes(file).unwrap();
        names.sort();
        assert_eq!(
            names,
            [&b"trusted.t"[..], b"user.long", b"user.short"],
            "{name}"
        );
        assert_eq!(
            system.extended_attribute(file, b"user.short").unwrap(),
            b"value"
        );
        assert_eq!(
            system.extended_attribute(file, b"user.long").unwrap(),
            long.as_bytes()
        );
        assert_eq!(
            system.extended_attribute(file, b"user.none"),
            Err(minke_ext4::Error::NoAttribute)
        );
        for (node, kind, device) in [
            (&b"pipe"[..], FileType::Fifo, (0, 0)),
            (b"char", FileType::CharacterDevice, (5, 300)),
            (b"block", FileType::BlockDevice, (8, 1)),
        ] {
            let found = system
                .metadata(system.lookup(InodeNumber::ROOT, node).unwrap())
                .unwrap();
            assert_eq!((found.file_type, found.device), (kind, device), "{name}");
        }
    }
}

#[test]
fn features_that_are_not_known_are_refused_by_name() {
    for (feature, is_readable) in [
        ("inline_data", false),
        ("casefold", false),
        ("encrypt", false),
        ("bigalloc", true),
        ("verity", true),
        ("quota", true),
        ("ea_inode", true),
        ("mmp", true),
    ] {
        let image = Image::make(&["-t", "ext4", "-O", feature], "40M");
        let device = || MemoryDevice::from_image(&image.bytes());
        let read = FileSystem::open(device(), Access::ReadOnly, NOW);
        assert_eq!(read.is_ok(), is_readable, "{feature}");
        let write = FileSystem::open(device(), Access::ReadWrite, NOW)
            .err()
            .unwrap();
        let expected = format!("unsupported by this driver: {feature}");
        assert_eq!(write.to_string(), expected);
    }
    assert!(FileSystem::open(MemoryDevice::new(1 << 20), Access::ReadOnly, NOW).is_err());
}
