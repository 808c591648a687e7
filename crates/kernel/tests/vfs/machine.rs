//! A kernel on a machine that is not there: a clock that ticks when it is read, bytes that repeat, no network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use minke_abi::linux::OpenFlags;
use minke_kernel::calls::At;
use minke_kernel::kernel::MemoryBudget;
use minke_kernel::net::{Network, NetworkMode};
use minke_kernel::platform::{
    Clock, Entropy, Family, HostLookup, HostNetwork, HostSocket, Nanoseconds, TimerId, Transport,
};
use minke_kernel::process::{Credentials, FsContext, Pid, ProcessImage};
use minke_kernel::vfs::memory::{MemoryFileSystem, MemoryOptions};
use minke_kernel::vfs::{FileSystem, MountOptions, MountTree};
use minke_kernel::{Errno, Fd, FileDescription, Kernel, KernelConfig, Result, Task};

/// Memory of a test's container.
pub(crate) const MEMORY_BYTES: u64 = 64 << 20;

/// A clock that goes on by a microsecond each time it is read.
#[derive(Default)]
pub(crate) struct TickingClock(pub(crate) AtomicU64);

impl Clock for TickingClock {
    fn monotonic(&self) -> Nanoseconds {
        self.0.fetch_add(1_000, Ordering::Relaxed)
    }

    fn realtime(&self) -> Nanoseconds {
        1_700_000_000_000_000_000 + self.monotonic()
    }

    fn cpu_time(&self) -> Nanoseconds {
        self.monotonic()
    }

    fn wake_at(&self, _deadline: Nanoseconds, waker: Waker) -> TimerId {
        waker.wake();
        TimerId(0)
    }

    fn cancel(&self, _timer: TimerId) {}
}

/// Bytes that count up.
pub(crate) struct CountingEntropy;

impl Entropy for CountingEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = index as u8;
        }
    }
}

/// A host without a network.
pub(crate) struct NoNetwork;

impl HostNetwork for NoNetwork {
    fn socket(&self, _transport: Transport, _family: Family) -> Result<Arc<dyn HostSocket>> {
        Err(Errno::ENETDOWN)
    }

    fn published(&self, _transport: Transport, _port: u16) -> Vec<Arc<dyn HostSocket>> {
        Vec::new()
    }

    fn resolve(&self, _name: &str) -> Arc<dyn HostLookup> {
        unreachable!("no test of files resolves a host name")
    }
}

/// A container without processes.
pub(crate) struct Machine {
    pub(crate) kernel: Arc<Kernel>,
}

/// Returns options for a file system in memory with its own budget.
pub(crate) fn memory_options() -> MemoryOptions {
    MemoryOptions::new(
        Arc::new(TickingClock::default()),
        MemoryBudget::new(MEMORY_BYTES),
    )
}

impl Machine {
    /// A container whose root is an empty tmpfs.
    pub(crate) fn with_tmpfs() -> Machine {
        Machine::with_root(MemoryFileSystem::tmpfs(memory_options()).unwrap())
    }

    pub(crate) fn with_root(root: Arc<dyn FileSystem>) -> Machine {
        Machine::with(root, NetworkMode::None, Arc::new(NoNetwork))
    }

    pub(crate) fn with(
        root: Arc<dyn FileSystem>,
        mode: NetworkMode,
        host: Arc<dyn HostNetwork>,
    ) -> Machine {
        let config = KernelConfig {
            hostname: "orca".to_owned(),
            pids_max: 64,
            fds_max: 256,
            resource_limits: minke_kernel::ResourceLimits::new(256),
            memory_bytes_max: MEMORY_BYTES,
            cpus: 2,
        };
        let mounts = MountTree::new(root, MountOptions::default());
        let memory = MemoryBudget::new(MEMORY_BYTES);
        let network = Network::new(mode, host, Arc::clone(&memory));
        let kernel = Kernel::new(
            config,
            Arc::new(TickingClock::default()),
            Arc::new(CountingEntropy),
            network,
            mounts,
            memory,
        );
        Machine { kernel }
    }

    /// Starts a process of a user in the top directory.
    pub(crate) fn task(&self, credentials: Credentials) -> Task {
        let root = self.kernel.mounts.root();
        let fs = FsContext {
            root: Arc::clone(&root),
            cwd: root,
            umask: 0o022,
        };
        let image = ProcessImage {
            path: b"/bin/program".to_vec(),
            args: vec![b"program".to_vec(), b"--loud".to_vec()],
            env: vec![b"HOME=/root".to_vec()],
            ..ProcessImage::default()
        };
        let process = self.kernel.spawn(Pid(0), image, credentials, fs).unwrap();
        Task::main_of(process)
    }

    pub(crate) fn root(&self) -> Task {
        self.task(Credentials::root())
    }
}

impl Drop for Machine {
    /// Forgets the processes, which hold the kernel that holds them.
    fn drop(&mut self) {
        for process in self.kernel.processes() {
            self.kernel.reap(process.pid);
        }
    }
}

/// What tests do all the time, in a line.
pub(crate) trait Shortcuts {
    fn put(&self, path: &str, content: &[u8]) -> Result<()>;
    fn get(&self, path: &str) -> Result<Vec<u8>>;
    fn mkdir(&self, path: &str) -> Result<()>;
    fn names(&self, path: &str) -> Result<Vec<String>>;
    fn opened(&self, path: &str, flags: OpenFlags) -> Result<Arc<FileDescription>>;
}

impl Shortcuts for Task {
    fn put(&self, path: &str, content: &[u8]) -> Result<()> {
        let flags = OpenFlags::CREAT | OpenFlags::TRUNC | OpenFlags::WRONLY;
        let file = self.open_description(At::Cwd, path.as_bytes(), flags, 0o666)?;
        assert_eq!(file.write(content)?, content.len());
        Ok(())
    }

    fn get(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.opened(path, OpenFlags::RDONLY)?;
        let mut content = Vec::new();
        let mut buffer = [0; 1000];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(content),
                count => content.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn mkdir(&self, path: &str) -> Result<()> {
        let new = minke_kernel::vfs::NewInode::Directory;
        self.make_node(At::Cwd, path.as_bytes(), &new, 0o777)
    }

    fn names(&self, path: &str) -> Result<Vec<String>> {
        let fd = self.open(At::Cwd, path.as_bytes(), OpenFlags::DIRECTORY, 0)?;
        let names = list(self, fd);
        self.close(fd)?;
        names
    }

    fn opened(&self, path: &str, flags: OpenFlags) -> Result<Arc<FileDescription>> {
        self.open_description(At::Cwd, path.as_bytes(), flags, 0o666)
    }
}

fn list(task: &Task, fd: Fd) -> Result<Vec<String>> {
    let mut names = Vec::new();
    task.read_directory(fd, 0, &mut |entry| {
        names.push(String::from_utf8_lossy(entry.name).into_owned());
        true
    })?;
    names.retain(|name| name != "." && name != "..");
    names.sort();
    Ok(names)
}
