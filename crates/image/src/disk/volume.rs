//! An image file of a user as a volume: written through a change file beside it, and merged when it is done with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minke_blockstore::{ChangeFile, Disk, DiskError, Identity, Limits, Snapshot, State, merge};
use rustix::rand::{GetRandomFlags, getrandom};

use super::host_file::failed;
use super::{Access, DiskFileError, HostFile, content_identity};

/// An image file that is in use, locked, and its disk.
#[derive(Debug)]
pub struct Volume {
    disk: Disk,
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
        let identity = content_identity(&image)?;
        let below = Snapshot::of_base(image.clone(), identity).map_err(on(image.path()))?;
        let below = Arc::new(below);
        let (changes, disk) = match left {
            Some(file) => {
                let disk = Disk::open(file.clone(), below, limits);
                (file, disk)
            }
            None => {
                let file = Arc::new(HostFile::open(changes, Access::Create)?);
                let uuid = random_uuid().map_err(failed("name", changes))?;
                let disk = Disk::create(file.clone(), below, uuid, identity.size_bytes, limits);
                (file, disk)
            }
        };
        Ok(Volume {
            disk: disk.map_err(on(changes.path()))?,
            image,
            identity,
            changes,
            limits,
        })
    }

    /// Returns the disk.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Commits, writes the changes into the image file, and deletes the file that had them.
    ///
    /// After a failure they are still there, and the next opening goes on.
    pub fn merge(self) -> Result<(), DiskFileError> {
        let changes = &self.changes;
        self.disk.commit().map_err(on(changes.path()))?;
        // From here on the file belongs to the merge.
        drop(self.disk);
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

fn random_uuid() -> io::Result<[u8; 16]> {
    let mut uuid = [0; 16];
    // Linux: getrandom(2) gives up to 256 bytes whole.
    getrandom(&mut uuid, GetRandomFlags::empty())?;
    Ok(uuid)
}

fn on(path: &Path) -> impl FnOnce(DiskError) -> DiskFileError {
    let path = PathBuf::from(path);
    move |source| DiskFileError::Disk { path, source }
}
