//! Archives as the store writes and reads them, and those that it must not take.

mod hostile;
mod round_trip;

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use minke_image::archive::{ArchiveError, ArchiveForm, LoadOptions, Loaded, SaveOptions, Silent};
use minke_image::{Digest, Store};
use serde_json::{Value, json};

use crate::{Bench, count};

/// Loads an archive as the command does.
fn load(store: &Store, archive: &Path) -> Result<Vec<Loaded>, ArchiveError> {
    let file = File::open(archive).expect("the archive can be opened");
    store.load(file, &LoadOptions::default(), &Silent)
}

/// Saves what `wanted` names.
fn save(store: &Store, wanted: &[&str], options: SaveOptions, to: &Path) {
    let wanted: Vec<String> = wanted.iter().map(|it| (*it).to_owned()).collect();
    let exports = store.exports(&wanted).expect("the images are there");
    store
        .save_file(&exports, &options, to, &Silent)
        .expect("it can be saved");
}

fn saved(bench: &Bench, name: &str) -> PathBuf {
    let path = bench.directory.path().join("saved.tar");
    save(
        &bench.store,
        &[name],
        SaveOptions::new(ArchiveForm::Both),
        &path,
    );
    path
}

/// An archive that is made member by member.
struct Forged(tar::Builder<Vec<u8>>);

impl Forged {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// Adds a member under any name, which the tar crate would refuse for some.
    fn member(mut self, name: &str, kind: tar::EntryType, link: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0
            .append(&header, content)
            .expect("a vector takes everything");
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.member(name, tar::EntryType::Regular, "", content)
    }

    fn json(self, name: &str, content: &Value) -> Self {
        self.file(name, content.to_string().as_bytes())
    }

    /// Adds a blob; returns its descriptor.
    fn blob(self, media_type: &str, content: &[u8]) -> (Self, Value) {
        let digest = Digest::of(content);
        let name = format!("blobs/sha256/{}", digest.hex());
        let descriptor =
            json!({"mediaType": media_type, "digest": digest.to_string(), "size": content.len()});
        (self.file(&name, content), descriptor)
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("a vector takes everything")
    }

    fn opened(self) -> File {
        opened(&self.bytes())
    }
}

fn opened(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file can be made");
    file.write_all(bytes)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .expect("it can be written");
    file
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A tar with one file.
fn layer_tar(content: &[u8]) -> Vec<u8> {
    Forged::new().file("file", content).bytes()
}

fn config(platform: (&str, &str), diff_ids: &[Digest]) -> Value {
    let diff_ids: Vec<String> = diff_ids.iter().map(Digest::to_string).collect();
    json!({"os": platform.0, "architecture": platform.1, "rootfs": {"type": "layers", "diff_ids": diff_ids}})
}

/// Adds an image of one layer for a platform; returns the manifest's descriptor.
fn image(forged: Forged, platform: (&str, &str), content: &[u8]) -> (Forged, Value) {
    let tar = layer_tar(content);
    let diff_id = Digest::of(&tar);
    let (forged, layer) = forged.blob(LAYER, &tar);
    let (forged, config) = forged.blob(CONFIG, config(platform, &[diff_id]).to_string().as_bytes());
    manifest(forged, &config, &[layer])
}

fn manifest(forged: Forged, config: &Value, layers: &[Value]) -> (Forged, Value) {
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
    forged.blob(MANIFEST, manifest.to_string().as_bytes())
}

fn index(forged: Forged, manifests: &[Value]) -> Forged {
    forged.json(
        "index.json",
        &json!({"schemaVersion": 2, "manifests": manifests}),
    )
}

fn with_platform(mut descriptor: Value, os: &str, architecture: &str) -> Value {
    descriptor["platform"] = json!({"os": os, "architecture": architecture});
    descriptor
}

fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    descriptor
}

/// Checks that an archive is refused with these words, as a file and as a stream, and that nothing of it stays.
#[track_caller]
fn refused(archive: &[u8], words: &str) {
    let bench = Bench::new();
    let packed = zstd::encode_all(archive, 1).expect("it can be packed");
    for bytes in [archive, &packed] {
        let error = bench
            .store
            .load(opened(bytes), &LoadOptions::default(), &Silent)
            .expect_err("it is wrong");
        let text = error.to_string();
        assert!(text.contains(words), "no {words:?} in {text:?}");
        assert!(error.hint().is_some(), "{text}");
        assert_eq!(bench.store.images().expect("they can be listed"), []);
        let tmp = bench.directory.path().join("tmp");
        assert_eq!((bench.blobs_count(), count(&tmp)), (0, 0), "{text}");
    }
}
