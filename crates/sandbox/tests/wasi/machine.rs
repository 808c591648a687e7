//! A container in memory that runs one WASI guest: real clocks and entropy, no network beyond it.

use std::sync::{Arc, Mutex};
use std::task::Waker;

use minke_abi::linux::{FileType, OpenFlags};
use minke_kernel::calls::At;
use minke_kernel::kernel::MemoryBudget;
use minke_kernel::net::{Network, NetworkMode};
use minke_kernel::pipe::pipe;
use minke_kernel::platform::{Family, HostLookup, HostNetwork, HostSocket, Transport};
use minke_kernel::process::{Credentials, FsContext, Pid, ProcessImage};
use minke_kernel::vfs::memory::{MemoryFileSystem, MemoryOptions};
use minke_kernel::vfs::{Metadata, MountOptions, MountTree, NewInode, Timestamp};
use minke_kernel::{Errno, File, FileDescription, Kernel, KernelConfig, Result, Task};
use minke_sandbox::executor::{Executor, ExecutorConfig};
use minke_sandbox::personality::{Entry, Linked, ProgramContext, enter, link_import};
use minke_sandbox::platform::{HostClock, HostEntropy};
use minke_sandbox::runtime::{Guest, GuestMemory, Stop};
use wasmtime::{Config, Engine, Linker, Module, Store};

/// Memory of a test's container.
const MEMORY_BYTES: u64 = 64 << 20;

/// A container whose root has `/app`, `/tmp` and what a test puts there.
pub(crate) struct Machine {
    pub(crate) kernel: Arc<Kernel>,
    executor: Executor,
    pub(crate) args: Vec<&'static str>,
    pub(crate) env: Vec<&'static str>,
    pub(crate) cwd: &'static str,
    pub(crate) stdin: &'static [u8],
}

/// How a guest ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Returned,
    Stopped(Stop),
    Trapped(String),
}

/// What is left of a guest.
pub(crate) struct Outcome {
    pub(crate) end: End,
    pub(crate) stdout: String,
    /// The guest's memory when it ended.
    pub(crate) memory: Vec<u8>,
    /// The memory in which a script keeps what its calls answered.
    pub(crate) answers: Vec<u8>,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        let executor = Executor::new(ExecutorConfig { workers: 1 }).unwrap();
        let clock = Arc::new(HostClock::new(Arc::clone(executor.reactor())));
        let memory = MemoryBudget::new(MEMORY_BYTES);
        let options = MemoryOptions::new(clock.clone(), Arc::clone(&memory));
        let root = MemoryFileSystem::tmpfs(options).unwrap();
        let config = KernelConfig {
            hostname: "orca".to_owned(),
            pids_max: 64,
            fds_max: 256,
            resource_limits: minke_kernel::ResourceLimits::new(256),
            memory_bytes_max: MEMORY_BYTES,
            cpus: 2,
        };
        let mounts = MountTree::new(root, MountOptions::default());
        let host = Arc::new(NoNetwork);
        let network = Network::new(NetworkMode::None, host, Arc::clone(&memory));
        let entropy = Arc::new(HostEntropy);
        let machine = Machine {
            kernel: Kernel::new(config, clock, entropy, network, mounts, memory),
            executor,
            args: vec!["program"],
            env: vec![],
            cwd: "/",
            stdin: b"",
        };
        for directory in ["/app", "/tmp"] {
            machine.mkdir(directory);
        }
        machine
    }

    /// A task at the top directory, for what a test does itself.
    pub(crate) fn task(&self) -> Task {
        self.spawn("/")
    }

    pub(crate) fn mkdir(&self, path: &str) {
        let new = NewInode::Directory;
        let task = self.task();
        task.make_node(At::Cwd, path.as_bytes(), &new, 0o777)
            .unwrap();
    }

    pub(crate) fn put(&self, path: &str, content: &[u8]) {
        let flags = OpenFlags::CREAT | OpenFlags::TRUNC | OpenFlags::WRONLY;
        let file = self
            .task()
            .open_description(At::Cwd, path.as_bytes(), flags, 0o666)
            .unwrap();
        assert_eq!(file.write(content), Ok(content.len()));
    }

    pub(crate) fn get(&self, path: &str) -> Result<Vec<u8>> {
        let flags = OpenFlags::RDONLY;
        let file = self
            .task()
            .open_description(At::Cwd, path.as_bytes(), flags, 0)?;
        let mut content = vec![0; file.file.metadata()?.size as usize];
        file.read(&mut content)?;
        Ok(content)
    }

    /// Runs a module from its `_start` to its end.
    pub(crate) fn run(&self, module: &[u8]) -> Outcome {
        let task = Arc::new(self.spawn(self.cwd));
        let stdout = Arc::new(Capture::default());
        self.open_standard_streams(&task, &stdout);
        let module = module.to_vec();
        let run = run_guest(module, Arc::clone(&task));
        let (end, [memory, answers]) = self.executor.run(run).unwrap();
        task.process.fds.clear();
        let stdout = String::from_utf8_lossy(&stdout.0.lock().unwrap()).into_owned();
        Outcome {
            end,
            stdout,
            memory,
            answers,
        }
    }

    fn open_standard_streams(&self, task: &Task, stdout: &Arc<Capture>) {
        let (reader, writer) = pipe(task);
        let writer = FileDescription::new(writer, None, OpenFlags::WRONLY);
        assert_eq!(writer.write(self.stdin), Ok(self.stdin.len()));
        let fds = &task.process.fds;
        let stdin = FileDescription::new(reader, None, OpenFlags::RDONLY);
        fds.insert(stdin, false).unwrap();
        for _ in 1..=2 {
            let stream = FileDescription::new(stdout.clone(), None, OpenFlags::WRONLY);
            fds.insert(stream, false).unwrap();
        }
    }

    fn spawn(&self, cwd: &str) -> Task {
        let root = self.kernel.mounts.root();
        let fs = FsContext {
            cwd: self.kernel.mounts.find(cwd.as_bytes()).unwrap(),
            root,
            umask: 0o022,
        };
        let strings = |list: &[&str]| list.iter().map(|s| s.as_bytes().to_vec()).collect();
        let image = ProcessImage {
            path: b"/bin/program".to_vec(),
            args: strings(&self.args),
            env: strings(&self.env),
            ..ProcessImage::default()
        };
        let spawned = self
            .kernel
            .spawn(Pid(0), image, Credentials::root(), fs)
            .unwrap();
        self.kernel.reap(spawned.pid);
        Task::main_of(spawned)
    }
}

async fn run_guest(module: Vec<u8>, task: Arc<Task>) -> (End, [Vec<u8>; 2]) {
    let engine = Engine::new(&Config::new()).unwrap();
    let module = Module::new(&engine, module).unwrap();
    let context = ProgramContext {
        path: "/bin/program".to_owned(),
        ..ProgramContext::default()
    };
    let mut linker = Linker::new(&engine);
    linker.allow_shadowing(true);
    for import in module.imports() {
        let linked = link_import(&mut linker, &context, &import).unwrap();
        assert_eq!(linked, Linked::Yes, "`{}` is not linked", import.name());
    }
    let mut store = Store::new(&engine, Guest::new(task));
    let instance = linker.instantiate_async(&mut store, &module).await.unwrap();
    let memory = instance.get_memory(&mut store, "memory");
    store.data_mut().memory = memory.map(GuestMemory::Local);
    let end = match enter(&mut store, &instance, &context, Entry::Start).await {
        Ok(()) => End::Returned,
        Err(error) => match error.downcast_ref::<Stop>() {
            Some(stop) => End::Stopped(*stop),
            None => End::Trapped(format!("{error:?}")),
        },
    };
    let memories = ["memory", "answers"].map(|name| {
        let memory = instance.get_memory(&mut store, name);
        memory.map_or(Vec::new(), |memory| memory.data(&store).to_vec())
    });
    (end, memories)
}

/// A stream that keeps what is written to it.
#[derive(Default)]
struct Capture(Mutex<Vec<u8>>);

impl File for Capture {
    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn metadata(&self) -> Result<Metadata> {
        let never = Timestamp::default();
        Ok(Metadata {
            device: 0,
            inode: 0,
            file_type: FileType::Fifo,
            mode: 0o600,
            links: 1,
            uid: 0,
            gid: 0,
            device_id: 0,
            size: 0,
            block_size: 4096,
            blocks: 0,
            accessed: never,
            modified: never,
            changed: never,
        })
    }
}

/// A host without a network, where no name resolves.
struct NoNetwork;

impl HostNetwork for NoNetwork {
    fn socket(&self, _transport: Transport, _family: Family) -> Result<Arc<dyn HostSocket>> {
        Err(Errno::ENETDOWN)
    }

    fn published(&self, _transport: Transport, _port: u16) -> Vec<Arc<dyn HostSocket>> {
        Vec::new()
    }

    fn resolve(&self, _name: &str) -> Arc<dyn HostLookup> {
        Arc::new(NoNames)
    }
}

struct NoNames;

impl HostLookup for NoNames {
    fn poll(&self, _waker: &Waker) -> Result<Vec<std::net::IpAddr>> {
        Err(Errno::ENOENT)
    }
}
