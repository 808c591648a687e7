//! Programs in Rust that are written for Linux: compiled unchanged by `minke cargo`, and run in containers.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::home::{Ended, Home, fetch, guest};

fn program(name: &str) -> String {
    guest(&format!("linux/{name}.wasm"))
}

#[test]
fn a_program_sees_of_linux_what_it_sees_natively() {
    let home = Home::new();
    let native = Command::new(guest("native/rust-std"))
        .arg("all")
        .arg(home.files())
        .output()
        .expect("a native program");
    let native = Ended::of(&native);
    let ours = home.run(&["run", "--rm", &program("rust-std"), "all", "/tmp"]);
    assert_eq!(ours.stdout, native.stdout, "{}", ours.stderr);
    assert_eq!(ours.code, 0, "{}", ours.stderr);
}

#[test]
fn a_panic_and_an_exit_anywhere_end_a_program_as_natively() {
    let home = Home::new();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["panic"], 134, "\nso be it\n"),
        (&["panic-in-a-thread"], 134, "thread 'worker' ("),
        (&["overflow", "3"], 134, "the len is 3 but the index is 3"),
        (&["exit-in-a-thread"], 9, ""),
        (&["none"], 1, "error: no action [\"none\"]\n"),
    ];
    for (words, code, text) in cases {
        let native = Command::new(guest("native/rust-std")).args(*words).output();
        let native = native.expect("a native program");
        // What a shell makes of a signal.
        let natively = native.status.signal().map(|it| 128 + it);
        assert_eq!(natively.or(native.status.code()), Some(*code), "{words:?}");
        let ours = home.run(&[&["run", "--rm", &program("rust-std")], *words].concat());
        ours.assert_fails(*code, &[text]);
        assert!(Ended::of(&native).stderr.contains(text), "{native:?}");
    }
}

#[test]
fn tokio_serves_waits_starts_children_and_ends_by_a_signal() {
    let home = Home::shared();
    home.write(
        "program",
        std::fs::read(program("rust-tokio")).expect("it is there"),
    );
    home.write(
        "Balenafile",
        "FROM minke/base\nCOPY --chmod=755 program /bin/server\nCMD [\"/bin/server\", \"8080\"]\n",
    );
    home.ok(&["build", "-t", "rust-tokio-server", "."]);
    let publish = ["-p", "127.0.0.1::8080"];
    let id = home.ok(&[&["run", "-d"], &publish[..], &["rust-tokio-server"]].concat());
    let address = home.published(&id, "8080/tcp");
    let pages = [
        ("/page", "/page\n"),
        ("/sleep", "late true in time true\n"),
        ("/child", "from a child\nexit status: 3\n"),
        ("/tasks", "4950\n"),
        ("/block", "143\n"),
    ];
    for (path, expected) in pages {
        let answer = fetch(address, path);
        assert!(answer.ends_with(&format!("\r\n\r\n{expected}")), "{answer}");
    }
    home.ok(&["stop", &id]);
    assert_eq!(home.ok(&["wait", &id]), "0");
    assert_eq!(home.ok(&["logs", &id]), "listening\nterminated");
    home.ok(&["rm", &id]);
}

/// Writes a program that stands for cargo.
fn write_cargo(home: &Home, script: &str) {
    let path = home.write("cargo", format!("#!/bin/sh\n{script}\n"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, mode).expect("ours");
}

#[test]
fn cargo_is_told_of_the_target_the_linker_and_the_wrapper_of_rustc() {
    let home = Home::new();
    let script = "case $* in *--version) echo cargo 1.97.0 ;; *) echo \"$*\"; env ;; esac";
    write_cargo(&home, script);
    let others = std::env::var("PATH").expect("there is one");
    let path = format!("{}:{others}", home.files().display());
    let mut command = home.command(&["cargo", "+new", "build", "--release"]);
    let ended = Ended::of(&command.env("PATH", path).output().expect("minke starts"));
    assert_eq!(ended.code, 0, "{ended:?}");
    let system = home.ok(&["sdk", "path"]);
    let lines = [
        "+new build --release".to_owned(),
        format!("CARGO_BUILD_TARGET={system}/wasm32-linux-muslwali.json"),
        format!("CARGO_TARGET_WASM32_LINUX_MUSLWALI_LINKER={system}/bin/minke-cc"),
        format!("RUSTC_WRAPPER={system}/bin/minke-rustc"),
    ];
    for line in lines {
        let is_there = ended.stdout.lines().any(|it| it == line);
        assert!(is_there, "no {line} in {}", ended.stdout);
    }
}

#[test]
fn cargo_without_a_rust_that_can_is_told_what_to_install() {
    let home = Home::new();
    let mut command = home.command(&["cargo", "build"]);
    let ended = Ended::of(&command.env("PATH", "").output().expect("minke starts"));
    ended.assert_fails(
        1,
        &["error: there is no `cargo` here\nhint: install Rust, version 1.97"],
    );
    let mut command = home.command(&["cargo", "+1.95.0", "build"]);
    write_cargo(&home, "echo cargo 1.95.0");
    let ended = Ended::of(
        &command
            .env("PATH", home.files())
            .output()
            .expect("minke starts"),
    );
    ended.assert_fails(
        1,
        &["is version `cargo 1.95.0`, and version `1.97` is needed"],
    );
}
