//! An image file of a user as a volume: written through a change file beside it, and merged when it is done with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use minke_blockstore::{
    ChangeFile, Disk, DiskError, Identity, Limits, Snapshot, State, Storage, merge,
};

use super::chain::on;
use super::host_file::{failed, random_uuid};
use super::{Access, DiskFileError, HostFile, image_identity};

/// Returns where the changes of an image file lie while they are not in it: beside it, so that they move with its directory.
pub fn changes_path(image: &Path) -> PathBuf {
    let mut name = image.as_os_str().to_owned();
    name.push(".changes");
    PathBuf::from(name)
}

/// An image file that is in use, locked, and its disk.
#[derive(Debug)]
pub struct Volume {
    /// `None` once its changes are merged.
    disk: RwLock<Option<Disk>>,
    size_bytes: u64,
    image: Arc<HostFile>,
    identity: Identity,
    changes: Arc<HostFile>,
    limits: Limits,
}

impl Volume {
    /// Opens the image file at `image`, with its changes in the file at `changes`, which is made if it is not there.
    ///
    /// Changes that a crash left there are found again; a merge that it cut short is finished first. An image that was changed by others
    /// meanwhile is [`DiskError::WrongBase`].
    pub fn open(image: &Path, changes: &Path, limits: Limits) -> Result<Volume, DiskFileError> {
        let image = Arc::new(HostFile::open(image, Access::Write)?);
        let left = changes_left(&image, changes, &limits)?;
        let identity = image_identity(&image)?;
        let below = Snapshot::of_base(image.clone(), identity).map_err(on(image.path()))?;
        let below = Arc::new(below);
        let (changes, disk) = match left {
            Some(file) => {
                let disk = Disk::open(file.clone(), below, limits);
                (file, disk)
            }
            None => {
                let file = Arc::new(HostFile::open(changes, Access::Create)?);
                // Its name too: who uses the volume may have been locked out of the directory by the first commit.
                file.sync().map_err(failed("make durable", changes))?;
                let uuid = random_uuid().map_err(failed("name", changes))?;
                let disk = Disk::create(file.clone(), below, uuid, identity.size_bytes, limits);
                (file, disk)
            }
        };
        Ok(Volume {
            disk: RwLock::new(Some(disk.map_err(on(changes.path()))?)),
            size_bytes: identity.size_bytes,
            image,
            identity,
            changes,
            limits,
        })
    }

    /// Returns the size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Returns the disk; `None` once it was merged.
    pub fn disk(&self) -> RwLockReadGuard<'_, Option<Disk>> {
        self.disk.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up what was not merged, and deletes the file that has it: the image file is as it was.
    ///
    /// # Errors
    /// What the host says.
    pub fn give_up(&self) -> Result<(), DiskFileError> {
        let mut disk = self.disk.write().unwrap_or_else(PoisonError::into_inner);
        match disk.take() {
            Some(_) => remove(self.changes.path()),
            None => Ok(()),
        }
    }

    /// Commits and lets go of the files: their locks too, whoever else still has this value. Nothing is read or written any more.
    ///
    /// The changes stay in their file; whoever opens the volume next has them.
    pub fn release(&self) -> Result<(), DiskFileError> {
        let mut disk = self.disk.write().unwrap_or_else(PoisonError::into_inner);
        let committed = match disk.take() {
            Some(disk) => disk.commit().map_err(on(self.changes.path())),
            None => Ok(()),
        };
        self.changes.unlock()?;
        self.image.unlock()?;
        committed
    }

    /// Commits, writes the changes into the image file, and deletes the file that had them. Nothing is read or written any more.
    ///
    /// After a failure they are still there, and the next opening goes on.
    pub fn merge(&self) -> Result<(), DiskFileError> {
        let mut disk = self.disk.write().unwrap_or_else(PoisonError::into_inner);
        // From here on the file belongs to the merge.
        let Some(disk) = disk.take() else {
            return Ok(());
        };
        let changes = &self.changes;
        disk.commit().map_err(on(changes.path()))?;
        drop(disk);
        merge(changes.clone(), &*self.image, self.identity, &self.limits)
            .map_err(on(changes.path()))?;
        remove(changes.path())
    }
}

/// Returns the change file, if it has changes that are not in the image yet.
fn changes_left(
    image: &HostFile,
    path: &Path,
    limits: &Limits,
) -> Result<Option<Arc<HostFile>>, DiskFileError> {
    let file = match HostFile::open(path, Access::Write) {
        Ok(file) => Arc::new(file),
        Err(DiskFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let state = match ChangeFile::inspect(&*file) {
        Ok(inspected) => inspected.state,
        Err(DiskError::NeverBegun) => return remove(path).map(|()| None),
        Err(error) => return Err(on(path)(error)),
    };
    if state == State::Merging {
        // The image is half of it: its identity tells nothing, and is not asked for.
        merge(file.clone(), image, Identity::NOTHING, limits).map_err(on(path))?;
    }
    match state {
        State::Merging | State::Merged => remove(path).map(|()| None),
        State::Active | State::Frozen => Ok(Some(file)),
    }
}

fn remove(path: &Path) -> Result<(), DiskFileError> {
    // If a crash brings it back, it is known as merged.
    fs::remove_file(path).map_err(failed("remove", path))
}
