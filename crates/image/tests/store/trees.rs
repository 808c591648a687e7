//! Trees of layers that other tools wrote: whiteouts, links, names of any form.

use std::fs::File;
use std::path::{Path, PathBuf};

use minke_image::tree::{NodeKind, Tree};
use minke_image::{Digest, LayerFile};
use tempfile::TempDir;

/// One entry of a layer: a name that ends in `/` is a directory, `a -> b` a link, else a file with its name as content.
fn write_layer(directory: &TempDir, entries: &[&str]) -> LayerFile {
    let path = directory.path().join(format!("{}.tar", entries.len()));
    let mut builder = tar::Builder::new(File::create(&path).expect("it can be made"));
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_uid(3);
        header.set_gid(4);
        header.set_mtime(5);
        match entry.split_once(" -> ") {
            Some((name, target)) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, name, target)
            }
            None if entry.ends_with('/') => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                builder.append_data(&mut header, entry, std::io::empty())
            }
            None => {
                header.set_size(entry.len() as u64);
                builder.append_data(&mut header, entry, entry.as_bytes())
            }
        }
        .expect("it can be added");
    }
    builder.into_inner().expect("it can be finished");
    LayerFile {
        path,
        diff_id: Digest::of(b""),
        size_bytes: 0,
    }
}

fn tree(layers: &[&[&str]]) -> (Tree, Vec<TempDir>) {
    let directories: Vec<TempDir> = layers
        .iter()
        .map(|_| tempfile::tempdir().expect("it can be made"))
        .collect();
    let files: Vec<LayerFile> = layers
        .iter()
        .zip(&directories)
        .map(|(entries, directory)| write_layer(directory, entries))
        .collect();
    (
        Tree::read(&files).expect("the layers can be read"),
        directories,
    )
}

fn names(tree: &Tree) -> Vec<String> {
    tree.below(Path::new(""))
        .map(|(path, _)| path.display().to_string())
        .collect()
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    let (tree, _directories) = tree(&[
        &["a/", "a/x", "a/y", "b/", "b/deep/", "b/deep/z", "c"],
        &[
            "a/.wh.x",
            "b/",
            "b/new",
            "b/.wh..wh..opq",
            ".wh.c",
            ".wh.none",
        ],
    ]);
    assert_eq!(names(&tree), ["a", "a/y", "b", "b/new"]);
}

#[test]
fn upper_layers_replace_what_is_below() {
    let (tree, _directories) = tree(&[&["a/", "a/x", "b"], &["a", "./b/c"]]);
    assert_eq!(names(&tree), ["a", "b", "b/c"]);
    assert!(
        tree.is_directory(Path::new("b")),
        "a directory that no entry names is made"
    );
    assert_eq!(
        tree.read_file(Path::new("/a"), 100)
            .expect("it can be read"),
        Some(b"a".to_vec())
    );
}

#[test]
fn links_are_followed_within_the_root() {
    let (tree, _directories) = tree(&[&[
        "usr/bin/",
        "usr/bin/sh",
        "bin -> usr/bin",
        "up -> ../../bin/sh",
        "abs -> /usr",
        "a -> b",
        "b -> a",
    ]]);
    let resolve = |path: &str| {
        tree.resolve(Path::new(path))
            .map_err(|error| error.to_string())
    };
    assert_eq!(resolve("/bin/sh"), Ok(PathBuf::from("usr/bin/sh")));
    assert_eq!(resolve("up"), Ok(PathBuf::from("usr/bin/sh")));
    assert_eq!(
        resolve("abs/../bin/./new"),
        Ok(PathBuf::from("usr/bin/new"))
    );
    assert_eq!(
        resolve("a/x"),
        Err("`/a/x` has too many symbolic links".to_owned())
    );
    assert_eq!(
        resolve("bin/sh/x"),
        Err("`/usr/bin/sh` is not a directory".to_owned())
    );
    assert!(tree.file(Path::new("/bin/sh")).is_some() && tree.file(Path::new("/bin")).is_none());
}

#[test]
fn names_longer_than_a_header_are_read() {
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(200));
    let (tree, _directories) = tree(&[&[&long, &format!("link -> {long}")]]);
    let node = tree
        .file(Path::new("link"))
        .expect("the link leads to the file");
    assert!(matches!(
        node.kind,
        NodeKind::File {
            size_bytes: 351,
            ..
        }
    ));
    assert_eq!(
        (node.metadata.uid, node.metadata.gid, node.metadata.mtime_s),
        (3, 4, 5)
    );
    assert_eq!(
        tree.read_file(Path::new("link"), 4)
            .expect("it can be read"),
        Some(b"dddd".to_vec())
    );
}
