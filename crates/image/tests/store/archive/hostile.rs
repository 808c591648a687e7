//! Archives that are damaged, or that lie.

use std::io::Write;

use minke_image::Digest;
use minke_image::archive::{Limits, LoadOptions, Silent};
use serde_json::{Value, json};
use tar::EntryType;

use super::{
    CONFIG, Forged, INDEX, LAYER, MANIFEST, config, image, index, layer_tar, load, manifest, named,
    opened, refused, with_platform,
};
use crate::{Bench, count};

fn good() -> Vec<u8> {
    let (forged, descriptor) = image(Forged::new(), ("wasi", "wasm"), b"content");
    index(forged, &[named(descriptor, "app:1")]).bytes()
}

/// An archive of Docker's form whose only layer is called `layer`.
fn docker(forged: Forged, layer: &str) -> Vec<u8> {
    let config = config(("wasi", "wasm"), &[Digest::of(&layer_tar(b"content"))]);
    let documents = json!([{"Config": "c.json", "RepoTags": null, "Layers": [layer]}]);
    forged
        .json("c.json", &config)
        .json("manifest.json", &documents)
        .bytes()
}

#[test]
fn names_that_lead_out_of_the_archive_are_refused() {
    for name in [
        "../index.json",
        "/index.json",
        "blobs/../../x",
        "a/../index.json",
    ] {
        let archive = Forged::new().file(name, b"{}").bytes();
        refused(&archive, &format!("`{name}` leads out of it"));
    }
    for kind in [EntryType::Symlink, EntryType::Link] {
        for target in ["/etc/passwd", "../../etc/passwd"] {
            let archive = docker(Forged::new().member("l.tar", kind, target, b""), "l.tar");
            refused(&archive, "`l.tar` leads out of it");
        }
    }
    refused(
        &docker(Forged::new(), "../l.tar"),
        "`../l.tar` leads out of it",
    );
}

#[test]
fn what_is_no_file_is_not_read() {
    let looped = Forged::new().member("l.tar", EntryType::Symlink, "l.tar", b"");
    refused(&docker(looped, "l.tar"), "is a link without end");
    let device = Forged::new().member("l.tar", EntryType::Char, "", b"");
    refused(&docker(device, "l.tar"), "is a device, not a file");
    let pipe = Forged::new().member("l.tar", EntryType::Fifo, "", b"");
    refused(&docker(pipe, "l.tar"), "is a pipe, not a file");
    refused(
        &docker(Forged::new(), "l.tar"),
        "no `l.tar`, which `manifest.json` names",
    );
}

#[test]
fn a_name_that_comes_twice_is_refused() {
    let archive = Forged::new()
        .file("index.json", b"{}")
        .file("./index.json", b"{}")
        .bytes();
    refused(&archive, "`index.json` twice");
}

#[test]
fn an_archive_of_nothing_is_refused() {
    refused(
        &Forged::new().file("file", b"x").bytes(),
        "neither `index.json` nor `manifest.json`",
    );
    refused(
        &Forged::new().bytes(),
        "neither `index.json` nor `manifest.json`",
    );
    refused(&[b'x'; 2048], "no tar");
    refused(b"{}", "no tar");
    let bench = Bench::new();
    for cut in [&b"BZh91AY&SY and so on"[..], b"\xfd7zXZ\0 and so on"] {
        let error = bench
            .store
            .load(opened(cut), &LoadOptions::default(), &Silent);
        let error = error.expect_err("it is damaged").to_string();
        assert_eq!(error, "cannot read the archive");
    }
    let error = load(&bench.store, bench.directory.path()).expect_err("it is a directory");
    assert!(error.to_string().contains("cannot read"), "{error}");
}

#[test]
fn an_archive_that_was_cut_is_refused_wherever_it_ends() {
    let whole = good();
    // The last content is in the block before the two empty ones.
    let last_content = whole.len() - 3 * 512;
    let bench = Bench::new();
    for end in (0..=last_content).step_by(256) {
        let error = bench
            .store
            .load(opened(&whole[..end]), &LoadOptions::default(), &Silent)
            .expect_err("it is cut");
        assert!(error.hint().is_some(), "{end}: {error}");
        assert_eq!(
            (
                bench.blobs_count(),
                count(&bench.directory.path().join("tmp"))
            ),
            (0, 0),
            "{end}"
        );
    }
    let packed = zstd::encode_all(&whole[..], 1).expect("it can be packed");
    let cut = &packed[..packed.len() - 5];
    assert!(
        bench
            .store
            .load(opened(cut), &LoadOptions::default(), &Silent)
            .is_err()
    );
    assert_eq!(bench.blobs_count(), 0);
}

#[test]
fn a_layer_that_is_not_what_it_says_is_refused() {
    let tar = layer_tar(b"content");
    let right = config(("wasi", "wasm"), &[Digest::of(&tar)]).to_string();
    let archive = |layer: &dyn Fn(Value) -> Value, config: &str| {
        let (forged, descriptor) = Forged::new().blob(LAYER, &tar);
        let (forged, config) = forged.blob(CONFIG, config.as_bytes());
        let (forged, descriptor) = manifest(forged, &config, &[layer(descriptor)]);
        index(forged, &[descriptor]).bytes()
    };
    let with = |key: &'static str, value: Value| {
        move |mut layer: Value| {
            layer[key] = value.clone();
            layer
        }
    };
    refused(&archive(&with("size", json!(3)), &right), "says 3");
    let other = Digest::of(b"other");
    refused(
        &archive(&with("digest", json!(other.to_string())), &right),
        "which `blobs/sha256/",
    );
    refused(
        &archive(
            &with("digest", json!(format!("sha512:{}", "0".repeat(128)))),
            &right,
        ),
        "sha512",
    );
    refused(
        &archive(&with("mediaType", json!("application/wasm")), &right),
        "`application/wasm`",
    );
    let wrong = config(("wasi", "wasm"), &[other]).to_string();
    refused(
        &archive(&|layer| layer, &wrong),
        &format!("its configuration says `{other}`"),
    );
    let two = config(("wasi", "wasm"), &[other, other]).to_string();
    refused(
        &archive(&|layer| layer, &two),
        "it has 1 layers and its configuration 2",
    );
    // Plain bytes that are said to be packed.
    for media_type in ["+gzip", "+zstd"] {
        let packed = with("mediaType", json!(format!("{LAYER}{media_type}")));
        refused(&archive(&packed, &right), "cannot be unpacked");
    }
}

#[test]
fn a_packed_layer_that_is_another_than_its_configuration_says_is_refused_when_it_is_unpacked() {
    let packed = zstd::encode_all(&layer_tar(b"content")[..], 1).expect("it can be packed");
    let (found, other) = (Digest::of(&layer_tar(b"content")), Digest::of(b"other"));
    let (forged, layer) = Forged::new().blob(&format!("{LAYER}+zstd"), &packed);
    let said = config(("wasi", "wasm"), &[other]).to_string();
    let (forged, config) = forged.blob(CONFIG, said.as_bytes());
    let (forged, descriptor) = manifest(forged, &config, &[layer]);
    let archive = index(forged, &[named(descriptor, "app:1")]);
    let bench = Bench::new();
    let loaded = bench
        .store
        .load(archive.opened(), &LoadOptions::default(), &Silent);
    let image = loaded
        .expect("what it lies about is not looked at")
        .remove(0)
        .image;
    let error = bench.store.root_layers(&image).expect_err("it lies");
    assert_eq!(
        error.to_string(),
        format!(
            "layer `{}` of image `app:1` holds `{found}`, its configuration says `{other}`",
            Digest::of(&packed)
        )
    );
    let layers = bench.directory.path().join("layers");
    assert!(!layers.join(other.hex()).with_extension("tar").exists());
    assert_eq!(count(&bench.directory.path().join("tmp")), 0);
}

#[test]
fn a_blob_under_another_name_is_refused() {
    let whole = good();
    let at = whole
        .windows(7)
        .position(|window| window == b"content")
        .expect("it is in there");
    let mut changed = whole;
    changed[at] ^= 1;
    refused(&changed, "has the digest");
}

#[test]
fn documents_without_sense_are_refused() {
    for text in ["", "[", "null", "{}", "[1]", r#"{"manifests": 7}"#] {
        refused(
            &Forged::new().file("index.json", text.as_bytes()).bytes(),
            "`index.json` is malformed",
        );
        if text != "[]" {
            refused(
                &Forged::new().file("manifest.json", text.as_bytes()).bytes(),
                "`manifest.json` is malformed",
            );
        }
    }
    let deep = "[".repeat(100_000);
    refused(
        &Forged::new().file("index.json", deep.as_bytes()).bytes(),
        "malformed",
    );
    let huge = vec![b' '; (4 << 20) + 1];
    refused(
        &Forged::new().file("index.json", &huge).bytes(),
        "more than 4194304 bytes",
    );
}

#[test]
fn an_index_without_wasm_says_what_it_has() {
    let (forged, amd64) = image(Forged::new(), ("linux", "amd64"), b"1");
    let (forged, arm64) = image(forged, ("linux", "arm64"), b"2");
    let archive = index(
        forged,
        &[
            named(with_platform(amd64, "linux", "amd64"), "app:1"),
            named(with_platform(arm64, "linux", "arm64"), "app:1"),
        ],
    );
    refused(
        &archive.bytes(),
        "image `app:1` is for `linux/amd64`, `linux/arm64`, not for `wasi/wasm`",
    );
    let (forged, plain) = image(Forged::new(), ("linux", "amd64"), b"1");
    refused(
        &index(forged, &[plain]).bytes(),
        "the image is for `linux/amd64`",
    );
}

#[test]
fn an_index_within_itself_ends() {
    let mut forged = Forged::new();
    let mut descriptor =
        json!({"mediaType": MANIFEST, "digest": Digest::of(b"").to_string(), "size": 0});
    for _ in 0..8 {
        let nested = json!({"schemaVersion": 2, "manifests": [descriptor]});
        (forged, descriptor) = forged.blob(INDEX, nested.to_string().as_bytes());
    }
    refused(&index(forged, &[descriptor]).bytes(), "without end");
}

#[test]
fn what_swells_is_stopped() {
    let limits = Limits {
        members_max: 3,
        unpacked_bytes_max: 1 << 20,
        layer_bytes_max: 1 << 20,
    };
    let options = LoadOptions {
        limits,
        ..LoadOptions::default()
    };
    let check = |archive: &[u8], words: &str| {
        let bench = Bench::new();
        let error = bench
            .store
            .load(opened(archive), &options, &Silent)
            .expect_err("it is too large");
        assert!(error.to_string().contains(words), "{error}");
        let tmp = bench.directory.path().join("tmp");
        assert_eq!((bench.blobs_count(), count(&tmp)), (0, 0));
    };
    let many = (0..4).fold(Forged::new(), |forged, n| forged.file(&n.to_string(), b""));
    check(&many.bytes(), "more than 3 members");
    // A megabyte of zeros for a few bytes, as the archive and as a layer of it.
    let zeros = vec![0; (1 << 20) + 1];
    let bomb = Forged::new().file("zeros", &zeros).bytes();
    check(
        &zstd::encode_all(&bomb[..], 1).expect("it can be packed"),
        "more than 1048576 bytes",
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&zeros).expect("a vector takes everything");
    let gzip = gzip.finish().expect("a vector takes everything");
    let config = config(("wasi", "wasm"), &[Digest::of(&zeros)]).to_string();
    let documents = json!([{"Config": "c.json", "RepoTags": null, "Layers": ["l.tar"]}]);
    let layer = Forged::new()
        .file("l.tar", &gzip)
        .file("c.json", config.as_bytes())
        .json("manifest.json", &documents);
    check(&layer.bytes(), "more than 1048576 bytes");
}

#[test]
fn a_name_without_end_is_refused() {
    // A GNU long name of two megabytes.
    let long = vec![b'a'; 2 << 20];
    let archive = Forged::new()
        .member("././@LongLink", EntryType::GNULongName, "", &long)
        .file("x", b"");
    refused(&archive.bytes(), "a name is too long");
    let global = Forged::new()
        .member("pax", EntryType::XHeader, "", b"7 path=")
        .file("x", b"");
    refused(&global.bytes(), "no tar");
}

#[test]
fn bytes_without_sense_never_load() {
    let whole = good();
    let bench = Bench::new();
    // Source: Marsaglia, "Xorshift RNGs".
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..3 {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        // Some changes are harmless, such as those of times; none may be fatal.
        let _ = bench
            .store
            .load(opened(&bytes), &LoadOptions::default(), &Silent);
    }
    bench.store.collect().expect("it can be collected");
    assert_eq!(count(&bench.directory.path().join("tmp")), 0);
}
