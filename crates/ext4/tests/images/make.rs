//! What `make` makes is what `mkfs.ext4` makes, as `dumpe2fs` shows it, and `e2fsck` finds no fault.

use crate::e2fsprogs::{Image, succeed, tool};
use minke_ext4::MemoryDevice;
use minke_ext4::make::{Identity, Journal, MakeError, MakeOptions, make};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Sizes, below and above the borders of usage types, of journals' sizes and of groups.
const SIZES: [u64; 17] = [
    256 * KIB,
    MIB,
    2 * MIB,
    3 * MIB,
    5 * MIB + 4 * KIB,
    8 * MIB,
    8 * MIB + 68 * KIB,
    16 * MIB,
    40 * MIB,
    64 * MIB,
    136 * MIB,
    300 * MIB,
    511 * MIB,
    512 * MIB,
    700 * MIB,
    2049 * MIB,
    8192 * MIB,
];

pub(crate) fn options() -> MakeOptions {
    MakeOptions {
        identity: Identity {
            uuid: *b"\x12\x34\x56\x78\x9a\xbc\xde\xf0\x12\x34\x56\x78\x9a\xbc\xde\xf0",
            hash_seed: *b"\x0f\xed\xcb\xa9\x87\x65\x43\x21\x0f\xed\xcb\xa9\x87\x65\x43\x21",
        },
        time_seconds: 1_700_000_000,
        block_size_bytes: None,
        label: "data".to_string(),
        journal: Journal::Usual,
    }
}

/// Makes a file system in a sparse file.
pub(crate) fn made(size: u64, options: &MakeOptions) -> Image {
    let device = MemoryDevice::new(size);
    make(&device, options).unwrap_or_else(|error| panic!("{size}, {options:?}: {error}"));
    Image::of_device(&device)
}

/// What `dumpe2fs` shows, without what may differ: sums, flags of groups and how much has been written.
fn shown(image: &Image) -> String {
    let output = succeed(tool("dumpe2fs").arg(image.path()));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("Checksum:") && !line.starts_with("Lifetime writes"));
    let lines = lines.map(|line| line.split(", csum").next().unwrap_or(line));
    let lines = lines.map(|line| line.split(") csum").next().unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn geometry_and_features_are_those_of_mkfs_ext4_and_e2fsck_finds_nothing() {
    for size in SIZES {
        for block_size in [None, Some(1024), Some(2048), Some(4096)] {
            for journal in [Journal::Usual, Journal::Absent] {
                let options = MakeOptions {
                    block_size_bytes: block_size,
                    journal,
                    ..options()
                };
                compare(size, &options);
            }
        }
    }
}

fn compare(size: u64, options: &MakeOptions) {
    let image = made(size, options);
    succeed(tool("e2fsck").arg("-fn").arg(image.path()));
    let mut arguments = vec!["-t", "ext4", "-L", "data"];
    let block_size = options.block_size_bytes.map(|it| it.to_string());
    if let Some(block_size) = &block_size {
        arguments.extend(["-b", block_size]);
    }
    if options.journal == Journal::Absent {
        arguments.extend(["-O", "^has_journal"]);
    }
    let theirs = made_by_mke2fs(&arguments, size, options.time_seconds);
    let (ours, theirs) = (shown(&image), shown(&theirs));
    let difference = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
    assert!(ours == theirs, "{size}, {options:?}: {difference:?}");
}

/// Makes a file system as `mke2fs` does without being told more than this.
fn made_by_mke2fs(arguments: &[&str], size: u64, time_seconds: i64) -> Image {
    let image = Image::of(b"");
    let mut command = tool("mke2fs");
    command.env(
        "MKE2FS_CONFIG",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images/usual.conf"),
    );
    command.env("E2FSPROGS_FAKE_TIME", time_seconds.to_string());
    command.args(["-q", "-F", "-U", "12345678-9abc-def0-1234-56789abcdef0"]);
    command.args(["-E", "hash_seed=0fedcba9-8765-4321-0fed-cba987654321"]);
    let size = format!("{}K", size / KIB);
    succeed(command.args(arguments).arg(image.path()).arg(size));
    image
}

#[test]
fn equal_options_make_equal_bytes_and_few_of_them() {
    let pieces = |options: &MakeOptions| {
        let device = MemoryDevice::new(8192 * MIB);
        make(&device, options).unwrap();
        let mut pieces = Vec::new();
        device.for_each_piece(|offset, bytes| pieces.push((offset, bytes.to_vec())));
        pieces
    };
    let first = pieces(&options());
    assert!(first == pieces(&options()));
    assert!(first.len() < 2000, "{} pieces of 4 KiB", first.len());
    let other = MakeOptions {
        identity: Identity::from_seed([7; 32]),
        ..options()
    };
    assert!(first != pieces(&other));
}

#[test]
fn devices_that_are_too_small_or_too_large_are_refused_and_not_written() {
    for size in [0, KIB, 2 * KIB, 16 * KIB, 1 << 60] {
        let device = MemoryDevice::new(size);
        let refused = make(&device, &options());
        assert!(
            matches!(
                refused,
                Err(MakeError::TooSmall { .. } | MakeError::TooLarge { .. })
            ),
            "{size}: {refused:?}"
        );
        device.for_each_piece(|offset, _| panic!("{size}: byte {offset} was written"));
    }
}

#[test]
fn every_small_size_is_refused_or_clean() {
    for size in (20..400).step_by(20) {
        let device = MemoryDevice::new(size * KIB);
        if make(&device, &options()).is_ok() {
            let image = Image::of_device(&device);
            succeed(tool("e2fsck").arg("-fn").arg(image.path()));
        }
    }
}

#[test]
fn impossible_options_are_refused() {
    let device = MemoryDevice::new(MIB);
    let long = MakeOptions {
        label: "seventeen letters".to_string(),
        ..options()
    };
    assert!(matches!(
        make(&device, &long),
        Err(MakeError::LabelTooLong { .. })
    ));
    let odd = MakeOptions {
        block_size_bytes: Some(3000),
        ..options()
    };
    assert!(matches!(
        make(&device, &odd),
        Err(MakeError::BlockSize { size_bytes: 3000 })
    ));
}
