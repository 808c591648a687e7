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

/// Makes the container `web`, whose note is its own.
fn changed(home: &Home) {
    home.ok(&["create", "--name", "web", "app", "cat", "/data/note"]);
    home.write("text", "of the container");
    home.ok(&["cp", "text", "web:/data/note"]);
}

fn remove(snapshots: &[PathBuf]) {
    for path in snapshots {
        fs::remove_file(path).expect("there");
    }
}

/// Changes a byte in the middle of each.
fn damage(snapshots: &[PathBuf]) {
    for path in snapshots {
        let mut bytes = fs::read(path).expect("there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).expect("written");
    }
}

#[test]
fn those_that_are_lost_or_damaged_under_a_container_are_named_with_it_and_made_again() {
    let home = Home::new();
    built(&home);
    changed(&home);
    let made = contents(&home);
    let harms: [fn(&[PathBuf]); 2] = [remove, damage];
    let reasons = ["is missing", "is not what was written"];
    for (harm, reason) in harms.into_iter().zip(reasons) {
        for count in 1..=made.len() {
            harm(&snapshots(&home)[..count]);
            let checked = home.run(&["system", "check"]);
            let named = format!("{reason}; under container `web`");
            assert_eq!(checked.stdout.matches(&named).count(), count, "{checked:?}");
            let repaired = home.ok(&["system", "check", "--repair"]);
            let outcomes = repaired.matches("made again from its image's layers");
            assert_eq!(outcomes.count(), count, "{repaired}");
            assert!(contents(&home) == made, "others were made");
            assert_eq!(home.ok(&["start", "-a", "web"]), "of the container");
        }
    }
}

#[test]
fn those_that_are_damaged_under_no_container_are_removed() {
    let home = Home::new();
    built(&home);
    home.ok(&["run", "--rm", "app", "ls", "/data"]);
    let made = contents(&home);
    let harmed = snapshots(&home).pop().expect("some");
    damage(std::slice::from_ref(&harmed));
    let checked = home.run(&["system", "check"]);
    checked.assert_fails(1, &["1 fault"]);
    assert!(
        checked.stdout.ends_with("is not what was written\n"),
        "{checked:?}"
    );
    let repaired = home.ok(&["system", "check", "--repair"]);
    let outcome = "removed; it is made again when it is needed";
    assert!(repaired.contains(outcome), "{repaired}");
    assert!(!harmed.exists());
    assert_eq!(home.ok(&["system", "check"]), "");
    assert_eq!(home.ok(&["run", "--rm", "app", "ls", "/data"]), "note");
    assert!(contents(&home) == made, "others were made");
}

#[test]
fn those_whose_image_is_gone_are_told_with_the_container() {
    let home = Home::new();
    built(&home);
    changed(&home);
    home.ok(&["rmi", "-f", "app"]);
    remove(&snapshots(&home));
    let repaired = home.run(&["system", "check", "--repair"]);
    let expected = "load the image again, or remove container `web`";
    assert!(repaired.stdout.contains(expected), "{repaired:?}");
    repaired.assert_fails(1, &["3 faults", "could not be repaired"]);
    home.ok(&["rm", "web"]);
    assert_eq!(home.ok(&["system", "check"]), "");
}
