//! The operations that have found faults in file systems, on every kind of image.

use minke_ext4::{
    Access, AttributeMode, Error, FileSystem, FileType, InodeNumber, MemoryDevice, NewInode,
    Ownership, RenameMode, Timestamp,
};

use crate::e2fsprogs::{Image, MATRIX};

const NOW: Timestamp = Timestamp {
    seconds: 1_700_000_000,
    nanoseconds: 123_456_789,
};
const OWNER: Ownership = Ownership {
    uid: 1000,
    gid: 1000,
    mode: 0o644,
};

type System = FileSystem<MemoryDevice>;

fn file(system: &System, directory: InodeNumber, name: &str) -> InodeNumber {
    system
        .create(directory, name.as_bytes(), &NewInode::Regular, OWNER, NOW)
        .unwrap()
}

fn directory(system: &System, parent: InodeNumber, name: &str) -> InodeNumber {
    system
        .create(parent, name.as_bytes(), &NewInode::Directory, OWNER, NOW)
        .unwrap()
}

fn names(system: &System, directory: InodeNumber) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    system
        .read_directory(directory, 0, &mut |entry| {
            names.push(entry.name.clone());
            true
        })
        .unwrap();
    names.sort();
    names
}

fn content(system: &System, number: InodeNumber, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xaa; length];
    let length = system.read(number, offset, &mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

/// Runs `work` on a new image of every kind, then `verify` on it and again after it was opened anew; `e2fsck` has to agree.
fn on_all<T>(size: &str, work: impl Fn(&System) -> T, verify: impl Fn(&System, &T)) {
    for (name, arguments) in MATRIX {
        println!("{name}");
        let device = MemoryDevice::from_image(
            &Image::make(&[arguments, &["-N", "8192"][..]].concat(), size).bytes(),
        );
        let system = FileSystem::open(device, Access::ReadWrite, NOW).unwrap();
        let result = work(&system);
        verify(&system, &result);
        system.sync(NOW).unwrap();
        let device = system.into_device();
        Image::of_device(&device).check(name);
        let system = FileSystem::open(device, Access::ReadWrite, NOW).unwrap();
        verify(&system, &result);
    }
}

#[test]
fn deep_directories_are_made_and_found() {
    on_all(
        "40M",
        |system| {
            (0..120).fold(InodeNumber::ROOT, |parent, level| {
                directory(system, parent, &format!("d{level}"))
            })
        },
        |system, bottom| {
            let found = (0..120).fold(InodeNumber::ROOT, |parent, level| {
                system
                    .lookup(parent, format!("d{level}").as_bytes())
                    .unwrap()
            });
            assert_eq!(found, *bottom);
        },
    );
}

#[test]
fn directories_of_thousands_of_names_are_filled_and_half_emptied() {
    on_all(
        "80M",
        |system| {
            let many = directory(system, InodeNumber::ROOT, "many");
            for index in 0..6000 {
                file(
                    system,
                    many,
                    &format!("a rather long name of a file, number {index}"),
                );
            }
            for index in (0..6000).step_by(2) {
                system
                    .unlink(
                        many,
                        format!("a rather long name of a file, number {index}").as_bytes(),
                        NOW,
                    )
                    .unwrap();
            }
            many
        },
        |system, many| {
            let mut expected: Vec<_> = (1..6000)
                .step_by(2)
                .map(|index| format!("a rather long name of a file, number {index}").into_bytes())
                .collect();
            expected.sort();
            assert_eq!(names(system, *many), expected);
            for name in expected {
                system.lookup(*many, &name).unwrap();
            }
            assert_eq!(
                system.lookup(*many, b"a rather long name of a file, number 2"),
                Err(Error::NotFound)
            );
        },
    );
}

#[test]
fn a_listing_returns_each_name_once_while_others_come_and_go() {
    on_all(
        "40M",
        |system| {
            let many = directory(system, InodeNumber::ROOT, "many");
            for index in 0..300 {
                file(system, many, &format!("stays {index}"));
            }
            let (mut cookie, mut seen, mut round) = (0, Vec::new(), 0);
            loop {
                let mut batch = 0;
                system
                    .read_directory(many, cookie, &mut |entry| {
                        seen.push(entry.name.clone());
                        cookie = entry.next_cookie;
                        batch += 1;
                        batch < 20
                    })
                    .unwrap();
                if batch < 20 {
                    break;
                }
                for index in 0..5 {
                    file(system, many, &format!("comes {round} {index}"));
                }
                if round > 0 {
                    system
                        .unlink(many, format!("comes {} 3", round - 1).as_bytes(), NOW)
                        .unwrap();
                }
                round += 1;
                assert!(round < 2000, "it ends");
            }
            let mut stays: Vec<_> = seen
                .into_iter()
                .filter(|name| name.starts_with(b"stays"))
                .collect();
            let count = stays.len();
            stays.sort();
            stays.dedup();
            assert_eq!((stays.len(), count), (300, 300));
        },
        |_, ()| {},
    );
}

#[test]
fn large_sparse_and_scattered_files_keep_their_content() {
    let piece: Vec<u8> = (0..65_536_u32).map(|it| ((it * 7) >> 3) as u8).collect();
    on_all(
        "64M",
        |system| {
            let large = file(system, InodeNumber::ROOT, "large");
            for index in 0..100 {
                assert_eq!(system.write(large, index * 65_536, &piece, NOW), Ok(65_536));
            }
            for index in 0..600 {
                let offset = (index * 7_919 % 1600) * 4096 + 100;
                system
                    .write(large, offset, &[index as u8; 1000], NOW)
                    .unwrap();
            }
            let sparse = file(system, InodeNumber::ROOT, "sparse");
            for offset in [0, 5 << 20, 300 << 20, 5 << 30] {
                let written = system.write(sparse, offset, b"island", NOW);
                assert_eq!(written, Ok(6));
            }
            let scattered = file(system, InodeNumber::ROOT, "scattered");
            let other = file(system, InodeNumber::ROOT, "other");
            for index in 0..3000 {
                system
                    .write(scattered, index * 8192, &[index as u8; 4096], NOW)
                    .unwrap();
                if index % 100 == 0 {
                    system
                        .write(other, index / 100 * 4096, &[1; 4096], NOW)
                        .unwrap();
                    system.sync(NOW).unwrap();
                }
            }
            [large, sparse, scattered, other]
        },
        |system, [large, sparse, scattered, other]| {
            assert_eq!(
                content(system, *large, 65_536 * 30 + 40_000, 50),
                piece[40_000..40_050]
            );
            for index in 590..600_u64 {
                let offset = (index * 7_919 % 1600) * 4096 + 100;
                assert_eq!(content(system, *large, offset, 1000), [index as u8; 1000]);
            }
            assert_eq!(system.metadata(*sparse).unwrap().size, (5 << 30) + 6);
            assert!(system.metadata(*sparse).unwrap().sectors < 200);
            assert_eq!(
                content(system, *sparse, (300 << 20) - 3, 12),
                b"\0\0\0island\0\0\0"
            );
            for index in (0..3000).step_by(13) {
                assert_eq!(
                    content(system, *scattered, index * 8192 + 4000, 200),
                    [&[index as u8; 96][..], &[0; 104]].concat()
                );
            }
            assert_eq!(content(system, *other, 0, 1 << 20), vec![1; 30 * 4096]);
        },
    );
}

#[test]
fn what_was_cut_off_reads_as_zeros_when_a_file_grows_again() {
    on_all(
        "40M",
        |system| {
            let number = file(system, InodeNumber::ROOT, "file");
            system.write(number, 0, &[7; 100_000], NOW).unwrap();
            system.sync(NOW).unwrap();
            system.set_size(number, 50_001, NOW).unwrap();
            system.set_size(number, 80_000, NOW).unwrap();
            system.write(number, 90_000, b"end", NOW).unwrap();
            number
        },
        |system, number| {
            let expected = [vec![7; 50_001], vec![0; 39_999], b"end".to_vec()].concat();
            assert_eq!(content(system, *number, 0, 1 << 20), expected);
        },
    );
}

#[test]
fn an_open_file_without_a_name_is_read_until_it_is_closed_and_freed_after_a_crash() {
    for (name, arguments) in MATRIX {
        let device = MemoryDevice::from_image(&Image::make(arguments, "40M").bytes());
        let system = FileSystem::open(device, Access::ReadWrite, NOW).unwrap();
        let free = system.statistics();
        let (first, second) = (
            file(&system, InodeNumber::ROOT, "a"),
            file(&system, InodeNumber::ROOT, "b"),
        );
        for (number, name) in [(first, b"a"), (second, b"b")] {
            system.write(number, 0, &[7; 50_000], NOW).unwrap();
            system.open_inode(number).unwrap();
            system.unlink(InodeNumber::ROOT, name, NOW).unwrap();
        }
        assert_eq!(content(&system, first, 0, 10), [7; 10]);
        system.write(second, 10_000, b"still", NOW).unwrap();
        system.close_inode(first, NOW).unwrap();
        assert_eq!(system.metadata(first), Err(Error::NotFound));
        system.sync(NOW).unwrap();
        // A crash now: the other is found and freed.
        let device = system.into_device();
        let system = FileSystem::open(device, Access::ReadWrite, NOW).unwrap();
        assert_eq!(system.statistics().blocks_free, free.blocks_free, "{name}");
        assert_eq!(system.statistics().inodes_free, free.inodes_free, "{name}");
        Image::of_device(&system.into_device()).check(name);
    }
}

#[test]
fn links_symlinks_renames_and_attributes_survive() {
    on_all(
        "40M",
        |system| {
            let root = InodeNumber::ROOT;
            let number = file(system, root, "file");
            for index in 0..50 {
                let name = format!("link {index}");
                system.link(root, name.as_bytes(), number, NOW).unwrap();
            }
            for (name, length) in [("fast", 59), ("slow", 60), ("long", 1000)] {
                let target = vec![b's'; length];
                system
                    .create(
                        root,
                        name.as_bytes(),
                        &NewInode::Symlink(&target),
                        OWNER,
                        NOW,
                    )
                    .unwrap();
            }
            let (from, to) = (
                directory(system, root, "from"),
                directory(system, root, "to"),
            );
            let moved = directory(system, from, "moved");
            file(system, to, "replaced");
            system
                .rename(
                    (root, b"link 1"),
                    (to, b"replaced"),
                    RenameMode::Replace,
                    NOW,
                )
                .unwrap();
            system
                .rename((from, b"moved"), (to, b"here"), RenameMode::Replace, NOW)
                .unwrap();
            assert_eq!(
                system.rename((root, b"to"), (moved, b"below"), RenameMode::Replace, NOW),
                Err(Error::InvalidArgument)
            );
            for (name, length) in [
                ("user.small", 10),
                ("user.large", 600),
                ("trusted.more", 100),
            ] {
                system
                    .set_extended_attribute(
                        number,
                        name.as_bytes(),
                        &vec![9; length],
                        AttributeMode::Create,
                        NOW,
                    )
                    .unwrap();
            }
            (number, moved, to)
        },
        |system, (number, moved, to)| {
            let root = InodeNumber::ROOT;
            assert_eq!(system.metadata(*number).unwrap().links, 51);
            for (name, length) in [("fast", 59), ("slow", 60), ("long", 1000)] {
                let found = system.lookup(root, name.as_bytes()).unwrap();
                assert_eq!(system.read_link(found).unwrap(), vec![b's'; length]);
                assert_eq!(system.metadata(found).unwrap().file_type, FileType::Symlink);
            }
            assert_eq!(system.lookup(*to, b"replaced").unwrap(), *number);
            assert_eq!(system.parent(*moved).unwrap(), *to);
            assert_eq!(system.metadata(*to).unwrap().links, 3);
            assert_eq!(
                system.extended_attribute(*number, b"user.large").unwrap(),
                [9; 600]
            );
            assert_eq!(system.extended_attributes(*number).unwrap().len(), 3);
            if system.superblock().inode_size > 128 {
                assert_eq!(system.metadata(*number).unwrap().created, NOW);
            }
        },
    );
}

#[test]
fn a_file_without_a_name_is_freed_when_it_is_closed_or_after_a_crash_unless_it_got_one() {
    for (name, arguments) in MATRIX {
        let device = MemoryDevice::from_image(&Image::make(arguments, "40M").bytes());
        let system = FileSystem::open(device, Access::ReadWrite, NOW).unwrap();
        let root = InodeNumber::ROOT;
        let ownership = Ownership {
            uid: 0,
            gid: 0,
            mode: 0o600,
        };
        let before = system.statistics();
        let make = || {
            let number = system.create_nameless(root, ownership, NOW).unwrap();
            system.write(number, 0, &[7; 50_000], NOW).unwrap();
            number
        };
        let (closed, named, left) = (make(), make(), make());
        system.close_inode(closed, NOW).unwrap();
        assert_eq!(system.metadata(closed), Err(Error::NotFound));
        system.link_nameless(root, b"named", named, NOW).unwrap();
        system.close_inode(named, NOW).unwrap();
        assert_eq!(system.metadata(named).unwrap().links, 1);
        assert_eq!(content(&system, left, 0, 10), [7; 10]);
        system.sync(NOW).unwrap();
        // A crash now: the last is found and freed, the named one stays.
        let system = FileSystem::open(system.into_device(), Access::ReadWrite, NOW).unwrap();
        let after = system.statistics();
        assert_eq!(after.inodes_free + 1, before.inodes_free, "{name}");
        assert_eq!(system.lookup(root, b"named"), Ok(named), "{name}");
        Image::of_device(&system.into_device()).check(name);
    }
}
