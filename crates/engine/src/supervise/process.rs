//! A sandbox in a process of its own: how it is started, and what it does.
//!
//! The process gets three descriptors and nothing else: a connection to whoever starts it as standard input, the container's
//! lock as standard output, and a file for what it says itself as standard error. They are ordinary standard
//! streams, so that no code has to run between fork and exec.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio;

use super::{
    Progress, StartError, StartErrorKind, StartReport, StartRequest, Starter, message, run, send,
};
use crate::home::Home;
use crate::record::{Lock, Record};

/// The hidden command that runs a detached sandbox.
pub const SANDBOX_COMMAND: &str = "sandbox";

/// Bounds what is shown of a dead sandbox's messages.
const MESSAGES_BYTES_MAX: usize = 2000;

/// A process that has started a container.
pub(crate) struct StartedProcess {
    pub(crate) child: Child,
    /// The connection over which that was told.
    pub(crate) stream: UnixStream,
}

/// Starts a sandbox in a process of its own and waits until its guest runs.
pub(crate) fn start_sandbox(
    home: &Home,
    id: &str,
    lock: &Lock,
    request: StartRequest,
    progress: &dyn Fn(Progress),
) -> Result<StartedProcess, StartError> {
    start(SANDBOX_COMMAND, (home, id, lock), request, progress)
}

/// Starts a supervisor, which starts the sandbox; waits until the guest runs.
pub(crate) fn start_supervisor(
    home: &Home,
    id: &str,
    lock: &Lock,
) -> Result<StartedProcess, StartError> {
    let request = StartRequest::default();
    start(
        super::SUPERVISOR_COMMAND,
        (home, id, lock),
        request,
        &|_| {},
    )
}

fn start(
    command: &str,
    (home, id, lock): (&Home, &str, &Lock),
    request: StartRequest,
    progress: &dyn Fn(Progress),
) -> Result<StartedProcess, StartError> {
    let failed = |error: io::Error| StartError::failed("cannot start a sandbox process", &error);
    // What the process says itself: warnings, and the message of a panic.
    let messages_path = home.containers().join(id).join(format!("{command}.log"));
    let (mut stream, theirs) = UnixStream::pair().map_err(failed)?;
    let messages = File::create(&messages_path).map_err(failed)?;
    let lock = lock.0.try_clone().map_err(failed)?;
    let mut child = Command::new("/proc/self/exe")
        .arg(command)
        .args([&home.data, &home.run])
        .arg(id)
        .current_dir("/")
        .stdin(OwnedFd::from(theirs))
        .stdout(lock)
        .stderr(messages)
        .spawn()
        .map_err(failed)?;
    match asked(&mut stream, request, progress) {
        Ok(StartReport::Failed(error)) => {
            // It is about to end by itself; afterwards its ports and files are free.
            let _ = child.wait();
            Err(error)
        }
        Ok(_) => Ok(StartedProcess { child, stream }),
        Err(_) => {
            let _ = child.kill();
            let status = child.wait().map_err(failed)?;
            Err(died(&messages_path, status))
        }
    }
}

/// Sends a process its request, and waits for the last that it tells.
fn asked(
    stream: &mut UnixStream,
    request: StartRequest,
    progress: &dyn Fn(Progress),
) -> io::Result<StartReport> {
    message::send(stream, &request)?;
    loop {
        match message::receive(stream)? {
            StartReport::Progress { progress: it } => progress(it),
            report => return Ok(report),
        }
    }
}

fn died(messages_path: &Path, status: ExitStatus) -> StartError {
    let messages = fs::read(messages_path).unwrap_or_default();
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
    let (report, lock, request) = match take_descriptors() {
        Ok(taken) => taken,
        Err(error) => {
            tracing::error!(%error, "not started by `minke run`");
            return 125;
        }
    };
    let stream = Arc::new(report);
    // A command that is gone is noticed when the start is told.
    let tell = |report: &StartReport| drop(send(&stream, report));
    let result = Record::new(home.containers().join(id))
        .config()
        .map_err(|error| StartError::failed("cannot read the container's record", &error))
        .and_then(|config| {
            let stream = Arc::clone(&stream);
            let starter = Starter::Other { stream, request };
            let progress = |progress| tell(&StartReport::Progress { progress });
            run(home, &config, lock, starter, &progress)
        });
    match result {
        Ok(outcome) => outcome.exit_code,
        Err(error) => {
            let code = error.kind.exit_code();
            tell(&StartReport::Failed(error));
            code
        }
    }
}

/// Moves the connection and the lock away from the standard streams and reads what is asked for; leaves the caller's session and terminal.
pub(super) fn take_descriptors() -> io::Result<(UnixStream, Lock, StartRequest)> {
    const FIRST_OTHER: i32 = 3;
    let report = UnixStream::from(fcntl_dupfd_cloexec(stdio::stdin(), FIRST_OTHER)?);
    let request = message::receive(&mut &report)?;
    let lock = Lock(File::from(fcntl_dupfd_cloexec(
        stdio::stdout(),
        FIRST_OTHER,
    )?));
    let null = File::options().read(true).write(true).open("/dev/null")?;
    stdio::dup2_stdin(null.as_fd())?;
    stdio::dup2_stdout(null.as_fd())?;
    rustix::process::setsid()?;
    Ok((report, lock, request))
}
