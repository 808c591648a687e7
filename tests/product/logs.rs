//! `minke logs`: what was printed, kept, bounded and followed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::home::{Home, guest};

#[test]
fn a_log_keeps_both_streams_apart_with_times() {
    let home = Home::new();
    home.start("out", &[], &["print", "good"]);
    home.start("err", &[], &["stderr", "wrong"]);
    home.ok(&["wait", "out", "err"]);
    let out = home.run(&["logs", "out"]);
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("good\n", ""));
    let err = home.run(&["logs", "err"]);
    assert_eq!((err.stdout.as_str(), err.stderr.as_str()), ("", "wrong\n"));
    let timed = home.ok(&["logs", "-t", "out"]);
    assert!(
        timed.contains("Z good") && timed.starts_with("20"),
        "{timed}"
    );
}

#[test]
fn a_foreground_container_is_logged_too_unless_it_is_removed() {
    let home = Home::new();
    assert_eq!(
        home.ok(&["run", "--name", "seen", &guest("hello.wasm")]),
        "hello"
    );
    assert_eq!(home.ok(&["logs", "seen"]), "hello");
}

#[test]
fn following_ends_with_the_container() {
    let home = Home::new();
    home.start("ticks", &[], &["ticks", "3", "50"]);
    let followed = home.ok(&["logs", "-f", "ticks"]);
    assert_eq!(followed.lines().count(), 3, "{followed}");
}

#[test]
fn following_ends_when_the_container_is_removed() {
    let home = Home::new();
    home.start("endless", &[], &["ticks", "1000000", "10"]);
    let mut child = home
        .command(&["logs", "-f", "endless"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("minke starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    // What was there when it came, and more: it is following then.
    for _ in 0..3 {
        lines.next().expect("it follows").expect("text");
    }
    home.ok(&["rm", "-f", "endless"]);
    // How much was printed until then is nobody's to say; if it did not end, this would hang.
    assert!(lines.all(|line| line.is_ok()));
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_log_without_end_takes_bounded_disk() {
    let home = Home::new();
    let id = home.start("talks", &[], &["logs"]);
    let directory = home.path().join("containers").join(&id);
    // Rotated for the second time: the oldest file is there.
    while !directory.join("log.2").exists() {
        std::thread::yield_now();
    }
    home.ok(&["stop", "talks"]);
    let entries = fs::read_dir(&directory).expect("readable").flatten();
    let bytes: u64 = entries
        .map(|entry| entry.metadata().expect("readable").len())
        .sum();
    assert!(bytes <= 31 << 20, "{bytes}");
    let printed = home.run(&["logs", "talks"]);
    assert!(printed.stdout.len() > 1 << 20 || printed.stderr.len() > 1 << 20);
}

#[test]
fn the_last_lines_are_shown_and_followed() {
    let home = Home::new();
    home.start("ten", &[], &["lines", "10"]);
    home.ok(&["wait", "ten"]);
    let all = home.ok(&["logs", "ten"]);
    let last = |count: usize| {
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len() - count..].join("\n")
    };
    assert_eq!(home.ok(&["logs", "--tail", "3", "ten"]), last(3));
    assert_eq!(home.ok(&["logs", "-n", "3", "-f", "ten"]), last(3));
    assert_eq!(home.ok(&["logs", "--tail", "0", "ten"]), "");
    for every in ["all", "-1", "100"] {
        assert_eq!(home.ok(&["logs", "--tail", every, "ten"]), all, "{every}");
    }
}

#[test]
fn lines_are_chosen_by_their_time() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    home.ok(&["create", "--name", "says", &probe, "print", "line"]);
    home.ok(&["start", "-a", "says"]);
    home.ok(&["start", "-a", "says"]);
    let timed = home.ok(&["logs", "-t", "says"]);
    let times: Vec<&str> = timed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let count = |arguments: &[&str]| {
        let mut all = vec!["logs", "--details"];
        all.extend(arguments);
        all.push("says");
        home.ok(&all).lines().count()
    };
    assert_eq!(count(&["--since", times[1]]), 1);
    assert_eq!(count(&["--until", times[0]]), 1);
    assert_eq!(count(&["--since", times[0], "--until", times[1]]), 2);
    assert_eq!(count(&["--since", "10m"]), 2);
    assert_eq!(count(&["--until", "10m"]), 0);
    assert_eq!(count(&["--since", "0"]), 2);
    home.run(&["logs", "--since", "yesterday", "says"])
        .assert_fails(125, &["invalid time `yesterday`"]);
}
