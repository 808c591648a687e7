//! A layer of any bytes gives a tree or an error, and no path of the tree leads out of it.

#![no_main]

use std::io::Write;
use std::path::Component;

use libfuzzer_sys::fuzz_target;
use minke_image::tree::Tree;
use minke_image::{Digest, LayerFile};

fuzz_target!(|data: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
    file.write_all(data).expect("it can be written");
    let layer = LayerFile { path: file.path().to_owned(), diff_id: Digest::of(data), size_bytes: data.len() as u64 };
    if let Ok(tree) = Tree::read(&[layer]) {
        for (path, _) in tree.below("".as_ref()) {
            assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
        }
    }
});
