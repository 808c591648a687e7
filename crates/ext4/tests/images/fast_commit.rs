//! Fast commits are done again: what Linux confirmed is there, and nothing of one that was torn.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use minke_ext4::check::check;
use minke_ext4::{Access, Device, FileSystem, FileType, InodeNumber, MemoryDevice, Timestamp};

use crate::e2fsprogs::Image;
use crate::random::{Random, seed};

const NOW: Timestamp = Timestamp {
    seconds: 1_700_000_000,
    nanoseconds: 0,
};

/// What can be seen of a name: bits of the mode, links, size, and content or target.
type Seen = (u32, u64, u64, Vec<u8>);

/// Returns all names of a file system, but for what `mke2fs` made.
fn tree<D: Device>(system: &FileSystem<D>) -> BTreeMap<String, Seen> {
    let mut found = BTreeMap::new();
    let mut left = vec![(InodeNumber::ROOT, String::new())];
    while let Some((directory, path)) = left.pop() {
        system
            .read_directory(directory, 0, &mut |entry| {
                let name = format!("{path}/{}", String::from_utf8_lossy(&entry.name));
                if name != "/lost+found" {
                    found.insert(name.clone(), seen(system, entry.inode));
                    if entry.file_type == FileType::Directory {
                        left.push((entry.inode, name));
                    }
                }
                true
            })
            .unwrap();
    }
    found
}

fn seen<D: Device>(system: &FileSystem<D>, number: InodeNumber) -> Seen {
    let metadata = system.metadata(number).unwrap();
    let mut content = Vec::new();
    match metadata.file_type {
        FileType::Regular => {
            content.resize(metadata.size as usize, 0xff);
            assert_eq!(system.read(number, 0, &mut content), Ok(content.len()));
        }
        FileType::Symlink => content = system.read_link(number).unwrap(),
        _ => {}
    }
    let mode = u32::from(metadata.file_type.mode_bits() | metadata.mode);
    let size = match metadata.file_type {
        FileType::Directory => 0,
        _ => metadata.size,
    };
    (mode, metadata.links.into(), size, content)
}

/// Returns all names of a directory of the host.
fn tree_of_host(top: &Path) -> BTreeMap<String, Seen> {
    let mut found = BTreeMap::new();
    let mut left = vec![top.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("/{}", path.strip_prefix(top).unwrap().display());
            if name == "/lost+found" {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = match metadata.file_type() {
                kind if kind.is_file() => fs::read(&path).unwrap(),
                kind if kind.is_symlink() => {
                    let target = fs::read_link(&path).unwrap();
                    target.into_os_string().into_encoded_bytes()
                }
                _ => Vec::new(),
            };
            // How large a directory is, and what it counts as links, depends on the host's file system.
            let (links, size) = match metadata.is_dir() {
                true => (2, 0),
                false => (metadata.nlink(), metadata.len()),
            };
            found.insert(name, (metadata.mode(), links, size, content));
            if metadata.is_dir() {
                left.push(path);
            }
        }
    }
    let inner: Vec<String> = found
        .iter()
        .filter(|(_, seen)| seen.0 & 0xf000 == 0x4000)
        .filter_map(|(name, _)| Some(name.rsplit_once('/')?.0.to_string()))
        .collect();
    for parent in inner.iter().filter(|parent| !parent.is_empty()) {
        found.get_mut(parent).unwrap().1 += 1;
    }
    found
}

fn differences(found: &BTreeMap<String, Seen>, expected: &BTreeMap<String, Seen>) -> String {
    let mut text = String::new();
    for name in found.keys().chain(expected.keys()) {
        let (ours, theirs) = (found.get(name), expected.get(name));
        if ours != theirs {
            let short = |seen: Option<&Seen>| {
                seen.map(|(mode, links, size, _)| format!("{mode:o} {links} {size}"))
            };
            let _ = writeln!(text, "{name}: {:?}, not {:?}", short(ours), short(theirs));
        }
    }
    text
}

/// Replays the journal of an image in memory and on the device, and compares.
fn replay(bytes: &[u8], expected: &BTreeMap<String, Seen>, what: &str) {
    let in_memory = FileSystem::open(bytes, Access::ReadOnly, NOW).unwrap();
    assert_eq!(
        differences(&tree(&in_memory), expected),
        "",
        "{what}: in memory"
    );
    let device = MemoryDevice::from_image(bytes);
    let system = FileSystem::open(device, Access::ReadWrite, NOW).unwrap();
    assert_eq!(
        differences(&tree(&system), expected),
        "",
        "{what}: on the device"
    );
    let device = system.into_device();
    let report = check(&device).unwrap();
    assert!(
        !report.needs_recovery && report.is_clean(),
        "{what}: {:?}",
        report.faults
    );
    let image = Image::of_device(&device);
    image.check(what);
    // What was replayed is not replayed again.
    let again = FileSystem::open(device, Access::ReadWrite, NOW).unwrap();
    assert_eq!(differences(&tree(&again), expected), "", "{what}: again");
}

/// Confirms all content, and with it the names that were changed before.
const CONFIRM: &str = "echo 1 >> keep; find . -type f -exec sync {} +";

/// Commands for a shell: random changes of a few files, some of which are confirmed at once.
fn commands(random: &mut Random, count: u64) -> String {
    let mut script = String::new();
    let file = |random: &mut Random| match random.below(3) {
        0 => format!("d/f{}", random.below(12)),
        _ => format!("f{}", random.below(25)),
    };
    for _ in 0..count {
        let (one, other) = (file(random), file(random));
        let (at, length) = (random.below(60), 1 + random.below(40));
        let line = match random.below(20) {
            0..5 => format!("head -c {} /dev/urandom > {one}", length * 997),
            5..7 => format!("head -c {length} /dev/urandom >> {one}"),
            7..9 => {
                format!("dd if=/dev/urandom of={one} bs=1000 seek={at} count={length} conv=notrunc")
            }
            9 => format!("truncate -s {} {one}", at * 1500),
            10 => format!("fallocate -o {} -l {} {one}", at * 1024, length * 1024),
            11 => format!("fallocate -p -o {} -l {} {one}", at * 1000, length * 1000),
            12..14 => format!("ln {one} {other}"),
            14..16 => format!("rm {one}"),
            16..18 => format!("mv {one} {other}"),
            18 => format!("chmod {:o} {one}", 0o400 | random.below(0o400)),
            _ => match random.below(12) {
                0 => format!("mkdir n{at}"),
                1 => format!("ln -s {one} s{at}"),
                2 => format!("mkfifo p{at}"),
                _ => format!(
                    "head -c 50 /dev/urandom > {one}-{}",
                    "x".repeat(at as usize)
                ),
            },
        };
        let _ = writeln!(script, "{line}");
        if random.below(3) == 0 {
            let _ = writeln!(script, "{CONFIRM}");
        }
    }
    script
}

/// Lets Linux change a file system, and takes what is on its device and in it at one moment; `None` where it cannot be mounted.
fn crash(arguments: &[&str], script: &str) -> Option<(Vec<u8>, BTreeMap<String, Seen>)> {
    let image = Image::make(arguments, "40M");
    let place = tempfile::tempdir().unwrap();
    let tools = format!(
        "set -e; cd {}; mkdir m seen; mount -o loop,commit=900 {} m; cd m; mkdir d; echo 1 > keep; sync .; set +e\n\
         {{\n{script}\n}} 2> /dev/null; set -e; {CONFIRM}\n\
         cp --sparse=always {} ../crashed; cp -a . ../seen; cd ..; umount m",
        place.path().display(),
        image.path().display(),
        image.path().display(),
    );
    // What is mounted in a name space of its own is gone with it.
    let mut shell = Command::new("unshare");
    let output = shell.args(["-m", "sh", "-c", &tools]).output().ok()?;
    if !output.status.success() {
        println!("not mounted: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let expected = tree_of_host(&place.path().join("seen"));
    Some((fs::read(place.path().join("crashed")).unwrap(), expected))
}

#[test]
fn what_linux_confirmed_with_fast_commits_is_there_after_a_crash() {
    let kinds: &[&[&str]] = &[
        &["-t", "ext4", "-O", "fast_commit", "-J", "size=8"],
        &[
            "-t",
            "ext4",
            "-O",
            "fast_commit,orphan_file",
            "-b",
            "1024",
            "-J",
            "size=4",
        ],
        &[
            "-t",
            "ext4",
            "-O",
            "fast_commit,^metadata_csum,^64bit",
            "-I",
            "128",
            "-J",
            "size=8",
        ],
        &[
            "-t",
            "ext4",
            "-O",
            "fast_commit,^dir_index",
            "-b",
            "2048",
            "-J",
            "size=8",
        ],
    ];
    for (index, arguments) in kinds.iter().enumerate() {
        let seed = seed() + index as u64;
        println!("{arguments:?}: MINKE_EXT4_SEED={seed}");
        let mut random = Random(seed);
        let count = 20 + random.below(60);
        let Some((bytes, expected)) = crash(arguments, &commands(&mut random, count)) else {
            return;
        };
        replay(&bytes, &expected, &format!("{arguments:?}, seed {seed}"));
    }
}
