//! The store as an OCI image layout: `oci-layout` and `index.json` beside the blobs, so that other tools read it in place.
//!
//! The database is what counts; the index follows it after each change of names, and a lost database is made again from it.
//!
//! Spec: OCI image-spec 1.1 image-layout.md.

use std::collections::HashMap;
use std::fs;

use oci_spec::image::{Descriptor, DescriptorBuilder, ImageIndex, ImageIndexBuilder, MediaType};
use rusqlite::Connection;

use crate::configuration::canonical_json;
use crate::database::{digest, parsed};
use crate::store::at;
use crate::{Digest, Reference, Store, StoreError};

/// Spec: OCI image-spec 1.1 image-layout.md, "oci-layout file".
pub(crate) const LAYOUT: &str = "oci-layout";
pub(crate) const LAYOUT_CONTENT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Spec: OCI image-spec 1.1 image-layout.md, "index.json file".
pub(crate) const INDEX: &str = "index.json";
/// Bounds the index that is read back; ours has some 300 bytes for each name.
const INDEX_BYTES_MAX: u64 = 256 << 20;
/// Spec: OCI image-spec 1.1 annotations.md.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

impl Store {
    /// Writes the index anew, as the database is now.
    ///
    /// It is done inside a write transaction, so of two processes the one that is later has the newer database.
    pub(crate) fn publish(&self) -> Result<(), StoreError> {
        self.database.write(|transaction| {
            let names = names(transaction).map_err(|source| self.database.failed(source))?;
            self.write_atomically(LAYOUT, LAYOUT_CONTENT)?;
            self.write_atomically(INDEX, &self.index(&names))
        })
    }

    fn index(&self, names: &[(Digest, Option<Reference>)]) -> Vec<u8> {
        let manifests: Vec<Descriptor> = names
            .iter()
            .map(|(manifest, name)| {
                // A manifest that is lost is the business of `check`.
                let size_bytes =
                    fs::metadata(self.blob_path(manifest)).map_or(0, |blob| blob.len());
                let mut descriptor = DescriptorBuilder::default()
                    .media_type(MediaType::ImageManifest)
                    .digest(manifest.to_oci())
                    .size(size_bytes);
                if let Some(name) = name {
                    let annotations = HashMap::from([(REF_NAME.to_owned(), name.to_string())]);
                    descriptor = descriptor.annotations(annotations);
                }
                descriptor
                    .build()
                    .expect("every field of the descriptor is given")
            })
            .collect();
        let index: ImageIndex = ImageIndexBuilder::default()
            .schema_version(2_u32)
            .media_type(MediaType::ImageIndex)
            .manifests(manifests)
            .build()
            .expect("every field of the index is given");
        canonical_json(&index)
    }

    /// Replaces a file of the layout; readers see the old one or the new one.
    fn write_atomically(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.root.join(name);
        if fs::read(&path).is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        let new = self.root.join(format!("{name}.new"));
        fs::write(&new, bytes)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(at("write", &path))
    }

    /// Returns whether the index says what the database does.
    pub(crate) fn is_published(&self) -> Result<bool, StoreError> {
        let names = self.database.read(names)?;
        let found = fs::read(self.root.join(INDEX)).unwrap_or_default();
        let is_layout = fs::read(self.root.join(LAYOUT)).is_ok_and(|it| it == LAYOUT_CONTENT);
        // A store that never had an image has no index yet.
        Ok(names.is_empty() && found.is_empty() || is_layout && found == self.index(&names))
    }

    /// Reads the images that the index has, with their names; one that cannot be read says nothing.
    pub(crate) fn published(&self) -> Option<Vec<(Digest, Option<Reference>)>> {
        let path = self.root.join(INDEX);
        let is_small = fs::metadata(&path).is_ok_and(|index| index.len() <= INDEX_BYTES_MAX);
        let bytes = is_small.then(|| fs::read(&path).ok()).flatten()?;
        let index: ImageIndex = serde_json::from_slice(&bytes).ok()?;
        let entries = index.manifests().iter().filter_map(|descriptor| {
            let name = descriptor
                .annotations()
                .as_ref()
                .and_then(|it| it.get(REF_NAME));
            let name = name.and_then(|name| name.parse().ok());
            Some((descriptor.digest().as_ref().parse().ok()?, name))
        });
        Some(entries.collect())
    }
}

/// Returns each name with its image, and the images without.
fn names(connection: &Connection) -> rusqlite::Result<Vec<(Digest, Option<Reference>)>> {
    let mut statement = connection.prepare_cached(
        "SELECT images.manifest, tags.name FROM images LEFT JOIN tags ON tags.manifest = images.manifest
         ORDER BY tags.name, images.manifest",
    )?;
    statement
        .query_map([], |row| {
            let name = match row.get_ref(1)? {
                rusqlite::types::ValueRef::Null => None,
                _ => Some(parsed(row, 1)?),
            };
            Ok((digest(row, 0)?, name))
        })?
        .collect()
}
