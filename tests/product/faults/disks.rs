//! Disks that are full, and files that were changed behind our back.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::home::{Home, guest};

/// Prints what only living containers and builds may have, as [`Home::left_behind`] does outside.
const LIST_LEFT_BEHIND: &str =
    "for part in containers names run images/tmp; do ls -A \"$MINKE_HOME/$part\" 2>&-; done; true";

/// Runs a shell script whose `MINKE_HOME` is a file system of its own; `$MINKE` is the command.
///
/// `None` where users may not make namespaces, for then there is no small disk to be had.
pub(crate) fn on_a_disk(home: &Home, size: &str, script: &str) -> Option<Output> {
    let unshared = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        command
    };
    fs::create_dir_all(home.path()).expect("a directory to mount on");
    let mount = format!("mount -t tmpfs -o size={size} none \"$MINKE_HOME\"");
    let with_home = |mut command: Command| {
        let minke = home.command(&[]);
        command
            .env("MINKE", minke.get_program())
            .env("MINKE_HOME", home.path())
            .env("HELLO", guest("hello.wasm"))
            .env("PROBE", guest("probe.wasm"))
            .current_dir(home.files())
            .output()
    };
    match with_home(unshared(&mount)) {
        Ok(output) if output.status.success() => {}
        _ => {
            // To standard error itself: what a passing test prints is not shown.
            let _ = writeln!(
                std::io::stderr(),
                "skipped: no user namespace, so no small disk"
            );
            return None;
        }
    }
    let output = with_home(unshared(&format!("{mount} && {script}")));
    Some(output.expect("it has just run"))
}

#[track_caller]
fn assert_says(output: &Output, texts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    for text in texts {
        assert!(stderr.contains(text), "no {text:?} in {stderr}");
    }
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_run_on_a_full_disk_says_so_and_leaves_nothing() {
    let home = Home::new();
    for command in ["run --rm", "run -d", "run"] {
        let script = format!("$MINKE {command} $HELLO; echo $?; {LIST_LEFT_BEHIND}");
        let Some(output) = on_a_disk(&home, "4k", &script) else {
            return;
        };
        assert_says(&output, &["No space left on device", "hint: free space"]);
        assert_eq!(stdout(&output), "125\n", "{command}");
    }
}

#[test]
fn wherever_a_start_meets_the_end_of_the_disk_it_says_so_and_leaves_nothing() {
    let home = Home::new();
    let script = format!(
        "$MINKE ps -q; for free in 0 1 2 3 4 5 6 7 8; do \
           rm -f $MINKE_HOME/filling; dd if=/dev/zero of=$MINKE_HOME/filling bs=4k 2>/dev/null; \
           truncate -s -$((free * 4096)) $MINKE_HOME/filling; \
           $MINKE run -d --name web $HELLO >/dev/null; code=$?; \
           [ $code = 0 ] && $MINKE rm -f web >/dev/null; \
           echo $code; {LIST_LEFT_BEHIND}; \
         done"
    );
    let Some(output) = on_a_disk(&home, "256k", &script) else {
        return;
    };
    let printed = stdout(&output);
    let codes: Vec<&str> = printed.lines().collect();
    assert!(
        codes.iter().all(|code| ["0", "125"].contains(code)),
        "{output:?}"
    );
    assert_eq!((codes.len(), codes[0]), (9, "125"), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    let failures = codes.iter().filter(|code| **code == "125").count();
    assert_eq!(said.matches("hint: free space").count(), failures, "{said}");
}

#[test]
fn an_error_that_cannot_be_printed_keeps_its_exit_code() {
    let home = Home::new();
    let full = fs::File::create("/dev/full").expect("Linux has it");
    let status = home.command(&["run", "nosuch"]).stderr(full).status();
    assert_eq!(status.expect("minke starts").code(), Some(125));
    home.assert_nothing_left();
}

/// Bytes that no compression makes smaller. Source: Marsaglia, "Xorshift RNGs".
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(step).take(count).collect()
}

#[test]
fn a_layer_that_the_disk_does_not_take_leaves_no_image() {
    let home = Home::new();
    home.write("Balenafile", "FROM scratch\nCOPY noise /\n");
    home.write("noise", noise(2 << 20));
    let script = format!("$MINKE build -t x .; echo $?; $MINKE images -q; {LIST_LEFT_BEHIND}");
    for size in ["16k", "1m"] {
        let Some(output) = on_a_disk(&home, size, &script) else {
            return;
        };
        assert_says(&output, &["error: cannot ", "hint: free space"]);
        assert_eq!(stdout(&output), "1\n", "{size}");
    }
}

#[test]
fn containers_on_a_disk_that_has_become_full_are_listed_and_removed() {
    let home = Home::new();
    let script = format!(
        "$MINKE run -d --name web $PROBE wait >/dev/null && \
         {{ dd if=/dev/zero of=$MINKE_HOME/filling bs=4k 2>&-; \
         $MINKE stop web && $MINKE ps -a && $MINKE rm web; echo $?; {LIST_LEFT_BEHIND}; }}"
    );
    let Some(output) = on_a_disk(&home, "2m", &script) else {
        return;
    };
    let printed = stdout(&output);
    assert!(printed.contains("Exited (143)"), "{output:?}");
    assert!(printed.ends_with("web\n0\n"), "{output:?}");
}

#[test]
fn a_sandbox_that_is_killed_on_a_full_disk_has_its_end_recorded() {
    let home = Home::new();
    let script = "$MINKE run -d --name web $PROBE wait >/dev/null && \
         { dd if=/dev/zero of=$MINKE_HOME/filling bs=4k 2>&-; \
         kill -KILL $($MINKE inspect web | sed -n 's/.*\"Pid\": \\([0-9]*\\).*/\\1/p'); \
         $MINKE wait web; cat $MINKE_HOME/containers/*/state.json; }";
    let Some(output) = on_a_disk(&home, "2m", script) else {
        return;
    };
    let printed = stdout(&output);
    assert!(printed.starts_with("137\n"), "{output:?}");
    assert!(printed.contains(r#""exit_code":137"#), "{output:?}");
}

#[test]
fn a_full_tmpfs_is_an_error_of_the_guest_alone() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let ended = home.run(&[
        "run",
        "--rm",
        "--tmpfs",
        "/t:size=1m",
        &probe,
        "fill",
        "/t/x",
        "2",
    ]);
    ended.assert_fails(1, &["ENOSPC"]);
    home.assert_nothing_left();
}

/// The files of a directory of the home whose names end like this.
fn files(home: &Home, directory: &str, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.path().join(directory)).expect("readable");
    entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect()
}

/// Changes a few bytes in the middle.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("readable");
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..] {
        *byte ^= 0x55;
    }
    fs::write(path, bytes).expect("writable");
}

fn empty(path: &Path) {
    fs::write(path, "").expect("writable");
}

#[test]
fn a_damaged_compiled_module_is_made_again() {
    let home = Home::new();
    let hello = guest("hello.wasm");
    assert_eq!(home.ok(&["run", "--rm", &hello]), "hello");
    for end in [".cwasm", ".seal", ".stamp"] {
        for damage in [flip, empty] {
            let found = files(&home, "modules", end);
            assert_eq!(found.len(), 1, "{end}: {found:?}");
            damage(&found[0]);
            assert_eq!(home.ok(&["run", "--rm", &hello]), "hello", "{end}");
        }
    }
    home.assert_nothing_left();
}

/// A home with the image `hello`, which was run once.
fn home_with_image() -> Home {
    let home = Home::new();
    fs::copy(guest("hello.wasm"), home.files().join("hello.wasm")).expect("copied");
    home.write(
        "Balenafile",
        "FROM scratch\nCOPY hello.wasm /\nCMD [\"/hello.wasm\"]\n",
    );
    home.ok(&["build", "-q", "-t", "hello", "."]);
    assert_eq!(home.ok(&["run", "--rm", "hello"]), "hello");
    home
}

#[test]
fn a_damaged_layer_is_unpacked_again() {
    let home = home_with_image();
    for damage in [flip, empty] {
        let layers = files(&home, "images/layers", ".tar");
        assert_eq!(layers.len(), 1, "{layers:?}");
        damage(&layers[0]);
        assert_eq!(home.ok(&["run", "--rm", "hello"]), "hello");
    }
    home.assert_nothing_left();
}

#[test]
fn a_damaged_blob_is_named_once_it_is_needed() {
    let home = home_with_image();
    files(&home, "images/layers", ".tar")
        .iter()
        .for_each(|tar| fs::remove_file(tar).expect("removed"));
    let size = |path: &PathBuf| fs::metadata(path).expect("readable").len();
    let blobs = files(&home, "images/blobs/sha256", "");
    let layer = blobs.into_iter().max_by_key(size).expect("a blob");
    flip(&layer);
    let digest = layer
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let ended = home.run(&["run", "--rm", "hello"]);
    ended.assert_fails(125, &[&digest, "corrupt", "hint: "]);
    home.assert_nothing_left();
}
