//! Snapshots of containers' roots: taken of one that runs by its sandbox, of another one here; put back while nobody runs it.

use std::os::unix::fs::MetadataExt;

use minke_disk::{
    Durability, History, HistoryEdit, HistoryError, Limits, NamedSnapshot, WritableDisk,
    extend_chain, open_chain,
};
use minke_image::nearest;
use minke_sandbox::control::Request;
use minke_sandbox::logs;
use minke_sandbox::spec::RootDiskSpec;

use super::{Engine, EngineError};
use crate::names;
use crate::record::{Container, Lock, Status};

/// Bytes of the blocks that `stat(2)` counts.
const STAT_BLOCK_BYTES: u64 = 512;

/// What can go wrong with a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("container `{container}` has its root in memory, which has no snapshots")]
    InMemory { container: String },
    #[error("`{name}` is no name for a snapshot")]
    Invalid { name: String },
    #[error("container `{container}` has a snapshot `{name}` already")]
    Exists { container: String, name: String },
    #[error("container `{container}` has no snapshot `{name}`")]
    Missing {
        container: String,
        name: String,
        nearest: Option<String>,
    },
    #[error("cannot put container `{container}` back to a snapshot: it is {state}")]
    Running {
        container: String,
        state: &'static str,
    },
    #[error("cannot take a snapshot of container `{container}`: {message}")]
    Refused { container: String, message: String },
    #[error("container `{container}`")]
    History {
        container: String,
        source: Box<HistoryError>,
    },
}

impl SnapshotError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::InMemory { .. } => {
                "only containers of an image have a disk: `minke build` makes one".to_owned()
            }
            Self::Invalid { .. } => "use letters, digits, `_`, `.` and `-`".to_owned(),
            Self::Exists { container, name } => format!(
                "choose another name, or remove that one with `minke snapshot rm {container} {name}`"
            ),
            Self::Missing {
                nearest: Some(nearest),
                ..
            } => format!("did you mean `{nearest}`?"),
            Self::Missing { container, .. } => {
                format!("`minke snapshot ls {container}` lists them")
            }
            Self::Running { container, .. } => {
                format!("stop it first, with `minke stop {container}`")
            }
            Self::Refused { .. } => {
                "nothing that the container has written is lost; look at the room on the host's disk"
                    .to_owned()
            }
            Self::History { container, source } => match &**source {
                HistoryError::TooMany { .. } => {
                    format!("remove some with `minke snapshot rm {container} NAME`")
                }
                HistoryError::File(error) => error.hint()?.to_owned(),
                _ => return None,
            },
        })
    }
}

impl Engine {
    /// Returns the snapshots of a container's root, in the order in which they were taken. A container without a disk has none.
    pub fn snapshots(&self, container: &Container) -> Result<Vec<NamedSnapshot>, EngineError> {
        match &container.config.spec.root.disk {
            Some(disk) => Ok(History::read(&disk.changes)
                .map_err(of(container))?
                .snapshots()),
            None => Ok(Vec::new()),
        }
    }

    /// Takes a snapshot of a container's root, whether it runs or not. One that runs goes on.
    ///
    /// # Errors
    /// Then there is no snapshot; the container is as it was.
    pub fn create_snapshot(&self, container: &Container, name: &str) -> Result<(), EngineError> {
        disk_of(container)?;
        if names::check(name).is_err() {
            let name = name.to_owned();
            return Err(SnapshotError::Invalid { name }.into());
        }
        if self.snapshots(container)?.iter().any(|it| it.name == name) {
            return Err(exists(container, name).into());
        }
        match self.lock_unless_running(container)? {
            Some((now, lock)) => self.snapshot_stopped(&now, &lock, name),
            None => self.snapshot_running(container, name),
        }
    }

    /// Removes a snapshot. What it holds is freed once neither the root nor another snapshot lies on it.
    pub fn remove_snapshot(&self, container: &Container, name: &str) -> Result<(), EngineError> {
        self.edit_snapshots(container, |edit| edit.remove(name))
    }

    /// Puts the root of a container that does not run back to what it was at a snapshot, which stays. What was written since the last
    /// snapshot is gone.
    pub fn restore_snapshot(&self, container: &Container, name: &str) -> Result<(), EngineError> {
        disk_of(container)?;
        let running = |state| SnapshotError::Running {
            container: container.config.name.clone(),
            state,
        };
        let Some((now, _lock)) = self.lock_unless_running(container)? else {
            return Err(running("running").into());
        };
        if now.state.is_alive() {
            return Err(running("being started again").into());
        }
        self.edit_snapshots(container, |edit| edit.restore(name))
    }

    fn edit_snapshots(
        &self,
        container: &Container,
        change: impl FnOnce(&mut HistoryEdit) -> Result<(), HistoryError>,
    ) -> Result<(), EngineError> {
        let disk = disk_of(container)?;
        let edit = History::edit(&disk.changes, durability(disk));
        let changed = edit.and_then(|mut edit| change(&mut edit));
        Ok(changed.map_err(of(container))?)
    }

    /// Returns the container as it is now, locked against starting; `None` if it runs.
    fn lock_unless_running(
        &self,
        container: &Container,
    ) -> Result<Option<(Container, Lock)>, EngineError> {
        let record = self.record(container.id());
        let failed = EngineError::io("lock the record", &record.directory);
        let edit = self.edit(container)?;
        let now = self.load_edited(container.id(), &edit)?;
        let now = now.ok_or_else(|| self.gone(container))?;
        let name = now.config.name.clone();
        match now.state.status {
            Status::Dead => Err(EngineError::Damaged { name }),
            Status::Running | Status::Paused => Ok(None),
            _ => {
                let lock = record.try_lock().map_err(failed)?;
                let lock = lock.ok_or(EngineError::Busy { name })?;
                Ok(Some((now, lock)))
            }
        }
    }

    fn snapshot_running(&self, container: &Container, name: &str) -> Result<(), EngineError> {
        let request = Request::Snapshot {
            name: name.to_owned(),
        };
        match self.ask(container, &request, None) {
            Ok(_) => Ok(()),
            Err(EngineError::Refused { name, message }) => Err(SnapshotError::Refused {
                container: name,
                message,
            }
            .into()),
            Err(error) => Err(error),
        }
    }

    fn snapshot_stopped(
        &self,
        container: &Container,
        _lock: &Lock,
        name: &str,
    ) -> Result<(), EngineError> {
        let mut config = container.config.clone();
        self.renew_snapshots(&mut config)?;
        let disk = disk_of(&Container {
            config,
            ..container.clone()
        })?
        .clone();
        let durability = durability(&disk);
        let take = || -> Result<(), HistoryError> {
            let mut edit = History::edit(&disk.changes, durability)?;
            let image = open_chain(&disk.snapshots, &Limits::default())?;
            let chain = edit.history().chain();
            let below = extend_chain(&image, &chain, &Limits::default())?;
            let size_bytes = below.size();
            let active = edit.history().active();
            let root = WritableDisk::open_or_create(
                &active,
                below,
                size_bytes,
                durability,
                Limits::default(),
            )?;
            edit.create(name, &logs::now(), |next| root.snapshot_alone(next))
        };
        Ok(take().map_err(of(container))?)
    }
}

/// Returns the bytes that a snapshot takes on the host.
pub fn snapshot_bytes(snapshot: &NamedSnapshot) -> u64 {
    let metadata = std::fs::metadata(&snapshot.file);
    metadata.map_or(0, |file| file.blocks() * STAT_BLOCK_BYTES)
}

fn disk_of(container: &Container) -> Result<&RootDiskSpec, SnapshotError> {
    let disk = container.config.spec.root.disk.as_ref();
    disk.ok_or_else(|| SnapshotError::InMemory {
        container: container.config.name.clone(),
    })
}

fn durability(disk: &RootDiskSpec) -> Durability {
    match disk.is_temporary {
        true => Durability::Temporary,
        false => Durability::Durable,
    }
}

fn exists(container: &Container, name: &str) -> SnapshotError {
    SnapshotError::Exists {
        container: container.config.name.clone(),
        name: name.to_owned(),
    }
}

/// Names the container that an error is about.
fn of(container: &Container) -> impl FnOnce(HistoryError) -> SnapshotError {
    let named = container.clone();
    move |source| match source {
        HistoryError::Exists { name } => exists(&named, &name),
        HistoryError::Missing { name } => SnapshotError::Missing {
            nearest: nearest_snapshot(&named, &name),
            container: named.config.name,
            name,
        },
        source => SnapshotError::History {
            container: named.config.name,
            source: Box::new(source),
        },
    }
}

fn nearest_snapshot(container: &Container, name: &str) -> Option<String> {
    let disk = container.config.spec.root.disk.as_ref()?;
    let there = History::read(&disk.changes).ok()?.snapshots();
    nearest(name, there.iter().map(|it| it.name.as_str())).map(str::to_owned)
}
