//! Volumes: named places for files that outlive containers.
//!
//! ```text
//! volumes/NAME/volume.json   when it was made, its labels; without it there is no volume
//! volumes/NAME/data/         what containers see, or
//! volumes/NAME/data.img      the disk of a volume of the driver `disk`, with data.img.changes while it is in use
//! volumes/NAME/filling/      the image's files while they are copied
//! volumes/NAME/moving/       all of them, while they are moved to `data/`
//! volumes/NAME/anonymous     nobody named it: it goes with its container
//! ```
//!
//! A volume is made elsewhere and renamed into place, so of several makers one wins. While it is empty, each container that
//! is made with it gives it what its image has: copied beside `data/` and moved in, under a lock of the volume's
//! directory. Whoever is killed meanwhile leaves it empty, or to be moved by the next; `data/` itself stays what it is, for
//! other containers may have it. A disk is filled by one that takes its place when it is whole (`disk::fill_disk`).
//!
//! | module | is |
//! |---|---|
//! | `content` | what an image has at a path, copied to the host |
//! | `damage` | what can be wrong with one, and what is done about it |
//! | `filter` | which volumes are asked for |

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use minke_disk::{NewDiskError, changes_path};
use minke_image::tree::Tree;
use minke_image::{LayerFile, StoreError};
use minke_sandbox::logs;
use minke_sandbox::spec::MountSpec;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::home::make_private;
use crate::names::{self, ignore_missing};
use crate::removal::remove_tree;

mod content;
mod damage;
mod filter;

pub use damage::Damage;
pub use filter::VolumeFilter;

/// The label that Docker gives a volume that nobody named.
pub const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

const DESCRIPTION: &str = "volume.json";
const DATA: &str = "data";
const DISK: &str = "data.img";
const ANONYMOUS: &str = "anonymous";

/// What is copied, and not whole yet.
const FILLING: &str = "filling";

/// What is whole, and moved into the content.
const MOVING: &str = "moving";

/// Begins the name of what is no volume yet; no volume is called so.
const STAGED: &str = ".new-";

/// Permissions of an empty volume. Docker: `volume/local/local.go`.
const DATA_MODE: u32 = 0o755;

/// Bounds what is read of a description: a time and labels.
const DESCRIPTION_BYTES_MAX: u64 = 1 << 20;

/// Where a volume's name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    Named,
    /// It is random.
    Anonymous,
}

/// Bytes of a disk for which nobody says how many. Its file takes what was written.
pub const DISK_BYTES_DEFAULT: u64 = 16 << 30;

/// What a volume's files are kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeDriver {
    /// A directory of the host, which several containers have at once.
    #[default]
    Local,
    /// A disk of its own, which one container writes at a time.
    Disk,
}

impl VolumeDriver {
    /// Returns the driver's name.
    pub fn word(self) -> &'static str {
        match self {
            VolumeDriver::Local => "local",
            VolumeDriver::Disk => "disk",
        }
    }
}

/// A volume as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewVolume {
    pub labels: BTreeMap<String, String>,
    pub driver: VolumeDriver,
    /// Of a disk; `None`: [`DISK_BYTES_DEFAULT`].
    pub size_bytes: Option<u64>,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    pub name: String,
    /// RFC 3339; empty when its description was damaged.
    pub created_at: String,
    pub labels: BTreeMap<String, String>,
    pub naming: Naming,
    pub driver: VolumeDriver,
    /// Of a disk: how much it may hold, with what it needs itself.
    pub disk_bytes: Option<u64>,
    /// Where its files are on the host: a directory, or a disk.
    pub data: PathBuf,
}

/// Why something cannot be done with a volume.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// Docker: `volume/names/`.
    #[error(
        "`{0}` is no name of a volume: only `[a-zA-Z0-9][a-zA-Z0-9_.-]` are allowed, from 2 to 200 characters"
    )]
    Invalid(String),
    #[error("no such volume: `{name}`")]
    Missing {
        name: String,
        nearest: Option<String>,
    },
    #[error("cannot remove volume `{name}`: it is in use by container `{container}`")]
    InUse { name: String, container: String },
    #[error("volume `{name}` is a disk, and container `{container}` writes it")]
    Writing { name: String, container: String },
    #[error("volume `{name}` is a disk, and container `{container}` reads it")]
    Reading { name: String, container: String },
    #[error("cannot make the disk of volume `{name}`")]
    Disk {
        name: String,
        source: Box<NewDiskError>,
    },
    #[error("cannot {action} volume `{name}`")]
    Io {
        action: &'static str,
        name: String,
        source: io::Error,
    },
    #[error("cannot read what the image has for volume `{name}`")]
    Content { name: String, source: StoreError },
}

impl VolumeError {
    fn io(action: &'static str, name: &str) -> impl Fn(io::Error) -> VolumeError + use<> {
        let name = name.to_owned();
        move |source| VolumeError::Io {
            action,
            name: name.clone(),
            source,
        }
    }
}

/// Checks a name as typed.
pub fn check_name(name: &str) -> Result<(), VolumeError> {
    names::check(name).map_err(|_| VolumeError::Invalid(name.to_owned()))
}

/// What is kept of a volume beside its files.
#[derive(Default, Serialize, Deserialize)]
struct Description {
    created_at: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    driver: VolumeDriver,
    #[serde(default)]
    disk_bytes: Option<u64>,
}

/// The volumes of a home.
pub(crate) struct Volumes {
    pub(crate) directory: PathBuf,
}

impl Volumes {
    /// Returns all volumes, by name.
    pub(crate) fn all(&self) -> io::Result<Vec<Volume>> {
        let listed = match names::all(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed?,
        };
        let mut found = Vec::new();
        for (_, name) in listed {
            found.extend(self.find(&name)?);
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Returns the volume of a name, if there is one.
    pub(crate) fn find(&self, name: &str) -> io::Result<Option<Volume>> {
        use std::io::Read;
        if names::check(name).is_err() {
            return Ok(None);
        }
        let directory = self.directory.join(name);
        let mut bytes = Vec::new();
        match File::open(directory.join(DESCRIPTION)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?.take(DESCRIPTION_BYTES_MAX).read_to_end(&mut bytes)?,
        };
        // One that a power cut damaged must not hide the files.
        let Description {
            created_at,
            mut labels,
            driver,
            disk_bytes,
        } = serde_json::from_slice(&bytes).unwrap_or_default();
        let naming = match directory.join(ANONYMOUS).exists() {
            true => Naming::Anonymous,
            false => Naming::Named,
        };
        if naming == Naming::Anonymous {
            labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
        }
        Ok(Some(Volume {
            name: name.to_owned(),
            created_at,
            labels,
            naming,
            driver,
            disk_bytes,
            data: directory.join(match driver {
                VolumeDriver::Local => DATA,
                VolumeDriver::Disk => DISK,
            }),
        }))
    }

    /// Returns where the files of a volume of this name are, or will be, and in what.
    pub(crate) fn data(&self, name: &str) -> io::Result<(PathBuf, VolumeDriver)> {
        Ok(match self.find(name)? {
            Some(volume) => (volume.data, volume.driver),
            None => (self.directory.join(name).join(DATA), VolumeDriver::Local),
        })
    }

    /// Makes a volume unless there is one of the name; returns whether it did. The name is checked.
    pub(crate) fn make(
        &self,
        name: &str,
        asked: &NewVolume,
        naming: Naming,
    ) -> Result<bool, VolumeError> {
        let failed = VolumeError::io("make", name);
        if self.find(name).map_err(&failed)?.is_some() {
            return Ok(false);
        }
        let staged = make_private(&self.directory).and_then(|()| {
            let mut builder = tempfile::Builder::new();
            builder.prefix(STAGED).tempdir_in(&self.directory)
        });
        let staged = staged.map_err(&failed)?;
        match asked.driver {
            VolumeDriver::Local => make_data(staged.path()).map_err(&failed)?,
            VolumeDriver::Disk => make_disk_of(name, staged.path(), asked.size_bytes)?,
        }
        self.place(name, staged.path(), asked, naming)
            .map_err(failed)
    }

    fn place(
        &self,
        name: &str,
        path: &Path,
        asked: &NewVolume,
        naming: Naming,
    ) -> io::Result<bool> {
        if naming == Naming::Anonymous {
            File::create(path.join(ANONYMOUS))?;
        }
        let description = Description {
            created_at: logs::now(),
            labels: asked.labels.clone(),
            driver: asked.driver,
            disk_bytes: match asked.driver {
                VolumeDriver::Local => None,
                VolumeDriver::Disk => Some(asked.size_bytes.unwrap_or(DISK_BYTES_DEFAULT)),
            },
        };
        fs::write(path.join(DESCRIPTION), serde_json::to_vec(&description)?)?;
        let target = self.directory.join(name);
        loop {
            match fs::rename(path, &target) {
                Ok(()) => return Ok(true),
                Err(error) if !names::is_occupied(&error) => return Err(error),
                Err(_) if self.find(name)?.is_some() => return Ok(false),
                // One whose removal was cut short.
                Err(_) => remove_tree(&target)?,
            }
        }
    }

    /// Makes the volumes of a container's mounts that are not there, and gives those that are empty what the image has at
    /// their places. Docker: `daemon/create_unix.go`, `populateVolumes()`.
    pub(crate) fn provide(
        &self,
        mounts: &[MountSpec],
        layers: &[LayerFile],
        snapshots: &[PathBuf],
    ) -> Result<(), VolumeError> {
        for mount in mounts {
            let MountSpec::Volume {
                name,
                is_disk,
                target,
                is_anonymous,
                is_filled,
                ..
            } = mount
            else {
                continue;
            };
            let naming = match is_anonymous {
                true => Naming::Anonymous,
                false => Naming::Named,
            };
            self.make(name, &NewVolume::default(), naming)?;
            let layers = if *is_filled { layers } else { &[] };
            match is_disk {
                true => self.fill_disk(name, layers, snapshots, target)?,
                false => self.take(name, naming, layers, target)?,
            }
        }
        Ok(())
    }

    /// Fills a disk that is empty, and that nobody uses.
    fn fill_disk(
        &self,
        name: &str,
        layers: &[LayerFile],
        snapshots: &[PathBuf],
        target: &str,
    ) -> Result<(), VolumeError> {
        if layers.is_empty() {
            return Ok(());
        }
        let content = |source| VolumeError::Content {
            name: name.to_owned(),
            source,
        };
        let tree = Tree::read(layers).map_err(content)?;
        let Ok(directory) = tree.resolve(Path::new(target)) else {
            return Ok(());
        };
        if !tree.is_directory(&directory) {
            return Ok(());
        }
        let disk = self.directory.join(name).join(DISK);
        let filled = minke_disk::fill_disk(&disk, snapshots, &directory, now_seconds());
        filled.map_err(|source| VolumeError::Disk {
            name: name.to_owned(),
            source: Box::new(source),
        })
    }

    /// Takes a volume into use: fills an empty one, and leaves one to its user that somebody calls by its name now.
    fn take(
        &self,
        name: &str,
        naming: Naming,
        layers: &[LayerFile],
        target: &str,
    ) -> Result<(), VolumeError> {
        let directory = self.directory.join(name);
        let failed = VolumeError::io("fill", name);
        let locked = File::open(&directory).map_err(&failed)?;
        locked.lock().map_err(&failed)?;
        if naming == Naming::Named {
            ignore_missing(fs::remove_file(directory.join(ANONYMOUS))).map_err(&failed)?;
        }
        // What somebody who was killed left to be moved.
        move_in(&directory).map_err(&failed)?;
        let is_empty = fs::read_dir(directory.join(DATA))
            .map_err(&failed)?
            .next()
            .is_none();
        if !is_empty || layers.is_empty() {
            return Ok(());
        }
        let filled = fill(name, &directory, layers, target);
        if filled.is_err() {
            let _ = remove_tree(&directory.join(FILLING));
        }
        filled
    }

    /// Removes a volume with its files.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        let directory = self.directory.join(name);
        // First what makes it a volume: after a kill in between, the rest is swept.
        ignore_missing(fs::remove_file(directory.join(DESCRIPTION)))?;
        remove_tree(&directory)
    }

    /// Removes those of these volumes that nobody called by their names; returns their names.
    pub(crate) fn remove_anonymous<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Vec<&'a str> {
        let mut removed = Vec::new();
        for name in names {
            if !self.directory.join(name).join(ANONYMOUS).exists() {
                continue;
            }
            match self.remove(name) {
                Ok(()) => removed.push(name),
                // A prune takes it.
                Err(error) => tracing::warn!(%error, name, "a volume is not removed"),
            }
        }
        removed
    }

    /// Removes what makers and removers that were killed left. Nobody makes one now.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        let listed = match names::all(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed?,
        };
        for (path, name) in listed {
            if name.starts_with(STAGED) || !path.join(DESCRIPTION).exists() {
                remove_tree(&path)?;
            }
        }
        Ok(())
    }
}

/// Makes the directory of an empty volume.
fn make_data(path: &Path) -> io::Result<()> {
    let data = path.join(DATA);
    fs::create_dir(&data)?;
    fs::set_permissions(&data, fs::Permissions::from_mode(DATA_MODE))
}

/// Makes the disk of an empty volume in its directory.
fn make_disk_of(name: &str, path: &Path, size_bytes: Option<u64>) -> Result<(), VolumeError> {
    let size_bytes = size_bytes.unwrap_or(DISK_BYTES_DEFAULT);
    let made = minke_disk::make_disk(&path.join(DISK), size_bytes, now_seconds());
    made.map_err(|source| VolumeError::Disk {
        name: name.to_owned(),
        source: Box::new(source),
    })
}

fn now_seconds() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() as i64)
}

/// Makes what the layers have at `target` the content of an empty volume.
fn fill(
    name: &str,
    directory: &Path,
    layers: &[LayerFile],
    target: &str,
) -> Result<(), VolumeError> {
    let failed = VolumeError::io("fill", name);
    let filling = directory.join(FILLING);
    remove_tree(&filling).map_err(&failed)?;
    fs::create_dir(&filling)
        .and_then(|()| fs::set_permissions(&filling, fs::Permissions::from_mode(DATA_MODE)))
        .map_err(&failed)?;
    content::copy(layers, Path::new(target), &filling).map_err(|error| match error {
        content::CopyError::Image(source) => VolumeError::Content {
            name: name.to_owned(),
            source,
        },
        content::CopyError::Io(source) => failed(source),
    })?;
    fs::rename(&filling, directory.join(MOVING))
        .and_then(|()| move_in(directory))
        .map_err(failed)
}

/// Moves what was copied into a volume's content, with the top directory's own permissions, owner and time.
fn move_in(directory: &Path) -> io::Result<()> {
    let (moving, data) = (directory.join(MOVING), directory.join(DATA));
    let metadata = match fs::metadata(&moving) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    for (path, name) in entries(&moving)? {
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(CWD, path, CWD, data.join(name), flags) {
            // A container that has the volume made it meanwhile.
            Err(Errno::EXIST) => {}
            moved => moved?,
        }
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&data, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    fs::set_permissions(&data, metadata.permissions())?;
    File::open(&data)?.set_modified(metadata.modified()?)?;
    remove_tree(&moving)
}

fn entries(directory: &Path) -> io::Result<Vec<(PathBuf, OsString)>> {
    let entries = fs::read_dir(directory)?;
    entries
        .map(|entry| entry.map(|entry| (entry.path(), entry.file_name())))
        .collect()
}

/// Returns how many bytes the files of a volume have; of a disk, what its file takes on the host.
pub fn size_bytes(volume: &Volume) -> u64 {
    if volume.driver == VolumeDriver::Disk {
        let files = [volume.data.clone(), changes_path(&volume.data)];
        let room = |file: &PathBuf| fs::metadata(file).map_or(0, |file| file.blocks() * 512);
        return files.iter().map(room).sum();
    }
    let mut pending = vec![volume.data.clone()];
    let mut size_bytes = 0;
    // A tree on disk has an end, and paths that are too long are not listed.
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => pending.push(entry.path()),
                Ok(metadata) => size_bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    size_bytes
}
