//! What is typed wrong, or names what cannot be: a clear message, the right exit code, nothing left behind.

use crate::home::{Home, guest};

#[test]
fn a_program_that_is_not_there_is_not_found() {
    let home = Home::new();
    home.fails(
        &["run", "--rm", "./nobody.wasm"],
        127,
        "error: `./nobody.wasm`: no such file or directory\n\
         hint: give the path of a module, a directory with a Balenafile, or an image's name",
    );
    home.write(
        "Balenafile",
        "FROM scratch\nCOPY Balenafile /text\nCMD [\"nobody\"]\n",
    );
    home.ok(&["build", "-q", "-t", "empty", "."]);
    home.fails(
        &["run", "--rm", "empty"],
        127,
        "error: `nobody`: executable file not found in `$PATH`\n\
         hint: give its path, or set `ENV PATH` in the Balenafile",
    );
    home.fails(
        &["run", "-d", "empty", "/nobody"],
        127,
        "error: `/nobody`: no such file in the container\n\
         hint: check the path in the Balenafile's `COPY`, `WORKDIR` and `CMD`",
    );
    home.fails(
        &["run", "--rm", "empty", "/text"],
        126,
        "error: `/text` is not a WebAssembly module: it is a file that starts with [46, 52, 4f, 4d]\n\
         hint: give a file that a compiler for WebAssembly made",
    );
    home.assert_nothing_left();
}

#[test]
fn unknown_names_come_with_the_nearest() {
    let home = Home::new();
    home.ok(&[
        "run",
        "-d",
        "--name",
        "website",
        &guest("probe.wasm"),
        "wait",
    ]);
    for command in ["stop", "kill", "logs", "inspect", "rm", "wait"] {
        let finished = home.run(&[command, "webside"]);
        assert_eq!(
            finished.stderr.trim(),
            "error: no such container: `webside`\nhint: did you mean `website`?",
            "{command}"
        );
        assert_eq!(finished.code, 1, "{command}");
    }
    home.write("Balenafile", "FROM scratch\nCOPY Balenafile /\n");
    home.ok(&["build", "-q", "-t", "hello:1", "."]);
    home.fails(
        &["run", "--rm", "helo:1"],
        125,
        "error: no such image: `helo:1`\nhint: did you mean `hello:1`?",
    );
    home.fails(
        &["rmi", "helo:1"],
        1,
        "error: no such image: `helo:1`\nhint: did you mean `hello:1`?",
    );
    let finished = home.run(&["run", "--nam", "x", "hello:1"]);
    assert_eq!(finished.code, 125);
    assert!(finished.stderr.contains("'--name'"), "{finished:?}");
    let finished = home.run(&["ruun"]);
    assert_eq!(finished.code, 125);
    assert!(finished.stderr.contains("'run'"), "{finished:?}");
}

#[test]
fn swapped_letters_are_seen_through() {
    let home = Home::new();
    home.ok(&["run", "-d", "--name", "web", &guest("probe.wasm"), "wait"]);
    home.fails(
        &["stop", "wbe"],
        1,
        "error: no such container: `wbe`\nhint: did you mean `web`?",
    );
    home.write("Balenafile", "FROM scratch\nCOPY Balenafile /\n");
    home.ok(&["build", "-q", "-t", "app:1", "."]);
    for typed in ["pap:1", "paap"] {
        let said = format!("error: no such image: `{typed}`\nhint: did you mean `app:1`?");
        home.fails(&["run", "--rm", typed], 125, &said);
    }
    for (typed, meant) in [("rnu", "run"), ("sp", "ps"), ("iamges", "images")] {
        let ended = home.run(&[typed]);
        ended.assert_fails(125, &[&format!("'{meant}'")]);
    }
}

#[test]
fn a_name_in_use_is_refused_with_its_holder() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let id = home.ok(&["run", "-d", "--name", "web", &probe, "wait"]);
    home.fails(
        &["run", "-d", "--name", "web", &probe, "wait"],
        125,
        &format!(
            "error: the container name `web` is already in use by container `{id}`\n\
             hint: remove that container with `minke rm -f web`, or choose another name"
        ),
    );
    assert_eq!(home.ok(&["ps", "-a", "-q"]).lines().count(), 1);
}

#[test]
fn a_port_in_use_is_refused_and_leaves_no_container() {
    let home = Home::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    for mode in ["-d", "--rm"] {
        let publish = format!("127.0.0.1:{port}:3000");
        let finished = home.run(&["run", mode, "-p", &publish, &guest("probe.wasm"), "wait"]);
        assert_eq!(finished.code, 125);
        assert!(
            finished.stderr.contains("address already in use"),
            "{finished:?}"
        );
        assert!(
            finished.stderr.contains("hint: choose another host port"),
            "{finished:?}"
        );
        home.assert_nothing_left();
    }
}

#[test]
fn values_of_flags_are_checked_before_anything_is_made() {
    let home = Home::new();
    for (flags, message) in [
        (
            &["-p", "70000:80"][..],
            "error: port `70000` in `70000:80` is out of range\nhint: ports are numbers from 1 to 65535",
        ),
        (
            &["-v", "da!ta:/data"],
            "error: `da!ta` is no name of a volume: only `[a-zA-Z0-9][a-zA-Z0-9_.-]` are allowed, from 2 to 200 characters\nhint: for a directory of the host write a path, such as `./data`",
        ),
        (
            &["--memory", "lots"],
            "error: invalid size `lots`\nhint: write a positive number with a unit, such as `64m` or `1g`",
        ),
        (
            &["--tmpfs", "tmp"],
            "error: invalid mount path `tmp` in `tmp`\nhint: the path in the container is absolute, without `..`, and not `/` itself",
        ),
    ] {
        let args = [&["run", "--rm"], flags, &["./x.wasm"]].concat();
        home.fails(&args, 125, message);
        assert!(!home.path().exists(), "{flags:?}");
    }
}

#[test]
fn what_the_container_cannot_have_is_refused_and_leaves_nothing() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    for (flags, message) in [
        (
            &["-v", "./missing:/data"][..],
            "error: cannot mount `FILES/missing`: no such file or directory\nhint: make it first: `mkdir -p FILES/missing`",
        ),
        (
            &["-u", "nobody"],
            "error: unable to find user `nobody`: no matching entries in the container's `/etc/passwd`\nhint: use a number, such as `1000:1000`",
        ),
        (
            &["-w", "relative"],
            "error: the working directory `relative` is invalid, it needs to be an absolute path\nhint: begin it with `/`",
        ),
        (
            &["--name", "a b"],
            "error: invalid container name: `a b`, only `[a-zA-Z0-9][a-zA-Z0-9_.-]` are allowed, from 2 to 200 characters\nhint: use letters, digits, `_`, `.` and `-`, such as `web-1`",
        ),
        (
            &["--network", "none", "-p", "80:80"],
            "error: ports cannot be published on the network mode `none`\nhint: leave out `-p` or `--network`",
        ),
    ] {
        let args = [&["run", "--rm"], flags, &[probe.as_str(), "wait"]].concat();
        home.fails(&args, 125, message);
        home.assert_nothing_left();
    }
}

#[test]
fn only_what_runs_can_be_killed_and_only_what_has_ended_removed() {
    let home = Home::new();
    home.ok(&["run", "-d", "--name", "web", &guest("probe.wasm"), "wait"]);
    home.fails(
        &["rm", "web"],
        1,
        "error: cannot remove container `web`: it is running\n\
         hint: stop it with `minke stop web`, or remove it with `minke rm -f web`",
    );
    home.fails(
        &["kill", "-s", "NOSUCH", "web"],
        1,
        "error: `NOSUCH` is not a signal\nhint: use a name or a number, such as `TERM`, `SIGKILL` or `9`",
    );
    home.ok(&["stop", "web"]);
    home.fails(
        &["kill", "web"],
        1,
        "error: cannot kill container `web`: it is not running\nhint: `minke ps` lists what runs",
    );
    assert_eq!(
        home.ok(&["stop", "web"]),
        "web",
        "as with Docker, stopping twice is no failure"
    );
}
