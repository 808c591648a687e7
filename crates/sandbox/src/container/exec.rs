//! Programs that commands start in a container that runs, beside its first: `minke exec`.
//!
//! Such a process is a child of nobody, as one that `docker exec` starts is in its namespace: its parent is 0, and nobody in
//! the container waits for it. It ends with process 1 at the latest.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};

use minke_abi::Errno;
use minke_abi::linux::Signal;
use minke_kernel::process::{FsContext, ProcessImage};
use minke_kernel::{ExitStatus, Kernel, Pid, Process, Task};

use super::error::{StartError, StartErrorKind};
use super::{LiveObserver, UMASK, environment, mounts, outcome, program, streams, users};
use crate::attach::{Attached, Hub, Output, Showing, Terminal, Typing};
use crate::control::{AttachRequest, ExecRequest, Response, message};
use crate::executor::JoinHandle;
use crate::logs::Stream;
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

/// A program's terminal, and the client that is attached to it.
struct Screen {
    attached: Arc<Attached>,
    showing: Showing,
}

impl Screen {
    /// Attaches a client to the terminal of a process that runs nothing yet.
    fn open(
        terminal: Arc<Terminal>,
        request: &AttachRequest,
        client: &UnixStream,
        pid: Pid,
    ) -> io::Result<Screen> {
        let stream = client.try_clone()?;
        let hub = Arc::<Hub>::default();
        let attached = Attached::new(Arc::clone(&hub), Arc::clone(&terminal) as _);
        let output = Output {
            stream: Stream::Stdout,
            host: None,
            kept: None,
            hub,
        };
        let showing = Showing::start(terminal, output)?;
        let greeting = message::encode(&Response::Begun { pid: pid.0 });
        match attached.admit(stream, Typing::of(request), &greeting) {
            Ok(()) => Ok(Screen { attached, showing }),
            Err(message) => {
                showing.finish();
                Err(io::Error::other(message))
            }
        }
    }

    /// Tells the client the exit code, behind the last that was printed. Nobody waits for that here.
    fn end(self, exit_code: u8) {
        let Screen { attached, showing } = self;
        showing.finish_before(move || attached.end(exit_code));
    }
}

/// A program that runs for a client. When it goes away, the end is told, however it came.
struct Running {
    client: Client,
    id: String,
    exit_code: u8,
    /// With a terminal.
    screen: Option<Screen>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let exit_code = self.exit_code;
        self.client.observer.exec_ended(&self.id, exit_code);
        match self.screen.take() {
            Some(screen) => screen.end(exit_code),
            None => self.client.answer(&Response::Ended { exit_code }),
        }
    }
}

/// A program that has begun.
struct Begun {
    pid: Pid,
    running: JoinHandle<ExitStatus>,
    screen: Option<Screen>,
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
        let begun = match self.begin(streams, &client.stream) {
            Ok(begun) => begun,
            Err(error) => return client.answer(&not_begun(error)),
        };
        let Begun {
            pid,
            running,
            screen,
        } = begun;
        if screen.is_none() {
            client.answer(&Response::Begun { pid: pid.0 });
        }
        let mut told = Running {
            client,
            id: self.request.id.clone(),
            // When the container ends, this future goes away as the process does.
            exit_code: 128 + Signal::KILL.raw(),
            screen,
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
        client: &UnixStream,
    ) -> Result<Begun, StartError> {
        let (process, image) = self.make_process()?;
        match self.load(&process, image, streams, client) {
            Ok(begun) => Ok(begun),
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
        client: &UnixStream,
    ) -> Result<Begun, StartError> {
        let task = Task::main_of(Arc::clone(process));
        let terminal = self
            .open_streams(&task, streams)
            .map_err(|error| StartError::failed("cannot open the standard streams", &error))?;
        let path = image.path.clone();
        let image = self.launcher.open_from_outside(&task, image);
        let image = image.map_err(|errno| cannot_execute(&path, errno))?;
        let pid = process.pid;
        let screen = terminal.zip(self.request.terminal.as_ref());
        let screen = screen
            .map(|(terminal, request)| Screen::open(terminal, request, client, pid))
            .transpose()
            .map_err(|error| StartError::failed("cannot show the terminal", &error))?;
        Ok(Begun {
            pid,
            running: self.launcher.start(Arc::clone(process), image),
            screen,
        })
    }

    /// Opens descriptors 0, 1 and 2; returns the terminal that they are, if one is asked for.
    fn open_streams(
        &self,
        task: &Task,
        passed: [Option<OwnedFd>; 3],
    ) -> io::Result<Option<Arc<Terminal>>> {
        match &self.request.terminal {
            Some(request) => {
                let size = request.window.unwrap_or_default();
                streams::open_terminal(&self.kernel, task, size).map(Some)
            }
            None => {
                let reactor = self.launcher.spawner().reactor();
                streams::open_passed(task, reactor, passed).map(|()| None)
            }
        }
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
