//! Caches of builds: directories that `RUN --mount=type=cache` keeps for later builds.
//!
//! Each is a directory with a file beside it whose lock its users hold, and whose time is when it was last taken. Who
//! removes a cache holds the lock alone, moves the directory out of the way and removes the lock's file with it; so
//! whoever waited for the lock looks whether the file is still there, and no build ever has half a cache.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Engine;
use crate::removal::remove_tree;

/// A cache that no build used for so long goes.
const UNUSED_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// What ends the name of a lock's file.
const LOCK_EXTENSION: &str = "lock";
/// What is in the name of a directory that is on its way out.
const REMOVED: &str = ".removed";
/// The unit of a file's room. POSIX: `st_blocks`.
const BLOCK_BYTES: u64 = 512;

/// How a build shares a cache with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// With everyone else who does.
    Shared,
    /// Alone, once the others are done.
    Alone,
    /// Alone, or not at all.
    AloneNow,
}

/// A cache, or what is left of one whose removal was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildCache {
    directory: PathBuf,
    pub size_bytes: u64,
    /// When a build last took it.
    pub used: SystemTime,
    /// Whether a build has it now.
    pub is_held: bool,
}

impl BuildCache {
    /// Returns its name as people read it: the beginning of its id's digest, and a number where several builds had one each.
    pub fn short(&self) -> String {
        const DIGITS: usize = 12;
        let name = self.directory.file_name().unwrap_or_default();
        let name = name.to_string_lossy();
        let (id, number) = name.split_once('.').unwrap_or((&name, "0"));
        let id: String = id.chars().take(DIGITS).collect();
        match number {
            "0" => id,
            number => format!("{id}.{number}"),
        }
    }

    /// Returns when a build last took it, in seconds since 1970.
    pub fn used_s(&self) -> i64 {
        let since = self.used.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    fn is_removed(&self) -> bool {
        let name = self.directory.file_name().unwrap_or_default();
        name.to_string_lossy().contains(REMOVED)
    }
}

/// Takes a cache's lock for a build, until the file is closed; none if others have it and `hold` does not wait.
pub fn hold(cache: &Path, hold: Hold) -> io::Result<Option<File>> {
    let Some(lock) = lock(cache, hold)? else {
        return Ok(None);
    };
    lock.set_modified(SystemTime::now())?;
    Ok(Some(lock))
}

fn lock(cache: &Path, hold: Hold) -> io::Result<Option<File>> {
    let path = lock_path(cache);
    loop {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        match hold {
            Hold::Shared => file.lock_shared()?,
            Hold::Alone => file.lock()?,
            Hold::AloneNow => match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            },
        }
        if is_at(&file, &path)? {
            return Ok(Some(file));
        }
    }
}

/// Returns whether an open file is the one that a path names, not one that was removed since.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn lock_path(cache: &Path) -> PathBuf {
    let mut path = cache.as_os_str().to_owned();
    path.push(".");
    path.push(LOCK_EXTENSION);
    path.into()
}

impl Engine {
    /// Removes caches that no build has, those that were not used since `until_s` if that is given; returns them.
    pub fn prune_build_caches(&self, until_s: Option<i64>) -> Vec<BuildCache> {
        let mut caches = list(&self.home().build_caches());
        caches.retain(|cache| until_s.is_none_or(|until| cache.used_s() < until) && remove(cache));
        caches
    }

    /// Removes caches that were not used for 30 days, and those that were not used for longest until all have at most
    /// [`Engine::build_cache_bytes_max`].
    pub fn bound_build_caches(&self) {
        bound(&self.home().build_caches(), self.build_cache_bytes_max);
    }
}

fn bound(caches: &Path, size_bytes_max: u64) {
    let caches = list(caches);
    let mut size_bytes: u64 = caches.iter().map(|cache| cache.size_bytes).sum();
    for cache in &caches {
        let unused = SystemTime::now().duration_since(cache.used);
        let is_old = unused.is_ok_and(|unused| unused > UNUSED_MAX);
        let is_meant = cache.is_removed() || is_old || size_bytes > size_bytes_max;
        if is_meant && remove(cache) {
            size_bytes -= cache.size_bytes;
        }
    }
}

/// Returns the caches in a directory, what was not used for longest first.
pub(crate) fn list(caches: &Path) -> Vec<BuildCache> {
    let directories = entries(caches).filter(is_directory);
    let mut list: Vec<BuildCache> = directories
        .filter_map(|entry| {
            let lock = lock_path(&entry.path());
            let metadata = fs::metadata(&lock).or_else(|_| entry.metadata()).ok()?;
            Some(BuildCache {
                directory: entry.path(),
                size_bytes: size_of(entry.path()),
                used: metadata.modified().ok()?,
                is_held: is_held(&lock),
            })
        })
        .collect();
    list.sort_by(|one, other| (one.used, &one.directory).cmp(&(other.used, &other.directory)));
    list
}

fn entries(directory: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    fs::read_dir(directory).into_iter().flatten().flatten()
}

fn is_directory(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}

fn is_held(lock: &Path) -> bool {
    let tried = File::open(lock).map(|file| file.try_lock());
    matches!(tried, Ok(Err(TryLockError::WouldBlock)))
}

/// Returns the room that files take. What cannot be read, as below a directory without permissions, is not counted.
fn size_of(directory: PathBuf) -> u64 {
    let mut size_bytes: u64 = 0;
    let mut pending = vec![directory];
    while let Some(directory) = pending.pop() {
        for entry in entries(&directory) {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => pending.push(entry.path()),
                // Of a file with holes, only what is there takes room.
                Ok(metadata) => size_bytes += metadata.len().min(metadata.blocks() * BLOCK_BYTES),
                Err(_) => {}
            }
        }
    }
    size_bytes
}

/// Removes a cache unless a build has it, or had it since it was listed; returns whether it is gone.
fn remove(cache: &BuildCache) -> bool {
    let removed = match cache.is_removed() {
        true => remove_tree(&cache.directory).map(|()| true),
        false => remove_unheld(cache),
    };
    removed.unwrap_or_else(|error| {
        // A cache is no reason to fail.
        let directory = cache.directory.display();
        tracing::warn!(%directory, %error, "a build's cache cannot be removed");
        false
    })
}

fn remove_unheld(cache: &BuildCache) -> io::Result<bool> {
    let Some(lock) = lock(&cache.directory, Hold::AloneNow)? else {
        return Ok(false);
    };
    if lock.metadata()?.modified()? > cache.used {
        return Ok(false);
    }
    let moved = move_away(&cache.directory)?;
    fs::remove_file(lock_path(&cache.directory))?;
    drop(lock);
    remove_tree(&moved)?;
    Ok(true)
}

/// Gives a cache a free name beside its own that says that it is on its way out; returns its path.
fn move_away(cache: &Path) -> io::Result<PathBuf> {
    let mut number: u64 = 0;
    loop {
        let mut path = cache.as_os_str().to_owned();
        path.push(OsStr::new(&format!("{REMOVED}{number}")));
        match fs::rename(cache, &path) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => number += 1,
            result => return result.map(|()| path.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a cache with one file of so many bytes, which a build had so many days ago.
    fn cache(caches: &Path, name: &str, size_bytes: usize, days: u64) -> PathBuf {
        let directory = caches.join(name);
        fs::create_dir_all(directory.join("inner")).expect("it is made");
        fs::write(directory.join("inner/file"), vec![1; size_bytes]).expect("it is written");
        let lock = hold(&directory, Hold::Alone).expect("it is locked");
        let used = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
        let lock = lock.expect("nobody has it");
        lock.set_modified(used).expect("its time is set");
        directory
    }

    fn names(caches: &Path) -> Vec<String> {
        let name = |entry: DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = entries(caches).map(name).collect();
        names.sort();
        names
    }

    const SMALL: u64 = 2500;

    #[test]
    fn what_was_not_used_for_longest_goes_until_the_rest_is_small_enough() {
        let caches = tempfile::tempdir().expect("a directory");
        cache(caches.path(), "a.0", 1000, 3);
        cache(caches.path(), "b.0", 1000, 2);
        cache(caches.path(), "c.0", 1000, 1);
        bound(caches.path(), SMALL);
        assert_eq!(names(caches.path()), ["b.0", "b.0.lock", "c.0", "c.0.lock"]);
    }

    #[test]
    fn a_cache_that_a_build_has_stays_however_large_it_is() {
        let caches = tempfile::tempdir().expect("a directory");
        let held = cache(caches.path(), "a.0", 5000, 40);
        cache(caches.path(), "b.0", 10, 40);
        let lock = lock(&held, Hold::Shared).expect("it is locked");
        bound(caches.path(), SMALL);
        assert_eq!(names(caches.path()), ["a.0", "a.0.lock"]);
        assert!(list(caches.path())[0].is_held);
        drop(lock);
        bound(caches.path(), SMALL);
        assert_eq!(names(caches.path()), [""; 0]);
    }

    #[test]
    fn a_removal_that_was_cut_off_is_finished() {
        let caches = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(caches.path().join("a.0.removed0/inner")).expect("it is made");
        bound(caches.path(), SMALL);
        assert_eq!(names(caches.path()), [""; 0]);
    }

    #[test]
    fn who_waits_for_a_cache_that_is_removed_gets_a_new_lock() {
        let caches = tempfile::tempdir().expect("a directory");
        let directory = cache(caches.path(), "a.0", 1, 0);
        let removing = lock(&directory, Hold::Alone).expect("it is locked");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| hold(&directory, Hold::Shared));
            fs::remove_file(lock_path(&directory)).expect("it is removed");
            drop(removing);
            let held = waiting.join().expect("it ends").expect("it is locked");
            let held = held.expect("it waits");
            assert!(is_at(&held, &lock_path(&directory)).expect("it is there"));
        });
    }
}
