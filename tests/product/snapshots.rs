//! Snapshots of a container's root: taken while it runs or not, put back, and cut short.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

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

/// Writes a file of a container.
fn put(home: &Home, container: &str, text: &str) {
    home.write("text", text);
    home.ok(&["cp", "text", &format!("{container}:/data/note")]);
}

fn read(home: &Home, container: &str) -> String {
    home.ok(&["cp", &format!("{container}:/data/note"), "out"]);
    fs::read_to_string(home.files().join("out")).expect("text")
}

/// Waits until a container has printed so many lines.
fn follow(home: &Home, name: &str, lines: usize) {
    let mut child = home
        .command(&["logs", "-f", name])
        .stdout(Stdio::piped())
        .spawn()
        .expect("minke starts");
    let printed = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert_eq!(printed.take(lines).count(), lines);
    child.wait().expect("its reader has gone");
}

fn ticking(home: &Home, name: &str) {
    let run = ["run", "-d", "--name", name, "app"];
    home.ok(&[&run[..], &["durable-ticks", "/data/ticks", "1000000"]].concat());
    follow(home, name, 4);
}

/// How many ticks are in the root.
fn ticks(home: &Home, name: &str) -> u64 {
    home.ok(&["cp", &format!("{name}:/data/ticks"), "ticks"]);
    let file = home.files().join("ticks");
    fs::metadata(file).expect("copied").len()
}

fn kill(home: &Home, name: &str) {
    let pid = home.state(name)["Pid"].to_string();
    let killed = Command::new("kill").args(["-9", &pid]).status();
    assert!(killed.expect("it runs").success());
}

#[test]
fn a_container_that_does_not_run_is_put_back_to_each_of_its_snapshots() {
    let home = Home::new();
    built(&home);
    home.ok(&["create", "--name", "web", "app", "ls", "/data"]);
    assert_eq!(home.ok(&["snapshot", "create", "web", "new"]), "new");
    for text in ["first", "second"] {
        put(&home, "web", text);
        home.ok(&["snapshot", "create", "web", text]);
    }
    put(&home, "web", "third");
    assert_eq!(
        home.ok(&["snapshot", "ls", "-q", "web"]),
        "new\nfirst\nsecond"
    );
    assert_eq!(read(&home, "web"), "third");
    assert_eq!(home.ok(&["diff", "web"]), "C /data\nC /data/note");
    home.ok(&["snapshot", "restore", "web", "first"]);
    assert_eq!(read(&home, "web"), "first");
    assert_eq!(home.ok(&["start", "-a", "web"]), "note");
    home.ok(&["snapshot", "restore", "web", "second"]);
    assert_eq!(read(&home, "web"), "second");
    home.ok(&["commit", "web", "committed"]);
    home.ok(&["snapshot", "restore", "web", "new"]);
    assert_eq!(home.ok(&["diff", "web"]), "");
    assert_eq!(read(&home, "web"), "of the image");
    home.ok(&["create", "--name", "other", "committed", "wait"]);
    assert_eq!(read(&home, "other"), "second");
    home.ok(&["snapshot", "rm", "web", "new", "second"]);
    assert_eq!(home.ok(&["snapshot", "ls", "-q", "web"]), "first");
    assert_eq!(read(&home, "web"), "of the image");
    home.ok(&["rm", "web", "other"]);
    home.assert_nothing_left();
}

#[test]
fn a_container_that_runs_goes_on_through_twenty_snapshots_and_a_kill() {
    let home = Home::new();
    built(&home);
    ticking(&home, "web");
    home.ok(&["snapshot", "create", "web", "s0"]);
    let early = ticks(&home, "web");
    for number in 1..20 {
        home.ok(&["snapshot", "create", "web", &format!("s{number}")]);
    }
    home.fails(
        &["snapshot", "restore", "web", "s0"],
        1,
        "error: cannot put container `web` back to a snapshot: it is running\nhint: stop it first, with `minke stop web`",
    );
    let before = ticks(&home, "web");
    follow(&home, "web", before as usize / 7 + 3);
    assert_eq!(home.state("web")["Running"], true);
    kill(&home, "web");
    home.ok(&["wait", "web"]);
    assert_eq!(
        home.ok(&["snapshot", "ls", "-q", "web"]).lines().count(),
        20
    );
    let snapshots = home.inspect("web")["Snapshots"].clone();
    assert_eq!(snapshots[1]["Parent"], "s0");
    assert_eq!(snapshots[19]["Current"], true);
    assert!(ticks(&home, "web") >= before);
    home.ok(&["start", "web"]);
    home.ok(&["stop", "-t", "0", "web"]);
    home.ok(&["snapshot", "restore", "web", "s0"]);
    assert!(ticks(&home, "web") <= early);
    home.ok(&["snapshot", "restore", "web", "s19"]);
    assert!(ticks(&home, "web") >= early);
    home.ok(&["start", "web"]);
    home.ok(&["rm", "-f", "web"]);
    home.assert_nothing_left();
}

#[test]
fn a_snapshot_that_a_kill_cuts_short_is_there_or_not() {
    let home = Home::new();
    built(&home);
    ticking(&home, "web");
    let mut taken = 0;
    for number in 0..8 {
        let name = format!("s{number}");
        let mut creating = home
            .command(&["snapshot", "create", "web", &name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("minke starts");
        match number % 2 {
            // Either may be anywhere in it.
            0 => kill(&home, "web"),
            _ => creating.kill().expect("it is ours"),
        }
        creating.wait().expect("it ends");
        if number % 2 == 0 {
            home.ok(&["wait", "web"]);
            home.ok(&["start", "web"]);
        }
        let names = home.ok(&["snapshot", "ls", "-q", "web"]);
        let now = names.lines().count();
        assert!(now >= taken && now <= number + 1, "{names}");
        taken = now;
        ticks(&home, "web");
    }
    home.ok(&["snapshot", "create", "web", "last"]);
    home.ok(&["stop", "-t", "0", "web"]);
    let names = home.ok(&["snapshot", "ls", "-q", "web"]);
    for name in names.lines() {
        home.ok(&["snapshot", "restore", "web", name]);
        ticks(&home, "web");
    }
}

#[test]
fn lists_tell_what_snapshots_hold() {
    let home = Home::new();
    built(&home);
    home.ok(&["create", "--name", "web", "app", "wait"]);
    put(&home, "web", &"x".repeat(1 << 20));
    home.ok(&["snapshot", "create", "web", "large"]);
    let line = home.ok(&["snapshot", "ls", "--format", "json", "web"]);
    let row: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        (&row["Name"], &row["Current"]),
        (&"large".into(), &"*".into())
    );
    assert!(row["Size"].as_str().expect("text").ends_with("MB"), "{row}");
    let table = home.ok(&["snapshot", "ls", "web"]);
    assert!(table.starts_with("SNAPSHOT   CREATED"), "{table}");
    // What it keeps is the container's.
    let size = home.ok(&["ps", "-a", "-s", "--format", "{{.Size}}"]);
    assert!(size.contains("MB ("), "{size}");
    let size = home.ok(&["system", "df", "--format", "{{.Type}} {{.Size}}"]);
    let containers = size.lines().find(|line| line.starts_with("Containers"));
    assert!(
        containers.is_some_and(|line| line.ends_with("MB")),
        "{size}"
    );
}

#[test]
fn what_is_asked_wrong_is_told_with_a_way_out() {
    let home = Home::new();
    built(&home);
    home.ok(&["create", "--name", "web", "app", "wait"]);
    home.ok(&["create", "--name", "bare", &guest("probe.wasm"), "wait"]);
    home.ok(&["snapshot", "create", "web", "one"]);
    home.fails(
        &["snapshot", "create", "web", "one"],
        1,
        "error: container `web` has a snapshot `one` already\nhint: choose another name, or remove that one with `minke snapshot rm web one`",
    );
    home.fails(
        &["snapshot", "restore", "web", "ones"],
        1,
        "error: container `web` has no snapshot `ones`\nhint: did you mean `one`?",
    );
    home.fails(
        &["snapshot", "rm", "web", "elsewhere"],
        1,
        "error: container `web` has no snapshot `elsewhere`\nhint: `minke snapshot ls web` lists them",
    );
    home.fails(
        &["snapshot", "create", "web", "../x"],
        1,
        "error: `../x` is no name for a snapshot\nhint: use letters, digits, `_`, `.` and `-`",
    );
    home.fails(
        &["snapshot", "create", "bare", "one"],
        1,
        "error: container `bare` has its root in memory, which has no snapshots\nhint: only containers of an image have a disk: `minke build` makes one",
    );
    assert_eq!(home.ok(&["snapshot", "ls", "-q", "bare"]), "");
}

/// Removes the snapshots of layers below a directory; returns how many there were.
fn lose(directory: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            count += lose(&path);
        } else if path.extension().is_some_and(|it| it == "disk") {
            fs::remove_file(path).expect("there");
            count += 1;
        }
    }
    count
}

#[test]
fn an_images_snapshots_that_are_lost_are_made_again_below_a_container() {
    let home = Home::new();
    built(&home);
    home.ok(&["create", "--name", "web", "app", "cat", "/data/note"]);
    put(&home, "web", "of the container");
    home.ok(&["snapshot", "create", "web", "one"]);
    assert!(lose(&home.path().join("images/snapshots")) > 1);
    assert_eq!(home.ok(&["start", "-a", "web"]), "of the container");
    home.ok(&["snapshot", "restore", "web", "one"]);
    assert_eq!(read(&home, "web"), "of the container");
    assert_eq!(
        home.ok(&["run", "--rm", "app", "cat", "/data/note"]),
        "of the image"
    );
}
