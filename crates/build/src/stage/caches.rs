//! Caches of `RUN --mount=type=cache`: taken when the program is about to run, given back when it has ended.
//!
//! Spec: Dockerfile reference, "RUN --mount=type=cache".

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use minke_balenafile::{Mount, Sharing};
use minke_engine::build_caches::{self, Hold};
use minke_engine::spec::MountSpec;
use minke_image::Digest;

use super::Evaluator;
use crate::build::BuildError;

/// Permissions of a cache's directory. BuildKit: 0755.
const CACHE_MODE: u32 = 0o755;

/// Bounds the caches of one name that several private users have at once.
const PRIVATE_CACHES_MAX: u32 = 64;

/// A cache that a `RUN` mounts.
pub(super) struct CacheMount {
    /// Its place among the other mounts: those before it are mounted first.
    pub(super) position: usize,
    pub(super) target: String,
    pub(super) mount: Mount,
}

/// The caches of a `RUN`, for as long as its program runs.
pub(super) struct HeldCaches<'a> {
    mounts: &'a [CacheMount],
    by_id: BTreeMap<&'a str, (PathBuf, File)>,
}

impl Evaluator<'_> {
    /// Takes caches as their users agreed, once others give them back.
    ///
    /// A program has one cache of each id, however often it is mounted; the first mount decides how it is shared.
    /// BuildKit: `cacheRefGetter.getRefCacheDir()`. All programs take theirs in the order of the ids, so that none waits
    /// for another that waits for it.
    pub(super) fn hold_caches<'c>(
        &self,
        mounts: &'c [CacheMount],
    ) -> Result<HeldCaches<'c>, BuildError> {
        let caches = self.build.engine.home().build_caches();
        let mut first: BTreeMap<&str, &Mount> = BTreeMap::new();
        for cache in mounts {
            first.entry(&cache.mount.id).or_insert(&cache.mount);
        }
        let open = |(id, mount): (&'c str, &Mount)| Ok((id, open(&caches, mount)?));
        let by_id = first.into_iter().map(open).collect::<io::Result<_>>();
        by_id
            .map(|by_id| HeldCaches { mounts, by_id })
            .map_err(|source| BuildError::Io {
                action: "make the cache in",
                path: caches.clone(),
                source,
            })
    }
}

impl HeldCaches<'_> {
    /// Puts the caches among the other mounts.
    pub(super) fn mount(&self, specs: &mut Vec<MountSpec>) {
        // From the last to the first: what is put in moves only what comes after it.
        for cache in self.mounts.iter().rev() {
            let Some((source, _)) = self.by_id.get(cache.mount.id.as_str()) else {
                continue;
            };
            let spec = MountSpec::Bind {
                source: source.clone(),
                target: cache.target.clone(),
                is_read_only: cache.mount.is_read_only,
            };
            specs.insert(cache.position, spec);
        }
    }
}

/// Returns the directory of a cache, locked as its users agreed.
fn open(caches: &Path, mount: &Mount) -> io::Result<(PathBuf, File)> {
    let private = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
    private(caches)?;
    let name = Digest::of(mount.id.as_bytes()).hex();
    for number in 0..PRIVATE_CACHES_MAX {
        let directory = caches.join(format!("{name}.{number}"));
        let hold = match mount.sharing {
            Sharing::Shared => Hold::Shared,
            Sharing::Locked => Hold::Alone,
            Sharing::Private => Hold::AloneNow,
        };
        let Some(lock) = build_caches::hold(&directory, hold)? else {
            continue;
        };
        if !directory.is_dir() {
            let mode = mount.mode.unwrap_or(CACHE_MODE);
            match DirBuilder::new().mode(mode).create(&directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => own(&directory, mount)?,
            }
        }
        return Ok((directory, lock));
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Gives a new cache its owner, where this process may.
fn own(directory: &Path, mount: &Mount) -> io::Result<()> {
    if mount.uid.is_none() && mount.gid.is_none() {
        return Ok(());
    }
    match std::os::unix::fs::chown(directory, mount.uid, mount.gid) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}
