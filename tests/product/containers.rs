//! Containers over several lives: created, started, restarted, renamed, updated.

use std::fs;

use serde_json::{Value, json};

use crate::home::{Home, guest};

#[test]
fn a_created_container_is_started_as_often_as_one_likes() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let id = home.ok(&["create", "--name", "job", &probe, "exit", "7"]);
    assert_eq!(home.state("job")["Status"], "created");
    assert_eq!(home.ok(&["ps", "-q"]), "");
    assert!(home.ok(&["ps", "-a"]).contains("Created"));
    for _ in 0..2 {
        assert_eq!(home.ok(&["start", "job"]), "job");
        assert_eq!(home.ok(&["wait", "job"]), "7");
        assert_eq!(home.inspect("job")["Id"], json!(id));
    }
    assert_eq!(home.run(&["start", "-a", "job"]).code, 7);
    home.ok(&["rm", "job"]);
    home.assert_nothing_left();
}

#[test]
fn what_a_container_wrote_ends_with_its_sandbox_and_its_log_goes_on() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    home.ok(&["create", "--name", "job", &probe, "create-new", "/once"]);
    // It would fail the second time if the file were still there.
    for _ in 0..2 {
        let ended = home.run(&["start", "-a", "job"]);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    home.ok(&["create", "--name", "says", &probe, "print", "again"]);
    for _ in 0..3 {
        home.ok(&["start", "-a", "says"]);
    }
    assert_eq!(home.ok(&["logs", "says"]), "again\nagain\nagain");
}

#[test]
fn start_of_a_running_container_changes_nothing() {
    let home = Home::new();
    home.start("web", &[], &["wait"]);
    let before = home.state("web");
    assert_eq!(home.ok(&["start", "web"]), "web");
    assert_eq!(home.state("web"), before);
}

#[test]
fn restart_gives_another_process_and_the_same_container() {
    let home = Home::new();
    let id = home.start("web", &[], &["wait"]);
    let before = home.state("web")["Pid"].clone();
    assert_eq!(home.ok(&["restart", "-t", "5", "web"]), "web");
    let after = home.inspect("web");
    assert_ne!(after["State"]["Pid"], before);
    assert_eq!(
        (&after["Id"], &after["State"]["Status"]),
        (&json!(id), &json!("running"))
    );
    home.ok(&["stop", "web"]);
    home.ok(&["restart", "web"]);
    assert_eq!(home.state("web")["Status"], "running");
}

#[test]
fn a_start_that_fails_leaves_the_container_as_it_was_with_the_reason() {
    let home = Home::new();
    home.ok(&[
        "create",
        "--name",
        "bad",
        "--user",
        "nobody-knows",
        &guest("probe.wasm"),
        "wait",
    ]);
    let failed = home.run(&["start", "bad"]);
    failed.assert_fails(1, &["nobody-knows"]);
    let state = home.state("bad");
    assert_eq!(state["Status"], "created");
    assert!(
        state["Error"]
            .as_str()
            .expect("text")
            .contains("nobody-knows"),
        "{state}"
    );
    home.ok(&["rm", "bad"]);
    home.assert_nothing_left();
}

#[test]
fn a_renamed_container_is_found_by_its_new_name_alone() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    home.start("web", &["--rm"], &["wait"]);
    home.ok(&["create", "--name", "other", &probe, "wait"]);
    home.ok(&["rename", "web", "w2"]);
    assert_eq!(home.inspect("w2")["Name"], "/w2");
    home.run(&["inspect", "web"])
        .assert_fails(1, &["no such container: `web`"]);
    home.run(&["rename", "w2", "other"])
        .assert_fails(1, &["already in use by container"]);
    home.run(&["rename", "w2", "-x"]).assert_fails(125, &[]);
    home.run(&["rename", "w2", ".x"])
        .assert_fails(1, &["invalid container name: `.x`"]);
    // It removes itself under the name that it has now.
    home.ok(&["stop", "w2"]);
    home.ok(&["rm", "other"]);
    home.assert_nothing_left();
}

#[test]
fn limits_can_be_changed_also_while_a_container_runs() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    home.start("web", &["--memory", "1g"], &["wait"]);
    home.ok(&[
        "create",
        "--name",
        "job",
        "--memory",
        "1g",
        &probe,
        "alloc-try",
    ]);
    assert_eq!(
        home.ok(&[
            "update",
            "--memory",
            "32m",
            "--pids-limit",
            "7",
            "web",
            "job"
        ]),
        "web\njob"
    );
    for name in ["web", "job"] {
        let config = &home.inspect(name)["HostConfig"];
        assert_eq!(
            (&config["Memory"], &config["PidsLimit"]),
            (&json!(32 << 20), &json!(7))
        );
    }
    let tried = home.run(&["start", "-a", "job"]);
    let mebibytes: u64 = tried
        .stdout
        .split_whitespace()
        .find_map(|word| word.parse().ok())
        .expect("a number");
    assert!(mebibytes <= 32, "{tried:?}");
    home.ok(&["update", "--pids-limit", "-1", "web"]);
    assert_eq!(home.inspect("web")["HostConfig"]["PidsLimit"], 4096);
    home.run(&["update", "web"])
        .assert_fails(125, &["you must provide one or more flags"]);
}

#[test]
fn ports_are_told_while_the_container_runs() {
    let home = Home::new();
    home.start(
        "web",
        &["-p", "127.0.0.1::80", "--expose", "90", "-P"],
        &["wait"],
    );
    let address = home.published("web", "80/tcp").to_string();
    assert!(
        home.ok(&["port", "web"])
            .contains(&format!("80/tcp -> {address}"))
    );
    assert_eq!(home.ok(&["port", "web", "80"]), address);
    assert!(
        home.ok(&["port", "web", "90/tcp"]).contains(':'),
        "exposed, and published by -P"
    );
    home.run(&["port", "web", "80/udp"])
        .assert_fails(1, &["no public port `80/udp` published for `web`"]);
    home.ok(&["stop", "web"]);
    assert_eq!(home.ok(&["port", "web"]), "");
}

#[test]
fn what_a_container_is_given_is_what_inspect_tells() {
    let home = Home::new();
    home.write("env", "# comment\nFROM_FILE=1\nBOTH=file\n");
    home.write("labels", "tier=front\nowner=file\n");
    let id = home.ok(&[
        "create",
        "--name",
        "all",
        "--env-file",
        "env",
        "-e",
        "BOTH=typed",
        "--label-file",
        "labels",
        "-l",
        "owner=me",
        "--hostname",
        "box",
        "--stop-signal",
        "USR1",
        "--stop-timeout",
        "3",
        "--restart",
        "on-failure:4",
        "--cidfile",
        "cid",
        "--init",
        "--add-host",
        "db:10.0.0.7",
        "-it",
        "--mount",
        "type=tmpfs,target=/cache,tmpfs-size=1m",
        &guest("probe.wasm"),
        "wait",
    ]);
    assert_eq!(
        fs::read_to_string(home.files().join("cid")).expect("written"),
        id
    );
    let all = home.inspect("all");
    let config = &all["Config"];
    let env: Vec<&str> = config["Env"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        env.contains(&"FROM_FILE=1") && env.contains(&"BOTH=typed") && env.contains(&"TERM=xterm"),
        "{env:?}"
    );
    assert_eq!(config["Labels"], json!({"tier": "front", "owner": "me"}));
    assert_eq!(config["Hostname"], "box");
    assert_eq!(
        (&config["StopSignal"], &config["StopTimeout"]),
        (&json!("USR1"), &json!(3))
    );
    assert_eq!(
        (&config["Tty"], &config["OpenStdin"]),
        (&json!(true), &json!(true))
    );
    let host = &all["HostConfig"];
    assert_eq!(
        host["RestartPolicy"],
        json!({"Name": "on-failure", "MaximumRetryCount": 4})
    );
    assert_eq!(
        (&host["Init"], &host["ExtraHosts"]),
        (&json!(true), &json!(["db:10.0.0.7"]))
    );
    assert_eq!(all["Mounts"][0]["Destination"], "/cache");
}

#[test]
fn what_contradicts_itself_is_refused_and_leaves_nothing() {
    let home = Home::new();
    home.write("cid", "taken");
    home.write("bad-env", "A B=1\n");
    let probe = guest("probe.wasm");
    for (options, part) in [
        (&["--restart", "always", "--rm"][..], "conflicting options"),
        (&["--restart", "often"], "unknown policy `often`"),
        (&["--cidfile", "cid"], "container ID file found"),
        (&["--env-file", "bad-env"], "contains whitespaces"),
        (&["--env-file", "nowhere"], "`nowhere`"),
        (&["--pull", "always"], "no registries yet"),
        (&["--health-cmd", "true"], "no health checks yet"),
        (
            &["--mount", "type=volume,source=da/ta,target=/d"],
            "no name of a volume",
        ),
        (
            &["--stop-signal", "SIGNOTHING"],
            "invalid signal: `SIGNOTHING`",
        ),
        (&["--hostname", "a b"], "invalid hostname"),
        (&["--add-host", "db"], "bad format for add-host"),
        (&["--label", "=x"], "invalid label"),
        (&["--expose", "0"], "out of range"),
        (&["-p", "80-81:80"], "as many ports"),
        (&["-it"], "not a terminal"),
    ] {
        let mut arguments = vec!["run"];
        arguments.extend(options);
        arguments.extend([&*probe, "exit", "0"]);
        home.run(&arguments).assert_fails(125, &[part]);
    }
    home.assert_nothing_left();
    assert_eq!(
        fs::read_to_string(home.files().join("cid")).expect("there"),
        "taken"
    );
}

#[test]
fn without_t_a_guest_sees_no_terminal_and_an_open_input_stays_open() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    assert!(
        !home
            .ok(&["run", "--rm", "-i", &probe, "isatty"])
            .contains("true")
    );
    home.start("reads", &["-i"], &["cat"]);
    assert_eq!(home.state("reads")["Status"], "running");
    home.ok(&["stop", "reads"]);
    assert_eq!(home.state("reads")["ExitCode"], 143, "it was still reading");
}

#[test]
fn hosts_that_were_added_are_known_to_programs_and_to_the_resolver() {
    let home = Home::new();
    let hosts = ["--add-host", "db:10.0.0.7", "--add-host", "db6=[fd00::7]"];
    let run = |program: &str, arguments: &[&str]| {
        let program = guest(program);
        home.ok(&[&["run", "--rm"][..], &hosts, &[&*program], arguments].concat())
    };
    let file = run("probe.wasm", &["cat", "/etc/hosts"]);
    assert!(
        file.contains("10.0.0.7\tdb") && file.contains("fd00::7\tdb6"),
        "{file}"
    );
    assert!(run("net.wasm", &["resolve", "db"]).contains("10.0.0.7"));
}
