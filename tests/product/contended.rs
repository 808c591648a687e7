//! Several commands at once on the same container.

use std::process::Stdio;

use crate::home::{Home, guest};

/// Commands that are started at the same time.
const TOGETHER: usize = 6;

#[test]
fn several_starts_stops_and_looks_at_once_leave_one_container_that_is_as_it_says() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    home.ok(&["create", "--name", "web", &probe, "wait"]);
    let all = |words: &[&str]| {
        let children: Vec<_> = (0..TOGETHER)
            .flat_map(|_| [words, &["ps", "-a"], &["inspect", "web"]])
            .map(|words| {
                home.command(words)
                    .stdout(Stdio::null())
                    .spawn()
                    .expect("minke starts")
            })
            .collect();
        for mut child in children {
            assert!(child.wait().expect("it ends").success(), "{words:?}");
        }
    };
    for _ in 0..3 {
        all(&["start", "web"]);
        assert_eq!(home.state("web")["Status"], "running");
        all(&["stop", "-t", "0", "web"]);
        assert_eq!(home.state("web")["Status"], "exited");
    }
    let starts = home.events("event=start");
    assert_eq!(
        starts.lines().count(),
        3,
        "it was never started twice: {starts}"
    );
    home.ok(&["rm", "web"]);
    home.assert_nothing_left();
}

#[test]
fn several_removals_at_once_remove_it_once() {
    let home = Home::new();
    home.start("web", &[], &["wait"]);
    let removals: Vec<_> = (0..TOGETHER)
        .map(|_| {
            let mut removal = home.command(&["rm", "-f", "web"]);
            removal.stdout(Stdio::null()).stderr(Stdio::null());
            removal.spawn().expect("minke starts")
        })
        .collect();
    for mut removal in removals {
        // One that comes too late says so, and is no failure.
        assert!(removal.wait().expect("it ends").success());
    }
    home.assert_nothing_left();
    let destroyed = home.events("event=destroy");
    assert_eq!(destroyed.lines().count(), 1, "{destroyed}");
}
