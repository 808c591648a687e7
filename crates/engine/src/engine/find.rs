//! Finding containers, and finishing what dead sandboxes could not.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::Path;

use minke_image::nearest;
use minke_sandbox::spec::SandboxSpec;

use super::{Engine, EngineError};
use crate::events::Event;
use crate::home::Home;
use crate::names::{self, ignore_missing};
use crate::record::{Container, ContainerConfig, ContainerState, Edit, Record, Status};
use crate::supervise::{death, remove_files, remove_run_directory};

/// Keeps sweeps away while a container's directory is made; any number of makers at a time.
pub(super) fn hold_off_sweeps(home: &Home) -> Result<File, EngineError> {
    let directory = home.containers();
    let failed = EngineError::io("lock", &directory);
    File::open(&directory)
        .and_then(|file| file.lock_shared().map(|()| file))
        .map_err(failed)
}

/// Waits until no container is being made, and keeps others from it: what no record names now is not needed.
pub(crate) fn hold_off_makers(home: &Home) -> Result<File, EngineError> {
    let directory = home.containers();
    let failed = EngineError::io("lock", &directory);
    File::open(&directory)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(failed)
}

impl Engine {
    /// Returns every container, newest first. What dead sandboxes and commands left is put in order before.
    pub fn containers(&self) -> Result<Vec<Container>, EngineError> {
        let mut containers = match self.orderly()? {
            Some(containers) => containers,
            None => self.put_in_order()?,
        };
        containers.sort_by(|a, b| b.config.created_at.cmp(&a.config.created_at));
        Ok(containers)
    }

    /// Returns every container where nothing is left of dead commands: each has its record and its name, and there are no
    /// other names or sockets. That takes a look at two files of each, and is how it is nearly always.
    fn orderly(&self) -> Result<Option<Vec<Container>>, EngineError> {
        let ids = self.ids()?;
        let mut containers = Vec::with_capacity(ids.len());
        for id in &ids {
            match self.load(id)? {
                Some(container) => containers.push(container),
                None => return Ok(None),
            }
        }
        let list =
            |directory: &Path| names::all(directory).map_err(EngineError::io("list", directory));
        let names = list(&self.home.names())?;
        let claimed: HashSet<&str> = containers
            .iter()
            .map(|container| container.config.name.as_str())
            .collect();
        let has_each_its_name = claimed.len() == containers.len()
            && names.len() == claimed.len()
            && names.iter().all(|(_, name)| claimed.contains(&**name));
        let known: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let sockets = list(&self.home.run)?;
        let has_no_others = sockets.iter().all(|(_, id)| known.contains(&**id));
        Ok((has_each_its_name && has_no_others).then_some(containers))
    }

    /// Returns every container, after putting in order what dead commands left.
    fn put_in_order(&self) -> Result<Vec<Container>, EngineError> {
        let names = self.sweep()?;
        let mut containers = Vec::new();
        for id in self.ids()? {
            // One that is being made or removed is not there.
            let Some(container) = self.load(&id)? else {
                continue;
            };
            containers.push(match names.get(&id) {
                Some(name) if *name != container.config.name => self.finish_renaming(&id)?,
                _ => Some(container),
            });
        }
        Ok(containers.into_iter().flatten().collect())
    }

    /// Returns the container of a name, an id or the beginning of one.
    pub fn container(&self, wanted: &str) -> Result<Container, EngineError> {
        if let Some(id) = names::holder(&self.home.names(), wanted)
            && let Some(container) = self.load(&id)?
        {
            return Ok(container);
        }
        let ids = self.ids()?;
        let mut matching = ids.iter().filter(|id| id.starts_with(wanted));
        let found = match (wanted.is_empty(), matching.next(), matching.count()) {
            (false, Some(id), 0) => self.load(id)?,
            (false, Some(_), others) => {
                return Err(EngineError::Ambiguous {
                    wanted: wanted.to_owned(),
                    count: others + 1,
                });
            }
            _ => None,
        };
        found.ok_or_else(|| EngineError::NoSuchContainer {
            wanted: wanted.to_owned(),
            nearest: self.nearest(wanted),
        })
    }

    /// Reads a container's record; `None` when there is none (any more).
    pub(super) fn load(&self, id: &str) -> Result<Option<Container>, EngineError> {
        let record = self.record(id);
        let Some(container) = self.read(id)? else {
            return Ok(None);
        };
        if !container.state.is_alive() {
            return Ok(Some(container));
        }
        match record.edit() {
            Ok(edit) => self.load_edited(id, &edit),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EngineError::io("lock the record", &record.directory)(error)),
        }
    }

    /// Reads a record that nobody else changes, and finishes that of a container whose sandbox died without doing so.
    pub(super) fn load_edited(
        &self,
        id: &str,
        _edit: &Edit,
    ) -> Result<Option<Container>, EngineError> {
        let record = self.record(id);
        let failed = || EngineError::io("settle the record", &record.directory);
        // The lock before the state: a sandbox that ends in between has written its last.
        let lock = match record.try_lock() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            lock => lock.map_err(failed())?,
        };
        let Some(container) = self.read(id)? else {
            return Ok(None);
        };
        match lock {
            Some(_lock) if container.state.is_alive() => self.settle(container, &record),
            _ => Ok(Some(container)),
        }
    }

    fn read(&self, id: &str) -> Result<Option<Container>, EngineError> {
        let record = self.record(id);
        let failed = EngineError::io("read the record", &record.directory);
        let config = match record.config() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Ok(Some(self.damaged(id)));
            }
            config => config.map_err(&failed)?,
        };
        match record.state() {
            Ok(state) => Ok(Some(Container { config, state })),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(Container {
                config,
                state: dead(),
            })),
            Err(error) => Err(failed(error)),
        }
    }

    /// A container of which a power cut left no more than its directory.
    fn damaged(&self, id: &str) -> Container {
        let names = names::all(&self.home.names()).unwrap_or_default();
        let mut names = names.into_iter().map(|(_, name)| name);
        let name =
            names.find(|name| names::holder(&self.home.names(), name).as_deref() == Some(id));
        let spec = SandboxSpec {
            id: id.to_owned(),
            ..SandboxSpec::default()
        };
        Container {
            config: ContainerConfig::new(name.unwrap_or_default(), spec),
            state: dead(),
        }
    }

    /// Finishes a record; the lock is held by the caller.
    fn settle(
        &self,
        container: Container,
        record: &Record,
    ) -> Result<Option<Container>, EngineError> {
        let failed = || EngineError::io("settle the record", &record.directory);
        let Container { config, state } = &container;
        let is_running = state.has_processes();
        if is_running {
            let killed = state.clone().killed();
            if killed.is_out_of_memory {
                self.events().record(&Event::of_container("oom", config));
            }
            self.events().record(&death(config, killed.exit_code));
        }
        if config.is_auto_removed && is_running || record.is_draft() {
            self.remove_locked(&container).map_err(failed())?;
            self.remove_anonymous_volumes(config);
            return Ok(None);
        }
        let state = settled(state.clone());
        if let Err(error) = record.write_state(&state) {
            // A full disk must not keep anybody from seeing and removing the container.
            tracing::warn!(%error, id = container.id(), "the container's end is not recorded");
        }
        remove_run_directory(&self.home.run.join(container.id())).map_err(failed())?;
        Ok(Some(Container { state, ..container }))
    }

    pub(super) fn remove_locked(&self, container: &Container) -> io::Result<()> {
        let run_directory = self.home.run.join(container.id());
        let record = self.record(container.id());
        remove_files(
            &record,
            &run_directory,
            &self.home.names(),
            &container.config,
        )?;
        let event = Event::of_container("destroy", &container.config);
        self.events().record(&event);
        Ok(())
    }

    pub(super) fn record(&self, id: &str) -> Record {
        Record::new(self.home.containers().join(id))
    }

    /// Waits until nobody else changes a container's record.
    pub(super) fn edit(&self, container: &Container) -> Result<Edit, EngineError> {
        let record = self.record(container.id());
        record.edit().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.gone(container),
            _ => EngineError::io("lock the record", &record.directory)(error),
        })
    }

    /// The error about a container that was there a moment ago.
    pub(super) fn gone(&self, container: &Container) -> EngineError {
        EngineError::NoSuchContainer {
            wanted: container.config.name.clone(),
            nearest: None,
        }
    }

    /// Whether an id is that of a container, or of one that is being made.
    pub(super) fn is_known(&self, id: &str) -> bool {
        let record = self.record(id);
        record.directory.exists() && !is_abandoned(&record)
    }

    fn ids(&self) -> Result<Vec<String>, EngineError> {
        let directory = self.home.containers();
        let listed = names::all(&directory).map_err(EngineError::io("list", &directory))?;
        Ok(listed.into_iter().map(|(_, id)| id).collect())
    }

    fn nearest(&self, wanted: &str) -> Option<String> {
        let names = names::all(&self.home.names()).ok()?;
        let valid = names.iter().map(|(_, name)| name.as_str());
        let valid = valid.filter(|name| names::check(name).is_ok());
        nearest(wanted, valid).map(str::to_owned)
    }

    /// Removes what commands that were killed left half made: directories without a record, names without a
    /// container, run directories of nobody. Returns who has which name, as far as it was looked at: by id.
    fn sweep(&self) -> Result<HashMap<String, String>, EngineError> {
        let containers = self.home.containers();
        let failed = || EngineError::io("sweep", &containers);
        let guard = File::open(&containers).map_err(failed())?;
        if guard.try_lock().is_err() {
            // Somebody makes a container just now: the next command sweeps.
            return Ok(HashMap::new());
        }
        let mut known = HashMap::new();
        for (path, id) in names::all(&containers).map_err(failed())? {
            let record = Record::new(path);
            if is_abandoned(&record) {
                ignore_missing(fs::remove_dir_all(&record.directory)).map_err(failed())?;
            } else {
                known.insert(id, String::new());
            }
        }
        self.volume_store().sweep().map_err(failed())?;
        self.sweep_names(&mut known).map_err(failed())?;
        for (path, id) in names::all(&self.home.run).map_err(failed())? {
            if !known.contains_key(&id) {
                remove_run_directory(&path).map_err(failed())?;
            }
        }
        known.retain(|_, name| !name.is_empty());
        Ok(known)
    }

    fn sweep_names(&self, known: &mut HashMap<String, String>) -> io::Result<()> {
        let names = self.home.names();
        for (path, name) in names::all(&names)? {
            if let Some(id) = name.strip_prefix('.') {
                // A claim that was cut short, unless its container is being made.
                if !known.contains_key(id) {
                    ignore_missing(fs::remove_dir_all(path))?;
                }
                continue;
            }
            let Some(id) = names::holder(&names, &name) else {
                continue;
            };
            match known.get_mut(&id) {
                Some(known) => *known = name,
                None => names::release(&names, &name, &id)?,
            }
        }
        Ok(())
    }

    /// Writes the name into a record whose `rename` was killed after it had the name.
    fn finish_renaming(&self, id: &str) -> Result<Option<Container>, EngineError> {
        let record = self.record(id);
        let failed = || EngineError::io("settle the record", &record.directory);
        let Ok(edit) = record.edit() else {
            return Ok(None);
        };
        let Some(mut container) = self.load_edited(id, &edit)? else {
            return Ok(None);
        };
        // A `rename` may be under way; with the lock it is finished.
        let name = self.damaged(id).config.name;
        if !name.is_empty()
            && name != container.config.name
            && container.state.status != Status::Dead
        {
            container.config.name = name;
            record.write_config(&container.config).map_err(failed())?;
        }
        Ok(Some(container))
    }
}

/// Whether a directory has no record and nobody who is making one.
fn is_abandoned(record: &Record) -> bool {
    // Without a lock file it was being removed, or was never locked.
    !record.exists() && record.try_lock().map_or(true, |lock| lock.is_some())
}

/// The state of a container that nobody runs any more, although its record says so.
fn settled(state: ContainerState) -> ContainerState {
    match state.status {
        Status::Running | Status::Paused => state.killed(),
        Status::Restarting => ContainerState {
            status: Status::Exited,
            is_starting: false,
            ..state
        },
        _ => ContainerState {
            is_starting: false,
            ..state
        },
    }
}

fn dead() -> ContainerState {
    ContainerState {
        status: Status::Dead,
        reason: "its record is damaged".to_owned(),
        ..ContainerState::created()
    }
}
