//! `minke run` in the foreground: what the guest is given, and what comes of it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::home::{Ended, Home, guest};

#[test]
fn a_bare_module_runs_and_leaves_nothing() {
    let home = Home::new();
    assert_eq!(home.ok(&["run", "--rm", &guest("hello.wasm")]), "hello");
    home.assert_nothing_left();
    assert_eq!(
        home.ok(&["run", "--rm", &guest("hello.wasm")]),
        "hello",
        "from the cache"
    );
}

#[test]
fn a_module_in_the_working_directory_needs_no_slash() {
    let home = Home::new();
    fs::copy(guest("hello.wasm"), home.files().join("hello.wasm")).expect("copied");
    assert_eq!(home.ok(&["run", "--rm", "hello.wasm"]), "hello");
    assert_eq!(home.ok(&["run", "--rm", "./hello.wasm"]), "hello");
}

#[test]
fn the_exit_code_is_the_guests() {
    let home = Home::new();
    for code in ["0", "1", "7", "255"] {
        let finished = home.run(&["run", "--rm", &guest("probe.wasm"), "exit", code]);
        assert_eq!(finished.code.to_string(), code);
    }
}

#[test]
fn streams_are_kept_apart() {
    let home = Home::new();
    let finished = home.run(&["run", "--rm", &guest("probe.wasm"), "stderr", "wrong"]);
    assert_eq!(
        (finished.stdout.as_str(), finished.stderr.trim()),
        ("", "wrong")
    );
}

#[test]
fn input_is_passed_on_with_i_and_empty_without() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let finished = home.run_with_input(&["run", "--rm", "-i", &probe, "cat"], b"some input");
    assert_eq!(finished.stdout, "some input");
    let finished = home.run_with_input(&["run", "--rm", &probe, "cat"], b"");
    assert_eq!((finished.code, finished.stdout.as_str()), (0, ""));
}

#[test]
fn variables_come_from_the_command_line_and_the_environment() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let mut command = home.command(&[
        "run", "--rm", "-e", "A=1", "-e", "B", "-e", "MISSING", &probe, "env",
    ]);
    let finished = Ended::of(
        &command
            .env("B", "2")
            .env("C", "3")
            .output()
            .expect("minke starts"),
    );
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert!(
        lines.contains(&"A=1") && lines.contains(&"B=2"),
        "{lines:?}"
    );
    assert!(
        !finished.stdout.contains("C=") && !finished.stdout.contains("MISSING"),
        "{lines:?}"
    );
}

#[test]
fn arguments_that_look_like_flags_are_the_guests() {
    let home = Home::new();
    let printed = home.ok(&[
        "run",
        "--rm",
        &guest("probe.wasm"),
        "args",
        "--rm",
        "-x",
        "--",
        "y",
    ]);
    for argument in ["--rm", "-x", "--", "y"] {
        assert!(printed.contains(argument), "{printed}");
    }
}

#[test]
fn a_volume_is_the_hosts_directory() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    home.write("data/in.txt", "from the host");
    let read = home.ok(&[
        "run",
        "--rm",
        "-v",
        "./data:/data",
        &probe,
        "cat",
        "/data/in.txt",
    ]);
    assert_eq!(read, "from the host");
    home.ok(&[
        "run",
        "--rm",
        "-v",
        "./data:/data",
        &probe,
        "write",
        "/data/out.txt",
        "from the guest",
    ]);
    let written = fs::read_to_string(home.files().join("data/out.txt")).expect("written");
    assert_eq!(written.trim(), "from the guest");
}

#[test]
fn a_read_only_volume_is_not_written() {
    let home = Home::new();
    home.write("data/in.txt", "kept");
    let finished = home.run(&[
        "run",
        "--rm",
        "-v",
        "./data:/data:ro",
        &guest("probe.wasm"),
        "write",
        "/data/in.txt",
        "x",
    ]);
    assert_eq!(finished.code, 1);
    assert_eq!(
        fs::read_to_string(home.files().join("data/in.txt")).expect("there"),
        "kept"
    );
}

#[test]
fn a_read_only_root_is_not_written_but_its_tmpfs_is() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let args = [
        "run",
        "--rm",
        "--read-only",
        "--tmpfs",
        "/tmp:size=1m",
        &probe,
    ];
    let write = |path: &'static str| [&args[..], &["write", path, "x"]].concat();
    assert_eq!(home.run(&write("/x")).code, 1);
    assert_eq!(home.run(&write("/tmp/x")).code, 0);
    let filled = home.run(&[&args[..], &["fill", "/tmp/x", "2"]].concat());
    assert_eq!(filled.code, 1, "{filled:?}");
}

#[test]
fn what_a_container_writes_is_gone_with_it() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    home.ok(&["run", "--rm", &probe, "write", "/x", "text"]);
    assert_eq!(home.run(&["run", "--rm", &probe, "cat", "/x"]).code, 1);
}

#[test]
fn without_network_nothing_is_reached() {
    let home = Home::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let net = guest("net.wasm");
    let send = |mode: &'static str| {
        home.run(&[
            "run",
            "--rm",
            "--network",
            mode,
            &net,
            "send",
            "127.0.0.1",
            &port,
            "text",
        ])
        .code
    };
    assert_ne!(send("none"), 0);
    assert_ne!(send("private"), 0, "the container's loopback is its own");
    listener.set_nonblocking(true).expect("set");
    assert!(listener.accept().is_err(), "nobody has connected");
}

#[test]
fn a_trap_says_why_and_where_and_inspect_tells_it() {
    let home = Home::new();
    let finished = home.run(&[
        "run",
        "--name",
        "trapped",
        &guest("probe.wasm"),
        "trap",
        "unreachable",
    ]);
    assert_eq!(finished.code, 134, "{finished:?}");
    assert!(
        finished.stderr.contains("trapped: unreachable"),
        "{}",
        finished.stderr
    );
    assert!(
        finished.stderr.contains("traps::"),
        "a symbolised backtrace: {}",
        finished.stderr
    );
    let state = &home.inspect("trapped")["State"];
    assert_eq!(
        (&state["ExitCode"], &state["Reason"]),
        (&134.into(), &"unreachable".into())
    );
}

/// Returns the number of the line of a guest's source that has this text.
fn line_of(source: &str, text: &str) -> usize {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../guests")
        .join(source);
    let source = fs::read_to_string(source).expect("readable");
    let index = source.lines().position(|line| line.contains(text));
    index.expect("the source has the line") + 1
}

#[test]
fn a_trap_names_the_lines_of_programs_with_debug_information() {
    let home = Home::new();
    let rust = line_of(
        "rust/probe/src/traps.rs",
        "core::arch::wasm32::unreachable()",
    );
    let ended = home.run(&["run", "--rm", &guest("probe.wasm"), "trap", "unreachable"]);
    let place = format!("probe/src/traps.rs:{rust}:");
    ended.assert_fails(
        134,
        &[
            &place,
            "probe::traps::trap_unreachable",
            "probe/src/main.rs:",
        ],
    );

    // The functions have loops, which are where instructions are added.
    let ended = home.run(&["run", "--rm", &guest("c/trap.wasm")]);
    let frames = [("divide", "return dividend /"), ("main", "sum +=")];
    for (number, (function, text)) in frames.into_iter().enumerate() {
        let line = line_of("c/trap.c", text);
        let frame = format!("{number:>5}: {function}\n             at ");
        let place = format!("guests/c/trap.c:{line}:");
        ended.assert_fails(134, &[&frame, &place]);
    }
    // The same from the layer of an image.
    fs::copy(guest("c/trap.wasm"), home.files().join("trap.wasm")).expect("copied");
    home.write(
        "Balenafile",
        "FROM scratch\nCOPY trap.wasm /\nCMD [\"/trap.wasm\"]\n",
    );
    home.ok(&["build", "-q", "-t", "trap", "."]);
    let ended = home.run(&["run", "--rm", "trap"]);
    let line = line_of("c/trap.c", "return dividend /");
    ended.assert_fails(134, &[&format!("guests/c/trap.c:{line}:")]);
}

#[test]
fn every_trap_has_its_reason() {
    let home = Home::new();
    for (action, reason) in [
        (vec!["trap", "memory"], "out of bounds memory access"),
        (vec!["trap", "divide"], "integer divide by zero"),
        (vec!["recurse"], "stack overflow"),
    ] {
        let probe = guest("probe.wasm");
        let finished = home.run(&[&["run", "--rm", probe.as_str()][..], &action].concat());
        assert_eq!(finished.code, 134, "{action:?}: {finished:?}");
        assert!(
            finished.stderr.contains(reason),
            "{action:?}: {}",
            finished.stderr
        );
    }
    home.assert_nothing_left();
}

#[test]
fn a_terminating_signal_goes_to_the_guest() {
    let home = Home::new();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = home
            .command(&["run", "--rm", "-i", &guest("probe.wasm"), "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("minke starts");
        // What comes back shows that the guest runs.
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(b"x\n").expect("written");
        let mut byte = [0];
        use std::io::Read;
        child
            .stdout
            .as_mut()
            .expect("piped")
            .read_exact(&mut byte)
            .expect("the guest answers");
        send_signal(child.id(), signal);
        assert_eq!(
            child.wait().expect("it ends").code(),
            Some(code),
            "{signal}"
        );
    }
    home.assert_nothing_left();
}

/// Sends a signal to a process of this machine.
pub(crate) fn send_signal(pid: u32, signal: &str) {
    let status = std::process::Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .status();
    assert!(status.expect("kill(1) is there").success());
}
