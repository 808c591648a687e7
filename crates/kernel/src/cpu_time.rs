//! The CPU time of a process, of each of its threads, and of the children that it has waited for.
//!
//! The kernel does not run code: whoever does registers a [`CpuMeter`] for each thread and takes it away when the thread's code is gone.
//! What the kernel itself does for a thread counts for it too, and nothing tells the two apart: all is the user's time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::platform::Nanoseconds;
use crate::process::Process;
use crate::task::Task;

/// Tells how much CPU time one thread has used since the meter was made.
pub trait CpuMeter: Send + Sync {
    /// Returns that, up to now.
    fn used(&self) -> Nanoseconds;
}

/// The CPU time of one process. Linux: what `struct signal_struct` and the threads of `struct task_struct` have of it.
#[derive(Default)]
pub(crate) struct CpuTime(Mutex<State>);

#[derive(Default)]
struct State {
    /// By number.
    threads: BTreeMap<u32, Thread>,
    /// Of threads that have ended.
    ended: Nanoseconds,
    /// Of children that were waited for, and theirs.
    children: Nanoseconds,
}

#[derive(Default)]
struct Thread {
    /// Of programs that it ran before.
    before: Nanoseconds,
    meter: Option<Arc<dyn CpuMeter>>,
}

impl Thread {
    fn used(&self) -> Nanoseconds {
        self.before + self.meter.as_ref().map_or(0, |meter| meter.used())
    }
}

impl CpuTime {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a thread that has ended among the ended.
    pub(crate) fn thread_ended(&self, tid: u32) {
        let mut state = self.lock();
        if let Some(thread) = state.threads.remove(&tid) {
            state.ended += thread.used();
        }
    }

    /// Counts a child that was waited for.
    pub(crate) fn child_waited_for(&self, used: Nanoseconds) {
        self.lock().children += used;
    }
}

impl Process {
    /// Registers what measures a thread that begins to run code.
    pub fn add_meter(&self, tid: u32, meter: Arc<dyn CpuMeter>) {
        self.cpu.lock().threads.entry(tid).or_default().meter = Some(meter);
    }

    /// Keeps what a thread has used: its code is gone.
    pub fn remove_meter(&self, tid: u32) {
        if let Some(thread) = self.cpu.lock().threads.get_mut(&tid) {
            thread.before = thread.used();
            thread.meter = None;
        }
    }

    /// Returns the CPU time that the process has used. POSIX: `CLOCK_PROCESS_CPUTIME_ID`.
    pub fn cpu_time(&self) -> Nanoseconds {
        let state = self.cpu.lock();
        let threads = state.threads.values().map(Thread::used);
        state.ended + threads.sum::<Nanoseconds>()
    }

    /// Returns that of one of its threads; 0 for one that has run nothing. POSIX: `CLOCK_THREAD_CPUTIME_ID`.
    pub fn thread_cpu_time(&self, tid: u32) -> Nanoseconds {
        let state = self.cpu.lock();
        state.threads.get(&tid).map_or(0, Thread::used)
    }

    /// Returns that of the children that it has waited for, with theirs. POSIX: `times()`, `tms_cutime`.
    pub fn children_cpu_time(&self) -> Nanoseconds {
        self.cpu.lock().children
    }
}

impl Task {
    /// Returns the CPU time that the thread has used.
    pub fn cpu_time(&self) -> Nanoseconds {
        self.process.thread_cpu_time(self.tid)
    }
}
