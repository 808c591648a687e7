//! A container's root on its own disk: what it changes is kept, alone, and bounded.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::home::{Home, guest};

/// Builds the image `app`: the probe, and a file that it can change.
fn built(home: &Home) {
    fs::copy(guest("probe.wasm"), home.files().join("probe.wasm")).expect("copied");
    home.write("note", "of the image");
    home.write(
        "Balenafile",
        "FROM scratch\nCOPY probe.wasm /\nCOPY note /data/note\nENTRYPOINT [\"/probe.wasm\"]\n",
    );
    home.ok(&["build", "-q", "-t", "app", "."]);
}

/// Where a container's changes are.
fn changes(home: &Home, name: &str) -> PathBuf {
    let id = home.inspect(name)["Id"].clone();
    let id = id.as_str().expect("an id is text");
    home.path().join("containers").join(id).join("root.changes")
}

/// The next line that a container prints.
fn follow(home: &Home, name: &str, lines: usize) -> Vec<String> {
    let mut child = home
        .command(&["logs", "-f", name])
        .stdout(Stdio::piped())
        .spawn()
        .expect("minke starts");
    let printed = BufReader::new(child.stdout.take().expect("piped")).lines();
    let printed = printed
        .take(lines)
        .map(|line| line.expect("text"))
        .collect();
    child.wait().expect("its reader has gone");
    printed
}

#[test]
fn what_a_container_wrote_is_there_when_it_starts_again() {
    let home = Home::new();
    built(&home);
    let run = [
        "run",
        "--name",
        "keeps",
        "app",
        "durable-ticks",
        "/data/ticks",
        "1",
    ];
    assert_eq!(home.ok(&run), "found 0\ntick 1");
    assert_eq!(home.ok(&["start", "-a", "keeps"]), "found 1\ntick 1");
    assert_eq!(home.ok(&["start", "-a", "keeps"]), "found 2\ntick 1");
    assert_eq!(home.ok(&["run", "--rm", "app", "ls", "/data"]), "note");
    let changes = changes(&home, "keeps");
    assert!(changes.exists());
    home.ok(&["rm", "keeps"]);
    assert!(!changes.exists());
    home.assert_nothing_left();
}

#[test]
fn what_was_durable_outlives_a_killed_sandbox() {
    let home = Home::new();
    built(&home);
    let run = ["run", "-d", "--name", "killed", "app"];
    home.ok(&[&run[..], &["durable-ticks", "/data/ticks", "1000000"]].concat());
    assert_eq!(follow(&home, "killed", 6)[5], "tick 5");
    let pid = home.state("killed")["Pid"].to_string();
    let killed = Command::new("kill").args(["-9", &pid]).status();
    assert!(killed.expect("it runs").success());
    home.ok(&["wait", "killed"]);
    let printed = home.ok(&["logs", "killed"]).lines().count();
    home.ok(&["start", "killed"]);
    let again = follow(&home, "killed", printed + 1);
    let found = again[printed].strip_prefix("found ").expect("it says");
    // What it printed was durable before; one more line may have been.
    assert!(found.parse::<usize>().expect("a number") >= printed - 1);
}

#[test]
fn a_root_is_as_large_as_was_asked_for() {
    let home = Home::new();
    built(&home);
    let run = ["run", "--rm", "--root-size", "4m", "app"];
    let full = home.run(&[&run[..], &["fill", "/big", "64"]].concat());
    full.assert_fails(1, &["ENOSPC"]);
    home.ok(&[&run[..], &["fill", "/big", "2"]].concat());
    home.assert_nothing_left();
}

#[test]
fn a_container_that_writes_nothing_takes_no_room() {
    let home = Home::new();
    built(&home);
    for name in ["first", "second"] {
        home.ok(&["run", "-d", "--name", name, "app", "wait"]);
        let room = changes(&home, name).metadata().expect("it is there");
        assert!(room.blocks() * 512 <= 256 << 10, "{} blocks", room.blocks());
    }
}

#[test]
fn a_template_that_shows_sizes_is_enough_to_have_them() {
    let home = Home::new();
    built(&home);
    home.ok(&["run", "app", "fill", "/big", "3"]);
    let size = home.ok(&["ps", "-a", "--format", "{{.Size}}"]);
    assert!(size.contains("MB (virtual "), "{size}");
    assert_eq!(home.ok(&["ps", "-as", "--format", "{{.Size}}"]), size);
}

#[test]
fn programs_see_a_root_that_is_ext4() {
    let home = Home::new();
    built(&home);
    let mounts = home.ok(&["run", "--rm", "app", "cat", "/proc/mounts"]);
    let first = mounts.lines().next().expect("a root");
    assert!(first.contains(" / ext4 rw"), "{first}");
    let mounts = home.ok(&["run", "--rm", "--read-only", "app", "cat", "/proc/mounts"]);
    let first = mounts.lines().next().expect("a root");
    assert!(first.contains(" / ext4 ro"), "{first}");
    let refused = home.run(&["run", "--rm", "--read-only", "app", "write", "/x", "y"]);
    refused.assert_fails(1, &["EROFS"]);
}
