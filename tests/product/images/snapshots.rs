//! Snapshots of images' layers, which containers write over: shown, pruned, checked, and made again.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::home::{Home, guest};

/// Builds the image `app`: the probe, and a file that it can change.
fn built(home: &Home) {
    fs::copy(guest("probe.wasm"), home.files().join("probe.wasm")).expect("copied");
    home.write("note", "of the image");
    home.write(
        "Balenafile",
        "FROM scratch\nCOPY probe.wasm /\nCOPY note /data/note\nENTRYPOINT [\"/probe.wasm\"]\n",
    );
    home.ok(&["build", "-q", "-t", "app", "."]);
}

fn disks(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(disks(&path)),
            false if path.extension().is_some_and(|it| it == "disk") => found.push(path),
            false => {}
        }
    }
    found
}

/// The snapshots of the layers that the home has.
fn snapshots(home: &Home) -> Vec<PathBuf> {
    disks(&home.path().join("images/snapshots"))
}

fn contents(home: &Home) -> Vec<(PathBuf, Vec<u8>)> {
    let files = snapshots(home).into_iter();
    let mut contents: Vec<_> = files
        .map(|path| (path.clone(), fs::read(path).expect("there")))
        .collect();
    contents.sort();
    contents
}

/// How many there are, and how many of them lie under containers.
fn counts(home: &Home) -> String {
    let format = "{{.Type}}: {{.TotalCount}} {{.Active}}";
    let usage = home.ok(&["system", "df", "--format", format]);
    let mut lines = usage.lines();
    let row = lines.find_map(|it| it.strip_prefix("Image Snapshots: "));
    row.expect("a row").to_owned()
}

#[test]
fn df_tells_how_many_there_are_and_how_many_lie_under_containers() {
    let home = Home::new();
    assert_eq!(counts(&home), "0 0");
    built(&home);
    home.ok(&["run", "--rm", "app", "ls", "/data"]);
    // Two layers, and the disk without files below them.
    assert_eq!(snapshots(&home).len(), 3);
    assert_eq!(counts(&home), "3 0");
    home.ok(&["create", "--name", "web", "app"]);
    assert_eq!(counts(&home), "3 3");
    let verbose = home.ok(&["system", "df", "-v"]);
    assert!(
        verbose.contains("Image snapshots space usage:"),
        "{verbose}"
    );
    let rows = verbose.split("CHAIN ID").nth(1).expect("a table");
    assert!(rows.contains("<empty>"), "{verbose}");
    assert_eq!(
        rows.lines().skip(1).filter(|it| it.ends_with('1')).count(),
        3
    );
}

#[test]
fn those_that_no_container_lies_over_go_with_all_that_is_unused_and_are_made_again() {
    let home = Home::new();
    built(&home);
    home.ok(&["run", "--rm", "app", "ls", "/data"]);
    let made = contents(&home);
    home.ok(&["system", "prune", "-f"]);
    assert_eq!(snapshots(&home).len(), 3);
    let asked = home.run(&["system", "prune", "-a", "--filter", "until=24h"]);
    asked.assert_fails(
        1,
        &["all snapshots of images without a container over them"],
    );
    // The image is too young to go.
    let prune = ["system", "prune", "-a", "-f", "--filter", "until=24h"];
    let pruned = home.ok(&prune);
    assert!(!pruned.contains("Total reclaimed space: 0B"), "{pruned}");
    assert_eq!(snapshots(&home), Vec::<PathBuf>::new());
    home.ok(&["create", "--name", "web", "app", "cat", "/data/note"]);
    assert!(contents(&home) == made, "others were made");
    home.ok(&prune);
    assert_eq!(counts(&home), "3 3");
    assert_eq!(home.ok(&["start", "-a", "web"]), "of the image");
    home.ok(&["system", "prune", "-a", "-f"]);
    assert_eq!(counts(&home), "0 0");
}

#[test]
fn a_prune_leaves_those_of_a_container_that_is_being_made() {
    let home = Home::new();
    built(&home);
    let prune = ["system", "prune", "-a", "-f", "--filter", "until=24h"];
    thread::scope(|scope| {
        let pruning = scope.spawn(|| (0..24).for_each(|_| drop(home.ok(&prune))));
        while !pruning.is_finished() {
            let ran = home.ok(&["run", "--rm", "app", "cat", "/data/note"]);
            assert_eq!(ran, "of the image");
        }
    });
}
