//! An OCI archive of one layer.
//!
//! Spec: OCI image-spec 1.1 image-layout.md, manifest.md, config.md.

use anyhow::{Context, Result};
use minke_archive::{Content, Extended, Member, MemberKind, Modified, Writer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::stamp::hex;

/// The time of everything in it, one for all versions: 2026-01-01.
pub const CREATED_S: i64 = 1_767_225_600;
const CREATED: &str = "2026-01-01T00:00:00Z";
/// The name that other tools list it by.
const NAME: &str = "minke/base:latest";
/// Its only step. An image that has further ones was made from it, and is no longer it.
const STEP: &str = "minke base";
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The slowest level but those that need more memory to unpack.
const ZSTD_LEVEL: i32 = 19;

/// An archive in memory.
pub struct Packed {
    pub archive: Vec<u8>,
    /// `sha256:` and the digits.
    pub manifest: String,
}

/// Makes the image of a layer.
pub fn pack(layer: &[u8]) -> Result<Packed> {
    let packed = zstd::encode_all(layer, ZSTD_LEVEL).context("cannot pack the layer")?;
    let config = document(&configuration(&digest(layer)));
    let descriptor = |kind: &str, bytes: &[u8]| {
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": digest(bytes),
            "size": bytes.len(),
        })
    };
    let manifest = document(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", &config),
        "layers": [descriptor("layer.v1.tar+zstd", &packed)],
    }));
    let mut named = descriptor("manifest.v1+json", &manifest);
    named["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/{NAME}"),
        "org.opencontainers.image.ref.name": NAME,
    });
    let index = document(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [named],
    }));
    let layout = document(&json!({ "imageLayoutVersion": "1.0.0" }));
    let mut tar = Writer::new(Vec::new());
    append(&mut tar, "oci-layout", &layout)?;
    append(&mut tar, "index.json", &index)?;
    for blob in [&config, &manifest, &packed] {
        let name = digest(blob).replace("sha256:", "blobs/sha256/");
        append(&mut tar, &name, blob)?;
    }
    Ok(Packed {
        archive: tar.finish()?,
        manifest: digest(&manifest),
    })
}

fn configuration(diff_id: &str) -> Value {
    json!({
        "architecture": "wasm",
        "os": "wasi",
        "created": CREATED,
        "config": { "Env": [PATH], "Cmd": ["bash"], "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created": CREATED, "created_by": STEP }],
    })
}

fn document(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

fn append(tar: &mut Writer<Vec<u8>>, path: &str, bytes: &[u8]) -> Result<()> {
    tar.append(&Member {
        path: path.as_bytes().to_vec(),
        kind: MemberKind::Regular(Content::whole(bytes.len() as u64)),
        uid: 0,
        gid: 0,
        mode: 0o644,
        modified: Modified {
            seconds: CREATED_S,
            nanoseconds: 0,
        },
        extended: Extended::default(),
    })?;
    Ok(tar.content(bytes)?)
}
