//! One program of a build, in a sandbox process of its own.
//!
//! [`Step::start`] executes this binary again as `minke step`. Its standard input is a socket: the specification goes in,
//! [`StepEvent`]s come out as lines of JSON, and after a program that ended with 0 the tar of what it changed, to the end of the
//! stream. Its standard output and error are the program's. A step ends with the thread that started it, however that ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use minke_image::LAYER_BYTES_MAX;
use minke_sandbox::container::{Outcome, Progress, StartError, run_step};
use minke_sandbox::spec::{
    LimitsSpec, MountSpec, NetworkModeSpec, NetworkSpec, ProcessSpec, RootDiskSpec, RootSpec,
    SandboxSpec,
};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Pid, Signal, set_parent_process_death_signal};
use rustix::stdio;
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::plan;

/// The hidden command that runs a step.
pub const STEP_COMMAND: &str = "step";

/// Bounds a specification, which holds a build's environment and its secrets.
const SPEC_BYTES_MAX: u64 = 64 << 20;

/// Bounds an event: an error's text, which may quote what was typed.
const EVENT_BYTES_MAX: u64 = 1 << 20;

/// What a step tells, a line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum StepEvent {
    /// The program is compiled, which it is once only.
    Compiling { size_bytes: u64 },
    /// The program never ran, or what it made cannot be kept.
    Failed(StartError),
    Ended {
        exit_code: u8,
        reason: Option<String>,
        is_host_full: bool,
    },
}

/// A program to run.
#[derive(Debug, Clone)]
pub struct NewStep {
    /// The snapshots of its root's disk, lowest first.
    pub snapshots: Vec<PathBuf>,
    /// Where the file of what it changes is made; it loses its name before the program runs.
    pub changes: PathBuf,
    pub args: Vec<String>,
    /// Where it may be, best first.
    pub program_paths: Vec<String>,
    pub env: Vec<String>,
    pub cwd: String,
    /// As typed; empty is root.
    pub user: String,
    pub mounts: Vec<MountSpec>,
    pub network: NetworkModeSpec,
}

/// The name of the machine that programs of builds see. BuildKit: `buildkitsandbox`.
const HOSTNAME: &str = "buildkitsandbox";

impl NewStep {
    fn specification(&self, home: &Home) -> SandboxSpec {
        SandboxSpec {
            id: String::new(),
            hostname: HOSTNAME.to_owned(),
            root: RootSpec {
                disk: Some(RootDiskSpec {
                    snapshots: self.snapshots.clone(),
                    changes: self.changes.clone(),
                    is_temporary: true,
                }),
                is_read_only: false,
                program: None,
            },
            mounts: self.mounts.clone(),
            process: ProcessSpec {
                args: self.args.clone(),
                program_paths: self.program_paths.clone(),
                env: self.env.clone(),
                cwd: self.cwd.clone(),
                user: self.user.clone(),
                stop_signal: "KILL".to_owned(),
                ..ProcessSpec::default()
            },
            network: NetworkSpec {
                mode: self.network,
                ..NetworkSpec::default()
            },
            limits: LimitsSpec {
                // More makes no layer.
                root_bytes_max: Some(LAYER_BYTES_MAX),
                ..plan::limits_default()
            },
            module_cache: home.modules(),
        }
    }
}

/// A program that runs.
#[derive(Debug)]
pub struct Step {
    child: Child,
    socket: BufReader<UnixStream>,
}

/// How a program ended.
#[derive(Debug)]
pub struct StepEnd {
    pub exit_code: u8,
    /// Of a signal or a trap.
    pub reason: Option<String>,
    /// Whether the host had no space left for what it wrote.
    pub is_host_full: bool,
}

impl Step {
    /// Starts a program.
    pub fn start(home: &Home, new: &NewStep) -> Result<Step, StartError> {
        let failed =
            |error: io::Error| StartError::failed("cannot start a sandbox process", &error);
        let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
        let child = Command::new("/proc/self/exe")
            .arg(STEP_COMMAND)
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let step = Step {
            child,
            socket: BufReader::new(ours.try_clone().map_err(failed)?),
        };
        let written = serde_json::to_writer(&ours, &new.specification(home))
            .map_err(io::Error::from)
            .and_then(|()| ours.flush())
            .and_then(|()| ours.shutdown(Shutdown::Write));
        // A sandbox that is gone already says more when it is asked how it ended.
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failed(error)),
            _ => Ok(step),
        }
    }

    /// Returns the sandbox's process.
    pub fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Takes what the program prints. Whoever does not read it keeps the program waiting.
    pub fn take_output(&mut self) -> Option<(ChildStdout, ChildStderr)> {
        self.child.stdout.take().zip(self.child.stderr.take())
    }

    /// Waits until the program has ended. `compiling` is told of a first compilation, with the program's size.
    pub fn wait(&mut self, compiling: &mut dyn FnMut(u64)) -> Result<StepEnd, StartError> {
        loop {
            match self.event()? {
                StepEvent::Compiling { size_bytes } => compiling(size_bytes),
                StepEvent::Failed(error) => return Err(error),
                StepEvent::Ended {
                    exit_code,
                    reason,
                    is_host_full,
                } => {
                    return Ok(StepEnd {
                        exit_code,
                        reason,
                        is_host_full,
                    });
                }
            }
        }
    }

    fn event(&mut self) -> Result<StepEvent, StartError> {
        let mut line = Vec::new();
        let read = (&mut self.socket)
            .take(EVENT_BYTES_MAX)
            .read_until(b'\n', &mut line);
        let event = read.and_then(|_| Ok(serde_json::from_slice(&line)?));
        event.map_err(|_| self.died())
    }

    /// Returns what the program changed, as a tar, to be read to its end. It is whole once [`Step::finish`] says so.
    pub fn changes(&mut self) -> impl Read {
        &mut self.socket
    }

    /// Waits for the process, which must have ended well.
    pub fn finish(mut self) -> Result<(), StartError> {
        let status = self.child.wait();
        match status {
            Ok(status) if status.success() => Ok(()),
            _ => Err(self.died()),
        }
    }

    fn died(&mut self) -> StartError {
        let _ = self.child.kill();
        let ended = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let error = io::Error::other(ended);
        StartError::failed("the sandbox process of the step ended early", &error)
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        // One that has ended is only waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the process of a step. Its exit code is 0 if everything that it had to say was said.
pub fn step_main() -> u8 {
    let mut socket = match take_socket() {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, "not started by `minke build`");
            return 125;
        }
    };
    let result = read_spec(&mut socket)
        .map_err(|error| StartError::failed("cannot read the step", &error))
        .and_then(|spec| run(&spec, &socket));
    match result {
        Ok(()) => 0,
        Err(error) => {
            let code = error.kind.exit_code();
            let _ = send(&socket, &StepEvent::Failed(error));
            code
        }
    }
}

fn run(spec: &SandboxSpec, socket: &UnixStream) -> Result<(), StartError> {
    let compiling = |progress: Progress| {
        if let Progress::Compiling { bytes } = progress {
            // Nobody waits for it.
            let _ = send(socket, &StepEvent::Compiling { size_bytes: bytes });
        }
    };
    let ended = |outcome: &Outcome| {
        let event = StepEvent::Ended {
            exit_code: outcome.exit_code,
            reason: outcome.reason.clone(),
            // Nothing else of a step can be lost.
            is_host_full: outcome.lost.is_some(),
        };
        send(socket, &event)
    };
    run_step(spec, &compiling, ended, &mut &*socket)
}

fn read_spec(socket: &mut UnixStream) -> io::Result<SandboxSpec> {
    let mut bytes = Vec::new();
    socket.take(SPEC_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn send(mut socket: &UnixStream, event: &StepEvent) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    socket.write_all(&line)
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
