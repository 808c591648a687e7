//! Images from one home to another.

use std::fs;
use std::process::Stdio;

use super::build;
use crate::home::Home;

#[test]
fn an_image_is_saved_loaded_and_run_elsewhere() {
    let home = Home::new();
    let id = build(&home, "app:1", "LABEL a=b");
    home.ok(&["tag", "app:1", "app:2"]);
    home.ok(&["save", "-o", "x.tar", "app:1"]);
    let archive = home.files().join("x.tar");
    let archive = archive.to_str().expect("the path is text");
    let other = Home::new();
    assert_eq!(other.ok(&["load", "-i", archive]), "Loaded image: app:1");
    assert_eq!(other.ok(&["run", "--rm", "app:1"]), "hello");
    assert_eq!(other.ok(&["images", "-q", "--no-trunc"]), id);
    home.ok(&["save", "-o", "x.tar", "app"]);
    assert_eq!(
        other.ok(&["load", "-q", "-i", archive]),
        "Loaded image: app:1\nLoaded image: app:2"
    );
    home.ok(&["image", "save", "-o", "x.tar", &id]);
    assert_eq!(
        other.ok(&["image", "load", "-i", archive]),
        format!("Loaded image ID: {id}")
    );
    let events = other.ok(&["events", "--since", "1h", "--until", "0s"]);
    assert!(events.contains("image load sha256:"), "{events}");
}

#[test]
fn pipes_files_and_packed_archives_are_the_same() {
    let home = Home::new();
    build(&home, "app:1", "");
    let saved = home
        .command(&["save", "app:1"])
        .output()
        .expect("minke starts");
    assert!(saved.status.success(), "{saved:?}");
    home.ok(&["save", "-o", "x.tar", "app:1"]);
    assert_eq!(
        fs::read(home.files().join("x.tar")).expect("it is there"),
        saved.stdout
    );
    let gzip = gzip_of(&saved.stdout);
    for bytes in [&saved.stdout, &gzip] {
        let other = Home::new();
        let loaded = other.run_with_input(&["load"], bytes);
        assert_eq!(
            (loaded.code, loaded.stdout.trim_end()),
            (0, "Loaded image: app:1"),
            "{loaded:?}"
        );
        assert_eq!(other.ok(&["run", "--rm", "app:1"]), "hello");
        other.assert_nothing_left();
    }
    let other = Home::new();
    let file = fs::File::open(home.files().join("x.tar")).expect("it is there");
    let status = other
        .command(&["load"])
        .stdin(file)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("minke starts").success());
}

/// Packs bytes with the `gzip` command.
fn gzip_of(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut child = std::process::Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip starts");
    let mut stdin = child.stdin.take().expect("it was asked for");
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it ends").expect("it is written");
    output.stdout
}

#[test]
fn a_save_that_fails_leaves_no_file() {
    let home = Home::new();
    home.run(&["save", "-o", "x.tar", "nosuch"])
        .assert_fails(1, &["no such image: `nosuch`"]);
    assert!(!home.files().join("x.tar").exists());
    build(&home, "app:1", "");
    home.run(&["save", "-o", "nosuch/x.tar", "app:1"])
        .assert_fails(1, &["cannot write the archive `nosuch/x.tar`"]);
    let full = fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it");
    let output = home
        .command(&["save", "app:1"])
        .stdout(full)
        .output()
        .expect("minke starts");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("cannot write the archive") && said.contains("No space left"),
        "{said}"
    );
    home.assert_nothing_left();
}

#[test]
fn terminals_are_neither_written_nor_read() {
    let home = Home::new();
    build(&home, "app:1", "");
    let minke = home.command(&[]).get_program().to_owned();
    let run = |line: &str| {
        // `script` gives the command a terminal of its own.
        let command = format!("{} {line}", minke.to_string_lossy());
        let mut script = std::process::Command::new("script");
        script
            .args(["-qec", &command, "/dev/null"])
            .stdin(Stdio::null());
        let output = script.env("MINKE_HOME", home.path()).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(said) = run("save app:1") else {
        super::skipped("script");
        return;
    };
    assert!(
        said.contains("cowardly refusing to save to a terminal"),
        "{said}"
    );
}

#[test]
fn archives_that_are_none_are_refused_and_leave_nothing() {
    let home = Home::new();
    home.write("noise", "no archive ".repeat(1000));
    home.write("empty", "");
    for (name, words) in [
        ("noise", "no tar"),
        ("empty", "neither `index.json` nor `manifest.json`"),
        ("nosuch", "cannot read `nosuch`"),
        (".", "cannot read the archive"),
    ] {
        home.run(&["load", "-i", name]).assert_fails(1, &[words]);
    }
    build(&home, "app:1", "");
    home.ok(&["save", "-o", "x.tar", "app:1"]);
    let whole = fs::read(home.files().join("x.tar")).expect("it is there");
    home.write("cut", &whole[..whole.len() / 2]);
    let other = Home::new();
    let cut = home.files().join("cut");
    let ended = other.run(&["load", "-i", cut.to_str().expect("the path is text")]);
    ended.assert_fails(1, &["hint: "]);
    assert_eq!(other.ok(&["images", "-q"]), "");
    other.assert_nothing_left();
}
