//! What is saved is loaded again, in every form.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::Command;
use std::thread;

use minke_image::archive::{ArchiveForm, ArchivePacking, LoadOptions, SaveOptions, Silent};
use minke_image::{Compression, Platform};

use super::{
    Forged, INDEX, config, image, index, layer_tar, load, named, opened, save, saved, with_platform,
};
use crate::{Bench, name};
use minke_image::Digest;
use serde_json::json;

#[test]
fn an_image_survives_every_form_and_packing() {
    let bench = Bench::new();
    let image = bench.image("app:1", &"content ".repeat(10_000));
    let path = bench.directory.path().join("x.tar");
    for form in [ArchiveForm::Both, ArchiveForm::Oci, ArchiveForm::Docker] {
        for packing in [
            ArchivePacking::Keep,
            ArchivePacking::As(Compression::None),
            ArchivePacking::As(Compression::Gzip),
            ArchivePacking::As(Compression::Zstd),
        ] {
            save(
                &bench.store,
                &["app:1"],
                SaveOptions { form, packing },
                &path,
            );
            let other = Bench::new();
            let loaded = load(&other.store, &path)
                .expect("it can be loaded")
                .remove(0);
            assert_eq!(loaded.image.id, image.id, "{form:?} {packing:?}");
            assert_eq!(loaded.names, [name("app:1")]);
            assert_eq!(loaded.image.config, image.config);
            let tars = other
                .store
                .root_layers(&loaded.image)
                .expect("its layers are whole");
            assert_eq!(tars[0].diff_id, image.layers[0].diff_id);
            if packing == ArchivePacking::Keep && form != ArchiveForm::Docker {
                assert_eq!(loaded.image.manifest_digest, image.manifest_digest);
            }
        }
    }
}

#[test]
fn equal_images_give_equal_archives() {
    let archives = [Bench::new(), Bench::new()].map(|bench| {
        bench.image("app:1", "content");
        fs::read(saved(&bench, "app:1")).expect("it can be read")
    });
    assert_eq!(archives[0], archives[1]);
}

/// Packs bytes by a program.
fn packed(program: &str, bytes: &[u8]) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    let plain = directory.path().join("plain");
    fs::write(&plain, bytes).expect("it is written");
    let output = Command::new(program).arg("-c").arg(plain).output();
    output.expect("it is installed").stdout
}

#[test]
fn packed_archives_and_pipes_are_loaded() {
    let bench = Bench::new();
    let image = bench.image("app:1", &"content ".repeat(10_000));
    let plain = fs::read(saved(&bench, "app:1")).expect("it can be read");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).expect("a vector takes everything");
    let gzip = gzip.finish().expect("a vector takes everything");
    let zstd = zstd::encode_all(&plain[..], 1).expect("a vector takes everything");
    let bzip2 = packed("bzip2", &plain);
    let xz = packed("xz", &plain);
    for bytes in [&plain, &gzip, &zstd, &bzip2, &xz] {
        let other = Bench::new();
        let loaded = other
            .store
            .load(opened(bytes), &LoadOptions::default(), &Silent);
        assert_eq!(loaded.expect("it can be loaded")[0].image.id, image.id);
        let piped = Bench::new();
        let (reader, mut writer) = io::pipe().expect("a pipe can be made");
        thread::scope(|scope| {
            scope.spawn(move || writer.write_all(bytes));
            let reader = File::from(std::os::fd::OwnedFd::from(reader));
            let loaded = piped.store.load(reader, &LoadOptions::default(), &Silent);
            assert_eq!(loaded.expect("it can be loaded")[0].image, {
                let mut expected = image.clone();
                expected.tags = vec![name("app:1")];
                expected
            });
        });
    }
}

#[test]
fn names_stay_with_their_images() {
    let bench = Bench::new();
    let first = bench.image("app:1", "first");
    let second = bench.image("other:1", "second");
    bench
        .store
        .tag(&first.manifest_digest, &name("app:2"))
        .expect("it can be tagged");
    let path = bench.directory.path().join("x.tar");
    save(
        &bench.store,
        &["app", "other:1", &second.id.short()],
        SaveOptions::new(ArchiveForm::Both),
        &path,
    );
    let other = Bench::new();
    load(&other.store, &path).expect("it can be loaded");
    let image = |wanted: &str| other.store.image(wanted).expect("it is there");
    assert_eq!(image("app:1").tags, [name("app:1"), name("app:2")]);
    assert_eq!(image("other:1").id, second.id);
    assert_eq!(other.store.images().expect("they can be listed").len(), 2);
}

#[test]
fn an_image_without_a_name_is_saved_and_loaded_by_its_id() {
    let bench = Bench::new();
    let image = bench.image("app:1", "content");
    let archive = saved(&bench, &image.id.short());
    let other = Bench::new();
    let loaded = load(&other.store, &archive)
        .expect("it can be loaded")
        .remove(0);
    assert_eq!((loaded.image.id, loaded.names), (image.id, Vec::new()));
}

#[test]
fn loading_twice_changes_nothing() {
    let bench = Bench::new();
    bench.image("app:1", "content");
    let archive = saved(&bench, "app:1");
    let before = bench.store.images().expect("they can be listed");
    load(&bench.store, &archive).expect("it can be loaded");
    assert_eq!(bench.store.images().expect("they can be listed"), before);
}

#[test]
fn of_several_platforms_the_one_for_wasm_is_taken() {
    for platform in [("wasi", "wasm"), ("wasip1", "wasm"), ("wasi", "wasm32")] {
        let (forged, linux) = image(Forged::new(), ("linux", "amd64"), b"linux");
        let (forged, wasm) = image(forged, platform, b"wasm");
        let manifests = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            with_platform(linux, "linux", "amd64"),
            with_platform(wasm, platform.0, platform.1),
        ]});
        let (forged, nested) = forged.blob(INDEX, manifests.to_string().as_bytes());
        let archive = index(forged, &[named(nested, "example.test/app:1")]);
        let bench = Bench::new();
        let loaded = bench
            .store
            .load(archive.opened(), &LoadOptions::default(), &Silent);
        let loaded = loaded.expect("it can be loaded").remove(0);
        assert_eq!(loaded.image.platform.os, platform.0);
        assert_eq!(loaded.names, [name("example.test/app:1")]);
    }
}

#[test]
fn another_platform_is_taken_when_it_is_asked_for() {
    let (forged, linux) = image(Forged::new(), ("linux", "amd64"), b"linux");
    let archive = index(forged, &[linux]).bytes();
    let bench = Bench::new();
    let options = LoadOptions {
        platform: Some(Platform {
            os: "linux".into(),
            architecture: "amd64".into(),
        }),
        ..LoadOptions::default()
    };
    let loaded = bench.store.load(opened(&archive), &options, &Silent);
    assert_eq!(loaded.expect("it can be loaded").len(), 1);
}

#[test]
fn dockers_older_archives_with_links_are_loaded() {
    let tar = layer_tar(b"content");
    let config = config(("wasi", "wasm"), &[Digest::of(&tar)]);
    let documents = json!([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["1/layer.tar"]}]);
    let archive = Forged::new()
        .file("base.tar", &tar)
        .member("1/layer.tar", tar::EntryType::Symlink, "../base.tar", b"")
        .json("c.json", &config)
        .json("manifest.json", &documents);
    let bench = Bench::new();
    let loaded = bench
        .store
        .load(archive.opened(), &LoadOptions::default(), &Silent);
    let image = loaded.expect("it can be loaded").remove(0).image;
    assert_eq!(image.layers[0].compression, Compression::Zstd);
    bench
        .store
        .root_layers(&image)
        .expect("its layers are whole");
}

#[test]
fn layers_that_no_manifest_has_a_word_for_are_packed_anew() {
    let tar = layer_tar(b"content");
    let documents = json!([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["l.tar"]}]);
    let loaded = |program: &str, diff_id: Digest| {
        let config = config(("wasi", "wasm"), &[diff_id]);
        let archive = Forged::new()
            .file("l.tar", &packed(program, &tar))
            .json("c.json", &config)
            .json("manifest.json", &documents);
        let bench = Bench::new();
        let loaded = bench
            .store
            .load(archive.opened(), &LoadOptions::default(), &Silent);
        loaded.map(|mut loaded| loaded.remove(0).image)
    };
    for program in ["bzip2", "xz"] {
        let image = loaded(program, Digest::of(&tar)).expect("it can be loaded");
        assert_eq!(image.layers[0].compression, Compression::Zstd);
        let error = loaded(program, Digest::of(b"other")).expect_err("it is another");
        assert!(
            error.to_string().contains("its configuration says"),
            "{error}"
        );
    }
}

#[test]
fn a_damaged_blob_is_not_saved() {
    let bench = Bench::new();
    let image = bench.image("app:1", "content");
    let path = bench.store.blob_path(&image.layers[0].digest);
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[10] ^= 1;
    fs::write(&path, bytes).expect("it can be changed");
    let exports = bench
        .store
        .exports(&["app:1".to_owned()])
        .expect("it is there");
    let target = bench.directory.path().join("x.tar");
    let saved = bench.store.save_file(
        &exports,
        &SaveOptions::new(ArchiveForm::Both),
        &target,
        &Silent,
    );
    let error = saved.expect_err("it is damaged");
    assert!(error.to_string().contains("corrupt"), "{error}");
    assert!(!target.exists());
}
