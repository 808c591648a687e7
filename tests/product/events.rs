//! `minke events`: what happened, kept and followed.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::home::{Home, guest};

/// The actions of a home's events so far that match these filters.
fn actions(home: &Home, filters: &[&str]) -> Vec<String> {
    let mut arguments = vec![
        "events", "--since", "0", "--until", "0s", "--format", "json",
    ];
    for filter in filters {
        arguments.extend(["-f", filter]);
    }
    let lines = home.ok(&arguments);
    let event = |line: &str| -> Value { serde_json::from_str(line).expect("JSON") };
    lines
        .lines()
        .map(|line| {
            event(line)["Action"]
                .as_str()
                .expect("an action")
                .to_owned()
        })
        .collect()
}

#[test]
fn a_containers_life_is_told_in_dockers_words() {
    let home = Home::new();
    home.start("web", &[], &["wait"]);
    home.ok(&["kill", "-s", "CHLD", "web"]);
    home.ok(&["stop", "web"]);
    home.ok(&["rm", "web"]);
    let expected = ["create", "start", "kill", "kill", "die", "stop", "destroy"];
    assert_eq!(actions(&home, &[]), expected);
    assert_eq!(actions(&home, &["event=die", "container=web"]), ["die"]);
    assert_eq!(actions(&home, &["container=other"]), [""; 0]);
    let text = home.ok(&[
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "-f",
        "event=die",
    ]);
    assert!(
        text.contains(" container die ") && text.contains("exitCode=143"),
        "{text}"
    );
}

#[test]
fn events_are_told_as_a_template_says() {
    let home = Home::new();
    home.start("web", &[], &["wait"]);
    let events = |format: &str| {
        home.ok(&[
            "events", "--since", "0", "--until", "0s", "--format", format,
        ])
    };
    let lines = events("{{.Type}} {{.Action}} {{.Actor.Attributes.name}}");
    assert_eq!(lines, "container create web\ncontainer start web");
    let id = home.inspect("web")["Id"].as_str().expect("text").to_owned();
    assert_eq!(events("{{.ID}} {{.From}}").lines().count(), 2);
    assert!(events("{{.Actor.ID}}").starts_with(&id));
    let objects = events("{{json .Actor}}");
    assert!(objects.starts_with("{\"Attributes\":{"), "{objects}");
    home.run(&["events", "--until", "0s", "--format", "{{.Action"])
        .assert_fails(125, &["unclosed action"]);
}

#[test]
fn events_are_followed_as_they_happen() {
    let home = Home::new();
    home.ok(&["ps"]);
    let mut follower = home
        .command(&[
            "events",
            "--since",
            "0",
            "-f",
            "event=die",
            "--format",
            "json",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("minke starts");
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    for code in ["3", "4"] {
        home.run(&["run", "--rm", &guest("probe.wasm"), "exit", code]);
        let line = lines.next().expect("an event").expect("text");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["Actor"]["Attributes"]["exitCode"], code);
    }
    follower.kill().expect("killed");
    follower.wait().expect("ended");
}
