//! Finding containers, and finishing what dead sandboxes could not.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;

use minke_sandbox::logs;

use super::{Engine, EngineError};
use crate::events::Event;
use crate::home::Home;
use crate::names::{self, ignore_missing};
use crate::record::{Container, ContainerState, Record, Status};
use crate::supervise::{death, remove_files};

/// Exit code of a sandbox that was killed. Docker: 128 + `SIGKILL`.
pub(super) const KILLED_CODE: u8 = 137;

/// Names less alike than this are not suggested.
const LIKENESS_MIN: f64 = 0.75;

/// Keeps sweeps away while a container's directory is made; any number of makers at a time.
pub(super) fn hold_off_sweeps(home: &Home) -> Result<File, EngineError> {
    let directory = home.containers();
    let failed = EngineError::io("lock", &directory);
    File::open(&directory)
        .and_then(|file| file.lock_shared().map(|()| file))
        .map_err(failed)
}

impl Engine {
    /// Returns every container, newest first. What dead sandboxes and commands left is put in order before.
    pub fn containers(&self) -> Result<Vec<Container>, EngineError> {
        self.sweep()?;
        let mut containers = Vec::new();
        for id in self.ids()? {
            // One that is being made or removed is not there.
            containers.extend(self.load(&id)?);
        }
        containers.sort_by(|a, b| b.config.created_at.cmp(&a.config.created_at));
        Ok(containers)
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
        let read = || -> io::Result<Container> {
            Ok(Container {
                config: record.config()?,
                state: record.state()?,
            })
        };
        let container = match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(EngineError::io("read the record", &record.directory))?,
        };
        if container.state.status == Status::Exited {
            return Ok(Some(container));
        }
        self.settle(container, &record)
    }

    /// Finishes the record of a container whose sandbox died without doing so.
    fn settle(
        &self,
        container: Container,
        record: &Record,
    ) -> Result<Option<Container>, EngineError> {
        let failed = || EngineError::io("settle the record", &record.directory);
        let lock = match record.try_lock() {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ok(Some(container)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed()(error)),
        };
        // With the lock, the record is ours; it may have been finished between reading and locking.
        let state = match record.state() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            state => state.map_err(failed())?,
        };
        if state.status == Status::Exited {
            return Ok(Some(Container { state, ..container }));
        }
        let is_started = state.status == Status::Running;
        if is_started {
            self.events().record(&death(&container.config, KILLED_CODE));
        }
        if container.config.is_auto_removed || !is_started {
            self.remove_locked(&container).map_err(failed())?;
            return Ok(None);
        }
        let state = killed(state);
        if let Err(error) = record.write_state(&state) {
            // A full disk must not keep anybody from seeing and removing the container.
            tracing::warn!(%error, id = container.id(), "the container's end is not recorded");
        }
        ignore_missing(fs::remove_dir_all(self.home.run.join(container.id()))).map_err(failed())?;
        drop(lock);
        Ok(Some(Container { state, ..container }))
    }

    pub(super) fn remove_locked(&self, container: &Container) -> io::Result<()> {
        let id = container.id();
        remove_files(
            &self.record(id),
            &self.home.run.join(id),
            (&self.home.names(), &container.config.name, id),
        )?;
        let event = Event::of_container("destroy", &container.config);
        self.events().record(&event);
        Ok(())
    }

    pub(super) fn record(&self, id: &str) -> Record {
        Record::new(self.home.containers().join(id))
    }

    fn ids(&self) -> Result<Vec<String>, EngineError> {
        let directory = self.home.containers();
        let listed = names::all(&directory).map_err(EngineError::io("list", &directory))?;
        Ok(listed.into_iter().map(|(_, id)| id).collect())
    }

    fn nearest(&self, wanted: &str) -> Option<String> {
        let names = names::all(&self.home.names()).ok()?;
        let likeness = |name: &str| strsim::jaro_winkler(wanted, name);
        names
            .into_iter()
            .map(|(_, name)| name)
            .filter(|name| names::check(name).is_ok() && likeness(name) >= LIKENESS_MIN)
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
    }

    /// Removes what commands that were killed left half made: directories without a record, names without a
    /// container, run directories of nobody.
    fn sweep(&self) -> Result<(), EngineError> {
        let containers = self.home.containers();
        let failed = || EngineError::io("sweep", &containers);
        let guard = File::open(&containers).map_err(failed())?;
        if guard.try_lock().is_err() {
            // Somebody makes a container just now: the next command sweeps.
            return Ok(());
        }
        let mut known = HashSet::new();
        for (path, id) in names::all(&containers).map_err(failed())? {
            let record = Record::new(path);
            if self.is_abandoned(&record) {
                ignore_missing(fs::remove_dir_all(&record.directory)).map_err(failed())?;
            } else {
                known.insert(id);
            }
        }
        self.sweep_names(&known).map_err(failed())?;
        for (path, id) in names::all(&self.home.run).map_err(failed())? {
            if !known.contains(&id) {
                ignore_missing(fs::remove_dir_all(path)).map_err(failed())?;
            }
        }
        Ok(())
    }

    /// Whether a directory has no record and nobody who is making one.
    fn is_abandoned(&self, record: &Record) -> bool {
        match record.config() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Without a lock file it was being removed, or was never locked.
                record.try_lock().map_or(true, |lock| lock.is_some())
            }
            _ => false,
        }
    }

    fn sweep_names(&self, known: &HashSet<String>) -> io::Result<()> {
        let names = self.home.names();
        for (path, name) in names::all(&names)? {
            if let Some(id) = name.strip_prefix('.') {
                // A claim that was cut short, unless its container is being made.
                if !known.contains(id) {
                    ignore_missing(fs::remove_dir_all(path))?;
                }
                continue;
            }
            match names::holder(&names, &name) {
                Some(id) if !known.contains(&id) => names::release(&names, &name, &id)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn killed(state: ContainerState) -> ContainerState {
    ContainerState {
        status: Status::Exited,
        pid: 0,
        exit_code: KILLED_CODE,
        reason: "the sandbox process was killed".to_owned(),
        finished_at: Some(logs::now()),
        ..state
    }
}
