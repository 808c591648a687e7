//! Images: a manifest, its configuration and its layers, resolved.

use oci_spec::image::{
    Descriptor, DescriptorBuilder, ImageManifest, ImageManifestBuilder, MediaType,
};
use serde::{Deserialize, Serialize};

use crate::configuration::{Configuration, canonical_json};
use crate::database::ImageRow;
use crate::{
    Blob, Digest, HistoryEntry, ImageConfig, Lease, Platform, Reference, Store, StoreError,
};

/// Bounds the layers of an image. Docker: `maxLayerDepth`, layer/layer_store.go, is 125.
const LAYERS_MAX: usize = 125;

/// How a layer's blob is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    None,
    Zstd,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Digest of the blob.
    pub digest: Digest,
    /// Digest of the tar inside.
    pub diff_id: Digest,
    /// Size of the blob.
    pub size_bytes: u64,
    pub compression: Compression,
}

/// An image of the store with everything that a run needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Digest of the configuration: what people call the image's id.
    pub id: Digest,
    pub manifest_digest: Digest,
    /// Names that point to it now.
    pub tags: Vec<Reference>,
    pub platform: Platform,
    /// Seconds since 1970, as the configuration says.
    pub created_s: Option<i64>,
    /// Lowest first.
    pub layers: Vec<Layer>,
    pub config: ImageConfig,
    pub history: Vec<HistoryEntry>,
    /// Size of the manifest, the configuration and the layers' blobs.
    pub size_bytes: u64,
}

/// One row of the list of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    pub id: Digest,
    pub manifest_digest: Digest,
    /// Empty for an image whose name was given to another.
    pub tags: Vec<Reference>,
    /// Seconds since 1970, as the configuration says.
    pub created_s: Option<i64>,
    /// Seconds since 1970, when this store first had it.
    pub stored_s: i64,
    pub size_bytes: u64,
}

/// What an image is made of before it is in the store.
#[derive(Debug, Clone, Default)]
pub struct NewImage {
    pub platform: Platform,
    pub created_s: Option<i64>,
    /// Lowest first; each must be held by the lease that commits.
    pub layers: Vec<Layer>,
    pub config: ImageConfig,
    pub history: Vec<HistoryEntry>,
}

impl Store {
    /// Returns the image with this manifest, its blobs verified.
    pub fn image_by_manifest(&self, manifest_digest: &Digest) -> Result<Image, StoreError> {
        let bytes = self.read_blob(manifest_digest)?;
        let malformed = |reason: String| StoreError::MalformedBlob {
            digest: *manifest_digest,
            reason,
        };
        let manifest: ImageManifest =
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        let id: Digest = manifest
            .config()
            .digest()
            .as_ref()
            .parse()
            .map_err(unsupported_digest(manifest_digest))?;
        let config_bytes = self.read_blob(&id)?;
        let configuration = Configuration::from_bytes(&config_bytes)
            .map_err(|reason| StoreError::MalformedBlob { digest: id, reason })?;
        if manifest.layers().len() != configuration.diff_ids.len()
            || manifest.layers().len() > LAYERS_MAX
        {
            return Err(malformed(format!(
                "it has {} layers and its configuration {}; they must be equal, and at most {LAYERS_MAX}",
                manifest.layers().len(),
                configuration.diff_ids.len(),
            )));
        }
        let pairs = manifest.layers().iter().zip(&configuration.diff_ids);
        let layers = pairs
            .map(|(descriptor, diff_id)| layer(manifest_digest, descriptor, *diff_id))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Image {
            id,
            manifest_digest: *manifest_digest,
            tags: self.database.tags_of(manifest_digest)?,
            platform: configuration.platform,
            created_s: configuration.created_s,
            size_bytes: total_size(bytes.len(), config_bytes.len(), &layers),
            layers,
            config: configuration.config,
            history: configuration.history,
        })
    }

    /// Keeps an image's contents for as long as `holder` (a container, by name) exists.
    pub fn pin(&self, manifest_digest: &Digest, holder: &str) -> Result<(), StoreError> {
        match self.database.pin(holder, manifest_digest)? {
            true => Ok(()),
            false => Err(StoreError::NotFound {
                wanted: manifest_digest.to_string(),
                nearest: None,
            }),
        }
    }

    /// Ends every pin of `holder`.
    pub fn unpin(&self, holder: &str) -> Result<(), StoreError> {
        self.database.unpin(holder)
    }

    /// Returns who pins which manifest, so that an engine can end the pins of containers that are gone.
    pub fn pins(&self) -> Result<Vec<(String, Digest)>, StoreError> {
        self.database.pins()
    }

    /// Gives an image one more name, taking it from the image that has it.
    pub fn tag(&self, manifest_digest: &Digest, name: &Reference) -> Result<(), StoreError> {
        self.database.change(|transaction| {
            transaction
                .execute(
                    "INSERT OR REPLACE INTO tags VALUES (?1, ?2)",
                    rusqlite::params![name.to_string(), manifest_digest.to_string()],
                )
                .map(drop)
        })
    }
}

impl Lease<'_> {
    /// Keeps an image's contents while the lease lives, and makes sure that they are there.
    pub fn hold_image(&self, image: &Image) -> Result<(), StoreError> {
        let layers = image
            .layers
            .iter()
            .flat_map(|layer| [layer.digest, layer.diff_id]);
        let contents: Vec<Digest> = layers.chain([image.id, image.manifest_digest]).collect();
        self.hold(&contents)?;
        for layer in &image.layers {
            let blob = Blob {
                digest: layer.digest,
                size_bytes: layer.size_bytes,
            };
            if !self.store.has_blob(&blob) {
                return Err(StoreError::MissingBlob {
                    digest: layer.digest,
                });
            }
        }
        self.store.read_blob(&image.id).map(drop)
    }

    /// Writes an image's configuration and manifest, and points `tags` to it, taking them from the images that have them.
    pub fn commit_image(
        &self,
        image: &NewImage,
        tags: &[Reference],
        now_s: i64,
    ) -> Result<Image, StoreError> {
        let diff_ids: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
        if diff_ids.len() > LAYERS_MAX {
            return Err(StoreError::TooLarge {
                what: "the image".to_owned(),
                max: LAYERS_MAX as u64,
                unit: "layers",
            });
        }
        let configuration = Configuration {
            platform: image.platform.clone(),
            created_s: image.created_s,
            config: image.config.clone(),
            diff_ids: diff_ids.clone(),
            history: image.history.clone(),
        };
        let config = self.write_blob(&configuration.to_bytes())?;
        let manifest = self.write_blob(&manifest_bytes(&config, &image.layers))?;
        let blobs = image.layers.iter().map(|layer| layer.digest);
        let contents = [config.digest, manifest.digest]
            .into_iter()
            .chain(blobs)
            .chain(diff_ids)
            .collect();
        let row = ImageRow {
            manifest: manifest.digest,
            config: config.digest,
            created_s: image.created_s,
            size_bytes: total_size(
                manifest.size_bytes as usize,
                config.size_bytes as usize,
                &image.layers,
            ),
            contents,
        };
        if !self.store.database.is_tagged(&manifest.digest, tags)? {
            self.store.database.commit_image(&row, tags, now_s)?;
        }
        self.store.image_by_manifest(&manifest.digest)
    }
}

fn total_size(manifest_bytes: usize, config_bytes: usize, layers: &[Layer]) -> u64 {
    (manifest_bytes + config_bytes) as u64
        + layers.iter().map(|layer| layer.size_bytes).sum::<u64>()
}

fn unsupported_digest(manifest: &Digest) -> impl Fn(crate::ParseDigestError) -> StoreError {
    let digest = *manifest;
    move |error| StoreError::Unsupported {
        digest,
        feature: error.text,
    }
}

fn layer(manifest: &Digest, descriptor: &Descriptor, diff_id: Digest) -> Result<Layer, StoreError> {
    let digest: Digest = descriptor
        .digest()
        .as_ref()
        .parse()
        .map_err(unsupported_digest(manifest))?;
    let compression = match descriptor.media_type() {
        MediaType::ImageLayer => Compression::None,
        MediaType::ImageLayerZstd => Compression::Zstd,
        other => {
            return Err(StoreError::Unsupported {
                digest,
                feature: other.to_string(),
            });
        }
    };
    Ok(Layer {
        digest,
        diff_id,
        size_bytes: descriptor.size(),
        compression,
    })
}

/// Spec: OCI image-spec 1.1 manifest.md.
fn manifest_bytes(config: &Blob, layers: &[Layer]) -> Vec<u8> {
    let layers: Vec<Descriptor> = layers
        .iter()
        .map(|layer| {
            let media_type = match layer.compression {
                Compression::None => MediaType::ImageLayer,
                Compression::Zstd => MediaType::ImageLayerZstd,
            };
            descriptor(
                media_type,
                &Blob {
                    digest: layer.digest,
                    size_bytes: layer.size_bytes,
                },
            )
        })
        .collect();
    let manifest = ImageManifestBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageManifest)
        .config(descriptor(MediaType::ImageConfig, config))
        .layers(layers)
        .build()
        .expect("every field of the manifest is given");
    canonical_json(&manifest)
}

fn descriptor(media_type: MediaType, blob: &Blob) -> Descriptor {
    let digest: oci_spec::image::Digest = blob
        .digest
        .to_string()
        .parse()
        .expect("the text of a digest is a digest");
    DescriptorBuilder::default()
        .media_type(media_type)
        .digest(digest)
        .size(blob.size_bytes)
        .build()
        .expect("every field of the descriptor is given")
}
