//! Builds that others disturb: full disks, builds of the same name, prunes, clocks.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

use super::context;
use crate::faults::disks::{on_a_disk, stdout};
use crate::home::{Ended, Home, guest};

/// A home whose context has the probe and files of some size.
fn home() -> Home {
    let home = context(&[("version", "0")]);
    let probe = home.files().join("context/probe.wasm");
    fs::copy(guest("probe.wasm"), probe).expect("copied");
    for number in 0..20 {
        home.write(&format!("context/files/{number}"), vec![number; 4096]);
    }
    home
}

fn start(home: &Home, arguments: &[&str]) -> Child {
    home.command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("minke starts")
}

fn end(child: Child) -> Ended {
    Ended::of(&child.wait_with_output().expect("it ends"))
}

#[test]
fn wherever_a_build_meets_the_end_of_the_disk_it_says_so_and_leaves_nothing() {
    let home = home();
    home.write(
        "context/Balenafile",
        "FROM scratch\nCOPY probe.wasm /bin/\nRUN [\"probe\", \"fill\", \"/filled\", \"2\"]\nCOPY files /files\n",
    );
    home.ok(&["build", "-q", "-t", "warm", "context"]);
    // From no room at all, over the blob, the unpacked layer and the compiled program, to almost enough.
    let script = "for size in 0 1 2 3 4 6 8 12 16 20; do \
           rm -rf \"$MINKE_HOME\"/* && dd if=/dev/zero of=\"$MINKE_HOME/filling\" bs=1M count=$((24 - size)) 2>/dev/null; \
           $MINKE build -q -t x context >/dev/null; code=$?; echo $code; \
           [ $code = 0 ] || $MINKE images -q 2>&-; \
           ls -A \"$MINKE_HOME/images/tmp\" 2>&-; \
         done; true";
    let Some(output) = on_a_disk(&home, "24m", script) else {
        return;
    };
    let printed = stdout(&output);
    let codes: Vec<&str> = printed.lines().collect();
    assert_eq!(codes.len(), 10, "nothing but codes: {output:?}");
    assert!(
        codes.iter().all(|code| ["0", "1"].contains(code)),
        "{output:?}"
    );
    assert_eq!(codes[0], "1", "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    let failures = codes.iter().filter(|code| **code == "1").count();
    assert_eq!(said.matches("error: ").count(), failures, "{said}");
    assert_eq!(said.matches("hint: free space").count(), failures, "{said}");
}

#[test]
fn a_program_that_fills_the_disk_of_the_host_ends_with_the_reason_and_leaves_nothing() {
    let home = home();
    home.write(
        "context/Balenafile",
        "FROM scratch\nCOPY probe.wasm /bin/\nRUN [\"probe\", \"fill\", \"/filled\", \"100\"]\n",
    );
    let script = "$MINKE build -q -t x context; echo $?; $MINKE images -q; \
         ls -A \"$MINKE_HOME/images/tmp\"; ls \"$MINKE_HOME/images/layers\" | grep -c tar; \
         df -m \"$MINKE_HOME\" | awk 'END { print ($4 > 16) }'";
    let Some(output) = on_a_disk(&home, "48m", script) else {
        return;
    };
    // Of the step before there is a layer.
    assert_eq!(stdout(&output), "1\n1\n1\n", "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = [
        "exit code: 1 (the host had no space left for what it wrote)",
        "hint: free space",
    ];
    for text in expected {
        assert!(said.contains(text), "`{text}` is not in {said}");
    }
}

#[test]
fn two_builds_of_one_name_at_once_leave_one_of_both() {
    let home = home();
    for name in ["one", "two"] {
        let text = format!(
            "FROM scratch\nCOPY probe.wasm /bin/\nRUN [\"probe\", \"write\", \"/{name}\", \"{name}\"]\nCOPY files /files\nCMD [\"probe\", \"cat\", \"/{name}\"]\n"
        );
        home.write(name, text);
    }
    for _ in 0..5 {
        let builds: Vec<Child> = ["one", "two", "one", "two"]
            .iter()
            .map(|name| {
                start(
                    &home,
                    &["build", "-t", "app:1", "--no-cache", "-f", name, "context"],
                )
            })
            .collect();
        for ended in builds.into_iter().map(end) {
            assert_eq!(ended.code, 0, "{ended:?}");
            let id = ended.stdout.trim();
            home.ok(&["image", "inspect", id]);
        }
        let said = home.ok(&["run", "--rm", "app:1"]);
        assert!(["one", "two"].contains(&&*said), "{said}");
    }
    let tagged = home.ok(&[
        "images",
        "--format",
        "{{.Repository}}:{{.Tag}}",
        "-f",
        "dangling=false",
    ]);
    assert_eq!(tagged, "app:1");
    home.ok(&["image", "prune", "-f"]);
    assert_eq!(home.ok(&["system", "check"]), "");
    home.assert_nothing_left();
}

/// A program that copies a short file, and prints it too. It is small: each prune takes what was compiled of it away, so that
/// every `RUN` compiles it again.
fn copies(from: &str, to: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 100) "{from}")
            (data (i32.const 200) "{to}")
            (func $must (param i32) (if (local.get 0) (then unreachable)))
            (func (export "_start")
                ;; One buffer: 300, and at most 16 bytes.
                (i32.store (i32.const 0) (i32.const 300))
                (i32.store (i32.const 4) (i32.const 16))
                (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const {from_length})
                    (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)))
                (call $must (call $read (i32.load (i32.const 8)) (i32.const 0) (i32.const 1) (i32.const 4)))
                ;; Made, and emptied.
                (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 200) (i32.const {to_length})
                    (i32.const 9) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 8)))
                (call $must (call $write (i32.load (i32.const 8)) (i32.const 0) (i32.const 1) (i32.const 12)))
                (call $must (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))))"#,
        from_length = from.len(),
        to_length = to.len(),
    );
    wat::parse_str(text).expect("it is WebAssembly")
}

#[test]
fn a_build_is_not_disturbed_by_prunes() {
    let home = home();
    home.write("context/copies.wasm", copies("version", "copied"));
    home.write("context/again.wasm", copies("copied", "again"));
    home.write(
        "context/Balenafile",
        "FROM scratch AS one\nCOPY *.wasm /bin/\nCOPY files /files\nCOPY version /copied\nRUN [\"again\"]\nFROM one\nCOPY version /\nRUN [\"copies\"]\nCMD [\"again\"]\n",
    );
    for version in 0..6 {
        home.write("context/version", version.to_string());
        let mut build = start(&home, &["build", "-t", "app:1", "context"]);
        while build.try_wait().expect("it is ours").is_none() {
            home.ok(&["system", "prune", "-a", "-f"]);
            home.ok(&["builder", "prune", "-a", "-f"]);
        }
        let ended = end(build);
        assert_eq!(ended.code, 0, "{ended:?}");
        let made = home.run(&["run", "--rm", "app:1"]);
        // The last prune may have come after the build.
        let is_pruned =
            made.stderr.contains("no such image") || made.stderr.contains("pull access denied");
        assert!(made.stdout == version.to_string() || is_pruned, "{made:?}");
    }
    home.ok(&["build", "-q", "-t", "app:1", "context"]);
    assert_eq!(home.ok(&["run", "--rm", "app:1"]), "5");
    assert_eq!(home.ok(&["system", "check"]), "");
    home.assert_nothing_left();
}

#[test]
fn a_clock_that_was_set_back_makes_no_build_wrong() {
    let home = home();
    home.write(
        "context/Balenafile",
        "FROM scratch\nCOPY version /\nCOPY files /files\n",
    );
    let later = SystemTime::now() + Duration::from_secs(10 * 365 * 24 * 3600);
    let age = |name: &str| {
        let file = fs::File::options()
            .append(true)
            .open(home.files().join(name))
            .expect("there");
        file.set_modified(later).expect("ours");
    };
    // Files, and what an earlier build noted, are from a time to come.
    age("context/version");
    home.ok(&["build", "-q", "-o", "out", "context"]);
    let database =
        rusqlite::Connection::open(home.path().join("images/images.db")).expect("a database");
    let seconds = later
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("later")
        .as_secs();
    let changed = database
        .execute("UPDATE steps SET used_s = ?1", [seconds.cast_signed()])
        .expect("changed");
    assert!(changed > 0);
    drop(database);
    let count = || {
        let ended = home.run(&["build", "-t", "app:1", "context"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.stderr.matches("CACHED").count()
    };
    assert_eq!(count(), 2, "nothing changed");
    // Another content of the same length under the same time is seen all the same.
    home.write("context/version", "1");
    age("context/version");
    assert_eq!(count(), 0);
    let listed = home.ok(&["images", "--format", "{{.Repository}} {{.CreatedSince}}"]);
    assert!(listed.starts_with("app "), "{listed}");
    home.ok(&["image", "prune", "-a", "-f", "--filter", "until=1h"]);
    home.ok(&["builder", "prune", "-a", "-f"]);
    assert_eq!(home.ok(&["system", "check"]), "");
}
