//! Digests of files outside the store, so that a build need not read what has not changed since the last one.
//!
//! A file is taken as unchanged while device, inode, size, modification time and change time are the same. The
//! kernel sets the change time at each write and lets no program set it, so only a write within one tick of the clock could go
//! unseen; files that were changed a moment ago are therefore not remembered. Git keeps its index by the same rule
//! ("racy git"). Whoever relies on a digest for a layer verifies it when the content is read.
//!
//! These digests go into keys only and name nothing that others see, so they need not be SHA-256, which takes ten times the time
//! where the processor has no instructions for it.

use std::io::{self, Read};

use rusqlite::{Connection, OptionalExtension, params};

use crate::{Store, StoreError};

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

/// The BLAKE3 of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDigest([u8; 32]);

impl FileDigest {
    /// Returns the digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }

    /// Returns the digest and the size of everything in `reader`.
    pub fn of_reader(mut reader: impl Read) -> io::Result<(Self, u64)> {
        let mut hasher = FileHasher::new();
        // It reads blocks of 64 KiB, which its widest instructions want.
        hasher.0.update_reader(&mut reader)?;
        Ok((hasher.finish(), hasher.0.count()))
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A running BLAKE3.
#[derive(Debug, Clone, Default)]
pub struct FileHasher(blake3::Hasher);

impl FileHasher {
    /// Returns a hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes as they are.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of everything added so far.
    pub fn finish(&self) -> FileDigest {
        FileDigest(self.0.finalize().into())
    }
}

impl FileStamp {
    /// Returns whether the file had been left alone for long enough before `now_ns`.
    fn is_settled(&self, now_ns: i64) -> bool {
        let settled = |time_ns: i64| time_ns < now_ns.saturating_sub(SETTLED_NS);
        settled(self.mtime_ns) && settled(self.ctime_ns)
    }
}

impl Store {
    /// Returns the digests that files had when they looked the same.
    pub fn file_digests(
        &self,
        stamps: &[Option<FileStamp>],
    ) -> Result<Vec<Option<FileDigest>>, StoreError> {
        self.database.read(|connection| {
            // One transaction for all: each of its own would cost more than the look-up.
            let transaction = connection.unchecked_transaction()?;
            let known = |stamp: &Option<FileStamp>| match stamp {
                Some(stamp) => file_digest(&transaction, stamp),
                None => Ok(None),
            };
            stamps.iter().map(known).collect()
        })
    }

    /// Remembers digests of files that were read after `now_ns`, if nobody had just written to them.
    pub fn remember_file_digests(
        &self,
        files: &[(FileStamp, FileDigest)],
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
                    digest.0,
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

fn file_digest(connection: &Connection, stamp: &FileStamp) -> rusqlite::Result<Option<FileDigest>> {
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
    let digest = statement.query_row(row, |row| row.get(0)).optional()?;
    Ok(digest.map(FileDigest))
}
