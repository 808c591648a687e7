//! Finding what is wrong with a store.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{BlobFault, Fault, label};
use crate::archive::in_parallel;
use crate::database::{ImageRow, digest};
use crate::garbage::live_contents;
use crate::layout::INDEX;
use crate::root::unpacked_digest;
use crate::store::at;
use crate::{Compression, Digest, ImageSummary, Layer, Store, StoreError};

/// What a blob must be like, and who needs it.
#[derive(Default)]
struct Expected {
    /// As a manifest says.
    size_bytes: Option<u64>,
    images: Vec<String>,
}

/// What an image says of one of its layers.
struct Claim {
    layer: Layer,
    image: String,
    manifest: Digest,
}

/// Reads everything in the store at `root`, and says what is wrong.
///
/// A database that cannot be read is the only fault that is returned then: what else there should be is not known.
pub fn check(root: &Path) -> Result<Vec<Fault>, StoreError> {
    let store = match open(root)? {
        Ok(store) => store,
        Err(fault) => return Ok(vec![fault]),
    };
    match Inspection::of(&store).and_then(Inspection::faults) {
        Err(error) => corrupt(error).map(|fault| vec![fault]),
        faults => faults,
    }
}

/// Takes the damage of a database out of what else can go wrong with it.
fn corrupt(error: StoreError) -> Result<Fault, StoreError> {
    match error {
        StoreError::Database { path, source } if is_corrupt(&source) => Ok(Fault::Database {
            path,
            reason: source.to_string(),
        }),
        StoreError::LostDatabase { path } => Ok(Fault::Database {
            path,
            reason: "it is missing".to_owned(),
        }),
        error => Err(error),
    }
}

/// Opens a store, and lets SQLite read its whole database.
pub(super) fn open(root: &Path) -> Result<Result<Store, Fault>, StoreError> {
    let store = match Store::open(root) {
        Ok(store) => store,
        Err(error) => return corrupt(error).map(Err),
    };
    let said = store.database.read(|connection| {
        connection.pragma_query_value(None, "integrity_check", |row| row.get::<_, String>(0))
    });
    match said {
        Ok(said) if said == "ok" => Ok(Ok(store)),
        Ok(reason) => Ok(Err(Fault::Database {
            path: root.join("images.db"),
            reason,
        })),
        Err(error) => corrupt(error).map(Err),
    }
}

/// Whether SQLite says that the file is damaged, and not that it is busy or the disk full.
pub(crate) fn is_corrupt(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
    match error {
        // A table or column that should be there, or a text that should be a digest.
        rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => {
            true
        }
        error => matches!(
            error.sqlite_error_code(),
            Some(DatabaseCorrupt | NotADatabase | Unknown)
        ),
    }
}

struct Inspection<'store> {
    store: &'store Store,
    images: Vec<ImageSummary>,
    /// Contents that somebody relies on.
    live: HashSet<Digest>,
    blobs: BTreeMap<Digest, Expected>,
    /// What images say of their layers.
    claims: Vec<Claim>,
    faults: Vec<Fault>,
}

impl<'store> Inspection<'store> {
    fn of(store: &'store Store) -> Result<Self, StoreError> {
        let live = store.database.read(live_contents)?;
        Ok(Self {
            store,
            images: store.images()?,
            live,
            blobs: BTreeMap::new(),
            claims: Vec::new(),
            faults: Vec::new(),
        })
    }

    fn faults(mut self) -> Result<Vec<Fault>, StoreError> {
        for image in std::mem::take(&mut self.images) {
            self.image(&image)?;
        }
        self.steps()?;
        self.hash_blobs()?;
        self.contents()?;
        self.cached_layers()?;
        self.files(&self.store.root.join("blobs/sha256"))?;
        self.files(&self.store.root.join("layers"))?;
        self.index()?;
        Ok(self.faults)
    }

    /// Parses an image's documents, and notes which blobs it needs.
    fn image(&mut self, image: &ImageSummary) -> Result<(), StoreError> {
        let name = label(&image.tags, &image.id);
        for document in [image.manifest_digest, image.id] {
            self.expect(document, None, &name);
        }
        match self.store.image_by_manifest(&image.manifest_digest) {
            Ok(parsed) => {
                for layer in &parsed.layers {
                    self.expect(layer.digest, Some(layer.size_bytes), &name);
                    self.claims.push(Claim {
                        layer: layer.clone(),
                        image: name.clone(),
                        manifest: image.manifest_digest,
                    });
                }
                let row = ImageRow::of(&parsed);
                if !self.is_recorded(&row)? {
                    let digest = image.manifest_digest;
                    self.faults.push(Fault::Records {
                        image: name,
                        digest,
                    });
                }
            }
            // Found again when the blobs are hashed.
            Err(StoreError::MissingBlob { .. } | StoreError::CorruptBlob { .. }) => {}
            Err(StoreError::MalformedBlob { digest, reason }) => {
                self.faults.push(Fault::Document {
                    image: name,
                    digest,
                    reason,
                });
            }
            Err(StoreError::Unsupported { digest, feature }) => {
                let reason = format!("it needs `{feature}`");
                self.faults.push(Fault::Document {
                    image: name,
                    digest,
                    reason,
                });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn expect(&mut self, digest: Digest, size_bytes: Option<u64>, image: &str) {
        let expected = self.blobs.entry(digest).or_default();
        expected.size_bytes = expected.size_bytes.or(size_bytes);
        if !expected.images.iter().any(|known| known == image) {
            expected.images.push(image.to_owned());
        }
    }

    fn is_recorded(&self, row: &ImageRow) -> Result<bool, StoreError> {
        let recorded: HashSet<Digest> = self.store.database.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT digest FROM contents WHERE manifest = ?1")?;
            statement
                .query_map([row.manifest.to_string()], |row| digest(row, 0))?
                .collect()
        })?;
        Ok(recorded == row.contents.iter().copied().collect())
    }

    /// Notes which blobs the build cache needs. Their layers may be there unpacked, until the next collection.
    fn steps(&mut self) -> Result<(), StoreError> {
        let steps: Vec<(Digest, u64, Digest)> = self.store.database.read(|connection| {
            let mut statement = connection
                .prepare("SELECT blob, size_bytes, diff_id FROM steps WHERE blob IS NOT NULL")?;
            statement
                .query_map([], |row| {
                    let size_bytes = row.get::<_, i64>(1)?.unsigned_abs();
                    Ok((digest(row, 0)?, size_bytes, digest(row, 2)?))
                })?
                .collect()
        })?;
        for (digest, size_bytes, diff_id) in steps {
            self.live.insert(diff_id);
            self.blobs
                .entry(digest)
                .or_default()
                .size_bytes
                .get_or_insert(size_bytes);
        }
        Ok(())
    }

    fn hash_blobs(&mut self) -> Result<(), StoreError> {
        let store = self.store;
        let jobs = std::mem::take(&mut self.blobs).into_iter().collect();
        let faults = in_parallel(jobs, |(digest, expected): (Digest, Expected)| {
            let reason = blob_fault(store, &digest, expected.size_bytes)?;
            Ok::<_, StoreError>(reason.map(|reason| Fault::Blob {
                digest,
                reason,
                images: expected.images,
            }))
        })?;
        self.faults.extend(faults.into_iter().flatten());
        Ok(())
    }

    /// Compares what is packed in the blobs that are whole with what images say of it: `load` does not.
    fn contents(&mut self) -> Result<(), StoreError> {
        let store = self.store;
        let faulty = self.faults.iter().filter_map(|fault| match fault {
            Fault::Blob { digest, .. } => Some(*digest),
            _ => None,
        });
        let faulty: HashSet<Digest> = faulty.collect();
        // Images share layers: each is read once.
        let mut claims: BTreeMap<_, Vec<Claim>> = BTreeMap::new();
        for claim in std::mem::take(&mut self.claims) {
            let Layer {
                digest,
                diff_id,
                compression,
                ..
            } = claim.layer;
            if !faulty.contains(&digest) {
                let same = claims.entry((digest, diff_id, compression));
                same.or_default().push(claim);
            }
        }
        let faults = in_parallel(claims.into_values().collect(), |claims: Vec<Claim>| {
            let layer = claims[0].layer.clone();
            let reason = content_fault(store, &layer)?;
            let fault = |reason: &String, claim: Claim| Fault::Content {
                image: claim.image,
                manifest: claim.manifest,
                layer: layer.digest,
                reason: reason.clone(),
            };
            let faults =
                reason.map(|reason| claims.into_iter().map(|it| fault(&reason, it)).collect());
            Ok::<Vec<Fault>, StoreError>(faults.unwrap_or_default())
        })?;
        self.faults.extend(faults.into_iter().flatten());
        Ok(())
    }

    fn cached_layers(&mut self) -> Result<(), StoreError> {
        let store = self.store;
        let jobs: Vec<(Digest, PathBuf)> = named_files(&store.root.join("layers"))?
            .into_iter()
            .filter_map(|(digest, path)| Some((digest?, path)))
            .filter(|(digest, path)| {
                self.live.contains(digest) && path.extension().is_some_and(|it| it == "tar")
            })
            .collect();
        let faults = in_parallel(jobs, |(diff_id, path)| {
            let found = File::open(&path)
                .and_then(Digest::of_reader)
                .map_err(at("read", &path))?;
            let reason = (found.0 != diff_id)
                .then(|| format!("is corrupt: its content has the digest `{}`", found.0));
            Ok::<_, StoreError>(reason.map(|reason| Fault::Layer {
                path,
                diff_id,
                reason,
            }))
        })?;
        self.faults.extend(faults.into_iter().flatten());
        Ok(())
    }

    /// Names the files of a directory that nothing needs, or that have no digest for a name.
    fn files(&mut self, directory: &Path) -> Result<(), StoreError> {
        for (digest, path) in named_files(directory)? {
            match digest {
                Some(digest) if self.live.contains(&digest) => {}
                Some(_) => {
                    let size_bytes = fs::metadata(&path).map_or(0, |it| it.len());
                    self.faults.push(Fault::Orphan { path, size_bytes });
                }
                None => self.faults.push(Fault::Stray { path }),
            }
        }
        Ok(())
    }

    fn index(&mut self) -> Result<(), StoreError> {
        if !self.store.is_published()? {
            let path = self.store.root.join(INDEX);
            self.faults.push(Fault::Index { path });
        }
        Ok(())
    }
}

/// Returns what is wrong with what is packed in a whole blob, if anything is.
fn content_fault(store: &Store, layer: &Layer) -> Result<Option<String>, StoreError> {
    let found = match layer.compression {
        Compression::None => layer.digest,
        _ => match unpacked_digest(store, layer) {
            Err(StoreError::MalformedBlob { reason, .. }) => {
                return Ok(Some(format!("cannot be unpacked: {reason}")));
            }
            Err(error @ StoreError::TooLarge { .. }) => return Ok(Some(error.to_string())),
            found => found?,
        },
    };
    let expected = layer.diff_id;
    let is_other = found != expected;
    Ok(is_other.then(|| format!("holds `{found}`, its configuration says `{expected}`")))
}

/// Returns what is wrong with a blob, if anything is.
pub(super) fn blob_fault(
    store: &Store,
    digest: &Digest,
    size_bytes: Option<u64>,
) -> Result<Option<BlobFault>, StoreError> {
    let path = store.blob_path(digest);
    let file = match store.open_blob(digest) {
        Err(StoreError::MissingBlob { .. }) => return Ok(Some(BlobFault::Missing)),
        file => file?,
    };
    let (found, found_bytes) = Digest::of_reader(file).map_err(at("read", &path))?;
    Ok(match size_bytes {
        Some(expected) if expected != found_bytes => Some(BlobFault::Size {
            found: found_bytes,
            expected,
        }),
        _ if found != *digest => Some(BlobFault::Digest { found }),
        _ => None,
    })
}

/// Returns the files of a directory with the digest that is their name; hidden ones, which are locks, are left out.
pub(crate) fn named_files(directory: &Path) -> Result<Vec<(Option<Digest>, PathBuf)>, StoreError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(at("read the directory", directory))? {
        let path = entry.map_err(at("read the directory", directory))?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with('.') {
            continue;
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        files.push((stem.and_then(Digest::from_hex), path));
    }
    files.sort();
    Ok(files)
}
