//! Processes: what a program owns while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::Waker;

use minke_abi::linux::Signal;
use minke_abi::signal::{ActionFlags, SignalSet};
use minke_abi::wait;
use smallvec::SmallVec;

use crate::alarm::Alarm;
use crate::calls::processes::News;
use crate::cpu_time::CpuTime;
use crate::descriptor::FdTable;
use crate::family::{Change, NOBODY};
use crate::futex::Futexes;
use crate::kernel::Kernel;
use crate::locks::ProcessLocks;
use crate::platform::Nanoseconds;
use crate::settings::Settings;
use crate::signal::{Disposition, Posted, SignalInfo, Signals, code};
use crate::timers::Timers;
use crate::tty::Pair;
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

    /// Returns the number that `wait(2)` gives.
    pub fn wait_status(&self) -> u32 {
        match self {
            ExitStatus::Exited(code) => wait::exited(*code),
            ExitStatus::Signaled(signal) => wait::signaled(*signal),
            ExitStatus::Trapped(_) => wait::signaled(Signal::ABRT),
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
    /// Saved: what the effective ones may become again.
    pub suid: u32,
    pub sgid: u32,
    pub groups: SmallVec<[u32; 8]>,
}

impl Credentials {
    /// Root of the container; it has no power outside.
    pub fn root() -> Credentials {
        Credentials::user(0, 0)
    }

    /// A user and its group, real, effective and saved.
    pub fn user(uid: u32, gid: u32) -> Credentials {
        Credentials {
            uid,
            gid,
            euid: uid,
            egid: gid,
            suid: uid,
            sgid: gid,
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

/// Who a process is and where it stands: what every walk along a path begins with.
#[derive(Clone)]
pub struct Standpoint {
    pub fs: FsContext,
    pub credentials: Arc<Credentials>,
}

/// What a program was started with, for `/proc/<pid>` and the personalities.
#[derive(Clone, Debug, Default)]
pub struct ProcessImage {
    /// Absolute path of the program in the container; empty for a bare module.
    pub path: Vec<u8>,
    /// The path that it was asked for by, which may be a link or a script's; empty if that is `path`.
    pub asked_for: Vec<u8>,
    pub args: Vec<Vec<u8>>,
    /// `KEY=value` entries.
    pub env: Vec<Vec<u8>>,
}

/// A process. Linux: a thread group's shared part of `struct task_struct`.
pub struct Process {
    pub pid: Pid,
    pub kernel: Arc<Kernel>,
    pub fds: FdTable,
    pub signals: Signals,
    /// Monotonic time.
    pub started_at: Nanoseconds,
    image: RwLock<Arc<ProcessImage>>,
    /// Replaced as a whole, so that a walk takes all of it at once.
    standpoint: Mutex<Arc<Standpoint>>,
    exit: Mutex<Option<ExitStatus>>,
    exit_waiters: WaitQueue,
    /// Its parent can wait for its end.
    is_end_told: AtomicBool,
    /// Wakes who waits for a child.
    pub(crate) children_changed: WaitQueue,
    /// Whether its program can wait for children; else the kernel forgets those that have ended.
    can_wait: AtomicBool,
    /// Whether orphans that become its children are waited for by the kernel, and it is told nothing of them.
    reaps_orphans: AtomicBool,
    /// What else it has set for itself.
    pub settings: Settings,
    pub(crate) alarm: Alarm,
    pub(crate) timers: Timers,
    pub(crate) cpu: CpuTime,
    pub(crate) futexes: Futexes,
    pub(crate) threads: OtherThreads,
    /// Makes running guest code stop soon, by thread number; set by the runtime.
    interrupters: Mutex<BTreeMap<u32, Interrupter>>,
}

/// How many threads a process has besides its first.
#[derive(Debug, Default)]
pub(crate) struct OtherThreads {
    count: AtomicU32,
    waiters: WaitQueue,
}

impl OtherThreads {
    pub(crate) fn started(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn ended(&self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
        self.waiters.wake_all();
    }
}

/// Reaches one wasm thread while it runs the guest's code; may be called again, also for nothing.
pub type Interrupter = Box<dyn Fn(Interruption) + Send + Sync>;

/// What a thread is interrupted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The process is to end: the code is left.
    End,
    /// A handler is to be called, or the process has stopped: the thread asks [`Signals`] at its next safe point, if its code has such.
    Attend,
}

impl Process {
    /// Makes a process that holds no descriptors yet. [`Kernel::spawn`] numbers and registers it.
    pub(crate) fn new(
        kernel: Arc<Kernel>,
        pid: Pid,
        image: ProcessImage,
        credentials: Credentials,
        fs: FsContext,
    ) -> Process {
        let fds_max = kernel.config.fds_max;
        let kernel_limits = kernel.config.resource_limits.clone();
        let locks = ProcessLocks::new(Arc::clone(&kernel.locks), pid);
        let started_at = kernel.clock.monotonic();
        Process {
            pid,
            kernel,
            fds: FdTable::new(fds_max, locks),
            signals: Signals::new(pid.0),
            started_at,
            image: RwLock::new(Arc::new(image)),
            standpoint: Mutex::new(Arc::new(Standpoint {
                fs,
                credentials: Arc::new(credentials),
            })),
            exit: Mutex::new(None),
            exit_waiters: WaitQueue::default(),
            is_end_told: AtomicBool::new(false),
            children_changed: WaitQueue::default(),
            can_wait: AtomicBool::new(false),
            reaps_orphans: AtomicBool::new(false),
            settings: Settings::new(kernel_limits),
            alarm: Alarm::default(),
            timers: Timers::default(),
            cpu: CpuTime::default(),
            futexes: Futexes::default(),
            threads: OtherThreads::default(),
            interrupters: Mutex::default(),
        }
    }

    /// Makes a copy under another number. POSIX: `fork()`; record locks are not inherited.
    pub(crate) fn fork(&self, parent_tid: u32, pid: Pid) -> Process {
        let kernel = Arc::clone(&self.kernel);
        let locks = ProcessLocks::new(Arc::clone(&kernel.locks), pid);
        Process {
            pid,
            fds: self.fds.fork(locks),
            signals: self.signals.fork(parent_tid, pid.0),
            started_at: kernel.clock.monotonic(),
            image: RwLock::new(self.image()),
            standpoint: Mutex::new(self.standpoint()),
            exit: Mutex::new(None),
            exit_waiters: WaitQueue::default(),
            is_end_told: AtomicBool::new(false),
            children_changed: WaitQueue::default(),
            can_wait: AtomicBool::new(self.can_wait()),
            reaps_orphans: AtomicBool::new(false),
            settings: self.settings.fork(),
            alarm: Alarm::default(),
            timers: Timers::default(),
            cpu: CpuTime::default(),
            futexes: Futexes::default(),
            threads: OtherThreads::default(),
            interrupters: Mutex::default(),
            kernel,
        }
    }

    /// Becomes another program: descriptors marked so are closed, handlers are forgotten. POSIX: `exec`.
    pub fn begin_image(&self, image: ProcessImage) {
        *self.image.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(image);
        self.fds.close_on_exec();
        self.signals.begin_image();
        self.settings.begin_image();
        self.delete_signal_timers();
        self.change_standpoint(|standpoint| {
            let who = Arc::make_mut(&mut standpoint.credentials);
            (who.suid, who.sgid) = (who.euid, who.egid);
        });
        if let Some(member) = self.kernel.table().get_mut(self.pid) {
            member.has_new_image = true;
        }
    }

    /// Returns what the program was started with.
    pub fn image(&self) -> Arc<ProcessImage> {
        Arc::clone(&self.image.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns its name: that which it gave itself, or the last part of its program's. Linux: `comm`.
    pub fn name(&self) -> Vec<u8> {
        crate::vfs::proc::comm(self)
    }

    /// Whether it has ended, and nobody has waited for it yet.
    pub(crate) fn has_ended(&self) -> bool {
        self.poll_exit(Waker::noop()).is_some()
    }

    /// Returns its state as `ps` shows it: `S` sleeping, as whoever is not asking just now, `T` stopped, `Z` ended and not waited for.
    pub fn state_letter(&self) -> char {
        if self.has_ended() {
            'Z'
        } else if self.signals.is_stopped() {
            'T'
        } else {
            'S'
        }
    }

    /// Returns the number of the process's parent; 0 if none of the container's processes is that.
    pub fn parent(&self) -> Pid {
        let table = self.kernel.table();
        table.get(self.pid).map_or(NOBODY, |member| member.parent)
    }

    /// Returns the names of the process's group and session.
    pub fn group_and_session(&self) -> (Pid, Pid) {
        let table = self.kernel.table();
        let member = table.get(self.pid);
        member.map_or((self.pid, self.pid), |member| {
            (member.group, member.session)
        })
    }

    /// Returns the controlling terminal.
    pub(crate) fn terminal(&self) -> Option<Arc<Pair>> {
        let table = self.kernel.table();
        table.get(self.pid)?.terminal.clone()
    }

    /// Returns N of the controlling terminal `/dev/pts/N`.
    pub fn terminal_number(&self) -> Option<u32> {
        self.terminal().map(|pair| pair.number)
    }

    /// Says whether the program can wait for children: where it cannot, the kernel forgets those that have ended.
    pub fn set_can_wait(&self, can_wait: bool) {
        self.can_wait.store(can_wait, Ordering::SeqCst);
    }

    /// Has the kernel wait for orphans that become its children, as an init would of which it were the child. Docker: `--init`.
    pub fn reap_orphans(&self) {
        self.reaps_orphans.store(true, Ordering::SeqCst);
    }

    pub(crate) fn reaps_orphans(&self) -> bool {
        self.reaps_orphans.load(Ordering::SeqCst)
    }

    fn can_wait(&self) -> bool {
        self.can_wait.load(Ordering::SeqCst)
    }

    /// Whether children leave no zombie. POSIX: `wait()`, `SIG_IGN` and `SA_NOCLDWAIT`.
    fn leaves_children(&self) -> bool {
        let action = self.signals.action(Signal::CHLD);
        !self.can_wait()
            || action.disposition == Disposition::Ignore
            || action.flags.contains(ActionFlags::NOCLDWAIT)
    }

    /// Returns the root, working directory and umask, and who the process acts as now.
    pub fn standpoint(&self) -> Arc<Standpoint> {
        Arc::clone(&self.lock_standpoint())
    }

    /// Changes the root, working directory, umask or credentials; who walks along a path meanwhile keeps those from before.
    ///
    /// What `change` takes out is better returned than dropped: it would be under the lock.
    pub fn change_standpoint<T>(&self, change: impl FnOnce(&mut Standpoint) -> T) -> T {
        change(Arc::make_mut(&mut self.lock_standpoint()))
    }

    fn lock_standpoint(&self) -> MutexGuard<'_, Arc<Standpoint>> {
        self.standpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns who the process acts as now.
    pub fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.lock_standpoint().credentials)
    }

    /// Replaces the credentials (`setuid` and its kin have checked already).
    pub fn set_credentials(&self, credentials: Credentials) {
        self.change_standpoint(|standpoint| standpoint.credentials = Arc::new(credentials));
    }

    /// Sends a signal of the kernel's; a fatal one interrupts running code and blocked calls.
    pub fn kill(&self, signal: Signal) -> Posted {
        self.kill_with(SignalInfo::of_kernel(signal))
    }

    /// Sends a signal with what is said of it.
    pub fn kill_with(&self, info: SignalInfo) -> Posted {
        self.kill_thread_with(None, info)
    }

    /// As [`Process::kill_with`], to one thread alone where one is named.
    pub(crate) fn kill_thread_with(&self, tid: Option<u32>, info: SignalInfo) -> Posted {
        let signal = info.signal;
        if SignalSet::STOPPING_BY_TERMINAL.contains(signal) && self.cannot_be_stopped(signal) {
            return Posted::Ignored;
        }
        let posted = self.signals.post_to(tid, info);
        match posted {
            Posted::Fatal => self.interrupt(Interruption::End),
            Posted::Pending => self.interrupt(Interruption::Attend),
            Posted::Stopped => {
                self.interrupt(Interruption::Attend);
                self.tell_parent(Change::Stopped(signal));
            }
            Posted::Continued => self.tell_parent(Change::Continued),
            Posted::Ignored | Posted::Full => {}
        }
        posted
    }

    /// Sends a timer's signal. One that still waits is told that the timer has rung once more, and `missed` times besides.
    pub(crate) fn post_timer(&self, tid: Option<u32>, info: SignalInfo, missed: u32) {
        if info.code != code::TIMER || !self.signals.count_overrun(tid, info, missed) {
            let overrun = if info.code == code::TIMER {
                missed
            } else {
                info.uid
            };
            let info = SignalInfo {
                uid: overrun,
                ..info
            };
            self.kill_thread_with(tid, info);
        }
    }

    /// Whether a signal would stop a process that nobody would let go on. Linux: kernel/signal.c `get_signal()`.
    fn cannot_be_stopped(&self, signal: Signal) -> bool {
        let is_default = self.signals.action(signal).disposition == Disposition::Default;
        is_default && {
            let table = self.kernel.table();
            let member = table.get(self.pid);
            member.is_some_and(|member| table.is_orphaned(member.group))
        }
    }

    /// Linux: kernel/signal.c `do_notify_parent_cldstop()`.
    fn tell_parent(&self, change: Change) {
        let parent = {
            let mut table = self.kernel.table();
            let Some(member) = table.get_mut(self.pid) else {
                return;
            };
            member.change = Some(change);
            let parent = member.parent;
            table.get(parent).map(|member| Arc::clone(&member.process))
        };
        let Some(parent) = parent else { return };
        let flags = parent.signals.action(Signal::CHLD).flags;
        if !flags.contains(ActionFlags::NOCLDSTOP) {
            parent.kill_with(self.child_info(&News::from(change)));
        }
        parent.children_changed.wake_all();
    }

    pub(crate) fn interrupt(&self, interruption: Interruption) {
        let interrupters = self.lock_interrupters();
        interrupters
            .values()
            .for_each(|interrupt| interrupt(interruption));
    }

    fn lock_interrupters(&self) -> MutexGuard<'_, BTreeMap<u32, Interrupter>> {
        self.interrupters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many threads the process has.
    pub fn threads_count(&self) -> u32 {
        1 + self.threads.count.load(Ordering::SeqCst)
    }

    /// Makes all threads end soon: running code is interrupted, blocked calls give `EINTR`. Linux: `do_group_exit()`.
    pub fn begin_exit(&self) {
        self.signals.begin_exit();
        self.interrupt(Interruption::End);
    }

    /// Returns whether all threads but the first are gone, or registers `waker` for that; once they are, the first may wait again.
    pub fn poll_other_threads_ended(&self, waker: &Waker) -> bool {
        self.threads.waiters.register(waker);
        let are_gone = self.threads_count() == 1;
        if are_gone {
            self.signals.end_exit();
        }
        are_gone
    }

    /// Registers how to reach a thread; called at once if the process is to end already.
    pub fn add_interrupter(&self, tid: u32, interrupter: Interrupter) {
        let mut interrupters = self.lock_interrupters();
        if self.signals.fatal().is_some() {
            interrupter(Interruption::End);
        }
        interrupters.insert(tid, interrupter);
    }

    /// Forgets how to reach a thread: its code is gone, and what the interrupter touches goes next.
    pub fn remove_interrupter(&self, tid: u32) {
        self.lock_interrupters().remove(&tid);
    }

    /// Records how the process ended, closes its descriptors and wakes who waits for it. The first status wins.
    pub fn exit(&self, status: ExitStatus) {
        {
            let mut exit = self.exit.lock().unwrap_or_else(PoisonError::into_inner);
            if exit.is_some() {
                return;
            }
            *exit = Some(status.clone());
        }
        self.cancel_alarm();
        self.stop_timers();
        self.fds.clear();
        self.exit_waiters.wake_all();
        let left = {
            let mut table = self.kernel.table();
            table.leave_terminal(self.pid, SignalSet::default())
        };
        self.kernel.tell_left(left);
        self.tell_of_end(status);
        self.is_end_told.store(true, Ordering::SeqCst);
        self.exit_waiters.wake_all();
    }

    /// Linux: kernel/exit.c `exit_notify()`.
    fn tell_of_end(&self, status: ExitStatus) {
        let info = self.child_info(&News::Ended(status.clone()));
        let mourners = {
            let mut table = self.kernel.table();
            table.end(self.pid, status, Process::leaves_children)
        };
        for orphan in &mourners.orphans {
            if let Some(signal) = orphan.settings.death_signal() {
                orphan.kill(signal);
            }
        }
        let told = [mourners.parent, mourners.init];
        for process in told.into_iter().flatten() {
            process.kill_with(info);
            process.children_changed.wake_all();
        }
        for group in mourners.orphaned {
            // Linux: kernel/exit.c `kill_orphaned_pgrp()`.
            let signals = SignalSet::of(&[Signal::HUP, Signal::CONT]);
            self.kernel.signal_group(group, signals);
        }
    }

    /// What a parent's `SIGCHLD` says of this process. Linux: kernel/signal.c `do_notify_parent()`.
    fn child_info(&self, news: &News) -> SignalInfo {
        let (code, status) = news.code_and_status();
        SignalInfo {
            signal: Signal::CHLD,
            code,
            pid: self.pid.0,
            uid: self.credentials().uid,
            value: u64::from(status),
        }
    }

    /// Returns whether the process has ended and its parent knows, or registers a waker for that.
    pub(crate) fn poll_told_end(&self, waker: Option<&Waker>) -> bool {
        if let Some(waker) = waker {
            self.exit_waiters.register(waker);
        }
        self.is_end_told.load(Ordering::SeqCst)
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
