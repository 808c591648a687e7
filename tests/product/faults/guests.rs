//! Guests that take without end, or ask for what is not theirs.

use crate::home::{Home, guest};

/// Runs `probe` with these arguments in a container called `web`.
fn start(home: &Home, arguments: &[&str]) {
    let probe = guest("probe.wasm");
    let command = ["run", "-d", "--name", "web", &probe];
    home.ok(&[&command, arguments].concat());
}

/// Waits until the container's log has this text.
fn wait_for_log(home: &Home, text: &str) {
    while !home.ok(&["logs", "web"]).contains(text) {
        let is_running = &home.inspect("web")["State"]["Running"];
        assert_eq!(is_running, true, "it ended before it said {text:?}");
    }
}

/// Runs a `probe` that must trap for this reason, and checks that `inspect` tells it too.
#[track_caller]
fn check_trap(action: &str, reason: &str, code: i32) {
    let home = Home::new();
    let ended = home.run(&[
        "run",
        "--name",
        "web",
        "-m",
        "64m",
        &guest("probe.wasm"),
        action,
    ]);
    ended.assert_fails(code, &["probe.wasm` trapped: ", reason, "probe::endless"]);
    let state = &home.inspect("web")["State"];
    assert_eq!(state["ExitCode"], code);
    let told = state["Reason"].as_str().expect("a text");
    assert!(told.contains(reason), "{told}");
    home.ok(&["rm", "web"]);
    home.assert_nothing_left();
}

#[test]
fn allocating_without_end_ends_at_the_limit_with_the_reason() {
    check_trap("alloc", "out of memory", 137);
}

#[test]
fn recursing_without_end_overflows_the_stack() {
    check_trap("recurse", "stack overflow", 134);
}

#[test]
fn recursing_without_end_in_memory_leaves_memory() {
    check_trap("recurse-memory", "out of bounds memory access", 134);
}

#[test]
fn a_guest_that_heeds_a_refused_allocation_goes_on() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let said = home.ok(&["run", "--rm", "-m", "64m", &probe, "alloc-try"]);
    assert!(said.starts_with("refused after "), "{said}");
}

#[test]
fn descriptors_are_refused_beyond_the_limit() {
    let home = Home::new();
    let said = home.ok(&[
        "run",
        "--rm",
        &guest("probe.wasm"),
        "open-many",
        "/dev/null",
    ]);
    assert!(said.ends_with("with EMFILE"), "{said}");
    home.assert_nothing_left();
}

const WAYS_TO_SPIN: [&str; 6] = [
    "registers",
    "arithmetic",
    "memory",
    "recursion",
    "indirect",
    "bulk",
];

/// Starts a guest that spins in each way, ends it with this command, and checks its exit code.
#[track_caller]
fn check_spin(command: &[&str], code: &str) {
    let home = Home::new();
    for way in WAYS_TO_SPIN {
        start(&home, &["spin", way]);
        wait_for_log(&home, "spinning");
        home.ok(&[command, &["web"]].concat());
        assert_eq!(home.ok(&["wait", "web"]), code, "{way}");
        home.ok(&["rm", "web"]);
    }
    home.assert_nothing_left();
}

#[test]
fn stop_ends_a_guest_however_it_spins() {
    check_spin(&["stop"], "143");
}

#[test]
fn kill_ends_a_guest_however_it_spins() {
    check_spin(&["kill"], "137");
}

/// Threads of the guest that spin.
const SPINNING_THREADS: u32 = 1000;

/// A module whose threads all wait, until the last is there, and then spin.
fn spinning_threads() -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "env" "memory" (memory 1 1 shared))
            (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
            (func (export "wasi_thread_start") (param i32 i32)
                (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))
                (loop (br 0)))
            (func (export "_start") (local $left i32)
                (local.set $left (i32.const {SPINNING_THREADS}))
                (loop $more
                    (if (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0)) (then unreachable))
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if $more (local.get $left)))
                (i32.atomic.store (i32.const 0) (i32.const 1))
                (drop (memory.atomic.notify (i32.const 0) (i32.const -1)))
                (loop (br 0))))"#
    );
    wat::parse_str(text).expect("the text is a module")
}

/// Threads of a process on the host. Linux: `proc_pid_status(5)`.
fn host_threads(pid: &str) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"));
    line.and_then(|line| line.trim().parse().ok())
        .expect("a number")
}

#[test]
fn stop_ends_a_thousand_threads_that_spin() {
    let home = Home::new();
    home.write("spin.wasm", spinning_threads());
    home.ok(&["run", "-d", "--name", "spin", "./spin.wasm"]);
    let pid = home.inspect("spin")["State"]["Pid"].to_string();
    // Each has a thread of the host, though few of them run at the same time.
    while host_threads(&pid) < SPINNING_THREADS {
        std::thread::yield_now();
    }
    home.ok(&["stop", "spin"]);
    assert_eq!(home.inspect("spin")["State"]["ExitCode"], 143);
    home.ok(&["rm", "spin"]);
    home.assert_nothing_left();
}

#[test]
fn wild_pointers_and_lengths_get_errors_from_every_host_call() {
    let home = Home::new();
    let said = home.ok(&["run", "--rm", &guest("wild.wasm")]);
    assert!(said.contains(" functions, "), "{said}");
    home.assert_nothing_left();
}
