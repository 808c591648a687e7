//! `minke attach`: what a container that runs prints, and what it is typed, by several commands at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::home::{Home, PATIENCE, guest};

/// Says each line that it reads, until `end`.
const ECHO: &str = "echo runs; while read -r l; do echo \"<$l>\"; echo err >&2; \
                    if [ \"$l\" = end ]; then exit 3; fi; done; echo eof; exit 4";

/// A command whose streams are ours.
struct Command {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Command {
    fn start(home: &Home, arguments: &[&str]) -> Command {
        let mut child = home
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("minke starts");
        Command {
            stdin: child.stdin.take().expect("piped"),
            stdout: BufReader::new(child.stdout.take().expect("piped")),
            child,
        }
    }

    /// Attaches to a container; returns once what it prints is seen.
    fn attach(home: &Home, options: &[&str], name: &str) -> Command {
        let count = || home.events("event=attach").lines().count();
        let before = count();
        let command = Command::start(home, &[&["attach"], options, &[name]].concat());
        let until = Instant::now() + PATIENCE;
        while count() == before {
            assert!(Instant::now() < until, "it does not attach");
        }
        command
    }

    fn type_in(&mut self, text: &str) {
        self.stdin.write_all(text.as_bytes()).expect("typed");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    /// Ends the input, and returns what is printed from now on, and the exit code.
    fn finish(mut self) -> (String, Option<i32>) {
        drop(self.stdin);
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        (rest, self.child.wait().expect("it ends").code())
    }
}

/// Starts a shell as the first process.
fn start_shell(home: &Home, name: &str, options: &[&str], script: &str) {
    let shell = guest("linux/dash.wasm");
    let named = [&["run", "-d", "--name", name], options].concat();
    home.ok(&[&named[..], &[&shell, "-c", script]].concat());
}

fn pid_of(number: u32) -> Pid {
    let number = i32::try_from(number).ok().and_then(Pid::from_raw);
    number.expect("a process")
}

#[test]
fn all_who_are_attached_see_what_is_printed_and_any_may_type() {
    let home = Home::new();
    start_shell(&home, "web", &["-i"], ECHO);
    let mut one = Command::attach(&home, &[], "web");
    let mut two = Command::attach(&home, &[], "web");
    let mut silent = Command::attach(&home, &["--no-stdin"], "web");
    one.type_in("first\n");
    assert_eq!([one.line(), two.line(), silent.line()], ["<first>"; 3]);
    two.type_in("second\n");
    assert_eq!([one.line(), two.line(), silent.line()], ["<second>"; 3]);
    silent.type_in("nobody reads this\n");
    let mut leaves = Command::attach(&home, &[], "web");
    leaves.child.kill().expect("killed");
    leaves.child.wait().expect("ended");
    one.type_in("end\n");
    for command in [one, two, silent] {
        assert_eq!(command.finish(), ("<end>\n".to_owned(), Some(3)));
    }
    let log = home.run(&["logs", "web"]);
    assert_eq!(log.stdout, "runs\n<first>\n<second>\n<end>\n");
    assert_eq!(log.stderr, "err\nerr\nerr\n");
}

#[test]
fn an_input_ends_with_the_command_unless_it_was_made_for_the_background() {
    let home = Home::new();
    start_shell(&home, "stays", &["-i"], ECHO);
    let mut command = Command::attach(&home, &[], "stays");
    command.type_in("one\n");
    assert_eq!(command.line(), "<one>");
    drop(command.stdin);
    let mut other = Command::attach(&home, &[], "stays");
    other.type_in("end\n");
    assert_eq!(other.finish(), ("<end>\n".to_owned(), Some(3)));
    let shell = guest("linux/dash.wasm");
    home.ok(&["create", "-i", "--name", "once", &shell, "-c", ECHO]);
    home.ok(&["start", "once"]);
    assert_eq!(home.inspect("once")["Config"]["StdinOnce"], json!(true));
    let mut command = Command::attach(&home, &[], "once");
    command.type_in("one\n");
    assert_eq!(command.line(), "<one>");
    assert_eq!(command.finish(), ("eof\n".to_owned(), Some(4)));
}

#[test]
fn a_container_in_the_foreground_may_be_attached_to() {
    let home = Home::new();
    let shell = guest("linux/dash.wasm");
    let run = ["run", "-i", "--rm", "--name", "web", &shell, "-c", ECHO];
    let mut run = Command::start(&home, &run);
    assert_eq!(run.line(), "runs");
    let mut other = Command::attach(&home, &[], "web");
    other.type_in("theirs\n");
    assert_eq!([run.line(), other.line()], ["<theirs>"; 2]);
    run.type_in("ours\n");
    assert_eq!([run.line(), other.line()], ["<ours>"; 2]);
    assert_eq!(run.finish(), ("eof\n".to_owned(), Some(4)));
    assert_eq!(other.finish(), ("eof\n".to_owned(), Some(4)));
    home.assert_nothing_left();
}

#[test]
fn nothing_that_is_printed_before_the_end_is_lost() {
    let home = Home::new();
    let script = "read -r l; i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; exit 6";
    start_shell(&home, "web", &["-i", "--rm"], script);
    let mut command = Command::attach(&home, &[], "web");
    command.type_in("go\n");
    let (printed, code) = command.finish();
    assert_eq!(code, Some(6));
    assert_eq!(printed.lines().count(), 5000);
    assert!(printed.ends_with("line 4999\n"));
}

#[test]
fn a_command_that_never_reads_does_not_hold_a_program_up_for_ever() {
    let home = Home::new();
    let line = "x".repeat(1000);
    let script =
        format!("read -r l; i=0; while [ $i -lt 3000 ]; do echo {line}; i=$((i+1)); done; exit 5");
    start_shell(&home, "web", &["-i"], &script);
    let mut command = Command::attach(&home, &[], "web");
    command.type_in("go\n");
    assert_eq!(home.ok(&["wait", "web"]), "5");
    assert_eq!(home.run(&["logs", "web"]).stdout.lines().count(), 3000);
    assert_eq!(command.finish().1, Some(5));
}

#[test]
fn signals_are_passed_on_unless_they_are_not_to_be() {
    let home = Home::new();
    let script = "trap 'echo told; exit 9' TERM; echo runs; while :; do read -r l; done";
    start_shell(&home, "web", &["-i"], script);
    let alone = Command::attach(&home, &["--sig-proxy=false"], "web");
    kill_process(pid_of(alone.child.id()), Signal::TERM).expect("it is there");
    assert_eq!(alone.finish().1, None, "the signal ended it");
    let proxy = Command::attach(&home, &[], "web");
    kill_process(pid_of(proxy.child.id()), Signal::TERM).expect("it is there");
    let (printed, code) = proxy.finish();
    assert!(printed.ends_with("told\n"), "{printed}");
    assert_eq!(code, Some(9));
}

#[test]
fn a_sandbox_that_is_killed_ends_who_is_attached() {
    let home = Home::new();
    start_shell(&home, "web", &["-i"], ECHO);
    let command = Command::attach(&home, &["--no-stdin"], "web");
    let pid = home.state("web")["Pid"].as_u64().expect("a number");
    let pid = u32::try_from(pid).expect("a number of a process");
    kill_process(pid_of(pid), Signal::KILL).expect("it is there");
    assert_eq!(command.finish().1, Some(137));
    home.run(&["attach", "web"]).assert_fails(
        1,
        &["you cannot attach to stopped container `web`, start it first"],
    );
    start_shell(&home, "paused", &["-i"], ECHO);
    home.ok(&["pause", "paused"]);
    home.run(&["attach", "paused"]).assert_fails(
        1,
        &["you cannot attach to paused container `paused`, unpause it first"],
    );
}
