//! Digests of files outside the store, so that a build need not read what has not changed since the last one.
//!
//! A file is taken as unchanged while device, inode, size, modification time and change time are the same. The
//! kernel sets the change time at each write and lets no program set it, so only a write within one tick of the clock could go
//! unseen; files that were changed a moment ago are therefore not remembered. Git keeps its index by the same rule
//! ("racy git"). Whoever relies on a digest for a layer verifies it when the content is read.

use rusqlite::{OptionalExtension, params};

use crate::{Digest, Store, StoreError};

/// Bounds the rows: above it the table is emptied, and filled again by what is still in use.
const FILES_MAX: i64 = 500_000;

/// A file that was changed less than this before it was read may change again without a new time.
const SETTLED_NS: i64 = 2_000_000_000;

/// What the kernel says about a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileStamp {
    pub device: u64,
    pub inode: u64,
    pub size_bytes: u64,
    /// Nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Nanoseconds since 1970.
    pub ctime_ns: i64,
}

impl FileStamp {
    /// Returns whether the file had been left alone for long enough before `now_ns`.
    fn is_settled(&self, now_ns: i64) -> bool {
        let settled = |time_ns: i64| time_ns < now_ns.saturating_sub(SETTLED_NS);
        settled(self.mtime_ns) && settled(self.ctime_ns)
    }
}

impl Store {
    /// Returns the digest that a file had when it looked the same.
    pub fn file_digest(&self, stamp: &FileStamp) -> Result<Option<Digest>, StoreError> {
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT digest FROM files WHERE device = ?1 AND inode = ?2
                 AND size_bytes = ?3 AND mtime_ns = ?4 AND ctime_ns = ?5",
            )?;
            let row = params![
                stamp.device.cast_signed(),
                stamp.inode.cast_signed(),
                stamp.size_bytes.cast_signed(),
                stamp.mtime_ns,
                stamp.ctime_ns,
            ];
            statement
                .query_row(row, |row| crate::database::digest(row, 0))
                .optional()
        })
    }

    /// Remembers digests of files that were read after `now_ns`, if nobody had just written to them.
    pub fn remember_file_digests(
        &self,
        files: &[(FileStamp, Digest)],
        now_ns: i64,
    ) -> Result<(), StoreError> {
        let mut settled = files
            .iter()
            .filter(|(stamp, _)| stamp.is_settled(now_ns))
            .peekable();
        if settled.peek().is_none() {
            return Ok(());
        }
        self.database.change(|transaction| {
            let count: i64 =
                transaction.query_row("SELECT count(*) FROM files", [], |row| row.get(0))?;
            if count > FILES_MAX {
                transaction.execute("DELETE FROM files", [])?;
            }
            let mut insert = transaction
                .prepare_cached("INSERT OR REPLACE INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            for (stamp, digest) in settled {
                insert.execute(params![
                    stamp.device.cast_signed(),
                    stamp.inode.cast_signed(),
                    stamp.size_bytes.cast_signed(),
                    stamp.mtime_ns,
                    stamp.ctime_ns,
                    digest.to_string(),
                ])?;
            }
            Ok(())
        })
    }

    /// Forgets every file's digest, as after one that turned out to be wrong.
    pub fn forget_file_digests(&self) -> Result<(), StoreError> {
        self.database
            .change(|transaction| transaction.execute("DELETE FROM files", []).map(drop))
    }
}
