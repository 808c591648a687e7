//! Trees of directories that are deeper than paths, descriptors and stacks.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

use crate::home::Home;

/// In a container's memory.
const DEPTH: usize = 20_000;

/// On the host's disk, where a directory costs more: deeper than a path can say and than most processes have descriptors.
const HOST_DEPTH: usize = 5_000;

/// A program that makes so many directories within each other below `/data`, one name at a time, and ends with the error that it got, if any.
fn digger() -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "path_create_directory"
                (func $make (param i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "data")
            (func $enter (param $fd i32) (param $name_length i32) (result i32) (local $errno i32)
                (drop (call $make (local.get $fd) (i32.const 0) (local.get $name_length)))
                (local.set $errno (call $open (local.get $fd) (i32.const 0) (i32.const 0)
                    (local.get $name_length) (i32.const 2) (i64.const -1) (i64.const -1)
                    (i32.const 0) (i32.const 8)))
                (if (local.get $errno) (then (call $exit (local.get $errno))))
                (i32.load (i32.const 8)))
            (func (export "_start") (local $fd i32) (local $next i32) (local $left i32)
                (local.set $left (i32.const {DEPTH}))
                (local.set $fd (call $enter (i32.const 3) (i32.const 4)))
                (loop $more
                    (local.set $next (call $enter (local.get $fd) (i32.const 1)))
                    (drop (call $close (local.get $fd)))
                    (local.set $fd (local.get $next))
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if $more (local.get $left)))))"#
    );
    wat::parse_str(text).expect("the text is a module")
}

fn open(parent: &OwnedFd, name: &str) -> OwnedFd {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty()).expect("a directory")
}

/// Makes directories within each other on the host.
fn dig(top: &Path) {
    let top = rustix::fs::openat(CWD, top, OFlags::DIRECTORY, Mode::empty());
    let mut directory = top.expect("a directory");
    for _ in 0..HOST_DEPTH {
        rustix::fs::mkdirat(&directory, "d", Mode::RWXU).expect("made");
        directory = open(&directory, "d");
    }
}

/// Makes a volume with a deep tree; returns its name.
fn deep_volume(home: &Home, arguments: &[&str]) -> String {
    let name = home.ok(&[&["volume", "create"], arguments].concat());
    dig(&home.path().join("volumes").join(&name).join("data"));
    name
}

#[track_caller]
fn assert_no_volumes(home: &Home) {
    let mut left = std::fs::read_dir(home.path().join("volumes")).expect("readable");
    assert!(left.next().is_none());
}

#[test]
fn a_volume_is_removed_however_deep_it_is() {
    let home = Home::new();
    let name = deep_volume(&home, &["deep"]);
    home.ok(&["volume", "rm", &name]);
    assert_no_volumes(&home);
}

#[test]
fn a_volume_that_nobody_named_is_pruned_however_deep_it_is() {
    let home = Home::new();
    deep_volume(&home, &[]);
    home.ok(&["system", "prune", "-f", "--volumes"]);
    assert_no_volumes(&home);
}

#[test]
fn a_container_is_removed_however_deep_it_went() {
    let home = Home::new();
    home.write("dig.wasm", digger());
    home.ok(&["run", "--name", "deep", "./dig.wasm"]);
    home.ok(&["rm", "deep"]);
    home.assert_nothing_left();
}

/// Spec: WASI preview 1, `errno`: `nfile`.
const NFILE: i32 = 41;

#[test]
fn a_program_that_goes_too_deep_in_a_volume_gets_an_error_and_its_volume_is_removed() {
    let home = Home::new();
    home.write("dig.wasm", digger());
    let ended = home.run(&["run", "--name", "deep", "-v", "/data", "./dig.wasm"]);
    assert_eq!(ended.code, NFILE, "{ended:?}");
    home.ok(&["rm", "-v", "deep"]);
    assert_no_volumes(&home);
    home.assert_nothing_left();
}
