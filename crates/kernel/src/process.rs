//! Processes: what a program owns while it runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::Waker;

use minke_abi::linux::Signal;
use smallvec::SmallVec;

use crate::descriptor::FdTable;
use crate::kernel::Kernel;
use crate::signal::{Posted, Signals};
use crate::vfs::Location;
use crate::wait::WaitQueue;

/// A process number of one container, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(pub u32);

/// How a process ended. Linux: the `wstatus` of `wait(2)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It returned or called exit, with the low eight bits of this code.
    Exited(u8),
    /// A signal ended it.
    Signaled(Signal),
    /// Its code trapped; the text names the reason. Seen from outside as `SIGABRT`.
    Trapped(String),
}

impl ExitStatus {
    /// Returns the exit code as a shell or Docker shows it: 128 + N after signal N.
    pub fn code(&self) -> u8 {
        match self {
            ExitStatus::Exited(code) => *code,
            ExitStatus::Signaled(signal) => 128 + signal.raw(),
            ExitStatus::Trapped(_) => 128 + Signal::ABRT.raw(),
        }
    }
}

/// Who a process acts as. Linux: `struct cred`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    pub euid: u32,
    pub egid: u32,
    pub groups: SmallVec<[u32; 8]>,
}

impl Credentials {
    /// Root of the container; it has no power outside.
    pub fn root() -> Credentials {
        Credentials::user(0, 0)
    }

    /// A user and its group, real and effective.
    pub fn user(uid: u32, gid: u32) -> Credentials {
        Credentials {
            uid,
            gid,
            euid: uid,
            egid: gid,
            groups: SmallVec::new(),
        }
    }

    /// Whether the effective user overrides permission checks (`CAP_DAC_OVERRIDE` and its kin).
    pub fn is_privileged(&self) -> bool {
        self.euid == 0
    }

    /// Whether the effective group or a supplementary one is `gid`.
    pub fn is_in_group(&self, gid: u32) -> bool {
        self.egid == gid || self.groups.contains(&gid)
    }
}

/// A process's view of the mount tree. Linux: `struct fs_struct`.
#[derive(Clone)]
pub struct FsContext {
    pub root: Arc<Location>,
    pub cwd: Arc<Location>,
    pub umask: u32,
}

/// What a program was started with, for `/proc/<pid>` and the personalities.
#[derive(Clone, Debug, Default)]
pub struct ProcessImage {
    /// Absolute path of the program in the container; empty for a bare module.
    pub path: Vec<u8>,
    pub args: Vec<Vec<u8>>,
    /// `KEY=value` entries.
    pub env: Vec<Vec<u8>>,
}

/// A process. Linux: a thread group's shared part of `struct task_struct`.
pub struct Process {
    pub pid: Pid,
    pub parent: Pid,
    pub kernel: Arc<Kernel>,
    pub fds: FdTable,
    pub image: ProcessImage,
    pub signals: Signals,
    fs: Mutex<FsContext>,
    credentials: RwLock<Arc<Credentials>>,
    exit: Mutex<Option<ExitStatus>>,
    exit_waiters: WaitQueue,
    /// Makes running guest code stop soon; set by the runtime for each of the process's threads.
    interrupters: Mutex<Vec<Interrupter>>,
}

/// Stops one running wasm thread at its next safe point. Called once a fatal signal is posted; may be called again.
pub type Interrupter = Box<dyn Fn() + Send + Sync>;

impl Process {
    /// Makes a process that holds no descriptors yet. [`Kernel::spawn`] numbers and registers it.
    pub(crate) fn new(
        kernel: Arc<Kernel>,
        pid: Pid,
        parent: Pid,
        image: ProcessImage,
        credentials: Credentials,
        fs: FsContext,
    ) -> Process {
        let fds_max = kernel.config.fds_max;
        Process {
            pid,
            parent,
            kernel,
            fds: FdTable::new(fds_max),
            image,
            signals: Signals::default(),
            fs: Mutex::new(fs),
            credentials: RwLock::new(Arc::new(credentials)),
            exit: Mutex::new(None),
            exit_waiters: WaitQueue::default(),
            interrupters: Mutex::new(Vec::new()),
        }
    }

    /// Locks the root, working directory and umask.
    pub fn fs(&self) -> MutexGuard<'_, FsContext> {
        self.fs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns who the process acts as now.
    pub fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(
            &self
                .credentials
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Replaces the credentials (`setuid` and its kin have checked already).
    pub fn set_credentials(&self, credentials: Credentials) {
        *self
            .credentials
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(credentials);
    }

    /// Sends a signal; a fatal one interrupts running code and blocked calls.
    pub fn kill(&self, signal: Signal) {
        if self.signals.post(signal) == Posted::Fatal {
            let interrupters = self
                .interrupters
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            interrupters.iter().for_each(|interrupt| interrupt());
        }
    }

    /// Registers how to stop one of the process's threads; called at once if it is to end already.
    pub fn add_interrupter(&self, interrupter: Interrupter) {
        let mut interrupters = self
            .interrupters
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.signals.fatal().is_some() {
            interrupter();
        }
        interrupters.push(interrupter);
    }

    /// Forgets all interrupters: the guest's code is gone, and what they touch goes next.
    pub fn clear_interrupters(&self) {
        self.interrupters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Records how the process ended, closes its descriptors and wakes who waits for it. The first status wins.
    pub fn exit(&self, status: ExitStatus) {
        self.exit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(status);
        self.fds.clear();
        self.exit_waiters.wake_all();
    }

    /// Returns how the process ended, or registers `waker` for its end.
    pub fn poll_exit(&self, waker: &Waker) -> Option<ExitStatus> {
        self.exit_waiters.register(waker);
        self.exit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
