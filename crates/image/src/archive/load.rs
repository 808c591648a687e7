//! Putting the images of a foreign archive into the store, once every part of them is what it says.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};

use super::members::{FileMember, Limits, Members, copy};
use super::plan::pack;
use super::select::{self, Chosen, check_size, configuration, malformed};
use super::transfer::in_parallel;
use super::{ArchiveError, Item, Progress};
use crate::blob::{place, sync_parent};
use crate::digest::Hashing;
use crate::image::manifest_bytes;
use crate::packing::{Compression, Packing, peek};
use crate::store::at;
use crate::{Blob, Digest, Image, Layer, Lease, Platform, Reference, Store, StoreError};

/// How much of an unpacked layer is read at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// What to load, and how much of it to take.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// None for WebAssembly in any of its words.
    pub platform: Option<Platform>,
    pub limits: Limits,
    /// Seconds since 1970.
    pub now_s: i64,
}

/// An image that is in the store now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub image: Image,
    /// Names that the archive gave it.
    pub names: Vec<Reference>,
}

impl Store {
    /// Loads every image of an archive, or none: where one is wrong, nothing of it stays.
    pub fn load(
        &self,
        archive: File,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Vec<Loaded>, ArchiveError> {
        let loaded = self.lease().map_err(ArchiveError::from).and_then(|lease| {
            let members = Members::read(archive, &lease, &options.limits, progress)?;
            let load = Load {
                lease: &lease,
                members: &members,
                options,
                progress,
            };
            load.images()
        });
        if loaded.is_err() {
            // Blobs that were placed before the failure belong to nobody. What cannot be removed now is removed by the next collection.
            let _ = self.collect();
        }
        loaded
    }
}

struct Load<'run, 'store> {
    lease: &'run Lease<'store>,
    members: &'run Members,
    options: &'run LoadOptions,
    progress: &'run dyn Progress,
}

/// Something that takes long, and that can be done beside others.
enum Job<'run> {
    /// Puts a blob into the store.
    Import(FileMember<'run>, Blob),
    /// Reads what is packed in a blob to its end.
    ReadThrough(FileMember<'run>, Packing),
    /// Makes a layer of a tar of Docker's form.
    Convert(FileMember<'run>, Digest),
}

/// An image whose layers are still to be put into the store.
enum Pending {
    Ready(Box<Image>, Vec<Reference>),
    /// Its layers are known by their diff ids only.
    Docker {
        config: Blob,
        diff_ids: Vec<Digest>,
        names: Vec<Reference>,
    },
}

impl<'run> Load<'run, '_> {
    fn images(&self) -> Result<Vec<Loaded>, ArchiveError> {
        let chosen = select::images(self.members, self.options.platform.as_ref())?;
        let mut jobs = BTreeMap::new();
        let mut pending = Vec::with_capacity(chosen.len());
        for image in chosen {
            pending.push(match image {
                Chosen::Oci {
                    digest,
                    manifest,
                    names,
                } => self.oci(digest, &manifest, names, &mut jobs)?,
                Chosen::Docker {
                    image,
                    config,
                    names,
                } => {
                    let members: Vec<String> = image.layers;
                    self.docker(&image.config, &config, &members, names, &mut jobs)?
                }
            });
        }
        let done = in_parallel(jobs.into_values().flatten().collect(), |job| self.work(job))?;
        let converted: BTreeMap<Digest, Layer> = done
            .into_iter()
            .flatten()
            .map(|layer| (layer.diff_id, layer))
            .collect();
        let loaded = pending
            .into_iter()
            .map(|image| self.commit(image, &converted))
            .collect::<Result<Vec<_>, _>>()?;
        self.lease.store.publish()?;
        Ok(loaded)
    }

    /// Plans the import of an OCI image, and puts its documents into the store.
    fn oci(
        &self,
        digest: Digest,
        manifest: &[u8],
        names: Vec<Reference>,
        jobs: &mut BTreeMap<Digest, Vec<Job<'run>>>,
    ) -> Result<Pending, ArchiveError> {
        let document = blob_name(&digest);
        let wrong = |error| match error {
            StoreError::MalformedBlob { reason, .. } => malformed(&document, &reason),
            error => error.into(),
        };
        let config_digest = Image::config_digest(&digest, manifest).map_err(wrong)?;
        let config_name = blob_name(&config_digest);
        let config = self.members.file(&config_name, &document)?.bytes()?;
        let found = Digest::of(&config);
        if found != config_digest {
            return Err(ArchiveError::WrongDigest {
                member: config_name,
                found,
            });
        }
        let image = Image::of_documents(&digest, manifest, &config).map_err(wrong)?;
        self.lease.write_blob(&config)?;
        self.lease.write_blob(manifest)?;
        let is_known = self.lease.store.database.is_tagged(&digest, &[])?;
        for layer in &image.layers {
            let name = blob_name(&layer.digest);
            self.lease.hold(&[layer.digest, layer.diff_id])?;
            let is_there = is_known && self.lease.store.has_blob(&layer.blob())
                || jobs.contains_key(&layer.digest);
            let member = || self.members.file(&name, &document);
            if !is_there {
                check_size(&name, &document, member()?.size_bytes, layer.size_bytes)?;
            }
            if layer.compression == Compression::None {
                // Of a plain tar the digest is the diff id.
                check_diff_id(&name, layer.digest, layer.diff_id)?;
                self.check_size(layer.size_bytes)?;
            }
            if is_there {
                continue;
            }
            let mut work = vec![Job::Import(member()?, layer.blob())];
            if layer.compression != Compression::None {
                work.push(Job::ReadThrough(member()?, layer.compression.into()));
            }
            jobs.insert(layer.digest, work);
        }
        Ok(Pending::Ready(Box::new(image), names))
    }

    /// Plans the import of an image of Docker's form, and puts its configuration into the store.
    fn docker(
        &self,
        config_name: &str,
        config: &[u8],
        layers: &[String],
        names: Vec<Reference>,
        jobs: &mut BTreeMap<Digest, Vec<Job<'run>>>,
    ) -> Result<Pending, ArchiveError> {
        let diff_ids = configuration(config_name, config)?.diff_ids;
        if diff_ids.len() != layers.len() {
            let reason = format!(
                "it has {} layers, `{config_name}` has {}",
                layers.len(),
                diff_ids.len()
            );
            return Err(malformed(super::documents::DOCKER, &reason));
        }
        for (name, diff_id) in layers.iter().zip(&diff_ids) {
            let member = self.members.file(name, super::documents::DOCKER)?;
            jobs.entry(*diff_id)
                .or_insert_with(|| vec![Job::Convert(member, *diff_id)]);
        }
        let config = self.lease.write_blob(config)?;
        Ok(Pending::Docker {
            config,
            diff_ids,
            names,
        })
    }

    fn work(&self, job: Job<'_>) -> Result<Option<Layer>, ArchiveError> {
        match job {
            Job::Import(member, blob) => self.import(&member, &blob).map(|()| None),
            Job::ReadThrough(member, packing) => self.read_through(&member, packing).map(|()| None),
            Job::Convert(member, diff_id) => self.convert(&member, diff_id).map(Some),
        }
    }

    /// Puts a blob into the store, if its digest is right.
    fn import(&self, member: &FileMember<'_>, blob: &Blob) -> Result<(), ArchiveError> {
        let store = self.lease.store;
        let item = Item {
            digest: blob.digest,
            size_bytes: blob.size_bytes,
        };
        self.progress.started(&item);
        if store.has_blob(blob) {
            self.progress.advanced(&item, blob.size_bytes);
            self.progress.finished(&item);
            return Ok(());
        }
        let wrong = |found| ArchiveError::WrongDigest {
            member: member.name.to_owned(),
            found,
        };
        if let (Some(found), Some(path)) = (member.digest(), member.path()) {
            if found != blob.digest {
                return Err(wrong(found));
            }
            let target = store.blob_path(&blob.digest);
            let file = File::open(path).map_err(at("read", path))?;
            file.sync_all().map_err(at("write", path))?;
            // Not every file system has links; a blob of the wrong size is replaced below.
            if fs::hard_link(path, &target).is_ok() {
                return Ok(sync_parent(&target)?);
            }
        }
        let file = self.lease.temporary()?;
        let path = file.path().to_owned();
        let mut hashing = Hashing::new(file);
        let reader = member
            .reader()
            .map_err(|source| ArchiveError::Read { source })?;
        copy(reader, &mut hashing, &path, |bytes| {
            self.progress.advanced(&item, bytes);
        })?;
        let Hashing { inner, hasher, .. } = hashing;
        match hasher.finish() {
            found if found == blob.digest => place(inner, &store.blob_path(&blob.digest))?,
            found => return Err(wrong(found)),
        }
        self.progress.finished(&item);
        Ok(())
    }

    /// Reads what is packed in a layer's blob, so that what cannot be unpacked or swells without end is refused.
    ///
    /// It is not hashed: its blob is what the manifest says, and that it is what the configuration says is verified before
    /// anything uses it ([`Store::layer_files`]). Nothing is known by its diff id before that.
    fn read_through(&self, member: &FileMember<'_>, packing: Packing) -> Result<(), ArchiveError> {
        let bad = bad_layer(member.name);
        let reader = member
            .reader()
            .map_err(|source| ArchiveError::Read { source })?;
        let tar = packing.unpack(reader).map_err(&bad)?;
        let mut tar = BufReader::with_capacity(CHUNK_BYTES, self.limited(tar));
        let size_bytes = io::copy(&mut tar, &mut io::sink()).map_err(bad)?;
        self.check_size(size_bytes)
    }

    /// Reads what is packed in a layer's blob, and compares it with what the configuration says.
    fn verify(
        &self,
        member: &FileMember<'_>,
        packing: Packing,
        diff_id: Digest,
    ) -> Result<(), ArchiveError> {
        let bad = bad_layer(member.name);
        let reader = member
            .reader()
            .map_err(|source| ArchiveError::Read { source })?;
        let tar = packing.unpack(reader).map_err(&bad)?;
        let (found, size_bytes) = Digest::of_reader(self.limited(tar)).map_err(bad)?;
        self.check_size(size_bytes)?;
        check_diff_id(member.name, found, diff_id)
    }

    /// Makes a layer of a tar, or of a blob that a newer Docker has put in its place.
    fn convert(&self, member: &FileMember<'_>, diff_id: Digest) -> Result<Layer, ArchiveError> {
        let read = |source| ArchiveError::Read { source };
        let mut reader = BufReader::new(member.reader().map_err(read)?);
        let start = peek(&mut reader).map_err(read)?;
        let packing = Packing::of_start(&start);
        match packing.compression() {
            Some(Compression::None) => self.check_size(member.size_bytes)?,
            Some(compression) => {
                let (digest, size_bytes) = Digest::of_reader(reader).map_err(read)?;
                let layer = Layer {
                    digest,
                    diff_id,
                    size_bytes,
                    compression,
                };
                self.lease.hold(&[digest, diff_id])?;
                self.verify(member, packing, diff_id)?;
                self.import(member, &layer.blob())?;
                return Ok(layer);
            }
            // It is packed anew below, once it is known to be what it says.
            None => self.verify(member, packing, diff_id)?,
        }
        let item = Item {
            digest: diff_id,
            size_bytes: member.size_bytes,
        };
        self.progress.started(&item);
        let telling = Telling {
            reader,
            item: &item,
            progress: self.progress,
        };
        let mut tar = Hashing::new(packing.unpack(telling).map_err(bad_layer(member.name))?);
        let (file, blob) = pack(&mut tar, Compression::Zstd, self.lease)?;
        check_diff_id(member.name, tar.hasher.finish(), diff_id)?;
        self.lease.hold(&[blob.digest, diff_id])?;
        if !self.lease.store.has_blob(&blob) {
            place(file, &self.lease.store.blob_path(&blob.digest))?;
        }
        self.progress.finished(&item);
        Ok(Layer {
            digest: blob.digest,
            diff_id,
            size_bytes: blob.size_bytes,
            compression: Compression::Zstd,
        })
    }

    fn limited<R: Read>(&self, reader: R) -> io::Take<R> {
        reader.take(self.options.limits.layer_bytes_max.saturating_add(1))
    }

    fn check_size(&self, size_bytes: u64) -> Result<(), ArchiveError> {
        let max = self.options.limits.layer_bytes_max;
        match size_bytes > max {
            true => Err(StoreError::TooLarge {
                what: "a layer".to_owned(),
                max,
                unit: "bytes",
            }
            .into()),
            false => Ok(()),
        }
    }

    /// Names an image whose contents are all in the store.
    fn commit(
        &self,
        image: Pending,
        converted: &BTreeMap<Digest, Layer>,
    ) -> Result<Loaded, ArchiveError> {
        let (digest, names) = match image {
            Pending::Ready(image, names) => (image.manifest_digest, names),
            Pending::Docker {
                config,
                diff_ids,
                names,
            } => {
                let layers: Vec<Layer> = diff_ids
                    .iter()
                    .map(|diff_id| converted[diff_id].clone())
                    .collect();
                (
                    self.lease
                        .write_blob(&manifest_bytes(&config, &layers))?
                        .digest,
                    names,
                )
            }
        };
        let image = self.lease.adopt(&digest, &names, self.options.now_s)?;
        Ok(Loaded { image, names })
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn check_diff_id(layer: &str, found: Digest, expected: Digest) -> Result<(), ArchiveError> {
    if found == expected {
        return Ok(());
    }
    Err(ArchiveError::WrongDiffId {
        layer: layer.to_owned(),
        found,
        expected,
    })
}

/// Tells a damaged packing from an archive that cannot be read.
fn bad_layer(layer: &str) -> impl Fn(io::Error) -> ArchiveError {
    move |error| match error.raw_os_error() {
        Some(_) => ArchiveError::Read { source: error },
        None => ArchiveError::BadLayer {
            layer: layer.to_owned(),
            reason: error.to_string(),
        },
    }
}

/// A reader that tells how far it is.
struct Telling<'run, R> {
    reader: R,
    item: &'run Item,
    progress: &'run dyn Progress,
}

impl<R: Read> Read for Telling<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.progress.advanced(self.item, count as u64);
        Ok(count)
    }
}
