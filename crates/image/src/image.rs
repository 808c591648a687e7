//! Images: a manifest, its configuration and its layers, resolved.

use oci_spec::image::{
    Descriptor, DescriptorBuilder, ImageManifest, ImageManifestBuilder, MediaType,
};
use serde::{Deserialize, Serialize};

use crate::configuration::{Configuration, canonical_json};
use crate::database::ImageRow;
use crate::{
    Blob, Compression, Digest, HistoryEntry, ImageConfig, Lease, Platform, Reference, Store,
    StoreError,
};

/// Bounds the layers of an image. Docker: `maxLayerDepth`, layer/layer_store.go, is 125.
const LAYERS_MAX: usize = 125;

/// The kinds of layers that are read; of each packing the first is written.
///
/// Spec: OCI image-spec 1.1 layer.md; Docker: distribution, `manifest/schema2/manifest.go`.
const LAYER_MEDIA_TYPES: [(&str, Compression); 6] = [
    ("application/vnd.oci.image.layer.v1.tar", Compression::None),
    (
        "application/vnd.oci.image.layer.v1.tar+gzip",
        Compression::Gzip,
    ),
    (
        "application/vnd.oci.image.layer.v1.tar+zstd",
        Compression::Zstd,
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar",
        Compression::None,
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        Compression::Gzip,
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        Compression::Zstd,
    ),
];

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

impl ImageSummary {
    /// Returns when it was made, as far as it is known: seconds since 1970.
    pub fn made_s(&self) -> i64 {
        self.created_s.unwrap_or(self.stored_s)
    }
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
        let tags = self.database.tags_of(manifest_digest)?;
        self.image_with_tags(manifest_digest, tags)
    }

    /// Returns the image with this manifest, its blobs verified, with names that the caller knows.
    pub(crate) fn image_with_tags(
        &self,
        manifest_digest: &Digest,
        tags: Vec<Reference>,
    ) -> Result<Image, StoreError> {
        let manifest = self.read_blob(manifest_digest)?;
        let config = self.read_blob(&Image::config_digest(manifest_digest, &manifest)?)?;
        let image = Image::of_documents(manifest_digest, &manifest, &config)?;
        Ok(Image { tags, ..image })
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
        // Another process may have removed the image since it was found.
        let changed_count = self.database.change(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO tags SELECT ?1, manifest FROM images WHERE manifest = ?2",
                rusqlite::params![name.to_string(), manifest_digest.to_string()],
            )
        })?;
        if changed_count == 0 {
            return Err(StoreError::NotFound {
                wanted: manifest_digest.to_string(),
                nearest: None,
            });
        }
        self.publish()
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
            if !self.store.has_blob(&layer.blob()) {
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
            diff_ids,
            history: image.history.clone(),
        };
        let config = self.write_blob(&configuration.to_bytes())?;
        let manifest = self.write_blob(&manifest_bytes(&config, &image.layers))?;
        let is_new = !self.store.database.is_tagged(&manifest.digest, tags)?;
        let image = self.adopt(&manifest.digest, tags, now_s)?;
        if is_new {
            self.store.publish()?;
        }
        Ok(image)
    }

    /// Makes an image of blobs that are in the store and held by the lease, and points `tags` to it. [`Store::publish`] is the caller's.
    pub(crate) fn adopt(
        &self,
        manifest_digest: &Digest,
        tags: &[Reference],
        now_s: i64,
    ) -> Result<Image, StoreError> {
        let image = self.store.image_by_manifest(manifest_digest)?;
        let row = ImageRow::of(&image);
        if !self.store.database.is_tagged(manifest_digest, tags)? {
            self.store.database.commit_image(&row, tags, now_s)?;
        }
        Ok(Image {
            tags: self.store.database.tags_of(manifest_digest)?,
            ..image
        })
    }
}

impl ImageRow {
    /// Returns the rows of an image.
    pub(crate) fn of(image: &Image) -> Self {
        let layers = image
            .layers
            .iter()
            .flat_map(|layer| [layer.digest, layer.diff_id]);
        Self {
            manifest: image.manifest_digest,
            config: image.id,
            created_s: image.created_s,
            size_bytes: image.size_bytes,
            contents: layers.chain([image.id, image.manifest_digest]).collect(),
        }
    }
}

impl Layer {
    /// Returns the layer's blob.
    pub fn blob(&self) -> Blob {
        Blob {
            digest: self.digest,
            size_bytes: self.size_bytes,
        }
    }
}

impl Image {
    /// Returns which configuration a manifest names.
    pub(crate) fn config_digest(digest: &Digest, manifest: &[u8]) -> Result<Digest, StoreError> {
        let text = parse(digest, manifest)?.config().digest().to_string();
        text.parse().map_err(unsupported_digest(digest))
    }

    /// Returns the image of a manifest and its configuration, without tags.
    pub fn of_documents(
        manifest_digest: &Digest,
        manifest_bytes: &[u8],
        config_bytes: &[u8],
    ) -> Result<Self, StoreError> {
        let manifest = parse(manifest_digest, manifest_bytes)?;
        let id = Digest::of(config_bytes);
        let configuration = Configuration::from_bytes(config_bytes)
            .map_err(|reason| StoreError::MalformedBlob { digest: id, reason })?;
        let (found, expected) = (manifest.layers().len(), configuration.diff_ids.len());
        if found != expected || found > LAYERS_MAX {
            return Err(StoreError::MalformedBlob {
                digest: *manifest_digest,
                reason: format!(
                    "it has {found} layers and its configuration {expected}; they must be equal, and at most {LAYERS_MAX}"
                ),
            });
        }
        let pairs = manifest.layers().iter().zip(&configuration.diff_ids);
        let layers = pairs
            .map(|(descriptor, diff_id)| layer(manifest_digest, descriptor, *diff_id))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            id,
            manifest_digest: *manifest_digest,
            tags: Vec::new(),
            platform: configuration.platform,
            created_s: configuration.created_s,
            size_bytes: total_size(manifest_bytes.len(), config_bytes.len(), &layers),
            layers,
            config: configuration.config,
            history: configuration.history,
        })
    }
}

fn parse(digest: &Digest, manifest: &[u8]) -> Result<ImageManifest, StoreError> {
    serde_json::from_slice(manifest).map_err(|error| StoreError::MalformedBlob {
        digest: *digest,
        reason: error.to_string(),
    })
}

fn total_size(manifest_bytes: usize, config_bytes: usize, layers: &[Layer]) -> u64 {
    // Sizes are what a foreign manifest says.
    ((manifest_bytes + config_bytes) as u64).saturating_add(
        layers
            .iter()
            .fold(0_u64, |sum, layer| sum.saturating_add(layer.size_bytes)),
    )
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
    let media_type = descriptor.media_type().as_ref();
    let known = LAYER_MEDIA_TYPES
        .iter()
        .find(|(name, _)| *name == media_type);
    let Some((_, compression)) = known else {
        return Err(StoreError::Unsupported {
            digest,
            feature: media_type.to_owned(),
        });
    };
    Ok(Layer {
        digest,
        diff_id,
        size_bytes: descriptor.size(),
        compression: *compression,
    })
}

/// Spec: OCI image-spec 1.1 manifest.md.
pub(crate) fn manifest_bytes(config: &Blob, layers: &[Layer]) -> Vec<u8> {
    let layers: Vec<Descriptor> = layers
        .iter()
        .map(|layer| {
            let media_type = LAYER_MEDIA_TYPES
                .iter()
                .find(|(_, compression)| *compression == layer.compression)
                .expect("every packing has a media type")
                .0;
            descriptor(MediaType::from(media_type), &layer.blob())
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
    DescriptorBuilder::default()
        .media_type(media_type)
        .digest(blob.digest.to_oci())
        .size(blob.size_bytes)
        .build()
        .expect("every field of the descriptor is given")
}
