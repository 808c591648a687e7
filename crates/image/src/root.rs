//! A root's layers as plain tars: the cache from which containers run.
//!
//! `layers/<diff id>.tar` is written together with its blob when the layer is made here; else it is unpacked from the
//! blob when it is first needed, and verified then. Beside it lies a seal with the file's size, times and inode; when the
//! file no longer matches its seal, it was changed or replaced, and is made again from the blob. Hashing a layer at each
//! start would cost more than the start.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::blob::place;
use crate::check::label;
use crate::digest::Hashing;
use crate::layer::LAYER_BYTES_MAX;
use crate::store::{WrongDiffId, at};
use crate::{Digest, Image, Layer, Lease, Store, StoreError};

/// Bounds the seal that is read: a few numbers in JSON.
const SEAL_BYTES_MAX: u64 = 4096;

/// An uncompressed layer on disk, to be mapped read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerFile {
    pub path: PathBuf,
    pub diff_id: Digest,
    pub size_bytes: u64,
}

/// What a file looked like when its content was verified.
///
/// The change time cannot be set back by a program, so a file that was written to does not match again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seal {
    diff_id: Digest,
    size_bytes: u64,
    inode: u64,
    mtime_ns: i128,
    ctime_ns: i128,
}

impl Seal {
    fn of(metadata: &fs::Metadata, diff_id: Digest) -> Self {
        const NS_PER_S: i128 = 1_000_000_000;
        Self {
            diff_id,
            size_bytes: metadata.len(),
            inode: metadata.ino(),
            mtime_ns: i128::from(metadata.mtime()) * NS_PER_S + i128::from(metadata.mtime_nsec()),
            ctime_ns: i128::from(metadata.ctime()) * NS_PER_S + i128::from(metadata.ctime_nsec()),
        }
    }
}

impl Store {
    /// Returns the image's layers as uncompressed tars, lowest first, unpacking those that are not there.
    ///
    /// The files stay while the image does: pin it, or hold its layers with a lease.
    pub fn root_layers(&self, image: &Image) -> Result<Vec<LayerFile>, StoreError> {
        self.layer_files(&image.layers)
    }

    /// Returns these layers as uncompressed tars. See [`Store::root_layers`].
    pub fn layer_files(&self, layers: &[Layer]) -> Result<Vec<LayerFile>, StoreError> {
        layers.iter().map(|layer| self.layer_file(layer)).collect()
    }

    fn layer_file(&self, layer: &Layer) -> Result<LayerFile, StoreError> {
        if let Some(file) = self.sealed(layer) {
            return Ok(file);
        }
        let lease = self.lease()?;
        lease.hold(&[layer.digest, layer.diff_id])?;
        let _lock = self.lock_layers()?;
        match self.sealed(layer) {
            Some(file) => Ok(file),
            None => unpack(&lease, layer),
        }
    }

    /// Locks `layers/`: two processes that need one layer unpack it once.
    pub(crate) fn lock_layers(&self) -> Result<File, StoreError> {
        let path = self.root.join("layers/.lock");
        let lock = File::create(&path).map_err(at("make the file", &path))?;
        lock.lock().map_err(at("lock the file", &path))?;
        Ok(lock)
    }

    pub(crate) fn layer_path(&self, diff_id: &Digest, extension: &str) -> PathBuf {
        self.root
            .join("layers")
            .join(diff_id.hex())
            .with_extension(extension)
    }

    /// Returns the cached tar of a layer if its seal is whole.
    fn sealed(&self, layer: &Layer) -> Option<LayerFile> {
        let path = self.layer_path(&layer.diff_id, "tar");
        let metadata = fs::symlink_metadata(&path)
            .ok()
            .filter(fs::Metadata::is_file)?;
        let seal = read_seal(&self.layer_path(&layer.diff_id, "seal"))?;
        (seal == Seal::of(&metadata, layer.diff_id)).then_some(LayerFile {
            path,
            diff_id: layer.diff_id,
            size_bytes: metadata.len(),
        })
    }
}

fn read_seal(path: &Path) -> Option<Seal> {
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(SEAL_BYTES_MAX)
        .read_to_end(&mut bytes)
        .ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Keeps the tar of a layer that was just made, unless it is there. The lease holds the layer's diff id.
pub(crate) fn keep(
    lease: &Lease<'_>,
    layer: &Layer,
    file: NamedTempFile,
) -> Result<(), StoreError> {
    let _lock = lease.store.lock_layers()?;
    match lease.store.sealed(layer) {
        Some(_) => Ok(()),
        None => seal(lease, layer, file).map(drop),
    }
}

/// Unpacks and verifies a layer's blob. The caller holds `layers/.lock`.
fn unpack(lease: &Lease<'_>, layer: &Layer) -> Result<LayerFile, StoreError> {
    let store = lease.store;
    let mut blob = Hashing::new(BufReader::new(store.open_blob(&layer.digest)?));
    let mut tar = Hashing::new(lease.temporary()?);
    let unpacked = copy_tar(&mut blob, layer, &mut tar);
    // Whatever the decoder left unread belongs to the blob's digest too, and tells damage from a failed write.
    let rest =
        io::copy(&mut blob, &mut io::sink()).map_err(at("read", &store.blob_path(&layer.digest)));
    let Hashing {
        inner: file,
        hasher,
        ..
    } = tar;
    rest?;
    match blob.hasher.finish() {
        found if found != layer.digest => {
            return Err(StoreError::CorruptBlob {
                digest: layer.digest,
                found,
            });
        }
        _ => unpacked?,
    }
    match hasher.finish() {
        found if found == layer.diff_id => seal(lease, layer, file),
        found => Err(StoreError::WrongDiffId(Box::new(WrongDiffId {
            layer: layer.digest,
            images: images_with(store, layer),
            found,
            expected: layer.diff_id,
        }))),
    }
}

/// Returns what images are called whose configuration says this of a blob.
fn images_with(store: &Store, layer: &Layer) -> Vec<String> {
    let manifests = store.database.images_with(&layer.digest);
    let images = manifests.into_iter().flatten().filter_map(|manifest| {
        let image = store.image_by_manifest(&manifest).ok()?;
        let tags = store.database.tags_of(&manifest).ok()?;
        image
            .layers
            .contains(layer)
            .then(|| label(&tags, &image.id))
    });
    images.collect()
}

/// Returns the digest of what is packed in a layer's blob.
pub(crate) fn unpacked_digest(store: &Store, layer: &Layer) -> Result<Digest, StoreError> {
    let malformed = |error: io::Error| match error.raw_os_error() {
        Some(_) => at("read", &store.blob_path(&layer.digest))(error),
        None => StoreError::MalformedBlob {
            digest: layer.digest,
            reason: error.to_string(),
        },
    };
    let blob = BufReader::new(store.open_blob(&layer.digest)?);
    let tar = layer.compression.unpack(blob).map_err(malformed)?;
    let (found, size_bytes) =
        Digest::of_reader(tar.take(LAYER_BYTES_MAX + 1)).map_err(malformed)?;
    match size_bytes > LAYER_BYTES_MAX {
        true => Err(too_large(layer)),
        false => Ok(found),
    }
}

fn too_large(layer: &Layer) -> StoreError {
    StoreError::TooLarge {
        what: format!("layer `{}`", layer.diff_id),
        max: LAYER_BYTES_MAX,
        unit: "bytes",
    }
}

fn copy_tar(
    blob: &mut (impl Read + Send),
    layer: &Layer,
    tar: &mut Hashing<NamedTempFile>,
) -> Result<(), StoreError> {
    let path = tar.inner.path().to_owned();
    let limit = LAYER_BYTES_MAX + 1;
    let malformed = |error: io::Error| StoreError::MalformedBlob {
        digest: layer.digest,
        reason: error.to_string(),
    };
    let unpacked = layer.compression.unpack(blob).map_err(malformed)?;
    let copied = io::copy(&mut unpacked.take(limit), tar);
    let count_bytes = copied.map_err(|error| match error.raw_os_error() {
        Some(_) => at("write", &path)(error),
        None => malformed(error),
    })?;
    match count_bytes > LAYER_BYTES_MAX {
        true => Err(too_large(layer)),
        false => Ok(()),
    }
}

fn seal(lease: &Lease<'_>, layer: &Layer, file: NamedTempFile) -> Result<LayerFile, StoreError> {
    let store = lease.store;
    let path = store.layer_path(&layer.diff_id, "tar");
    let opened = file.as_file().try_clone().map_err(at("write", &path))?;
    place(file, &path)?;
    // The rename itself moves the change time, so the seal is taken after it, from the file that was verified.
    let metadata = opened.metadata().map_err(at("read", &path))?;
    let bytes = serde_json::to_vec(&Seal::of(&metadata, layer.diff_id))
        .expect("a seal is numbers and a digest");
    let seal_path = store.layer_path(&layer.diff_id, "seal");
    let seal = lease.temporary()?;
    fs::write(seal.path(), bytes).map_err(at("write", &seal_path))?;
    seal.persist(&seal_path)
        .map_err(|error| at("write", &seal_path)(error.error))?;
    Ok(LayerFile {
        path,
        diff_id: layer.diff_id,
        size_bytes: metadata.len(),
    })
}
