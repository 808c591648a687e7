//! The build cache: what build steps produced, kept after the images that they were for.
//!
//! A step keeps the blob of its layer. Where an image has the layer too, the step costs nothing; what nobody else needs is
//! bounded, and what was not used for longest is dropped first. Docker: `docs/build/cache/garbage-collection`.

use rusqlite::{Connection, params};

use crate::database::digest;
use crate::{Collected, Digest, Store, StoreError};

/// Bounds the blobs that only build steps need, unless a store is told another bound. BuildKit's default is a tenth of the disk,
/// 2 GB at least.
pub const BUILD_CACHE_BYTES_MAX: u64 = 10 << 30;

/// One step's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    pub key: Digest,
    /// None where the step changed nothing.
    pub blob: Option<Digest>,
    pub size_bytes: u64,
    /// Seconds since 1970; 0 where it is not known.
    pub used_s: i64,
    /// Whether an image has the layer too, so that dropping the step frees nothing.
    pub is_shared: bool,
}

/// Which steps a prune drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrunedSteps {
    /// Those whose layers no image has.
    Unshared,
    All,
}

impl Store {
    /// Returns what build steps produced, what was not used for longest first.
    pub fn build_cache(&self) -> Result<Vec<CacheEntry>, StoreError> {
        self.database.read(entries)
    }

    /// Drops results of build steps, those that were not used since `until_s` if that is given, and what they alone kept.
    pub fn prune_build_cache(
        &self,
        which: PrunedSteps,
        until_s: Option<i64>,
    ) -> Result<(Vec<CacheEntry>, Collected), StoreError> {
        let is_meant = |entry: &CacheEntry| {
            (which == PrunedSteps::All || !entry.is_shared)
                && until_s.is_none_or(|until| entry.used_s < until)
        };
        let dropped = self.database.change(|transaction| {
            let mut dropped = entries(transaction)?;
            dropped.retain(is_meant);
            drop_steps(transaction, &dropped)?;
            Ok(dropped)
        })?;
        Ok((dropped, self.collect()?))
    }

    /// Drops the steps that were not used for longest, and what they alone kept, if they take more than
    /// [`Store::build_cache_bytes_max`].
    pub fn bound_build_cache(&self) -> Result<Collected, StoreError> {
        let unshared = self.database.read(unshared)?;
        match size_bytes(&unshared) > self.build_cache_bytes_max {
            true => self.collect(),
            false => Ok(Collected::default()),
        }
    }
}

/// Drops what was not used for longest, until the rest is small enough.
pub(crate) fn bound(connection: &Connection, bytes_max: u64) -> rusqlite::Result<()> {
    let entries = unshared(connection)?;
    let mut size_bytes = size_bytes(&entries);
    let dropped = entries.into_iter().take_while(|entry| {
        let was_too_much = size_bytes > bytes_max;
        size_bytes = size_bytes.saturating_sub(entry.size_bytes);
        was_too_much
    });
    let dropped: Vec<CacheEntry> = dropped.collect();
    drop_steps(connection, &dropped)
}

fn unshared(connection: &Connection) -> rusqlite::Result<Vec<CacheEntry>> {
    let mut entries = entries(connection)?;
    entries.retain(|entry| !entry.is_shared);
    Ok(entries)
}

fn size_bytes(entries: &[CacheEntry]) -> u64 {
    entries.iter().map(|entry| entry.size_bytes).sum()
}

fn entries(connection: &Connection) -> rusqlite::Result<Vec<CacheEntry>> {
    let mut statement = connection.prepare_cached(
        "SELECT key, blob, size_bytes, used_s,
                blob IS NULL OR EXISTS (SELECT 1 FROM contents WHERE digest = blob)
         FROM steps ORDER BY used_s, key",
    )?;
    let rows = statement.query_map([], |row| {
        let blob = match row.get_ref(1)? {
            rusqlite::types::ValueRef::Null => None,
            _ => Some(digest(row, 1)?),
        };
        Ok(CacheEntry {
            key: digest(row, 0)?,
            blob,
            size_bytes: row.get::<_, i64>(2)?.unsigned_abs(),
            used_s: row.get(3)?,
            is_shared: row.get(4)?,
        })
    })?;
    rows.collect()
}

fn drop_steps(connection: &Connection, entries: &[CacheEntry]) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM steps WHERE key = ?1")?;
    for entry in entries {
        delete.execute(params![entry.key.to_string()])?;
    }
    Ok(())
}
