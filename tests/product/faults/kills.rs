//! Commands and sandboxes that are killed, without a chance to put anything in order.

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use crate::home::{Home, guest, own_address};

fn kill(child: &mut Child) {
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
}

/// Kills the sandbox of a container, and returns once `wait` has seen it.
fn kill_sandbox(home: &Home, name: &str) {
    let pid = home.inspect(name)["State"]["Pid"].to_string();
    let status = Command::new("kill").args(["-KILL", &pid]).status();
    assert!(status.expect("`kill` starts").success());
    home.run(&["wait", name]);
}

#[test]
fn a_killed_sandbox_shows_as_exited_137_and_its_name_and_port_are_free_after_rm() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let run = |port: &str| home.ok(&["run", "-d", "--name", "web", "-p", port, &probe, "wait"]);
    let publish = format!("{}::80", own_address());
    run(&publish);
    let address = home.published("web", "80/tcp");
    kill_sandbox(&home, "web");
    assert!(home.ok(&["ps", "-a"]).contains("Exited (137)"));
    assert_eq!(home.inspect("web")["State"]["ExitCode"], 137);
    home.ok(&["rm", "web"]);
    home.assert_nothing_left();
    drop(TcpListener::bind(address).expect("the port is free"));
    run(&publish);
}

#[test]
fn a_killed_sandbox_that_was_to_be_removed_is_swept() {
    let home = Home::new();
    home.ok(&[
        "run",
        "-d",
        "--rm",
        "--name",
        "web",
        &guest("probe.wasm"),
        "wait",
    ]);
    kill_sandbox(&home, "web");
    assert_eq!(home.ok(&["ps", "-a", "-q"]), "");
    home.assert_nothing_left();
}

#[test]
fn a_killed_run_is_swept_by_the_next_command() {
    let home = Home::new();
    let mut run = home
        .command(&[
            "run",
            "--rm",
            "--name",
            "web",
            &guest("probe.wasm"),
            "ticks",
            "1000000",
            "10",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("minke starts");
    let output = run.stdout.as_mut().expect("it was asked for");
    output.read_exact(&mut [0]).expect("the guest runs");
    kill(&mut run);
    assert_eq!(home.ok(&["ps", "-a", "-q"]), "");
    home.assert_nothing_left();
}

/// So much that a build is still at it when its first file is seen. All of it is a hole.
const ENDLESS_BYTES: u64 = 8 << 30;

#[test]
fn a_killed_build_leaves_no_image_and_is_swept_by_the_next() {
    let home = Home::new();
    home.write("Balenafile", "FROM scratch\nCOPY file /\n");
    let file = File::create(home.write("file", "")).expect("writable");
    file.set_len(ENDLESS_BYTES).expect("files have holes");
    let mut build = home
        .command(&["build", "-t", "x", "."])
        .stderr(Stdio::null())
        .spawn()
        .expect("minke starts");
    while home.left_behind().is_empty() {
        let ended = build.try_wait().expect("it is ours");
        assert!(ended.is_none(), "the build ended before it could be killed");
        std::thread::yield_now();
    }
    kill(&mut build);
    assert_eq!(home.ok(&["images", "-q"]), "");
    home.assert_nothing_left();
    home.write("file", "short");
    home.ok(&["build", "-q", "-t", "x", "."]);
    home.assert_nothing_left();
}

#[test]
fn a_command_that_is_killed_in_the_middle_leaves_nothing_for_long() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    for _ in 0..10 {
        let mut child = home
            .command(&["run", "-d", "--rm", &probe, "exit", "0"])
            .stdout(Stdio::null())
            .spawn()
            .expect("minke starts");
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    // Sandboxes that were on the way end by themselves, for their guest does. One that removes its files is not listed any more.
    while !(home.ok(&["ps", "-a", "-q"]).is_empty() && home.left_behind().is_empty()) {}
}
