//! Restart policies, and the process that keeps them.

use std::process::Command;

use serde_json::{Value, json};

use crate::home::{Home, guest};

/// Looks until a container is in a state; the harness bounds a test that hangs.
fn wait_until(home: &Home, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
    loop {
        let inspected = home.inspect(name);
        if holds(&inspected) {
            return inspected;
        }
        std::thread::yield_now();
    }
}

fn kill_9(pid: &str) {
    let status = Command::new("kill").args(["-KILL", pid]).status();
    assert!(status.expect("`kill` starts").success());
}

fn parent_of(pid: &Value) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.expect("every process has a parent").trim().to_owned()
}

#[test]
fn failures_are_restarted_as_often_as_the_policy_says() {
    let home = Home::new();
    home.start("fails", &["--restart", "on-failure:2"], &["exit", "3"]);
    let ended = wait_until(&home, "fails", |it| it["State"]["Status"] == "exited");
    assert_eq!(
        (&ended["RestartCount"], &ended["State"]["ExitCode"]),
        (&json!(2), &json!(3))
    );
    let starts = home.events("event=start");
    assert_eq!(starts.lines().count(), 3, "{starts}");
    home.start("succeeds", &["--restart", "on-failure"], &["exit", "0"]);
    let ended = wait_until(&home, "succeeds", |it| it["State"]["Status"] == "exited");
    assert_eq!(ended["RestartCount"], 0);
    home.ok(&["rm", "fails", "succeeds"]);
    home.assert_nothing_left();
}

#[test]
fn a_container_that_is_stopped_stays_stopped() {
    let home = Home::new();
    home.start("web", &["--restart", "always"], &["wait"]);
    home.ok(&["stop", "web"]);
    let state = &home.state("web");
    assert_eq!(
        (&state["Status"], &state["ExitCode"]),
        (&json!("exited"), &json!(143))
    );
    home.ok(&["start", "web"]);
    home.ok(&["kill", "web"]);
    home.ok(&["wait", "web"]);
    assert_eq!(
        home.state("web")["Status"],
        "exited",
        "and one that is killed"
    );
    home.ok(&["rm", "web"]);
    home.assert_nothing_left();
}

#[test]
fn ps_shows_that_a_container_waits_for_its_restart_and_stop_ends_that() {
    let home = Home::new();
    home.start("fails", &["--restart", "always"], &["exit", "3"]);
    wait_until(&home, "fails", |it| it["State"]["Restarting"] == true);
    // The delays double: it is found so sooner or later.
    while !home.ok(&["ps"]).contains("Restarting (3)") {}
    assert_eq!(home.state("fails")["Running"], true);
    home.run(&["rm", "fails"]).assert_fails(1, &["it is"]);
    home.ok(&["stop", "fails"]);
    assert_eq!(home.state("fails")["Status"], "exited");
    home.ok(&["start", "fails"]);
    home.ok(&["rm", "-f", "fails"]);
    home.assert_nothing_left();
}

#[test]
fn a_killed_sandbox_is_restarted() {
    let home = Home::new();
    home.start("web", &["--restart", "on-failure"], &["wait"]);
    let pid = home.state("web")["Pid"].clone();
    kill_9(&pid.to_string());
    let again = wait_until(&home, "web", |it| {
        it["State"]["Status"] == "running" && it["State"]["Pid"] != pid
    });
    assert_eq!(again["RestartCount"], 1);
}

#[test]
fn a_killed_supervisor_leaves_a_container_that_runs_to_its_end_and_is_seen_so() {
    let home = Home::new();
    home.start("web", &["--restart", "always"], &["wait"]);
    let pid = home.state("web")["Pid"].clone();
    kill_9(&parent_of(&pid));
    assert_eq!(home.state("web")["Pid"], pid, "it runs on");
    kill_9(&pid.to_string());
    home.run(&["wait", "web"]);
    let state = &home.state("web");
    assert_eq!(
        (&state["Status"], &state["ExitCode"]),
        (&json!("exited"), &json!(137))
    );
    home.ok(&["start", "web"]);
    assert_eq!(home.state("web")["Status"], "running");
}

#[test]
fn run_in_the_foreground_shows_every_life_until_the_last() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let ended = home.run(&[
        "run",
        "--name",
        "fails",
        "--restart",
        "on-failure:1",
        &probe,
        "stderr",
        "no",
    ]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (0, "no\n"),
        "{ended:?}"
    );
    let failing = home.run(&[
        "run",
        "--restart",
        "on-failure:2",
        &probe,
        "cat",
        "/missing",
    ]);
    assert_eq!(failing.code, 1, "{failing:?}");
    assert_eq!(failing.stderr.matches("ENOENT").count(), 3, "{failing:?}");
}

#[test]
fn a_policy_can_be_taken_away_while_it_restarts() {
    let home = Home::new();
    home.start("fails", &["--restart", "always"], &["exit", "1"]);
    home.ok(&["update", "--restart", "no", "fails"]);
    wait_until(&home, "fails", |it| it["State"]["Status"] == "exited");
    home.ok(&["rm", "fails"]);
    home.assert_nothing_left();
}
