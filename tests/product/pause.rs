//! `minke pause` and `minke unpause`: all processes of a container stand still, and go on.

use std::fs;
use std::time::Instant;

use serde_json::json;

use crate::home::{Home, PATIENCE, guest};

/// Starts a shell as a container's first process.
fn start_shell(home: &Home, name: &str, options: &[&str], script: &str) {
    let shell = guest("linux/dash.wasm");
    let named = ["run", "-d", "-i", "--name", name];
    home.ok(&[&named[..], options, &[&shell, "-c", script]].concat());
}

/// How many threads of a container's sandbox have or want a CPU.
fn running_threads(home: &Home, name: &str) -> usize {
    let pid = home.state(name)["Pid"].as_u64().expect("a number");
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let stats = threads.filter_map(|it| fs::read_to_string(it.ok()?.path().join("stat")).ok());
    // Linux: `proc_pid_stat(5)`: the state follows the name in brackets.
    let states = stats.filter_map(|stat| stat.rsplit(')').next().map(str::to_owned));
    states.filter(|rest| rest.starts_with(" R")).count()
}

/// Waits until as many threads as these run.
#[track_caller]
fn wait_for_threads(home: &Home, name: &str, is_meant: impl Fn(usize) -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_meant(running_threads(home, name)) {
        assert!(Instant::now() < until, "they do not stand still, or go on");
        std::thread::yield_now();
    }
}

#[test]
fn programs_that_compute_stand_still_and_go_on() {
    let home = Home::new();
    for what in ["registers", "memory", "recursion"] {
        home.start(what, &[], &["spin", what]);
        wait_for_threads(&home, what, |count| count > 0);
        assert_eq!(home.ok(&["pause", what]), what);
        wait_for_threads(&home, what, |count| count == 0);
        home.ok(&["unpause", what]);
        wait_for_threads(&home, what, |count| count > 0);
        home.ok(&["pause", what]);
        // Without a limit on the time it would hang here for ever.
        home.ok(&["stop", "-t", "-1", what]);
        assert_eq!(home.state(what)["ExitCode"], json!(143), "{what}");
    }
}

#[test]
fn a_paused_container_says_so_everywhere() {
    let home = Home::new();
    home.start("web", &[], &["wait"]);
    home.ok(&["pause", "web"]);
    let state = home.state("web");
    let told = ["Status", "Paused", "Running"].map(|field| state[field].clone());
    assert_eq!(told, [json!("paused"), json!(true), json!(true)]);
    assert!(home.ok(&["ps"]).contains("(Paused)"));
    let names = |status: &str| {
        let filter = format!("status={status}");
        home.ok(&["ps", "-f", &filter, "--format", "{{.Names}}"])
    };
    assert_eq!([names("paused"), names("running")], ["web", ""]);
    home.run(&["pause", "web"])
        .assert_fails(1, &["container `web` is already paused"]);
    home.run(&["exec", "web", "ls"]).assert_fails(
        1,
        &["container `web` is paused, unpause the container before exec"],
    );
    home.run(&["start", "web"])
        .assert_fails(1, &["try unpause instead"]);
    home.run(&["rm", "web"]).assert_fails(1, &["it is paused"]);
    home.ok(&["unpause", "web"]);
    assert_eq!([names("paused"), names("running")], ["", "web"]);
    home.run(&["unpause", "web"])
        .assert_fails(1, &["container `web` is not paused"]);
    for action in ["pause", "unpause"] {
        let filter = format!("event={action}");
        assert!(home.events(&filter).contains("name=web"), "{action}");
    }
    home.ok(&["kill", "web"]);
    home.ok(&["wait", "web"]);
    home.run(&["pause", "web"])
        .assert_fails(1, &["cannot pause container `web`: it is not running"]);
}

#[test]
fn signals_wait_for_the_end_of_a_pause_but_those_that_end_the_container() {
    let home = Home::new();
    let script =
        "trap 'echo user' USR1; trap 'exit 7' TERM; echo runs; while :; do read -r l; done";
    let ready = |name: &str| {
        let until = Instant::now() + PATIENCE;
        while !home.ok(&["logs", name]).contains("runs") {
            assert!(Instant::now() < until, "it does not begin");
        }
        home.ok(&["pause", name]);
    };
    start_shell(&home, "told", &[], script);
    ready("told");
    home.ok(&["kill", "-s", "USR1", "told"]);
    assert_eq!(home.state("told")["Status"], "paused");
    home.ok(&["stop", "-t", "-1", "told"]);
    assert_eq!(home.state("told")["ExitCode"], 7, "its handler ran");
    assert!(home.ok(&["logs", "told"]).contains("user"));
    start_shell(&home, "killed", &["--rm"], script);
    ready("killed");
    home.ok(&["kill", "killed"]);
    start_shell(&home, "removed", &[], script);
    ready("removed");
    home.ok(&["rm", "-f", "removed"]);
    home.ok(&["rm", "told"]);
    let until = Instant::now() + PATIENCE;
    while !home.ok(&["ps", "-aq"]).is_empty() {
        assert!(Instant::now() < until, "the killed one does not go");
    }
    home.assert_nothing_left();
}

#[test]
fn a_sandbox_that_is_killed_while_it_is_paused_has_ended() {
    let home = Home::new();
    home.start("web", &[], &["wait"]);
    home.ok(&["pause", "web"]);
    let pid = home.state("web")["Pid"].as_i64().expect("a number");
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let pid = pid.expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is there");
    assert_eq!(home.ok(&["wait", "web"]), "137");
    assert_eq!(home.state("web")["Paused"], json!(false));
}
