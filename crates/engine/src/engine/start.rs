//! Starting containers that were created or have ended.

use std::io;
use std::time::Duration;

use minke_sandbox::attach::Connection;
use minke_sandbox::control::AttachRequest;

use super::{Engine, EngineError, Stopping};
use crate::events::Event;
use crate::home::make_private;
use crate::record::{Container, ContainerConfig, ContainerState, Lock, Status};
use crate::restart::RestartPolicy;
use crate::supervise::{self, Attachment, Outcome, Progress, StartError, StartRequest, Starter};
use crate::watch::Watch;

/// How long another command's start is waited for before the look is repeated. It changes a file when it is done, but not when it is killed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A container that this process is about to start.
struct Ready {
    config: ContainerConfig,
    lock: Lock,
}

impl Engine {
    /// Starts a container in a process of its own; one that runs already is left alone, as Docker does.
    pub fn start(&self, container: &Container) -> Result<(), EngineError> {
        match self.make_ready(container)? {
            Some(ready) => self.start_detached(&ready.config, &ready.lock),
            None => Ok(()),
        }
    }

    /// Runs a container in this process, to its end; `None` when it runs already. One with a restart policy cannot be run so.
    pub fn start_here(
        &self,
        container: &Container,
        attachment: Attachment,
        progress: &dyn Fn(Progress),
    ) -> Result<Option<Outcome>, EngineError> {
        let Some(Ready { config, lock }) = self.make_ready(container)? else {
            return Ok(None);
        };
        let starter = Starter::Here(attachment);
        let outcome = supervise::run(&self.home, &config, lock, starter, progress)?;
        Ok(Some(outcome))
    }

    /// Starts a container in a process of its own, attached to it before its guest runs; `None` when it runs already. One with a restart
    /// policy cannot be started so.
    pub fn start_attached(
        &self,
        container: &Container,
        request: AttachRequest,
        progress: &dyn Fn(Progress),
    ) -> Result<Option<Connection>, EngineError> {
        let Some(Ready { config, lock }) = self.make_ready(container)? else {
            return Ok(None);
        };
        self.start_connected(&config, &lock, request, progress)
            .map(Some)
    }

    /// Stops a container and starts it again; one that does not run is started.
    pub fn restart(&self, container: &Container, stopping: &Stopping) -> Result<(), EngineError> {
        if container.state.is_alive() {
            self.stop(container, stopping)?;
        }
        self.start(container)?;
        let event = Event::of_container("restart", &container.config);
        self.events().record(&event);
        Ok(())
    }

    pub(super) fn start_detached(
        &self,
        config: &ContainerConfig,
        lock: &Lock,
    ) -> Result<(), EngineError> {
        let (home, id) = (&self.home, &config.spec.id);
        match config.restart {
            RestartPolicy::No => {
                supervise::start_sandbox(home, id, lock, StartRequest::default(), &|_| {})?;
            }
            _ => {
                supervise::start_supervisor(home, id, lock)?;
            }
        }
        Ok(())
    }

    pub(super) fn start_connected(
        &self,
        config: &ContainerConfig,
        lock: &Lock,
        request: AttachRequest,
        progress: &dyn Fn(Progress),
    ) -> Result<Connection, EngineError> {
        let attached = Some(request);
        let request = StartRequest { attached };
        let (home, id) = (&self.home, &config.spec.id);
        let started = supervise::start_sandbox(home, id, lock, request, progress)?;
        self.events().record(&Event::of_container("attach", config));
        Connection::new(started.stream)
            .map_err(|error| StartError::failed("cannot attach to the container", &error).into())
    }

    /// Takes a container's lock and prepares its record and directories; `None` when it runs already.
    fn make_ready(&self, container: &Container) -> Result<Option<Ready>, EngineError> {
        self.check_disks(&container.config)?;
        let record = self.record(container.id());
        let failed = || EngineError::io("prepare the record", &record.directory);
        let watch = match Watch::new(&record.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.gone(container));
            }
            watch => watch.map_err(failed())?,
        };
        loop {
            let edit = self.edit(container)?;
            let now = self.load_edited(container.id(), &edit)?;
            let now = now.ok_or_else(|| self.gone(container))?;
            match (now.state.status, now.state.is_starting) {
                (Status::Dead, _) => {
                    return Err(EngineError::Damaged {
                        name: now.config.name,
                    });
                }
                (Status::Paused, _) => {
                    return Err(EngineError::PausedForStart {
                        name: now.config.name,
                    });
                }
                (Status::Running | Status::Restarting, _) => return Ok(None),
                // Another command starts it: then that is waited for.
                (_, true) => {}
                (_, false) => {
                    if let Some(lock) = record.try_lock().map_err(failed())? {
                        return self.prepare(now, lock).map(Some);
                    }
                    drop(edit);
                    record.wait_until_unlocked().map_err(failed())?;
                    continue;
                }
            }
            drop(edit);
            watch.wait(Some(LOOK_AGAIN), &[]).map_err(failed())?;
        }
    }

    fn prepare(&self, container: Container, lock: Lock) -> Result<Ready, EngineError> {
        let Container { mut config, state } = container;
        let record = self.record(&config.spec.id);
        let failed = || EngineError::io("prepare the record", &record.directory);
        if self.renew_snapshots(&mut config)? {
            record.write_config(&config).map_err(failed())?;
        }
        record.clear_stopped().map_err(failed())?;
        make_private(&self.home.run.join(&config.spec.id)).map_err(failed())?;
        let starting = ContainerState {
            is_starting: true,
            error: String::new(),
            restart_count: 0,
            ..state
        };
        record.write_state(&starting).map_err(failed())?;
        Ok(Ready { config, lock })
    }

    /// Makes the snapshots of a container's image, if they are gone and nothing lies over them. Returns whether they are elsewhere now.
    pub(super) fn renew_snapshots(
        &self,
        config: &mut ContainerConfig,
    ) -> Result<bool, EngineError> {
        let (Some(image_id), Some(disk)) = (&config.image_id, &mut config.spec.root.disk) else {
            return Ok(false);
        };
        let store = self.store()?;
        let layers = store.root_layers(&store.image(image_id)?)?;
        let snapshots = store.root_snapshots(&layers)?;
        if disk.snapshots == snapshots {
            return Ok(false);
        }
        disk.snapshots = snapshots;
        Ok(true)
    }
}
