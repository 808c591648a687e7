//! A container on the host's own platform, driven without guests.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use minke_abi::linux::{AF_INET, AF_INET6, OpenFlags, SOCK_STREAM};
use minke_kernel::kernel::MemoryBudget;
use minke_kernel::net::{MessageFlags, Network, NetworkMode, SocketAddress};
use minke_kernel::process::{FsContext, ProcessImage};
use minke_kernel::vfs::memory::{MemoryFileSystem, MemoryOptions};
use minke_kernel::vfs::{MountOptions, MountTree};
use minke_kernel::{Credentials, Errno, Fd, Kernel, KernelConfig, Pid, Task};
use minke_sandbox::executor::{Executor, ExecutorConfig};
use minke_sandbox::platform::{HostClock, HostEntropy, HostInternet, PublishedSockets, Resolver};
use minke_sandbox::spec::{PublishedPort, TransportSpec};

/// Memory of a test's container.
pub(crate) const MEMORY_BYTES: u64 = 64 << 20;

/// A container and the executor that its tasks run on.
pub(crate) struct Container {
    pub(crate) executor: Executor,
    pub(crate) kernel: Arc<Kernel>,
    /// Where the host listens for the published ports.
    pub(crate) bound: Vec<SocketAddr>,
}

impl Container {
    pub(crate) fn new(mode: NetworkMode, ports: &[PublishedPort]) -> Container {
        let executor = Executor::new(ExecutorConfig { workers: 2 }).unwrap();
        let reactor = executor.reactor();
        let config = KernelConfig {
            hostname: "orca".to_owned(),
            pids_max: 64,
            fds_max: 1024,
            resource_limits: minke_kernel::ResourceLimits::new(1024),
            memory_bytes_max: MEMORY_BYTES,
            cpus: 2,
        };
        let clock = Arc::new(HostClock::new(Arc::clone(reactor)));
        let memory = MemoryBudget::new(MEMORY_BYTES);
        let options = MemoryOptions::new(Arc::clone(&clock) as _, Arc::clone(&memory));
        let root = MemoryFileSystem::tmpfs(options).unwrap();
        let published = PublishedSockets::bind(ports).unwrap();
        let bound = published
            .bound
            .iter()
            .map(|(_, address)| *address)
            .collect();
        let host = HostInternet::new(Arc::clone(reactor), published, Resolver::new());
        let network = Network::new(mode, Arc::new(host), Arc::clone(&memory));
        let mounts = MountTree::new(root, MountOptions::default());
        let kernel = Kernel::new(
            config,
            clock,
            Arc::new(HostEntropy),
            network,
            mounts,
            memory,
        );
        Container {
            executor,
            kernel,
            bound,
        }
    }

    /// A container whose port 3000 is published at a free port of one host address.
    pub(crate) fn publishing(host: &str, transport: TransportSpec) -> Container {
        Container::new(
            NetworkMode::Private,
            &[port(host.parse().ok(), 0, transport)],
        )
    }

    /// Starts a process of the container's root.
    pub(crate) fn task(&self) -> Arc<Task> {
        let root = self.kernel.mounts.root();
        let fs = FsContext {
            root: Arc::clone(&root),
            cwd: root,
            umask: 0o022,
        };
        let image = ProcessImage::default();
        let process = self
            .kernel
            .spawn(Pid(0), image, Credentials::root(), fs)
            .unwrap();
        Arc::new(Task::main_of(process))
    }

    /// Runs a future to its end, on this thread and the executor's.
    pub(crate) fn run<F>(&self, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.executor.run(future).unwrap()
    }
}

impl Drop for Container {
    /// Forgets the processes, which hold the kernel that holds them.
    fn drop(&mut self) {
        for process in self.kernel.processes() {
            self.kernel.reap(process.pid);
        }
    }
}

/// Publishes the guest's port 3000.
pub(crate) fn port(
    host_address: Option<IpAddr>,
    host_port: u16,
    transport: TransportSpec,
) -> PublishedPort {
    PublishedPort {
        host_address,
        host_port,
        guest_port: 3000,
        transport,
    }
}

/// Writes an address as a guest gives it.
pub(crate) fn at(text: &str) -> SocketAddress {
    SocketAddress::Inet(text.parse().unwrap())
}

/// Makes a socket of an address's family.
pub(crate) fn socket_for(task: &Task, address: &str, kind: u32) -> Fd {
    let domain = match address.parse().unwrap() {
        SocketAddr::V4(_) => AF_INET,
        SocketAddr::V6(_) => AF_INET6,
    };
    task.socket(domain, kind, 0, OpenFlags::empty()).unwrap()
}

/// Listens as a guest does.
pub(crate) fn listen(task: &Task, address: &str) -> Fd {
    let fd = socket_for(task, address, SOCK_STREAM);
    task.bind(fd, &at(address)).unwrap();
    task.listen(fd, 128).unwrap();
    fd
}

pub(crate) async fn send(task: &Task, fd: Fd, bytes: &[u8]) -> Result<usize, Errno> {
    task.send_with(fd, None, MessageFlags::empty(), |send| send(bytes))
        .await
}

pub(crate) async fn receive(task: &Task, fd: Fd) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 4096];
    let received = task
        .receive_with(fd, MessageFlags::empty(), |receive| receive(&mut buffer))
        .await?;
    buffer.truncate(received.count);
    Ok(buffer)
}

/// Sends back what comes until the end.
pub(crate) async fn echo(task: &Task, fd: Fd) -> Result<(), Errno> {
    loop {
        let bytes = receive(task, fd).await?;
        if bytes.is_empty() {
            return task.close(fd);
        }
        send(task, fd, &bytes).await?;
    }
}
