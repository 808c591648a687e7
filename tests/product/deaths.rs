//! What is killed, changed behind our back, or never ends.

use std::fs;

use serde_json::json;

use crate::home::{Home, example, guest};
use crate::run::send_signal;

#[test]
fn a_killed_sandbox_is_seen_as_exited_with_the_reason() {
    let home = Home::new();
    home.ok(&["run", "-d", "--name", "web", &guest("probe.wasm"), "wait"]);
    let pid = home.inspect("web")["State"]["Pid"]
        .as_u64()
        .expect("a number");
    let waiting = home
        .command(&["wait", "web"])
        .stdout(std::process::Stdio::piped())
        .spawn();
    send_signal(u32::try_from(pid).expect("a process number"), "KILL");
    let waited = waiting
        .expect("minke starts")
        .wait_with_output()
        .expect("it ends");
    assert_eq!(String::from_utf8_lossy(&waited.stdout).trim(), "137");
    assert!(home.ok(&["ps", "-a"]).contains("Exited (137)"));
    let state = &home.inspect("web")["State"];
    assert_eq!(state["Reason"], json!("the sandbox process was killed"));
    home.ok(&["rm", "web"]);
    home.assert_nothing_left();
}

#[test]
fn a_killed_foreground_command_is_swept_by_the_next() {
    let home = Home::new();
    let mut child = home
        .command(&[
            "run",
            "--rm",
            "--name",
            "web",
            &guest("probe.wasm"),
            "ticks",
            "1000000",
            "10",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("minke starts");
    let mut byte = [0];
    std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut byte).expect("it runs");
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(home.ok(&["ps", "-a", "-q"]), "");
    home.assert_nothing_left();
}

#[test]
fn a_command_that_is_killed_in_the_middle_leaves_nothing_for_long() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    for _ in 0..10 {
        let mut child = home
            .command(&["run", "-d", "--rm", &probe, "exit", "0"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("minke starts");
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    // Sandboxes that were on the way end by themselves, for their guest does.
    while !home.ok(&["ps", "-a", "-q"]).is_empty() {}
    home.assert_nothing_left();
}

#[test]
fn a_compiled_module_that_was_changed_is_made_again() {
    let home = Home::new();
    let hello = guest("hello.wasm");
    assert_eq!(home.ok(&["run", "--rm", &hello]), "hello");
    let modules = fs::read_dir(home.path().join("modules"))
        .expect("readable")
        .flatten();
    let mut changed = 0;
    for path in modules.map(|entry| entry.path()) {
        if path
            .extension()
            .is_some_and(|extension| extension == "cwasm")
        {
            let mut bytes = fs::read(&path).expect("readable");
            let middle = bytes.len() / 2;
            bytes[middle..middle + 64].fill(0xff);
            fs::write(&path, bytes).expect("writable");
            changed += 1;
        }
    }
    assert_eq!(changed, 1);
    assert_eq!(home.ok(&["run", "--rm", &hello]), "hello");
}

#[test]
fn a_layer_that_was_changed_is_made_again_and_a_blob_is_named() {
    let home = Home::new();
    home.ok(&["build", "-q", "-t", "hello", &example("hello-rust")]);
    let tars = || {
        let files = fs::read_dir(home.path().join("images/layers"))
            .expect("readable")
            .flatten();
        files
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "tar"))
    };
    home.ok(&["run", "-d", "--name", "one", "hello"]);
    for tar in tars() {
        fs::write(tar, "changed").expect("writable");
    }
    home.ok(&["run", "-d", "--name", "two", "hello"]);
    for tar in tars() {
        fs::remove_file(tar).expect("removable");
    }
    let blobs = fs::read_dir(home.path().join("images/blobs/sha256"))
        .expect("readable")
        .flatten();
    let largest = blobs
        .max_by_key(|blob| blob.metadata().expect("readable").len())
        .expect("a blob");
    fs::write(largest.path(), "changed").expect("writable");
    let finished = home.run(&["run", "-d", "hello"]);
    assert_eq!(finished.code, 125);
    let digest = largest.file_name().to_string_lossy().into_owned();
    assert!(
        finished.stderr.contains(&digest) && finished.stderr.contains("corrupt"),
        "{finished:?}"
    );
}

#[test]
fn a_guest_that_allocates_without_end_ends_alone() {
    let home = Home::new();
    let finished = home.run(&[
        "run",
        "--rm",
        "--memory",
        "64m",
        &guest("probe.wasm"),
        "alloc",
    ]);
    assert_eq!(finished.code, 134, "{finished:?}");
    home.assert_nothing_left();
}

#[test]
fn a_guest_that_recurses_without_end_ends_alone() {
    let home = Home::new();
    let finished = home.run(&["run", "--rm", &guest("probe.wasm"), "recurse"]);
    assert_eq!(finished.code, 134);
    assert!(finished.stderr.contains("stack overflow"), "{finished:?}");
}

#[test]
fn a_guest_that_opens_without_end_is_refused_more() {
    let home = Home::new();
    let finished = home.run(&[
        "run",
        "--rm",
        &guest("probe.wasm"),
        "open-many",
        "/dev/null",
    ]);
    assert!(
        finished.stderr.contains("EMFILE") || finished.stdout.contains("EMFILE"),
        "{finished:?}"
    );
}

#[test]
fn wild_pointers_and_lengths_are_answered_with_errors() {
    let home = Home::new();
    let finished = home.run(&["run", "--rm", &guest("wild.wasm")]);
    assert_eq!(finished.code, 0, "{finished:?}");
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let home = Home::new();
    let finished = home.run(&[
        "run",
        "--rm",
        "--tmpfs",
        "/t:size=1m",
        &guest("probe.wasm"),
        "fill",
        "/t/x",
        "2",
    ]);
    assert_eq!(finished.code, 1);
    assert!(
        finished.stderr.contains("ENOSPC") || finished.stderr.contains("No space"),
        "{finished:?}"
    );
    home.assert_nothing_left();
}
