//! Many commands at once in one home: one winner for each name, and nobody sees half a state.

use std::thread;

use serde_json::Value;

use crate::home::{Ended, Home, guest};

/// Commands that want the same at once.
const RIVALS: usize = 8;

/// How often each of several goes through a container's life.
const ROUNDS: usize = 4;

#[test]
fn of_many_that_claim_a_name_one_gets_it() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    let claim = || home.run(&["run", "-d", "--name", "web", &probe, "wait"]);
    let ended: Vec<Ended> = thread::scope(|scope| {
        let rivals: Vec<_> = (0..RIVALS).map(|_| scope.spawn(claim)).collect();
        rivals
            .into_iter()
            .map(|rival| rival.join().expect("it ends"))
            .collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = ended.iter().partition(|ended| ended.code == 0);
    assert_eq!(won.len(), 1, "{ended:?}");
    let id = won[0].stdout.trim();
    for ended in lost {
        ended.assert_fails(125, &["`web` is already in use by container"]);
    }
    assert_eq!(home.ok(&["ps", "-a", "-q", "--no-trunc"]), id);
    home.ok(&["rm", "-f", "web"]);
    home.assert_nothing_left();
}

/// What a command may say that comes too late or too early.
const EXPECTED: [&str; 5] = [
    "no such container",
    "is already in use",
    "it is being started",
    "it is not running",
    "it is running",
];

#[track_caller]
fn assert_done_or_overtaken(ended: &Ended) {
    let is_expected = EXPECTED.iter().any(|text| ended.stderr.contains(text));
    assert!(ended.code == 0 || is_expected, "{ended:?}");
}

/// Takes containers, its own and one that others want too, from their start to their removal.
fn live(home: &Home, own: &str) {
    let probe = guest("probe.wasm");
    for round in 0..ROUNDS {
        for name in [own, "shared"] {
            let started = home.run(&["run", "-d", "--name", name, &probe, "wait"]);
            assert_done_or_overtaken(&started);
            let listed = home.ok(&["ps", "-a", "--format", "json"]);
            for line in listed.lines() {
                serde_json::from_str::<Value>(line).expect("whole records are listed");
            }
            assert_done_or_overtaken(&home.run(&["stop", "-t", "0", name]));
            let removal = if round % 2 == 0 {
                &["rm"][..]
            } else {
                &["rm", "-f"]
            };
            assert_done_or_overtaken(&home.run(&[removal, &[name]].concat()));
        }
        let free = home.run(&["run", "--rm", "--name", own, &probe, "exit", "7"]);
        assert_eq!(free.code, 7, "the name is free again: {free:?}");
    }
}

#[test]
fn lives_that_cross_leave_nothing() {
    let home = Home::new();
    thread::scope(|scope| {
        for own in ["one", "two", "three", "four"] {
            let home = &home;
            scope.spawn(move || live(home, own));
        }
    });
    for id in home.ok(&["ps", "-a", "-q"]).lines() {
        home.ok(&["rm", "-f", id]);
    }
    home.assert_nothing_left();
}
