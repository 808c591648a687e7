//! `--from` and `FROM`: files of stages and images.
//!
//! Spec: Dockerfile reference, "COPY --from", "FROM"; multi-stage builds.

use super::{check_refused, context, tree_of};
use crate::home::Home;

fn home() -> Home {
    context(&[("a.txt", "a"), ("dir/x", "x"), ("dir/y", "y")])
}

#[track_caller]
fn check(home: &Home, balenafile: &str, expected: &[&str]) {
    assert_eq!(
        tree_of(home, balenafile),
        expected.join("\n"),
        "{balenafile}"
    );
}

#[test]
fn files_are_taken_from_a_stage_by_name_or_number() {
    let home = home();
    let stages = "FROM scratch AS First\nCOPY --chown=4:5 --chmod=600 dir /d\nFROM scratch\n";
    let expected = &["600 4/5 d/", "600 4/5 d/x: x", "600 4/5 d/y: y"];
    for from in ["First", "first", "FIRST", "0"] {
        check(
            &home,
            &format!("{stages}COPY --from={from} / /\n"),
            expected,
        );
    }
    check(
        &home,
        &format!("{stages}COPY --from=first /d/x /d/\n"),
        &["755 0/0 d/", "600 4/5 d/x: x"],
    );
    check(
        &home,
        &format!("{stages}COPY --from=first d/* /\n"),
        &["600 4/5 x: x", "600 4/5 y: y"],
    );
    check(
        &home,
        &format!("{stages}COPY --from=first --chown=0 --chmod=644 d/y /z\n"),
        &["644 0/0 z: y"],
    );
    check(
        &home,
        &format!("{stages}COPY --from=first --parents /d/./x /p\n"),
        &["755 0/0 p/", "600 4/5 p/x: x"],
    );
}

/// BuildKit: `dockerfile_test.go`, "needs to be defined before current stage".
#[test]
fn a_stage_that_comes_later_is_not_copied_from() {
    let home = home();
    home.write(
        "Balenafile",
        "FROM scratch AS one\nCOPY --from=two /x /\nFROM scratch AS two\nCOPY dir /\nFROM one\n",
    );
    let ended = home.run(&["build", "-f", "Balenafile", "context"]);
    ended.assert_fails(
        1,
        &[
            "Balenafile:2:13",
            "cannot copy from stage `two`, it needs to be defined before current stage `one`",
            "hint: move stage `two` up",
        ],
    );
}

#[test]
fn links_of_a_stage_are_followed_within_it() {
    let home = home();
    let context = home.files().join("context");
    std::os::unix::fs::symlink("/d", context.join("dir/absolute")).expect("a link");
    std::os::unix::fs::symlink("../../../d/x", context.join("dir/up")).expect("a link");
    check(
        &home,
        "FROM scratch AS one\nCOPY dir /d\nFROM scratch\nCOPY --from=one /d/absolute/y /d/up /\n",
        &["644 0/0 up: x", "644 0/0 y: y"],
    );
}

#[test]
fn files_are_taken_from_an_image_and_a_stage_begins_with_one() {
    let home = home();
    home.write("other", "FROM scratch\nCOPY --chown=7 dir /d\nENV A=b\n");
    home.ok(&[
        "build",
        "-q",
        "-t",
        "Base/Image:1",
        "-f",
        "other",
        "context",
    ]);
    for name in ["base/image:1", "Base/Image:1", "docker.io/base/image:1"] {
        check(
            &home,
            &format!("FROM scratch\nCOPY --from={name} /d/x /\n"),
            &["644 7/7 x: x"],
        );
    }
    check(
        &home,
        "ARG NAME=image\nFROM Base/${NAME}:1\nCOPY a.txt /$A\n",
        &[
            "644 0/0 b: a",
            "755 7/7 d/",
            "644 7/7 d/x: x",
            "644 7/7 d/y: y",
        ],
    );
}

#[test]
fn a_stage_that_nothing_needs_is_not_built() {
    let home = home();
    check(
        &home,
        "FROM scratch AS broken\nCOPY missing /\nFROM scratch AS good\nCOPY a.txt /\n",
        &["644 0/0 a.txt: a"],
    );
    home.write(
        "Balenafile",
        "FROM scratch AS one\nCOPY a.txt /\nFROM scratch\nCOPY missing /\n",
    );
    for target in ["one", "ONE", "0"] {
        home.ok(&[
            "build",
            "-q",
            "--target",
            target,
            "-f",
            "Balenafile",
            "context",
        ]);
    }
    let ended = home.run(&["build", "--target", "oen", "-f", "Balenafile", "context"]);
    ended.assert_fails(
        1,
        &[
            "target stage `oen` could not be found",
            "hint: did you mean `one`?",
        ],
    );
}

#[test]
fn what_a_build_leaves_for_the_next_is_in_order() {
    let home = home();
    home.write(
        "Balenafile",
        "FROM scratch AS one\nCOPY dir /d\nCOPY a.txt /\nFROM scratch\nCOPY --from=one /d /\n",
    );
    for output in [
        "type=oci,dest=x.tar",
        "type=docker,dest=x.tar",
        "type=tar,dest=x.tar",
        "out",
    ] {
        home.ok(&["build", "-q", "-o", output, "-f", "Balenafile", "context"]);
        assert_eq!(home.ok(&["system", "check"]), "", "{output}");
        assert_eq!(home.ok(&["images", "-q"]), "", "{output}");
    }
    home.ok(&["build", "-q", "-t", "made", "-f", "Balenafile", "context"]);
    assert_eq!(home.ok(&["system", "check"]), "");
}

#[test]
fn what_is_in_no_stage_is_named() {
    let home = home();
    for (instructions, texts) in [
        (
            "COPY dir /d\nFROM scratch\nCOPY --from=0 /d/z /",
            [
                "Balenafile:4:15",
                "`/d/z` is not in stage `0`",
                "hint: check the paths of stage `0`",
            ],
        ),
        (
            "COPY dir /d\nFROM scratch\nCOPY --from=0 ../d/x /",
            [
                "Balenafile:4:15",
                "`../d/x` leads out of stage `0`",
                "hint: ",
            ],
        ),
        (
            "COPY --from=nobody/nothing:1 /x /",
            [
                "Balenafile:2:13",
                "no such image: `nobody/nothing:1`",
                "hint: ",
            ],
        ),
        (
            "COPY --from=1 /x /\nFROM scratch",
            ["Balenafile:2:13", "cannot copy from stage `1`", "hint: "],
        ),
        ("COPY --from=$X /x /", ["Balenafile:2:13", "", ""]),
    ] {
        let is_first_stage = instructions.starts_with("COPY --from=1");
        let target = if is_first_stage { "0" } else { "" };
        home.write("Balenafile", format!("FROM scratch\n{instructions}\n"));
        let ended = home.run(&["build", "--target", target, "-f", "Balenafile", "context"]);
        ended.assert_fails(1, &texts);
        assert_eq!(home.ok(&["images", "-q"]), "");
        home.assert_nothing_left();
    }
    check_refused(
        &home,
        "COPY --from=0 / /",
        &["circular dependency detected", "hint: "],
    );
}
