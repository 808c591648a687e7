//! What an archive of these images has in it: names, and where each content comes from.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use flate2::write::GzEncoder;
use tempfile::NamedTempFile;

use super::{ArchiveError, documents};
use crate::digest::Hashing;
use crate::image::manifest_bytes;
use crate::store::at;
use crate::{
    Blob, Compression, Digest, Image, Layer, Lease, Platform, Reference, Store, StoreError,
};

/// gzip's own default is 6; 1 packs programs 5 to 10 per cent worse in a third of the time.
const GZIP_LEVEL: u32 = 1;

/// Which documents an archive has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ArchiveForm {
    /// OCI's and Docker's over the same blobs, as newer Docker writes it.
    #[default]
    Both,
    Oci,
    Docker,
}

/// How the layers in an archive are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchivePacking {
    /// As they are in the store, so that the image keeps its digest.
    Keep,
    /// All of them like this; where one is not, the manifest gets another digest, the configuration does not.
    As(Compression),
}

/// How to write an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaveOptions {
    pub form: ArchiveForm,
    pub packing: ArchivePacking,
}

impl SaveOptions {
    /// Layers as they are, except in Docker's own form, whose layers are plain tars.
    pub fn new(form: ArchiveForm) -> Self {
        let packing = match form {
            ArchiveForm::Both | ArchiveForm::Oci => ArchivePacking::Keep,
            ArchiveForm::Docker => ArchivePacking::As(Compression::None),
        };
        Self { form, packing }
    }
}

/// An image to put into an archive.
#[derive(Debug, Clone)]
pub struct Export {
    pub image: Image,
    /// The names it has in there.
    pub names: Vec<Reference>,
}

impl Store {
    /// Returns what an archive of `wanted` has: a name without a tag stands for all of its tags, an id for an image without a name.
    ///
    /// Docker: `docs/reference/commandline/save.md`.
    pub fn exports(&self, wanted: &[String]) -> Result<Vec<Export>, StoreError> {
        let mut exports: Vec<Export> = Vec::new();
        for text in wanted {
            let named: Vec<Reference> = self.names_of(text)?;
            let manifests = match named.is_empty() {
                true => vec![(self.resolve(text)?, None)],
                false => named
                    .into_iter()
                    .map(|name| Ok((self.resolve(&name.to_string())?, Some(name))))
                    .collect::<Result<_, StoreError>>()?,
            };
            for (manifest, name) in manifests {
                let known = exports
                    .iter_mut()
                    .find(|it| it.image.manifest_digest == manifest);
                match known {
                    Some(export) => export.names.extend(name),
                    None => exports.push(Export {
                        image: self.image_by_manifest(&manifest)?,
                        names: name.into_iter().collect(),
                    }),
                }
            }
        }
        for export in &mut exports {
            export.names.sort();
            export.names.dedup();
        }
        Ok(exports)
    }

    /// Returns the names that a text stands for; none where it is an id or names nothing.
    fn names_of(&self, text: &str) -> Result<Vec<Reference>, StoreError> {
        let Ok(reference) = text.parse::<Reference>() else {
            return Ok(Vec::new());
        };
        let has_tag = text
            .rsplit_once(':')
            .is_some_and(|(_, tag)| !tag.contains('/'));
        if has_tag {
            let is_there = self
                .database
                .manifest_of_tag(&reference.to_string())?
                .is_some();
            return Ok(is_there.then_some(reference).into_iter().collect());
        }
        let names = self.images()?.into_iter().flat_map(|image| image.tags);
        Ok(names
            .filter(|name| name.name() == reference.name())
            .collect())
    }
}

/// Where the content of a member comes from.
pub(super) enum Source {
    Bytes(Vec<u8>),
    /// A file with this digest.
    File {
        path: PathBuf,
        blob: Blob,
    },
}

/// What the documents say of an image.
pub(super) struct PlannedImage {
    pub(super) names: Vec<Reference>,
    pub(super) platform: Platform,
    pub(super) manifest: Blob,
    pub(super) config_member: String,
    pub(super) layer_members: Vec<String>,
}

/// An archive before it is written.
#[derive(Default)]
pub(super) struct Plan {
    /// By name, so that equal images give equal archives.
    pub(super) members: BTreeMap<String, Source>,
    /// Layers that were packed anew; they go with the plan.
    repacked: Vec<NamedTempFile>,
}

impl Plan {
    /// Finds every content, and packs anew what `options` want otherwise than the store has it.
    pub(super) fn new(
        exports: &[Export],
        options: &SaveOptions,
        lease: &Lease<'_>,
    ) -> Result<Self, ArchiveError> {
        let mut plan = Self::default();
        let mut images = Vec::with_capacity(exports.len());
        for export in exports {
            lease.hold_image(&export.image)?;
            images.push(plan.image(export, options, lease)?);
        }
        let documents = [
            (
                documents::LAYOUT,
                ArchiveForm::Docker,
                documents::LAYOUT_CONTENT.to_vec(),
            ),
            (
                documents::INDEX,
                ArchiveForm::Docker,
                documents::index(&images),
            ),
            (
                documents::DOCKER,
                ArchiveForm::Oci,
                documents::docker(&images),
            ),
        ];
        for (name, without, content) in documents {
            if options.form != without {
                plan.members.insert(name.to_owned(), Source::Bytes(content));
            }
        }
        Ok(plan)
    }

    fn image(
        &mut self,
        export: &Export,
        options: &SaveOptions,
        lease: &Lease<'_>,
    ) -> Result<PlannedImage, ArchiveError> {
        let image = &export.image;
        let store = lease.store();
        let config = store.read_blob(&image.id)?;
        let config_blob = Blob {
            digest: image.id,
            size_bytes: config.len() as u64,
        };
        let mut layers = Vec::with_capacity(image.layers.len());
        let mut layer_members = Vec::with_capacity(image.layers.len());
        for layer in &image.layers {
            let (layer, path) = self.layer(layer, options.packing, lease)?;
            let member = layer_member(&layer, options.form);
            let blob = layer.blob();
            self.members
                .insert(member.clone(), Source::File { path, blob });
            layers.push(layer);
            layer_members.push(member);
        }
        let manifest = match layers == image.layers {
            true => store.read_blob(&image.manifest_digest)?,
            false => manifest_bytes(&config_blob, &layers),
        };
        let manifest_blob = Blob {
            digest: Digest::of(&manifest),
            size_bytes: manifest.len() as u64,
        };
        let config_member = match options.form {
            ArchiveForm::Docker => format!("{}.json", image.id.hex()),
            ArchiveForm::Both | ArchiveForm::Oci => blob_member(&image.id),
        };
        self.members
            .insert(config_member.clone(), Source::Bytes(config));
        if options.form != ArchiveForm::Docker {
            let member = blob_member(&manifest_blob.digest);
            self.members.insert(member, Source::Bytes(manifest));
        }
        Ok(PlannedImage {
            names: export.names.clone(),
            platform: image.platform.clone(),
            manifest: manifest_blob,
            config_member,
            layer_members,
        })
    }

    /// Returns a layer as the archive has it, and the file of that.
    fn layer(
        &mut self,
        layer: &Layer,
        packing: ArchivePacking,
        lease: &Lease<'_>,
    ) -> Result<(Layer, PathBuf), ArchiveError> {
        let store = lease.store();
        let wanted = match packing {
            ArchivePacking::As(wanted) if wanted != layer.compression => wanted,
            _ => return Ok((layer.clone(), store.blob_path(&layer.digest))),
        };
        let tar = store.layer_files(std::slice::from_ref(layer))?.remove(0);
        if wanted == Compression::None {
            let plain = Layer {
                digest: tar.diff_id,
                size_bytes: tar.size_bytes,
                compression: wanted,
                ..layer.clone()
            };
            return Ok((plain, tar.path));
        }
        let file = fs::File::open(&tar.path).map_err(at("read", &tar.path))?;
        let (file, blob) = pack(file, wanted, lease)?;
        let path = file.path().to_owned();
        self.repacked.push(file);
        let packed = Layer {
            digest: blob.digest,
            size_bytes: blob.size_bytes,
            compression: wanted,
            ..layer.clone()
        };
        Ok((packed, path))
    }
}

fn blob_member(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn layer_member(layer: &Layer, form: ArchiveForm) -> String {
    match form {
        ArchiveForm::Docker if layer.compression == Compression::None => {
            format!("{}.tar", layer.digest.hex())
        }
        _ => blob_member(&layer.digest),
    }
}

/// Packs a tar into a temporary file.
pub(crate) fn pack(
    mut tar: impl io::Read,
    compression: Compression,
    lease: &Lease<'_>,
) -> Result<(NamedTempFile, Blob), StoreError> {
    let file = lease.temporary()?;
    let path = file.path().to_owned();
    let hashing = Hashing::new(file);
    let packed = match compression {
        Compression::None => {
            let mut plain = hashing;
            io::copy(&mut tar, &mut plain).map(|_| plain)
        }
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(hashing, flate2::Compression::new(GZIP_LEVEL));
            io::copy(&mut tar, &mut encoder).and_then(|_| encoder.finish())
        }
        Compression::Zstd => crate::layer::encoder(hashing).and_then(|mut encoder| {
            io::copy(&mut tar, &mut encoder)?;
            encoder.finish()
        }),
    };
    let mut packed = packed.map_err(at("write", &path))?;
    packed.flush().map_err(at("write", &path))?;
    let blob = Blob {
        digest: packed.hasher.finish(),
        size_bytes: packed.count_bytes,
    };
    Ok((packed.inner, blob))
}
