//! Disks in files: made, listed, read and checked, with e2fsprogs as the other side.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::home::Home;

/// Runs a tool that may lie where only root's path leads; returns whether it is content.
fn tool(name: &str, arguments: &[&str], disk: &Path) -> bool {
    let places = ["/usr/sbin", "/sbin"].map(|place| Path::new(place).join(name));
    let path = places.into_iter().find(|path| path.exists());
    let mut command = Command::new(path.unwrap_or_else(|| PathBuf::from(name)));
    let output = command.args(arguments).arg(disk).output().expect("it runs");
    output.status.success()
}

/// Runs a command that must fail and say this among other things.
fn fails(home: &Home, arguments: &[&str], code: i32, text: &str) {
    home.run(arguments).assert_fails(code, &[text]);
}

/// A disk with a directory, a file and a link, which another tool wrote.
fn filled(home: &Home) -> PathBuf {
    home.ok(&[
        "disk", "create", "--size", "8M", "--label", "data", "data.img",
    ]);
    let disk = home.files().join("data.img");
    let text = home.write("hosts", "127.0.0.1 localhost\n");
    let script = home.write(
        "script",
        format!(
            "mkdir etc\ncd etc\nwrite {} hosts\nsymlink link /etc/hosts\nsif hosts mode 0104755\n",
            text.display()
        ),
    );
    let script = script.to_str().expect("text");
    assert!(tool("debugfs", &["-w", "-f", script], &disk));
    disk
}

#[test]
fn a_disk_that_is_made_is_sparse_and_clean() {
    use std::os::unix::fs::MetadataExt;
    let home = Home::new();
    home.ok(&["disk", "create", "--size", "1g", "big.img"]);
    let disk = home.files().join("big.img");
    let metadata = disk.metadata().expect("it is there");
    assert_eq!(metadata.len(), 1 << 30);
    assert!(metadata.blocks() * 512 < 16 << 20, "{}", metadata.blocks());
    assert!(tool("e2fsck", &["-fn"], &disk));
    let said = home.ok(&["disk", "check", "big.img"]);
    assert!(said.starts_with("no faults: "), "{said}");
    let rows = home.ok(&[
        "disk",
        "df",
        "--format",
        "{{.Disk}} {{.InodesUsed}}",
        "big.img",
    ]);
    assert_eq!(rows.trim_end(), "big.img 11");
}

#[test]
fn what_is_there_stays_when_no_disk_can_be_made() {
    let home = Home::new();
    home.write("there", "kept");
    fails(
        &home,
        &["disk", "create", "--size", "8M", "there"],
        1,
        "exists",
    );
    let kept = std::fs::read(home.files().join("there")).expect("read");
    assert_eq!(kept, b"kept");
    fails(
        &home,
        &["disk", "create", "--size", "1k", "small"],
        1,
        "too few",
    );
    assert!(!home.files().join("small").exists());
    fails(
        &home,
        &["disk", "create", "--size", "none", "small"],
        125,
        "invalid size",
    );
}

#[test]
fn files_of_a_disk_are_listed_and_read() {
    let home = Home::new();
    filled(&home);
    let names = home.ok(&[
        "disk",
        "ls",
        "--format",
        "{{.Mode}} {{.Name}}",
        "data.img",
        "/etc",
    ]);
    assert_eq!(names.trim_end(), "-rwsr-xr-x hosts\nlrwxrwxrwx link");
    let text = home.ok(&["disk", "cat", "data.img", "etc/link"]);
    assert_eq!(text.trim_end(), "127.0.0.1 localhost");
    let found = home.ok(&[
        "disk",
        "stat",
        "--format",
        "json",
        "data.img",
        "/etc/../etc/hosts",
    ]);
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(
        (&found["Size"], &found["Type"]),
        (&20.into(), &"file".into())
    );
    fails(
        &home,
        &["disk", "cat", "data.img", "/etc/none"],
        1,
        "no such name",
    );
    fails(
        &home,
        &["disk", "cat", "data.img", "/etc"],
        1,
        "a directory",
    );
    fails(&home, &["disk", "ls", "none.img"], 1, "cannot open");
}

#[test]
fn a_damaged_disk_is_told_by_its_faults() {
    let home = Home::new();
    let disk = filled(&home);
    let script = home.write("damage", "sif etc/hosts links_count 5\n");
    let script = script.to_str().expect("text");
    assert!(tool("debugfs", &["-w", "-f", script], &disk));
    assert!(!tool("e2fsck", &["-fn"], &disk));
    let ended = home.run(&["disk", "check", "--format", "json", "data.img"]);
    assert_eq!(ended.code, 1);
    let fault: Value = serde_json::from_str(ended.stdout.trim()).expect("one fault");
    assert_eq!(fault["Fault"], "number of its links: 5 instead of 1");
    home.write("no.img", vec![0; 1 << 20]);
    fails(&home, &["disk", "check", "no.img"], 1, "cannot check");
}
