//! What the control socket of a container acts on.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;

use minke_abi::linux::Signal;
use minke_kernel::kernel::Use;
use minke_kernel::signal::Posted;
use minke_kernel::{Kernel, Process};

use super::exec::ExecService;
use super::footprint;
use super::pause::PauseService;
use super::top;
use crate::attach::{Attached, Typing};
use crate::control::{
    AttachRequest, Controlled, ExecRequest, Fate, LimitsChange, ProcessStatus, Response,
    Statistics, message,
};
use crate::disks::{Lower, RootDisk};
use crate::executor::{CpuQuota, Executor, Spawner};
use crate::files::changes::RuntimePaths;
use crate::files::request::FilesRequest;
use crate::files::{Files, RootWrites};
use crate::platform::TRAFFIC;

/// Docker counts CPU time per time in billionths of a CPU.
const NANO: f64 = 1e9;

/// Threads that are told of a fatal signal, each by a change of a page's protection. More of them end with the sandbox sooner.
const INTERRUPTED_MAX: u32 = 16;

/// Bounds the clients that work on files at one time, each with a thread.
const FILES_CLIENTS_MAX: usize = 8;

/// What clients that work on files need, and how many there are.
pub(super) struct FilesService {
    /// What the root was before anything changed it.
    lower: Lower,
    made: RuntimePaths,
    clients: Arc<AtomicUsize>,
}

/// A place among the clients that work on files.
struct FilesClient(Arc<AtomicUsize>);

impl FilesService {
    pub(super) fn new(lower: Lower, made: RuntimePaths) -> FilesService {
        FilesService {
            lower,
            made,
            clients: Arc::default(),
        }
    }

    fn admit(&self) -> Option<FilesClient> {
        let fits = |count: usize| Some(count + 1).filter(|sum| *sum <= FILES_CLIENTS_MAX);
        let counted = self
            .clients
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        counted.ok().map(|_| FilesClient(Arc::clone(&self.clients)))
    }
}

impl Drop for FilesClient {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the control socket acts on. It keeps nothing alive but the root's lower file system.
pub(super) struct Target {
    kernel: Weak<Kernel>,
    process: Weak<Process>,
    quota: Arc<CpuQuota>,
    spawner: Spawner,
    services: Services,
}

/// Its parts, by what commands ask for.
pub(super) struct Services {
    pub(super) control_group: Option<Arc<File>>,
    pub(super) files: FilesService,
    /// `None` for a root in memory.
    pub(super) root: Option<Arc<RootDisk>>,
    pub(super) exec: ExecService,
    pub(super) pause: PauseService,
    pub(super) attached: Arc<Attached>,
}

impl Target {
    pub(super) fn new(
        kernel: &Arc<Kernel>,
        process: &Arc<Process>,
        executor: &Executor,
        services: Services,
    ) -> Target {
        Target {
            kernel: Arc::downgrade(kernel),
            process: Arc::downgrade(process),
            quota: Arc::clone(executor.quota()),
            spawner: executor.spawner(),
            services,
        }
    }

    /// Not at the start: Linux takes some 15 ms to move a process.
    fn enter_control_group(&self) {
        let Some(group) = &self.services.control_group else {
            return;
        };
        if let Err(error) = (&**group).write_all(b"0") {
            tracing::debug!(%error, "the control group is not entered");
        }
    }

    fn limit_cpu_time(&self, nano_cpus: u64) {
        let cpus = (nano_cpus > 0).then(|| nano_cpus as f64 / NANO);
        if let Err(error) = self.quota.set(cpus) {
            tracing::warn!(%error, nano_cpus, "cannot limit the CPU time");
        }
        // While nothing but long computations runs and nothing is limited, nobody watches how much is used: a new task begins that again.
        drop(self.spawner.spawn(async {}));
    }
}

impl Controlled for Target {
    fn kill(&self, signal: Signal) -> Fate {
        let Some(process) = self.process.upgrade() else {
            return Fate::Lives;
        };
        // A worker that naps may hold a lock that is needed, and has to wake up to end.
        self.quota.lift();
        let fate = match process.signals.post(signal) {
            Posted::Fatal if process.threads_count() > INTERRUPTED_MAX => Fate::Dead,
            Posted::Fatal => {
                process.kill(signal);
                Fate::Dies
            }
            Posted::Ignored
            | Posted::Pending
            | Posted::Stopped
            | Posted::Continued
            | Posted::Full => Fate::Lives,
        };
        self.quota.lift();
        if fate == Fate::Lives {
            self.services.pause.resume_for(signal);
        } else {
            self.services.pause.resume();
        }
        fate
    }

    fn pause(&self) -> Result<(), String> {
        self.services.pause.pause()
    }

    fn resume(&self) {
        self.services.pause.resume();
    }

    fn settle(&self) {
        footprint::give_back_program();
        self.enter_control_group();
    }

    fn statistics(&self) -> Statistics {
        let Some(kernel) = self.kernel.upgrade() else {
            return Statistics::default();
        };
        Statistics {
            memory_bytes: kernel.memory.used(),
            memory_bytes_max: kernel.memory.bytes_max(),
            kernel_bytes: kernel.memory.used_for(Use::Kernel),
            page_bytes: kernel.memory.used_for(Use::Pages),
            processes: u32::try_from(kernel.tasks_count()).unwrap_or(u32::MAX),
            cpu_time_ns: kernel.clock.cpu_time(),
            root_bytes: root_bytes(&kernel),
            network_received_bytes: TRAFFIC.received_bytes(),
            network_sent_bytes: TRAFFIC.sent_bytes(),
        }
    }

    fn serve_files(
        &self,
        request: FilesRequest,
        stream: UnixStream,
        received: Vec<u8>,
    ) -> Result<(), String> {
        let ended = || "the container has ended".to_owned();
        let kernel = self.kernel.upgrade().ok_or_else(ended)?;
        let client = self.services.files.admit().ok_or_else(|| {
            format!("{FILES_CLIENTS_MAX} other commands work on its files: try again later")
        })?;
        let files = Files::new(
            &kernel.mounts,
            self.services.files.lower.clone(),
            self.services.files.made.clone(),
            RootWrites::Kept,
        );
        let spawned = thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || {
                let _client = client;
                if let Err(error) = serve_files(&files, &request, &stream, received) {
                    tracing::debug!(%error, "a client that works on files has gone");
                }
            });
        spawned.map(drop).map_err(|error| error.to_string())
    }

    fn snapshot(&self, name: String, stream: UnixStream) -> Result<(), String> {
        let root = self.services.root.clone().ok_or("its root is in memory")?;
        let spawned = thread::Builder::new()
            .name("snapshot".to_owned())
            .spawn(move || {
                let response = match root.snapshot(&name) {
                    Ok(()) => Response::Done,
                    Err(message) => Response::Refused { message },
                };
                // Whoever has gone can look for it.
                let _ = stream
                    .set_nonblocking(false)
                    .and_then(|()| message::send(&mut &stream, &response));
            });
        spawned.map(drop).map_err(|error| error.to_string())
    }

    fn exec(
        &self,
        request: ExecRequest,
        descriptors: Vec<OwnedFd>,
        stream: UnixStream,
    ) -> Result<(), Response> {
        if self.services.pause.is_paused() {
            let message = "it is paused, unpause the container before exec".to_owned();
            return Err(Response::Refused { message });
        }
        match self.kernel.upgrade() {
            Some(kernel) => self
                .services
                .exec
                .start(kernel, request, descriptors, stream),
            None => Err(Response::Refused {
                message: "the container has ended".to_owned(),
            }),
        }
    }

    fn attach(&self, request: &AttachRequest, stream: UnixStream) -> Result<(), String> {
        let greeting = message::encode(&Response::Done);
        let attached = &self.services.attached;
        if let Some(size) = request.window {
            attached.set_window(size);
        }
        attached.admit(stream, Typing::of(request), &greeting)
    }

    fn processes(&self) -> Vec<ProcessStatus> {
        let kernel = self.kernel.upgrade();
        kernel.map_or_else(Vec::new, |kernel| top::processes(&kernel))
    }

    fn limit(&self, change: &LimitsChange) {
        let Some(kernel) = self.kernel.upgrade() else {
            return;
        };
        if let Some(bytes_max) = change.memory_bytes_max {
            kernel.memory.set_bytes_max(bytes_max);
        }
        if let Some(pids_max) = change.pids_max {
            kernel.set_pids_max(pids_max);
        }
        if let Some(nano_cpus) = change.nano_cpus {
            self.limit_cpu_time(nano_cpus);
        }
    }
}

/// Serves a client on its own thread. It is not waited for: what it has not done when the sandbox ends, it does not do.
fn serve_files(
    files: &Files,
    request: &FilesRequest,
    stream: &UnixStream,
    received: Vec<u8>,
) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    files.serve(request, Cursor::new(received).chain(stream), &mut &*stream)
}

fn root_bytes(kernel: &Kernel) -> u64 {
    let root = kernel.mounts.root();
    let used = root.mount.file_system.statistics();
    used.map_or(0, |used| {
        used.blocks.saturating_sub(used.blocks_free) * used.block_size
    })
}
