//! Balenafiles that cannot be built.

use std::os::unix::fs::symlink;

use crate::home::Home;

/// Builds a context whose Balenafile is this; it must fail with these texts and leave no image.
#[track_caller]
fn check(home: &Home, balenafile: &[u8], texts: &[&str]) {
    home.write("context/Balenafile", balenafile);
    let ended = home.run(&["build", "-t", "x:1", "context"]);
    ended.assert_fails(1, texts);
    assert_eq!(home.ok(&["images", "-q"]), "");
    home.assert_nothing_left();
}

#[test]
fn an_empty_file_has_no_instructions() {
    check(&Home::new(), b"", &["no instructions", "hint: begin with"]);
}

#[test]
fn a_binary_file_is_said_to_be_one() {
    let binary = b"\x7fELF\x02\x01\x01\0\xff\xfe";
    check(&Home::new(), binary, &["Balenafile:1:", "binary", "hint: "]);
}

#[test]
fn an_unknown_instruction_is_shown_with_its_line_and_the_nearest_name() {
    check(
        &Home::new(),
        b"FROM scratch\n\nCOPPY a b\n",
        &[
            "Balenafile:3:1",
            "unknown instruction `COPPY`",
            "hint: did you mean `COPY`?",
        ],
    );
}

#[test]
fn a_program_that_no_file_answers_is_named_with_its_line() {
    check(
        &Home::new(),
        b"FROM scratch\nRUN make all\n",
        &[
            "Balenafile:2:1",
            "process \"make all\" did not complete successfully",
            "executable file not found",
        ],
    );
}

#[test]
fn a_missing_source_is_named_with_its_line() {
    check(
        &Home::new(),
        b"FROM scratch\nCOPY here.txt missing.txt /\n",
        &["Balenafile:2:", ".txt` is not in the context"],
    );
}

#[test]
fn a_missing_base_image_is_named() {
    check(&Home::new(), b"FROM nobody:7\n", &["nobody:7", "hint: "]);
}

/// A context with a file and a directory beside it that it must not reach, and two links to them.
fn context_beside_a_secret() -> Home {
    let home = Home::new();
    home.write("outside/secret", "the secret");
    home.write("context/inside", "inside");
    let context = home.files().join("context");
    symlink("../outside", context.join("directory")).expect("a link");
    symlink("../outside/secret", context.join("file")).expect("a link");
    symlink(home.files().join("outside"), context.join("absolute")).expect("a link");
    home
}

#[test]
fn copy_does_not_leave_the_context() {
    let home = context_beside_a_secret();
    for source in [
        "../outside/secret",
        "directory/../../outside/secret",
        "directory/secret",
        "absolute/secret",
        "file",
        "directory",
    ] {
        let balenafile = format!("FROM scratch\nCOPY {source} /copied\n");
        check(
            &home,
            balenafile.as_bytes(),
            &["Balenafile:2:", "out of the context", "hint: "],
        );
    }
}

#[test]
fn an_absolute_source_is_meant_inside_the_context() {
    let home = context_beside_a_secret();
    let outside = home.files().join("outside/secret");
    let balenafile = format!("FROM scratch\nCOPY {} /copied\n", outside.display());
    check(
        &home,
        balenafile.as_bytes(),
        &["Balenafile:2:", "is not in the context"],
    );
}
