//! How much room everything of a home takes, and how much of that nothing needs.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use minke_image::{CacheEntry, Digest, DiskUsage, ImageSummary, LayerSnapshot};

use crate::build_caches::{self, BuildCache};
use crate::engine::{Engine, EngineError};
use crate::home::Home;
use crate::record::Container;
use crate::volumes::size_bytes;

/// A compiled module that nobody used for so long is taken for one whose program is gone.
const MODULE_UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Bounds directories within directories of a container's record; there is one level.
const DEPTH_MAX: usize = 8;

/// How much room things of one kind take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    pub total_count: usize,
    /// Those that something uses.
    pub active_count: usize,
    pub size_bytes: u64,
    /// What a prune would free.
    pub reclaimable_bytes: u64,
}

/// An image's part.
#[derive(Debug, Clone)]
pub struct ImageRow {
    pub summary: ImageSummary,
    /// Bytes that no other image has.
    pub unique_bytes: u64,
    pub containers_count: usize,
}

/// A container's part: its record, its log, and what it changed of its root's disk.
#[derive(Debug, Clone)]
pub struct ContainerRow {
    pub container: Container,
    pub size_bytes: u64,
}

/// A volume's part.
#[derive(Debug, Clone)]
pub struct VolumeRow {
    pub name: String,
    pub containers_count: usize,
    pub size_bytes: u64,
}

/// A snapshot of an image's layer, and how many containers lie over it.
#[derive(Debug, Clone)]
pub struct SnapshotRow {
    pub snapshot: LayerSnapshot,
    pub containers_count: usize,
}

/// How much room everything takes. Docker: `GET /system/df`.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    pub images: Share,
    pub containers: Share,
    pub volumes: Share,
    pub build_cache: Share,
    /// Ours alone.
    pub modules: Share,
    /// Ours alone: disks of images' layers, which containers write over.
    pub snapshots: Share,
    pub image_rows: Vec<ImageRow>,
    pub container_rows: Vec<ContainerRow>,
    pub volume_rows: Vec<VolumeRow>,
    pub snapshot_rows: Vec<SnapshotRow>,
    pub steps: Vec<CacheEntry>,
    /// Of `RUN --mount=type=cache`; a part of `build_cache`.
    pub caches: Vec<BuildCache>,
}

/// Which compiled modules a prune removes; they are compiled again when they are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrunedModules {
    /// Those that were not used for 30 days.
    Old,
    All,
}

impl Usage {
    /// Returns each kind with Docker's name.
    pub fn shares(&self) -> impl Iterator<Item = (&'static str, &Share)> {
        [
            ("Images", &self.images),
            ("Containers", &self.containers),
            ("Local Volumes", &self.volumes),
            ("Build Cache", &self.build_cache),
            ("Compiled Modules", &self.modules),
            ("Image Snapshots", &self.snapshots),
        ]
        .into_iter()
    }
}

impl Engine {
    /// Returns how much room everything takes.
    pub fn disk_usage(&self) -> Result<Usage, EngineError> {
        let volume_rows = self.volume_rows()?;
        let containers = self.containers()?;
        let disk = self.store()?.disk_usage()?;
        let steps = self.store()?.build_cache()?;
        let caches = build_caches::list(&self.home().build_caches());
        let snapshot_rows = snapshot_rows(self.store()?.snapshots()?, &containers);
        let (images, image_rows) = images(&disk, &containers);
        let container_rows = containers.into_iter().map(|container| ContainerRow {
            size_bytes: record_bytes(self.home(), &container),
            container,
        });
        let container_rows: Vec<ContainerRow> = container_rows.collect();
        Ok(Usage {
            images,
            containers: share_of_containers(&container_rows),
            volumes: share_of_volumes(&volume_rows),
            build_cache: share_of_builds(&steps, &caches),
            modules: share_of_modules(&self.home().modules()),
            snapshots: share_of_snapshots(&snapshot_rows),
            image_rows,
            container_rows,
            volume_rows,
            snapshot_rows,
            steps,
            caches,
        })
    }

    fn volume_rows(&self) -> Result<Vec<VolumeRow>, EngineError> {
        let users = self.volume_users()?;
        let rows = self.volumes()?.into_iter().map(|volume| VolumeRow {
            containers_count: users.of(&volume.name).len(),
            size_bytes: size_bytes(&volume),
            name: volume.name,
        });
        Ok(rows.collect())
    }

    /// Removes compiled modules; returns the bytes that were freed. One that is mapped stays until that ends, and what is being
    /// compiled is not touched.
    pub fn prune_modules(&self, which: PrunedModules) -> u64 {
        let mut freed_bytes = 0;
        for entry in files(&self.home().modules()) {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if (which == PrunedModules::All || is_old(&metadata)) && !is_being_made(&entry.path()) {
                // What cannot be removed is not freed; a cache is no reason to fail.
                freed_bytes += fs::remove_file(entry.path()).map_or(0, |()| metadata.len());
            }
        }
        freed_bytes
    }
}

/// Returns the names of the snapshots of its image that a container lies over.
pub(crate) fn snapshot_names(container: &Container) -> impl Iterator<Item = &OsStr> {
    let disk = container.config.spec.root.disk.iter();
    disk.flat_map(|disk| &disk.snapshots)
        .filter_map(|path| path.file_name())
}

fn snapshot_rows(snapshots: Vec<LayerSnapshot>, containers: &[Container]) -> Vec<SnapshotRow> {
    let mut counts: HashMap<&OsStr, usize> = HashMap::new();
    for name in containers.iter().flat_map(snapshot_names) {
        *counts.entry(name).or_default() += 1;
    }
    let row = |snapshot: LayerSnapshot| SnapshotRow {
        containers_count: counts.get(snapshot.name()).copied().unwrap_or(0),
        snapshot,
    };
    snapshots.into_iter().map(row).collect()
}

fn share_of_snapshots(rows: &[SnapshotRow]) -> Share {
    let is_active = |row: &&SnapshotRow| row.containers_count > 0;
    let bytes = |row: &SnapshotRow| row.snapshot.size_bytes;
    Share {
        total_count: rows.len(),
        active_count: rows.iter().filter(is_active).count(),
        size_bytes: rows.iter().map(bytes).sum(),
        reclaimable_bytes: rows.iter().filter(|row| !is_active(row)).map(bytes).sum(),
    }
}

fn share_of_volumes(rows: &[VolumeRow]) -> Share {
    let is_active = |row: &&VolumeRow| row.containers_count > 0;
    let bytes = |row: &VolumeRow| row.size_bytes;
    Share {
        total_count: rows.len(),
        active_count: rows.iter().filter(is_active).count(),
        size_bytes: rows.iter().map(bytes).sum(),
        reclaimable_bytes: rows.iter().filter(|row| !is_active(row)).map(bytes).sum(),
    }
}

fn images(disk: &DiskUsage, containers: &[Container]) -> (Share, Vec<ImageRow>) {
    let users_count = |id: &Digest| {
        let id = id.to_string();
        containers
            .iter()
            .filter(|it| it.config.image_id.as_ref() == Some(&id))
            .count()
    };
    let mut owners: HashMap<Digest, usize> = HashMap::new();
    for digest in disk.images.iter().flat_map(|(_, contents)| contents) {
        *owners.entry(*digest).or_default() += 1;
    }
    let mut used = HashSet::new();
    let mut rows = Vec::with_capacity(disk.images.len());
    for (summary, contents) in &disk.images {
        let containers_count = users_count(&summary.id);
        if containers_count > 0 {
            used.extend(contents.iter().copied());
        }
        let unique = contents.iter().filter(|digest| owners[*digest] == 1);
        rows.push(ImageRow {
            summary: summary.clone(),
            unique_bytes: disk.bytes(unique),
            containers_count,
        });
    }
    let size_bytes = disk.bytes(owners.keys());
    let share = Share {
        total_count: rows.len(),
        active_count: rows.iter().filter(|row| row.containers_count > 0).count(),
        size_bytes,
        reclaimable_bytes: size_bytes - disk.bytes(&used),
    };
    (share, rows)
}

fn share_of_containers(rows: &[ContainerRow]) -> Share {
    let is_active = |row: &&ContainerRow| row.container.state.is_up();
    let bytes = |row: &ContainerRow| row.size_bytes;
    Share {
        total_count: rows.len(),
        active_count: rows.iter().filter(is_active).count(),
        size_bytes: rows.iter().map(bytes).sum(),
        reclaimable_bytes: rows.iter().filter(|row| !is_active(row)).map(bytes).sum(),
    }
}

/// Docker counts what images have too with the images.
fn share_of_builds(steps: &[CacheEntry], caches: &[BuildCache]) -> Share {
    let mut seen = HashSet::new();
    let alone = steps
        .iter()
        .filter(|step| !step.is_shared && step.blob.is_some_and(|blob| seen.insert(blob)));
    let steps_bytes: u64 = alone.map(|step| step.size_bytes).sum();
    let bytes = |cache: &BuildCache| cache.size_bytes;
    let unheld = caches.iter().filter(|cache| !cache.is_held);
    Share {
        total_count: steps.len() + caches.len(),
        active_count: caches.iter().filter(|cache| cache.is_held).count(),
        size_bytes: steps_bytes + caches.iter().map(bytes).sum::<u64>(),
        reclaimable_bytes: steps_bytes + unheld.map(bytes).sum::<u64>(),
    }
}

fn share_of_modules(directory: &Path) -> Share {
    let mut share = Share::default();
    for entry in files(directory) {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        share.total_count += usize::from(entry.path().extension().is_some_and(|it| it == "cwasm"));
        share.size_bytes += metadata.len();
        share.reclaimable_bytes += if is_old(&metadata) { metadata.len() } else { 0 };
    }
    share.active_count = share.total_count;
    share
}

fn is_old(metadata: &fs::Metadata) -> bool {
    let used = metadata.accessed().or_else(|_| metadata.modified());
    used.is_ok_and(|used| {
        SystemTime::now()
            .duration_since(used)
            .is_ok_and(|unused| unused > MODULE_UNUSED)
    })
}

/// Returns whether a file of the cache of modules belongs to who compiles one now: what has no extension is being written, and
/// without the file of a lock that is held, another would compile the same module meanwhile.
fn is_being_made(path: &Path) -> bool {
    match path.extension() {
        None => true,
        Some(extension) if extension == "lock" => {
            let tried = fs::File::open(path).map(|file| file.try_lock());
            matches!(tried, Ok(Err(fs::TryLockError::WouldBlock)))
        }
        Some(_) => false,
    }
}

fn files(directory: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(directory).into_iter().flatten().flatten()
}

/// Returns the bytes of a container's directory.
pub(crate) fn record_bytes(home: &Home, container: &Container) -> u64 {
    tree_bytes(&home.containers().join(container.id()), DEPTH_MAX)
}

fn tree_bytes(directory: &Path, depth_left: usize) -> u64 {
    let sizes = files(directory).filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(match (metadata.is_dir(), depth_left) {
            (true, 0) => 0,
            (true, _) => tree_bytes(&entry.path(), depth_left - 1),
            (false, _) => metadata.len(),
        })
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prune_of_all_modules_leaves_what_is_being_compiled() {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = Engine::open(Home::at(directory.path())).expect("a home");
        let modules = engine.home().modules();
        for name in ["a.cwasm", "a.seal", "a.lock", "b.lock", ".tmpwritten"] {
            fs::write(modules.join(name), "x").expect("written");
        }
        let held = fs::File::open(modules.join("b.lock")).expect("opened");
        held.lock().expect("nobody has it");
        assert_eq!(engine.prune_modules(PrunedModules::All), 3);
        let mut left: Vec<_> = files(&modules).map(|entry| entry.file_name()).collect();
        left.sort();
        assert_eq!(left, [".tmpwritten", "b.lock"]);
    }
}
