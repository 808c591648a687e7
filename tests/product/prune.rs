//! `minke container prune`: containers that do not run go, others stay.

use crate::home::{Home, guest};

fn names(home: &Home) -> String {
    home.ok(&["ps", "-a", "--format", "{{.Names}}"])
}

#[test]
fn containers_that_do_not_run_are_pruned_by_label_and_age() {
    let home = Home::new();
    let probe = guest("probe.wasm");
    home.start("web", &[], &["wait"]);
    home.ok(&["create", "--name", "old", "-l", "tier=test", &probe, "wait"]);
    home.ok(&["run", "--name", "done", &probe, "exit", "0"]);
    let young = ["container", "prune", "-f", "--filter", "until=1h"];
    assert_eq!(home.ok(&young), "Total reclaimed space: 0B");
    let id = home.inspect("old")["Id"].as_str().expect("text").to_owned();
    let pruned = home.ok(&["container", "prune", "-f", "--filter", "label=tier=test"]);
    let expected = format!("Deleted Containers:\n{id}\n\nTotal reclaimed space: ");
    assert!(pruned.starts_with(&expected), "{pruned}");
    assert_eq!(names(&home), "done\nweb");
    home.ok(&["container", "prune", "-f"]);
    assert_eq!(names(&home), "web");
    let told = home.events("event=prune");
    assert_eq!(told.lines().count(), 2, "{told}");
}

#[test]
fn a_prune_asks_first_and_refuses_filters_that_mean_nothing() {
    let home = Home::new();
    home.ok(&["create", "--name", "old", &guest("probe.wasm"), "wait"]);
    home.run(&["container", "prune"]).assert_fails(
        1,
        &["stopped containers", "container prune has been cancelled"],
    );
    home.fails(
        &["container", "prune", "-f", "--filter", "dangling=true"],
        125,
        "error: invalid filter `dangling`\nhint: use one of label, label!, until, such as `until=24h`",
    );
    assert_eq!(names(&home), "old");
    let ended = home.run_with_input(&["container", "prune"], b"y\n");
    assert_eq!(ended.code, 0, "{ended:?}");
    home.assert_nothing_left();
}
