//! A sandbox from its start to its recorded end, in this process or in one of its own.
//!
//! The same code serves `minke run` in the foreground and the hidden `minke sandbox` behind `minke run -d`. It
//! runs the container, keeps its record true, and removes it at the end where that was asked for.
//!
//! | module | is |
//! |---|---|
//! | `process` | a sandbox in a process of its own: started, and being it |
//! | `supervisor` | the process that starts a container again when it has ended |

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minke_sandbox::container::{self, FirstCommand, LiveObserver, Observer, Started, Surroundings};
pub use minke_sandbox::container::{
    Attachment, Outcome, Progress, StartError, StartErrorKind, Stdin,
};
use minke_sandbox::control::{AttachRequest, message};
pub use minke_sandbox::disks::settle::{SETTLE_COMMAND, settle_main};
use minke_sandbox::logs;
pub use minke_sandbox::runtime::compiler::{COMPILE_COMMAND, compile_main};
pub use minke_sandbox::runtime::module_server::{MODULE_SERVER_COMMAND, module_server_main};
use minke_sandbox::spec::PublishedPort;
use serde::{Deserialize, Serialize};

use crate::events::{Event, EventLog, EventWriter};
use crate::groups::{self, Group};
use crate::home::Home;
use crate::names::{self, ignore_missing};
use crate::record::{ContainerConfig, ContainerState, Lock, Record, Status, boot_id};
use crate::restart::RestartPolicy;
use crate::volumes::Volumes;

mod process;
mod supervisor;

pub use process::{SANDBOX_COMMAND, sandbox_main};
pub(crate) use process::{start_sandbox, start_supervisor};
pub use supervisor::{SUPERVISOR_COMMAND, supervisor_main};

/// What a process that starts a container is told first by whoever started it. Both ways are messages as over the control socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRequest {
    /// Whether the other end is attached from the start: then frames go over the connection after [`StartReport::Started`].
    pub attached: Option<AttachRequest>,
}

/// What a process that starts a container tells whoever started it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "lowercase")]
pub enum StartReport {
    /// It takes its time; more is told.
    Progress {
        progress: Progress,
    },
    /// The guest is about to run its first instruction.
    Started,
    Failed(StartError),
}

/// Runs a container to its end. `lock` is held meanwhile; an error means that it did not start: then nothing is left of one
/// that `run` made, and another is as it was before.
pub(crate) fn run(
    home: &Home,
    config: &ContainerConfig,
    lock: Lock,
    starter: Starter,
    progress: &dyn Fn(Progress),
) -> Result<Outcome, StartError> {
    let (attachment, report, attached) = match starter {
        Starter::Here(attachment) => (attachment, None, None),
        Starter::Other { stream, request } => {
            (Attachment::Detached, Some(stream), request.attached)
        }
    };
    let first_command = report.clone().zip(attached);
    let first_command = first_command.map(|(stream, request)| FirstCommand { request, stream });
    let mut keeper = Keeper::new(home, config, report)
        .map_err(|error| StartError::failed("cannot read the container's record", &error))?;
    let result = keeper.run(attachment, first_command, progress);
    if let Err(error) = &result {
        keeper.not_started(error);
    }
    drop(lock);
    result
}

/// Who starts a container.
pub(crate) enum Starter {
    /// The command is this process.
    Here(Attachment),
    /// It is another one, at the other end of a connection.
    Other {
        stream: Arc<UnixStream>,
        request: StartRequest,
    },
}

/// Keeps the record of a container that runs in this process.
struct Keeper {
    record: Record,
    run_directory: PathBuf,
    names: PathBuf,
    volumes: Volumes,
    config: ContainerConfig,
    state: ContainerState,
    /// How it was before this start; `None` for one that `run` made for it.
    before: Option<ContainerState>,
    /// Whom to tell that the container has started.
    report: Option<Arc<UnixStream>>,
    /// `None` when it could not be opened.
    events: Option<Arc<EventWriter>>,
    /// Read before the jail closes.
    boot_id: String,
    /// Made where the host lets us, for what is limited.
    group: Option<Group>,
}

impl Keeper {
    fn new(
        home: &Home,
        config: &ContainerConfig,
        report: Option<Arc<UnixStream>>,
    ) -> io::Result<Keeper> {
        let id = &config.spec.id;
        let record = Record::new(home.containers().join(id));
        let state = record.state()?;
        Ok(Keeper {
            before: (!record.is_draft()).then(|| state.clone()),
            state,
            record,
            run_directory: home.run.join(id),
            names: home.names(),
            volumes: Volumes {
                directory: home.volumes(),
            },
            config: config.clone(),
            report,
            events: EventLog::of(home).writer().ok().map(Arc::new),
            boot_id: boot_id(),
            group: None,
        })
    }

    fn run(
        &mut self,
        attachment: Attachment,
        first_command: Option<FirstCommand>,
        progress: &dyn Fn(Progress),
    ) -> Result<Outcome, StartError> {
        let limits = &self.config.spec.limits;
        self.group = Group::make(&self.config.spec.id, limits, &self.run_directory);
        let beside_group = self.group.as_ref().map(|group| group.path.as_path());
        // One that removes itself removes what nobody else has.
        let volumes: Vec<PathBuf> = match self.config.is_auto_removed {
            true => self
                .config
                .anonymous_volumes()
                .map(|name| self.volumes.directory.join(name))
                .collect(),
            false => Vec::new(),
        };
        let surroundings = Surroundings {
            state_directory: self.record.directory.clone(),
            run_directory: self.run_directory.clone(),
            writable: [
                self.record.directory.clone(),
                self.run_directory.clone(),
                self.names.join(&self.config.name),
            ]
            .into_iter()
            .chain(volumes.iter().cloned())
            .collect(),
            removable: [
                &self.record.directory,
                &self.run_directory,
                &self.names.join("x"),
            ]
            .map(PathBuf::as_path)
            .into_iter()
            .chain(beside_group)
            .chain(volumes.first().map(PathBuf::as_path))
            .filter_map(|path| path.parent().map(Path::to_path_buf))
            .collect(),
            attachment,
            first_command,
            control_group: self.group.as_ref().map(|group| Arc::clone(&group.entrance)),
            // Nobody can read the log of what is gone.
            has_log: attachment == Attachment::Detached || !self.config.is_auto_removed,
        };
        let spec = self.config.spec.clone();
        container::run(&spec, surroundings, self, progress)
    }

    /// Removes everything of the container. What does not go now is found by the next command.
    fn remove(&self) {
        let removed = remove_files(
            &self.record,
            &self.run_directory,
            &self.names,
            &self.current_config(),
        );
        if let Err(error) = removed {
            let id = &self.config.spec.id;
            tracing::warn!(%error, id, "the container's files are not all removed");
        }
        self.volumes
            .remove_anonymous(self.config.anonymous_volumes());
        self.tell(&Event::of_container("destroy", &self.config));
    }

    /// What the container is called now: it may have been renamed since it started.
    fn current_config(&self) -> ContainerConfig {
        let config = self.record.config();
        config.unwrap_or_else(|_| self.config.clone())
    }

    fn leave_group(&mut self) {
        if let Some(group) = self.group.take() {
            group.leave();
        }
    }

    /// Puts the record in order after a start that failed.
    fn not_started(&mut self, error: &StartError) {
        self.leave_group();
        let Some(before) = self.before.take() else {
            return self.remove();
        };
        let status = match before.status {
            Status::Restarting => Status::Exited,
            status => status,
        };
        self.state = ContainerState {
            status,
            is_starting: false,
            error: error.message.clone(),
            exit_code: error.kind.exit_code(),
            ..before
        };
        self.write_state();
        // It was made for this start.
        let _ = remove_run_directory(&self.run_directory);
    }

    fn write_state(&self) {
        if let Err(error) = self.record.write_state(&self.state) {
            let id = &self.config.spec.id;
            tracing::error!(%error, id, "the container's end is not recorded");
        }
    }

    fn tell(&self, event: &Event) {
        append(self.events.as_deref(), event);
    }
}

fn append(events: Option<&EventWriter>, event: &Event) {
    let written = events.map(|events| events.append(event));
    if let Some(Err(error)) = written {
        tracing::warn!(%error, action = event.action, "an event is not recorded");
    }
}

/// Records what commands do with a container that runs.
struct LiveKeeper {
    record: Record,
    events: Option<Arc<EventWriter>>,
    /// As it was when the container started.
    config: ContainerConfig,
}

impl LiveObserver for LiveKeeper {
    fn exec_ended(&self, id: &str, exit_code: u8) {
        let event = Event::of_container("exec_die", &self.config)
            .with("execID", id)
            .with("exitCode", exit_code.to_string());
        append(self.events.as_deref(), &event);
    }

    fn paused(&self) -> io::Result<()> {
        self.write_status(Status::Paused)?;
        append(
            self.events.as_deref(),
            &Event::of_container("pause", &self.config),
        );
        Ok(())
    }

    fn resumed(&self) {
        if let Err(error) = self.write_status(Status::Running) {
            let id = &self.config.spec.id;
            tracing::error!(%error, id, "the end of the container's pause is not recorded");
        }
        append(
            self.events.as_deref(),
            &Event::of_container("unpause", &self.config),
        );
    }
}

impl LiveKeeper {
    /// While the container runs, nobody else writes its state.
    fn write_status(&self, status: Status) -> io::Result<()> {
        let state = ContainerState {
            status,
            ..self.record.state()?
        };
        self.record.write_state(&state)?;
        match self.config.is_auto_removed {
            true => Ok(()),
            false => self.record.reserve_state(&state),
        }
    }
}

/// Removes a container's files; its lock is held by the caller.
pub(crate) fn remove_files(
    record: &Record,
    run_directory: &Path,
    names: &Path,
    config: &ContainerConfig,
) -> io::Result<()> {
    // First what makes it a container: after a kill in between, the rest is swept.
    record.forget()?;
    names::release(names, &config.name, &config.spec.id)?;
    remove_run_directory(run_directory)?;
    ignore_missing(fs::remove_dir_all(&record.directory))
}

/// Removes the directory of a container's socket, and its control group.
pub(crate) fn remove_run_directory(path: &Path) -> io::Result<()> {
    groups::remove_emptied_of(path)?;
    ignore_missing(fs::remove_dir_all(path))
}

impl Observer for Keeper {
    fn started(&mut self, started: &Started) -> io::Result<()> {
        self.state = ContainerState {
            status: Status::Running,
            pid: std::process::id(),
            started_at: Some(logs::now()),
            finished_at: self.state.finished_at.take(),
            published: started.published.iter().map(bound_port).collect(),
            files_confined: Some(started.files_confined),
            control_group: self.group.as_ref().map(|group| group.path.clone()),
            restart_count: self.state.restart_count,
            boot_id: std::mem::take(&mut self.boot_id),
            ..ContainerState::created()
        };
        self.record.write_state(&self.state)?;
        if !self.config.is_auto_removed {
            self.record.reserve_state(&self.state)?;
        }
        self.tell(&Event::of_container("start", &self.config));
        // A command that is gone cannot print the id: then nobody would know of the container.
        self.report
            .take()
            .map_or(Ok(()), |report| send(&report, &StartReport::Started))
    }

    fn ended(&mut self, outcome: &Outcome) {
        self.leave_group();
        let is_stopped = self.record.is_stopped();
        self.state = self.state.clone().ended(
            outcome.exit_code,
            outcome.reason.clone().unwrap_or_default(),
        );
        self.state.is_out_of_memory = outcome.is_out_of_memory;
        let config = self.current_config();
        // A policy that it did not start with has no supervisor.
        let has_supervisor = self.config.restart != RestartPolicy::No;
        if has_supervisor && is_restarted(&config, &self.state, is_stopped) {
            self.state.status = Status::Restarting;
        }
        if outcome.is_out_of_memory {
            self.tell(&Event::of_container("oom", &config));
        }
        self.tell(&death(&config, outcome.exit_code));
        if self.config.is_auto_removed {
            return self.remove();
        }
        self.write_state();
        // The socket answers nobody any more.
        let _ = remove_run_directory(&self.run_directory);
    }

    fn live_observer(&self) -> Arc<dyn LiveObserver> {
        Arc::new(LiveKeeper {
            record: self.record.clone(),
            events: self.events.clone(),
            config: self.config.clone(),
        })
    }
}

/// Whether a container that has ended is started again, if it has a supervisor.
pub(crate) fn is_restarted(
    config: &ContainerConfig,
    state: &ContainerState,
    is_stopped: bool,
) -> bool {
    !is_stopped
        && config
            .restart
            .restarts(state.exit_code, state.restart_count)
}

/// Docker: `die`, with the exit code.
pub(crate) fn death(config: &ContainerConfig, exit_code: u8) -> Event {
    Event::of_container("die", config).with("exitCode", exit_code.to_string())
}

fn bound_port((port, address): &(PublishedPort, std::net::SocketAddr)) -> PublishedPort {
    PublishedPort {
        host_address: Some(address.ip()),
        host_port: address.port(),
        ..port.clone()
    }
}

fn send(stream: &UnixStream, report: &StartReport) -> io::Result<()> {
    message::send(&mut &*stream, report)
}
