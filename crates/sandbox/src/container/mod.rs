//! A container from its specification to its end: the parts of this crate put together.
//!
//! [`run`] opens everything that the container needs (ports, layers, binds, the compiled program), closes the jail
//! behind it, and only then lets the guest run, on a worker of the executor. The calling thread serves the
//! control socket meanwhile.
//!
//! | module | is |
//! |---|---|
//! | `changes` | what a build's step made of its root, as a tar |
//! | `exec` | programs that commands start beside the first |
//! | `footprint` | the sandbox's own memory |
//! | `limits` | what processes may have, and the container's share of the CPUs |
//! | `mounts` | the root, `/dev`, `/proc`, binds and tmpfs |
//! | `parts` | mounts of a build's step: parts of layers, files in memory |
//! | `pause` | all processes stand still for a while |
//! | `program` | which file a command's first word means |
//! | `step` | a step of a build: a container without a record |
//! | `stopped` | the files of a container that does not run |
//! | `streams` | standard streams: the caller's, the log, or both |
//! | `target` | what the control socket acts on |
//! | `top` | its processes, for commands |
//! | `users` | who the first process acts as |

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use minke_abi::linux::Signal;
use minke_kernel::kernel::MemoryBudget;
use minke_kernel::net::{Network, NetworkMode};
use minke_kernel::platform::Clock;
use minke_kernel::process::{FsContext, ProcessImage};
use minke_kernel::{ExitStatus, Kernel, KernelConfig, Pid, Process, Task};
use rustix::process::{Resource, Rlimit};

use crate::attach::{Attached, Output, Showing, Terminal, Typing};
use crate::control::{AttachRequest, Listener, Server};
use crate::disks::{Disks, Lower};
use crate::executor::{self, Executor, ExecutorConfig, Spawner, TaskError};
use crate::files::changes::RuntimePaths;
use crate::jail::{self, FilesConfined, JailPolicy};
use crate::platform::{HostClock, HostEntropy, HostInternet, PublishedSockets, Resolver};
use crate::processes::Launcher;
pub use crate::runtime::Progress;
use crate::runtime::module_server::ModuleServer;
use crate::runtime::pagemap::PageMap;
use crate::runtime::{Compiler, Pool, Program, Runtime, RuntimeConfig};
use crate::signals;
use crate::spec::{MountSpec, NetworkModeSpec, PublishedPort, SandboxSpec};

mod changes;
mod error;
mod exec;
mod footprint;
mod limits;
mod mounts;
mod parts;
mod pause;
mod program;
mod step;
mod stopped;
mod streams;
mod target;
mod top;
mod users;

use exec::ExecService;
use mounts::Assembled;
use pause::PauseService;
use target::{FilesService, Services, Target};

pub use error::{StartError, StartErrorKind};
pub use step::run_step;
pub use stopped::{FilesScope, serve_files};

/// Instances that come from the pool, in containers whose programs may start others: more than a shell's pipelines need. Further ones
/// are made on demand.
const POOLED_INSTANCES_MAX: u32 = 64;

/// Exit code of a container whose guest ended well and whose disks could not be written. Docker: 125 is the engine's own failure.
const LOST_CODE: u8 = 125;

/// How the reason of a trap begins that came for want of memory.
const OUT_OF_MEMORY: &str = "out of memory: ";

/// Permission bits that new files of the first process lack. Docker: 0022.
const UMASK: u32 = 0o022;

/// What is around a sandbox.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Takes the log.
    pub state_directory: PathBuf,
    /// Takes the control socket.
    pub run_directory: PathBuf,
    /// What the observer still writes to and removes once the jail is closed.
    pub writable: Vec<PathBuf>,
    /// Directories whose subdirectories the observer still removes, once they are empty.
    pub removable: Vec<PathBuf>,
    pub attachment: Attachment,
    /// Is attached before the guest runs.
    pub first_command: Option<FirstCommand>,
    /// Takes this process into a control group, when `0` is written to it.
    pub control_group: Option<Arc<File>>,
    /// Whether what is printed is kept.
    pub has_log: bool,
}

/// A command that starts a container in another process and is attached to it.
#[derive(Clone, Debug)]
pub struct FirstCommand {
    pub request: AttachRequest,
    /// Frames go over it once the start has been told.
    pub stream: Arc<UnixStream>,
}

/// The surroundings of what leaves nothing behind and is asked by nobody.
fn surroundings_of_nothing() -> Surroundings {
    Surroundings {
        state_directory: PathBuf::new(),
        run_directory: PathBuf::new(),
        writable: Vec::new(),
        removable: Vec::new(),
        attachment: Attachment::Attached {
            stdin: Stdin::Closed,
        },
        first_command: None,
        control_group: None,
        has_log: false,
    }
}

/// Where the standard streams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// To the log alone; there is no input.
    Detached,
    /// To those of the calling process.
    Attached { stdin: Stdin },
}

/// Whether an attached container reads the caller's standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// `-i`.
    Open,
    /// It reads the end at once.
    Closed,
}

/// Is told what becomes of a container, in the process that runs it.
pub trait Observer {
    /// Everything is there and the guest runs next; an error keeps it from running.
    fn started(&mut self, started: &Started) -> io::Result<()>;

    /// The guest has ended. Whoever waits for that is told after this returns.
    fn ended(&mut self, outcome: &Outcome);

    /// Returns who is told of what commands do while it runs. Called once, before the jail closes.
    fn live_observer(&self) -> Arc<dyn LiveObserver>;
}

/// Is told of what commands do with a container that runs, by any thread.
pub trait LiveObserver: Send + Sync {
    /// The program that was started under this id beside the first has ended. Whoever waits for that is told after this returns.
    fn exec_ended(&self, id: &str, exit_code: u8);

    /// All processes stand still. With an error they go on.
    fn paused(&self) -> io::Result<()>;

    /// They go on.
    fn resumed(&self);
}

/// What is known once a container starts.
#[derive(Clone, Debug)]
pub struct Started {
    /// Published ports, with the addresses that were bound.
    pub published: Vec<(PublishedPort, SocketAddr)>,
    /// How far the host's kernel confines the sandbox's files.
    pub files_confined: FilesConfined,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// 128 + N after signal N; a trap counts as `SIGABRT`.
    pub exit_code: u8,
    /// Of a signal or a trap.
    pub reason: Option<String>,
    /// Whether the guest ended for want of memory.
    pub is_out_of_memory: bool,
    /// Why what the guest wrote is not all where it should be.
    pub lost: Option<String>,
}

impl Outcome {
    /// A guest that ended well did not, if what it wrote is not all where it should be.
    fn lose(&mut self, why: String) {
        if self.exit_code == 0 {
            self.exit_code = LOST_CODE;
        }
        self.reason = Some(match self.reason.take() {
            Some(reason) => format!("{reason}; {why}"),
            None => why.clone(),
        });
        self.lost = Some(why);
    }
}

/// Runs a container to its end. An error means that its guest never ran. `progress` is told of a first compilation.
pub fn run(
    spec: &SandboxSpec,
    surroundings: Surroundings,
    observer: &mut dyn Observer,
    progress: &dyn Fn(Progress),
) -> Result<Outcome, StartError> {
    footprint::share_heap();
    raise_descriptor_limit();
    let mut prepared = Prepared::new(spec, &surroundings, progress)?;
    let control_group = surroundings.control_group.clone();
    let first_command = surroundings.first_command.clone();
    let listener = Listener::bind(&surroundings.run_directory)
        .map_err(|error| StartError::failed("cannot make the control socket", &error))?;
    let live_observer = observer.live_observer();
    let jailed = jail::enter(&policy(spec, surroundings))
        .map_err(|error| StartError::failed("cannot close the jail", &error))?;
    let mut server = prepared
        .server(listener, control_group, live_observer, spec)
        .map_err(|error| StartError::failed("cannot serve the control socket", &error))?;
    let attached = Arc::clone(&prepared.attached);
    let terminal = prepared.terminal.take();
    let showing = terminal.map(|(terminal, output)| Showing::start(terminal, output));
    let showing = showing
        .transpose()
        .map_err(|error| StartError::failed("cannot show the container's terminal", &error))?;
    if let Some(command) = first_command {
        admit(&attached, &command)
            .map_err(|error| StartError::failed("cannot attach the command", &error))?;
    }
    let started = Started {
        published: prepared.published.clone(),
        files_confined: jailed.files,
    };
    observer
        .started(&started)
        .map_err(|error| StartError::failed("cannot record the start", &error))?;
    let mut disks = std::mem::take(&mut prepared.disks);
    disks
        .start_writing()
        .map_err(|error| StartError::failed("cannot start to write disks back", &error))?;
    let mut outcome = prepared.run(&mut server);
    if let Err(reason) = disks.finish() {
        outcome.lose(reason);
    }
    // What was printed is in the log before anybody is told of the end.
    if let Some(showing) = showing {
        showing.finish();
    }
    observer.ended(&outcome);
    server.finish(outcome.exit_code);
    attached.finish(outcome.exit_code);
    Ok(outcome)
}

/// Attaches the command that starts the container. It gets no greeting: what tells it of the start goes over the same connection.
fn admit(attached: &Arc<Attached>, command: &FirstCommand) -> io::Result<()> {
    let stream = command.stream.try_clone()?;
    let admitted = attached.admit(stream, Typing::of(&command.request), &[]);
    admitted.map_err(io::Error::other)
}

/// The host limits descriptors of the sandbox for all its guests together; the kernel limits each guest.
fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // With fewer, guests see `EMFILE` earlier.
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
}

/// What stays reachable once the guest runs.
fn policy(spec: &SandboxSpec, surroundings: Surroundings) -> JailPolicy {
    let mut policy = JailPolicy {
        readable: Vec::new(),
        writable: surroundings.writable,
        removable: surroundings.removable,
        has_network: spec.network.mode != NetworkModeSpec::None,
    };
    for mount in &spec.mounts {
        match mount {
            MountSpec::Volume { is_disk: true, .. } => {}
            MountSpec::Bind {
                source,
                is_read_only: true,
                ..
            }
            | MountSpec::Volume {
                source,
                is_read_only: true,
                ..
            } => policy.readable.push(source.clone()),
            MountSpec::Bind { source, .. } | MountSpec::Volume { source, .. } => {
                policy.writable.push(source.clone());
            }
            // Disks are open already, and the path of none is needed again.
            MountSpec::Disk { .. }
            | MountSpec::Tmpfs { .. }
            | MountSpec::Layers { .. }
            | MountSpec::File { .. } => {}
        }
    }
    policy
}

/// A container whose first process exists and has run nothing yet.
struct Prepared {
    executor: Executor,
    kernel: Arc<Kernel>,
    task: Arc<Task>,
    program: Arc<Program>,
    /// Starts other programs.
    launcher: Arc<Launcher>,
    published: Vec<(PublishedPort, SocketAddr)>,
    /// Commands that see what it prints.
    attached: Arc<Attached>,
    /// With `-t`, and where it is to be shown.
    terminal: Option<(Arc<Terminal>, Output)>,
    /// What the root was before anything changed it.
    lower: Lower,
    disks: Disks,
}

impl Prepared {
    fn new(
        spec: &SandboxSpec,
        surroundings: &Surroundings,
        progress: &dyn Fn(Progress),
    ) -> Result<Prepared, StartError> {
        // First what fails most often and costs least.
        let published = PublishedSockets::bind(&spec.network.published)?;
        limits::weigh(&spec.limits);
        let bound = published.bound.clone();
        let executor = Executor::new(ExecutorConfig::for_this_machine())
            .map_err(|error| StartError::failed("cannot start the executor", &error))?;
        let Made {
            kernel,
            lower,
            disks,
        } = make_kernel(spec, &executor, published)?;
        let user = users::find(&kernel.mounts, &spec.process.user)?;
        let runtime = Runtime::new(&RuntimeConfig {
            cache: Some(&spec.module_cache),
            compiler: Compiler::InChild,
            pool: Pool::AmongOthers {
                instances_max: POOLED_INSTANCES_MAX,
            },
        });
        let loaded = program::load(&runtime, (&kernel.mounts, &disks), spec, progress)?;
        let launcher = launcher(runtime, &loaded.program, spec, &executor)?;
        let process = make_process(&kernel, spec, user, loaded.path)?;
        let task = Arc::new(Task::main_of(process));
        let reactor = executor.reactor();
        let opened = streams::open(&kernel, &task, reactor, surroundings, &spec.process)
            .map_err(|error| StartError::failed("cannot open the standard streams", &error))?;
        let quota = executor.quota().set(spec.limits.cpus);
        quota.map_err(|error| StartError::failed("cannot limit the CPU time", &error))?;
        Ok(Prepared {
            task,
            executor,
            kernel,
            program: loaded.program,
            launcher,
            published: bound,
            attached: opened.attached,
            terminal: opened.terminal,
            lower,
            disks,
        })
    }

    fn server(
        &mut self,
        listener: Listener,
        control_group: Option<Arc<File>>,
        live_observer: Arc<dyn LiveObserver>,
        spec: &SandboxSpec,
    ) -> io::Result<Server> {
        let signals = signals::forward()?;
        let observer = Arc::clone(&live_observer);
        let stop_signal = &spec.process.stop_signal;
        let services = Services {
            control_group,
            files: FilesService::new(self.lower.clone(), RuntimePaths::of(spec)),
            root: self.disks.take_root().map(Arc::new),
            exec: ExecService::new(&self.launcher, &spec.hostname, observer),
            pause: PauseService::new(self.executor.spawner(), stop_signal, live_observer),
            attached: Arc::clone(&self.attached),
        };
        listener.server(
            Some(signals),
            Arc::new(Target::new(
                &self.kernel,
                &self.task.process,
                &self.executor,
                services,
            )),
        )
    }

    /// Runs the first process to its end; the others end with it.
    fn run(self, server: &mut Server) -> Outcome {
        let Prepared {
            executor,
            kernel,
            task,
            program,
            launcher,
            ..
        } = self;
        let process = Arc::clone(&task.process);
        // This process ends next: to unmap the guest's reserved address space piece by piece would only delay it.
        std::mem::forget(Arc::clone(&program));
        executor::take_short_turns();
        let spawner = executor.spawner();
        // Commands start programs by it too, for as long as it is here.
        let first = run_first(program, task, Arc::clone(&launcher), spawner);
        let running = executor.spawn(first);
        let Some(status) = server.serve_until(running) else {
            // Its threads have had no turn yet to see it. They need none: they end with this process.
            std::mem::forget(executor);
            let status = doomed(&process);
            process.exit(status.clone());
            return outcome(&status);
        };
        drop(executor);
        kernel.shut_down();
        ended(status)
    }

    /// The same for a container that nobody asks anything.
    fn run_unasked(self) -> Outcome {
        let Prepared {
            executor,
            kernel,
            task,
            program,
            launcher,
            ..
        } = self;
        let spawner = executor.spawner();
        let status = executor.run(run_first(program, task, launcher, spawner));
        drop(executor);
        kernel.shut_down();
        ended(status)
    }
}

/// Runs the first process to its end.
async fn run_first(
    program: Arc<Program>,
    task: Arc<Task>,
    launcher: Arc<Launcher>,
    spawner: Spawner,
) -> ExitStatus {
    match program.is_linux() {
        true => program.run_among_others(task, &launcher).await,
        false => program.run(task, &spawner).await,
    }
}

/// Makes what starts other programs; if the first one may ask for that, with a process that loads them: the jail closes next.
/// Else the first command that wants one brings it.
fn launcher(
    runtime: Runtime,
    program: &Program,
    spec: &SandboxSpec,
    executor: &Executor,
) -> Result<Arc<Launcher>, StartError> {
    if program.is_linux() {
        let server = ModuleServer::start(&spec.module_cache)
            .map_err(|error| StartError::failed("cannot start the module server", &error))?;
        runtime.load_through(server);
    }
    let pages = program.is_linux().then(PageMap::open).flatten();
    Ok(Launcher::new(runtime, executor.spawner(), pages))
}

fn ended(status: Result<ExitStatus, TaskError>) -> Outcome {
    match status {
        Ok(status) => outcome(&status),
        // The runtime or a host call panicked: a defect of ours, which ends this container only.
        Err(error) => Outcome {
            exit_code: 128 + Signal::ABRT.raw(),
            reason: Some(format!("internal error: {error}")),
            is_out_of_memory: false,
            lost: None,
        },
    }
}

/// How a process ends that has got a fatal signal.
fn doomed(process: &Process) -> ExitStatus {
    ExitStatus::Signaled(process.signals.fatal().unwrap_or(Signal::KILL))
}

/// A guest that gives up after it was refused memory counts as killed for it, as on Linux one that touches memory
/// that is not there.
fn outcome(status: &ExitStatus) -> Outcome {
    let is_out_of_memory =
        matches!(status, ExitStatus::Trapped(reason) if reason.starts_with(OUT_OF_MEMORY));
    Outcome {
        exit_code: match is_out_of_memory {
            true => 128 + Signal::KILL.raw(),
            false => status.code(),
        },
        is_out_of_memory,
        lost: None,
        reason: match status {
            ExitStatus::Exited(_) => None,
            ExitStatus::Signaled(signal) => Some(match signal.name() {
                Some(name) => format!("ended by SIG{name}"),
                None => format!("ended by signal {}", signal.raw()),
            }),
            ExitStatus::Trapped(reason) => Some(reason.clone()),
        },
    }
}

/// A kernel, and what of its file systems is needed outside of it.
struct Made {
    kernel: Arc<Kernel>,
    /// What the root was before anything changed it.
    lower: Lower,
    disks: Disks,
}

fn make_kernel(
    spec: &SandboxSpec,
    executor: &Executor,
    published: PublishedSockets,
) -> Result<Made, StartError> {
    let reactor = executor.reactor();
    let clock: Arc<dyn Clock> = Arc::new(HostClock::new(Arc::clone(reactor)));
    let memory = MemoryBudget::new(spec.limits.memory_bytes_max);
    let Assembled {
        mounts,
        lower,
        disks,
    } = mounts::assemble(spec, &clock, &memory)?;
    let mode = match spec.network.mode {
        NetworkModeSpec::Private => NetworkMode::Private,
        NetworkModeSpec::Host => NetworkMode::Host,
        NetworkModeSpec::None => NetworkMode::None,
    };
    let internet = HostInternet::new(Arc::clone(reactor), published, Resolver::new());
    let config = KernelConfig {
        hostname: spec.hostname.clone(),
        pids_max: spec.limits.pids_max,
        fds_max: spec.limits.fds_max,
        resource_limits: limits::resources(&spec.limits),
        memory_bytes_max: spec.limits.memory_bytes_max,
        cpus: u32::try_from(executor.workers()).unwrap_or(u32::MAX),
    };
    let network = Network::new(mode, Arc::new(internet), Arc::clone(&memory));
    let kernel = Kernel::new(
        config,
        clock,
        Arc::new(HostEntropy),
        network,
        mounts,
        memory,
    );
    mounts::mount_proc(&kernel)?;
    mounts::mount_terminals(&kernel)?;
    Ok(Made {
        kernel,
        lower,
        disks,
    })
}

/// Adds what is set unless somebody else did. Docker: `daemon/oci_linux.go` and `runc`.
fn environment(variables: &[String], hostname: &str, home: &[u8]) -> Vec<Vec<u8>> {
    let texts = variables.iter().cloned();
    let mut env: Vec<Vec<u8>> = texts.map(String::into_bytes).collect();
    for (name, value) in [(&b"HOSTNAME="[..], hostname.as_bytes()), (b"HOME=", home)] {
        if !env.iter().any(|variable| variable.starts_with(name)) {
            env.push([name, value].concat());
        }
    }
    env
}

fn make_process(
    kernel: &Arc<Kernel>,
    spec: &SandboxSpec,
    user: users::User,
    path: String,
) -> Result<Arc<Process>, StartError> {
    let args = spec.process.args.iter().cloned();
    let image = ProcessImage {
        path: path.into_bytes(),
        args: args.map(String::into_bytes).collect(),
        env: environment(&spec.process.env, &spec.hostname, &user.home),
        ..ProcessImage::default()
    };
    let fs = FsContext {
        root: kernel.mounts.root(),
        cwd: mounts::working_directory(&kernel.mounts, &spec.process.cwd)?,
        umask: UMASK,
    };
    // The parent of process 1 is nobody. Linux: `getppid()` of an init is 0.
    let process = kernel
        .spawn(Pid(0), image, user.credentials, fs)
        .map_err(|errno| StartError::failed("cannot make the first process", &errno))?;
    if spec.process.has_init {
        process.reap_orphans();
    }
    Ok(process)
}
