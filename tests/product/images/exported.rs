//! `image export`: an image as a plain disk and as one tar.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{build, skipped};
use crate::home::Home;

/// Whether `e2fsck` finds nothing wrong; `true` too if it is not there.
fn is_clean(disk: &Path) -> bool {
    let places = ["/usr/sbin/e2fsck", "/sbin/e2fsck"].map(Path::new);
    let Some(path) = places.into_iter().find(|path| path.exists()) else {
        skipped("e2fsck");
        return true;
    };
    let checked = Command::new(path).arg("-fn").arg(disk).output();
    checked.expect("it runs").status.success()
}

#[test]
fn an_image_becomes_a_plain_disk_that_is_the_same_each_time() {
    let home = Home::new();
    home.write("context-app/data/kept", "text");
    home.write("context-app/data/gone", "text");
    build(&home, "app", "COPY data /data\nWORKDIR /srv\n");
    home.write(
        "top/Balenafile",
        "FROM app\nCOPY more /data/more\nCOPY data/kept /srv/\n",
    );
    home.write("top/more", "1".repeat(100_000));
    home.write("top/data/kept", "other");
    home.ok(&["build", "-q", "-t", "top", "top"]);
    for name in ["1.img", "2.img"] {
        home.ok(&["image", "export", "--format", "ext4", "top", name]);
    }
    let disk = home.files().join("1.img");
    let bytes = fs::read(&disk).expect("read");
    assert!(bytes == fs::read(home.files().join("2.img")).expect("read"));
    assert!(bytes.len() < 20 << 20, "{}", bytes.len());
    assert!(is_clean(&disk));
    assert_eq!(home.ok(&["disk", "cat", "1.img", "/srv/kept"]), "other");
    assert_eq!(home.ok(&["disk", "cat", "1.img", "/data/kept"]), "text");
    let said = home.ok(&["disk", "check", "1.img"]);
    assert!(said.starts_with("no faults"), "{said}");

    home.ok(&["image", "export", "--size", "64M", "top", "3.img"]);
    let large = home.files().join("3.img");
    assert_eq!(large.metadata().expect("it is there").len(), 64 << 20);
    assert!(is_clean(&large));
    let small = home.run(&["image", "export", "--size", "100k", "top", "4.img"]);
    small.assert_fails(1, &["a larger `--size`"]);
    assert!(!home.files().join("4.img").exists());

    home.ok(&["image", "export", "--format", "tar", "top", "root.tar"]);
    let file = fs::File::open(home.files().join("root.tar")).expect("opened");
    let mut archive = tar::Archive::new(file);
    let entries = archive.entries().expect("entries").map(|entry| {
        let entry = entry.expect("an entry");
        entry.path().expect("a path").display().to_string()
    });
    let names: Vec<String> = entries.collect();
    let expected = [
        "./",
        "data/",
        "data/gone",
        "data/kept",
        "data/more",
        "hello.wasm",
        "srv/",
        "srv/kept",
    ];
    assert_eq!(names, expected);
}
