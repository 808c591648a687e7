//! How much room everything takes, and removing what nothing needs.

use std::fs;

use super::build;
use crate::home::{Home, guest};

#[test]
fn df_tells_what_there_is_and_what_a_prune_frees() {
    let home = Home::new();
    build(&home, "app:1", "");
    build(&home, "app:2", "ENV A=1");
    home.ok(&["run", "--name", "web", "app:1"]);
    let row = |kind: &str| {
        let text = home.ok(&[
            "system",
            "df",
            "--format",
            "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}",
        ]);
        let line = text
            .lines()
            .find(|line| line.starts_with(kind))
            .expect("a row of this kind");
        line.split('|')
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(row("Images")[..2], ["2", "1"]);
    assert_eq!(row("Containers")[..2], ["1", "0"]);
    assert_eq!(row("Compiled Modules")[0], "1");
    let table = home.ok(&["system", "df"]);
    assert!(
        table.starts_with("TYPE")
            && table.contains("RECLAIMABLE")
            && table.contains("Local Volumes"),
        "{table}"
    );
    let verbose = home.ok(&["system", "df", "-v"]);
    for text in [
        "Images space usage:",
        "UNIQUE SIZE",
        "web",
        "Build cache usage:",
    ] {
        assert!(verbose.contains(text), "no {text:?} in {verbose}");
    }
}

#[test]
fn a_system_prune_asks_and_leaves_what_is_used() {
    let home = Home::new();
    build(&home, "app:1", "");
    build(&home, "app:1", "ENV A=1");
    build(&home, "other:1", "ENV B=1");
    let probe = guest("probe.wasm");
    home.ok(&["run", "-d", "--name", "runs", &probe, "wait"]);
    home.ok(&["run", "--name", "ended", "app:1"]);
    let refused = home.run(&["system", "prune"]);
    refused.assert_fails(
        1,
        &[
            "WARNING! This will remove:",
            "all stopped containers",
            "all dangling images",
            "has been cancelled",
        ],
    );
    assert_eq!(home.ok(&["ps", "-a", "-q"]).lines().count(), 2);
    let pruned = home.run_with_input(&["system", "prune"], b"y\n");
    for text in [
        "Deleted Containers:",
        "Deleted Images:",
        "Total reclaimed space: ",
    ] {
        assert!(pruned.stdout.contains(text), "no {text:?} in {pruned:?}");
    }
    assert_eq!(home.ok(&["ps", "-a", "--format", "{{.Names}}"]), "runs");
    assert_eq!(home.ok(&["images", "-q"]).lines().count(), 2);
    home.ok(&["system", "prune", "-a", "-f", "--volumes"]);
    assert_eq!(home.ok(&["images", "-q"]), "");
    assert_eq!(
        fs::read_dir(home.path().join("images/blobs/sha256"))
            .expect("readable")
            .count(),
        0
    );
    assert_eq!(home.ok(&["ps", "--format", "{{.Names}}"]), "runs");
    assert!(
        home.ok(&["run", "--rm", &guest("hello.wasm")])
            .contains("hello")
    );
    home.ok(&["rm", "-f", "runs"]);
}

#[test]
fn filters_choose_what_is_pruned() {
    let home = Home::new();
    // A container has the labels of its image too.
    build(&home, "app:1", "");
    home.ok(&["run", "--name", "kept", "--label", "keep=yes", "app:1"]);
    home.ok(&["run", "--name", "gone", "app:1"]);
    home.ok(&["system", "prune", "-f", "--filter", "label!=keep=yes"]);
    assert_eq!(home.ok(&["ps", "-a", "--format", "{{.Names}}"]), "kept");
    home.ok(&["system", "prune", "-f", "--filter", "until=24h"]);
    assert_eq!(home.ok(&["ps", "-a", "--format", "{{.Names}}"]), "kept");
    home.run(&["system", "prune", "-f", "--filter", "colour=red"])
        .assert_fails(125, &["invalid filter `colour`"]);
    home.ok(&["rm", "kept"]);
}

#[test]
fn the_build_cache_outlives_its_image_until_it_is_pruned() {
    let home = Home::new();
    build(&home, "app:1", "");
    home.ok(&["rmi", "app:1"]);
    let again = home.run(&["build", "-t", "app:1", "context-app-1"]);
    assert!(again.stderr.contains("CACHED"), "{again:?}");
    assert!(
        !home
            .ok(&["builder", "prune", "-f"])
            .contains("Deleted build cache objects")
    );
    home.ok(&["rmi", "app:1"]);
    let pruned = home.ok(&["builder", "prune", "-f"]);
    assert!(
        pruned.contains("Deleted build cache objects:") && pruned.contains("Total:"),
        "{pruned}"
    );
    assert_eq!(
        fs::read_dir(home.path().join("images/blobs/sha256"))
            .expect("readable")
            .count(),
        0
    );
    home.run(&["builder", "prune"])
        .assert_fails(1, &["all dangling build cache", "has been cancelled"]);
    home.run(&["builder", "prune", "-f", "--filter", "label=x"])
        .assert_fails(125, &["invalid filter `label=x`"]);
}
