//! Removing images, and collecting what no image needs any more.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::store::at;
use crate::{Digest, Image, Reference, Store, StoreError, build_cache, lease};

/// Whether to remove an image that has several names or that containers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Refuse.
    No,
    /// Remove every name; contents that containers use stay until they are gone.
    Yes,
}

/// What a removal did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Names that are gone.
    pub untagged: Vec<Reference>,
    /// The image's id, if the image itself is gone.
    pub deleted: Option<Digest>,
    pub freed_bytes: u64,
}

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    pub files_count: usize,
    pub freed_bytes: u64,
}

impl Store {
    /// Removes the image, or only one of its names, that `wanted` names.
    ///
    /// By a name: that name goes, and the image with it when it was the last. By an id: all of it, which
    /// [`Force::Yes`] is needed for when it has several names. Docker: `docker image rm`.
    pub fn remove(&self, wanted: &str, force: Force) -> Result<Removed, StoreError> {
        // If this process is killed between names and contents, whoever sweeps the lease collects. A full disk has no room for one.
        let _sweeper = self.lease().ok();
        let manifest = self.resolve(wanted)?;
        let tags = self.database.tags_of(&manifest)?;
        let named = wanted
            .parse::<Reference>()
            .ok()
            .filter(|name| tags.contains(name));
        let untagged = match named {
            Some(name) => vec![name],
            None if tags.len() > 1 && force == Force::No => {
                return Err(StoreError::SeveralNames {
                    image: wanted.to_owned(),
                    tags: tags.len(),
                });
            }
            None => tags.clone(),
        };
        let is_last = untagged.len() == tags.len();
        let id = self.database.write(|transaction| {
            let failed = |source| self.database.failed(source);
            let holder = holder(transaction, &manifest).map_err(failed)?;
            match holder {
                Some(holder) if is_last && force == Force::No => {
                    return Err(StoreError::InUse {
                        image: wanted.to_owned(),
                        holder,
                    });
                }
                _ => {}
            }
            remove_rows(
                transaction,
                &manifest,
                &untagged,
                is_last && holder.is_none(),
            )
            .map_err(failed)
        })?;
        let freed_bytes = self.collect()?.freed_bytes;
        Ok(Removed {
            untagged,
            deleted: id,
            freed_bytes,
        })
    }

    /// Takes one name away; the image stays.
    pub fn untag(&self, name: &Reference) -> Result<(), StoreError> {
        self.database.change(|transaction| {
            transaction
                .execute("DELETE FROM tags WHERE name = ?1", [name.to_string()])
                .map(drop)
        })?;
        self.publish()
    }

    /// Removes these names of an image, and the image where it has no others; nothing of one that a running process holds, for
    /// it may be taken into use. Its contents go with the next [`Store::collect`].
    pub fn remove_image_with(
        &self,
        manifest: &Digest,
        names: &[Reference],
    ) -> Result<Removed, StoreError> {
        let removed = self.database.write(|transaction| {
            let failed = |source| self.database.failed(source);
            if is_leased(transaction, manifest).map_err(failed)? {
                return Ok(None);
            }
            let is_free = holder(transaction, manifest).map_err(failed)?.is_none();
            let deleted = remove_rows(transaction, manifest, names, is_free).map_err(failed)?;
            Ok(Some(Removed {
                untagged: names.to_vec(),
                deleted,
                freed_bytes: 0,
            }))
        })?;
        Ok(removed.unwrap_or_default())
    }

    /// Deletes blobs and uncompressed layers that no image and no running process needs.
    ///
    /// It runs inside a write transaction: a writer names what it relies on in another, so it is either seen here or finds the content gone.
    pub fn collect(&self) -> Result<Collected, StoreError> {
        lease::sweep_dead(self)?;
        self.publish()?;
        self.database.write(|transaction| {
            build_cache::bound(transaction, self.build_cache_bytes_max)
                .map_err(|source| self.database.failed(source))?;
            let live = live_contents(transaction).map_err(|source| self.database.failed(source))?;
            let mut collected = Collected::default();
            delete_dead(&self.root.join("blobs/sha256"), &live, &mut collected)?;
            delete_dead(&self.root.join("layers"), &live, &mut collected)?;
            delete_dead(&self.root.join("snapshots"), &live, &mut collected)?;
            Ok(collected)
        })
    }

    /// Removes an image that has no name and that nobody pins, such as one whose container is gone.
    pub fn remove_unnamed(&self, image: &Image) -> Result<Removed, StoreError> {
        if !self.database.tags_of(&image.manifest_digest)?.is_empty() {
            return Ok(Removed::default());
        }
        self.remove(&image.manifest_digest.to_string(), Force::No)
    }
}

fn holder(transaction: &Transaction<'_>, manifest: &Digest) -> rusqlite::Result<Option<String>> {
    let mut statement = transaction
        .prepare_cached("SELECT holder FROM pins WHERE manifest = ?1 ORDER BY holder")?;
    let mut holders = statement.query_map([manifest.to_string()], |row| row.get(0))?;
    holders.next().transpose()
}

fn is_leased(transaction: &Transaction<'_>, manifest: &Digest) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached("SELECT 1 FROM leases WHERE digest = ?1")?
        .exists([manifest.to_string()])
}

/// Removes names, and the image's rows if `whole`. Returns its id if it is gone.
fn remove_rows(
    transaction: &Transaction<'_>,
    manifest: &Digest,
    names: &[Reference],
    whole: bool,
) -> rusqlite::Result<Option<Digest>> {
    let manifest = manifest.to_string();
    for name in names {
        transaction.execute(
            "DELETE FROM tags WHERE name = ?1 AND manifest = ?2",
            params![name.to_string(), manifest],
        )?;
    }
    // Another process may have given it a name since.
    let is_named = transaction
        .prepare_cached("SELECT 1 FROM tags WHERE manifest = ?1")?
        .exists([&manifest])?;
    if !whole || is_named {
        return Ok(None);
    }
    let mut select = transaction.prepare_cached("SELECT config FROM images WHERE manifest = ?1")?;
    let id = select
        .query_row([&manifest], |row| crate::database::digest(row, 0))
        .optional()?;
    transaction.execute("DELETE FROM contents WHERE manifest = ?1", [&manifest])?;
    transaction.execute("DELETE FROM images WHERE manifest = ?1", [&manifest])?;
    Ok(id)
}

pub(crate) fn live_contents(transaction: &Connection) -> rusqlite::Result<HashSet<Digest>> {
    let mut statement =
        transaction.prepare("SELECT digest FROM contents UNION SELECT digest FROM leases UNION SELECT blob FROM steps WHERE blob IS NOT NULL")?;
    statement
        .query_map([], |row| crate::database::digest(row, 0))?
        .collect()
}

/// Deletes the files of `directory` whose name is a digest that is not live, with or without an extension, and directories of such
/// names with the files in them.
fn delete_dead(
    directory: &Path,
    live: &HashSet<Digest>,
    collected: &mut Collected,
) -> Result<(), StoreError> {
    for entry in fs::read_dir(directory).map_err(at("read the directory", directory))? {
        let path = entry.map_err(at("read the directory", directory))?.path();
        let digest = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(Digest::from_hex);
        if digest.is_none_or(|digest| live.contains(&digest)) {
            continue;
        }
        let metadata = fs::symlink_metadata(&path).map_err(at("read", &path))?;
        if metadata.is_dir() {
            for entry in fs::read_dir(&path).map_err(at("read the directory", &path))? {
                let file = entry.map_err(at("read the directory", &path))?;
                let metadata = file.metadata().map_err(at("read", &file.path()))?;
                delete(&file.path(), &metadata, collected)?;
            }
            fs::remove_dir(&path).map_err(at("remove", &path))?;
        } else {
            delete(&path, &metadata, collected)?;
        }
    }
    Ok(())
}

fn delete(
    path: &Path,
    metadata: &fs::Metadata,
    collected: &mut Collected,
) -> Result<(), StoreError> {
    fs::remove_file(path).map_err(at("remove", path))?;
    collected.files_count += 1;
    // A disk's file is sparse.
    collected.freed_bytes += metadata.len().min(metadata.blocks() * 512);
    Ok(())
}
