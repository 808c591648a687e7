//! Writing an archive: a tar of plain headers, and contents that the kernel copies.
//!
//! Contents are verified by other threads while they are copied, so a damaged blob is an error now and not a surprise when
//! the archive is all that is left.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;

use tar::{EntryType, Header};

use super::plan::{Plan, Source};
use super::transfer::in_parallel;
use super::{ArchiveError, Export, Item, Progress, SaveOptions};
use crate::store::at;
use crate::{Blob, Digest, Store, StoreError, WholeFile};

/// A tar's block; two empty ones end it. Spec: POSIX pax, "ustar Interchange Format".
const BLOCK: [u8; 512] = [0; 512];
/// How much is copied between two reports of progress.
const STRIDE_BYTES: u64 = 16 << 20;

impl Store {
    /// Writes images into an archive that is open for writing, a pipe too.
    pub fn save(
        &self,
        exports: &[Export],
        options: &SaveOptions,
        archive: &File,
        progress: &dyn Progress,
    ) -> Result<(), ArchiveError> {
        self.save_as(
            exports,
            options,
            archive,
            Path::new("standard output"),
            progress,
        )
    }

    /// Writes images into a file, which is there only once it is whole; one that is there is replaced.
    pub fn save_file(
        &self,
        exports: &[Export],
        options: &SaveOptions,
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<(), ArchiveError> {
        let write = |source| ArchiveError::Write {
            path: path.to_owned(),
            source,
        };
        // A pipe or a device is written to; only a file can be replaced.
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            let archive = File::options().write(true).open(path).map_err(write)?;
            return self.save_as(exports, options, &archive, path, progress);
        }
        let archive = WholeFile::create(path).map_err(write)?;
        self.save_as(exports, options, archive.file(), path, progress)?;
        archive.publish().map_err(write)
    }

    fn save_as(
        &self,
        exports: &[Export],
        options: &SaveOptions,
        archive: &File,
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<(), ArchiveError> {
        let lease = self.lease()?;
        let plan = Plan::new(exports, options, &lease)?;
        let writer = Writer { archive, path };
        thread::scope(|scope| {
            let verified = scope.spawn(|| verify(&plan));
            let written = plan
                .members
                .iter()
                .try_for_each(|(name, source)| writer.member(name, source, progress))
                .and_then(|()| writer.end());
            let verified = verified.join().expect("verifying does not panic");
            verified.and(written)
        })
    }
}

/// Reads every file of a plan, and compares its digest with what the plan says.
fn verify(plan: &Plan) -> Result<(), ArchiveError> {
    let files = plan.members.values().filter_map(|source| match source {
        Source::File { path, blob } => Some((path, blob)),
        Source::Bytes(_) => None,
    });
    in_parallel(files.collect(), |(path, blob)| {
        let (found, _) = File::open(path)
            .and_then(Digest::of_reader)
            .map_err(at("read", path))?;
        match found == blob.digest {
            true => Ok(()),
            false => Err(StoreError::CorruptBlob {
                digest: blob.digest,
                found,
            }
            .into()),
        }
    })
    .map(drop)
}

struct Writer<'run> {
    archive: &'run File,
    path: &'run Path,
}

impl Writer<'_> {
    fn failed(&self) -> impl Fn(io::Error) -> ArchiveError {
        |source| ArchiveError::Write {
            path: self.path.to_owned(),
            source,
        }
    }

    fn member(
        &self,
        name: &str,
        source: &Source,
        progress: &dyn Progress,
    ) -> Result<(), ArchiveError> {
        let mut archive = self.archive;
        match source {
            Source::Bytes(bytes) => {
                let header = header(name, bytes.len() as u64);
                let write = archive
                    .write_all(header.as_bytes())
                    .and_then(|()| archive.write_all(bytes));
                write.map_err(self.failed())?;
                self.pad(bytes.len() as u64)
            }
            Source::File { path, blob } => self.file(name, path, blob, progress),
        }
    }

    fn file(
        &self,
        name: &str,
        path: &Path,
        blob: &Blob,
        progress: &dyn Progress,
    ) -> Result<(), ArchiveError> {
        let (mut archive, item) = (
            self.archive,
            Item {
                digest: blob.digest,
                size_bytes: blob.size_bytes,
            },
        );
        progress.started(&item);
        let content = File::open(path).map_err(at("read", path))?;
        archive
            .write_all(header(name, blob.size_bytes).as_bytes())
            .map_err(self.failed())?;
        let mut left_bytes = blob.size_bytes;
        while left_bytes > 0 {
            // From file to file and from file to pipe, the standard library lets the kernel copy.
            let mut stride = (&content).take(left_bytes.min(STRIDE_BYTES));
            let count = io::copy(&mut stride, &mut archive).map_err(self.failed())?;
            if count == 0 {
                let found = Digest::of_reader(File::open(path).map_err(at("read", path))?);
                let (found, _) = found.map_err(at("read", path))?;
                return Err(StoreError::CorruptBlob {
                    digest: blob.digest,
                    found,
                }
                .into());
            }
            progress.advanced(&item, count);
            left_bytes -= count;
        }
        self.pad(blob.size_bytes)?;
        progress.finished(&item);
        Ok(())
    }

    /// Fills the last block of a content.
    fn pad(&self, size_bytes: u64) -> Result<(), ArchiveError> {
        let over =
            usize::try_from(size_bytes % BLOCK.len() as u64).expect("it is less than a block");
        if over == 0 {
            return Ok(());
        }
        let mut archive = self.archive;
        archive.write_all(&BLOCK[over..]).map_err(self.failed())
    }

    fn end(&self) -> Result<(), ArchiveError> {
        let mut archive = self.archive;
        archive
            .write_all(&[BLOCK, BLOCK].concat())
            .map_err(self.failed())
    }
}

/// Every name of an archive of ours has fewer than 100 characters, and sizes beyond 8 GiB are written in GNU's way, which all readers know.
fn header(name: &str, size_bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_path(name).expect("the name is short");
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size_bytes);
    header.set_cksum();
    header
}
