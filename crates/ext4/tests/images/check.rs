//! Faults that `check` finds: none where `e2fsck` finds none, and each kind of damage by its name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::e2fsprogs::{Image, MATRIX, succeed, tool};
use crate::make::{made, options};
use minke_ext4::check::{CheckReport, check};
use minke_ext4::layout::checksum::crc32c;
use minke_ext4::make::{Journal, MakeOptions};

/// Files of all kinds that need no rights; `large` has a hash tree.
fn fill(directory: &Path) {
    fs::create_dir_all(directory.join("a/b/c")).unwrap();
    fs::create_dir(directory.join("large")).unwrap();
    for number in 0..600 {
        let name = format!("large/a name that is somewhat longer {number}");
        fs::write(directory.join(name), "").unwrap();
    }
    fs::write(directory.join("file"), vec![7; 10_000]).unwrap();
    fs::write(directory.join("other"), vec![8; 9000]).unwrap();
    fs::write(directory.join("a/long"), vec![9; 400_000]).unwrap();
    let sparse = fs::File::create(directory.join("sparse")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    for piece in 0..40_u64 {
        use std::os::unix::fs::FileExt;
        sparse.write_all_at(b"piece", piece << 20).unwrap();
    }
    fs::hard_link(directory.join("file"), directory.join("a/hard")).unwrap();
    symlink("file", directory.join("short")).unwrap();
    symlink("x".repeat(100), directory.join("long")).unwrap();
}

fn filled(arguments: &[&str], size: &str) -> Image {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let path = directory.path().to_str().unwrap().to_string();
    let arguments: Vec<&str> = arguments.iter().copied().chain(["-d", &path]).collect();
    let image = Image::make(&arguments, size);
    let value = "v".repeat(300);
    let attribute = format!("ea_set /file user.long {value}");
    image.debugfs(&["ea_set /other user.name value", &attribute, "mknod pipe p"]);
    // `mke2fs` makes no hash trees; this does, where there is more than a block.
    tool("e2fsck")
        .arg("-fyD")
        .arg(image.path())
        .output()
        .unwrap();
    image
}

fn checked(bytes: &[u8]) -> CheckReport {
    check(&bytes).unwrap()
}

fn faults(bytes: &[u8]) -> Vec<String> {
    match check(&bytes) {
        Ok(report) => report.faults.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// Whether `e2fsck` finds nothing wrong, and what it says.
fn judged(image: &Image) -> (bool, String) {
    let output = tool("e2fsck")
        .arg("-fn")
        .arg(image.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text)
}

#[test]
fn images_of_mke2fs_have_no_faults() {
    for (name, arguments) in MATRIX {
        let image = filled(arguments, "40M");
        assert!(judged(&image).0, "{name}");
        let report = checked(&image.bytes());
        assert_eq!(report.faults, [], "{name}");
        let free = image.dumped("Free blocks").parse::<u64>().unwrap();
        assert_eq!(
            report.blocks_count - report.used_blocks_count,
            free,
            "{name}"
        );
        assert_eq!(report.directories_count, 6, "{name}");
    }
}

#[test]
fn images_of_make_have_no_faults() {
    for size in [1 << 18, 1 << 20, 17 << 20, 300 << 20] {
        for journal in [Journal::Usual, Journal::Absent] {
            let options = MakeOptions {
                journal,
                ..options()
            };
            let image = made(size, &options);
            assert_eq!(checked(&image.bytes()).faults, [], "{size}");
        }
    }
}

/// What is done to an image, by commands of `debugfs`, and part of what is found.
const DAMAGES: [(&str, &str); 27] = [
    (
        "sif /file links_count 7",
        "number of its links: 7 instead of 2",
    ),
    (
        "sif /other blocks 99",
        "number of its blocks: 99 instead of 24",
    ),
    ("sif /other size 1", "blocks behind the end"),
    ("sif /other mode 0170644", "of no known kind"),
    ("sif /other dtime 5", "used, but with a time of deletion"),
    ("sif /other flags 0x81000", "a hash tree, but no directory"),
    (
        "sif /other block[5] 99999999",
        "the extent lies outside of the file system, at block 99999999",
    ),
    ("sif /other block[5] 1", "block 1 is used more than once"),
    ("sif /other block[3] 77777", "blocks behind the end"),
    ("sif /other block[4] 0", "an extent of no blocks"),
    ("sif /other block[0] 0", "no magic number 0xf30a"),
    ("sif /other extra_isize 2", "impossible extra size"),
    (
        "sif /a size 8192",
        "a directory whose size is not that of its blocks",
    ),
    (
        "sif /short size 9",
        "a symbolic link whose size is not its target's",
    ),
    (
        "sif /long size 9",
        "a symbolic link whose size is not its target's",
    ),
    ("sif /pipe size 9", "a device with a size"),
    ("clri /other", "`other` leads to inode"),
    ("unlink /other", "cannot be reached from the top directory"),
    (
        "sif /large flags 0x80000",
        "wrong checksum of the directory block",
    ),
    ("ln /a /a/b/again", "a directory that has a name already"),
    ("ln /a /lost+found/away\nunlink /a", "`..` leads elsewhere"),
    (
        "ln /a /a/b/c/ring\nunlink /a",
        "cannot be reached from the top directory",
    ),
    ("freeb 1 3", "3 used blocks are marked free, the first is 1"),
    (
        "setb 9000 5",
        "5 free blocks are marked used, the first is 9000",
    ),
    (
        "freei <12>",
        "1 used inodes are marked free, the first is 12",
    ),
    (
        "seti <2000>",
        "1 free inodes are marked used, the first is 2000",
    ),
    (
        "set_bg 0 itable_unused 99999\nset_bg 0 checksum calc",
        "more unused inodes than there are",
    ),
];

#[test]
fn each_damage_is_named() {
    let image = filled(MATRIX[0].1, "40M");
    let intact = image.bytes();
    let mut missed = Vec::new();
    for (commands, expected) in DAMAGES {
        let damaged = Image::of(&intact);
        damaged.debugfs(&commands.lines().collect::<Vec<_>>());
        let found = faults(&damaged.bytes());
        let (is_clean, text) = judged(&damaged);
        if is_clean || !found.iter().any(|fault| fault.contains(expected)) {
            missed.push(format!("{commands}: {found:#?}\n{text}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn counts_of_the_superblock_are_compared_though_e2fsck_lets_them_pass() {
    let image = Image::make(MATRIX[0].1, "16M");
    image.debugfs(&["ssv free_blocks_count 7"]);
    assert!(judged(&image).0);
    let found = faults(&image.bytes());
    assert!(found.len() == 1 && found[0].starts_with("superblock: free blocks: 7 instead of"));
}

#[test]
fn a_name_that_is_there_twice_is_found() {
    let image = filled(&["-t", "ext4", "-O", "^metadata_csum"], "40M");
    let mut bytes = image.bytes();
    let block = block_of(&image, "/", 0) * 4096;
    let name = bytes[block..][..4096]
        .windows(4)
        .position(|it| it == b"long");
    bytes[block + name.unwrap()..][..4].copy_from_slice(b"file");
    let found = faults(&bytes);
    assert!(
        found
            .iter()
            .any(|fault| fault.contains("the name `file` is there twice")),
        "{found:#?}"
    );
    assert!(!judged(&Image::of(&bytes)).0);
}

/// Returns the block on the device that `debugfs` says to be a file's.
fn block_of(image: &Image, file: &str, logical: u64) -> usize {
    let shown = image.debugfs(&[&format!("bmap {file} {logical}")]);
    let number = shown.lines().last().unwrap().trim();
    number.parse().unwrap_or_else(|_| panic!("{shown}"))
}

#[test]
fn a_changed_byte_of_each_structure_is_found() {
    let image = filled(MATRIX[0].1, "40M");
    let intact = image.bytes();
    let journal = block_of(&image, "<8>", 0) * 4096;
    let places = [
        ("superblock", 1024 + 0x34, "superblock: wrong checksum"),
        (
            "group descriptor",
            4096 + 0x0c,
            "group 0: wrong checksum of the group descriptor",
        ),
        (
            "directory",
            block_of(&image, "/a", 0) * 4096 + 30,
            "directory block",
        ),
        (
            "hash tree",
            block_of(&image, "/large", 0) * 4096 + 50,
            "directory block",
        ),
        (
            "journal",
            journal + 3,
            "journal: corrupt journal superblock",
        ),
        (
            "journal's blocks",
            journal + 0x0e,
            "its blocks are not those",
        ),
    ];
    for (name, at, expected) in places {
        let mut bytes = intact.clone();
        bytes[at] ^= 1;
        let found = faults(&bytes);
        assert!(
            found.iter().any(|fault| fault.contains(expected)),
            "{name}: {found:#?}"
        );
        let (is_clean, text) = judged(&Image::of(&bytes));
        // A superblock that is wrong is replaced by a copy of it.
        assert!(!is_clean || name == "superblock", "{name}: {text}");
    }
}

#[test]
fn names_in_the_wrong_block_of_a_hash_tree_are_found() {
    let image = filled(&["-t", "ext4", "-O", "^metadata_csum"], "40M");
    let mut bytes = image.bytes();
    let root = block_of(&image, "/large", 0) * 4096;
    // The hash of the second entry.
    bytes[root + 0x28..root + 0x2c].copy_from_slice(&0x1000_u32.to_le_bytes());
    let found = faults(&bytes);
    assert!(
        found
            .iter()
            .any(|fault| fault.contains("a name in a block of other hashes")),
        "{found:#?}"
    );
    assert!(!judged(&Image::of(&bytes)).0);
}

#[test]
fn what_is_cut_short_or_no_file_system_is_refused() {
    let bytes = Image::make(MATRIX[0].1, "8M").bytes();
    assert!(check(&&bytes[..4 << 20]).is_err());
    assert!(check(&&bytes[..2000]).is_err());
    assert!(check(&&vec![0; 1 << 20][..]).is_err());
    let inline = Image::make(&["-t", "ext4", "-O", "inline_data"], "8M").bytes();
    let refused = check(&&inline[..]).unwrap_err().to_string();
    assert_eq!(refused, "unsupported: inline_data");
}

/// What `e2fsck` objects to, and `check` does not.
const KNOWN_DIFFERENCES: [&str; 0] = [];

/// Changes bytes one after another, and asks `e2fsck` whenever nothing is found.
fn mutate(name: &str, arguments: &[&str], size: &str, rounds: u32) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("a/b")).unwrap();
    fs::write(directory.path().join("file"), vec![7; 100_000]).unwrap();
    symlink("file", directory.path().join("short")).unwrap();
    let path = directory.path().to_str().unwrap().to_string();
    let arguments: Vec<&str> = arguments.iter().copied().chain(["-d", &path]).collect();
    let intact = Image::make(&arguments, size).bytes();
    // Where something is, and its surroundings.
    let places: Vec<usize> = (0..intact.len())
        .filter(|at| {
            intact[at.saturating_sub(4)..(at + 4).min(intact.len())]
                .iter()
                .any(|it| *it != 0 && *it != 7)
        })
        .collect();
    let mut missed = Vec::new();
    for round in 0..rounds {
        let random = crc32c(round, name.as_bytes());
        let at = places[crc32c(random, b"place") as usize % places.len()];
        let mut bytes = intact.clone();
        bytes[at] ^= 1 << (random % 8);
        if !faults(&bytes).is_empty() {
            continue;
        }
        let (is_clean, text) = judged(&Image::of(&bytes));
        if !is_clean && !KNOWN_DIFFERENCES.iter().any(|known| text.contains(known)) {
            missed.push(format!("byte {at:#x}, bit {}: {text}", random % 8));
        }
    }
    assert!(
        missed.is_empty(),
        "{name}: {} missed: {}",
        missed.len(),
        missed.join("\n")
    );
}

#[test]
fn what_e2fsck_finds_in_changed_images_is_found() {
    mutate("ext4", &["-t", "ext4", "-b", "1024"], "4M", 400);
    mutate("ext3", &["-t", "ext3", "-b", "1024"], "4M", 400);
    mutate("ext2", &["-t", "ext2", "-b", "1024"], "1M", 1500);
}

#[test]
fn hostile_images_end_without_a_panic() {
    let image = filled(&["-t", "ext4", "-O", "^metadata_csum", "-b", "1024"], "20M");
    let intact = image.bytes();
    let places: Vec<usize> = (0..intact.len())
        .filter(|at| !matches!(intact[*at], 0 | 7 | 9))
        .collect();
    for round in 0..150_u32 {
        let mut bytes = intact.clone();
        for change in 0..=round % 50 {
            let random = crc32c(round, &change.to_le_bytes());
            let at = places[random as usize % places.len()];
            // Not the superblock alone: what is behind it is to be reached.
            if at >= 2048 || round % 10 == 0 {
                bytes[at] = crc32c(random, b"value") as u8;
            }
        }
        let _ = check(&&bytes[..]);
    }
}

#[test]
fn images_that_linux_left_open_say_so() {
    let image = Image::make(MATRIX[0].1, "16M");
    image.debugfs(&["feature needs_recovery"]);
    let report = checked(&image.bytes());
    assert!(
        report.needs_recovery && report.faults.is_empty(),
        "{report:?}"
    );
    succeed(tool("dumpe2fs").arg("-h").arg(image.path()));
}
