//! Blobs: files named by the digest of their content.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::digest::Hashing;
use crate::store::at;
use crate::{Digest, Lease, Store, StoreError};

/// Bounds a blob that is read into memory: a manifest or a configuration. Spec: OCI distribution-spec 1.1, "4 megabytes".
pub const BLOB_BYTES_MAX: u64 = 4 << 20;

/// A blob's name and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    pub size_bytes: u64,
}

impl Store {
    /// Returns where a blob lies, whether or not it is there.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Returns a small blob's bytes, which have the digest.
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        let file = self.open_blob(digest)?;
        let mut bytes = Vec::new();
        file.take(BLOB_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(at("read", &path))?;
        if bytes.len() as u64 > BLOB_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: format!("blob `{digest}`"),
                max: BLOB_BYTES_MAX,
                unit: "bytes",
            });
        }
        match Digest::of(&bytes) {
            found if found == *digest => Ok(bytes),
            found => Err(StoreError::CorruptBlob {
                digest: *digest,
                found,
            }),
        }
    }

    /// Opens a blob whose content the caller verifies.
    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::MissingBlob { digest: *digest },
            _ => at("read", &path)(error),
        })
    }

    /// Returns whether a blob is there with the right size. Its content is verified where it is read.
    pub(crate) fn has_blob(&self, blob: &Blob) -> bool {
        fs::metadata(self.blob_path(&blob.digest))
            .is_ok_and(|metadata| metadata.len() == blob.size_bytes)
    }
}

impl Lease<'_> {
    /// Stores a small blob and holds it.
    pub fn write_blob(&self, bytes: &[u8]) -> Result<Blob, StoreError> {
        if bytes.len() as u64 > BLOB_BYTES_MAX {
            let what = "a configuration or manifest".to_owned();
            return Err(StoreError::TooLarge {
                what,
                max: BLOB_BYTES_MAX,
                unit: "bytes",
            });
        }
        let blob = Blob {
            digest: Digest::of(bytes),
            size_bytes: bytes.len() as u64,
        };
        self.hold(&[blob.digest])?;
        if self.store.has_blob(&blob) {
            return Ok(blob);
        }
        let mut file = self.temporary()?;
        file.write_all(bytes).map_err(at("write", file.path()))?;
        self.place_blob(file, &blob)?;
        Ok(blob)
    }

    /// Moves a finished file to where its digest says. The lease must hold the digest.
    pub(crate) fn place_blob(&self, file: NamedTempFile, blob: &Blob) -> Result<(), StoreError> {
        place(file, &self.store.blob_path(&blob.digest))
    }

    /// Stores a blob of any size that must have this digest, and holds it.
    pub fn import_blob(&self, blob: &Blob, reader: impl Read) -> Result<(), StoreError> {
        self.hold(&[blob.digest])?;
        if self.store.has_blob(blob) {
            return Ok(());
        }
        let file = self.temporary()?;
        let path = file.path().to_owned();
        let mut hashing = Hashing::new(file);
        // One byte more than announced is enough to see that the source lies.
        io::copy(
            &mut reader.take(blob.size_bytes.saturating_add(1)),
            &mut hashing,
        )
        .map_err(at("write", &path))?;
        let Hashing { inner, hasher, .. } = hashing;
        match hasher.finish() {
            found if found == blob.digest => self.place_blob(inner, blob),
            found => Err(StoreError::CorruptBlob {
                digest: blob.digest,
                found,
            }),
        }
    }
}

/// Flushes a file to the disk and renames it, replacing what was there.
pub(crate) fn place(file: NamedTempFile, path: &Path) -> Result<(), StoreError> {
    file.as_file().sync_all().map_err(at("write", path))?;
    file.persist(path)
        .map_err(|error| at("write", path)(error.error))?;
    sync_parent(path)
}

/// Makes a rename survive a power cut. Linux: `fsync(2)`, "NOTES": the directory entry needs its own.
pub(crate) fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().unwrap_or(path);
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(at("write", parent))
}
