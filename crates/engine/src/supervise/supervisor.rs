//! The process that starts a container again when it has ended, as its restart policy says.
//!
//! It runs no guest and is a child of nobody who matters: it outlives the command. It holds the container's lock together with
//! the sandbox, so between two runs the container counts as alive. `stop`, `kill` and `rm` leave a mark in the
//! container's directory, which it watches. Killed, it leaves a sandbox that runs on to its end and is not started again;
//! the lock is then the sandbox's alone, or free, and the record tells the truth to the next who looks.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use minke_sandbox::control::{Client, Request, parse_signal};

use super::process::take_descriptors;
use super::{StartError, StartReport, StartRequest, death, is_restarted, send, start_sandbox};
use crate::events::{Event, EventLog};
use crate::home::Home;
use crate::record::{ContainerConfig, ContainerState, Lock, Record, Status};
use crate::restart::Backoff;
use crate::watch::Watch;

/// The hidden command that supervises a container.
pub const SUPERVISOR_COMMAND: &str = "supervisor";

/// Seconds between the stop signal and `SIGKILL` for a container that was stopped while it was being restarted.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Is the supervisor: takes its descriptors and keeps the container running; returns its last exit code.
pub fn supervisor_main(home: &Home, id: &str) -> u8 {
    // Nobody is attached to one that is supervised from its start.
    let (report, lock, _) = match take_descriptors() {
        Ok(taken) => taken,
        Err(error) => {
            tracing::error!(%error, "not started by `minke run` or `minke start`");
            return 125;
        }
    };
    let supervisor = Supervisor {
        home,
        id,
        record: Record::new(home.containers().join(id)),
        run_directory: home.run.join(id),
        lock,
    };
    match supervisor.run(report) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(%error, "the container is not supervised any more");
            125
        }
    }
}

struct Supervisor<'a> {
    home: &'a Home,
    id: &'a str,
    record: Record,
    run_directory: PathBuf,
    lock: Lock,
}

impl Supervisor<'_> {
    /// Starts the container until it is to stay ended. The first start is told to whoever waits for `report`.
    fn run(&self, report: UnixStream) -> io::Result<u8> {
        let mut backoff = Backoff::default();
        let mut began = Instant::now();
        let mut child = match self.start() {
            Ok(child) => child,
            Err(error) => {
                let code = error.kind.exit_code();
                send(&report, &StartReport::Failed(error))?;
                return Ok(code);
            }
        };
        // A command that is gone does not end the container: it asked for one that stays.
        let _ = send(&report, &StartReport::Started);
        drop(report);
        loop {
            self.stop_if_asked()?;
            child.wait()?;
            let Some((config, state)) = self.finish()? else {
                return Ok(0);
            };
            let delay = backoff.next(began.elapsed());
            if state.status != Status::Restarting || !self.pause(delay, &config)? {
                return Ok(state.exit_code);
            }
            self.count_restart()?;
            began = Instant::now();
            child = match self.start() {
                Ok(child) => child,
                // Docker: a restart that fails is not tried again. The sandbox has written why.
                Err(error) => return Ok(error.kind.exit_code()),
            };
        }
    }

    fn start(&self) -> Result<Child, StartError> {
        crate::home::make_private(&self.run_directory)
            .map_err(|error| StartError::failed("cannot make the run directory", &error))?;
        let request = StartRequest::default();
        let started = start_sandbox(self.home, self.id, &self.lock, request, &|_| {})?;
        Ok(started.child)
    }

    /// Ends a container that was stopped between two runs, when there was nobody to be told.
    fn stop_if_asked(&self) -> io::Result<()> {
        if !self.record.is_stopped() {
            return Ok(());
        }
        let signal = &self.record.config()?.spec.process.stop_signal;
        let request = Request::Stop {
            signal: parse_signal(signal).unwrap_or_else(|| parse_signal("TERM").unwrap_or(15)),
            timeout_ms: Some(STOP_TIMEOUT.as_millis() as u64),
        };
        // One that has ended meanwhile is as good.
        let _ = Client::connect(&self.run_directory).and_then(|mut client| client.ask(&request));
        Ok(())
    }

    /// Reads how the sandbox ended, and records it for one that was killed; `None` for a container that is gone.
    fn finish(&self) -> io::Result<Option<(ContainerConfig, ContainerState)>> {
        let read = self
            .record
            .config()
            .and_then(|config| Ok((config, self.record.state()?)));
        let (config, mut state) = match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        if state.has_processes() {
            state = state.killed();
            let events = EventLog::of(self.home);
            if state.is_out_of_memory {
                events.record(&Event::of_container("oom", &config));
            }
            events.record(&death(&config, state.exit_code));
            if is_restarted(&config, &state, self.record.is_stopped()) {
                state.status = Status::Restarting;
            }
            self.record.write_state(&state)?;
        }
        Ok(Some((config, state)))
    }

    /// Waits before a restart; `false` when it is not to take place any more.
    fn pause(&self, delay: Duration, config: &ContainerConfig) -> io::Result<bool> {
        let watch = Watch::new(&self.record.directory)?;
        let until = Instant::now() + delay;
        loop {
            if self.record.is_stopped() {
                self.give_up()?;
                return Ok(false);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            watch.wait(Some(left), &[])?;
        }
        // `update --restart` may have come meanwhile.
        let config = self.record.config().unwrap_or_else(|_| config.clone());
        let state = self.record.state()?;
        if is_restarted(&config, &state, false) {
            return Ok(true);
        }
        self.give_up()?;
        Ok(false)
    }

    fn give_up(&self) -> io::Result<()> {
        let state = self.record.state()?;
        self.record.write_state(&ContainerState {
            status: Status::Exited,
            ..state
        })
    }

    fn count_restart(&self) -> io::Result<()> {
        let state = self.record.state()?;
        self.record.write_state(&ContainerState {
            restart_count: state.restart_count + 1,
            ..state
        })
    }
}
