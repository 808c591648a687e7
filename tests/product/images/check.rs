//! `system check`: what is damaged is named, and repaired as far as it can be derived.

use std::fs;
use std::path::{Path, PathBuf};

use super::build;
use crate::home::Home;

fn clean(home: &Home) {
    let checked = home.run(&["system", "check"]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (0, ""),
        "{checked:?}"
    );
}

/// Changes bytes in the middle, keeping the size.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(path, bytes).expect("writable");
}

fn files(home: &Home, directory: &str, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.path().join(directory)).expect("readable");
    entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect()
}

fn largest_blob(home: &Home) -> PathBuf {
    let size = |path: &PathBuf| fs::metadata(path).expect("readable").len();
    files(home, "images/blobs/sha256", "")
        .into_iter()
        .max_by_key(size)
        .expect("a blob")
}

fn name(path: &Path) -> String {
    path.file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned()
}

#[test]
fn a_whole_home_has_no_fault_and_a_repair_changes_nothing() {
    let home = Home::new();
    clean(&home);
    build(&home, "app:1", "");
    build(&home, "app:2", "ENV A=1");
    home.ok(&["run", "--name", "web", "app:1"]);
    clean(&home);
    assert_eq!(home.ok(&["system", "check", "--repair"]), "");
    assert_eq!(home.ok(&["run", "--rm", "app:2"]), "hello");
}

#[test]
fn a_corrupt_database_is_named_by_every_command_and_made_again() {
    let home = Home::new();
    let id = build(&home, "app:1", "");
    home.ok(&["tag", "app:1", "org/tool:2"]);
    let listed = home.ok(&["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]);
    let database = home.path().join("images/images.db");
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(home.path().join(format!("images/images.db{suffix}")));
    }
    for damage in ["not a database ".repeat(1000), String::new()] {
        match damage.is_empty() {
            true => fs::remove_file(&database).expect("it is there"),
            false => fs::write(&database, &damage).expect("writable"),
        }
        for words in [
            &["images"][..],
            &["run", "app:1"],
            &["rmi", "app:1"],
            &["history", "app:1"],
            &["image", "prune", "-f"],
        ] {
            let ended = home.run(words);
            assert_ne!(ended.code, 0, "{words:?}");
            for text in ["images.db", "hint: ", "minke system check --repair"] {
                assert!(ended.stderr.contains(text), "{words:?}: {ended:?}");
            }
        }
        let checked = home.run(&["system", "check"]);
        checked.assert_fails(1, &["1 fault"]);
        assert!(checked.stdout.contains("images.db"), "{checked:?}");
        let repaired = home.ok(&["system", "check", "--repair"]);
        assert!(
            repaired.contains("made again with 1 images and 2 names"),
            "{repaired}"
        );
        assert_eq!(
            home.ok(&["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]),
            listed
        );
        assert_eq!(home.ok(&["images", "-q", "--no-trunc", "app:1"]), id);
        assert_eq!(home.ok(&["run", "--rm", "org/tool:2"]), "hello");
        clean(&home);
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(home.path().join(format!("images/images.db{suffix}")));
        }
    }
}

#[test]
fn a_damaged_blob_is_packed_again_from_its_cached_layer_or_given_up() {
    let home = Home::new();
    build(&home, "app:1", "");
    home.ok(&["run", "--rm", "app:1"]);
    let blob = largest_blob(&home);
    for damage in [
        flip,
        |path: &Path| fs::write(path, "cut").expect("writable"),
        |path: &Path| fs::remove_file(path).expect("removed"),
    ] {
        damage(&blob);
        let checked = home.run(&["system", "check"]);
        checked.assert_fails(1, &["1 fault", "hint: `minke system check --repair`"]);
        assert!(
            checked.stdout.contains(&name(&blob)) && checked.stdout.contains("`app:1`"),
            "{checked:?}"
        );
        let repaired = home.ok(&["system", "check", "--repair"]);
        assert!(
            repaired.contains("packed again from the cached layer"),
            "{repaired}"
        );
        clean(&home);
    }
    // Without the cached layer there is nothing to make it from.
    for tar in files(&home, "images/layers", "") {
        if !name(&tar).starts_with('.') {
            fs::remove_file(tar).expect("removed");
        }
    }
    flip(&blob);
    let repaired = home.ok(&["system", "check", "--repair"]);
    assert!(
        repaired.contains("lost: image `app:1`; build or load it again"),
        "{repaired}"
    );
    assert_eq!(home.ok(&["images", "-q"]), "");
    clean(&home);
    build(&home, "app:1", "");
    assert_eq!(home.ok(&["run", "--rm", "app:1"]), "hello");
}

#[test]
fn a_damaged_document_loses_its_image_alone() {
    let home = Home::new();
    let id = build(&home, "app:1", "");
    build(&home, "app:2", "ENV A=1");
    let config = home
        .path()
        .join("images/blobs/sha256")
        .join(id.trim_start_matches("sha256:"));
    flip(&config);
    home.run(&["system", "check"]).assert_fails(1, &["fault"]);
    let repaired = home.ok(&["system", "check", "--repair"]);
    assert!(
        repaired.contains("`app:1`") && !repaired.contains("`app:2`;"),
        "{repaired}"
    );
    assert_eq!(home.ok(&["images", "--format", "{{.Tag}}"]), "2");
    assert_eq!(home.ok(&["run", "--rm", "app:2"]), "hello");
    clean(&home);
}

#[test]
fn damaged_caches_and_stray_files_are_dropped() {
    let home = Home::new();
    build(&home, "app:1", "");
    home.ok(&["run", "--rm", "app:1"]);
    flip(&files(&home, "images/layers", ".tar")[0]);
    flip(&files(&home, "modules", ".cwasm")[0]);
    fs::write(
        home.path().join("images/blobs/sha256").join("0".repeat(64)),
        "orphan",
    )
    .expect("writable");
    fs::write(home.path().join("images/blobs/sha256/stray"), "stray").expect("writable");
    fs::write(home.path().join("images/index.json"), "{}").expect("writable");
    let checked = home.run(&["system", "check"]);
    checked.assert_fails(1, &["5 faults"]);
    for text in [
        "cached layer",
        "compiled module",
        "belongs to nothing",
        "is no part of a store",
        "index.json",
    ] {
        assert!(checked.stdout.contains(text), "no {text:?} in {checked:?}");
    }
    let repaired = home.ok(&["system", "check", "--repair"]);
    assert_eq!(repaired.matches("removed").count(), 4, "{repaired}");
    clean(&home);
    assert_eq!(home.ok(&["run", "--rm", "app:1"]), "hello");
}

#[test]
fn damaged_records_of_containers_are_named_and_repaired() {
    let home = Home::new();
    build(&home, "app:1", "");
    home.ok(&["run", "--name", "kept", "app:1"]);
    home.ok(&["run", "--name", "lost", "app:1"]);
    let directory = |wanted: &str| {
        home.path()
            .join("containers")
            .join(home.inspect(wanted)["Id"].as_str().expect("an id"))
    };
    let (kept, lost) = (directory("kept"), directory("lost"));
    fs::write(kept.join("state.json"), "{").expect("writable");
    fs::write(lost.join("config.json"), "{").expect("writable");
    let checked = home.run(&["system", "check"]);
    checked.assert_fails(1, &["2 faults"]);
    let repaired = home.ok(&["system", "check", "--repair"]);
    assert!(
        repaired.contains("recorded as exited") && repaired.contains("lost: the container"),
        "{repaired}"
    );
    assert_eq!(home.ok(&["ps", "-a", "--format", "{{.Names}}"]), "kept");
    home.ok(&["rm", "kept"]);
    clean(&home);
    home.assert_nothing_left();
}

#[test]
fn damaged_and_missing_volumes_are_named_and_made_usable() {
    let home = Home::new();
    build(&home, "app:1", "");
    home.ok(&["volume", "create", "--label", "a=b", "whole"]);
    home.ok(&["volume", "create", "unread"]);
    home.ok(&["volume", "create", "empty"]);
    let volumes = ["-v", "missing:/m", "-v", "whole:/w"];
    home.ok(&[&["create", "--name", "user"][..], &volumes, &["app:1"]].concat());
    clean(&home);
    let volume = |name: &str| home.path().join("volumes").join(name);
    fs::write(volume("unread").join("volume.json"), "{").expect("writable");
    fs::remove_dir_all(volume("empty").join("data")).expect("removed");
    fs::remove_dir_all(volume("missing")).expect("removed");
    let checked = home.run(&["system", "check"]);
    checked.assert_fails(1, &["3 faults"]);
    for text in [
        "volume `unread` cannot be read",
        "volume `empty` has lost its files",
        "volume `missing` of container `user` is not there",
    ] {
        assert!(checked.stdout.contains(text), "no {text:?} in {checked:?}");
    }
    let repaired = home.ok(&["system", "check", "--repair"]);
    assert!(
        repaired.contains("described anew") && repaired.matches("lost: its files").count() == 2,
        "{repaired}"
    );
    clean(&home);
    assert_eq!(
        home.ok(&["volume", "ls", "-q"]),
        "empty\nmissing\nunread\nwhole"
    );
    assert_eq!(home.ok(&["start", "-a", "user"]), "hello");
}
