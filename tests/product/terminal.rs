//! `-t`: what programs see of a terminal, and what they change of it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use crate::home::{Home, guest};

/// A shell's line on a terminal of 40 rows and 100 columns; `minke` is our binary.
fn start_on_a_terminal(home: &Home, line: &str) -> Child {
    let minke = env!("CARGO_BIN_EXE_minke");
    let line = format!("minke() {{ {minke} \"$@\"; }}; stty rows 40 cols 100; {line}");
    Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("MINKE_HOME", home.path())
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`script` of util-linux starts")
}

/// Runs a shell's line on a terminal on which this is typed; returns what it showed there.
fn typed_on_a_terminal(home: &Home, line: &str, input: &str) -> String {
    let mut child = start_on_a_terminal(home, line);
    let mut stdin = child.stdin.take().expect("it was asked for");
    stdin.write_all(input.as_bytes()).expect("typed");
    // Open until the end: the end of what is typed would be a character more.
    let output = child.wait_with_output().expect("it ends");
    drop(stdin);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command of ours on a terminal.
fn on_a_terminal(home: &Home, arguments: &[&str]) -> String {
    typed_on_a_terminal(home, &format!("minke {}", arguments.join(" ")), "")
}

/// Makes an image of the program that changes its terminal.
fn build_terminal(home: &Home) {
    home.write(
        "app/Balenafile",
        "FROM scratch\nCOPY terminal.O2.* /bin/\nENTRYPOINT [\"/bin/terminal.O2.wasm\"]\n",
    );
    for end in ["js", "wasm"] {
        let name = format!("terminal.O2.{end}");
        fs::copy(
            guest(&format!("c/{name}")),
            home.files().join("app").join(name),
        )
        .expect("copied");
    }
    home.ok(&["build", "-q", "-t", "terminal", "app"]);
}

#[test]
fn a_program_changes_the_callers_terminal_which_is_put_back() {
    let home = Home::new();
    build_terminal(&home);
    let shown = typed_on_a_terminal(&home, "minke run --rm -it terminal raw; stty -a", "x");
    assert!(
        shown.contains("40 rows, 100 columns, characters, no echo"),
        "{shown}"
    );
    assert!(shown.contains("read 120"), "{shown}");
    assert!(
        shown.contains(" icanon") && !shown.contains("-icanon"),
        "{shown}"
    );
    assert!(
        shown.contains(" echo ") && !shown.contains("-echo "),
        "{shown}"
    );
    // Without `-t` there is none to be changed.
    let shown = typed_on_a_terminal(&home, "minke run --rm -i terminal raw; echo code $?", "");
    assert!(shown.contains("code 1"), "{shown}");
}

#[test]
fn a_terminal_is_put_back_after_signals_too() {
    let home = Home::new();
    build_terminal(&home);
    for signal in ["TERM", "KILL"] {
        let line = "minke run --name web --rm -it terminal hold; echo code $?; stty -a";
        let mut child = start_on_a_terminal(&home, line);
        let mut stdin = child.stdin.take().expect("it was asked for");
        stdin.write_all(b"x").expect("typed");
        let mut shown = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
        let mut line = || shown.next().expect("it goes on").expect("text");
        while !line().contains("read 120") {}
        home.ok(&["kill", "-s", signal, "web"]);
        let rest: Vec<String> = shown.map(|line| line.expect("text")).collect();
        let rest = rest.join("\n");
        assert!(
            rest.contains(if signal == "TERM" {
                "code 143"
            } else {
                "code 137"
            }),
            "{rest}"
        );
        assert!(
            rest.contains(" icanon") && !rest.contains("-icanon"),
            "{rest}"
        );
        child.wait().expect("it ends");
    }
}

#[test]
fn a_windows_new_size_is_seen() {
    let home = Home::new();
    build_terminal(&home);
    let line =
        "minke run --rm -it terminal show; stty rows 7 cols 9; minke run --rm -it terminal show";
    let shown = typed_on_a_terminal(&home, line, "");
    assert!(
        shown.contains("40 rows, 100 columns, lines, echo"),
        "{shown}"
    );
    assert!(shown.contains("7 rows, 9 columns"), "{shown}");
}

#[test]
fn with_t_a_guest_sees_the_terminal_of_the_command() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let shown = on_a_terminal(&home, &["run", "--rm", "-it", &probe, "isatty"]);
    assert!(shown.contains("true true true"), "{shown}");
    let shown = on_a_terminal(&home, &["run", "--rm", "-t", &probe, "isatty"]);
    assert!(shown.contains("false true true"), "{shown}");
    let shown = on_a_terminal(&home, &["run", "--rm", "-i", &probe, "isatty"]);
    assert!(shown.contains("false false false"), "{shown}");
}

#[test]
fn with_t_in_the_background_a_guest_has_a_terminal_whose_output_is_the_log() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    home.ok(&["run", "-dt", "--name", "tells", &probe, "isatty"]);
    home.ok(&["wait", "tells"]);
    assert_eq!(home.run(&["logs", "tells"]).stdout, "true true true\r\n");
    home.start("reads", &["-it"], &["cat"]);
    assert_eq!(home.state("reads")["Status"], "running", "nobody types");
    home.ok(&["stop", "reads"]);
    // Both streams are one on a terminal, and all of it is there.
    home.ok(&["run", "-dt", "--name", "many", &probe, "lines", "5000"]);
    home.ok(&["wait", "many"]);
    let many = home.run(&["logs", "many"]);
    assert_eq!(
        (many.stdout.lines().count(), many.stderr.as_str()),
        (5000, "")
    );
}
