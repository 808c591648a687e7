//! The kernel of one container: its processes, mounts, limits and platform.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use minke_abi::{Errno, Result};

use crate::net::Network;
use crate::platform::{Clock, Entropy};
use crate::process::{Credentials, FsContext, Pid, Process, ProcessImage};
use crate::vfs::MountTree;

/// What one container may have.
#[derive(Clone, Debug)]
pub struct KernelConfig {
    pub hostname: String,
    /// Processes (and threads) at the same time.
    pub pids_max: u32,
    /// Descriptors per process (`RLIMIT_NOFILE`).
    pub fds_max: u32,
    /// Bytes of linear memory, tables and in-memory files together.
    pub memory_bytes_max: u64,
    /// CPUs that the container sees.
    pub cpus: u32,
}

/// The kernel of one container.
pub struct Kernel {
    pub config: KernelConfig,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub network: Network,
    pub mounts: Arc<MountTree>,
    pub memory: Arc<MemoryBudget>,
    /// Monotonic time of the container's start, for `/proc/uptime`.
    pub started_at: u64,
    processes: Mutex<ProcessTable>,
}

#[derive(Default)]
struct ProcessTable {
    by_pid: BTreeMap<u32, Arc<Process>>,
    last_pid: u32,
}

/// Highest process number before numbering starts again. Linux: `/proc/sys/kernel/pid_max`.
pub(crate) const PID_MAX: u32 = 4_194_304;

impl Kernel {
    /// Makes a kernel without processes.
    pub fn new(
        config: KernelConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        network: Network,
        mounts: Arc<MountTree>,
        memory: Arc<MemoryBudget>,
    ) -> Arc<Kernel> {
        let started_at = clock.monotonic();
        Arc::new(Kernel {
            config,
            clock,
            entropy,
            network,
            mounts,
            memory,
            started_at,
            processes: Mutex::default(),
        })
    }

    /// Makes a process with the next free number; `EAGAIN` when the container has all it may have.
    pub fn spawn(
        self: &Arc<Kernel>,
        parent: Pid,
        image: ProcessImage,
        credentials: Credentials,
        fs: FsContext,
    ) -> Result<Arc<Process>> {
        let mut table = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if table.by_pid.len() >= self.config.pids_max as usize {
            return Err(Errno::EAGAIN);
        }
        let pid = table.next_pid();
        let process = Arc::new(Process::new(
            Arc::clone(self),
            pid,
            parent,
            image,
            credentials,
            fs,
        ));
        table.by_pid.insert(pid.0, Arc::clone(&process));
        Ok(process)
    }

    /// Forgets a process that has ended and was waited for.
    pub fn reap(&self, pid: Pid) {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .by_pid
            .remove(&pid.0);
    }

    /// Returns a process by number.
    pub fn process(&self, pid: Pid) -> Option<Arc<Process>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .by_pid
            .get(&pid.0)
            .cloned()
    }

    /// Returns all processes, by number.
    pub fn processes(&self) -> Vec<Arc<Process>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .by_pid
            .values()
            .cloned()
            .collect()
    }
}

impl ProcessTable {
    fn next_pid(&mut self) -> Pid {
        loop {
            self.last_pid = if self.last_pid >= PID_MAX {
                1
            } else {
                self.last_pid + 1
            };
            if !self.by_pid.contains_key(&self.last_pid) {
                return Pid(self.last_pid);
            }
        }
    }
}

/// Memory that a container's guests can make us hold, counted in one place.
#[derive(Debug)]
pub struct MemoryBudget {
    bytes_max: u64,
    bytes: AtomicU64,
}

impl MemoryBudget {
    /// Makes a budget of which nothing is used.
    pub fn new(bytes_max: u64) -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget {
            bytes_max,
            bytes: AtomicU64::new(0),
        })
    }

    /// Takes bytes from the budget; `ENOMEM` when they are not there.
    pub fn charge(&self, bytes: u64) -> Result<()> {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map(drop)
            .map_err(|_| Errno::ENOMEM)
    }

    /// Gives bytes back.
    pub fn release(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The most that may be in use.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }
}
