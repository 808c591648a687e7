//! Image files as volumes: ext4 that the container writes, and that other tools read when it has ended.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::disks::tool;
use crate::home::{Home, PATIENCE, guest};

/// Makes an empty disk `data.img` in the test's files.
fn made(home: &Home) -> PathBuf {
    home.ok(&["disk", "create", "--size", "16M", "data.img"]);
    home.files().join("data.img")
}

/// Runs the probe with the disk at `/data`.
#[track_caller]
fn probe(home: &Home, action: &[&str]) -> String {
    let run = ["run", "--rm", "-v", "./data.img:/data"];
    home.ok(&[&run[..], &[&*guest("probe.wasm")], action].concat())
}

/// Checks that the image is whole by itself: clean, and nothing lies beside it.
#[track_caller]
fn assert_settled(disk: &Path) {
    assert!(tool("e2fsck", &["-fn"], disk));
    let beside = PathBuf::from(format!("{}.changes", disk.display()));
    assert!(!beside.exists(), "{}", beside.display());
}

#[test]
fn what_a_container_writes_is_in_the_image_when_it_has_ended() {
    let home = Home::new();
    let disk = made(&home);
    probe(&home, &["write", "/data/note", "kept"]);
    assert_settled(&disk);
    assert_eq!(home.ok(&["disk", "cat", "data.img", "/note"]), "kept");
    probe(&home, &["append", "/data/note", " and more"]);
    assert_eq!(probe(&home, &["cat", "/data/note"]), "kept and more");
    probe(&home, &["mkdir", "/data/directory"]);
    probe(&home, &["rename", "/data/note", "/data/directory/renamed"]);
    probe(&home, &["symlink", "directory/renamed", "/data/link"]);
    assert_eq!(probe(&home, &["cat", "/data/link"]), "kept and more");
    assert_settled(&disk);
    home.assert_nothing_left();
}

#[test]
fn a_disk_that_other_tools_made_is_mounted() {
    for kind in ["ext2", "ext3", "ext4"] {
        let home = Home::new();
        let disk = home.files().join("data.img");
        let file = std::fs::File::create(&disk).expect("made");
        file.set_len(16 << 20).expect("sized");
        assert!(tool("mke2fs", &["-q", "-F", "-t", kind], &disk));
        probe(&home, &["fill", "/data/big", "3"]);
        assert_settled(&disk);
        let size = home.ok(&["disk", "stat", "--format", "{{.Size}}", "data.img", "/big"]);
        assert_eq!(size, (3 << 20).to_string(), "{kind}");
    }
}

#[test]
fn a_single_name_is_that_of_a_disk_where_there_is_one_and_else_of_a_volume() {
    let home = Home::new();
    let disk = made(&home);
    let probe = guest("probe.wasm");
    let write = [
        "run",
        "--rm",
        "-v",
        "data.img:/data",
        &*probe,
        "write",
        "/data/note",
        "kept",
    ];
    home.ok(&write);
    assert_settled(&disk);
    assert_eq!(home.ok(&["disk", "cat", "data.img", "/note"]), "kept");
    assert_eq!(home.ok(&["volume", "ls", "-q"]), "");
    std::fs::remove_file(&disk).expect("removed");
    home.ok(&write);
    assert_eq!(home.ok(&["volume", "ls", "-q"]), "data.img");
}

#[test]
fn a_disk_that_is_broken_in_any_group_is_refused_and_left_as_it_is() {
    let home = Home::new();
    let disk = made(&home);
    // The number of free blocks of the last group: blocks of 1 KiB, descriptors of 64 bytes behind the superblock.
    let mut bytes = std::fs::read(&disk).expect("read");
    bytes[2 * 1024 + 64 + 0xc] ^= 1;
    std::fs::write(&disk, &bytes).expect("written");
    let run = [
        "run",
        "--rm",
        "-v",
        "./data.img:/data",
        &*guest("probe.wasm"),
    ];
    let write = [&run[..], &["write", "/data/note", "lost"]].concat();
    let refused = home.run(&write);
    assert_eq!(refused.code, 125, "{refused:?}");
    assert!(
        refused.stderr.contains("group 1: wrong checksum"),
        "{refused:?}"
    );
    assert!(std::fs::read(&disk).expect("read") == bytes);
    home.assert_nothing_left();
}

#[test]
fn a_container_in_the_background_keeps_others_out_until_it_has_ended() {
    let home = Home::new();
    let disk = made(&home);
    let options = ["-v", "./data.img:/data"];
    home.start("first", &options, &["wait"]);
    let probe_path = guest("probe.wasm");
    let second = [
        "run",
        "--rm",
        "-v",
        "./data.img:/d",
        &probe_path,
        "exit",
        "0",
    ];
    home.run(&second).assert_fails(
        125,
        &["the disk `", "data.img` is in use", "stop the container"],
    );
    home.ok(&["stop", "first"]);
    home.ok(&second);
    assert_settled(&disk);
    assert_eq!(home.inspect("first")["Mounts"][0]["Type"], "disk");
}

#[test]
fn readers_share_a_disk() {
    let home = Home::new();
    let disk = made(&home);
    probe(&home, &["write", "/data/note", "kept"]);
    let before = std::fs::read(&disk).expect("read");
    let options = ["-v", "./data.img:/data:ro"];
    home.start("first", &options, &["wait"]);
    let probe_path = guest("probe.wasm");
    let run = ["run", "--rm", "-v", "./data.img:/data:ro", &probe_path];
    assert_eq!(
        home.ok(&[&run[..], &["cat", "/data/note"]].concat()),
        "kept"
    );
    let refused = home.run(&[&run[..], &["write", "/data/note", "lost"]].concat());
    refused.assert_fails(1, &["EROFS"]);
    home.ok(&["stop", "first"]);
    assert!(std::fs::read(&disk).expect("read") == before);
}

#[test]
fn what_was_durable_when_the_sandbox_was_killed_is_in_the_image() {
    let home = Home::new();
    let disk = made(&home);
    let options = ["-v", "./data.img:/data"];
    home.start(
        "writes",
        &options,
        &["durable-ticks", "/data/ticks", "1000000"],
    );
    // What its log says is durable: each line was written to the disk first.
    let mut child = home
        .command(&["logs", "-f", "writes"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("minke starts");
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("piped")));
    let fifth = lines.nth(5).expect("it writes").expect("text");
    let pid = home.state("writes")["Pid"].to_string();
    assert!(
        Command::new("kill")
            .args(["-9", &pid])
            .status()
            .expect("it runs")
            .success()
    );
    home.ok(&["wait", "writes"]);
    child.wait().expect("it ends");
    // The process that settles the image outlives the sandbox.
    let beside = home.files().join("data.img.changes");
    let until = Instant::now() + PATIENCE;
    while beside.exists() {
        assert!(Instant::now() < until, "nobody settles the image");
        std::thread::yield_now();
    }
    let kept = home.ok(&["disk", "cat", "data.img", "/ticks"]);
    assert!(kept.lines().any(|line| line == fifth), "{kept}");
    assert_settled(&disk);
}

#[test]
fn a_full_disk_is_full_and_stays_whole() {
    let home = Home::new();
    let disk = made(&home);
    let run = ["run", "--rm", "-v", "./data.img:/data"];
    let full = home.run(&[&run[..], &[&guest("probe.wasm"), "fill", "/data/big", "64"]].concat());
    full.assert_fails(1, &["ENOSPC"]);
    assert_settled(&disk);
    probe(&home, &["unlink", "/data/big"]);
    probe(&home, &["fill", "/data/big", "8"]);
    assert_settled(&disk);
}

#[test]
fn what_is_no_disk_is_named() {
    let home = Home::new();
    home.write("data.img", "no file system");
    let run = ["run", "--rm", "-v", "./data.img:/data:noatime"];
    let refused = home.run(&[&run[..], &[&guest("probe.wasm"), "exit", "0"]].concat());
    refused.assert_fails(125, &["cannot mount `", "data.img`", "minke disk check"]);
    assert_eq!(
        std::fs::read(home.files().join("data.img")).expect("read"),
        b"no file system"
    );
    assert!(!home.files().join("data.img.changes").exists());
    home.assert_nothing_left();
}

#[test]
fn a_disk_is_a_file_where_that_is_asked_for() {
    let home = Home::new();
    made(&home);
    let mount = "type=bind,source=data.img,target=/data.img,ro";
    let said = home.ok(&[
        "run",
        "--rm",
        "--mount",
        mount,
        &guest("probe.wasm"),
        "stat",
        "/data.img",
    ]);
    assert!(said.contains("16777216"), "{said}");
}
