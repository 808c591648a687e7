//! Journals that were left dirty are replayed, as `e2fsck` does it.

use std::fs;

use minke_ext4::check::check;
use minke_ext4::{Access, FileSystem, InodeNumber, MemoryDevice, Timestamp};

use crate::e2fsprogs::{Image, tool};

const NOW: Timestamp = Timestamp {
    seconds: 1_700_000_000,
    nanoseconds: 0,
};

/// Kinds of journals: what `mke2fs` is told, and which version `debugfs` is to write.
const KINDS: &[(&[&str], &str)] = &[
    (&["-t", "ext4"], "journal_open -c -v 3"),
    (&["-t", "ext4"], "journal_open -c -v 2"),
    (
        &["-t", "ext4", "-O", "^64bit,^metadata_csum"],
        "journal_open",
    ),
    (&["-t", "ext3", "-b", "1024"], "journal_open"),
];

/// Makes an image whose journal says more than its blocks: the content of `/file`, in three transactions.
fn dirty(arguments: &[&str], open: &str) -> Image {
    let directory = tempfile::tempdir().unwrap();
    let host = directory.path().join("file");
    fs::write(&host, vec![b'o'; 5 * 4096]).unwrap();
    let image = Image::make(arguments, "40M");
    image.debugfs(&[&format!("write {} file", host.display())]);
    let blocks = image.debugfs(&["blocks /file"]);
    let numbers: Vec<&str> = blocks.lines().last().unwrap().split_whitespace().collect();
    let size: usize = image.dumped("Block size").parse().unwrap();
    let write = |name: &str, byte: u8| {
        let path = directory.path().join(name);
        let mut bytes = vec![byte; size];
        if byte == b'e' {
            // Looks like a block of the journal, and is escaped in it.
            bytes[..4].copy_from_slice(&[0xc0, 0x3b, 0x39, 0x98]);
        }
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let (first, second, escaped) = (write("1", b'1'), write("2", b'2'), write("e", b'e'));
    image.debugfs(&[
        open,
        &format!("journal_write -b {} {first}", numbers[0]),
        &format!("journal_write -b {} {first}", numbers[1]),
        &format!("journal_write -b {} {escaped}", numbers[2]),
        "journal_close",
    ]);
    image.debugfs(&[
        open,
        &format!("journal_write -b {} {second}", numbers[0]),
        &format!("journal_write -r {}", numbers[1]),
        "journal_close",
    ]);
    // Not committed: does not count.
    image.debugfs(&[
        open,
        &format!("journal_write -b {} -c {second}", numbers[3]),
        "journal_close",
    ]);
    image
}

fn content<D: minke_ext4::Device>(system: &FileSystem<D>) -> Vec<u8> {
    let number = system.lookup(InodeNumber::ROOT, b"file").unwrap();
    let mut bytes = vec![0; 6 * 4096];
    let length = system.read(number, 0, &mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

#[test]
fn dirty_journals_are_replayed_on_the_device_and_in_memory_as_e2fsck_does() {
    for (arguments, open) in KINDS {
        let image = dirty(arguments, open);
        let bytes = image.bytes();
        let in_memory = FileSystem::open(&bytes[..], Access::ReadOnly, NOW).unwrap();
        let device = MemoryDevice::from_image(&bytes);
        let on_device = FileSystem::open(device, Access::ReadWrite, NOW).unwrap();
        let replayed = Image::of_device(&on_device.into_device());
        replayed.check("replayed");
        let again = replayed.bytes();
        let again = FileSystem::open(&again[..], Access::ReadOnly, NOW).unwrap();

        let code = tool("e2fsck")
            .arg("-fy")
            .arg(image.path())
            .output()
            .unwrap()
            .status
            .code();
        assert!(code.is_some_and(|code| code <= 1), "{open}");
        let bytes = image.bytes();
        let expected = content(&FileSystem::open(&bytes[..], Access::ReadOnly, NOW).unwrap());
        assert_eq!(expected[0], b'2', "the last transaction counts");
        assert!(content(&in_memory) == expected, "{open}: in memory");
        assert!(content(&again) == expected, "{open}: on the device");
    }
}

#[test]
fn a_change_in_the_journal_with_a_wrong_checksum_is_a_fault() {
    let (arguments, open) = KINDS[0];
    let image = dirty(arguments, open);
    let mut bytes = image.bytes();
    let report = check(&&bytes[..]).unwrap();
    assert!(
        report.needs_recovery && report.is_clean(),
        "{:?}",
        report.faults
    );
    // What the journal alone has.
    let is_copy = |block: &[u8]| block.iter().all(|byte| *byte == b'1');
    let copy = bytes.chunks(4096).position(is_copy).unwrap();
    bytes[copy * 4096 + 7] ^= 1;
    let report = check(&&bytes[..]).unwrap();
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("wrong checksum of a copy"), "{faults:?}");
}
