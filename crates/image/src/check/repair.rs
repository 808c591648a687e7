//! Putting a store right, as far as the rest of it says what was there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::inspect::named_files;
use super::{BlobFault, Fault, check};
use crate::archive::pack;
use crate::blob::place;
use crate::database::{ImageRow, now_s};
use crate::image::manifest_bytes;
use crate::store::at;
use crate::{BLOB_BYTES_MAX, Digest, Image, Layer, Lease, Reference, Store, StoreError};

/// Bounds the names that a set-aside database may get.
const ASIDE_MAX: u32 = 1000;
/// Bounds the rounds: a removal may uncover something that was needed by it alone.
const ROUNDS_MAX: usize = 4;

/// What was done about a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    pub fault: Fault,
    /// What was done, and what is lost by it.
    pub outcome: String,
}

/// Repairs the store at `root`; returns what was done, in order.
pub fn repair(root: &Path) -> Result<Vec<Repaired>, StoreError> {
    let mut done = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let mut faults = check(root)?;
        if let Some(at) = faults.iter().position(is_of_database) {
            let (fault, outcome) = (faults.swap_remove(at), rebuild(root)?);
            done.push(Repaired { fault, outcome });
            continue;
        }
        if faults.is_empty() {
            break;
        }
        let store = Store::open(root)?;
        for fault in faults {
            let outcome = one(&store, &fault)?;
            done.push(Repaired { fault, outcome });
        }
        store.collect()?;
    }
    Ok(done)
}

fn is_of_database(fault: &Fault) -> bool {
    matches!(fault, Fault::Database { .. })
}

fn one(store: &Store, fault: &Fault) -> Result<String, StoreError> {
    match fault {
        // It was made anew before anything else.
        Fault::Database { .. } => Ok("made again".to_owned()),
        Fault::Blob { digest, reason, .. } => blob(store, digest, *reason),
        Fault::Document { digest, .. } => lose(store, digest),
        // Others may say of the same blob what is true.
        Fault::Content { manifest, .. } => lose(store, manifest),
        Fault::Records { digest, .. } => {
            let image = store.image_by_manifest(digest)?;
            store.database.replace_contents(&ImageRow::of(&image))?;
            Ok("recorded again from the manifest".to_owned())
        }
        Fault::Layer { path, .. } => {
            remove(path)?;
            remove(&path.with_extension("seal"))?;
            Ok("removed; it is unpacked again when it is needed".to_owned())
        }
        Fault::Orphan { path, .. } | Fault::Stray { path } => {
            remove(path)?;
            Ok("removed".to_owned())
        }
        Fault::Index { .. } => {
            store.publish()?;
            Ok("written again from the database".to_owned())
        }
    }
}

/// Makes a blob again from the cached tar of its layer, or gives up what needs it.
fn blob(store: &Store, digest: &Digest, reason: BlobFault) -> Result<String, StoreError> {
    if reason != BlobFault::Missing {
        remove(&store.blob_path(digest))?;
    }
    if repack(store, digest)? {
        return Ok("packed again from the cached layer".to_owned());
    }
    if rewrite_manifest(store, digest)? {
        return Ok("written again from its configuration and layers".to_owned());
    }
    lose(store, digest)
}

/// Packs a layer again from its cached tar, if that gives the same bytes as before.
fn repack(store: &Store, digest: &Digest) -> Result<bool, StoreError> {
    let Some(layer) = layer_of(store, digest)? else {
        return Ok(false);
    };
    let tar = store.layer_path(&layer.diff_id, "tar");
    let is_whole = |(found, _)| found == layer.diff_id;
    if !File::open(&tar)
        .and_then(Digest::of_reader)
        .is_ok_and(is_whole)
    {
        return Ok(false);
    }
    let lease = store.lease()?;
    lease.hold(&[*digest])?;
    let file = File::open(&tar).map_err(at("read", &tar))?;
    let (packed, blob) = pack(file, layer.compression, &lease)?;
    if blob.digest != *digest {
        return Ok(false);
    }
    place(packed, &store.blob_path(digest)).map(|()| true)
}

/// Returns what an image or a build step says of a layer's blob.
fn layer_of(store: &Store, digest: &Digest) -> Result<Option<Layer>, StoreError> {
    for manifest in store.database.images_with(digest)? {
        let image = store.image_by_manifest(&manifest);
        let layers = image.into_iter().flat_map(|image| image.layers);
        if let Some(layer) = layers.into_iter().find(|layer| layer.digest == *digest) {
            return Ok(Some(layer));
        }
    }
    store.database.layer_of_step(digest)
}

/// Writes an image's manifest again, if it was one of ours: they are determined by configuration and layers.
fn rewrite_manifest(store: &Store, digest: &Digest) -> Result<bool, StoreError> {
    let Some(config) = store.database.config_of(digest)? else {
        return Ok(false);
    };
    let Ok(bytes) = store.read_blob(&config) else {
        return Ok(false);
    };
    let Ok(configuration) = crate::configuration::Configuration::from_bytes(&bytes) else {
        return Ok(false);
    };
    let config = crate::Blob {
        digest: config,
        size_bytes: bytes.len() as u64,
    };
    let mut layers = Vec::new();
    for diff_id in &configuration.diff_ids {
        let Some(layer) = store.database.layer_of_step(diff_id)? else {
            return Ok(false);
        };
        layers.push(layer);
    }
    let manifest = manifest_bytes(&config, &layers);
    if Digest::of(&manifest) != *digest {
        return Ok(false);
    }
    let lease = store.lease()?;
    lease.write_blob(&manifest)?;
    Ok(true)
}

/// Gives up the images and build steps that need a blob.
fn lose(store: &Store, digest: &Digest) -> Result<String, StoreError> {
    let lost = store.database.forget(digest)?;
    let names: BTreeSet<String> = lost.into_iter().collect();
    if names.is_empty() {
        return Ok("forgotten; the step is built again when it is needed".to_owned());
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Ok(format!(
        "lost: image {}; build or load it again",
        names.join(", ")
    ))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(at("remove", path)),
    }
}

/// Makes the database again: images from the manifests among the blobs, names from `index.json`.
fn rebuild(root: &Path) -> Result<String, StoreError> {
    let aside = set_aside(root)?;
    let store = Store::open_to_repair(root)?;
    let published = store.published();
    let mut wanted: BTreeMap<Digest, Vec<Reference>> = BTreeMap::new();
    for (manifest, name) in published.iter().flatten() {
        wanted.entry(*manifest).or_default().extend(name.clone());
    }
    let (mut images_count, mut names_count) = (0, 0);
    let lease = store.lease()?;
    for manifest in manifests(&store)? {
        // Without an index, every manifest may be one of an image.
        let Some(tags) = wanted
            .remove(&manifest)
            .or(published.is_none().then(Vec::new))
        else {
            continue;
        };
        adopt(&lease, &manifest, &tags)?;
        images_count += 1;
        names_count += tags.len();
    }
    let lost: Vec<String> = wanted
        .into_values()
        .flatten()
        .map(|name| format!("`{name}`"))
        .collect();
    let mut outcome = format!(
        "made again with {images_count} images and {names_count} names; the build cache is lost, the old one is kept as `{}`",
        aside.display()
    );
    if published.is_none() {
        outcome.push_str("; names are lost, since `index.json` cannot be read");
    }
    if !lost.is_empty() {
        outcome = format!("{outcome}; lost: image {}", lost.join(", "));
    }
    Ok(outcome)
}

fn adopt(lease: &Lease<'_>, manifest: &Digest, tags: &[Reference]) -> Result<(), StoreError> {
    let image = lease.store.image_by_manifest(manifest)?;
    lease
        .store
        .database
        .commit_image(&ImageRow::of(&image), tags, now_s())
}

/// Moves a database away with its log.
fn set_aside(root: &Path) -> Result<PathBuf, StoreError> {
    let name = |number: u32| root.join(format!("images.db.corrupt-{number}"));
    let free = (1..ASIDE_MAX).map(name).find(|path| !path.exists());
    let aside = free.unwrap_or_else(|| name(ASIDE_MAX));
    for suffix in ["-wal", "-shm", ""] {
        let path = root.join(format!("images.db{suffix}"));
        let mut to = aside.clone().into_os_string();
        to.push(suffix);
        match fs::rename(&path, &to) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            moved => moved.map_err(at("move away", &path))?,
        }
    }
    Ok(aside)
}

/// Returns the blobs that are manifests of whole documents.
fn manifests(store: &Store) -> Result<Vec<Digest>, StoreError> {
    let mut manifests = Vec::new();
    for (digest, path) in named_files(&store.root.join("blobs/sha256"))? {
        let is_small = fs::metadata(&path).is_ok_and(|blob| blob.len() <= BLOB_BYTES_MAX);
        let Some(digest) = digest.filter(|_| is_small) else {
            continue;
        };
        let image: Option<Image> = store.image_by_manifest(&digest).ok();
        let has_blobs = |layer: &Layer| store.has_blob(&layer.blob());
        if image.is_some_and(|image| image.layers.iter().all(has_blobs)) {
            manifests.push(digest);
        }
    }
    Ok(manifests)
}
