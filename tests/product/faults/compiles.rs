//! A program that is compiled while something goes wrong: its compiler is a process of its own.

use std::fmt::Write;
use std::fs;
use std::process::{Child, Command, Stdio};

use crate::home::{Ended, Home, guest};

/// A module that takes long to compile: functions of much arithmetic.
fn slow_module() -> Vec<u8> {
    let mut body = "local.get 0".to_owned();
    for number in 0..500 {
        write!(body, " i64.const {number} i64.mul i64.popcnt").expect("a string takes all");
    }
    let function = format!("(func (param i64) (result i64) {body})");
    let text = format!("(module {})", function.repeat(1000));
    wat::parse_str(text).expect("the text is a module")
}

/// Starts `minke run` of a module that is not compiled yet; returns it with its compiler's process number.
fn compiling(home: &Home) -> (Child, u32) {
    home.write("slow.wasm", slow_module());
    let minke = home.command(&["run", "--rm", "./slow.wasm"]);
    // A shell starts what is to run in the background so that it ignores `SIGINT`, and that is inherited.
    let mut run = Command::new("env")
        .arg("--default-signal=INT")
        .arg(minke.get_program())
        .args(minke.get_args())
        .env("MINKE_HOME", home.path())
        .current_dir(home.files())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("minke starts");
    // Linux: `proc_pid_children(5)`.
    let children = format!("/proc/{0}/task/{0}/children", run.id());
    loop {
        let list = fs::read_to_string(&children).unwrap_or_default();
        if let Some(pid) = list.split_whitespace().next() {
            return (run, pid.parse().expect("a number"));
        }
        let ended = run.try_wait().expect("it is ours");
        assert!(ended.is_none(), "it ended without a compiler: {ended:?}");
        std::thread::yield_now();
    }
}

fn send(signal: &str, pid: u32) {
    let status = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(status.expect("`kill` starts").success());
}

/// Whether a process runs; one that waits to be reaped does not.
fn runs(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    !stat.contains(") Z ")
}

/// Checks that no artefact, note or temporary file is in the module cache.
#[track_caller]
fn assert_nothing_cached(home: &Home) {
    let entries = fs::read_dir(home.path().join("modules")).expect("readable");
    let names: Vec<_> = entries
        .map(|entry| entry.expect("readable").file_name())
        .filter(|name| !name.to_string_lossy().ends_with(".lock"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn a_killed_compiler_fails_the_run_and_leaves_nothing() {
    let home = Home::new();
    let (run, compiler) = compiling(&home);
    send("-KILL", compiler);
    let ended = Ended::of(&run.wait_with_output().expect("it ends"));
    ended.assert_fails(125, &["cannot be compiled", "signal: 9"]);
    home.assert_nothing_left();
    assert_nothing_cached(&home);
}

#[test]
fn a_compiler_ends_with_its_command() {
    for signal in ["-INT", "-KILL"] {
        let home = Home::new();
        let (mut run, compiler) = compiling(&home);
        send(signal, run.id());
        run.wait().expect("it ends");
        while runs(compiler) {
            std::thread::yield_now();
        }
        assert_eq!(home.ok(&["ps", "-a", "-q"]), "");
        home.assert_nothing_left();
        assert_nothing_cached(&home);
    }
}

/// Private memory of a container's process that is not a file's, in KiB. Linux: `proc_pid_status(5)`.
fn anonymous_kib(home: &Home, name: &str) -> u64 {
    let pid = home.inspect(name)["State"]["Pid"].to_string();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.and_then(|kib| kib.parse().ok()).expect("a size")
}

/// What compiling leaves in a process that does it itself is several times as much.
const DIFFERENCE_KIB_MAX: u64 = 1024;

#[test]
fn a_first_run_holds_no_more_memory_than_the_next() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    for name in ["first", "next"] {
        home.ok(&["run", "-d", "--name", name, &probe, "wait"]);
    }
    // Both have what they need once they have said that they wait.
    for name in ["first", "next"] {
        while home.ok(&["logs", name]) != "waiting" {
            std::thread::yield_now();
        }
    }
    let first = anonymous_kib(&home, "first");
    let next = anonymous_kib(&home, "next");
    assert!(first < next + DIFFERENCE_KIB_MAX, "{first} KiB, {next} KiB");
}
