//! Signals, ends and removal.

use std::io;
use std::time::Duration;

use minke_sandbox::control::{Client, Request, Response};
use rustix::process::{Pid, Signal};

use super::{AnonymousVolumes, Engine, EngineError};
use crate::events::Event;
use crate::logs::LogReader;
use crate::record::{Container, KILLED_CODE, Status};
use crate::watch::Watch;

/// How long a sandbox may take beyond that before it is taken for stuck and its process killed.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// Seconds from the stop signal to `SIGKILL` where nobody says how many. Docker: 10.
const STOP_TIMEOUT_S: i64 = 10;

/// How often a container that is being restarted is looked at, if no file changes.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

const SIGKILL: u8 = 9;

/// How long an answer that needs no waiting may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How a container is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopping {
    /// The number of the first signal.
    pub signal: u8,
    /// From that to `SIGKILL`; `None` waits for ever.
    pub timeout: Option<Duration>,
}

impl Stopping {
    /// Stops a container as was asked for now, or else when it was made. Negative seconds wait for ever.
    pub fn of(
        container: &Container,
        signal: Option<&str>,
        timeout_s: Option<i64>,
    ) -> Result<Stopping, EngineError> {
        let config = &container.config;
        let seconds = timeout_s
            .or(config.stop_timeout_s)
            .unwrap_or(STOP_TIMEOUT_S);
        Ok(Stopping {
            signal: signal_number(signal.unwrap_or(&config.spec.process.stop_signal))?,
            timeout: u64::try_from(seconds).ok().map(Duration::from_secs),
        })
    }
}

impl Engine {
    /// Sends the stop signal, and `SIGKILL` when the time is up; returns when it has ended and is not restarted any more.
    /// One that has ended already is left alone, as Docker does.
    pub fn stop(&self, container: &Container, stopping: &Stopping) -> Result<(), EngineError> {
        let Stopping { signal, timeout } = *stopping;
        let Some(now) = self.mark_stopped(container)? else {
            return Ok(());
        };
        let request = Request::Stop {
            signal,
            timeout_ms: timeout
                .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        };
        let patience = timeout.map(|timeout| timeout.saturating_add(STUCK_AFTER));
        self.tell_signal(container, signal);
        match self.ask(&now, &request, patience) {
            Ok(_) | Err(EngineError::NotRunning { .. }) => {}
            Err(EngineError::Unreachable { .. }) => self.kill_process(container)?,
            Err(error) => return Err(error),
        }
        self.wait_for_process(container)?;
        let event = Event::of_container("stop", &container.config);
        self.events().record(&event);
        Ok(())
    }

    /// Sends a signal to the container's first process. One that ends it ends its restarts too.
    pub fn kill(&self, container: &Container, signal: &str) -> Result<(), EngineError> {
        let number = signal_number(signal)?;
        let stop_signal = &container.config.spec.process.stop_signal;
        let is_end = number == SIGKILL || signal_number(stop_signal).is_ok_and(|n| n == number);
        let is_restarting = container.state.status == Status::Restarting;
        if is_end && container.state.is_alive() {
            self.mark_stopped(container)?;
        }
        if is_end && is_restarting {
            return self.wait_for_process(container);
        }
        let request = Request::Kill { signal: number };
        if container.state.is_alive() {
            self.tell_signal(container, number);
        }
        self.ask(container, &request, Some(ANSWER_WITHIN)).map(drop)
    }

    /// Waits until the container has ended; returns its exit code. One that is being restarted is waited for
    /// until it has run again.
    pub fn wait(&self, container: &Container) -> Result<u8, EngineError> {
        let watch = Watch::new(&self.record(container.id()).directory).ok();
        let mut container = container.clone();
        while let (Status::Restarting, Some(watch)) = (container.state.status, &watch) {
            let again = watch.wait(Some(LOOK_AGAIN), &[]);
            again.map_err(EngineError::io("watch", &self.home.containers()))?;
            let now = self.load(container.id())?;
            container = now.ok_or_else(|| self.gone(&container))?;
        }
        self.wait_for_end(&container)
    }

    fn wait_for_end(&self, container: &Container) -> Result<u8, EngineError> {
        let answer = self.ask(container, &Request::Wait, None);
        let was_cut_off =
            matches!(answer, Err(EngineError::NotRunning { .. })) && container.state.is_alive();
        match answer {
            Ok(Response::Ended { exit_code }) => Ok(exit_code),
            // It ended before it could be asked, or was killed: then its record says how.
            Ok(_) | Err(EngineError::NotRunning { .. } | EngineError::Unreachable { .. }) => {
                if container.state.is_alive() {
                    self.wait_for_process(container)?;
                }
                match self.load(container.id())? {
                    Some(container) => Ok(container.state.exit_code),
                    // Only a sandbox that was killed ends without an answer.
                    None if was_cut_off => Ok(KILLED_CODE),
                    None => Err(self.gone(container)),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Removes a container that does not run.
    pub fn remove(
        &self,
        container: &Container,
        volumes: AnonymousVolumes,
    ) -> Result<(), EngineError> {
        let record = self.record(container.id());
        let failed = || EngineError::io("remove the container's", &record.directory);
        let (now, _held) = loop {
            let edit = match record.edit() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                edit => edit.map_err(failed())?,
            };
            let Some(now) = self.load_edited(container.id(), &edit)? else {
                return Ok(());
            };
            if now.state.is_alive() {
                return Err(EngineError::Running {
                    name: now.config.name,
                    state: match now.state.is_starting {
                        true => "being started",
                        false => now.state.status.word(),
                    },
                });
            }
            match record.try_lock() {
                // A damaged record may lack it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => break (now, (edit, None)),
                lock => {
                    if let Some(lock) = lock.map_err(failed())? {
                        break (now, (edit, Some(lock)));
                    }
                }
            }
            drop(edit);
            record.wait_until_unlocked().map_err(failed())?;
        };
        self.remove_locked(&now).map_err(failed())?;
        // Docker: those of a container that removes itself go with it, however it goes.
        if volumes == AnonymousVolumes::Removed || now.config.is_auto_removed {
            self.remove_anonymous_volumes(&now.config);
        }
        Ok(())
    }

    /// Ends a container if it runs, and removes it.
    pub fn remove_by_force(
        &self,
        container: &Container,
        volumes: AnonymousVolumes,
    ) -> Result<(), EngineError> {
        loop {
            let Some(now) = self.mark_stopped(container)? else {
                break;
            };
            self.tell_signal(&now, SIGKILL);
            let request = Request::Kill { signal: SIGKILL };
            match self.ask(&now, &request, Some(ANSWER_WITHIN)) {
                Ok(_) | Err(EngineError::NotRunning { .. }) => {}
                Err(EngineError::Unreachable { .. }) => self.kill_process(&now)?,
                Err(error) => return Err(error),
            }
            self.wait_for_process(&now)?;
        }
        self.remove(container, volumes)
    }

    /// Reads what the container has printed.
    pub fn logs(&self, container: &Container) -> LogReader {
        LogReader::open(&self.record(container.id()).directory)
    }

    /// Whether a container still runs or is restarted, as its record says now.
    pub fn is_running(&self, container: &Container) -> Result<bool, EngineError> {
        let now = self.load(container.id())?;
        Ok(now.is_some_and(|now| now.state.is_alive()))
    }

    /// Says that a container is not to be restarted; returns how it is then, `None` when it is not alive. One that is being
    /// started is waited for: nobody could tell it to end.
    fn mark_stopped(&self, container: &Container) -> Result<Option<Container>, EngineError> {
        let record = self.record(container.id());
        let failed = || EngineError::io("mark the container in", &record.directory);
        let watch = match Watch::new(&record.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            watch => watch.map_err(failed())?,
        };
        loop {
            let edit = match record.edit() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                edit => edit.map_err(failed())?,
            };
            let now = self.load_edited(container.id(), &edit)?;
            let Some(now) = now.filter(|now| now.state.is_alive()) else {
                return Ok(None);
            };
            if !now.state.is_starting {
                record.mark_stopped().map_err(failed())?;
                // What the supervisor did before it could see the mark is there now.
                return self.load_edited(container.id(), &edit);
            }
            drop(edit);
            watch.wait(Some(LOOK_AGAIN), &[]).map_err(failed())?;
        }
    }

    /// Waits until nobody runs the container any more, nor is to start it again.
    fn wait_for_process(&self, container: &Container) -> Result<(), EngineError> {
        let record = self.record(container.id());
        match record.lock() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(EngineError::io("wait for", &record.directory)(error))
            }
            _ => self.load(container.id()).map(drop),
        }
    }

    pub(super) fn ask(
        &self,
        container: &Container,
        request: &Request,
        patience: Option<Duration>,
    ) -> Result<Response, EngineError> {
        let name = || container.config.name.clone();
        let not_running = || EngineError::NotRunning {
            action: action(request),
            name: name(),
        };
        if !container.state.is_alive() {
            return Err(not_running());
        }
        let asked = Client::connect(&self.home.run.join(container.id())).and_then(|mut client| {
            client.set_timeout(patience)?;
            client.ask(request)
        });
        match asked {
            Ok(Response::Refused { message }) => Err(EngineError::Refused {
                name: name(),
                message,
            }),
            Ok(response) => Ok(response),
            // It may just have ended, or be between two runs.
            Err(_) if !self.has_sandbox(container)? => Err(not_running()),
            Err(source) => Err(EngineError::Unreachable {
                name: name(),
                source,
            }),
        }
    }

    pub(super) fn has_sandbox(&self, container: &Container) -> Result<bool, EngineError> {
        let now = self.load(container.id())?;
        Ok(now.is_some_and(|now| now.state.is_alive() && now.state.status != Status::Restarting))
    }

    /// Kills a sandbox that does not answer. Its lock is held, so the number is still its own.
    fn kill_process(&self, container: &Container) -> Result<(), EngineError> {
        let now = self.load(container.id())?;
        let running = now.filter(|now| now.state.has_processes());
        let pid = running.and_then(|now| i32::try_from(now.state.pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // Gone already is as good.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        Ok(())
    }

    fn tell_signal(&self, container: &Container, signal: u8) {
        let event = Event::of_container("kill", &container.config);
        self.events()
            .record(&event.with("signal", signal.to_string()));
    }
}

fn action(request: &Request) -> &'static str {
    match request {
        Request::Kill { .. } => "kill",
        Request::Stop { .. } => "stop",
        Request::Wait => "wait for",
        Request::Statistics => "measure",
        Request::Pause => "pause",
        Request::Resume => "unpause",
        Request::Limit(_) => "update",
        Request::Snapshot { .. } => "take a snapshot of",
        Request::Files(_) => "copy files of",
        Request::Exec(_) => "run a program in",
        Request::Processes => "show the processes of",
        Request::Attach(_) => "attach to",
    }
}

fn signal_number(text: &str) -> Result<u8, EngineError> {
    minke_sandbox::control::parse_signal(text)
        .ok_or_else(|| EngineError::NoSuchSignal(text.to_owned()))
}
