//! A sandbox from its start to its recorded end, in this process.
//!
//! The same code serves `minke run` in the foreground and the hidden `minke sandbox` behind `minke run -d`. It
//! runs the container, keeps its record true, and removes it at the end where that was asked for.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use minke_sandbox::container::{self, Observer, Started, Surroundings};
pub use minke_sandbox::container::{
    Attachment, Outcome, Progress, StartError, StartErrorKind, Stdin,
};
use minke_sandbox::logs;
use minke_sandbox::spec::PublishedPort;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio;
use serde::{Deserialize, Serialize};

use crate::events::{Event, EventLog, EventWriter};
use crate::home::Home;
use crate::names::{self, ignore_missing};
use crate::record::{ContainerConfig, ContainerState, Lock, Record, Status};

/// The hidden command that runs a detached sandbox.
pub const SANDBOX_COMMAND: &str = "sandbox";

/// What a detached sandbox tells the command that started it, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "lowercase")]
pub enum StartReport {
    /// The guest is about to run its first instruction.
    Started,
    Failed(StartError),
}

/// Bounds a start report: an error's text, which may quote what was typed.
const REPORT_BYTES_MAX: u64 = 1 << 20;

/// Runs a container to its end. `lock` is held meanwhile; an error means that it did not start, and then nothing of it is left.
pub(crate) fn run(
    home: &Home,
    config: &ContainerConfig,
    lock: Lock,
    attachment: Attachment,
    report: Option<UnixStream>,
    progress: &dyn Fn(Progress),
) -> Result<Outcome, StartError> {
    let mut keeper = Keeper::new(home, config, report);
    let result = keeper.run(config, attachment, progress);
    if result.is_err() {
        keeper.remove();
    }
    drop(lock);
    result
}

/// Keeps the record of a container that runs in this process.
struct Keeper {
    record: Record,
    run_directory: PathBuf,
    names: PathBuf,
    name: String,
    id: String,
    state: ContainerState,
    is_auto_removed: bool,
    /// Whom to tell that the container has started.
    report: Option<UnixStream>,
    config: ContainerConfig,
    /// `None` when it could not be opened.
    events: Option<EventWriter>,
}

impl Keeper {
    fn new(home: &Home, config: &ContainerConfig, report: Option<UnixStream>) -> Keeper {
        let id = &config.spec.id;
        Keeper {
            record: Record::new(home.containers().join(id)),
            run_directory: home.run.join(id),
            names: home.names(),
            name: config.name.clone(),
            id: id.clone(),
            state: ContainerState::created(),
            is_auto_removed: config.is_auto_removed,
            report,
            config: config.clone(),
            events: EventLog::of(home).writer().ok(),
        }
    }

    fn run(
        &mut self,
        config: &ContainerConfig,
        attachment: Attachment,
        progress: &dyn Fn(Progress),
    ) -> Result<Outcome, StartError> {
        let name_directory = self.names.join(&self.name);
        let surroundings = Surroundings {
            state_directory: self.record.directory.clone(),
            run_directory: self.run_directory.clone(),
            writable: vec![
                self.record.directory.clone(),
                self.run_directory.clone(),
                name_directory,
            ],
            removable: [
                &self.record.directory,
                &self.run_directory,
                &self.names.join("x"),
            ]
            .iter()
            .filter_map(|path| path.parent().map(Path::to_path_buf))
            .collect(),
            attachment,
            // Nobody can read the log of what is gone.
            has_log: attachment == Attachment::Detached || !config.is_auto_removed,
        };
        container::run(&config.spec, surroundings, self, progress)
    }

    fn tell(&self, event: &Event) {
        let written = self.events.as_ref().map(|events| events.append(event));
        if let Some(Err(error)) = written {
            tracing::warn!(%error, action = event.action, "an event is not recorded");
        }
    }

    /// Removes everything of the container. What does not go now is found by the next command.
    fn remove(&self) {
        if let Err(error) = remove_files(
            &self.record,
            &self.run_directory,
            (&self.names, &self.name, &self.id),
        ) {
            tracing::warn!(%error, id = self.id, "the container's files are not all removed");
        }
        self.tell(&Event::of_container("destroy", &self.config));
    }
}

/// Removes a container's files; its lock is held by the caller.
pub(crate) fn remove_files(
    record: &Record,
    run_directory: &Path,
    (names, name, id): (&Path, &str, &str),
) -> io::Result<()> {
    names::release(names, name, id)?;
    ignore_missing(fs::remove_dir_all(run_directory))?;
    ignore_missing(fs::remove_dir_all(&record.directory))
}

impl Observer for Keeper {
    fn started(&mut self, started: &Started) -> io::Result<()> {
        self.state = ContainerState {
            status: Status::Running,
            pid: std::process::id(),
            started_at: Some(logs::now()),
            published: started.published.iter().map(bound_port).collect(),
            files_confined: Some(started.files_confined),
            ..ContainerState::created()
        };
        self.record.write_state(&self.state)?;
        self.tell(&Event::of_container("start", &self.config));
        // A command that is gone cannot print the id: then nobody would know of the container.
        self.report
            .take()
            .map_or(Ok(()), |report| send(report, &StartReport::Started))
    }

    fn ended(&mut self, outcome: &Outcome) {
        self.state.status = Status::Exited;
        self.state.pid = 0;
        self.state.exit_code = outcome.exit_code;
        self.state.reason = outcome.reason.clone().unwrap_or_default();
        self.state.finished_at = Some(logs::now());
        self.tell(&death(&self.config, outcome.exit_code));
        if self.is_auto_removed {
            return self.remove();
        }
        if let Err(error) = self.record.write_state(&self.state) {
            tracing::error!(%error, id = self.id, "the container's end is not recorded");
        }
        // The socket answers nobody any more.
        let _ = fs::remove_dir_all(&self.run_directory);
    }
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

/// Sends the one report, and its end: the socket may have other descriptors.
fn send(mut stream: UnixStream, report: &StartReport) -> io::Result<()> {
    stream.write_all(&serde_json::to_vec(report)?)?;
    stream.shutdown(Shutdown::Write)
}

/// Starts a sandbox in a process of its own and waits until its guest runs.
///
/// The process gets three descriptors and nothing else: a socket for its report as standard input, the container's
/// lock as standard output, and a file for what it says itself as standard error. They are ordinary standard
/// streams, so that no code has to run between fork and exec.
pub(crate) fn start_detached(
    home: &Home,
    config: &ContainerConfig,
    lock: &Lock,
) -> Result<(), StartError> {
    let failed = |error: io::Error| StartError::failed("cannot start a sandbox process", &error);
    let directory = home.containers().join(&config.spec.id);
    let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
    let messages = File::create(directory.join(MESSAGES)).map_err(failed)?;
    let lock = lock.0.try_clone().map_err(failed)?;
    let mut child = std::process::Command::new("/proc/self/exe")
        .arg(SANDBOX_COMMAND)
        .args([&home.data, &home.run])
        .arg(&config.spec.id)
        .current_dir("/")
        .stdin(OwnedFd::from(theirs))
        .stdout(lock)
        .stderr(messages)
        .spawn()
        .map_err(failed)?;
    let mut report = Vec::new();
    let received = (&mut ours).take(REPORT_BYTES_MAX).read_to_end(&mut report);
    match received.and_then(|_| Ok(serde_json::from_slice(&report)?)) {
        Ok(StartReport::Started) => Ok(()),
        Ok(StartReport::Failed(error)) => {
            // It is about to end by itself; afterwards its ports and files are free.
            let _ = child.wait();
            Err(error)
        }
        Err(_) => {
            let _ = child.kill();
            let status = child.wait().map_err(failed)?;
            Err(died(&directory, status))
        }
    }
}

/// The file that takes what a detached sandbox says itself: warnings, and the message of a panic.
const MESSAGES: &str = "sandbox.log";

/// Bounds what is shown of a dead sandbox's messages.
const MESSAGES_BYTES_MAX: usize = 2000;

fn died(directory: &Path, status: std::process::ExitStatus) -> StartError {
    let messages = fs::read(directory.join(MESSAGES)).unwrap_or_default();
    let tail = &messages[messages.len().saturating_sub(MESSAGES_BYTES_MAX)..];
    let message = format!(
        "the sandbox process ended before the container ran ({status}): {}",
        String::from_utf8_lossy(tail).trim()
    );
    StartError {
        kind: StartErrorKind::Failed,
        message,
        hint: None,
    }
}

/// Is the detached sandbox process: takes its descriptors, runs the container, and returns its exit code.
///
/// Errors have been told to the command that started it.
pub fn sandbox_main(home: &Home, id: &str) -> u8 {
    let (report, lock) = match take_descriptors() {
        Ok(taken) => taken,
        Err(error) => {
            tracing::error!(%error, "not started by `minke run`");
            return 125;
        }
    };
    let told = report.try_clone();
    let result = Record::new(home.containers().join(id))
        .config()
        .map_err(|error| StartError::failed("cannot read the container's record", &error))
        .and_then(|config| {
            run(
                home,
                &config,
                lock,
                Attachment::Detached,
                Some(report),
                &|_| {},
            )
        });
    match (result, told) {
        (Ok(outcome), _) => outcome.exit_code,
        (Err(error), Ok(report)) => {
            let code = error.kind.exit_code();
            let _ = send(report, &StartReport::Failed(error));
            code
        }
        (Err(error), Err(_)) => error.kind.exit_code(),
    }
}

/// Moves the report's socket and the lock away from the standard streams, leaves the caller's session and terminal.
fn take_descriptors() -> io::Result<(UnixStream, Lock)> {
    const FIRST_OTHER: i32 = 3;
    let report = UnixStream::from(fcntl_dupfd_cloexec(stdio::stdin(), FIRST_OTHER)?);
    report.peer_addr()?;
    let lock = Lock(File::from(fcntl_dupfd_cloexec(
        stdio::stdout(),
        FIRST_OTHER,
    )?));
    let null = File::options().read(true).write(true).open("/dev/null")?;
    stdio::dup2_stdin(null.as_fd())?;
    stdio::dup2_stdout(null.as_fd())?;
    rustix::process::setsid()?;
    Ok((report, lock))
}
