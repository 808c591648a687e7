//! The kernel of one container: its processes, mounts, limits and platform.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minke_abi::linux::Signal;
use minke_abi::{Errno, Result};

use crate::calls::memory_files::MemoryFiles;
use crate::events::notify::Notifier;
use crate::family::ProcessTable;
use crate::locks::FileLocks;
use crate::net::Network;
use crate::platform::{Clock, Entropy};
use crate::process::{Credentials, ExitStatus, FsContext, Pid, Process, ProcessImage};
use crate::resource::ResourceLimits;
use crate::task::Task;
use crate::tty::Terminals;
use crate::vfs::MountTree;

/// What one container may have.
#[derive(Clone, Debug)]
pub struct KernelConfig {
    pub hostname: String,
    /// Processes (and threads) at the same time.
    pub pids_max: u32,
    /// Descriptors per process (`RLIMIT_NOFILE`).
    pub fds_max: u32,
    /// What each process may have of other resources.
    pub resource_limits: ResourceLimits,
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
    /// Locks on files, of all file systems.
    pub locks: Arc<FileLocks>,
    /// Who watches what happens to files.
    pub notifier: Arc<Notifier>,
    /// Monotonic time of the container's start, for `/proc/uptime`.
    pub started_at: u64,
    names: Mutex<HostNames>,
    /// What [`KernelConfig::pids_max`] says, until it is changed.
    pids_max: AtomicU32,
    pub(crate) terminals: Terminals,
    pub(crate) memory_files: MemoryFiles,
    processes: Mutex<ProcessTable>,
}

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
            pids_max: AtomicU32::new(config.pids_max),
            names: Mutex::new(HostNames {
                host: config.hostname.clone().into_bytes(),
                domain: b"(none)".to_vec(),
            }),
            config,
            clock,
            entropy,
            network,
            mounts,
            memory,
            locks: Arc::default(),
            notifier: Arc::default(),
            started_at,
            terminals: Terminals::default(),
            memory_files: MemoryFiles::default(),
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
        let mut table = self.table();
        let pid = Pid(table.next_number(self.pids_max.load(Ordering::Relaxed))?);
        let process = Arc::new(Process::new(Arc::clone(self), pid, image, credentials, fs));
        table.add(Arc::clone(&process), parent);
        drop(table);
        process.hold_inherited_cpu_limit();
        Ok(process)
    }

    /// Makes a copy of a thread's process, as its child; `EAGAIN` when the container has all it may have. POSIX: `fork()`.
    pub(crate) fn fork(self: &Arc<Kernel>, parent: &Task) -> Result<Arc<Process>> {
        let mut table = self.table();
        let pid = Pid(table.next_number(self.pids_max.load(Ordering::Relaxed))?);
        let process = Arc::new(parent.process.fork(parent.tid, pid));
        table.add(Arc::clone(&process), parent.process.pid);
        drop(table);
        process.fds.become_of(&process);
        process.hold_inherited_cpu_limit();
        Ok(process)
    }

    /// Changes how many processes there may be. Those that are there stay.
    pub fn set_pids_max(&self, pids_max: u32) {
        self.pids_max.store(pids_max, Ordering::Relaxed);
    }

    /// Makes one more thread of a thread's process, with a number of its own; `EAGAIN` when the container has all it may have.
    pub fn spawn_thread(&self, parent: &Task) -> Result<Task> {
        let process = Arc::clone(&parent.process);
        let mut table = self.table();
        let tid = table.next_number(self.pids_max.load(Ordering::Relaxed))?;
        table.add_thread(tid);
        process.threads.started();
        let flag = process.signals.add_thread(parent.tid, tid);
        Ok(Task::another(process, tid, flag))
    }

    pub(crate) fn forget_thread(&self, tid: u32) {
        self.table().remove_thread(tid);
    }

    /// Returns how many processes and threads there are.
    pub fn tasks_count(&self) -> usize {
        self.table().tasks_count()
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, ProcessTable> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a process that has ended and was waited for.
    pub fn reap(&self, pid: Pid) {
        let member = self.table().remove(pid);
        // Its last holder may be this one.
        drop(member);
    }

    /// Ends what is left when the container does: nothing runs any more, and every file is closed.
    pub fn shut_down(&self) {
        let processes = self.table().clear();
        for process in processes {
            process.exit(ExitStatus::Signaled(Signal::KILL));
        }
    }

    /// Returns a process by number.
    pub fn process(&self, pid: Pid) -> Option<Arc<Process>> {
        let table = self.table();
        table.get(pid).map(|member| Arc::clone(&member.process))
    }

    /// Whether a number is that of a thread that is not its process's first.
    pub(crate) fn has_thread(&self, tid: u32) -> bool {
        self.table().has_thread(tid)
    }

    /// Returns all processes, by number.
    pub fn processes(&self) -> Vec<Arc<Process>> {
        let table = self.table();
        table
            .members()
            .map(|member| Arc::clone(&member.process))
            .collect()
    }
}

/// What the container calls itself. Linux: `struct new_utsname`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNames {
    pub host: Vec<u8>,
    pub domain: Vec<u8>,
}

impl Kernel {
    /// Returns what the container calls itself now.
    pub fn names(&self) -> HostNames {
        self.lock_names().clone()
    }

    pub(crate) fn change_names(&self, change: impl FnOnce(&mut HostNames)) {
        change(&mut self.lock_names());
    }

    fn lock_names(&self) -> MutexGuard<'_, HostNames> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory that a container's guests can make us hold, counted in one place.
#[derive(Debug)]
pub struct MemoryBudget {
    bytes_max: AtomicU64,
    bytes: AtomicU64,
    /// Of these, what is not the guests' own, by [`Use`].
    parts: [AtomicU64; 2],
}

/// What memory is used for that is not the guests' own (linear memory, tables).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Inodes, names, pipes, sockets.
    Kernel,
    /// Contents of files in memory.
    Pages,
}

impl MemoryBudget {
    /// Makes a budget of which nothing is used.
    pub fn new(bytes_max: u64) -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget {
            bytes_max: AtomicU64::new(bytes_max),
            bytes: AtomicU64::new(0),
            parts: Default::default(),
        })
    }

    /// Takes bytes from the budget; `ENOMEM` when they are not there.
    pub fn charge(&self, bytes: u64) -> Result<()> {
        let fits = |used: u64| {
            used.checked_add(bytes)
                .filter(|sum| *sum <= self.bytes_max())
        };
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map(drop)
            .map_err(|_| Errno::ENOMEM)
    }

    /// Gives bytes back.
    pub fn release(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// As [`MemoryBudget::charge`], and counts what for.
    pub fn charge_for(&self, part: Use, bytes: u64) -> Result<()> {
        self.charge(bytes)?;
        self.parts[part as usize].fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Gives back bytes of [`MemoryBudget::charge_for`].
    pub fn release_for(&self, part: Use, bytes: u64) {
        self.parts[part as usize].fetch_sub(bytes, Ordering::Relaxed);
        self.release(bytes);
    }

    /// Bytes in use for something; the rest of [`MemoryBudget::used`] is the guests' own.
    pub fn used_for(&self, part: Use) -> u64 {
        self.parts[part as usize].load(Ordering::Relaxed)
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The most that may be in use.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max.load(Ordering::Relaxed)
    }

    /// Changes the most that may be in use. What is in use already stays, however much it is.
    pub fn set_bytes_max(&self, bytes_max: u64) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_tells_what_it_is_used_for() {
        let budget = MemoryBudget::new(100);
        budget.charge(10).expect("there is room");
        budget.charge_for(Use::Pages, 50).expect("there is room");
        assert_eq!(budget.charge_for(Use::Kernel, 50), Err(Errno::ENOMEM));
        let parts = || [Use::Kernel, Use::Pages].map(|part| budget.used_for(part));
        assert_eq!((budget.used(), parts()), (60, [0, 50]));
        budget.release_for(Use::Pages, 50);
        assert_eq!((budget.used(), parts()), (10, [0, 0]));
    }

    #[test]
    fn a_budget_that_shrinks_keeps_what_is_used_and_refuses_more() {
        let budget = MemoryBudget::new(100);
        budget.charge(60).expect("there is room");
        budget.set_bytes_max(50);
        assert_eq!((budget.used(), budget.bytes_max()), (60, 50));
        assert_eq!(budget.charge(1), Err(Errno::ENOMEM));
        budget.release(30);
        budget.charge(20).expect("there is room again");
        assert_eq!(budget.charge(1), Err(Errno::ENOMEM));
    }
}
