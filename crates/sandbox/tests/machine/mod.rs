//! A container without an image: a kernel over an empty tmpfs, on the host's clock.

use std::sync::{Arc, Mutex};

use minke_abi::linux::OpenFlags;
use minke_kernel::kernel::MemoryBudget;
use minke_kernel::net::{Network, NetworkMode};
use minke_kernel::process::{FsContext, ProcessImage};
use minke_kernel::vfs::memory::{MemoryFileSystem, MemoryOptions};
use minke_kernel::vfs::{MountOptions, MountTree};
use minke_kernel::{Credentials, Fd, FileDescription, Kernel, KernelConfig, Pid, Task};
use minke_sandbox::executor::Reactor;
use minke_sandbox::personality::ProgramContext;
use minke_sandbox::platform::stdio::LineEnd;
use minke_sandbox::platform::{
    HostClock, HostEntropy, HostInternet, LogSink, LogStream, PublishedSockets, Resolver,
};
use minke_sandbox::runtime::{LoadError, ModuleBytes, Program, Runtime};

/// A container.
pub(crate) struct Machine {
    kernel: Arc<Kernel>,
    stderr: Arc<Lines>,
    /// What the empty container takes.
    memory_used_by_files: u64,
}

/// Keeps what guests write.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl LogSink for Lines {
    fn write_line(&self, line: &[u8], _end: LineEnd) {
        let line = String::from_utf8_lossy(line).into_owned();
        lock(&self.0).push(line);
    }
}

impl Machine {
    /// Makes a container whose guests may have `memory_bytes_max`, and which may have so many processes and threads.
    pub(crate) fn new(reactor: &Arc<Reactor>, memory_bytes_max: u64, pids_max: u32) -> Machine {
        let config = KernelConfig {
            hostname: "orca".to_owned(),
            pids_max,
            fds_max: 256,
            resource_limits: minke_kernel::ResourceLimits::new(256),
            memory_bytes_max,
            cpus: 2,
        };
        let clock = Arc::new(HostClock::new(Arc::clone(reactor)));
        let memory = MemoryBudget::new(memory_bytes_max);
        let options = MemoryOptions::new(Arc::clone(&clock) as _, Arc::clone(&memory));
        let root = MemoryFileSystem::tmpfs(options).expect("the budget holds a directory");
        let published = PublishedSockets::bind(&[]).expect("no port is bound");
        let host = HostInternet::new(Arc::clone(reactor), published, Resolver::new());
        let network = Network::new(NetworkMode::None, Arc::new(host), Arc::clone(&memory));
        let memory_used_by_files = memory.used();
        let mounts = MountTree::new(root, MountOptions::default());
        Machine {
            kernel: Kernel::new(
                config,
                clock,
                Arc::new(HostEntropy),
                network,
                mounts,
                memory,
            ),
            stderr: Arc::default(),
            memory_used_by_files,
        }
    }

    /// Makes a process that has only a standard error.
    pub(crate) fn task(&self) -> Arc<Task> {
        let root = self.kernel.mounts.root();
        let fs = FsContext {
            root: Arc::clone(&root),
            cwd: root,
            umask: 0o022,
        };
        let image = ProcessImage::default();
        let spawned = self.kernel.spawn(Pid(0), image, Credentials::root(), fs);
        let process = spawned.expect("the container may have more processes");
        let stream = LogStream::new(Arc::clone(&self.stderr) as _);
        let description = FileDescription::new(stream, None, OpenFlags::WRONLY);
        let replaced = process.fds.replace(Fd(2), description, false);
        replaced.expect("2 is below the limit");
        Arc::new(Task::main_of(process))
    }

    /// Forgets a process that has ended.
    pub(crate) fn reap(&self, task: &Task) {
        self.kernel.reap(task.process.pid);
    }

    /// Returns the lines that guests have written to their standard errors.
    pub(crate) fn stderr(&self) -> Vec<String> {
        lock(&self.stderr.0).clone()
    }

    /// Bytes that guests hold now.
    pub(crate) fn memory_used(&self) -> u64 {
        self.kernel.memory.used() - self.memory_used_by_files
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no test panics with the lock held")
}

/// Loads a module given as text.
pub(crate) fn load(runtime: &Runtime, wat: &str) -> Result<Arc<Program>, LoadError> {
    let wasm = wat::parse_str(wat).expect("the text is a module");
    let context = ProgramContext {
        path: "/bin/test.wasm".to_owned(),
        ..ProgramContext::default()
    };
    runtime.load(&ModuleBytes(&wasm), context, &|_| {})
}
