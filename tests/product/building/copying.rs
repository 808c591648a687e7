//! `COPY`: which files a source means, and where they go.
//!
//! Spec: Dockerfile reference, "COPY", "Source", "Destination"; BuildKit `solver/llbsolver/file/backend.go` docopy().

use std::os::unix::fs::symlink;

use super::{build, check_names, check_refused, check_tree, context};
use crate::home::Home;

fn small() -> Home {
    context(&[
        ("a.txt", "a"),
        ("b.txt", "b"),
        ("src/main.py", "main"),
        ("src/lib/x.py", "x"),
        ("src/lib/y.c", "y"),
    ])
}

#[test]
fn a_destination_is_a_file_or_a_directory_as_it_is_written() {
    let home = small();
    for (instructions, expected) in [
        ("COPY a.txt /new", &["new: a"][..]),
        ("COPY a.txt /new/", &["new/", "new/a.txt: a"]),
        ("COPY a.txt /x/y/z", &["x/", "x/y/", "x/y/z: a"]),
        ("COPY a.txt new", &["new: a"]),
        ("COPY a.txt .", &["a.txt: a"]),
        ("COPY /a.txt ./b.txt /", &["a.txt: a", "b.txt: b"]),
        ("WORKDIR /w\nCOPY a.txt .", &["w/", "w/a.txt: a"]),
        ("WORKDIR /w\nCOPY a.txt n", &["w/", "w/n: a"]),
        ("WORKDIR /w\nCOPY a.txt ../n", &["n: a", "w/"]),
        ("WORKDIR /w\nCOPY a.txt /n", &["n: a", "w/"]),
        ("WORKDIR /w\nCOPY a.txt s/", &["w/", "w/s/", "w/s/a.txt: a"]),
        ("COPY a.txt ../../../n", &["n: a"]),
        ("COPY src/lib/../../a.txt /n", &["n: a"]),
        // What is there already decides too.
        (
            "WORKDIR /d\nCOPY a.txt /d\nCOPY b.txt /d/a.txt",
            &["d/", "d/a.txt: b"],
        ),
        ("COPY a.txt /n\nCOPY b.txt /n", &["n: b"]),
    ] {
        check_names(&home, instructions, expected);
    }
}

#[test]
fn a_directory_gives_what_is_in_it() {
    let home = small();
    let whole = &[
        "d/",
        "d/lib/",
        "d/lib/x.py: x",
        "d/lib/y.c: y",
        "d/main.py: main",
    ];
    for instruction in [
        "COPY src /d",
        "COPY src/ /d/",
        "COPY ./src/. /d",
        "COPY /src /d",
        "COPY [\"src\", \"/d\"]",
    ] {
        check_names(&home, instruction, whole);
    }
    check_names(
        &home,
        "COPY src/lib a.txt /d/",
        &["d/", "d/a.txt: a", "d/x.py: x", "d/y.c: y"],
    );
    check_names(
        &home,
        "COPY . /",
        &[
            "a.txt: a",
            "b.txt: b",
            "src/",
            "src/lib/",
            "src/lib/x.py: x",
            "src/lib/y.c: y",
            "src/main.py: main",
        ],
    );
}

#[test]
fn several_sources_go_into_a_directory() {
    let home = small();
    let both = &["d/", "d/a.txt: a", "d/b.txt: b"];
    check_names(&home, "COPY a.txt b.txt /d/", both);
    check_names(&home, "COPY [\"a.txt\", \"b.txt\", \"/d/\"]", both);
    check_names(&home, "WORKDIR /d\nCOPY a.txt b.txt .", both);
    // The later one of a name stays.
    check_names(
        &home,
        "COPY src/lib/x.py src/lib /d/",
        &["d/", "d/x.py: x", "d/y.c: y"],
    );
    check_refused(
        &home,
        "COPY a.txt b.txt /d",
        &[
            "Balenafile:2:18",
            "several sources need a directory",
            "hint: write `/d/`",
        ],
    );
}

#[test]
fn names_with_spaces_are_written_as_json() {
    let home = context(&[("with space.txt", "s")]);
    check_names(
        &home,
        "COPY [\"with space.txt\", \"/a b/\"]",
        &["a b/", "a b/with space.txt: s"],
    );
}

#[test]
fn patterns_are_those_of_go() {
    let home = context(&[
        ("a.txt", "1"),
        ("b.txt", "2"),
        ("ab.txt", "3"),
        (".c.txt", "4"),
        ("arr[0].txt", "5"),
        ("n1", "6"),
        ("n2", "7"),
        ("dir/x.txt", "8"),
        ("dir/deep/y.txt", "9"),
        ("other/x.txt", "10"),
    ]);
    for (instruction, expected) in [
        (
            "COPY *.txt /",
            &[
                ".c.txt: 4",
                "a.txt: 1",
                "ab.txt: 3",
                "arr[0].txt: 5",
                "b.txt: 2",
            ][..],
        ),
        ("COPY ?.txt /", &["a.txt: 1", "b.txt: 2"]),
        ("COPY n[0-9] /", &["n1: 6", "n2: 7"]),
        ("COPY n[^1] /", &["n2: 7"]),
        ("COPY [ab].txt /", &["a.txt: 1", "b.txt: 2"]),
        ("COPY arr[[]0].txt /", &["arr[0].txt: 5"]),
        ("COPY n1* /renamed", &["renamed: 6"]),
        // A pattern stays within a part, and the directories of the name are left out.
        ("COPY */x.txt /d/", &["d/", "d/x.txt: 10"]),
        ("COPY di?/*/y.txt /d/", &["d/", "d/y.txt: 9"]),
        ("COPY dir/* /d/", &["d/", "d/x.txt: 8", "d/y.txt: 9"]),
        (
            "COPY d* /d",
            &["d/", "d/deep/", "d/deep/y.txt: 9", "d/x.txt: 8"],
        ),
        ("COPY o* d*/deep /d/", &["d/", "d/x.txt: 10", "d/y.txt: 9"]),
        // `**` is no more than `*` here.
        ("COPY **/y.txt a.txt /", &["a.txt: 1"]),
        ("COPY a.txt nothing* /", &["a.txt: 1"]),
        ("ENV P=n?\nCOPY $P /", &["n1: 6", "n2: 7"]),
    ] {
        check_names(&home, instruction, expected);
    }
}

#[test]
fn a_pattern_that_nothing_matches_is_warned_of() {
    let home = context(&[("a.txt", "a")]);
    let ended = build(&home, "COPY *.md /docs/");
    assert_eq!(ended.code, 0, "{ended:?}");
    let warning = "warning: Balenafile:2:6: nothing in the context matches `*.md`";
    assert!(ended.stderr.contains(warning), "{ended:?}");
    let texts = &["Balenafile:2:6", "is not a pattern", "hint: "];
    check_refused(&context(&[("a.txt", "a")]), "COPY a[ /", texts);
}

#[test]
fn several_files_of_a_pattern_do_not_become_one() {
    let home = small();
    check_refused(
        &home,
        "COPY *.txt /one",
        &[
            "Balenafile:2:1",
            "several files cannot become the one file `/one`",
            "hint: ",
        ],
    );
    check_names(
        &home,
        "WORKDIR /one\nCOPY *.txt /one",
        &["one/", "one/a.txt: a", "one/b.txt: b"],
    );
}

#[test]
fn a_missing_source_names_the_nearest() {
    let home = small();
    for (source, hint) in [
        ("a.tx", "hint: did you mean `a.txt`?"),
        ("src/mian.py", "hint: did you mean `src/main.py`?"),
        (
            "quite-another",
            "hint: paths are relative to the context's directory",
        ),
        ("a.txt/b", "hint: "),
    ] {
        let text = format!("`{source}` is not in the context");
        check_refused(
            &home,
            &format!("COPY {source} /"),
            &["Balenafile:2:6", &text, hint],
        );
    }
}

#[test]
fn links_are_followed_where_they_are_named_and_copied_where_they_are_found() {
    let home = small();
    let context = home.files().join("context");
    symlink("a.txt", context.join("named")).expect("a link");
    symlink("src", context.join("folder")).expect("a link");
    symlink("../a.txt", context.join("src/up")).expect("a link");
    symlink("/etc/nowhere", context.join("src/dangling")).expect("a link");
    check_tree(
        &home,
        "COPY named /n\nCOPY folder/lib/x.py /x",
        &["644 0/0 n: a", "644 0/0 x: x"],
    );
    check_names(
        &home,
        "COPY folder /d",
        &[
            "d/",
            "d/dangling -> /etc/nowhere",
            "d/lib/",
            "d/lib/x.py: x",
            "d/lib/y.c: y",
            "d/main.py: main",
            "d/up -> ../a.txt",
        ],
    );
    check_refused(
        &home,
        "COPY src/dangling /",
        &["Balenafile:2:6", "`src/dangling`", "hint: "],
    );
}

#[test]
fn links_of_the_image_are_followed_within_it() {
    let home = context(&[("a.txt", "a"), ("tree/usr/keep", "k")]);
    let tree = home.files().join("context/tree");
    symlink("usr", tree.join("bin")).expect("a link");
    symlink("/usr/keep", tree.join("file")).expect("a link");
    symlink("../../../usr", tree.join("up")).expect("a link");
    check_names(
        &home,
        "COPY tree /\nCOPY a.txt /bin/\nCOPY a.txt /up/b\nCOPY a.txt /file",
        &[
            "bin -> usr",
            "file -> /usr/keep",
            "up -> ../../../usr",
            "usr/",
            "usr/a.txt: a",
            "usr/b: a",
            "usr/keep: a",
        ],
    );
}

#[test]
fn files_and_directories_do_not_take_each_others_place() {
    let home = small();
    for (instructions, text) in [
        (
            "COPY a.txt /x\nCOPY src /x",
            "`/x` is not a directory, and a directory cannot replace it",
        ),
        (
            "COPY src /x/a.txt\nCOPY a.txt /x/",
            "`/x/a.txt` is a directory, and a file cannot replace it",
        ),
        ("COPY a.txt /x\nCOPY b.txt /x/y", "`/x` is not a directory"),
        ("COPY a.txt /x\nWORKDIR /x/y", "`/x` is not a directory"),
    ] {
        check_refused(&home, instructions, &["Balenafile:3:1", text, "hint: "]);
    }
}

#[test]
fn directories_that_are_there_take_the_permissions_of_those_that_are_copied_into_them() {
    let home = context(&[("one/sub/x", "x"), ("two/sub/y", "y")]);
    super::set_mode(&home.files().join("context/one/sub"), 0o700);
    super::set_mode(&home.files().join("context/two"), 0o711);
    super::set_mode(&home.files().join("context/two/sub"), 0o751);
    check_tree(
        &home,
        "COPY --chown=1:1 one /d\nCOPY two /d",
        &[
            "755 1/1 d/",
            "751 0/0 d/sub/",
            "644 1/1 d/sub/x: x",
            "644 0/0 d/sub/y: y",
        ],
    );
}
