//! The database: which names, images and cached steps there are, and who relies on which blob.
//!
//! `images.db` is SQLite in WAL mode, so that readers never wait for a writer. Every change is one transaction.
//! A lost or damaged database loses names and the build cache, never a blob's integrity.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params,
};

use crate::{Digest, ImageSummary, Layer, Reference, StoreError};

/// Bounds the wait for another process's transaction. Transactions take milliseconds; a collector that deletes many files may take longer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Bounds the attempts to change a new database's journal, two seconds together, and the time between them.
const WAL_ATTEMPTS: usize = 200;
const WAL_PAUSE: Duration = Duration::from_millis(10);

/// What each format adds to the one before. SQLite's `user_version` counts those that a database has.
const FORMATS: [&str; 4] = [IMAGES, FILES, STEPS_USED, FILES_BLAKE3];

const IMAGES: &str = "
CREATE TABLE images (
    manifest TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    created_s INTEGER,
    stored_s INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE tags (
    name TEXT PRIMARY KEY,
    manifest TEXT NOT NULL REFERENCES images (manifest)
) STRICT, WITHOUT ROWID;
-- Blobs (manifest, configuration, layers) and diff ids (uncompressed layers) that an image needs.
CREATE TABLE contents (
    manifest TEXT NOT NULL REFERENCES images (manifest),
    digest TEXT NOT NULL,
    PRIMARY KEY (manifest, digest)
) STRICT, WITHOUT ROWID;
-- What running processes rely on for as long as they live.
CREATE TABLE leases (
    lease TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (lease, digest)
) STRICT, WITHOUT ROWID;
-- What containers rely on for as long as they exist.
CREATE TABLE pins (
    holder TEXT NOT NULL,
    manifest TEXT NOT NULL REFERENCES images (manifest),
    PRIMARY KEY (holder, manifest)
) STRICT, WITHOUT ROWID;
-- Results of build steps. A row keeps its blob until the build cache is pruned.
CREATE TABLE steps (
    key TEXT PRIMARY KEY,
    blob TEXT,
    diff_id TEXT,
    size_bytes INTEGER NOT NULL,
    newest_mtime_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX images_by_config ON images (config);
CREATE INDEX tags_by_manifest ON tags (manifest);
";

const FILES: &str = "
-- Digests of files outside the store, by what the kernel says about them. A cache: it may be emptied at any time.
CREATE TABLE files (
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (device, inode)
) STRICT, WITHOUT ROWID;
";

const STEPS_USED: &str = "
-- When the result was used last, in seconds since 1970: what was not used for longest is dropped first.
ALTER TABLE steps ADD COLUMN used_s INTEGER NOT NULL DEFAULT 0;
";

const FILES_BLAKE3: &str = "
DROP TABLE files;
CREATE TABLE files (
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (device, inode)
) STRICT, WITHOUT ROWID;
";

/// What a build step produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedStep {
    /// None where the step changed nothing.
    pub layer: Option<Layer>,
    /// The newest modification time of what went in, in seconds since 1970.
    pub newest_mtime_s: i64,
}

/// An image's rows.
pub(crate) struct ImageRow {
    pub(crate) manifest: Digest,
    pub(crate) config: Digest,
    pub(crate) created_s: Option<i64>,
    pub(crate) size_bytes: u64,
    /// Blobs and diff ids.
    pub(crate) contents: Vec<Digest>,
}

/// The database of a store, connected to when it is first needed.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    /// Guards the connection, which is not for several threads. A leaf lock: nothing else is locked under it, except files by `garbage`.
    connection: OnceLock<Mutex<Connection>>,
}

type SqlResult<T> = rusqlite::Result<T>;

impl Database {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            connection: OnceLock::new(),
        }
    }

    /// Opens the database and brings it to this format, unless that was done.
    pub(crate) fn connect(&self) -> Result<&Mutex<Connection>, StoreError> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        let connection = connect(&self.path).map_err(|source| self.failed(source))?;
        let supported = FORMATS.len() as i64;
        match format(&connection).map_err(|source| self.failed(source))? {
            found if found == supported => {}
            found if found < supported => {
                enter_wal(&connection).map_err(|source| self.failed(source))?;
                upgrade(&connection).map_err(|source| self.failed(source))?;
            }
            found => return Err(StoreError::NewerFormat { found, supported }),
        }
        Ok(self.connection.get_or_init(|| Mutex::new(connection)))
    }

    fn lock(&self) -> Result<MutexGuard<'_, Connection>, StoreError> {
        // A panic between statements leaves a connection that has rolled back, which is as good as new.
        let connection = self.connect()?;
        Ok(connection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> SqlResult<T>,
    ) -> Result<T, StoreError> {
        work(&*self.lock()?).map_err(|source| self.failed(source))
    }

    pub(crate) fn failed(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Database {
            path: self.path.clone(),
            source,
        }
    }

    /// Runs `work` in one write transaction, which no other process's overlaps.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.lock()?;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|source| self.failed(source))?;
        let result = work(&transaction)?;
        transaction.commit().map_err(|source| self.failed(source))?;
        Ok(result)
    }

    /// Runs statements in one write transaction.
    pub(crate) fn change<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> SqlResult<T>,
    ) -> Result<T, StoreError> {
        self.write(|transaction| work(transaction).map_err(|source| self.failed(source)))
    }

    pub(crate) fn manifest_of_tag(&self, name: &str) -> Result<Option<Digest>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT manifest FROM tags WHERE name = ?1")?;
            statement.query_row([name], |row| digest(row, 0)).optional()
        })
    }

    /// Returns the manifests whose digest or whose image's id is `digest`.
    pub(crate) fn manifests_of_digest(&self, wanted: &Digest) -> Result<Vec<Digest>, StoreError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT manifest FROM images WHERE manifest = ?1 OR config = ?1")?;
            statement
                .query_map([wanted.to_string()], |row| digest(row, 0))?
                .collect()
        })
    }

    /// Returns id and manifest of the images whose id begins with `prefix`.
    pub(crate) fn manifests_of_id_prefix(
        &self,
        prefix: &str,
    ) -> Result<Vec<(Digest, Digest)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT config, manifest FROM images WHERE substr(config, 1, length(?1)) = ?1 ORDER BY config, manifest",
            )?;
            statement.query_map([prefix], |row| Ok((digest(row, 0)?, digest(row, 1)?)))?.collect()
        })
    }

    pub(crate) fn tags_of(&self, manifest: &Digest) -> Result<Vec<Reference>, StoreError> {
        self.read(|connection| tags_of(connection, manifest))
    }

    pub(crate) fn images(&self) -> Result<Vec<ImageSummary>, StoreError> {
        self.read(|connection| {
            let mut tags = all_tags(connection)?;
            let mut statement = connection.prepare_cached(
                "SELECT manifest, config, created_s, stored_s, size_bytes FROM images
                 ORDER BY stored_s DESC, created_s DESC, manifest",
            )?;
            let rows = statement.query_map([], |row| {
                let manifest_digest = digest(row, 0)?;
                Ok(ImageSummary {
                    manifest_digest,
                    id: digest(row, 1)?,
                    tags: tags.remove(&manifest_digest).unwrap_or_default(),
                    created_s: row.get(2)?,
                    stored_s: row.get(3)?,
                    size_bytes: row.get::<_, i64>(4)?.unsigned_abs(),
                })
            })?;
            let mut images = rows.collect::<SqlResult<Vec<_>>>()?;
            // An image that has just taken another's name goes before that.
            images.sort_by_key(|image| (Reverse(image.stored_s), image.tags.is_empty()));
            Ok(images)
        })
    }

    /// Says, before `lease`'s process relies on them, which contents must not be collected.
    pub(crate) fn hold(&self, lease: &str, digests: &[Digest]) -> Result<(), StoreError> {
        self.change(|transaction| hold(transaction, lease, digests))
    }

    pub(crate) fn release(&self, lease: &str) -> Result<(), StoreError> {
        self.change(|transaction| {
            transaction
                .execute("DELETE FROM leases WHERE lease = ?1", [lease])
                .map(drop)
        })
    }

    /// Records an image and points `tags` to it.
    ///
    /// The commit is on the disk when this returns: a name that was reported survives a power cut.
    pub(crate) fn commit_image(
        &self,
        image: &ImageRow,
        tags: &[Reference],
        now_s: i64,
    ) -> Result<(), StoreError> {
        self.read(|connection| connection.pragma_update(None, "synchronous", "FULL"))?;
        let result = self.change(|transaction| insert_image(transaction, image, tags, now_s));
        self.read(|connection| connection.pragma_update(None, "synchronous", "NORMAL"))?;
        self.read(shorten_log)?;
        result
    }

    /// Returns whether every one of `tags` already points to `manifest`.
    pub(crate) fn is_tagged(
        &self,
        manifest: &Digest,
        tags: &[Reference],
    ) -> Result<bool, StoreError> {
        let known = self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT 1 FROM images WHERE manifest = ?1")?;
            statement.exists([manifest.to_string()])
        })?;
        let present = self.tags_of(manifest)?;
        Ok(known && tags.iter().all(|tag| present.contains(tag)))
    }

    pub(crate) fn step(&self, key: &Digest) -> Result<Option<CachedStep>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT blob, diff_id, size_bytes, newest_mtime_s FROM steps WHERE key = ?1",
            )?;
            statement
                .query_row([key.to_string()], step_from_row)
                .optional()
        })
    }

    /// Says that a step's result is relied on, and that it was used.
    pub(crate) fn use_step(
        &self,
        lease: &str,
        key: &Digest,
        digests: &[Digest],
    ) -> Result<(), StoreError> {
        self.change(|transaction| {
            hold(transaction, lease, digests)?;
            transaction
                .prepare_cached("UPDATE steps SET used_s = ?2 WHERE key = ?1")?
                .execute(params![key.to_string(), now_s()])
                .map(drop)
        })
    }

    pub(crate) fn remember_step(&self, key: &Digest, step: &CachedStep) -> Result<(), StoreError> {
        self.change(|transaction| {
            let layer = step.layer.as_ref();
            transaction
                .execute(
                    "INSERT OR REPLACE INTO steps (key, blob, diff_id, size_bytes, newest_mtime_s, used_s)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![
                        key.to_string(),
                        layer.map(|layer| layer.digest.to_string()),
                        layer.map(|layer| layer.diff_id.to_string()),
                        layer.map_or(0, |layer| layer.size_bytes as i64),
                        step.newest_mtime_s,
                        now_s(),
                    ],
                )
                .map(drop)
        })
    }

    /// Records anew which contents an image needs.
    pub(crate) fn replace_contents(&self, image: &ImageRow) -> Result<(), StoreError> {
        self.change(|transaction| {
            let manifest = image.manifest.to_string();
            transaction.execute("DELETE FROM contents WHERE manifest = ?1", [&manifest])?;
            let mut insert =
                transaction.prepare_cached("INSERT OR IGNORE INTO contents VALUES (?1, ?2)")?;
            for digest in &image.contents {
                insert.execute(params![manifest, digest.to_string()])?;
            }
            Ok(())
        })
    }

    /// Returns the manifests of the images that need a content.
    pub(crate) fn images_with(&self, content: &Digest) -> Result<Vec<Digest>, StoreError> {
        self.read(|connection| images_with(connection, content))
    }

    /// Returns the id of the image with this manifest.
    pub(crate) fn config_of(&self, manifest: &Digest) -> Result<Option<Digest>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT config FROM images WHERE manifest = ?1")?;
            statement
                .query_row([manifest.to_string()], |row| digest(row, 0))
                .optional()
        })
    }

    /// Returns the layer of a build step with this blob or diff id.
    pub(crate) fn layer_of_step(&self, content: &Digest) -> Result<Option<Layer>, StoreError> {
        let step = self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT blob, diff_id, size_bytes, newest_mtime_s FROM steps WHERE blob = ?1 OR diff_id = ?1",
            )?;
            statement
                .query_row([content.to_string()], step_from_row)
                .optional()
        })?;
        Ok(step.and_then(|step| step.layer))
    }

    /// Forgets the images and build steps that need a content; returns what the images were called.
    pub(crate) fn forget(&self, content: &Digest) -> Result<Vec<String>, StoreError> {
        self.change(|transaction| {
            transaction.execute("DELETE FROM steps WHERE blob = ?1", [content.to_string()])?;
            let mut names = Vec::new();
            for manifest in images_with(transaction, content)? {
                let tags = tags_of(transaction, &manifest)?;
                let id = || {
                    transaction.query_row(
                        "SELECT config FROM images WHERE manifest = ?1",
                        [manifest.to_string()],
                        |row| digest(row, 0),
                    )
                };
                match tags.is_empty() {
                    true => names.push(id()?.short()),
                    false => names.extend(tags.iter().map(Reference::to_string)),
                }
                for table in ["tags", "pins", "contents", "images"] {
                    transaction.execute(
                        &format!("DELETE FROM {table} WHERE manifest = ?1"),
                        [manifest.to_string()],
                    )?;
                }
            }
            Ok(names)
        })
    }

    pub(crate) fn pin(&self, holder: &str, manifest: &Digest) -> Result<bool, StoreError> {
        self.change(|transaction| {
            let count = transaction.execute(
                "INSERT OR IGNORE INTO pins SELECT ?1, manifest FROM images WHERE manifest = ?2",
                params![holder, manifest.to_string()],
            )?;
            let mut statement = transaction
                .prepare_cached("SELECT 1 FROM pins WHERE holder = ?1 AND manifest = ?2")?;
            Ok(count > 0 || statement.exists(params![holder, manifest.to_string()])?)
        })
    }

    pub(crate) fn unpin(&self, holder: &str) -> Result<(), StoreError> {
        self.change(|transaction| {
            transaction
                .execute("DELETE FROM pins WHERE holder = ?1", [holder])
                .map(drop)
        })
    }

    pub(crate) fn pins(&self) -> Result<Vec<(String, Digest)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT holder, manifest FROM pins ORDER BY holder, manifest")?;
            statement
                .query_map([], |row| Ok((row.get(0)?, digest(row, 1)?)))?
                .collect()
        })
    }
}

fn hold(transaction: &Transaction<'_>, lease: &str, digests: &[Digest]) -> SqlResult<()> {
    let mut statement =
        transaction.prepare_cached("INSERT OR IGNORE INTO leases VALUES (?1, ?2)")?;
    for digest in digests {
        statement.execute(params![lease, digest.to_string()])?;
    }
    Ok(())
}

/// Returns the seconds since 1970, 0 on a clock that is before that.
pub(crate) fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs().cast_signed())
}

/// Returns the nanoseconds since 1970, 0 on a clock that is before that.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

fn connect(path: &Path) -> SqlResult<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Closing would fold the log into the database and flush both to the disk, which every short command would wait for.
    connection.set_db_config(
        rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
        true,
    )?;
    Ok(connection)
}

/// Of two processes that make a database at once, SQLite refuses one the change of its journal without waiting.
fn enter_wal(connection: &Connection) -> SqlResult<()> {
    for _ in 0..WAL_ATTEMPTS {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(WAL_PAUSE);
            }
            result => return result,
        }
    }
    connection.pragma_update(None, "journal_mode", "WAL")
}

/// Folds the log into the database if nobody else uses them now: who opens them first reads the whole log. What was committed
/// stays committed if that fails.
fn shorten_log(connection: &Connection) -> SqlResult<()> {
    connection.busy_timeout(Duration::ZERO)?;
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    connection.busy_timeout(BUSY_TIMEOUT)
}

fn format(connection: &Connection) -> SqlResult<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Adds the tables that are missing, unless another process was quicker.
fn upgrade(connection: &Connection) -> SqlResult<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let found = usize::try_from(format(&transaction)?).unwrap_or(0);
    for missing in FORMATS.iter().skip(found) {
        transaction.execute_batch(missing)?;
    }
    transaction.pragma_update(None, "user_version", FORMATS.len() as i64)?;
    transaction.commit()
}

fn insert_image(
    transaction: &Transaction<'_>,
    image: &ImageRow,
    tags: &[Reference],
    now_s: i64,
) -> SqlResult<()> {
    let manifest = image.manifest.to_string();
    transaction.execute(
        "INSERT OR IGNORE INTO images VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            manifest,
            image.config.to_string(),
            image.created_s,
            now_s,
            image.size_bytes as i64
        ],
    )?;
    for digest in &image.contents {
        transaction.execute(
            "INSERT OR IGNORE INTO contents VALUES (?1, ?2)",
            params![manifest, digest.to_string()],
        )?;
    }
    for tag in tags {
        transaction.execute(
            "INSERT OR REPLACE INTO tags VALUES (?1, ?2)",
            params![tag.to_string(), manifest],
        )?;
    }
    Ok(())
}

fn images_with(connection: &Connection, content: &Digest) -> SqlResult<Vec<Digest>> {
    let mut statement =
        connection.prepare_cached("SELECT manifest FROM contents WHERE digest = ?1")?;
    statement
        .query_map([content.to_string()], |row| digest(row, 0))?
        .collect()
}

/// Returns the names of every image, each image's in order.
fn all_tags(connection: &Connection) -> SqlResult<HashMap<Digest, Vec<Reference>>> {
    let mut statement =
        connection.prepare_cached("SELECT manifest, name FROM tags ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut tags: HashMap<Digest, Vec<Reference>> = HashMap::new();
    while let Some(row) = rows.next()? {
        tags.entry(digest(row, 0)?)
            .or_default()
            .push(parsed(row, 1)?);
    }
    Ok(tags)
}

fn tags_of(connection: &Connection, manifest: &Digest) -> SqlResult<Vec<Reference>> {
    let mut statement =
        connection.prepare_cached("SELECT name FROM tags WHERE manifest = ?1 ORDER BY name")?;
    let names = statement.query_map([manifest.to_string()], |row| parsed(row, 0))?;
    names.collect()
}

fn step_from_row(row: &rusqlite::Row<'_>) -> SqlResult<CachedStep> {
    let layer = match row.get::<_, Option<String>>(0)? {
        None => None,
        Some(_) => Some(Layer {
            digest: digest(row, 0)?,
            diff_id: digest(row, 1)?,
            size_bytes: row.get::<_, i64>(2)?.unsigned_abs(),
            compression: crate::Compression::Zstd,
        }),
    };
    Ok(CachedStep {
        layer,
        newest_mtime_s: row.get(3)?,
    })
}

/// Reads a column whose text is a digest.
pub(crate) fn digest(row: &rusqlite::Row<'_>, column: usize) -> SqlResult<Digest> {
    parsed(row, column)
}

pub(crate) fn parsed<T>(row: &rusqlite::Row<'_>, column: usize) -> SqlResult<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get::<_, String>(column)?.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}
