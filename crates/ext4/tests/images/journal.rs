//! Journals that were left dirty are replayed, as `e2fsck` does it.

use std::fs;

use minke_ext4::check::check;
use minke_ext4::layout::checksum::crc32c;
use minke_ext4::layout::journal::{JournalFeatures, JournalSuperblock};
use minke_ext4::{Access, Error, FileSystem, InodeNumber, MemoryDevice, Timestamp};

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

/// Blocks for fast commits at the end of the journal.
const FAST_COMMIT_BLOCKS: u32 = 16;
const BLOCK_BYTES: usize = 4096;

/// Returns a field of a fast commit: tag, length, value. Spec: ext4 disk layout, "Fast commits".
fn field(tag: u16, value: &[u8]) -> Vec<u8> {
    let length = value.len() as u16;
    [&tag.to_le_bytes(), &length.to_le_bytes(), value].concat()
}

/// Returns a block with one fast commit: the top gets the name `linked` for an inode.
fn fast_commit(transaction: u32, inode: InodeNumber) -> Vec<u8> {
    let transaction = transaction.to_le_bytes();
    let mut bytes = field(9, &[[0; 4], transaction].concat());
    let parent = InodeNumber::ROOT.0.to_le_bytes();
    bytes.extend(field(
        4,
        &[&parent, &inode.0.to_le_bytes(), &b"linked"[..]].concat(),
    ));
    // The tail goes to the end of the block.
    let length = (BLOCK_BYTES - bytes.len() - 4) as u16;
    bytes.extend([8_u16.to_le_bytes(), length.to_le_bytes()].concat());
    bytes.extend(transaction);
    bytes.extend(crc32c(0, &bytes).to_le_bytes());
    bytes.resize(BLOCK_BYTES, 0);
    bytes
}

/// Makes an image whose journal has a transaction, and a fast commit of the transaction so many behind it.
fn with_fast_commit(distance: u32) -> Image {
    let image = Image::make(&["-t", "ext4", "-O", "fast_commit", "-J", "size=4"], "40M");
    let host = tempfile::NamedTempFile::new().unwrap();
    fs::write(&host, vec![b'1'; BLOCK_BYTES]).unwrap();
    let host = host.path().display();
    image.debugfs(&[&format!("write {host} file")]);
    let last_word = |command: &str| -> usize {
        let text = image.debugfs(&[command]);
        text.split_whitespace().last().unwrap().parse().unwrap()
    };
    let block = last_word("blocks /file");
    image.debugfs(&[
        "journal_open -c -v 3",
        &format!("journal_write -b {block} {host}"),
        "journal_close",
    ]);
    let mut bytes = image.bytes();
    let at = last_word("bmap <8> 0") * BLOCK_BYTES;
    let superblock = &mut bytes[at..at + JournalSuperblock::SIZE_BYTES];
    let mut journal = JournalSuperblock::parse(superblock).unwrap();
    journal.feature_incompat |= JournalFeatures::FAST_COMMIT.bits();
    journal.fast_commit_blocks = FAST_COMMIT_BLOCKS;
    journal.write(superblock);
    // The block behind the log's end is nobody's.
    let place = last_word(&format!(
        "bmap <8> {}",
        journal.length - FAST_COMMIT_BLOCKS + 1
    ));
    let inode = InodeNumber(12);
    bytes[place * BLOCK_BYTES..][..BLOCK_BYTES]
        .copy_from_slice(&fast_commit(journal.sequence + distance, inode));
    Image::of(&bytes)
}

/// Returns the names of the top directory's entries with their inodes' links.
fn names<D: minke_ext4::Device>(system: &FileSystem<D>) -> Vec<(String, u32)> {
    let mut names = Vec::new();
    let mut note = |entry: &minke_ext4::ListedEntry| {
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        names.push((name, system.metadata(entry.inode).unwrap().links));
        true
    };
    system
        .read_directory(InodeNumber::ROOT, 0, &mut note)
        .unwrap();
    names.sort();
    names
}

/// Compares what replaying an image gives with what `e2fsck` makes of it, and returns the names.
fn replayed_as_by_e2fsck(image: &Image, what: &str) -> Vec<(String, u32)> {
    let bytes = image.bytes();
    let in_memory = names(&FileSystem::open(&bytes[..], Access::ReadOnly, NOW).unwrap());
    let device = MemoryDevice::from_image(&bytes);
    let system = FileSystem::open(device, Access::ReadWrite, NOW).unwrap();
    assert_eq!(names(&system), in_memory, "{what}");
    Image::of_device(&system.into_device()).check(what);
    let path = image.path();
    tool("e2fsck").arg("-fy").arg(path).output().unwrap();
    let theirs = image.bytes();
    let theirs = FileSystem::open(&theirs[..], Access::ReadOnly, NOW).unwrap();
    assert_eq!(in_memory, names(&theirs), "{what}: e2fsck");
    in_memory
}

#[test]
fn a_fast_commit_of_the_next_transaction_is_replayed_as_e2fsck_does_and_an_old_one_is_not() {
    for (distance, counts) in [(0, false), (1, true), (2, false)] {
        let image = with_fast_commit(distance);
        let names = replayed_as_by_e2fsck(&image, &format!("distance {distance}"));
        let is_linked = names.contains(&("linked".to_string(), 2));
        assert_eq!(is_linked, counts, "{distance}: {names:?}");
    }
}

#[test]
fn nothing_of_a_torn_fast_commit_is_replayed() {
    let mut bytes = with_fast_commit(1).bytes();
    let at = bytes.windows(6).rposition(|it| it == b"linked").unwrap();
    bytes[at] = b'L';
    let names = replayed_as_by_e2fsck(&Image::of(&bytes), "torn");
    let expected = ["file", "lost+found"].map(str::to_string);
    assert!(
        names.iter().map(|(name, _)| name).eq(&expected),
        "{names:?}"
    );
}

#[test]
fn a_fast_commit_with_features_is_refused_by_name() {
    let mut image = with_fast_commit(1).bytes();
    let head = field(9, &[0; 8]);
    let is_head = |block: &[u8]| block.starts_with(&head[..4]);
    let block = image.chunks(BLOCK_BYTES).rposition(is_head).unwrap();
    let block = &mut image[block * BLOCK_BYTES..][..BLOCK_BYTES];
    block[4] = 1;
    let tail = block.iter().rposition(|byte| *byte != 0).unwrap() - 3;
    let sum = crc32c(0, &block[..tail]);
    block[tail..tail + 4].copy_from_slice(&sum.to_le_bytes());
    let refused = Error::Unsupported {
        features: "fast commits with features 0x1".to_string(),
    };
    let found = FileSystem::open(&image[..], Access::ReadOnly, NOW).err();
    assert_eq!(found, Some(refused));
}
