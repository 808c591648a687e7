//! Named volumes that are disks: made, filled, written by one container at a time, and whole afterwards.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::home::{Home, PATIENCE, guest};

/// Builds the image `app`: the probe, and files where a volume is mounted.
fn built(home: &Home) {
    fs::copy(guest("probe.wasm"), home.files().join("probe.wasm")).expect("copied");
    home.write("data/note", "of the image");
    home.write("data/inner/deep", "deep");
    home.write(
        "Balenafile",
        "FROM scratch\nCOPY probe.wasm /\nCOPY --chown=7:8 data /data\nENTRYPOINT [\"/probe.wasm\"]\n",
    );
    home.ok(&["build", "-q", "-t", "app", "."]);
}

fn disk(home: &Home, name: &str) -> PathBuf {
    home.path().join("volumes").join(name).join("data.img")
}

/// Nothing waits beside the disk, and `e2fsck` finds nothing.
#[track_caller]
fn assert_whole(home: &Home, name: &str) {
    let path = disk(home, name);
    assert!(!path.with_extension("img.changes").exists());
    let tools = ["/usr/sbin/e2fsck", "/sbin/e2fsck"];
    let tool = tools
        .iter()
        .find(|tool| fs::exists(tool).is_ok_and(|it| it));
    let output = Command::new(tool.unwrap_or(&"e2fsck"))
        .arg("-fn")
        .arg(&path)
        .output()
        .expect("e2fsck runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_disk_begins_as_the_image_has_it_and_outlives_its_containers() {
    let home = Home::new();
    built(&home);
    let create = [
        "volume", "create", "--driver", "disk", "--opt", "size=64M", "db",
    ];
    assert_eq!(home.ok(&create), "db");
    assert_whole(&home, "db");
    let run = ["run", "--rm", "-v", "db:/data", "app"];
    assert_eq!(
        home.ok(&[&run[..], &["ls", "/data"]].concat()),
        "inner/\nnote"
    );
    assert_whole(&home, "db");
    home.ok(&[&run[..], &["write", "/data/note", "changed"]].concat());
    assert_whole(&home, "db");
    let mount = [
        "run",
        "--rm",
        "--mount",
        "type=volume,source=db,target=/data",
        "app",
    ];
    assert_eq!(
        home.ok(&[&mount[..], &["cat", "/data/note"]].concat()),
        "changed"
    );
    let mounts = home.ok(&[&run[..], &["cat", "/proc/mounts"]].concat());
    assert!(mounts.contains(" /data ext4 rw"), "{mounts}");
    let full = home.run(&[&run[..], &["fill", "/data/big", "128"]].concat());
    full.assert_fails(1, &["ENOSPC"]);
    assert_whole(&home, "db");
    let path = disk(&home, "db");
    let path = path.to_str().expect("text");
    let owner = home.ok(&[
        "disk",
        "stat",
        "--format",
        "{{.UID}}:{{.GID}}",
        path,
        "/inner/deep",
    ]);
    assert_eq!(owner, "7:8");
    home.ok(&["volume", "rm", "db"]);
    assert!(!disk(&home, "db").exists());
    home.assert_nothing_left();
}

#[test]
fn one_container_writes_a_disk_and_others_are_told_which() {
    let home = Home::new();
    built(&home);
    home.ok(&["volume", "create", "-d", "disk", "db"]);
    home.ok(&[
        "run", "-d", "--name", "writer", "-v", "db:/data", "app", "wait",
    ]);
    let message = "error: volume `db` is a disk, and container `writer` writes it\nhint: stop that container first, with `minke stop writer`, or use a volume of the driver `local`, which several share";
    home.fails(
        &["run", "--rm", "-v", "db:/data", "app", "ls", "/"],
        125,
        message,
    );
    home.fails(
        &["run", "-d", "-v", "db:/data:ro", "app", "wait"],
        125,
        message,
    );
    home.ok(&[
        "create", "--name", "later", "-v", "db:/data", "app", "ls", "/data",
    ]);
    home.fails(&["start", "later"], 1, message);
    let refused = home.run(&["volume", "rm", "db"]);
    refused.assert_fails(1, &["in use by container"]);
    home.ok(&["stop", "-t", "0", "writer"]);
    assert_eq!(home.ok(&["start", "-a", "later"]), "inner/\nnote");
    for name in ["one", "two"] {
        home.ok(&[
            "run",
            "-d",
            "--name",
            name,
            "-v",
            "db:/data:ro",
            "app",
            "wait",
        ]);
    }
    let refused = home.run(&["start", "writer"]);
    refused.assert_fails(1, &["reads it", "`:ro`"]);
}

#[test]
fn a_disk_whose_container_was_killed_has_all_that_was_durable() {
    let home = Home::new();
    built(&home);
    home.ok(&["volume", "create", "-d", "disk", "-o", "size=64M", "db"]);
    let run = ["run", "-d", "--name", "web", "-v", "db:/data", "app"];
    home.ok(&[&run[..], &["durable-ticks", "/data/ticks", "1000000"]].concat());
    // What its log says is durable: each line was written to the disk first.
    let mut child = home
        .command(&["logs", "-f", "web"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("minke starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let fifth = lines.nth(5).expect("it writes").expect("text");
    let pid = home.state("web")["Pid"].to_string();
    let killed = Command::new("kill").args(["-9", &pid]).status();
    assert!(killed.expect("it runs").success());
    home.ok(&["wait", "web"]);
    child.wait().expect("it ends");
    // The process that settles the disk outlives the sandbox.
    let beside = disk(&home, "db").with_extension("img.changes");
    let until = Instant::now() + PATIENCE;
    while beside.exists() {
        assert!(Instant::now() < until, "nobody settles the disk");
        std::thread::yield_now();
    }
    assert_whole(&home, "db");
    let kept = home.ok(&["run", "--rm", "-v", "db:/data", "app", "cat", "/data/ticks"]);
    assert!(kept.lines().any(|line| line == fifth), "{kept}");
}

#[test]
fn lists_tell_drivers_sizes_and_use() {
    let home = Home::new();
    home.ok(&[
        "volume", "create", "--driver", "disk", "-o", "size=1G", "db",
    ]);
    home.ok(&["volume", "create", "files"]);
    let listed = home.ok(&[
        "volume",
        "ls",
        "--format",
        "{{.Driver}} {{.Name}} {{.Links}}",
    ]);
    assert_eq!(listed, "disk db 0\nlocal files N/A");
    let inspected: Value =
        serde_json::from_str(&home.ok(&["volume", "inspect", "db"])).expect("JSON");
    let volume = &inspected[0];
    assert_eq!(volume["Driver"], "disk");
    assert_eq!(volume["Options"]["size"], (1_u64 << 30).to_string());
    assert_eq!(volume["UsageData"]["RefCount"], 0);
    assert!(volume["UsageData"]["Size"].as_u64().expect("a number") < 1 << 26);
    assert_eq!(home.ok(&["system", "check"]), "");
    fs::write(disk(&home, "db"), "no file system").expect("written");
    let checked = home.run(&["system", "check"]);
    assert!(
        checked.stdout.contains("volume `db` has lost its files"),
        "{checked:?}"
    );
    home.run(&["system", "check", "--repair"]);
    assert_whole(&home, "db");
    let pruned = home.ok(&["volume", "prune", "-a", "-f"]);
    assert!(pruned.contains("db\nfiles"), "{pruned}");
    home.fails(
        &["volume", "create", "--driver", "nfs", "x"],
        125,
        "error: there is no driver `nfs` for volumes\nhint: use `local` or `disk`",
    );
    home.fails(
        &["volume", "create", "-o", "size=1G", "x"],
        125,
        "error: unknown option `size=1G` of the driver `local`\nhint: use `--driver disk --opt size=1G`",
    );
}
