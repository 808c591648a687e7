//! `minke ps` and `inspect`: which containers, and what of them.

use serde_json::Value;

use crate::home::{Home, guest};

/// Names of the containers that `ps` lists with these arguments.
fn listed(home: &Home, arguments: &[&str]) -> Vec<String> {
    let mut all = vec!["ps", "--format", "{{.Names}}"];
    all.extend(arguments);
    home.ok(&all).lines().map(str::to_owned).collect()
}

/// Three containers: `old` ended with 3, `made` was only created, `up` runs.
fn three(home: &Home) {
    let probe = guest("probe.wasm");
    home.run(&[
        "run",
        "--name",
        "old",
        "-l",
        "tier=back",
        &probe,
        "exit",
        "3",
    ]);
    home.write("shared/file", "");
    home.ok(&[
        "create",
        "--name",
        "made",
        "-v",
        "./shared:/data",
        "--expose",
        "90",
        &probe,
        "wait",
    ]);
    home.start(
        "up",
        &["-l", "tier=front", "-l", "x", "-p", "127.0.0.1::80"],
        &["wait"],
    );
}

#[test]
fn ps_shows_what_runs_unless_it_is_asked_for_more() {
    let home = Home::new();
    three(&home);
    assert_eq!(listed(&home, &[]), ["up"]);
    assert_eq!(listed(&home, &["-a"]), ["up", "made", "old"]);
    assert_eq!(listed(&home, &["-n", "2"]), ["up", "made"]);
    assert_eq!(listed(&home, &["-l"]), ["up"]);
    assert_eq!(listed(&home, &["-n", "-1"]), ["up"]);
}

#[test]
fn every_filter_chooses() {
    let home = Home::new();
    three(&home);
    let id = home.inspect("made")["Id"]
        .as_str()
        .expect("text")
        .to_owned();
    let data = home.files().join("shared");
    let by_id = format!("id={}", &id[..8]);
    let by_volume = format!("volume={}", data.display());
    let probe = format!("ancestor={}", guest("probe.wasm"));
    for (filters, names) in [
        (&["status=exited"][..], &["old"][..]),
        (&["status=created", "status=running"], &["up", "made"]),
        (&["exited=3"], &["old"]),
        (&["exited=4"], &[]),
        (&["name=m"], &["made"]),
        (&["name=^/old$"], &["old"]),
        (&[&*by_id], &["made"]),
        (&["label=tier"], &["up", "old"]),
        (&["label=tier=front", "label=x"], &["up"]),
        (&["label=tier=back", "label=x"], &[]),
        (&["before=made"], &["old"]),
        (&["since=old"], &["up", "made"]),
        (&["publish=80"], &["up"]),
        (&["publish=70-90/tcp"], &["up"]),
        (&["expose=90/tcp"], &["made"]),
        (&["volume=/data"], &["made"]),
        (&[&*by_volume], &["made"]),
        (&["network=private"], &["up", "made", "old"]),
        (&["network=host"], &[]),
        (&[&*probe], &["up", "made", "old"]),
    ] {
        let mut arguments = vec!["-a"];
        filters
            .iter()
            .for_each(|filter| arguments.extend(["-f", filter]));
        assert_eq!(listed(&home, &arguments), names, "{filters:?}");
    }
    assert_eq!(
        listed(&home, &["-f", "status=exited"]),
        ["old"],
        "without -a"
    );
}

#[test]
fn filters_that_are_wrong_are_named() {
    let home = Home::new();
    for (filter, code, part) in [
        ("web", 125, "invalid filter `web`"),
        ("colour=red", 125, "invalid filter `colour`"),
        ("status=happy", 125, "invalid filter `status=happy`"),
        ("health=healthy", 125, "no health checks yet"),
        ("since=nobody", 1, "no such container: `nobody`"),
    ] {
        home.run(&["ps", "-f", filter]).assert_fails(code, &[part]);
    }
}

#[test]
fn sizes_are_those_of_what_was_written_and_of_the_image() {
    let home = Home::new();
    home.start("writes", &["-i"], &["fill", "/big", "3"]);
    home.ok(&["wait", "writes"]);
    let ended = &home.ok(&["ps", "-a", "-s", "--format", "{{.Size}}"]);
    assert_eq!(ended, "0B", "what it wrote went with it");
    let table = home.ok(&["ps", "-a", "-s"]);
    assert!(
        table
            .lines()
            .next()
            .is_some_and(|line| line.ends_with("SIZE")),
        "{table}"
    );
    home.start("idle", &[], &["wait"]);
    let sizes: Value = serde_json::from_str(&home.ok(&["inspect", "-s", "idle"])).expect("JSON");
    assert!(
        sizes[0]["SizeRw"].is_u64() && sizes[0]["SizeRootFs"].is_u64(),
        "{sizes}"
    );
}

#[test]
fn inspect_takes_several_names_and_looks_for_one_kind() {
    let home = Home::new();
    three(&home);
    assert_eq!(
        home.ok(&["inspect", "-f", "{{.Name}}", "up", "old"]),
        "/up\n/old"
    );
    home.ok(&["inspect", "--type", "container", "up"]);
    home.run(&["inspect", "--type", "image", "up"])
        .assert_fails(1, &["no such image: `up`"]);
    let some = home.run(&["inspect", "up", "nobody"]);
    some.assert_fails(1, &["no such container: `nobody`"]);
    assert!(some.stdout.contains("/up"), "{some:?}");
}

#[test]
fn a_clock_that_was_set_back_and_a_host_that_was_restarted_do_not_confuse_ps() {
    let home = Home::new();
    let id = home.start("web", &[], &["wait"]);
    let path = home.path().join("containers").join(id).join("state.json");
    let mut state: Value =
        serde_json::from_slice(&std::fs::read(&path).expect("there")).expect("JSON");
    state["started_at"] = "2999-01-01T00:00:00.000000000Z".into();
    state["boot_id"] = "another".into();
    std::fs::write(&path, state.to_string()).expect("written");
    let shown = home.ok(&["ps"]);
    assert!(shown.contains("Up Less than a second"), "{shown}");
    let pid = state["pid"].to_string();
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &pid])
        .status();
    assert!(killed.expect("`kill` starts").success());
    home.run(&["wait", "web"]);
    assert_eq!(
        home.inspect("web")["State"]["Reason"],
        "the host was restarted"
    );
}

#[test]
fn records_of_an_older_and_a_newer_minke_are_read() {
    let home = Home::new();
    let id = home.ok(&["create", "--name", "web", &guest("probe.wasm"), "exit", "3"]);
    let directory = home.path().join("containers").join(id);
    let change = |name: &str, change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let path = directory.join(name);
        let bytes = std::fs::read(&path).expect("there");
        let mut record: Value = serde_json::from_slice(&bytes).expect("JSON");
        change(record.as_object_mut().expect("an object"));
        std::fs::write(&path, record.to_string()).expect("written");
    };
    // A newer one has told more, an older one less.
    change("config.json", &|record| {
        record.insert("to_come".to_owned(), serde_json::json!({"a": [1]}));
        for field in ["restart", "stop_timeout_s", "has_init"] {
            assert!(record.remove(field).is_some(), "{field}");
        }
        let spec = record["spec"].as_object_mut().expect("an object");
        spec.insert("to_come".to_owned(), true.into());
    });
    change("state.json", &|record| {
        record.insert("to_come".to_owned(), "text".into());
        for field in ["error", "restart_count", "is_starting", "boot_id"] {
            assert!(record.remove(field).is_some(), "{field}");
        }
    });
    assert_eq!(listed(&home, &["-a", "-f", "status=created"]), ["web"]);
    assert_eq!(
        home.inspect("web")["HostConfig"]["RestartPolicy"]["Name"],
        "no"
    );
    home.ok(&["rename", "web", "other"]);
    assert_eq!(home.run(&["start", "-a", "other"]).code, 3);
    home.ok(&["rm", "other"]);
    home.assert_nothing_left();
}

#[test]
fn a_record_that_a_power_cut_damaged_shows_as_dead_and_can_be_removed() {
    let home = Home::new();
    for (name, file) in [("one", "state.json"), ("two", "config.json")] {
        let id = home.ok(&["create", "--name", name, &guest("probe.wasm"), "wait"]);
        std::fs::write(home.path().join("containers").join(id).join(file), "").expect("written");
    }
    assert_eq!(listed(&home, &["-a", "-f", "status=dead"]), ["one", "two"]);
    home.run(&["start", "one"])
        .assert_fails(1, &["its record is damaged"]);
    home.ok(&["rm", "one", "two"]);
    home.assert_nothing_left();
}

#[test]
fn dockers_longer_names_do_the_same() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    home.ok(&["container", "run", "-d", "--name", "web", &probe, "wait"]);
    for ls in ["ls", "list", "ps"] {
        assert_eq!(home.ok(&["container", ls, "--format", "{{.Names}}"]), "web");
    }
    assert_eq!(
        home.ok(&["container", "inspect", "-f", "{{.State.Status}}", "web"]),
        "running"
    );
    home.run(&["container", "inspect", "image"])
        .assert_fails(1, &["no such container: `image`"]);
    home.ok(&["container", "rm", "-f", "web"]);
    home.assert_nothing_left();
}
