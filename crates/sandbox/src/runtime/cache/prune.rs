//! Keeps the cache of compiled modules within bounds: what was not used for longest goes first.
//!
//! When an artefact was used is the time of its seal, refreshed once a day. Who maps an artefact has a shared lock on it,
//! which lasts as long as the mapping: such a one stays. Others may open what goes at that moment; they keep
//! what they have, for a file lives on without its name.

use std::fs::{self, DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::ModuleCache;

/// Bounds the artefacts of a cache together.
const BYTES_MAX: u64 = 2 << 30;

/// Bounds the stamps of a cache; each is a small file.
const STAMPS_MAX: usize = 4096;

/// A seal's time is not refreshed more often.
const REFRESH_INTERVAL: Duration = Duration::from_hours(24);

/// A temporary file of this age belongs to nobody any more: none is written for so long.
const TEMPORARY_AGE_MAX: Duration = Duration::from_hours(24);

/// Is locked by who prunes.
const PRUNE_LOCK: &str = "prune.lock";

/// The files of a cache, by what they are.
#[derive(Default)]
struct Contents {
    artefacts: Vec<Artefact>,
    stamps: Vec<(SystemTime, PathBuf)>,
    seals: Vec<PathBuf>,
    locks: Vec<PathBuf>,
    temporaries: Vec<(SystemTime, PathBuf)>,
}

struct Artefact {
    used: SystemTime,
    bytes: u64,
    path: PathBuf,
}

impl ModuleCache {
    /// Removes what is too much, unless another process is at it. Call it rarely: it looks at every file.
    pub fn prune(&self) {
        if let Err(error) = self.prune_to(BYTES_MAX) {
            tracing::debug!(%error, "the cache of compiled modules is not pruned");
        }
    }

    fn prune_to(&self, bytes_max: u64) -> io::Result<()> {
        let path = self.directory.join(PRUNE_LOCK);
        let lock = File::options().create(true).append(true).open(path)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(());
        }
        let mut contents = Contents::of(&self.directory)?;
        contents.prune_artefacts(bytes_max);
        contents.prune_stamps();
        contents.prune_leftovers();
        Ok(())
    }
}

/// Keeps an artefact from being pruned while the file, or a mapping of it, is open.
pub(super) fn hold(artefact: &File) {
    // One that is being pruned right now goes; it can still be used.
    let _ = flock(artefact, FlockOperation::NonBlockingLockShared);
}

/// Notes at a seal that its artefact is used.
pub(super) fn note_use(seal: &Path) {
    let age = fs::metadata(seal)
        .and_then(|metadata| metadata.modified())
        .map(|modified| modified.elapsed().unwrap_or_default());
    if age.is_ok_and(|age| age > REFRESH_INTERVAL) {
        // A time that is too old costs a compilation at worst.
        let _ = File::open(seal).and_then(|seal| seal.set_modified(SystemTime::now()));
    }
}

impl Contents {
    fn of(directory: &Path) -> io::Result<Contents> {
        let mut contents = Contents::default();
        for entry in fs::read_dir(directory)? {
            // What goes meanwhile needs no pruning.
            let _ = contents.add(&entry?);
        }
        Ok(contents)
    }

    fn add(&mut self, entry: &DirEntry) -> io::Result<()> {
        let path = entry.path();
        let metadata = entry.metadata()?;
        let modified = metadata.modified()?;
        match path.extension().and_then(|end| end.to_str()) {
            Some("cwasm") => self.artefacts.push(Artefact {
                used: modified_of(&path.with_extension("seal")).unwrap_or(modified),
                bytes: metadata.len(),
                path,
            }),
            Some("stamp") => self.stamps.push((modified, path)),
            Some("seal") => self.seals.push(path),
            Some("lock") if entry.file_name() != PRUNE_LOCK => self.locks.push(path),
            Some(_) => {}
            None => self.temporaries.push((modified, path)),
        }
        Ok(())
    }

    fn prune_artefacts(&mut self, bytes_max: u64) {
        self.artefacts.sort_by_key(|artefact| artefact.used);
        let mut bytes: u64 = self.artefacts.iter().map(|artefact| artefact.bytes).sum();
        for artefact in &self.artefacts {
            if bytes <= bytes_max {
                return;
            }
            if remove_unused(&artefact.path) {
                let _ = fs::remove_file(artefact.path.with_extension("seal"));
                bytes -= artefact.bytes;
            }
        }
    }

    fn prune_stamps(&mut self) {
        self.stamps.sort();
        let surplus = self.stamps.len().saturating_sub(STAMPS_MAX);
        for (_, path) in &self.stamps[..surplus] {
            let _ = fs::remove_file(path);
        }
    }

    /// Removes what processes left that did not get to their end.
    fn prune_leftovers(&self) {
        for lock in &self.locks {
            remove_unused(lock);
        }
        for (modified, path) in &self.temporaries {
            if modified.elapsed().is_ok_and(|age| age > TEMPORARY_AGE_MAX) {
                let _ = fs::remove_file(path);
            }
        }
        for seal in &self.seals {
            if !seal.with_extension("cwasm").exists() {
                let _ = fs::remove_file(seal);
            }
        }
    }
}

fn modified_of(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

/// Removes a file that nobody has locked; returns whether it is gone.
fn remove_unused(path: &Path) -> bool {
    let removed = File::open(path).and_then(|file| {
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        fs::remove_file(path)
    });
    removed.is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Artefact, Digest};
    use super::*;

    const SIZE: u64 = 100;

    fn key(number: u8) -> Digest {
        [number; 32]
    }

    /// A cache with artefacts of `SIZE` bytes, the first used longest ago.
    fn cache(count: u8) -> (tempfile::TempDir, ModuleCache) {
        let directory = tempfile::tempdir().unwrap();
        let cache = ModuleCache::open(&directory.path().join("modules")).unwrap();
        for number in 0..count {
            let mut artefact = Artefact::InMemory(vec![number; SIZE as usize]);
            cache.store(&key(number), &mut artefact);
            age(&seal(&cache, number), u64::from(count - number));
        }
        (directory, cache)
    }

    fn seal(cache: &ModuleCache, number: u8) -> PathBuf {
        cache.seal_path(&super::super::hex(&key(number)))
    }

    /// Makes a file as old as so many days.
    fn age(path: &Path, days: u64) {
        let then = SystemTime::now() - REFRESH_INTERVAL * u32::try_from(days).unwrap();
        File::open(path).unwrap().set_modified(then).unwrap();
    }

    #[track_caller]
    fn assert_left(cache: &ModuleCache, numbers: &[u8]) {
        let left: Vec<u8> = (0..10)
            .filter(|number| cache.artefact(&key(*number)).is_some())
            .collect();
        assert_eq!(left, numbers);
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let (_directory, cache) = cache(4);
        // To be used makes it young.
        assert!(cache.artefact(&key(0)).is_some());
        cache.prune_to(2 * SIZE).unwrap();
        assert_left(&cache, &[0, 3]);
        assert!(!seal(&cache, 1).exists());
    }

    #[test]
    fn what_fits_stays() {
        let (_directory, cache) = cache(4);
        cache.prune_to(4 * SIZE).unwrap();
        assert_left(&cache, &[0, 1, 2, 3]);
    }

    #[test]
    fn what_is_open_or_mapped_stays() {
        let (_directory, cache) = cache(3);
        let open = cache.artefact(&key(0)).unwrap();
        let mapped = cache.artefact(&key(1)).unwrap();
        #[expect(unsafe_code, reason = "mapping a file of the test's own")]
        // SAFETY: nobody writes the file.
        let map = unsafe { memmap2::Mmap::map(&mapped) }.unwrap();
        drop(mapped);
        cache.prune_to(0).unwrap();
        assert_left(&cache, &[0, 1]);
        drop(map);
        cache.prune_to(0).unwrap();
        assert_left(&cache, &[0]);
        drop(open);
        cache.prune_to(0).unwrap();
        assert_left(&cache, &[]);
    }

    #[test]
    fn what_the_dead_left_goes_and_what_the_living_hold_stays() {
        let (_directory, cache) = cache(0);
        let path = |name: &str| cache.directory.join(name);
        for name in [".tmpold", ".tmpnew", "a.seal", "a.lock"] {
            fs::write(path(name), "").unwrap();
        }
        age(&path(".tmpold"), 2);
        let held = cache.lock(&key(1));
        cache.prune_to(BYTES_MAX).unwrap();
        let mut left: Vec<_> = fs::read_dir(&cache.directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let lock = format!("{}.lock", super::super::hex(&key(1)));
        assert_eq!(left, [".tmpnew", &lock, PRUNE_LOCK]);
        drop(held);
        assert!(!path(&lock).exists());
    }

    #[test]
    fn many_that_prune_store_and_use_at_once_see_whole_artefacts() {
        let (_directory, cache) = cache(4);
        std::thread::scope(|scope| {
            for number in 0..4 {
                let cache = &cache;
                scope.spawn(move || {
                    for _ in 0..50 {
                        let _lock = cache.lock(&key(number));
                        let mut artefact = Artefact::InMemory(vec![number; SIZE as usize]);
                        cache.store(&key(number), &mut artefact);
                        if let Some(mut file) = cache.artefact(&key(number)) {
                            let mut bytes = Vec::new();
                            io::Read::read_to_end(&mut file, &mut bytes).unwrap();
                            assert_eq!(bytes, [number; SIZE as usize]);
                        }
                        cache.prune_to(SIZE).unwrap();
                    }
                });
            }
        });
        cache.prune_to(SIZE).unwrap();
        let bytes = Contents::of(&cache.directory).unwrap().artefacts;
        assert!(bytes.len() <= 1);
    }
}
