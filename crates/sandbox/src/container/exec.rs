//! Programs that commands start in a container that runs, beside its first: `minke exec`.
//!
//! Such a process is a child of nobody, as one that `docker exec` starts is in its namespace: its parent is 0, and nobody in
//! the container waits for it. It ends with process 1 at the latest.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};

use minke_abi::Errno;
use minke_abi::linux::Signal;
use minke_kernel::process::{FsContext, ProcessImage};
use minke_kernel::{ExitStatus, Kernel, Pid, Process, Task};

use super::error::{StartError, StartErrorKind};
use super::{LiveObserver, UMASK, environment, mounts, outcome, program, streams, users};
use crate::control::{ExecRequest, Response, message};
use crate::executor::JoinHandle;
use crate::processes::Launcher;
use crate::runtime::module_server::ModuleServer;

/// What starts programs for commands. It keeps nothing of the container alive.
pub(super) struct ExecService {
    launcher: Weak<Launcher>,
    hostname: String,
    observer: Arc<dyn LiveObserver>,
}

impl ExecService {
    pub(super) fn new(
        launcher: &Arc<Launcher>,
        hostname: &str,
        observer: Arc<dyn LiveObserver>,
    ) -> ExecService {
        ExecService {
            launcher: Arc::downgrade(launcher),
            hostname: hostname.to_owned(),
            observer,
        }
    }

    /// Has a program started by a worker, which answers the client; an error is the answer to be given instead.
    pub(super) fn start(
        &self,
        kernel: Arc<Kernel>,
        request: ExecRequest,
        descriptors: Vec<OwnedFd>,
        stream: UnixStream,
    ) -> Result<(), Response> {
        let launcher = self
            .launcher
            .upgrade()
            .ok_or_else(|| refused("the container has ended"))?;
        let sent = Sent::sort(&request, descriptors)
            .ok_or_else(|| refused("the request came with other descriptors than it tells of"))?;
        if let Some(modules) = sent.modules {
            let server = ModuleServer::connected(modules);
            launcher.load_through(server.map_err(|error| refused(&error.to_string()))?);
        }
        if !launcher.can_load() {
            return Err(Response::ModulesWanted);
        }
        let spawner = launcher.spawner().clone();
        let exec = Exec {
            kernel,
            launcher,
            request,
            hostname: self.hostname.clone(),
        };
        let client = Client {
            stream,
            observer: Arc::clone(&self.observer),
        };
        // Nobody here waits for the future: the client hears of the end from it.
        drop(spawner.spawn(exec.run(sent.streams, client)));
        Ok(())
    }
}

fn refused(message: &str) -> Response {
    Response::Refused {
        message: message.to_owned(),
    }
}

/// Descriptors that came with a request, by what they are for.
struct Sent {
    /// Standard input, output and error; `None` for `/dev/null`.
    streams: [Option<OwnedFd>; 3],
    modules: Option<OwnedFd>,
}

impl Sent {
    /// `None` when others came than the request tells of.
    fn sort(request: &ExecRequest, descriptors: Vec<OwnedFd>) -> Option<Sent> {
        let told = [
            request.has_input,
            request.has_outputs,
            request.has_outputs,
            request.has_modules,
        ];
        if descriptors.len() != told.iter().filter(|is_told| **is_told).count() {
            return None;
        }
        let mut descriptors = descriptors.into_iter();
        let next = |is_told: bool| is_told.then(|| descriptors.next()).flatten();
        let [input, output, error, modules] = told.map(next);
        Some(Sent {
            streams: [input, output, error],
            modules,
        })
    }
}

/// Who asked for a program, and who else is told of its end.
struct Client {
    stream: UnixStream,
    observer: Arc<dyn LiveObserver>,
}

impl Client {
    fn answer(&self, response: &Response) {
        // A client that is gone, or does not read, is told nothing. The process goes on.
        let _ = (&self.stream).write_all(&message::encode(response));
    }
}

/// A program that runs for a client. When it goes away, the end is told, however it came.
struct Running {
    client: Client,
    id: String,
    exit_code: u8,
}

impl Drop for Running {
    fn drop(&mut self) {
        let exit_code = self.exit_code;
        self.client.observer.exec_ended(&self.id, exit_code);
        self.client.answer(&Response::Ended { exit_code });
    }
}

/// A program that a client asks for.
struct Exec {
    kernel: Arc<Kernel>,
    launcher: Arc<Launcher>,
    request: ExecRequest,
    hostname: String,
}

impl Exec {
    /// Runs the program to its end. Loading it may take its time: the executor lets others run meanwhile.
    async fn run(self, streams: [Option<OwnedFd>; 3], client: Client) {
        let (process, running) = match self.begin(streams) {
            Ok(begun) => begun,
            Err(error) => return client.answer(&not_begun(error)),
        };
        let pid = process.pid;
        drop(process);
        client.answer(&Response::Begun { pid: pid.0 });
        let mut told = Running {
            client,
            id: self.request.id.clone(),
            // When the container ends, this future goes away as the process does.
            exit_code: 128 + Signal::KILL.raw(),
        };
        told.exit_code = match running.await {
            Ok(status) => outcome(&status).exit_code,
            Err(_) => 128 + Signal::ABRT.raw(),
        };
        self.kernel.reap(pid);
    }

    fn begin(
        &self,
        streams: [Option<OwnedFd>; 3],
    ) -> Result<(Arc<Process>, JoinHandle<ExitStatus>), StartError> {
        let (process, image) = self.make_process()?;
        match self.load(&process, image, streams) {
            Ok(running) => Ok((process, running)),
            Err(error) => {
                self.kernel.reap(process.pid);
                process.exit(ExitStatus::Exited(0));
                Err(error)
            }
        }
    }

    /// Makes a process that runs nothing yet, and says what it is to run.
    fn make_process(&self) -> Result<(Arc<Process>, ProcessImage), StartError> {
        let (kernel, request) = (&self.kernel, &self.request);
        let user = users::find(&kernel.mounts, &request.user)?;
        let word = request.args.first().map_or("", String::as_str);
        let path = program::find(&kernel.mounts, &request.program_paths, word)?;
        let image = ProcessImage {
            path: path.into_bytes(),
            args: request
                .args
                .iter()
                .cloned()
                .map(String::into_bytes)
                .collect(),
            env: environment(&request.env, &self.hostname, &user.home),
            ..ProcessImage::default()
        };
        let fs = FsContext {
            root: kernel.mounts.root(),
            cwd: mounts::existing_directory(&kernel.mounts, &request.cwd)?,
            umask: UMASK,
        };
        let process = kernel.spawn(Pid(0), image.clone(), user.credentials, fs);
        let process =
            process.map_err(|errno| StartError::failed("cannot make another process", &errno))?;
        Ok((process, image))
    }

    fn load(
        &self,
        process: &Arc<Process>,
        image: ProcessImage,
        streams: [Option<OwnedFd>; 3],
    ) -> Result<JoinHandle<ExitStatus>, StartError> {
        let task = Task::main_of(Arc::clone(process));
        streams::open_passed(&task, self.launcher.spawner().reactor(), streams)
            .map_err(|error| StartError::failed("cannot open the standard streams", &error))?;
        let path = image.path.clone();
        let image = self.launcher.open_from_outside(&task, image);
        let image = image.map_err(|errno| cannot_execute(&path, errno))?;
        Ok(self.launcher.start(Arc::clone(process), image))
    }
}

/// Docker: 127 for what is not there, such as a script's interpreter, 126 for what cannot be executed.
fn cannot_execute(path: &[u8], errno: Errno) -> StartError {
    let (kind, hint) = match errno {
        Errno::ENOENT | Errno::ENOTDIR => (
            StartErrorKind::NotFound,
            "check the interpreter in the script's first line",
        ),
        Errno::ENOMEM | Errno::EAGAIN => (
            StartErrorKind::Failed,
            "give the container more memory or processes with `minke update`",
        ),
        Errno::EACCES => (
            StartErrorKind::NotExecutable,
            "mark it executable, with `COPY --chmod=755` in the Balenafile",
        ),
        _ => (
            StartErrorKind::NotExecutable,
            "name a WebAssembly module, or a script that begins with `#!`",
        ),
    };
    let path = String::from_utf8_lossy(path);
    StartError::new(kind, format!("cannot execute `{path}`: {errno}"), hint)
}

fn not_begun(error: StartError) -> Response {
    Response::NotBegun {
        exit_code: error.kind.exit_code(),
        message: error.message,
        hint: error.hint,
    }
}
