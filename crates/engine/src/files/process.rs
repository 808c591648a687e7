//! The process that reads the files of a container that does not run.
//!
//! Its standard input is a socket: the specification goes in, one [`Report`] comes out, then requests are served as by a running
//! sandbox. What is parsed there may be a guest's work, so it is jailed before it parses anything. It ends with the thread that started it,
//! however that ends, and with the connection.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use minke_sandbox::container::{FilesScope, StartError, serve_files};
use minke_sandbox::spec::SandboxSpec;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::stdio;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The hidden command that is this process.
pub const FILES_COMMAND: &str = "files";

/// Bounds a specification or a report.
const MESSAGE_BYTES_MAX: u32 = 64 << 20;

/// What the process is to serve.
#[derive(Serialize, Deserialize)]
struct Job {
    spec: SandboxSpec,
    scope: FilesScope,
}

/// Whether requests are served.
#[derive(Serialize, Deserialize)]
enum Report {
    Ready,
    Failed(StartError),
}

/// A process that serves; dropped, it ends.
#[derive(Debug)]
pub(crate) struct FilesProcess {
    child: Child,
    pub(crate) stream: UnixStream,
}

impl FilesProcess {
    /// Starts a process and waits until it serves.
    pub(crate) fn start(spec: &SandboxSpec, scope: FilesScope) -> Result<FilesProcess, StartError> {
        let failed = |error: io::Error| {
            StartError::failed("cannot start a process for the container's files", &error)
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let child = Command::new("/proc/self/exe")
            .arg(FILES_COMMAND)
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut process = FilesProcess {
            child,
            stream: ours,
        };
        let job = Job {
            spec: spec.clone(),
            scope,
        };
        let report = send(&process.stream, &job).and_then(|()| receive(&mut process.stream));
        match report {
            Ok(Report::Ready) => Ok(process),
            Ok(Report::Failed(error)) => Err(error),
            Err(error) => Err(failed(error)),
        }
    }
}

impl Drop for FilesProcess {
    fn drop(&mut self) {
        // At the end of the connection it makes durable what was written, and ends.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

/// Is the process; returns its exit code.
pub fn files_main() -> u8 {
    let stream = match take_socket() {
        Ok(stream) => stream,
        Err(error) => {
            tracing::error!(%error, "not started by minke");
            return 125;
        }
    };
    let ready = || send(&stream, &Report::Ready);
    let served = match receive::<Job>(&mut &stream) {
        Ok(job) => serve_files(&job.spec, job.scope, ready, &stream),
        Err(error) => Err(StartError::failed("cannot read the specification", &error)),
    };
    match served {
        Ok(()) => 0,
        Err(error) => {
            let code = error.kind.exit_code();
            let _ = send(&stream, &Report::Failed(error));
            code
        }
    }
}

fn send(stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    let length = u32::try_from(json.len()).map_err(io::Error::other)?;
    let mut stream = stream;
    stream.write_all(&length.to_le_bytes())?;
    stream.write_all(&json)
}

fn receive<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut json = Vec::new();
    stream.take(length.into()).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

/// Moves the socket away from the standard input, and ends this process with the thread that started it.
fn take_socket() -> io::Result<UnixStream> {
    const FIRST_OTHER: i32 = 3;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let socket = UnixStream::from(fcntl_dupfd_cloexec(stdio::stdin(), FIRST_OTHER)?);
    socket.peer_addr()?;
    let null = std::fs::File::open("/dev/null")?;
    stdio::dup2_stdin(null.as_fd())?;
    Ok(socket)
}
