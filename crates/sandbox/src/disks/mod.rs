//! The disks of a container: opened before the jail closes, mounted, written back, and settled at the end.
//!
//! | module | is |
//! |---|---|
//! | `lower` | what a root was before anything changed it |
//! | `snapshot` | snapshots of the root while it is written |
//! | `write_back` | the thread that makes durable what was written a while ago |
//! | [`settle`] | the process that merges changes into users' image files |

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use minke_disk::{
    DiskFileError, Durability, History, HistoryError, HostFile, Limits, ReadOnly, Snapshot, Volume,
    WritableDisk, changes_path, content_identity, extend_chain, open_chain,
};
use minke_ext4::{Access, Device, FileSystem, InodeNumber};
use minke_kernel::kernel::MemoryBudget;
use minke_kernel::platform::Clock;
use minke_kernel::vfs::ext4::{AccessTimes, CACHE_BYTES, Ext4FileSystem, Ext4Options};
use minke_kernel::vfs::{Metadata, Timestamp};

mod lower;
pub mod settle;
mod snapshot;
mod write_back;

use lower::DiskLower;
pub(crate) use lower::Lower;
use settle::{Settler, with_causes};
pub(crate) use snapshot::RootDisk;
use write_back::{Pending, Writer};

use crate::spec::RootDiskSpec;

/// Why a disk cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskMountError {
    #[error(transparent)]
    File(#[from] DiskFileError),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("cannot mount `{}`", path.display())]
    FileSystem {
        path: PathBuf,
        source: minke_ext4::Error,
    },
    #[error("cannot start the process that settles `{}`", path.display())]
    Settler {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl DiskMountError {
    /// Returns what a person can do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::File(error) => error.hint().map_or_else(
                || "check the path and its permissions".to_owned(),
                str::to_owned,
            ),
            Self::History(_) => "remove the container with `minke rm`, and make it anew".to_owned(),
            Self::FileSystem { path, .. } => {
                format!("`minke disk check {}` tells what is wrong", path.display())
            }
            Self::Settler { .. } => "look for limits of processes (`ulimit -u`)".to_owned(),
        }
    }
}

/// How a disk is mounted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DiskOptions {
    pub(crate) is_read_only: bool,
    pub(crate) is_synchronous: bool,
    pub(crate) access_times: AccessTimes,
    /// Bytes that the file system may take; `None` leaves it to the disk's size.
    pub(crate) bytes_max: Option<u64>,
}

/// What disks share with the container that they are mounted in.
#[derive(Clone, Copy)]
pub(crate) struct Container<'a> {
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) memory: &'a Arc<MemoryBudget>,
}

/// A root on a disk.
pub(crate) struct OpenedRoot {
    pub(crate) mounted: Arc<Ext4FileSystem>,
    /// What it lies over.
    pub(crate) lower: Lower,
}

type BelowSystem = FileSystem<ReadOnly<Arc<Snapshot>>>;

/// The disks that a container has mounted.
#[derive(Default)]
pub(crate) struct Disks {
    /// Those whose changes are kept.
    mounted: Vec<Arc<Ext4FileSystem>>,
    volumes: Vec<(Arc<Volume>, Settler)>,
    /// What the root was made from; its own snapshots lie over it.
    image: Option<Arc<Snapshot>>,
    /// The file system of that alone, while the container starts.
    below: OnceLock<Option<BelowSystem>>,
    root: Option<RootDisk>,
    pending: Arc<Pending>,
    writer: Option<Writer>,
}

impl Disks {
    /// Opens a user's image file and its file system. What a crash left beside it is part of it.
    pub(crate) fn open_image(
        &mut self,
        image: &Path,
        options: DiskOptions,
        container: Container<'_>,
    ) -> Result<Arc<Ext4FileSystem>, DiskMountError> {
        let changes = changes_path(image);
        if options.is_read_only {
            if changes.exists() {
                Volume::open(image, &changes, Limits::default())?.merge()?;
            }
            let image_file = HostFile::open(image, minke_disk::Access::Read)?;
            let device = Arc::new(ReadOnly(image_file));
            return self.mount_foreign(image, device, options, container);
        }
        let volume = Arc::new(Volume::open(image, &changes, Limits::default())?);
        let settler = Settler::start(&[image.to_path_buf()]);
        let settler = settler.map_err(|source| DiskMountError::Settler {
            path: image.to_path_buf(),
            source,
        })?;
        let device: Arc<dyn Device> = volume.clone();
        self.volumes.push((volume, settler));
        let mounted = self.mount_foreign(image, device, options, container)?;
        self.mounted
            .extend((!options.is_read_only).then(|| mounted.clone()));
        Ok(mounted)
    }

    /// Opens the disk of a container's root, and its file system.
    pub(crate) fn open_root(
        &mut self,
        root: &RootDiskSpec,
        options: DiskOptions,
        container: Container<'_>,
    ) -> Result<OpenedRoot, DiskMountError> {
        let image = open_chain(&root.snapshots, &Limits::default())?;
        self.image = Some(image.clone());
        let history = History::read(&root.changes)?;
        let below = extend_chain(&image, &history.chain(), &Limits::default())?;
        let size_bytes = below.size();
        // Asked for beside what the image has.
        let bytes_max = options.bytes_max.map(|bytes_max| {
            let used = self.below().map_or(0, used_bytes);
            bytes_max.saturating_add(used)
        });
        let options = DiskOptions {
            bytes_max,
            ..options
        };
        let durability = match root.is_temporary {
            true => Durability::Temporary,
            false => Durability::Durable,
        };
        let active = history.active();
        let is_new = history.chain().is_empty() && !active.exists();
        let disk = Arc::new(WritableDisk::open_or_create(
            &active,
            below,
            size_bytes,
            durability,
            Limits::default(),
        )?);
        let mounted = self.mount(&root.changes, disk.clone(), options, container)?;
        let changes = root.changes.clone();
        self.root = Some(RootDisk::new(&mounted, &disk, changes, durability));
        self.mounted
            .extend((!root.is_temporary).then(|| mounted.clone()));
        Ok(OpenedRoot {
            lower: Lower::Disk(DiskLower {
                image,
                disk: Arc::downgrade(&disk),
                root: Arc::downgrade(&mounted),
                is_new,
                clock: Arc::clone(container.clock),
                memory: Arc::clone(container.memory),
            }),
            mounted,
        })
    }

    /// Returns what tells the content of the root's file of these attributes from all others, if it is as it is in the image.
    ///
    /// A change of a file sets its change time, which no guest can set.
    pub(crate) fn image_content(&self, metadata: &Metadata) -> Option<[u8; 32]> {
        let number = InodeNumber(u32::try_from(metadata.inode).ok()?);
        let system = self.below()?;
        let found = system.metadata(number).ok()?;
        let changed = Timestamp {
            seconds: found.changed.seconds,
            nanoseconds: found.changed.nanoseconds,
        };
        let is_same = changed == metadata.changed && found.size == metadata.size;
        is_same.then(|| content_identity(system, number))?
    }

    /// Gives the root to who takes snapshots of it, if it is a disk.
    pub(crate) fn take_root(&mut self) -> Option<RootDisk> {
        self.root.take()
    }

    /// Returns the file system of the image alone.
    fn below(&self) -> Option<&BelowSystem> {
        let open = || {
            let disk = ReadOnly(self.image.clone()?);
            FileSystem::open(disk, Access::ReadOnly, minke_ext4::Timestamp::default()).ok()
        };
        self.below.get_or_init(open).as_ref()
    }

    /// Mounts what minke did not make: nothing is written to a file system that is broken anywhere that shows at a glance.
    fn mount_foreign(
        &mut self,
        path: &Path,
        device: Arc<dyn Device>,
        options: DiskOptions,
        container: Container<'_>,
    ) -> Result<Arc<Ext4FileSystem>, DiskMountError> {
        let mounted = self.mount(path, device, options, container)?;
        match mounted.check_groups() {
            Ok(()) => Ok(mounted),
            Err(source) => Err(DiskMountError::FileSystem {
                path: path.to_path_buf(),
                source,
            }),
        }
    }

    fn mount(
        &mut self,
        path: &Path,
        device: Arc<dyn Device>,
        options: DiskOptions,
        container: Container<'_>,
    ) -> Result<Arc<Ext4FileSystem>, DiskMountError> {
        let pending = Arc::clone(&self.pending);
        let mounted = Ext4FileSystem::mount(
            device,
            match options.is_read_only {
                true => Access::ReadOnly,
                false => Access::ReadWrite,
            },
            Ext4Options {
                clock: Arc::clone(container.clock),
                budget: Arc::clone(container.memory),
                is_synchronous: options.is_synchronous,
                access_times: options.access_times,
                bytes_max: options.bytes_max,
                cache_bytes_max: CACHE_BYTES,
                on_dirty: Box::new(move || pending.mark()),
            },
        );
        mounted.map_err(|source| DiskMountError::FileSystem {
            path: path.to_path_buf(),
            source,
        })
    }

    /// Starts to write back what guests write. After the jail has closed, when the container has started.
    pub(crate) fn start_writing(&mut self) -> std::io::Result<()> {
        self.below = OnceLock::new();
        if !self.mounted.is_empty() {
            self.writer = Some(Writer::start(&self.pending, self.mounted.clone())?);
        }
        Ok(())
    }

    /// Makes everything durable and gives the image files back, with all that was written to them. Guests have ended.
    ///
    /// # Errors
    /// What was lost, or waits beside an image, as a text.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        if let Some(writer) = self.writer.take() {
            writer.finish();
        }
        let mut failures = Vec::new();
        for disk in self.mounted.drain(..) {
            if let Err(errno) = disk.write_back() {
                failures.push(format!("cannot write a disk back: {errno}"));
            }
        }
        for (volume, settler) in self.volumes.drain(..) {
            let released = volume.release().map_err(|error| with_causes(&error));
            // Whatever it could commit is merged.
            let settled = settler.settle();
            failures.extend([released, settled].into_iter().filter_map(Result::err));
        }
        match failures.is_empty() {
            true => Ok(()),
            false => Err(failures.join("; ")),
        }
    }
}

/// Returns what files and their metadata take of a file system.
fn used_bytes<D: Device>(system: &FileSystem<D>) -> u64 {
    let statistics = system.statistics();
    (statistics.blocks - statistics.blocks_free) * u64::from(statistics.block_size)
}

/// A container that did not start gives its volumes back too.
impl Drop for Disks {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::warn!(error, "cannot give disks back");
        }
    }
}
