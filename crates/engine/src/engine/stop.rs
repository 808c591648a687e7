//! Signals, ends and removal.

use std::io;
use std::time::Duration;

use minke_sandbox::control::{Client, Request, Response, Statistics};
use rustix::process::{Pid, Signal};

use super::find::KILLED_CODE;
use super::{Engine, EngineError};
use crate::events::Event;
use crate::logs::LogReader;
use crate::record::{Container, Status};

/// How long a sandbox may take beyond that before it is taken for stuck and its process killed.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// How long an answer that needs no waiting may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

impl Engine {
    /// Sends the container's stop signal, and `SIGKILL` after `timeout` (`None`: never); returns when it has ended.
    /// One that has ended already is left alone, as Docker does.
    pub fn stop(
        &self,
        container: &Container,
        timeout: Option<Duration>,
    ) -> Result<(), EngineError> {
        let signal = &container.config.spec.process.stop_signal;
        let request = Request::Stop {
            signal: signal_number(signal)?,
            timeout_ms: timeout
                .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        };
        let patience = timeout.map(|timeout| timeout.saturating_add(STUCK_AFTER));
        match self.ask(container, &request, patience) {
            Ok(_) | Err(EngineError::NotRunning { .. }) => {}
            Err(EngineError::Unreachable { .. }) => self.kill_process(container),
            Err(error) => return Err(error),
        }
        self.wait_for_process(container)?;
        let event = Event::of_container("stop", &container.config);
        self.events().record(&event);
        Ok(())
    }

    /// Sends a signal to the container's first process.
    pub fn kill(&self, container: &Container, signal: &str) -> Result<(), EngineError> {
        let number = signal_number(signal)?;
        let request = Request::Kill { signal: number };
        self.ask(container, &request, Some(ANSWER_WITHIN))?;
        let event = Event::of_container("kill", &container.config);
        self.events()
            .record(&event.with("signal", number.to_string()));
        Ok(())
    }

    /// Waits until the container has ended; returns its exit code.
    pub fn wait(&self, container: &Container) -> Result<u8, EngineError> {
        let answer = self.ask(container, &Request::Wait, None);
        let was_cut_off = matches!(answer, Err(EngineError::NotRunning { .. }))
            && container.state.status != Status::Exited;
        match answer {
            Ok(Response::Ended { exit_code }) => Ok(exit_code),
            // It ended before it could be asked, or was killed: then its record says how.
            Ok(_) | Err(EngineError::NotRunning { .. } | EngineError::Unreachable { .. }) => {
                self.wait_for_process(container)?;
                match self.load(container.id())? {
                    Some(container) => Ok(container.state.exit_code),
                    // Only a sandbox that was killed ends without an answer.
                    None if was_cut_off => Ok(KILLED_CODE),
                    None => Err(EngineError::NoSuchContainer {
                        wanted: container.config.name.clone(),
                        nearest: None,
                    }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Returns what the container uses now.
    pub fn statistics(&self, container: &Container) -> Result<Statistics, EngineError> {
        match self.ask(container, &Request::Statistics, Some(ANSWER_WITHIN))? {
            Response::Statistics(statistics) => Ok(statistics),
            _ => Ok(Statistics::default()),
        }
    }

    /// Removes a container that has ended.
    pub fn remove(&self, container: &Container) -> Result<(), EngineError> {
        if container.state.status != Status::Exited {
            return Err(EngineError::Running {
                name: container.config.name.clone(),
            });
        }
        self.remove_ended(container)
    }

    /// Ends a container if it runs, and removes it.
    pub fn remove_by_force(&self, container: &Container) -> Result<(), EngineError> {
        if container.state.status != Status::Exited {
            match self.kill(container, "KILL") {
                Ok(()) | Err(EngineError::NotRunning { .. }) => {}
                Err(EngineError::Unreachable { .. }) => self.kill_process(container),
                Err(error) => return Err(error),
            }
        }
        self.remove_ended(container)
    }

    /// Reads what the container has printed.
    pub fn logs(&self, container: &Container) -> LogReader {
        LogReader::open(&self.record(container.id()).directory)
    }

    /// Whether a container still runs, as its record says now.
    pub fn is_running(&self, container: &Container) -> Result<bool, EngineError> {
        let now = self.load(container.id())?;
        Ok(now.is_some_and(|now| now.state.status != Status::Exited))
    }

    fn remove_ended(&self, container: &Container) -> Result<(), EngineError> {
        let record = self.record(container.id());
        let failed = || EngineError::io("remove the container's", &record.directory);
        match record.lock() {
            Ok(_lock) => self.remove_locked(container).map_err(failed()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed()(error)),
        }
    }

    /// Waits until the sandbox process has let go of everything.
    fn wait_for_process(&self, container: &Container) -> Result<(), EngineError> {
        let record = self.record(container.id());
        match record.lock() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(EngineError::io("wait for", &record.directory)(error))
            }
            _ => self.load(container.id()).map(drop),
        }
    }

    fn ask(
        &self,
        container: &Container,
        request: &Request,
        patience: Option<Duration>,
    ) -> Result<Response, EngineError> {
        let name = || container.config.name.clone();
        if container.state.status == Status::Exited {
            return Err(EngineError::NotRunning {
                action: action(request),
                name: name(),
            });
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
            // It may just have ended.
            Err(_) if !self.is_running(container)? => Err(EngineError::NotRunning {
                action: action(request),
                name: name(),
            }),
            Err(source) => Err(EngineError::Unreachable {
                name: name(),
                source,
            }),
        }
    }

    /// Kills a sandbox that does not answer. Its lock is held, so the number is still its own.
    fn kill_process(&self, container: &Container) {
        let is_locked = matches!(self.record(container.id()).try_lock(), Ok(None));
        let pid = i32::try_from(container.state.pid)
            .ok()
            .and_then(Pid::from_raw);
        if let (true, Some(pid)) = (is_locked, pid) {
            // Gone already is as good.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

fn action(request: &Request) -> &'static str {
    match request {
        Request::Kill { .. } => "kill",
        Request::Stop { .. } => "stop",
        Request::Wait => "wait for",
        Request::Statistics => "measure",
    }
}

fn signal_number(text: &str) -> Result<u8, EngineError> {
    minke_sandbox::control::parse_signal(text)
        .ok_or_else(|| EngineError::NoSuchSignal(text.to_owned()))
}
