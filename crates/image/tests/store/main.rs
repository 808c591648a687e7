//! The store as its users see it: several handles, several processes, broken files.

mod archive;
mod broken;
mod names;
mod processes;
mod trees;

use std::fs;
use std::path::Path;

use minke_image::{
    EntryMetadata, HistoryEntry, Image, ImageConfig, Layer, Lease, NewImage, Reference, Store,
};
use tempfile::TempDir;

/// A store in a directory of its own.
struct Bench {
    directory: TempDir,
    store: Store,
}

const METADATA: EntryMetadata = EntryMetadata {
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime_s: 1,
};

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let store = Store::open(directory.path()).expect("a store can be made");
        Self { directory, store }
    }

    /// Opens the same store once more, as another process would.
    fn reopen(&self) -> Store {
        Store::open(self.directory.path()).expect("the store can be opened")
    }

    /// Commits an image of one layer whose only file holds `content`.
    fn image(&self, name: &str, content: &str) -> Image {
        commit(&self.store, name, content)
    }

    fn blobs_count(&self) -> usize {
        count(&self.directory.path().join("blobs/sha256"))
    }
}

fn count(directory: &Path) -> usize {
    fs::read_dir(directory)
        .expect("the directory can be read")
        .count()
}

fn name(text: &str) -> Reference {
    text.parse().expect("the name is valid")
}

fn layer(lease: &Lease<'_>, content: &str) -> Layer {
    let mut writer = lease.layer_writer().expect("a layer can be started");
    writer
        .file(
            Path::new("file"),
            METADATA,
            content.len() as u64,
            content.as_bytes(),
        )
        .expect("a file can be added");
    writer.finish().expect("a layer can be finished")
}

fn commit(store: &Store, tag: &str, content: &str) -> Image {
    let lease = store.lease().expect("a lease can be had");
    let image = NewImage {
        layers: vec![layer(&lease, content)],
        config: ImageConfig {
            working_dir: "/".to_owned(),
            ..ImageConfig::default()
        },
        history: vec![HistoryEntry {
            created_by: content.to_owned(),
            created_s: None,
            has_layer: true,
            ..HistoryEntry::default()
        }],
        ..NewImage::default()
    };
    lease
        .commit_image(&image, &[name(tag)], 7)
        .expect("an image can be committed")
}
