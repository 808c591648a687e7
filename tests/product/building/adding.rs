//! `ADD`: archives of the context are taken apart.
//!
//! Spec: Dockerfile reference, "ADD", "Adding local tar archives"; BuildKit `solver/llbsolver/file/unpack.go`.

use std::process::Command;

use super::{check_names, check_refused, check_tree, context};
use crate::home::Home;

/// A context with an archive in several packings, and files that are none.
fn archives() -> Home {
    let home = context(&[
        ("plain", "p"),
        ("other.tar", "no tar"),
        ("empty.tar.gz", ""),
    ]);
    let mut builder = tar::Builder::new(Vec::new());
    append(&mut builder, "dir/", tar::EntryType::Directory, 0o750, "");
    append(
        &mut builder,
        "dir/file",
        tar::EntryType::Regular,
        0o640,
        "inside",
    );
    append(&mut builder, "./top", tar::EntryType::Regular, 0o755, "top");
    let mut link = tar::Header::new_ustar();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_mode(0o777);
    link.set_size(0);
    builder
        .append_link(&mut link, "link", "dir/file")
        .expect("in memory");
    let bytes = builder.into_inner().expect("in memory");
    home.write("context/a.tar", bytes);
    let pack = |program: &str, flags: &[&str], to: &str| {
        let context = home.files().join("context");
        let output = Command::new(program)
            .args(flags)
            .arg("a.tar")
            .current_dir(&context)
            .output();
        let output = output.expect("it is installed");
        assert!(output.status.success(), "{output:?}");
        std::fs::write(context.join(to), output.stdout).expect("written");
    };
    pack("gzip", &["-c"], "a.tar.gz");
    pack("zstd", &["-qc"], "a.tar.zst");
    pack("bzip2", &["-c"], "a.tar.bz2");
    pack("xz", &["-c"], "a.tar.xz");
    // Packed streams one after the other are one, and xz may have zeros between them.
    for program in ["bzip2", "xz"] {
        let zeros = if program == "xz" {
            "head -c 8 /dev/zero;"
        } else {
            ""
        };
        let script = format!(
            "{{ head -c 700 a.tar | {program} -c; {zeros} tail -c +701 a.tar | {program} -c; }} > streams.{program}"
        );
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script])
            .current_dir(home.files().join("context"));
        assert!(shell.status().expect("a shell").success());
    }
    // The content tells, not the name.
    std::fs::copy(
        home.files().join("context/a.tar.gz"),
        home.files().join("context/any"),
    )
    .expect("copied");
    home
}

fn append(
    builder: &mut tar::Builder<Vec<u8>>,
    name: &str,
    kind: tar::EntryType,
    mode: u32,
    content: &str,
) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(5);
    header.set_gid(6);
    header.set_size(content.len() as u64);
    builder
        .append_data(&mut header, name, content.as_bytes())
        .expect("in memory");
}

const UNPACKED: [&str; 5] = [
    "755 0/0 d/",
    "750 5/6 d/dir/",
    "640 5/6 d/dir/file: inside",
    "777 0/0 d/link -> dir/file",
    "755 5/6 d/top: top",
];

#[test]
fn an_archive_is_taken_apart_whatever_it_is_called() {
    let home = archives();
    for archive in [
        "a.tar",
        "a.tar.gz",
        "a.tar.zst",
        "a.tar.bz2",
        "a.tar.xz",
        "streams.bzip2",
        "streams.xz",
        "any",
    ] {
        for destination in ["/d", "/d/"] {
            check_tree(&home, &format!("ADD {archive} {destination}"), &UNPACKED);
        }
    }
    check_tree(&home, "ADD --unpack a.tar /d", &UNPACKED);
}

#[test]
fn an_owner_is_for_what_is_in_the_archive_and_permissions_are_not() {
    let home = archives();
    check_tree(
        &home,
        "ADD --chown=8:9 --chmod=700 a.tar /d",
        &[
            "755 8/9 d/",
            "750 8/9 d/dir/",
            "640 8/9 d/dir/file: inside",
            "777 8/9 d/link -> dir/file",
            "755 8/9 d/top: top",
        ],
    );
}

#[test]
fn what_is_no_archive_is_copied() {
    let home = archives();
    check_names(
        &home,
        "ADD other.tar empty.tar.gz plain /d/",
        &[
            "d/",
            "d/empty.tar.gz: ",
            "d/other.tar: no tar",
            "d/plain: p",
        ],
    );
    check_names(&home, "ADD plain /renamed", &["renamed: p"]);
    check_tree(
        &home,
        "ADD --chmod=600 --chown=3 plain /",
        &["600 3/3 plain: p"],
    );
    check_names(&home, "ADD <<EOF /x\ntext\nEOF", &["x: text"]);
}

#[test]
fn an_archive_stays_whole_for_copy_in_a_directory_and_where_it_is_asked() {
    let home = archives();
    std::fs::create_dir(home.files().join("context/sub")).expect("made");
    std::fs::rename(
        home.files().join("context/plain"),
        home.files().join("context/sub/plain"),
    )
    .expect("ours");
    for instruction in ["COPY a.tar.gz /x", "ADD --unpack=false a.tar.gz /x"] {
        home.write("Balenafile", format!("FROM scratch\n{instruction}\n"));
        home.ok(&[
            "build",
            "-q",
            "-o",
            "type=local,dest=out",
            "-f",
            "Balenafile",
            "context",
        ]);
        let read = |name: &str| std::fs::read(home.files().join(name)).expect("it is there");
        assert_eq!(read("out/x"), read("context/a.tar.gz"), "{instruction}");
        std::fs::remove_dir_all(home.files().join("out")).expect("ours");
    }
    std::fs::rename(
        home.files().join("context/a.tar"),
        home.files().join("context/sub/a.tar"),
    )
    .expect("ours");
    home.write("Balenafile", "FROM scratch\nADD sub /\n");
    home.ok(&[
        "build",
        "-q",
        "-o",
        "type=local,dest=out",
        "-f",
        "Balenafile",
        "context",
    ]);
    assert!(home.files().join("out/a.tar").is_file());
    assert!(home.files().join("out/plain").is_file());
}

#[test]
fn archives_and_files_are_added_together_over_what_is_there() {
    let home = archives();
    check_names(
        &home,
        "COPY <<EOF /d/dir/old\nold\nEOF\nCOPY <<EOF /d/top\nold\nEOF\nADD a.tar plain /d/",
        &[
            "d/",
            "d/dir/",
            "d/dir/file: inside",
            "d/dir/old: old",
            "",
            "d/link -> dir/file",
            "d/plain: p",
            "d/top: top",
        ],
    );
}

#[test]
fn an_archive_does_not_take_the_place_of_a_file() {
    let home = archives();
    check_refused(
        &home,
        "COPY plain /x\nADD a.tar /x",
        &[
            "Balenafile:3:1",
            "`/x` is not a directory, and a directory cannot replace it",
            "hint: ",
        ],
    );
    check_refused(
        &home,
        "COPY plain /d/dir\nADD a.tar /d",
        &["Balenafile:3:1", "`/d/dir` is not a directory", "hint: "],
    );
    check_refused(
        &home,
        "COPY plain /d/top/x\nADD a.tar /d",
        &[
            "Balenafile:3:1",
            "`/d/top` is a directory, and a file cannot replace it",
            "hint: ",
        ],
    );
}

#[test]
fn addresses_are_refused() {
    let home = archives();
    for address in [
        "https://registry.invalid/a.tar",
        "http://registry.invalid/a",
        "git@registry.invalid:a/b.git",
        "https://registry.invalid/a.git#main",
    ] {
        let text = format!("`{address}` is an address, and builds do not use the network");
        check_refused(
            &home,
            &format!("ADD {address} /"),
            &["Balenafile:2:5", &text, "hint: fetch it"],
        );
    }
    check_refused(
        &home,
        "ADD --checksum=sha256:00 plain /",
        &["Balenafile:2:16", "`--checksum`", "hint: leave it out"],
    );
}
