//! Trees between tars and disks: GNU tar and e2fsprogs are the other side.
#![expect(clippy::unwrap_used, reason = "a test's `unwrap` is an assertion")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use minke_archive::Writer;
use minke_disk::FileDevice;
use minke_disk::tree::{
    Content, Holes, ImportError, ImportOptions, Member, MemberKind, Modified, Segment, Walk,
    Whiteouts, export, import,
};
use minke_ext4::make::{Identity, Journal, MakeOptions, make};
use minke_ext4::{Access, FileSystem, InodeNumber, Timestamp};
use tempfile::TempDir;

const TIME: Timestamp = Timestamp {
    seconds: 1_700_000_000,
    nanoseconds: 0,
};

/// A disk in a temporary file.
struct TestDisk {
    directory: TempDir,
    system: FileSystem<FileDevice>,
}

impl TestDisk {
    fn new() -> TestDisk {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.img");
        let mut options = fs::File::options();
        let file = options.read(true).write(true).create_new(true).open(path);
        let file = file.unwrap();
        file.set_len(64 << 20).unwrap();
        let device = FileDevice::new(file).unwrap();
        let options = MakeOptions {
            identity: Identity::from_seed([7; 32]),
            time_seconds: TIME.seconds,
            block_size_bytes: Some(4096),
            label: String::new(),
            journal: Journal::Absent,
        };
        make(&device, &options).unwrap();
        let system = FileSystem::open(device, Access::ReadWrite, TIME).unwrap();
        TestDisk { directory, system }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("disk.img")
    }

    fn layer(&self, tar: &[u8]) -> Result<(), ImportError> {
        self.import(tar, Whiteouts::Apply)
    }

    fn import(&self, tar: &[u8], whiteouts: Whiteouts) -> Result<(), ImportError> {
        let options = ImportOptions {
            directory: InodeNumber::ROOT,
            whiteouts,
            time: TIME,
        };
        import(&self.system, tar, &options).map(drop)
    }

    /// Makes all durable, and asks `e2fsck`.
    fn check(&self) {
        self.system.sync(TIME).unwrap();
        let mut command = tool("e2fsck");
        let output = command.args(["-fn"]).arg(self.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
    }

    fn tar(&self, holes: Holes) -> Vec<u8> {
        export(&self.system, InodeNumber::ROOT, holes, Vec::new()).unwrap()
    }

    /// A line for each entry: its path and what it is.
    fn listing(&self) -> Vec<String> {
        let mut walk = Walk::new(&self.system, InodeNumber::ROOT);
        let mut lines = Vec::new();
        while let Some(walked) = walk.next_entry().unwrap() {
            let Member { path, kind, .. } = walked.member;
            let path = String::from_utf8(path).unwrap();
            lines.push(match kind {
                MemberKind::Directory => format!("{path}/"),
                MemberKind::Regular(content) => {
                    let mut bytes = vec![0; content.size as usize];
                    self.system.read(walked.inode, 0, &mut bytes).unwrap();
                    format!("{path}={}", String::from_utf8_lossy(&bytes))
                }
                MemberKind::HardLink(first) => format!("{path}=>{}", text(&first)),
                MemberKind::Symlink(target) => format!("{path}->{}", text(&target)),
                other => format!("{path} {other:?}"),
            });
        }
        lines
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A tool that may lie where only root's path leads.
fn tool(name: &str) -> Command {
    let places = ["/usr/sbin", "/sbin"].map(|place| Path::new(place).join(name));
    let path = places.into_iter().find(|path| path.exists());
    Command::new(path.unwrap_or_else(|| PathBuf::from(name)))
}

fn member(path: &str, kind: MemberKind<Content>) -> Member<Content> {
    Member {
        path: path.as_bytes().to_vec(),
        mode: match kind {
            MemberKind::Directory => 0o755,
            _ => 0o644,
        },
        kind,
        uid: 0,
        gid: 0,
        modified: Modified::default(),
        extended: Vec::new(),
    }
}

/// A tar from words: `d/` a directory, `d/f=text` a file, `a->b` a symbolic link, `a=>b` a hard link.
fn tar(words: &[&str]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for word in words {
        let (entry, content) = if let Some((path, target)) = word.split_once("->") {
            (member(path, MemberKind::Symlink(target.into())), "")
        } else if let Some((path, target)) = word.split_once("=>") {
            (member(path, MemberKind::HardLink(target.into())), "")
        } else if let Some((path, content)) = word.split_once('=') {
            let kind = MemberKind::Regular(Content::whole(content.len() as u64));
            (member(path, kind), content)
        } else {
            let path = word.trim_end_matches('/');
            (member(path, MemberKind::Directory), "")
        };
        writer.append(&entry).unwrap();
        if !content.is_empty() {
            writer.content(content.as_bytes()).unwrap();
        }
    }
    writer.finish().unwrap()
}

/// Imports layers, and compares what is there then.
fn check_layers(layers: &[&[&str]], expected: &[&str]) {
    let disk = TestDisk::new();
    for layer in layers {
        disk.layer(&tar(layer)).unwrap();
    }
    let mut found = disk.listing();
    assert_eq!(found.remove(0), "/");
    assert_eq!(found, expected);
    disk.check();
}

fn check_refused(layers: &[&[&str]], reason: &str) {
    let disk = TestDisk::new();
    let (last, lower) = layers.split_last().unwrap();
    for layer in lower {
        disk.layer(&tar(layer)).unwrap();
    }
    let error = disk.layer(&tar(last)).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
    disk.check();
}

#[test]
fn a_tree_that_gnu_tar_packed_comes_out_as_it_went_in() {
    let host = tempfile::tempdir().unwrap();
    let script = "mkdir -p tree/a/b/c && cd tree && echo hello >a/hello && chmod 4755 a/hello && ln a/hello a/b/again \
        && ln -s ../hello a/b/link && mkfifo -m 600 a/fifo && : >a/empty \
        && ln -s \"$(printf %0200d 7)\" long && mkdir -p \"$(printf %0120d 1)/$(printf %0120d 2)\" \
        && echo deep >\"$(printf %0120d 1)/$(printf %0120d 2)/file\" \
        && truncate -s 9M sparse && printf data | dd of=sparse bs=1 seek=5000000 conv=notrunc status=none \
        && touch -d 2020-02-02T02:02:02.123456789Z a/hello && touch -d 1960-01-01T00:00:00.5Z a/empty && touch -d 2300-01-01 a/b";
    let run = |script: &str| {
        let mut shell = Command::new("sh");
        let output = shell
            .args(["-euc", script])
            .current_dir(host.path())
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    run(script);
    let pack = "tar --format=pax --sparse --sort=name --numeric-owner -C tree -cf in.tar .";
    run(pack);
    let disk = TestDisk::new();
    let packed = fs::read(host.path().join("in.tar")).unwrap();
    disk.import(&packed, Whiteouts::Keep).unwrap();
    disk.check();
    for holes in [Holes::Keep, Holes::Fill] {
        fs::write(host.path().join("out.tar"), disk.tar(holes)).unwrap();
        let list = "tar --full-time --numeric-owner -tvf";
        let sorted = |name: &str| {
            let listed = run(&format!("{list} {name} | sed 's:/* *$::; s: \\./: :g'"));
            let mut lines: Vec<String> = listed.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        assert_eq!(sorted("out.tar"), sorted("in.tar"), "{holes:?}");
        run(
            "rm -rf again && mkdir again && tar -C again -xf out.tar && diff -r --no-dereference -x fifo tree again",
        );
    }
}

#[test]
fn attributes_devices_and_names_of_whiteouts_survive() {
    let disk = TestDisk::new();
    let mut writer = Writer::new(Vec::new());
    let device = MemberKind::CharacterDevice {
        major: 300,
        minor: 70_000,
    };
    let mut entries = [
        member("", MemberKind::Directory),
        member(".wh.kept", MemberKind::Regular(Content::whole(0))),
        member("device", device),
        member("directory", MemberKind::Directory),
    ];
    entries[0].mode = 0o1777;
    entries[2].uid = 3_000_000_000;
    for entry in &mut entries[1..] {
        entry.extended = vec![
            (b"security.capability".to_vec(), vec![1; 20]),
            (b"user.any".to_vec(), vec![b'v'; 2000]),
        ];
    }
    for entry in &entries {
        writer.append(entry).unwrap();
    }
    let packed = writer.finish().unwrap();
    disk.import(&packed, Whiteouts::Keep).unwrap();
    assert!(disk.tar(Holes::Keep) == packed);
    // A directory that comes again has what its last entry says, and nothing else.
    let again = tar(&["directory/"]);
    disk.layer(&again).unwrap();
    let directory = disk.system.lookup(InodeNumber::ROOT, b"directory").unwrap();
    let left = disk.system.extended_attributes(directory).unwrap();
    assert_eq!(left, Vec::<Vec<u8>>::new());
    disk.check();
}

#[test]
fn equal_tars_make_equal_disks_whose_directories_keep_their_times() {
    let mut entries = vec!["d/", "d/e/", "z->d"];
    let names: Vec<String> = (0..2000).map(|index| format!("d/e/{index}=x")).collect();
    entries.extend(names.iter().map(String::as_str));
    let images = [(), ()].map(|()| {
        let disk = TestDisk::new();
        disk.layer(&tar(&entries)).unwrap();
        disk.layer(&tar(&["z/.wh.e=", "z/more=1"])).unwrap();
        disk.check();
        let directory = disk.system.lookup(InodeNumber::ROOT, b"d").unwrap();
        let found = disk.system.metadata(directory).unwrap();
        assert_eq!(found.modified, Timestamp::default());
        fs::read(disk.path()).unwrap()
    });
    assert!(images[0] == images[1]);
}

#[test]
fn whiteouts_hide_what_lower_layers_have_wherever_they_stand() {
    let lower = &["a/", "a/x=1", "a/y=2", "b/", "b/c/", "b/c/d=3", "e=4"][..];
    check_layers(
        &[lower, &["a/z=5", "a/.wh..wh..opq=", "a/x=6", ".wh.e="]],
        &["a/", "a/x=6", "a/z=5", "b/", "b/c/", "b/c/d=3"],
    );
    check_layers(
        &[lower, &["b/c/own=7", ".wh.b=", ".wh.none="]],
        &["a/", "a/x=1", "a/y=2", "b/", "b/c/", "b/c/own=7", "e=4"],
    );
    check_layers(
        &[lower, &["b/", ".wh.b=", "a/.wh.x="]],
        &["a/", "a/y=2", "b/", "e=4"],
    );
    check_layers(&[lower, &[".wh..wh..opq=", "new=8"]], &["new=8"]);
}

#[test]
fn what_comes_later_replaces_what_was_there() {
    check_layers(
        &[
            &["a=1", "b=>a", "d/", "d/e/", "d/e/f=2"],
            &["a=3", "d=4", "b/", "b/c=5"],
        ],
        &["a=3", "b/", "b/c=5", "d=4"],
    );
    // The other name of a file keeps its content, and a link to itself changes nothing.
    check_layers(
        &[&["a=1", "b=>a"], &["a=2", "b=>b", "c=>b"]],
        &["a=2", "b=1", "c=>b"],
    );
    // A file of a lower layer makes room for a directory that no entry tells of.
    check_layers(&[&["a=1"], &["a/b/c=2"]], &["a/", "a/b/", "a/b/c=2"]);
}

#[test]
fn links_are_followed_inside_the_tree() {
    check_layers(
        &[
            &["usr/", "usr/lib/", "lib->/usr/lib", "up->../../usr"],
            &["lib/a=1", "up/b=2", "usr/lib/c=>lib/a"],
        ],
        &[
            "lib->/usr/lib",
            "up->../../usr",
            "usr/",
            "usr/b=2",
            "usr/lib/",
            "usr/lib/a=1",
            "usr/lib/c=>usr/lib/a",
        ],
    );
}

#[test]
fn entries_that_lead_out_or_nowhere_are_refused_by_name() {
    check_refused(&[&["a/../b=1"]], "`a/../b` leaves the tree");
    check_refused(&[&["a=>../b"]], "`../b` leaves the tree");
    check_refused(&[&["a=>none"]], "hard link to `none`");
    check_refused(&[&["d/", "a=>d"]], "hard link to `d`");
    check_refused(&[&["d/", "d/f=1", "d=>d/f"]], "hard link to `d/f`");
    check_refused(&[&["f=1", "f/g=2"]], "`f/g` goes through something");
    check_refused(&[&["l->l", "l/g=2"]], "too many symbolic links");
    let long = format!("{}=1", "n".repeat(256));
    check_refused(&[&[&long]], "too long");
}

#[test]
fn a_tar_that_does_not_fit_says_so_and_leaves_a_clean_disk() {
    let disk = TestDisk::new();
    let mut writer = Writer::new(Vec::new());
    let size = 80 << 20;
    let big = member("big", MemberKind::Regular(Content::whole(size)));
    writer.append(&big).unwrap();
    for _ in 0..size >> 20 {
        writer.content(&vec![1; 1 << 20]).unwrap();
    }
    let error = disk.layer(&writer.finish().unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("`big`: no space left"),
        "{error}"
    );
    disk.check();
}

#[test]
fn holes_are_kept_and_never_read() {
    let disk = TestDisk::new();
    let mut writer = Writer::new(Vec::new());
    let size = 5 << 40;
    let segments = [(1 << 40, 4096), (size, 0)];
    let segments = segments.map(|(offset, length)| Segment { offset, length });
    let content = Content {
        size,
        segments: Some(segments.to_vec()),
    };
    let sparse = member("sparse", MemberKind::Regular(content));
    writer.append(&member("", MemberKind::Directory)).unwrap();
    writer.append(&sparse).unwrap();
    writer.content(&[b's'; 4096]).unwrap();
    let packed = writer.finish().unwrap();
    disk.layer(&packed).unwrap();
    let before = disk.tar(Holes::Keep);
    disk.check();
    for found in [before, disk.tar(Holes::Keep)] {
        // The top is as it was made.
        assert!(found == packed);
    }
    let full = export(
        &disk.system,
        InodeNumber::ROOT,
        Holes::Fill,
        Limited(1 << 20),
    );
    assert!(full.is_err());
}

/// Takes so many bytes.
struct Limited(usize);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.0.checked_sub(bytes.len());
        self.0 = left.ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
