//! Where the file and the context are from, and what of the context is left out.
//!
//! Spec: Dockerfile reference, ".dockerignore files"; Docker's manual, `docker build`, "Build context", `-f`, `-`.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::{check_names, context, tree_of};
use crate::home::{Ended, Home};

/// Builds in the directory of the test's files with this input; returns the label `from`.
#[track_caller]
fn label(home: &Home, arguments: &[&str], input: &[u8]) -> String {
    let ended = home.run_with_input(&[&["build", "-q", "-t", "made"], arguments].concat(), input);
    assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
    let labels = &home.inspect("made")["Config"]["Labels"];
    labels["from"].as_str().unwrap_or_default().to_owned()
}

/// The text of a file that says which it is.
fn named(name: &str) -> String {
    format!("FROM scratch\nLABEL from={name}\n")
}

#[test]
fn the_file_is_the_balenafile_the_dockerfile_or_what_is_named() {
    let home = context(&[]);
    home.write("context/Dockerfile", named("Dockerfile"));
    assert_eq!(label(&home, &["context"], b""), "Dockerfile");
    home.write("context/Balenafile", named("Balenafile"));
    assert_eq!(label(&home, &["context"], b""), "Balenafile");
    home.write("elsewhere/other", named("other"));
    assert_eq!(
        label(&home, &["-f", "elsewhere/other", "context"], b""),
        "other"
    );
    assert_eq!(
        label(&home, &["-f", "context/Dockerfile", "context"], b""),
        "Dockerfile"
    );
    assert_eq!(
        label(&home, &["-f", "-", "context"], named("input").as_bytes()),
        "input"
    );
    assert_eq!(label(&home, &["-"], named("alone").as_bytes()), "alone");
}

#[test]
fn names_of_images_and_stages_have_no_case() {
    let home = context(&[("a", "a")]);
    home.write("Balenafile", "FROM scratch\nCOPY a /\n");
    home.ok(&[
        "build",
        "-q",
        "-t",
        "BalenaOS/Python:3",
        "-f",
        "Balenafile",
        "context",
    ]);
    let expected = "644 0/0 a: a";
    for name in ["BalenaOS/Python:3", "balenaos/python:3"] {
        assert_eq!(
            tree_of(&home, &format!("FROM {name} AS Base\nFROM bASE\n")),
            expected
        );
    }
    let listed = home.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert_eq!(listed, "balenaos/python:3");
}

#[test]
fn what_is_ignored_is_not_there() {
    let files = [
        ("a.md", "1"),
        ("README.md", "2"),
        ("docs/b.md", "3"),
        ("docs/c.txt", "4"),
        ("docs/deep/d.md", "5"),
        ("temp", "6"),
    ];
    for (patterns, expected) in [
        (
            "*.md\n",
            &[
                "docs/",
                "docs/b.md: 3",
                "docs/c.txt: 4",
                "docs/deep/",
                "docs/deep/d.md: 5",
                "temp: 6",
            ][..],
        ),
        (
            "**/*.md\n!README.md\n",
            &[
                "README.md: 2",
                "docs/",
                "docs/c.txt: 4",
                "docs/deep/",
                "temp: 6",
            ],
        ),
        (
            "docs\n# comment\n  temp  \r\n",
            &["README.md: 2", "a.md: 1"],
        ),
        (
            "*\n!docs/deep\n",
            &["docs/", "docs/deep/", "docs/deep/d.md: 5"],
        ),
        (
            "/docs/*/\n*/c*\ntem?\n",
            &["README.md: 2", "a.md: 1", "docs/"],
        ),
        ("!a.md\n*\n", &[]),
        ("**\n!a.md\n", &["a.md: 1"]),
    ] {
        let home = context(&files);
        home.write(
            "context/.dockerignore",
            format!("{patterns}\n.dockerignore\n"),
        );
        check_names(&home, "COPY . /", expected);
    }
}

#[test]
fn an_ignore_file_beside_the_file_goes_before_the_context_s() {
    let home = context(&[("a", "a"), ("b", "b"), ("c", "c")]);
    home.write("context/.dockerignore", "*\n!a\n");
    check_names(&home, "COPY . /", &["a: a"]);
    // The helper's file is named `Balenafile`, outside of the context.
    home.write("Balenafile.dockerignore", "*\n!b\n");
    check_names(&home, "COPY . /", &["b: b"]);
    let build = |arguments: &[&str]| {
        home.ok(&[&["build", "-q", "-o", "out"], arguments, &["context"]].concat());
        let names = fs::read_dir(home.files().join("out")).expect("made");
        let names: Vec<String> = names
            .map(|entry| {
                entry
                    .expect("readable")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        fs::remove_dir_all(home.files().join("out")).expect("ours");
        names
    };
    home.write("context/Dockerfile", "FROM scratch\nCOPY . /\n");
    assert_eq!(build(&[]), ["a"]);
    home.write("context/Dockerfile.dockerignore", "*\n!c\n");
    assert_eq!(build(&[]), ["c"]);
    home.write("elsewhere/other", "FROM scratch\nCOPY . /\n");
    assert_eq!(build(&["-f", "elsewhere/other"]), ["a"]);
    home.write("elsewhere/other.dockerignore", "*\n!b\n");
    assert_eq!(build(&["-f", "elsewhere/other"]), ["b"]);
}

#[test]
fn the_file_is_read_though_it_is_ignored() {
    let home = context(&[]);
    home.write("context/Balenafile", named("ignored"));
    home.write("context/.dockerignore", "*\n");
    assert_eq!(label(&home, &["context"], b""), "ignored");
    home.write("context/Balenafile", "FROM scratch\nCOPY Balenafile /\n");
    let ended = home.run(&["build", "context"]);
    ended.assert_fails(
        1,
        &[
            "Balenafile:2:6: `Balenafile` is left out of the context by `.dockerignore`",
            "hint: add the line `!Balenafile` to it",
        ],
    );
}

/// Packs the context with a program's flags.
fn archive(home: &Home, flags: &[&str]) -> Vec<u8> {
    let mut command = Command::new("tar");
    let output = command
        .args(["--owner=0", "--group=0", "-C", "context"])
        .args(flags)
        .args(["-cf", "-", "."])
        .current_dir(home.files())
        .stderr(Stdio::inherit())
        .output();
    output.expect("tar starts").stdout
}

fn with_archive() -> Home {
    let home = context(&[
        ("a", "a"),
        ("sub/b", "b"),
        ("sub/c.log", "c"),
        (".dockerignore", "**/*.log\n"),
    ]);
    home.write(
        "context/Balenafile",
        "FROM scratch\nCOPY a sub /\nLABEL from=archive\n",
    );
    home.write("context/sub/other", "FROM scratch\nLABEL from=other\n");
    home
}

#[test]
fn a_context_comes_from_standard_input_plain_or_packed() {
    let home = with_archive();
    for flags in [
        &[][..],
        &["-z"],
        &["--zstd"],
        &["--format=v7"],
        &["--format=pax"],
    ] {
        let bytes = archive(&home, flags);
        assert_eq!(label(&home, &["-"], &bytes), "archive", "{flags:?}");
        assert_eq!(
            label(&home, &["-f", "sub/other", "-"], &bytes),
            "other",
            "{flags:?}"
        );
        let ended = home.run_with_input(&["build", "-q", "-o", "out", "-"], &bytes);
        assert_eq!(ended.code, 0, "{ended:?}");
        let read = |name: &str| fs::read_to_string(home.files().join("out").join(name)).ok();
        assert_eq!(
            (read("a"), read("b"), read("c.log")),
            (Some("a".into()), Some("b".into()), None)
        );
    }
    home.assert_nothing_left();
}

#[track_caller]
fn check_refused(home: &Home, arguments: &[&str], input: &[u8], texts: &[&str]) {
    let ended: Ended = home.run_with_input(&[&["build", "-t", "made"], arguments].concat(), input);
    ended.assert_fails(1, texts);
    assert_eq!(ended.stdout, "", "{ended:?}");
    assert_eq!(home.ok(&["images", "-q"]), "");
    home.assert_nothing_left();
}

#[test]
fn a_context_that_is_none_is_refused() {
    let home = with_archive();
    let bytes = archive(&home, &["-z"]);
    check_refused(
        &home,
        &["-f", "-", "-"],
        b"FROM scratch\n",
        &["cannot both be standard input", "hint: "],
    );
    check_refused(
        &home,
        &["-f", "none", "-"],
        &bytes,
        &["there is no `none` in the archive", "hint: "],
    );
    check_refused(&home, &["-"], b"", &["no instructions", "hint: "]);
    check_refused(
        &home,
        &["-"],
        &bytes[..bytes.len() / 2],
        &["cannot read the context", "hint: "],
    );
    check_refused(
        &home,
        &["-"],
        b"COPPY a b\n",
        &["-:1:1", "unknown instruction `COPPY`"],
    );
    check_refused(
        &home,
        &["-"],
        b"FROM scratch\nCOPY a /\n",
        &["-:2:6", "`a` is not in the context"],
    );
    check_refused(
        &home,
        &["nowhere"],
        b"",
        &[
            "cannot read the directory `nowhere`",
            "hint: check the path",
        ],
    );
    check_refused(
        &home,
        &["context/a"],
        b"",
        &["`context/a` is not a directory", "hint: "],
    );
    check_refused(
        &home,
        &["context/sub"],
        b"",
        &["there is no `Balenafile` and no `Dockerfile`", "hint: "],
    );
    check_refused(
        &home,
        &["-f", "nowhere", "context"],
        b"",
        &["cannot read `nowhere`", "hint: check the path"],
    );
    fs::remove_file(home.files().join("context/Balenafile")).expect("ours");
    let bytes = archive(&home, &[]);
    check_refused(
        &home,
        &["-"],
        &bytes,
        &[
            "there is no `Balenafile` and no `Dockerfile` in `the archive`",
            "hint: ",
        ],
    );
}

#[test]
fn an_input_that_ends_early_is_refused() {
    let home = with_archive();
    let mut child = home
        .command(&["build", "-t", "made", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("minke starts");
    let bytes = archive(&home, &[]);
    let mut stdin = child.stdin.take().expect("it was asked for");
    stdin.write_all(&bytes[..1536]).expect("it is read");
    drop(stdin);
    let ended = Ended::of(&child.wait_with_output().expect("it ends"));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("hint: "), "{ended:?}");
    assert_eq!(home.ok(&["images", "-q"]), "");
    home.assert_nothing_left();
}

/// Directories of a large context, and files in each.
const WIDE: usize = 100;
const DEEP: usize = 1000;

/// Most memory that a build of so many empty files may take: a kilobyte for each, and what a build of none takes.
const RESIDENT_KIB_MAX: usize = (160 << 10) + WIDE * DEEP;

#[test]
fn a_context_of_very_many_files_is_built_in_bounded_memory() {
    let home = Home::new();
    for outer in 0..WIDE {
        let one = home.write(&format!("context/files/{outer}/0"), "");
        for inner in 1..DEEP {
            fs::hard_link(&one, one.with_file_name(inner.to_string())).expect("linked");
        }
    }
    home.write("context/Balenafile", "FROM scratch\nCOPY files /files\n");
    let mut command = home.command(&["build", "-q", "-t", "wide", "context"]);
    let mut child = command.stdout(Stdio::null()).spawn().expect("minke starts");
    let status = std::path::PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut resident_kib = 0;
    while child.try_wait().expect("it is ours").is_none() {
        resident_kib = peak_kib(&status).unwrap_or(resident_kib);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(child.wait().expect("it ended").success());
    assert!(
        (1..RESIDENT_KIB_MAX).contains(&resident_kib),
        "{resident_kib} KiB"
    );
    let layer = home.ok(&["image", "inspect", "-f", "{{len .RootFS.Layers}}", "wide"]);
    assert_eq!(layer, "1");
}

/// The most memory that a process has had. Linux: `VmHWM` of proc(5).
fn peak_kib(status: &std::path::Path) -> Option<usize> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
