//! Containers in the background: from `run -d` to `rm`.

use std::fs;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::home::{Home, example, fetch, guest, own_address};

/// Builds an example and starts it; returns the host's address.
#[track_caller]
fn start(home: &Home, example_name: &str, name: &str) -> SocketAddr {
    let image = format!("{example_name}:1");
    home.ok(&["build", "-q", "-t", &image, &example(example_name)]);
    let publish = format!("{}:0:3000", own_address());
    home.ok(&["run", "-d", "--name", name, "-p", &publish, &image]);
    home.published(name, "3000/tcp")
}

#[test]
fn an_image_is_built_run_fetched_listed_stopped_and_removed() {
    let home = Home::new();
    let address = start(&home, "hello-rust", "web");
    let answer = fetch(address, "/");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("Rust"), "{answer}");

    let listed = home.ok(&["ps"]);
    assert!(
        listed.contains("hello-rust:1") && listed.contains("Up "),
        "{listed}"
    );
    assert!(listed.contains(&format!("{address}->3000/tcp")), "{listed}");
    assert!(home.ok(&["logs", "web"]).contains("listening"));
    assert_eq!(home.inspect("web")["State"]["Running"], json!(true));

    assert_eq!(home.ok(&["stop", "web"]), "web");
    assert_eq!(home.ok(&["ps", "-q"]), "");
    let state = &home.inspect("web")["State"];
    assert_eq!(
        (&state["Status"], &state["ExitCode"]),
        (&json!("exited"), &json!(143))
    );
    assert!(home.ok(&["ps", "-a"]).contains("Exited (143)"));
    assert_eq!(home.ok(&["rm", "web"]), "web");
    home.assert_nothing_left();
}

#[test]
fn a_port_is_free_again_once_stop_returns() {
    let home = Home::new();
    let publish = format!("{}:3000", start(&home, "hello-rust", "first"));
    for name in ["second", "third"] {
        home.ok(&["stop", home.ok(&["ps", "-q"]).trim()]);
        home.ok(&["run", "-d", "--name", name, "-p", &publish, "hello-rust:1"]);
    }
}

#[test]
fn wait_tells_the_exit_code_however_it_comes() {
    let home = Home::new();
    home.start("exits", &[], &["exit", "5"]);
    assert_eq!(home.ok(&["wait", "exits"]), "5");
    assert_eq!(home.ok(&["wait", "exits"]), "5", "it has ended already");

    home.start("waits", &[], &["wait"]);
    let waiting = home
        .command(&["wait", "waits"])
        .stdout(std::process::Stdio::piped())
        .spawn();
    home.ok(&["kill", "waits"]);
    let waited = waiting
        .expect("minke starts")
        .wait_with_output()
        .expect("it ends");
    assert_eq!(String::from_utf8_lossy(&waited.stdout).trim(), "137");
    assert_eq!(
        home.inspect("waits")["State"]["Reason"],
        json!("ended by SIGKILL")
    );
}

#[test]
fn kill_sends_the_signal_that_is_asked_for() {
    let home = Home::new();
    home.start("waits", &[], &["wait"]);
    assert_eq!(
        home.ok(&["kill", "-s", "CHLD", "waits"]),
        "waits",
        "ignored by default"
    );
    assert_eq!(home.ok(&["kill", "-s", "SIGUSR1", "waits"]), "waits");
    assert_eq!(home.ok(&["wait", "waits"]), "138");
}

#[test]
fn a_compute_bound_guest_stops_at_once() {
    let home = Home::new();
    for what in ["registers", "memory", "recursion"] {
        home.start("spins", &[], &["spin", what]);
        // Without a limit on the time it would hang here for ever.
        home.ok(&["stop", "-t", "-1", "spins"]);
        assert_eq!(
            home.inspect("spins")["State"]["ExitCode"],
            json!(143),
            "{what}"
        );
        home.ok(&["rm", "spins"]);
    }
}

#[test]
fn rm_in_the_background_leaves_nothing() {
    let home = Home::new();
    home.start("short", &["--rm"], &["wait"]);
    home.ok(&["stop", "short"]);
    home.assert_nothing_left();
}

#[test]
fn a_detached_container_has_no_input_and_outlives_its_command() {
    let home = Home::new();
    home.start("reads", &[], &["cat"]);
    assert_eq!(home.ok(&["wait", "reads"]), "0", "it reads the end at once");
}

#[test]
fn containers_are_found_by_name_id_and_beginning_of_an_id() {
    let home = Home::new();
    let id = home.start("found", &[], &["wait"]);
    assert_eq!(id.len(), 64);
    for name in ["found", &id, &id[..12], &id[..3]] {
        assert_eq!(home.inspect(name)["Id"], json!(id), "{name}");
    }
    assert_eq!(home.ok(&["ps", "-q"]), id[..12]);
}

#[test]
fn a_container_without_a_name_gets_one_that_works() {
    let home = Home::new();
    home.ok(&["run", "-d", &guest("probe.wasm"), "wait"]);
    let line = home.ok(&["ps", "--format", "json"]);
    let row: Value = serde_json::from_str(&line).expect("one JSON object");
    let name = row["Names"].as_str().expect("a name");
    assert!(name.contains('_'), "{name}");
    assert_eq!(home.ok(&["stop", name]), name);
}

#[test]
fn several_are_named_at_a_time_and_a_wrong_one_does_not_keep_the_others() {
    let home = Home::new();
    for name in ["one", "two"] {
        home.start(name, &[], &["wait"]);
    }
    let stopped = home.run(&["stop", "one", "nobody", "two"]);
    assert_eq!(
        (stopped.code, stopped.stdout.as_str()),
        (1, "one\ntwo\n"),
        "{stopped:?}"
    );
    assert_eq!(home.ok(&["rm", "one", "two"]), "one\ntwo");
    home.assert_nothing_left();
}

#[test]
fn a_home_with_a_path_longer_than_a_sockets_address_works() {
    let home = Home::new();
    let long = home.files().join("d".repeat(150)).join("e".repeat(100));
    let minke = |args: &[&str]| {
        let output = home
            .command(args)
            .env("MINKE_HOME", &long)
            .output()
            .expect("minke starts");
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    minke(&["run", "-d", "--name", "far", &guest("probe.wasm"), "wait"]);
    minke(&["stop", "far"]);
    minke(&["rm", "far"]);
}

#[test]
fn images_are_listed_and_removed_unless_a_container_uses_them() {
    let home = Home::new();
    start(&home, "hello-rust", "web");
    let listed = home.ok(&["images"]);
    assert!(listed.contains("hello-rust   1"), "{listed}");
    home.fails(
        &["rmi", "hello-rust:1"],
        1,
        "error: image `hello-rust:1` is used by container `web`\n\
         hint: remove the container with `minke rm web`, or the image with `minke rmi -f`",
    );
    home.ok(&["rm", "-f", "web"]);
    assert!(
        home.ok(&["rmi", "hello-rust:1"])
            .contains("Untagged: hello-rust:1")
    );
    assert_eq!(home.ok(&["images", "-q"]), "");
}

#[test]
fn a_directory_with_a_balenafile_is_built_and_run() {
    let home = Home::new();
    fs::create_dir(home.files().join("app")).expect("a directory");
    fs::copy(guest("hello.wasm"), home.files().join("app/hello.wasm")).expect("copied");
    home.write(
        "app/Balenafile",
        "FROM scratch\nCOPY hello.wasm /bin/\nCMD [\"hello\"]\n",
    );
    assert_eq!(home.ok(&["run", "--rm", "./app"]), "hello");
    home.assert_nothing_left();
}

#[test]
fn inspect_tells_how_far_files_are_confined() {
    let home = Home::new();
    home.start("web", &[], &["wait"]);
    let inspected = home.inspect("web");
    let told = inspected["FilesConfined"].as_str().expect("a word");
    assert!(["fully", "partly", "no"].contains(&told), "{told}");
    // Linux: `Documentation/admin-guide/LSM/index.rst`. Only root may read it everywhere.
    if let Ok(modules) = fs::read_to_string("/sys/kernel/security/lsm") {
        let has_landlock = modules.trim().split(',').any(|name| name == "landlock");
        assert_eq!(told != "no", has_landlock, "{told}, {modules}");
    }
    home.ok(&["stop", "web"]);
    assert_eq!(home.inspect("web")["FilesConfined"], told, "it is kept");
}
