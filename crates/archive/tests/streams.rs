//! Streams: what is written is read back, by us and by GNU tar, and what GNU tar writes of files with holes is understood.
#![expect(clippy::unwrap_used, reason = "a test's `unwrap` is an assertion")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use minke_archive::{
    Change, Content, Entries, Member, MemberKind, Modified, Reader, Segment, Whiteouts, Writer,
};
use proptest::prelude::{ProptestConfig, any, prop, proptest};

/// A small piece, so that content comes in many.
const PIECE_BYTES: usize = 700;

type Read = Vec<(Member<Content>, Vec<u8>)>;

/// Reads all members, with their content as it is with its holes.
fn read(tar: &[u8], whiteouts: Whiteouts) -> Read {
    let mut reader = Reader::new(tar, whiteouts);
    let mut all = Vec::new();
    while let Some(change) = reader.next_change().unwrap() {
        let Change::Add(member) = change else {
            panic!("nothing is hidden");
        };
        let mut bytes = Vec::new();
        if let MemberKind::Regular(content) = &member.kind {
            bytes.resize(content.size as usize, 0);
        }
        let mut piece = [0; PIECE_BYTES];
        loop {
            let (offset, count) = reader.read_content(&mut piece).unwrap();
            if count == 0 {
                break;
            }
            bytes[offset as usize..][..count].copy_from_slice(&piece[..count]);
        }
        all.push((member, bytes));
    }
    all
}

fn write(members: &Read) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (member, bytes) in members {
        writer.append(member).unwrap();
        let MemberKind::Regular(content) = &member.kind else {
            continue;
        };
        let whole = [Segment {
            offset: 0,
            length: content.size,
        }];
        for segment in content.segments.as_deref().unwrap_or(&whole) {
            let data = &bytes[segment.offset as usize..][..segment.length as usize];
            writer.content(data).unwrap();
        }
    }
    writer.finish().unwrap()
}

fn member(path: &[u8], kind: MemberKind<Content>) -> Member<Content> {
    Member {
        path: path.to_vec(),
        kind,
        uid: 0,
        gid: 0,
        mode: 0o644,
        modified: Modified::default(),
        extended: Vec::new(),
    }
}

/// A file of 300 KiB with data at 64 KiB and at 200 KiB only.
fn sparse_file() -> (Content, Vec<u8>) {
    let segments = [(65_536, 4096), (204_800, 5000), (307_200, 0)];
    let segments = segments.map(|(offset, length)| Segment { offset, length });
    let mut bytes = vec![0; 307_200];
    for segment in &segments {
        bytes[segment.offset as usize..][..segment.length as usize].fill(b'x');
    }
    let content = Content {
        size: 307_200,
        segments: Some(segments.to_vec()),
    };
    (content, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(
        path in "[a-z]{1,60}(/[a-z]{1,60}){0,4}",
        target in "[a-z/.]{1,300}",
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        (uid, gid, mode) in (any::<u32>(), any::<u32>(), 0_u32..0o10000),
        (seconds, nanoseconds) in (-1_i64 << 33..1 << 40, 0_u32..1_000_000_000),
        value in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let kinds = [
            MemberKind::Regular(Content::whole(bytes.len() as u64)),
            MemberKind::Directory,
            MemberKind::Symlink(target.clone().into_bytes()),
            MemberKind::HardLink(target.into_bytes()),
            MemberKind::CharacterDevice { major: 4095, minor: 1_048_575 },
            MemberKind::BlockDevice { major: 8, minor: 0 },
            MemberKind::Fifo,
        ];
        let members = kinds.map(|kind| {
            let bytes = if matches!(kind, MemberKind::Regular(_)) { bytes.clone() } else { Vec::new() };
            let modified = Modified { seconds, nanoseconds };
            let extended = vec![(b"user.any".to_vec(), value.clone())];
            (Member { uid, gid, mode, modified, extended, ..member(path.as_bytes(), kind) }, bytes)
        });
        let members = members.to_vec();
        let tar = write(&members);
        assert_eq!(read(&tar, Whiteouts::Apply), members);
        let mut entries = Entries::new(&tar);
        for (member, bytes) in &members {
            let Some(Change::Add(found)) = entries.next_change().unwrap() else {
                panic!("as many members");
            };
            assert_eq!((&found.path, &found.modified), (&member.path, &member.modified));
            if let MemberKind::Regular(range) = found.kind {
                assert_eq!(&tar[range], bytes);
            }
        }
    }

    #[test]
    fn any_bytes_are_members_or_a_complaint(
        mut bytes in prop::collection::vec(any::<u8>(), 512..4096),
        kind in "[0-9xgLKS]",
        size in "[0-7 ]{11}",
    ) {
        bytes[124..135].copy_from_slice(size.as_bytes());
        bytes[156] = kind.as_bytes()[0];
        bytes[148..156].fill(b' ');
        let sum: u32 = bytes[..512].iter().map(|byte| u32::from(*byte)).sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut reader = Reader::new(&bytes[..], Whiteouts::Keep);
        let mut piece = [0; PIECE_BYTES];
        while let Ok(Some(_)) = reader.next_change() {
            while let Ok((_, 1..)) = reader.read_content(&mut piece) {}
        }
    }
}

#[test]
fn names_of_whiteouts_are_whiteouts_in_layers_only() {
    let file = member(b"d/.wh.x", MemberKind::Regular(Content::whole(0)));
    let tar = write(&vec![(file.clone(), Vec::new())]);
    assert_eq!(read(&tar, Whiteouts::Keep), [(file, Vec::new())]);
    let mut reader = Reader::new(&tar[..], Whiteouts::Apply);
    let change = reader.next_change().unwrap();
    assert_eq!(change, Some(Change::WhiteOut(b"d/x".to_vec())));
}

#[test]
fn a_file_with_holes_is_read_back_with_them_and_without_what_follows_being_lost() {
    let (content, bytes) = sparse_file();
    let sparse = member(b"sparse", MemberKind::Regular(content));
    let next = member(b"next", MemberKind::Regular(Content::whole(3)));
    let members = vec![(sparse, bytes), (next, b"abc".to_vec())];
    let tar = write(&members);
    assert!(tar.len() < 20_000, "{}", tar.len());
    assert_eq!(read(&tar, Whiteouts::Apply), members);
    // Content that nobody reads is passed.
    let mut reader = Reader::new(&tar[..], Whiteouts::Apply);
    assert!(reader.next_change().unwrap().is_some());
    let Some(Change::Add(found)) = reader.next_change().unwrap() else {
        panic!("there is another");
    };
    assert_eq!(found.path, b"next");
    assert!(Entries::new(&tar).next_change().is_err());
}

fn gnu_tar(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new("tar");
    let output = command.args(arguments).current_dir(directory).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    output.stdout
}

#[test]
fn gnu_tar_reads_the_holes_that_were_written() {
    let (content, bytes) = sparse_file();
    let directory = tempfile::tempdir().unwrap();
    let sparse = member(b"sparse", MemberKind::Regular(content));
    let tar = write(&vec![(sparse, bytes.clone())]);
    fs::write(directory.path().join("it.tar"), tar).unwrap();
    gnu_tar(directory.path(), &["-xf", "it.tar", "--no-same-owner"]);
    assert_eq!(fs::read(directory.path().join("sparse")).unwrap(), bytes);
}

#[test]
fn holes_that_gnu_tar_wrote_are_read_in_each_of_its_formats() {
    let directory = tempfile::tempdir().unwrap();
    let file = File::create(directory.path().join("sparse")).unwrap();
    file.set_len(8 << 20).unwrap();
    // More segments than a header has places for.
    let places: Vec<u64> = (0..40).map(|index| 65_536 + index * 131_072).collect();
    for place in &places {
        file.write_all_at(&[b'y'; 4096], *place).unwrap();
    }
    fs::write(directory.path().join("next"), "abc").unwrap();
    let formats: [&[&str]; 4] = [
        &["--format=gnu"],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ];
    for format in formats {
        let arguments = [format, &["--sparse", "-cf", "-", "sparse", "next"]].concat();
        let tar = gnu_tar(directory.path(), &arguments);
        assert!(tar.len() < 1 << 20, "{format:?}");
        let members = read(&tar, Whiteouts::Apply);
        let names: Vec<_> = members.iter().map(|(it, _)| &it.path[..]).collect();
        assert_eq!(names, [&b"sparse"[..], b"next"], "{format:?}");
        let whole = fs::read(directory.path().join("sparse")).unwrap();
        assert!(members[0].1 == whole, "{format:?}");
        assert_eq!(members[1].1, b"abc", "{format:?}");
    }
}
