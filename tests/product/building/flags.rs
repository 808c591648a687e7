//! Flags of `COPY`: owners, permissions, what is left out, what is kept.
//!
//! Spec: Dockerfile reference, "COPY --chown --chmod", "COPY --link", "COPY --parents", "COPY --exclude"; BuildKit
//! `dockerfile2llb/convert_copy.go` dispatchCopy().

use super::{check_names, check_refused, check_tree, context, set_mode};
use crate::home::Home;

/// A context with the accounts of an image.
fn with_accounts() -> Home {
    context(&[
        ("a.txt", "a"),
        (
            "etc/passwd",
            "root:x:0:0::/:\napp:x:1000:1001::/:\nbroken:x:y:z::/:\n",
        ),
        ("etc/group", "root:x:0:\nstaff:x:50:\n"),
    ])
}

#[test]
fn owners_are_names_of_the_image_or_numbers() {
    let home = with_accounts();
    for (owner, expected) in [
        ("7", "7/7"),
        ("7:8", "7/8"),
        ("0:0", "0/0"),
        ("4294967294", "4294967294/4294967294"),
        ("app", "1000/1001"),
        ("app:staff", "1000/50"),
        ("app:9", "1000/9"),
        ("9:staff", "9/50"),
        ("root", "0/0"),
        ("$WHO:${GROUP:-staff}", "1000/50"),
    ] {
        let instructions = format!("COPY etc /etc\nARG WHO=app\nCOPY --chown={owner} a.txt /d/");
        let (directory, file) = (
            format!("755 {expected} d/"),
            format!("644 {expected} d/a.txt: a"),
        );
        let tree = super::tree_of(&home, &format!("FROM scratch\n{instructions}\n"));
        assert!(
            tree.starts_with(&format!("{directory}\n{file}\n")),
            "{owner}: {tree}"
        );
    }
}

#[test]
fn owners_that_are_none_are_refused() {
    let home = with_accounts();
    for (owner, text) in [
        (
            "nobody",
            "there is no user `nobody` in `/etc/passwd` of the image",
        ),
        (
            "app:nobody",
            "there is no group `nobody` in `/etc/group` of the image",
        ),
        ("broken", "`broken:x:y:z::/:` is not of the form"),
        (":5", "`:5` is not of the form `USER[:GROUP]`"),
        ("5:", "`5:` is not of the form `USER[:GROUP]`"),
        ("1:2:3", "`1:2:3` is not of the form `USER[:GROUP]`"),
        ("-1", "there is no user `-1`"),
        ("4294967296", "there is no user `4294967296`"),
    ] {
        let instructions = format!("COPY etc /etc\nCOPY --chown={owner} a.txt /");
        check_refused(
            &home,
            &instructions,
            &["Balenafile:3:14", text, "hint: write numbers"],
        );
    }
    check_refused(
        &home,
        "COPY --chown=app a.txt /",
        &[
            "Balenafile:2:14",
            "there is no user `app` in `/etc/passwd` of the image",
        ],
    );
}

#[test]
fn permissions_are_numbers_or_changes() {
    let home = context(&[("tree/file", "f"), ("tree/sub/program", "p")]);
    set_mode(&home.files().join("context/tree/sub/program"), 0o700);
    for (mode, directory, file, program) in [
        ("640", "640", "640", "640"),
        ("0755", "755", "755", "755"),
        ("4711", "4711", "4711", "4711"),
        ("0", "0", "0", "0"),
        ("u+x", "755", "744", "700"),
        ("go-rwx", "700", "600", "700"),
        ("a=rX", "555", "444", "555"),
        ("u=rwX,go=rX", "755", "644", "755"),
        ("+w,o-w", "775", "664", "720"),
        ("g=u", "775", "664", "770"),
    ] {
        // Directories that are made on the way have a number's permissions, and are not changed by changes.
        let made = if mode.starts_with(|c: char| c.is_ascii_digit()) {
            directory
        } else {
            "755"
        };
        let expected = [
            format!("{made} 0/0 d/"),
            format!("{file} 0/0 d/file: f"),
            format!("{directory} 0/0 d/sub/"),
            format!("{program} 0/0 d/sub/program: p"),
        ];
        let instruction = format!("COPY --chmod={mode} tree /d");
        check_tree(
            &home,
            &instruction,
            &expected.each_ref().map(String::as_str),
        );
    }
    check_tree(
        &home,
        "ARG M=600\nCOPY --chmod=$M tree/file /",
        &["600 0/0 file: f"],
    );
}

#[test]
fn permissions_that_are_none_are_refused() {
    let home = context(&[("a.txt", "a")]);
    for mode in ["8", "99", "10000", "rwx", "u+y", "u", "a+x,", "0x1"] {
        let text = format!("`{mode}` is neither an octal number of permissions nor a change");
        let instruction = format!("COPY --chmod={mode} a.txt /");
        check_refused(&home, &instruction, &["Balenafile:2:14", &text, "hint: "]);
    }
}

#[test]
fn a_linked_copy_does_not_look_at_what_is_below() {
    let home = context(&[("a.txt", "a"), ("tree/usr/keep", "k")]);
    std::os::unix::fs::symlink("usr", home.files().join("context/tree/bin")).expect("a link");
    check_names(
        &home,
        "COPY tree /\nCOPY --link a.txt /usr/",
        &["bin -> usr", "usr/", "usr/a.txt: a", "usr/keep: k"],
    );
    // The link is not followed: a directory takes its place.
    check_names(
        &home,
        "COPY tree /\nCOPY --link a.txt /bin/",
        &["bin/", "bin/a.txt: a", "usr/", "usr/keep: k"],
    );
    check_names(&home, "COPY --link=false a.txt /x", &["x: a"]);
}

#[test]
fn what_is_excluded_is_left_out() {
    let home = context(&[
        ("home.txt", "1"),
        ("home.md", "2"),
        ("home.py", "3"),
        ("dir/a.txt", "4"),
        ("dir/b.py", "5"),
        ("dir/sub/c.txt", "6"),
        ("dir/sub/keep.txt", "7"),
        ("dir/#odd", "8"),
    ]);
    for (instruction, expected) in [
        (
            "COPY --exclude=*.txt hom* /",
            &["home.md: 2", "home.py: 3"][..],
        ),
        (
            "COPY --exclude=*.txt --exclude=*.md hom* /",
            &["home.py: 3"],
        ),
        (
            "COPY --exclude=*.txt dir /",
            &[
                "#odd: 8",
                "b.py: 5",
                "sub/",
                "sub/c.txt: 6",
                "sub/keep.txt: 7",
            ],
        ),
        (
            "COPY --exclude=**/*.txt dir /",
            &["#odd: 8", "b.py: 5", "sub/"],
        ),
        (
            "COPY --exclude=sub dir /",
            &["#odd: 8", "a.txt: 4", "b.py: 5"],
        ),
        (
            "COPY --exclude=sub --exclude=#odd dir /",
            &["a.txt: 4", "b.py: 5"],
        ),
        (
            "COPY --exclude=sub --exclude=!sub/keep.txt dir /",
            &["#odd: 8", "a.txt: 4", "b.py: 5", "sub/", "sub/keep.txt: 7"],
        ),
        ("COPY --exclude=* dir /all", &["all/"]),
        (
            "ADD --exclude=*/*.txt --exclude=hom* . /",
            &[
                "dir/",
                "dir/#odd: 8",
                "dir/b.py: 5",
                "dir/sub/",
                "dir/sub/c.txt: 6",
                "dir/sub/keep.txt: 7",
            ],
        ),
    ] {
        check_names(&home, instruction, expected);
    }
    check_refused(
        &home,
        "COPY --exclude=a --exclude=[b dir /",
        &["Balenafile:2:28", "`[b` is not a pattern", "hint: "],
    );
}

/// The context of the reference's examples.
fn nested() -> Home {
    let home = context(&[
        ("x/a.txt", "1"),
        ("y/a.txt", "2"),
        ("x/y/b.txt", "3"),
        ("x/y/z/c.txt", "4"),
        ("x/y/z/d.py", "5"),
        ("empty/.keep", ""),
    ]);
    set_mode(&home.files().join("context/x"), 0o750);
    set_mode(&home.files().join("context/x/y"), 0o711);
    home
}

#[test]
fn parents_are_kept_with_their_permissions() {
    let home = nested();
    check_tree(
        &home,
        "COPY --parents x/a.txt y/a.txt /p/",
        &[
            "755 0/0 p/",
            "750 0/0 p/x/",
            "644 0/0 p/x/a.txt: 1",
            "755 0/0 p/y/",
            "644 0/0 p/y/a.txt: 2",
        ],
    );
    check_tree(
        &home,
        "COPY --parents --chown=3 x/y/b.txt /p",
        &[
            "755 3/3 p/",
            "750 3/3 p/x/",
            "711 3/3 p/x/y/",
            "644 3/3 p/x/y/b.txt: 3",
        ],
    );
}

#[test]
fn parents_before_the_dot_are_left_out() {
    let home = nested();
    for (sources, expected) in [
        ("./x/./y/*.txt", &["p/", "p/y/", "p/y/b.txt: 3"][..]),
        ("x/y/./z", &["p/", "p/z/", "p/z/c.txt: 4", "p/z/d.py: 5"]),
        (
            "/x/y/./z/c.txt x/./a.txt",
            &["p/", "p/a.txt: 1", "p/z/", "p/z/c.txt: 4"],
        ),
        // Only the first dot counts.
        (
            "x/./y/./z/c.txt",
            &["p/", "p/y/", "p/y/z/", "p/y/z/c.txt: 4"],
        ),
        ("*/./a.txt", &["p/", "p/a.txt: 2"]),
        (
            "x/y/z/.",
            &[
                "p/",
                "p/x/",
                "p/x/y/",
                "p/x/y/z/",
                "p/x/y/z/c.txt: 4",
                "p/x/y/z/d.py: 5",
            ],
        ),
    ] {
        check_names(&home, &format!("COPY --parents {sources} /p/"), expected);
    }
}

#[test]
fn two_stars_go_through_directories_where_parents_are_kept() {
    let home = nested();
    for (sources, expected) in [
        (
            "x/**/*.txt",
            &[
                "p/",
                "p/x/",
                "p/x/a.txt: 1",
                "p/x/y/",
                "p/x/y/b.txt: 3",
                "p/x/y/z/",
                "p/x/y/z/c.txt: 4",
            ][..],
        ),
        ("x/./**/c.txt", &["p/", "p/y/", "p/y/z/", "p/y/z/c.txt: 4"]),
        (
            "**/z",
            &[
                "p/",
                "p/x/",
                "p/x/y/",
                "p/x/y/z/",
                "p/x/y/z/c.txt: 4",
                "p/x/y/z/d.py: 5",
            ],
        ),
        ("**/nothing", &["p/"]),
        ("nothing*", &["p/"]),
    ] {
        check_names(&home, &format!("COPY --parents {sources} /p/"), expected);
    }
    check_names(
        &home,
        "COPY --parents --exclude=x/y/z --exclude=*/a.txt x/**/*.txt y /p/",
        &["p/", "p/x/", "p/x/y/", "p/x/y/b.txt: 3", "p/y/"],
    );
    check_refused(
        &home,
        "COPY --parents x/none /p/",
        &[
            "Balenafile:2:16",
            "`x/none` is not in the context",
            "hint: ",
        ],
    );
}
