//! Processes that start others: programs that speak Linux, each a few lines of text.

use std::fs;

use crate::home::{Ended, Home, guest};

/// What every program may import, and a page of memory. `$spawn2` starts a program without arguments, actions or attributes,
/// `$end_with_status` exits with the code of the next child that ends, `$say` prints a text that a zero ends.
const PRELUDE: &str = r#"
  (import "wali" "SYS_write" (func $write (param i32 i32 i32) (result i64)))
  (import "wali" "SYS_read" (func $read (param i32 i32 i32) (result i64)))
  (import "wali" "SYS_close" (func $close (param i32) (result i64)))
  (import "wali" "SYS_pipe2" (func $pipe2 (param i32 i32) (result i64)))
  (import "wali" "SYS_wait4" (func $wait4 (param i32 i32 i32 i32) (result i64)))
  (import "wali" "SYS_kill" (func $kill (param i32 i32) (result i64)))
  (import "wali" "SYS_getpid" (func $getpid (result i64)))
  (import "wali" "SYS_getppid" (func $getppid (result i64)))
  (import "wali" "SYS_pause" (func $pause (result i64)))
  (import "wali" "SYS_nanosleep" (func $nanosleep (param i32 i32) (result i64)))
  (import "wali" "SYS_rt_sigaction" (func $sigaction (param i32 i32 i32 i32) (result i64)))
  (import "wali" "SYS_execve" (func $execve (param i32 i32 i32) (result i64)))
  (import "wali" "SYS_exit_group" (func $exit (param i32)))
  (import "wali" "SYS_of_another_kernel" (func $unknown (param i64 i64) (result i64)))
  (import "minke" "fork" (func $fork (result i32)))
  (import "minke" "start_size" (func $start_size (result i32)))
  (import "minke" "start_fill" (func $start_fill (param i32)))
  (import "minke" "spawn" (func $spawn (param i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $status i32 (i32.const 4))
  (func $spawn2 (param $path i32) (result i32)
    (i32.store (i32.const 8) (local.get $path))
    (call $spawn (local.get $path) (i32.const 8) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
  (func $wait (result i32)
    (drop (call $wait4 (i32.const -1) (global.get $status) (i32.const 0) (i32.const 0)))
    (i32.load (global.get $status)))
  (func $end_with_status
    (call $exit (i32.shr_u (call $wait) (i32.const 8))))
  (func $say (param $text i32) (local $end i32)
    (local.set $end (local.get $text))
    (loop $next
      (local.set $end (i32.add (local.get $end) (i32.const 1)))
      (br_if $next (i32.load8_u (local.get $end))))
    (drop (call $write (i32.const 1) (local.get $text) (i32.sub (local.get $end) (local.get $text)))))
  (func $errno (param $result i64) (result i32)
    (i32.wrap_i64 (i64.sub (i64.const 0) (local.get $result))))
  (func $store_action (param $at i32) (param $op i32) (param $fd i32) (param $source i32)
    (i32.store (local.get $at) (local.get $op))
    (i32.store offset=4 (local.get $at) (local.get $fd))
    (i32.store offset=8 (local.get $at) (local.get $source)))
"#;

/// Makes a program of its own part.
fn program(body: &str) -> Vec<u8> {
    wat::parse_str(format!("(module {PRELUDE} {body})")).expect("the text is a module")
}

/// Makes a program that does `body` when it is started.
fn starting(body: &str) -> Vec<u8> {
    program(&format!("(func (export \"_start\") {body})"))
}

/// A home with an image `made`, whose `/bin` has these programs.
fn home(programs: &[(&str, Vec<u8>)]) -> Home {
    let home = Home::new();
    let bin = home.files().join("bin");
    fs::create_dir(&bin).expect("made");
    for (name, bytes) in programs {
        fs::write(bin.join(name), bytes).expect("written");
    }
    home.write("Balenafile", "FROM scratch\nCOPY --chmod=755 bin /bin\n");
    home.ok(&["build", "-t", "made", "."]);
    home
}

fn run(home: &Home, arguments: &[&str]) -> Ended {
    home.run(&[&["run", "--rm"], arguments].concat())
}

/// Prints what it reads.
const CAT: &str = r#"
  (local $count i32)
  (loop $next
    (local.set $count (i32.wrap_i64 (call $read (i32.const 0) (i32.const 1024) (i32.const 512))))
    (if (i32.gt_s (local.get $count) (i32.const 0))
      (then
        (drop (call $write (i32.const 1) (i32.const 1024) (local.get $count)))
        (br $next))))"#;

#[test]
fn the_exit_code_of_a_child_reaches_its_parent() {
    let parent = r#"
      (data (i32.const 64) "/bin/child\00")
      (func (export "_start") (drop (call $spawn2 (i32.const 64))) (call $end_with_status))"#;
    let child = starting("(call $exit (i32.const 7))");
    let home = home(&[("parent", program(parent)), ("child", child)]);
    let ended = run(&home, &["made", "/bin/parent"]);
    assert_eq!(ended.code, 7, "{ended:?}");
    home.assert_nothing_left();
}

#[test]
fn two_processes_make_a_pipeline() {
    let shell = r#"
      (data (i32.const 64) "/bin/say\00")
      (data (i32.const 96) "/bin/cat\00")
      (func $start (param $path i32) (param $fd i32) (param $source i32)
        (call $store_action (i32.const 512) (i32.const 2) (local.get $fd) (local.get $source))
        (call $store_action (i32.const 536) (i32.const 1) (i32.load (i32.const 16)) (i32.const 0))
        (call $store_action (i32.const 560) (i32.const 1) (i32.load (i32.const 20)) (i32.const 0))
        (drop (call $spawn (local.get $path) (i32.const 0) (i32.const 0) (i32.const 512) (i32.const 3) (i32.const 0))))
      (func (export "_start")
        (drop (call $pipe2 (i32.const 16) (i32.const 0)))
        (call $start (i32.const 96) (i32.const 0) (i32.load (i32.const 16)))
        (call $start (i32.const 64) (i32.const 1) (i32.load (i32.const 20)))
        (drop (call $close (i32.load (i32.const 16))))
        (drop (call $close (i32.load (i32.const 20))))
        (drop (call $wait))
        (call $end_with_status))"#;
    let say = r#"(data (i32.const 64) "through a pipe\n\00")
      (func (export "_start") (call $say (i32.const 64)))"#;
    let home = home(&[
        ("shell", program(shell)),
        ("say", program(say)),
        ("cat", starting(CAT)),
    ]);
    let ended = run(&home, &["made", "/bin/shell"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "through a pipe\n"));
}

#[test]
fn a_forked_child_has_the_memory_and_goes_on_in_resume() {
    let forks = program(
        r#"
      (data (i32.const 64) "before\00")
      (func (export "resume")
        (call $say (i32.const 64))
        (call $exit (i32.const 5)))
      (func (export "_start")
        (i32.store8 (i32.const 64) (i32.const 66))
        (drop (memory.grow (i32.const 2)))
        (i32.store (i32.const 150000) (i32.const 1))
        (if (i32.le_s (call $fork) (i32.const 1)) (then (call $exit (i32.const 99))))
        (i32.store8 (i32.const 64) (i32.const 67))
        (call $end_with_status))"#,
    );
    let home = home(&[("forks", forks)]);
    let ended = run(&home, &["made", "/bin/forks"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (5, "Before"));
}

#[test]
fn calls_that_nobody_knows_are_not_there() {
    let asks = program(
        r#"
      (func (export "_start")
        (call $exit (call $errno (call $unknown (i64.const 1) (i64.const 2)))))"#,
    );
    let home = home(&[("asks", asks)]);
    let enosys = 38;
    assert_eq!(run(&home, &["made", "/bin/asks"]).code, enosys);
}

#[test]
fn a_script_runs_its_interpreter_with_its_path() {
    let becomes = r#"
      (data (i32.const 64) "/bin/script\00")
      (func (export "_start")
        (call $exit (call $errno (call $execve (i32.const 64) (i32.const 0) (i32.const 0)))))"#;
    // It prints its third argument: the interpreter's own, then the script.
    let interpreter = program(
        r#"(func (export "_start")
        (drop (call $start_size))
        (call $start_fill (i32.const 4096))
        (call $say (i32.load (i32.const 4108))))"#,
    );
    let home = home(&[
        ("becomes", program(becomes)),
        ("interpreter", interpreter),
        ("script", b"#!/bin/interpreter -x\n".to_vec()),
    ]);
    let ended = run(&home, &["made", "/bin/becomes"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "/bin/script"));
}

#[test]
fn what_cannot_be_executed_leaves_the_process_what_it_was() {
    let becomes = |path: &str| {
        program(&format!(
            r#"(data (i32.const 64) "{path}\00")
            (func (export "_start")
              (call $exit (call $errno (call $execve (i32.const 64) (i32.const 0) (i32.const 0)))))"#
        ))
    };
    let home = home(&[
        ("garbage", becomes("/bin/noise")),
        ("lost", becomes("/bin/script")),
        ("absent", becomes("/bin/nothing")),
        ("directory", becomes("/bin")),
        ("broken", becomes("/bin/cut")),
        ("noise", b"\x7fELF and so on".to_vec()),
        ("script", b"#!/bin/no-such-shell\n".to_vec()),
        ("cut", b"\0asm\x01\0\0\0\x01\x7f".to_vec()),
    ]);
    let (enoent, eio, enoexec, eacces) = (2, 5, 8, 13);
    for (name, errno) in [
        ("garbage", enoexec),
        ("lost", enoent),
        ("absent", enoent),
        ("directory", eacces),
        ("broken", eio),
    ] {
        let ended = run(&home, &["made", &format!("/bin/{name}")]);
        assert_eq!(ended.code, errno, "{name}: {ended:?}");
    }
}

#[test]
fn a_program_of_another_personality_is_started_like_any_other() {
    let parent = r#"
      (data (i32.const 64) "/bin/hello\00")
      (func (export "_start") (drop (call $spawn2 (i32.const 64))) (call $end_with_status))"#;
    let hello = fs::read(guest("hello.wasm")).expect("it was built");
    let home = home(&[("parent", program(parent)), ("hello", hello)]);
    let ended = run(&home, &["made", "/bin/parent"]);
    assert_eq!((ended.code, ended.stdout.trim()), (0, "hello"));
}

#[test]
fn a_child_is_killed_and_its_parent_is_told_by_which_signal() {
    let parent = program(
        r#"
      (func (export "resume") (loop $forever (drop (call $pause)) (br $forever)))
      (func (export "_start")
        (drop (call $kill (call $fork) (i32.const 15)))
        (call $exit (call $wait)))"#,
    );
    let spins = program(
        r#"
      (func (export "resume") (loop $forever (br $forever)))
      (func (export "_start")
        (drop (call $kill (call $fork) (i32.const 9)))
        (call $exit (call $wait)))"#,
    );
    let home = home(&[("waits", parent), ("spins", spins)]);
    assert_eq!(run(&home, &["made", "/bin/waits"]).code, 15);
    assert_eq!(run(&home, &["made", "/bin/spins"]).code, 9);
}

#[test]
fn a_handler_is_called_when_the_call_returns() {
    let handles = program(
        r#"
      (func (export "signal_deliver") (param $handler i32) (param i32) (param $signal i32) (param i32 i32 i32) (param i64)
        (i32.store (i32.const 200) (i32.add (local.get $handler) (local.get $signal))))
      (func (export "_start")
        (i32.store (i32.const 64) (i32.const 70))
        (drop (call $sigaction (i32.const 10) (i32.const 64) (i32.const 0) (i32.const 8)))
        (drop (call $kill (i32.wrap_i64 (call $getpid)) (i32.const 10)))
        (call $exit (i32.load (i32.const 200))))"#,
    );
    let home = home(&[("handles", handles)]);
    assert_eq!(run(&home, &["made", "/bin/handles"]).code, 80);
}

#[test]
fn an_orphan_becomes_a_child_of_process_1() {
    // The child forks a grandchild and ends; the grandchild waits for its new parent and tells who that is.
    let orphans = program(
        r#"
      (func (export "resume")
        (i64.store (i32.const 32) (i64.const 0))
        (i64.store (i32.const 40) (i64.const 1000000))
        (if (i32.load (i32.const 64))
          (then
            (loop $wait
              (drop (call $nanosleep (i32.const 32) (i32.const 0)))
              (br_if $wait (i64.ne (call $getppid) (i64.const 1))))
            (call $exit (i32.const 42)))
          (else
            (i32.store (i32.const 64) (i32.const 1))
            (drop (call $fork))
            (call $exit (i32.const 0)))))
      (func (export "_start")
        (drop (call $fork))
        (drop (call $wait))
        (call $end_with_status))"#,
    );
    let home = home(&[("orphans", orphans)]);
    assert_eq!(run(&home, &["made", "/bin/orphans"]).code, 42);
}

#[test]
fn a_fork_bomb_meets_the_pids_limit_and_ends_with_process_1() {
    let bomb = program(
        r#"
      (func (export "resume") (loop $forever (drop (call $fork)) (br $forever)))
      (func (export "_start") (local $count i32) (local $pid i32)
        (loop $next
          (local.set $pid (call $fork))
          (if (i32.gt_s (local.get $pid) (i32.const 0))
            (then
              (local.set $count (i32.add (local.get $count) (i32.const 1)))
              (br $next))))
        (call $exit (i32.sub (i32.const 0) (local.get $pid))))"#,
    );
    let home = home(&[("bomb", bomb)]);
    let eagain = 11;
    let ended = run(&home, &["--pids-limit", "20", "made", "/bin/bomb"]);
    assert_eq!(ended.code, eagain, "{ended:?}");
    home.assert_nothing_left();
}

/// Ends well if it is told to run something that begins with a `b`.
const SHELL: &str = r#"
  (func (export "_start")
    (drop (call $start_size))
    (call $start_fill (i32.const 4096))
    (if (i32.ne (i32.load8_u (i32.load (i32.const 4108))) (i32.const 98))
      (then (call $exit (i32.const 9)))))"#;

#[test]
fn the_shell_form_uses_the_images_shell_for_what_is_no_program_of_it() {
    let home = home(&[("sh", program(SHELL)), ("tool", starting(CAT))]);
    let build = |run: &str| {
        home.write("Balenafile", format!("FROM made\nRUN {run}\n"));
        home.run(&["build", "-t", "next", "."]).code
    };
    assert_eq!(build("builtin of the shell"), 0);
    assert_eq!(build("begin && end"), 0);
    assert_eq!(build("tool of the image"), 0, "it needs no shell");
    assert_ne!(build("other builtin"), 0);
}
