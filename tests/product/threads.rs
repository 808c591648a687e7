//! Programs with threads: Rust's `std::thread` on wasi-threads, and POSIX threads by Emscripten.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::home::{Home, guest};
use crate::run::send_signal;

/// The C program's three levels of glue.
const C_LEVELS: [&str; 3] = ["O0", "O2", "O3"];

fn rust(action: &[&str]) -> String {
    let home = Home::shared();
    let program = guest("threads.wasm");
    home.ok(&[&["run", "--rm", "--tmpfs", "/tmp", &program], action].concat())
}

#[test]
fn a_rust_program_joins_its_threads() {
    assert_eq!(rust(&["sum"]), "36 36000");
    assert_eq!(rust(&["scoped"]), "2000");
    assert_eq!(rust(&["locals"]), "[1, 2, 3] 100 6");
}

#[test]
fn threads_wait_for_each_other_and_for_time() {
    assert_eq!(rust(&["turns"]), "1000");
    assert_eq!(rust(&["channel"]), "1000 499500");
    assert_eq!(rust(&["timeout"]), "true true true");
}

#[test]
fn threads_use_files_at_the_same_time() {
    assert_eq!(rust(&["files", "/tmp"]), "240000 true\ntrue");
}

#[test]
fn threads_that_ended_make_room_for_others() {
    let home = Home::shared();
    let program = guest("threads.wasm");
    let printed = home.ok(&["run", "--rm", "--pids-limit", "16", &program, "many", "300"]);
    assert_eq!(printed, "300");
}

#[test]
fn threads_without_end_meet_the_pids_limit() {
    let home = Home::shared();
    let program = guest("threads.wasm");
    let printed = home.ok(&["run", "--rm", "--pids-limit", "40", &program, "without-end"]);
    assert_eq!(printed, "39 WouldBlock");
}

#[test]
fn proc_tells_how_many_threads_there_are() {
    assert_eq!(rust(&["status"]), "Threads: 4");
}

#[test]
fn a_panic_in_a_thread_ends_the_program_as_a_trap_does() {
    let home = Home::new();
    let ended = home.run(&["run", "--name", "panics", &guest("threads.wasm"), "panic"]);
    ended.assert_fails(134, &["on purpose", "trapped: unreachable"]);
    assert_eq!(ended.stdout.trim_end(), "started");
    assert_eq!(home.inspect("panics")["State"]["Reason"], "unreachable");
}

#[test]
fn an_exit_in_a_thread_ends_the_program() {
    let home = Home::shared();
    let ended = home.run(&["run", "--rm", &guest("threads.wasm"), "exit", "7"]);
    assert_eq!((ended.code, ended.stdout.trim_end()), (7, "started"));
}

#[test]
fn the_program_ends_when_its_main_function_returns() {
    assert_eq!(rust(&["main-returns"]), "done");
}

#[test]
fn containers_whose_threads_spin_or_wait_are_killed() {
    let home = Home::new();
    for (kind, signal, code) in [
        ("spin", "TERM", 143),
        ("wait", "TERM", 143),
        ("spin", "INT", 130),
    ] {
        let mut child = home
            .command(&["run", "--rm", &guest("threads.wasm"), "hold", kind, "6"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("minke starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped"))
            .read_line(&mut line)
            .expect("it prints");
        assert_eq!(line, "holding\n");
        send_signal(child.id(), signal);
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(code), "{kind} {signal}");
    }
    home.assert_nothing_left();
}

#[test]
fn a_detached_container_of_spinning_threads_is_killed() {
    let home = Home::new();
    home.ok(&[
        "run",
        "-d",
        "--name",
        "busy",
        &guest("threads.wasm"),
        "hold",
        "spin",
        "6",
    ]);
    home.ok(&["kill", "busy"]);
    assert_eq!(home.ok(&["wait", "busy"]), "137");
}

#[test]
fn memory_that_threads_share_counts_against_the_limit() {
    let home = Home::shared();
    let ended = home.run(&[
        "run",
        "--rm",
        "--memory",
        "6m",
        &guest("threads.wasm"),
        "sum",
    ]);
    ended.assert_fails(
        137,
        &["out of memory: the container may have 6291456 bytes"],
    );
}

#[test]
fn a_c_program_has_posix_threads() {
    let home = Home::shared();
    for level in C_LEVELS {
        let program = guest(&format!("c/threads.{level}.wasm"));
        assert_eq!(home.ok(&["run", "--rm", &program]), "ok", "{level}");
    }
}

#[test]
fn a_thread_of_a_c_program_ends_it() {
    let home = Home::shared();
    for level in C_LEVELS {
        let program = guest(&format!("c/threads.{level}.wasm"));
        for (action, code) in [("exit", 9), ("trap", 134), ("return", 3)] {
            let ended = home.run(&["run", "--rm", &program, action]);
            assert_eq!(ended.code, code, "{level} {action}: {ended:?}");
        }
    }
}
