//! Runs guests: one future per wasm thread, on as many host threads as there are CPUs.
//!
//! A guest's future holds the thread that polls it for as long as the guest computes. So a *monitor* looks
//! every 10 ms for workers that have been in one poll since before its last look, and
//! *detaches* them: a detached worker keeps its guest but gives up its place, and another thread takes over the queue. A
//! compute-bound guest so ends up on a thread of its own, where Linux schedules it fairly, and its code pays
//! nothing for that. More of them than Linux serves well take turns. The monitor sleeps while no guest runs.
//!
//! There is no thread for I/O: a worker that finds nothing to do waits in `epoll_wait` itself (it is the *poller*), so
//! a server that waits for its next request never crosses threads. Further idle workers wait for a
//! condition variable. Threads start when they are needed first; the thread that calls
//! [`Executor::run`] is a worker too, so one guest alone needs no other but the monitor.
//!
//! | module | is |
//! |---|---|
//! | `task` | a future's states, and the handle to its result |
//! | `worker` | the queue, and the life of a worker |
//! | `meter` | counts the CPU time of each guest's thread |
//! | `monitor` | finds stuck workers |
//! | `naps` | makes a worker wait wherever its guest is, or ends that |
//! | `code` | where guests' code lies, and how it is left |
//! | `pause` | holds all guests up until it ends |
//! | `quota` | keeps the CPU time that is used below a limit |
//! | `rota` | lets few of many compute-bound guests run at a time |
//! | `turns` | asks the host's scheduler for short turns |
//! | [`reactor`] | `epoll`, timers, and descriptors with remembered readiness |
//!
//! # Lock order
//! `Queue` before nothing: no other lock is taken, and no waker runs, while it is held.

mod code;
mod meter;
mod monitor;
mod naps;
mod pause;
mod quota;
pub mod reactor;
mod rota;
mod task;
#[cfg(test)]
mod tests;
mod turns;
mod worker;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

pub(crate) use code::{Exit, GuestCode};
pub(crate) use meter::Meter;
pub(crate) use naps::Nap;
pub use quota::CpuQuota;
pub use reactor::{PolledFd, Reactor, Registration, Source};
pub use task::{JoinHandle, TaskError};
pub(crate) use worker::current_nap;
use worker::{Shared, Worker};

/// How long [`Spawner::pause`] waits for guests that are in a call of the host. Who asks for a pause serves the control socket.
const PAUSE_PATIENCE: Duration = Duration::from_millis(100);

/// How often it looks meanwhile.
const PAUSE_LOOK: Duration = Duration::from_micros(500);

/// How the executor is made.
#[derive(Clone, Copy, Debug)]
pub struct ExecutorConfig {
    /// How many workers take tasks from the queue at the same time; detached ones come on top. At least 1.
    pub workers: usize,
}

impl ExecutorConfig {
    /// One worker for each CPU that this process may use.
    pub fn for_this_machine() -> Self {
        // Quotas of control groups, which the standard library would read from a dozen files, limit time and not threads.
        let cpus = rustix::thread::sched_getaffinity(None);
        let workers = cpus.map_or(1, |cpus| cpus.count() as usize);
        Self { workers }
    }
}

/// Runs futures until it is dropped; then those that are left are dropped too.
pub struct Executor {
    spawner: Spawner,
}

/// Starts tasks on an executor, from anywhere.
#[derive(Clone)]
pub struct Spawner {
    shared: Arc<Shared>,
}

/// Asks that the calling thread be served soon after it wakes, however many guests compute.
pub fn take_short_turns() {
    turns::ThreadTurns::default().begin();
}

impl Executor {
    /// Makes an executor; it starts no thread yet.
    ///
    /// # Errors
    /// When the host has no descriptors left for `epoll`.
    pub fn new(config: ExecutorConfig) -> std::io::Result<Self> {
        let reactor = Reactor::new()?;
        let shared = Shared::new(config.workers.max(1), reactor);
        Ok(Self {
            spawner: Spawner { shared },
        })
    }

    /// Returns how many workers take tasks from the queue at the same time.
    pub fn workers(&self) -> usize {
        self.spawner.shared.parallelism()
    }

    /// Returns a handle that starts tasks.
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Returns what wakes tasks for descriptors and timers.
    pub fn reactor(&self) -> &Arc<Reactor> {
        &self.spawner.shared.reactor
    }

    /// Returns what limits the CPU time of all tasks together.
    pub fn quota(&self) -> &Arc<CpuQuota> {
        &self.spawner.shared.quota
    }

    /// Starts a task.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.spawner.spawn(future)
    }

    /// Makes the calling thread a worker until `future` has ended, and returns its result.
    ///
    /// It may return later than that: the thread finishes the poll it is in.
    pub fn run<F>(&self, future: F) -> Result<F::Output, TaskError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let shared = &self.spawner.shared;
        let done = Arc::new(Done {
            is_done: AtomicBool::new(false),
            shared: Arc::clone(shared),
        });
        let mut handle = self.spawn(future);
        let waker = Waker::from(Arc::clone(&done));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(result) = std::pin::Pin::new(&mut handle).poll(&mut context) {
                return result;
            }
            shared.work_until(&Worker::caller(), &done.is_done);
            done.is_done.store(false, Ordering::SeqCst);
        }
    }
}

impl Spawner {
    /// Starts a task.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        task::spawn(&self.shared, future)
    }

    /// Returns what wakes tasks for descriptors and timers.
    pub fn reactor(&self) -> &Arc<Reactor> {
        &self.shared.reactor
    }

    /// Ends the guest that is being polled by the worker whose nap this is, as soon as it is found in its own code, until
    /// [`Nap::pardon`].
    pub(crate) fn doom(&self, nap: &Arc<Nap>) {
        self.shared.doom(nap);
    }

    /// Keeps all tasks from going on, also where they compute, until [`Spawner::resume`]. Returns once none does, or after
    /// [`PAUSE_PATIENCE`]: those that are in a call of the host then stop as soon as they leave it.
    ///
    /// # Errors
    /// When the host refuses the signal's handler; then nothing is held up.
    pub fn pause(&self) -> std::io::Result<()> {
        let until = Instant::now() + PAUSE_PATIENCE;
        self.shared.pause()?;
        while !self.shared.is_still() && Instant::now() < until {
            std::thread::sleep(PAUSE_LOOK);
        }
        Ok(())
    }

    /// Ends a pause, if there is one.
    pub fn resume(&self) {
        self.shared.resume();
    }

    /// Returns how many tasks have not ended.
    pub fn tasks_count(&self) -> usize {
        self.shared.tasks.count()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.spawner.shared.shut_down();
    }
}

/// Ends [`Executor::run`]'s turn as a worker.
struct Done {
    is_done: AtomicBool,
    shared: Arc<Shared>,
}

impl Wake for Done {
    fn wake(self: Arc<Self>) {
        self.is_done.store(true, Ordering::SeqCst);
        self.shared.wake_everyone();
    }
}
