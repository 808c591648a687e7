//! The documents that say what an archive has.

use std::collections::HashMap;

use oci_spec::image::{
    Descriptor, DescriptorBuilder, ImageIndex, ImageIndexBuilder, MediaType, PlatformBuilder,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ArchiveError;
use super::plan::PlannedImage;
use crate::Reference;
use crate::configuration::canonical_json;
use crate::layout::REF_NAME;
pub(super) use crate::layout::{INDEX, LAYOUT, LAYOUT_CONTENT};

/// Docker: `image/spec/v1.2.md`.
pub(super) const DOCKER: &str = "manifest.json";

/// The whole name. containerd: `images/annotations.go`.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// What Docker and containerd put before a short name.
const REGISTRY_DEFAULT: &str = "docker.io";

/// One image of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerImage {
    pub(super) config: String,
    /// Null in archives of images without a name.
    pub(super) repo_tags: Option<Vec<String>>,
    /// Lowest first.
    pub(super) layers: Vec<String>,
}

/// Reads a document.
pub(super) fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, ArchiveError> {
    serde_json::from_slice(bytes).map_err(|error| ArchiveError::Malformed {
        document: name.to_owned(),
        reason: error.to_string(),
    })
}

/// Returns the names that an index gives to what a descriptor points to.
pub(super) fn names(descriptor: &Descriptor) -> Vec<Reference> {
    let annotation = |key: &str| descriptor.annotations().as_ref()?.get(key);
    let whole = annotation(IMAGE_NAME).or_else(|| {
        // A word alone is a tag of a name that the archive does not tell.
        annotation(REF_NAME).filter(|name| name.contains([':', '/']))
    });
    whole
        .and_then(|name| name.parse().ok())
        .into_iter()
        .collect()
}

/// Returns what an index calls what a descriptor points to.
pub(super) fn label(descriptor: &Descriptor) -> Option<String> {
    let annotations = descriptor.annotations().as_ref()?;
    annotations
        .get(IMAGE_NAME)
        .or_else(|| annotations.get(REF_NAME))
        .cloned()
}

/// Returns `index.json`: one entry for each name, or one for an image without.
pub(super) fn index(images: &[PlannedImage]) -> Vec<u8> {
    let mut tags_count = HashMap::new();
    for name in images.iter().flat_map(|image| &image.names) {
        *tags_count.entry(name.tag.as_str()).or_insert(0) += 1;
    }
    let entries = images.iter().flat_map(|image| {
        let named = image.names.iter().map(|name| {
            // Readers that know the tag alone must still find one image by it.
            let ref_name = match tags_count.get(name.tag.as_str()) {
                Some(1) => name.tag.clone(),
                _ => name.to_string(),
            };
            let annotations = HashMap::from([
                (IMAGE_NAME.to_owned(), whole_name(name)),
                (REF_NAME.to_owned(), ref_name),
            ]);
            entry(image, Some(annotations))
        });
        let nameless = image.names.is_empty().then(|| entry(image, None));
        named.chain(nameless).collect::<Vec<_>>()
    });
    let index: ImageIndex = ImageIndexBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageIndex)
        .manifests(entries.collect::<Vec<_>>())
        .build()
        .expect("every field of the index is given");
    canonical_json(&index)
}

fn entry(image: &PlannedImage, annotations: Option<HashMap<String, String>>) -> Descriptor {
    let platform = PlatformBuilder::default()
        .architecture(image.platform.architecture.as_str())
        .os(image.platform.os.as_str())
        .build()
        .expect("every field of the platform is given");
    let mut descriptor = DescriptorBuilder::default()
        .media_type(MediaType::ImageManifest)
        .digest(image.manifest.digest.to_oci())
        .size(image.manifest.size_bytes)
        .platform(platform);
    if let Some(annotations) = annotations {
        descriptor = descriptor.annotations(annotations);
    }
    descriptor
        .build()
        .expect("every field of the descriptor is given")
}

fn whole_name(name: &Reference) -> String {
    match (&name.registry, name.repository.contains('/')) {
        (Some(_), _) => name.to_string(),
        (None, true) => format!("{REGISTRY_DEFAULT}/{name}"),
        (None, false) => format!("{REGISTRY_DEFAULT}/library/{name}"),
    }
}

/// Returns `manifest.json`.
pub(super) fn docker(images: &[PlannedImage]) -> Vec<u8> {
    let images: Vec<DockerImage> = images
        .iter()
        .map(|image| DockerImage {
            config: image.config_member.clone(),
            repo_tags: (!image.names.is_empty())
                .then(|| image.names.iter().map(Reference::to_string).collect()),
            layers: image.layer_members.clone(),
        })
        .collect();
    serde_json::to_vec(&images).expect("texts are JSON")
}
