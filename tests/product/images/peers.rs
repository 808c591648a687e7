//! What skopeo and umoci read of ours, and what they write for us.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::build;
use crate::home::Home;

/// Runs a program in the test's files; none, with a word, where it is not installed.
fn peer(home: &Home, program: &str, words: &[&str]) -> Option<String> {
    let output = match Command::new(program)
        .args(words)
        .current_dir(home.files())
        .output()
    {
        Err(_) => {
            super::skipped(program);
            return None;
        }
        Ok(output) => output,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {said}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn inspected(home: &Home, image: &str) -> Option<Value> {
    let text = peer(home, "skopeo", &["inspect", image])?;
    Some(serde_json::from_str(&text).expect("skopeo prints JSON"))
}

/// Loads an archive into a home of its own, runs it, and returns the image's id.
fn runs_elsewhere(home: &Home, archive: &str) -> String {
    let other = Home::new();
    let archive = home.files().join(archive);
    let said = other.ok(&["load", "-i", archive.to_str().expect("the path is text")]);
    let id = other.ok(&["images", "-q", "--no-trunc"]);
    assert!(said.starts_with("Loaded image"), "{said}");
    assert_eq!(other.ok(&["run", "--rm", &id]), "hello");
    id
}

#[test]
fn skopeo_reads_what_is_saved_and_writes_what_is_loaded() {
    let home = Home::new();
    let id = build(&home, "app:1", "LABEL a=b");
    home.ok(&["save", "-o", "both.tar", "app:1"]);
    home.ok(&["save", "-o", "oci.tar", "--format", "oci", "app:1"]);
    home.ok(&["save", "-o", "docker.tar", "--format", "docker", "app:1"]);
    home.ok(&["save", "-o", "gzip.tar", "--compression", "gzip", "app:1"]);
    // This skopeo refuses to make a Docker archive of layers that zstd packs, its own too.
    for (source, kinds) in [
        ("oci-archive:both.tar", &["oci-archive"][..]),
        ("oci-archive:both.tar:1", &["oci-archive"]),
        ("oci-archive:oci.tar", &["oci-archive"]),
        ("oci-archive:gzip.tar", &["oci-archive", "docker-archive"]),
        (
            "docker-archive:both.tar",
            &["oci-archive", "docker-archive"],
        ),
        (
            "docker-archive:docker.tar",
            &["oci-archive", "docker-archive"],
        ),
        ("docker-archive:docker.tar:app:1", &["docker-archive"]),
    ] {
        let Some(seen) = inspected(&home, source) else {
            return;
        };
        let platform = (&seen["Os"], &seen["Architecture"]);
        assert_eq!(platform, (&"wasi".into(), &"wasm".into()), "{source}");
        assert_eq!(seen["Labels"]["a"], "b", "{source}");
        for kind in kinds {
            let copy = format!("{kind}-{}.tar", source.replace([':', '.'], "-"));
            let target = format!("{kind}:{copy}:app:1");
            peer(&home, "skopeo", &["copy", "-q", source, &target]);
            let loaded = runs_elsewhere(&home, &copy);
            // From form to form skopeo writes another configuration.
            assert!(
                loaded == id || !source.starts_with(kind),
                "{source} as {kind}"
            );
        }
    }
    // The name goes along.
    let other = Home::new();
    let copy = home.files().join("oci-archive-oci-archive-both-tar.tar");
    let said = other.ok(&["load", "-i", copy.to_str().expect("the path is text")]);
    assert_eq!(said, "Loaded image: app:1");
}

#[test]
fn skopeo_reads_the_store_in_place() {
    let home = Home::new();
    build(&home, "app:1", "LABEL a=b");
    let store = home.path().join("images");
    let source = format!("oci:{}:app:1", store.display());
    let Some(seen) = inspected(&home, &source) else {
        return;
    };
    assert_eq!(seen["Labels"]["a"], "b");
    home.ok(&["rmi", "app:1"]);
    let gone = Command::new("skopeo")
        .args(["inspect", &source])
        .output()
        .expect("it was there");
    assert!(!gone.status.success());
}

#[test]
fn umoci_unpacks_what_is_saved() {
    let home = Home::new();
    build(&home, "app:1", "WORKDIR /srv");
    for compression in ["gzip", "uncompressed"] {
        home.ok(&[
            "save",
            "-o",
            "x.tar",
            "--format",
            "oci",
            "--compression",
            compression,
            "app:1",
        ]);
        let layout = format!("layout-{compression}");
        std::fs::create_dir(home.files().join(&layout)).expect("made");
        peer(&home, "tar", &["-xf", "x.tar", "-C", &layout]);
        let root = format!("root-{compression}");
        // `umoci unpack` writes a Linux container's configuration too, and so refuses every other system's images.
        let image = format!("{layout}:1");
        if peer(
            &home,
            "umoci",
            &["raw", "unpack", "--rootless", "--image", &image, &root],
        )
        .is_none()
        {
            return;
        }
        let unpacked = home.files().join(&root);
        let found = std::fs::read(unpacked.join("hello.wasm")).expect("umoci unpacked it");
        assert_eq!(
            found,
            std::fs::read(crate::home::guest("hello.wasm")).expect("it is there")
        );
        assert!(Path::new(&unpacked).join("srv").is_dir());
    }
}

#[test]
fn what_umoci_makes_is_loaded_and_run() {
    let home = Home::new();
    let hello = crate::home::guest("hello.wasm");
    std::fs::create_dir(home.files().join("root")).expect("made");
    std::fs::copy(hello, home.files().join("root/hello.wasm")).expect("copied");
    if peer(&home, "umoci", &["init", "--layout", "layout"]).is_none() {
        return;
    }
    peer(&home, "umoci", &["new", "--image", "layout:1"]);
    peer(
        &home,
        "umoci",
        &[
            "insert",
            "--rootless",
            "--image",
            "layout:1",
            "root/hello.wasm",
            "/hello.wasm",
        ],
    );
    peer(
        &home,
        "umoci",
        &[
            "config",
            "--image",
            "layout:1",
            "--os",
            "wasi",
            "--architecture",
            "wasm",
            "--config.cmd",
            "/hello.wasm",
        ],
    );
    peer(&home, "tar", &["-cf", "x.tar", "-C", "layout", "."]);
    runs_elsewhere(&home, "x.tar");
    peer(
        &home,
        "umoci",
        &[
            "config",
            "--image",
            "layout:1",
            "--os",
            "linux",
            "--architecture",
            "amd64",
        ],
    );
    peer(&home, "tar", &["-cf", "linux.tar", "-C", "layout", "."]);
    let other = Home::new();
    let archive = home.files().join("linux.tar");
    let archive = archive.to_str().expect("the path is text");
    let ended = other.run(&["load", "-i", archive]);
    ended.assert_fails(
        1,
        &[
            "is for `linux/amd64`, not for `wasi/wasm`",
            "--platform linux/amd64",
        ],
    );
    other.ok(&["load", "-i", archive, "--platform", "linux/amd64"]);
}
