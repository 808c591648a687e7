//! `minke exec`: programs that are started in a container that runs, beside its first.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use crate::home::{Ended, Home, guest};

/// A home with an image `made` that has a shell, and `/probe.wasm`, which is not marked executable.
fn home() -> Home {
    let home = Home::new();
    for (name, program) in [("sh", "linux/dash.wasm"), ("probe.wasm", "probe.wasm")] {
        let bytes = std::fs::read(guest(program)).expect("it is there");
        home.write(name, bytes);
    }
    let lines = "FROM scratch\nCOPY --chmod=755 sh /bin/sh\nCOPY probe.wasm /probe.wasm\nENV WHERE=image\nWORKDIR /srv\n";
    home.write("Balenafile", lines);
    home.write("script", "#!/bin/sh\necho script \"$@\"\n");
    home.ok(&["build", "-q", "-t", "made", "."]);
    home
}

/// Starts `web`, whose first program speaks WASI, and `shell`, whose first program speaks Linux: only the second has a module
/// server from its start.
fn start_both(home: &Home) -> [&'static str; 2] {
    home.ok(&["run", "-d", "--name", "web", "made", "/probe.wasm", "wait"]);
    let waits = "while :; do read -r line; done";
    home.ok(&[
        "run", "-d", "-i", "--name", "shell", "made", "sh", "-c", waits,
    ]);
    ["web", "shell"]
}

fn sh(home: &Home, container: &str, script: &str) -> Ended {
    home.run(&["exec", container, "sh", "-c", script])
}

#[test]
fn a_program_prints_here_and_its_exit_code_is_the_commands() {
    let home = home();
    for name in start_both(&home) {
        let before = home.ok(&["logs", name]);
        let ended = sh(&home, name, "echo out; echo err >&2; exit 3");
        assert_eq!(
            (ended.code, &*ended.stdout, &*ended.stderr),
            (3, "out\n", "err\n")
        );
        assert_eq!(sh(&home, name, "kill -9 $$").code, 137);
        assert_eq!(
            home.ok(&["logs", name]),
            before,
            "the log is the container's"
        );
        let ended = home.run(&["exec", name, "/probe.wasm", "exit", "5"]);
        assert_eq!(ended.code, 5, "{ended:?}");
    }
}

#[test]
fn the_input_is_passed_on_to_its_end_with_i_alone() {
    let home = home();
    for name in start_both(&home) {
        let copies = "while read -r line; do echo \"<$line>\"; done; echo end";
        let copy = |options: &[&str]| {
            let arguments = [&["exec"], options, &[name, "sh", "-c", copies]].concat();
            home.run_with_input(&arguments, b"one\ntwo\n").stdout
        };
        assert_eq!(copy(&["-i"]), "<one>\n<two>\nend\n");
        assert_eq!(copy(&[]), "end\n");
    }
}

#[test]
fn environment_directory_and_user_are_the_containers_unless_others_are_asked_for() {
    let home = home();
    start_both(&home);
    home.write("variables", "FILE=1\nWHERE=file\n");
    let script = "echo $WHERE $FILE $(pwd) $PPID";
    assert_eq!(sh(&home, "web", script).stdout, "image /srv 0\n");
    let options = [
        "exec",
        "--env-file",
        "variables",
        "-e",
        "WHERE=typed",
        "-w",
        "/bin",
        "-u",
        "1000:1000",
        "web",
        "sh",
        "-c",
    ];
    assert_eq!(
        home.ok(&[&options[..], &[script]].concat()),
        "typed 1 /bin 0"
    );
    let writes = home.run(&[&options[..], &["echo > /file"]].concat());
    assert_ne!(
        writes.code, 0,
        "another user may not write there: {writes:?}"
    );
    home.run(&["exec", "-w", "/nowhere", "web", "sh"])
        .assert_fails(125, &["working directory `/nowhere`"]);
    home.run(&["exec", "-u", "nobody", "web", "sh"])
        .assert_fails(125, &["unable to find user `nobody`"]);
}

#[test]
fn what_cannot_be_run_is_told_and_leaves_nothing() {
    let home = home();
    for name in start_both(&home) {
        home.run(&["exec", name, "nosuch"])
            .assert_fails(127, &["`nosuch`: executable file not found in `$PATH`"]);
        home.run(&["exec", name, "/srv"])
            .assert_fails(126, &["`/srv` is a directory"]);
        home.ok(&["cp", "script", &format!("{name}:/srv/script")]);
        home.run(&["exec", name, "./script"])
            .assert_fails(126, &["cannot execute `/srv/script`"]);
        let stats = home.ok(&["stats", "--no-stream", "--format", "{{.PIDs}}", name]);
        assert_eq!(stats, "1");
    }
    home.ok(&["kill", "web"]);
    home.ok(&["wait", "web"]);
    home.run(&["exec", "web", "sh"]).assert_fails(
        1,
        &["cannot run a program in container `web`: it is not running"],
    );
    home.run(&["exec", "nobody", "sh"])
        .assert_fails(1, &["no such container: `nobody`"]);
}

/// Starts a program that says that it runs, and waits for its input's end.
fn start(home: &Home, name: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = home
        .command(&[
            "exec",
            "-i",
            name,
            "sh",
            "-c",
            "echo runs; read -r line; echo $line",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("minke starts");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert_eq!(line, "runs\n");
    (child, output)
}

#[test]
fn programs_end_with_their_container() {
    let home = home();
    for name in start_both(&home) {
        let (mut child, _output) = start(&home, name);
        home.ok(&["stop", "-t", "0", name]);
        assert_eq!(child.wait().expect("it ends").code(), Some(137));
    }
}

#[test]
fn a_client_that_is_killed_leaves_its_program_and_the_container_as_they_were() {
    let home = home();
    home.ok(&["run", "-d", "--name", "web", "made", "/probe.wasm", "wait"]);
    let (mut child, mut output) = start(&home, "web");
    let mut stdin = child.stdin.take().expect("piped");
    child.kill().expect("killed");
    child.wait().expect("ended");
    stdin.write_all(b"still there\n").expect("somebody reads");
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "still there\n");
    assert_eq!(sh(&home, "web", "echo again").stdout, "again\n");
}

#[test]
fn many_programs_run_at_once_and_no_more_than_the_container_may_have() {
    let home = home();
    let limited = ["run", "-d", "--name", "web", "--pids-limit", "9", "made"];
    home.ok(&[&limited[..], &["/probe.wasm", "wait"]].concat());
    let running: Vec<_> = (0..8).map(|_| start(&home, "web")).collect();
    home.run(&["exec", "web", "sh"])
        .assert_fails(125, &["cannot make another process"]);
    for (mut child, mut output) in running {
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(b"done\n").expect("written");
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("text");
        assert_eq!(
            (child.wait().expect("ended").code(), &*rest),
            (Some(0), "done\n")
        );
    }
    assert_eq!(sh(&home, "web", "echo again").stdout, "again\n");
}

#[test]
fn a_program_in_the_background_is_told_of_by_events() {
    let home = home();
    home.ok(&["run", "-d", "--name", "web", "made", "/probe.wasm", "wait"]);
    let mut follower = home
        .command(&["events", "--since", "0", "-f", "event=exec_die"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("minke starts");
    assert_eq!(home.ok(&["exec", "-d", "web", "sh", "-c", "exit 4"]), "");
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    let line = lines.next().expect("an event").expect("text");
    assert!(line.contains("exitCode=4"), "{line}");
    follower.kill().expect("killed");
    follower.wait().expect("ended");
    let started = home.events("event=exec_start");
    assert!(started.contains("exec_start: sh -c exit 4 "), "{started}");
    assert!(home.events("event=exec_create").contains("execID="));
}

#[test]
fn with_an_init_nothing_is_left_of_processes_whose_parents_have_ended() {
    let home = Home::shared();
    let start = |option: &[&str]| {
        let run = ["run", "-d", "--rm"];
        home.ok(&[&run, option, &["minke/base", "sleep", "1000"]].concat())
    };
    // The first process waits for nobody.
    let has_zombie_in_the_end = |id: &str| {
        home.ok(&["exec", id, "sh", "-c", "sleep 0 & exit"]);
        loop {
            let shown = home.ok(&["exec", id, "ps", "-o", "stat,args"]);
            if !shown.contains("sleep 0") {
                return shown.lines().any(|line| line.starts_with('Z'));
            }
        }
    };
    let (with, without) = (start(&["--init"]), start(&[]));
    assert!(!has_zombie_in_the_end(&with));
    assert!(has_zombie_in_the_end(&without));
    home.ok(&["rm", "-f", &with, &without]);
}
