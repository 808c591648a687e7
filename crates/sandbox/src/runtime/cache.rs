//! Compiled modules, kept on disk.
//!
//! An artefact's name is a hash of everything it depends on: the module, the rewriting, the engine's configuration
//! and the CPU. It is mapped and run as native code, so it must be what we wrote: the
//! directory and all files in it must belong to us, with nobody else allowed to write, and beside each artefact lies
//! a *seal* with its digest and its identity on the file system (inode, size, times). While the
//! identity holds, the artefact is mapped at once; else it is read and its digest compared.
//!
//! A *stamp* saves reading the module too: it notes the digest of a module by the identity of the file that it came from.
//!
//! What was not used for longest goes when all becomes too much (`prune`).
//!
//! Nothing here is needed: whatever fails costs the time to compile again, and a warning.
//! Several processes may use one directory; a lock per artefact makes them compile it once.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::compiler::Artefact;
use super::engine::Allocation;

mod prune;

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// A directory of compiled modules.
pub struct ModuleCache {
    directory: PathBuf,
}

/// What identifies a file's contents without reading them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change of contents, in nanoseconds since 1970.
    pub modified_ns: i128,
    /// Time of the last change of anything, in nanoseconds since 1970. A program cannot set it.
    pub changed_ns: i128,
    /// Where in the file the contents begin, for a module that lies in an archive.
    pub offset: u64,
    /// Where on which disk the contents lie, for a module in a file system of ours, and then the times and numbers say nothing; zeros for files of the host.
    #[serde(default)]
    pub disk: [u8; 32],
}

/// What is remembered of a module under its file's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The digest of the module.
    pub digest: Digest,
    /// The engine that it belongs to.
    pub allocation: Allocation,
}

/// A stamp as it is on disk.
#[derive(Serialize, Deserialize)]
struct StampText {
    digest: String,
    allocation: Allocation,
}

/// A seal as it is on disk.
#[derive(Serialize, Deserialize)]
pub(super) struct Seal {
    pub(super) sha256: String,
    identity: FileIdentity,
}

/// Keeps other processes from compiling the same module meanwhile. Its file goes with it.
pub struct ArtefactLock {
    path: PathBuf,
    file: Option<File>,
}

impl Drop for ArtefactLock {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Still locked: who waits for it finds that it has gone, and makes another.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Small files of the cache, seals and stamps, are not longer than this.
const NOTE_BYTES_MAX: u64 = 4096;

impl FileIdentity {
    /// Returns the identity of an open file.
    pub fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let nanoseconds =
            |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            offset: 0,
            disk: [0; 32],
        })
    }

    /// Returns the identity of contents that a disk of ours has.
    pub fn of_disk(size: u64, disk: [u8; 32]) -> Self {
        Self {
            device: 0,
            inode: 0,
            size,
            modified_ns: 0,
            changed_ns: 0,
            offset: 0,
            disk,
        }
    }

    fn name(&self) -> String {
        let mut hasher = Sha256::new();
        for number in [self.device, self.inode, self.size, self.offset] {
            hasher.update(number.to_le_bytes());
        }
        hasher.update(self.modified_ns.to_le_bytes());
        hasher.update(self.changed_ns.to_le_bytes());
        hasher.update(self.disk);
        format!("{}.stamp", hex(&hasher.finalize()))
    }
}

impl ModuleCache {
    /// Opens a cache directory, making it if need be.
    ///
    /// # Errors
    /// When it cannot be made, or when somebody else could have written to it.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made?;
        let metadata = std::fs::symlink_metadata(directory)?;
        if !metadata.is_dir() || !is_ours(&metadata) {
            let text = format!(
                "`{}` may be written by others, so compiled modules cannot be trusted to it",
                directory.display()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// Returns the directory of the cache.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Opens an artefact whose contents are what was stored, if it is there.
    pub fn artefact(&self, key: &Digest) -> Option<File> {
        let name = hex(key);
        match self.checked_artefact(&name) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(%error, artefact = name, "a compiled module cannot be used; compiling it again");
                let _ = std::fs::remove_file(self.artefact_path(&name));
                let _ = std::fs::remove_file(self.seal_path(&name));
                None
            }
        }
    }

    fn checked_artefact(&self, name: &str) -> io::Result<Option<File>> {
        let path = self.artefact_path(name);
        let Some(mut file) = open_ours(&path)? else {
            return Ok(None);
        };
        let Some(seal) = self.read_note::<Seal>(&self.seal_path(name))? else {
            return Ok(None);
        };
        prune::hold(&file);
        prune::note_use(&self.seal_path(name));
        let identity = FileIdentity::of(&file)?;
        if seal.identity == identity {
            return Ok(Some(file));
        }
        let mut hasher = Sha256::new();
        io::copy(&mut file, &mut hasher)?;
        if hex(&hasher.finalize()) != seal.sha256 {
            return Err(corrupt("its digest is not the one that was stored"));
        }
        file.rewind()?;
        self.write_note(&self.seal_path(name), &Seal { identity, ..seal })?;
        Ok(Some(file))
    }

    /// Stores an artefact. A failure costs the caching only.
    pub(super) fn store(&self, key: &Digest, artefact: &mut Artefact) {
        let name = hex(key);
        if let Err(error) = self.try_store(&name, artefact) {
            tracing::warn!(%error, artefact = name, "a compiled module cannot be kept");
        }
    }

    fn try_store(&self, name: &str, artefact: &mut Artefact) -> io::Result<()> {
        let path = self.artefact_path(name);
        let mut temporary = tempfile::NamedTempFile::new_in(&self.directory)?;
        let sha256 = hex(&artefact.copy_to(temporary.as_file_mut())?);
        // A torn artefact would be found by its digest, but a seal must not precede its artefact.
        temporary.as_file().sync_data()?;
        let file = temporary.persist(&path).map_err(|error| error.error)?;
        let seal = Seal {
            sha256,
            identity: FileIdentity::of(&file)?,
        };
        self.write_note(&self.seal_path(name), &seal)
    }

    /// Waits until no other process compiles the artefact `key`.
    pub fn lock(&self, key: &Digest) -> ArtefactLock {
        let path = self.directory.join(format!("{}.lock", hex(key)));
        // Without the lock, two processes may compile the same module: slower, not wrong.
        let file = lock_file(&path).ok();
        ArtefactLock { path, file }
    }

    /// Returns what was remembered for a file that has not changed since.
    pub fn stamp(&self, identity: &FileIdentity) -> Option<Stamp> {
        let path = self.directory.join(identity.name());
        let text: StampText = self.read_note(&path).ok().flatten()?;
        Some(Stamp {
            digest: from_hex(&text.digest)?,
            allocation: text.allocation,
        })
    }

    /// Remembers a file's digest.
    pub fn store_stamp(&self, identity: &FileIdentity, stamp: &Stamp) {
        let text = StampText {
            digest: hex(&stamp.digest),
            allocation: stamp.allocation,
        };
        let path = self.directory.join(identity.name());
        if let Err(error) = self.write_note(&path, &text) {
            tracing::warn!(%error, "a module's digest cannot be kept");
        }
    }

    fn artefact_path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.cwasm"))
    }

    fn seal_path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.seal"))
    }

    pub(super) fn read_note<T: for<'de> Deserialize<'de>>(
        &self,
        path: &Path,
    ) -> io::Result<Option<T>> {
        let Some(file) = open_ours(path)? else {
            return Ok(None);
        };
        let mut text = Vec::new();
        file.take(NOTE_BYTES_MAX).read_to_end(&mut text)?;
        let note = serde_json::from_slice(&text).map_err(|_| corrupt("its seal is damaged"))?;
        Ok(Some(note))
    }

    fn write_note<T: Serialize>(&self, path: &Path, note: &T) -> io::Result<()> {
        let mut temporary = tempfile::NamedTempFile::new_in(&self.directory)?;
        serde_json::to_writer(&mut temporary, note)?;
        temporary.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Makes a file and locks it, again if it was removed by who had it locked.
fn lock_file(path: &Path) -> io::Result<File> {
    loop {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(path)?;
        flock(file.as_fd(), FlockOperation::LockExclusive)?;
        let is_there = std::fs::metadata(path)
            .is_ok_and(|named| file.metadata().is_ok_and(|own| own.ino() == named.ino()));
        if is_there {
            return Ok(file);
        }
    }
}

/// Opens a file if it is there; one that others may write is an error.
fn open_ours(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() || !is_ours(&metadata) {
        return Err(corrupt("it may be written by others"));
    }
    Ok(Some(file))
}

/// Whether only this process's user may write.
fn is_ours(metadata: &std::fs::Metadata) -> bool {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    metadata.uid() == rustix::process::geteuid().as_raw()
        && metadata.mode() & WRITABLE_BY_OTHERS == 0
}

fn corrupt(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    if text.len() != 2 * digest.len() || !text.is_ascii() {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KEY: Digest = [7; 32];

    fn contents(file: Option<File>) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        file?.read_to_end(&mut bytes).unwrap();
        Some(bytes)
    }

    fn cache() -> (tempfile::TempDir, ModuleCache) {
        let directory = tempfile::tempdir().unwrap();
        let cache = ModuleCache::open(&directory.path().join("modules")).unwrap();
        (directory, cache)
    }

    fn store(cache: &ModuleCache, code: &[u8]) {
        cache.store(&KEY, &mut Artefact::InMemory(code.to_vec()));
    }

    #[test]
    fn what_was_stored_is_found() {
        let (_directory, cache) = cache();
        assert!(cache.artefact(&KEY).is_none());
        store(&cache, b"native code");
        assert_eq!(contents(cache.artefact(&KEY)).unwrap(), b"native code");
        assert!(cache.artefact(&[8; 32]).is_none());
    }

    #[test]
    fn a_changed_artefact_is_refused_and_forgotten() {
        let (_directory, cache) = cache();
        store(&cache, b"native code");
        let path = cache.artefact_path(&hex(&KEY));
        std::fs::write(&path, b"native c0de").unwrap();
        assert!(cache.artefact(&KEY).is_none());
        assert!(!path.exists());
    }

    #[test]
    fn an_untouched_copy_is_sealed_again() {
        let (_directory, cache) = cache();
        store(&cache, b"native code");
        let path = cache.artefact_path(&hex(&KEY));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, b"native code").unwrap();
        assert!(cache.artefact(&KEY).is_some());
        let seal: Seal = cache
            .read_note(&cache.seal_path(&hex(&KEY)))
            .unwrap()
            .unwrap();
        let identity = FileIdentity::of(&File::open(&path).unwrap()).unwrap();
        assert_eq!(seal.identity, identity);
    }

    #[test]
    fn an_artefact_without_a_seal_is_not_used() {
        let (_directory, cache) = cache();
        store(&cache, b"native code");
        std::fs::remove_file(cache.seal_path(&hex(&KEY))).unwrap();
        assert!(cache.artefact(&KEY).is_none());
    }

    #[test]
    fn directories_that_others_may_write_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(directory.path(), open).unwrap();
        let error = ModuleCache::open(directory.path()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_stamp_holds_until_the_file_changes() {
        let (directory, cache) = cache();
        let path = directory.path().join("program.wasm");
        std::fs::write(&path, b"one").unwrap();
        let identity = FileIdentity::of(&File::open(&path).unwrap()).unwrap();
        let stamp = Stamp {
            digest: [9; 32],
            allocation: Allocation::OnDemand,
        };
        cache.store_stamp(&identity, &stamp);
        assert_eq!(cache.stamp(&identity), Some(stamp));
        std::fs::write(&path, b"three").unwrap();
        let changed = FileIdentity::of(&File::open(&path).unwrap()).unwrap();
        assert_eq!(cache.stamp(&changed), None);
    }

    #[test]
    fn a_full_disk_costs_the_caching_only() {
        let (directory, cache) = cache();
        std::fs::remove_dir_all(directory.path().join("modules")).unwrap();
        store(&cache, b"native code");
        assert!(cache.artefact(&KEY).is_none());
    }
}
