//! The queue, and the life of a worker.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::monitor::Monitor;
use super::naps::{Nap, OwnNap};
use super::quota::{self, CpuQuota};
use super::reactor::{Reactor, Wait};
use super::task::{Task, Tasks, lock};
use super::turns::ThreadTurns;

/// Stack of a worker thread. Guests run on fibers' stacks; what runs here is the executor
/// and wasmtime's entry code. Only touched pages count.
const WORKER_STACK_BYTES: usize = 512 << 10;

/// How many tasks a busy worker runs before it looks for events itself, when nobody waits for them.
const TASKS_PER_IO_LOOK: u32 = 61;

/// A task woken by a worker that is in its current poll for less than this is left to that
/// worker: it will most likely wait next, and waking another CPU costs 30–60 µs on a virtual machine.
const SOON_FREE_NS: u64 = 50_000;

/// What all threads of an executor share.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    sleepers: Condvar,
    pub(super) reactor: Arc<Reactor>,
    pub(super) tasks: Tasks,
    pub(super) monitor: Monitor,
    pub(super) quota: Arc<CpuQuota>,
    started_at: Instant,
    is_shut_down: AtomicBool,
    /// How many workers take tasks at the same time.
    parallelism: usize,
}

/// Guarded by [`Shared::queue`].
pub(super) struct Queue {
    pub(super) runnable: VecDeque<Arc<Task>>,
    /// Workers that are not detached.
    pub(super) active: Vec<Arc<Worker>>,
    /// Workers that wait at the condition variable.
    pub(super) sleeping: usize,
    /// Wake-ups given to sleepers and not taken yet; at most `sleeping`.
    wakeups: usize,
    /// A worker waits for events.
    pub(super) has_poller: bool,
    /// The poller was told to come back.
    is_poller_kicked: bool,
    /// Workers that lost their places for computing.
    pub(super) detached: Vec<Arc<Worker>>,
    /// Nobody takes a task, and those who are at one nap ([`pause`](super::pause)).
    pub(super) is_paused: bool,
    /// The monitor sleeps until a poll begins.
    pub(super) is_monitor_dormant: bool,
}

/// One thread that polls tasks.
pub(super) struct Worker {
    /// When the current poll began, in nanoseconds since [`Shared::started_at`]; 0 between polls.
    /// A thread that is starting counts from its creation.
    pub(super) busy_since: AtomicU64,
    pub(super) is_detached: AtomicBool,
    /// How the host's scheduler treats the thread.
    pub(super) turns: ThreadTurns,
    /// Whether it waits while others have their turn.
    pub(super) nap: Arc<Nap>,
    /// The thread that called `run`: it never exits for want of work.
    is_caller: bool,
}

/// What must be done after the queue was unlocked.
#[must_use]
enum Wake {
    Nobody,
    Sleeper,
    Poller,
    NewWorker(Arc<Worker>),
}

thread_local! {
    /// The worker that this thread is, and its executor's address to compare.
    static CURRENT: RefCell<Option<(*const Shared, Arc<Worker>)>> = const { RefCell::new(None) };
}

/// Returns the nap of the worker that polls on the calling thread.
pub(crate) fn current_nap() -> Option<Arc<Nap>> {
    CURRENT.with_borrow(|current| current.as_ref().map(|(_, worker)| Arc::clone(&worker.nap)))
}

/// What a worker remembers between tasks.
#[derive(Default)]
struct Turn {
    tasks_since_look: u32,
    has_run: bool,
}

impl Worker {
    /// Makes the worker for a thread that calls `run`.
    pub(super) fn caller() -> Arc<Self> {
        Arc::new(Self {
            busy_since: AtomicU64::new(0),
            is_detached: AtomicBool::new(false),
            turns: ThreadTurns::default(),
            nap: Arc::default(),
            is_caller: true,
        })
    }

    fn starting(now: u64) -> Arc<Self> {
        Arc::new(Self {
            busy_since: AtomicU64::new(now),
            is_detached: AtomicBool::new(false),
            turns: ThreadTurns::default(),
            nap: Arc::default(),
            is_caller: false,
        })
    }
}

impl Shared {
    pub(super) fn new(parallelism: usize, reactor: Arc<Reactor>) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue {
                runnable: VecDeque::new(),
                active: Vec::new(),
                sleeping: 0,
                wakeups: 0,
                has_poller: false,
                is_poller_kicked: false,
                detached: Vec::new(),
                is_paused: false,
                is_monitor_dormant: true,
            }),
            sleepers: Condvar::new(),
            reactor,
            tasks: Tasks::default(),
            monitor: Monitor::default(),
            quota: Arc::default(),
            started_at: Instant::now(),
            is_shut_down: AtomicBool::new(false),
            parallelism,
        })
    }

    pub(super) fn parallelism(&self) -> usize {
        self.parallelism
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.is_shut_down.load(Ordering::SeqCst)
    }

    /// Nanoseconds since the executor was made, never 0.
    pub(super) fn now(&self) -> u64 {
        self.started_at.elapsed().as_nanos() as u64 + 1
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Queues a task, and wakes a worker for it if that is worth it.
    pub(super) fn schedule(self: &Arc<Self>, task: Arc<Task>) {
        let mut queue = self.queue();
        queue.runnable.push_back(task);
        let wake = if queue.runnable.len() == 1 && self.is_caller_soon_free() {
            Wake::Nobody
        } else {
            self.choose_wake(&mut queue)
        };
        drop(queue);
        self.wake(wake);
    }

    /// Returns whether the calling thread is an active worker that will look at the queue soon.
    fn is_caller_soon_free(&self) -> bool {
        CURRENT.with_borrow(|current| {
            let Some((shared, worker)) = current else {
                return false;
            };
            if !std::ptr::eq(*shared, self) || worker.is_detached.load(Ordering::Relaxed) {
                return false;
            }
            let since = worker.busy_since.load(Ordering::Relaxed);
            since == 0 || self.now().saturating_sub(since) < SOON_FREE_NS
        })
    }

    fn choose_wake(&self, queue: &mut Queue) -> Wake {
        if queue.sleeping > queue.wakeups {
            queue.wakeups += 1;
            Wake::Sleeper
        } else if queue.has_poller && !queue.is_poller_kicked {
            queue.is_poller_kicked = true;
            Wake::Poller
        } else if queue.active.len() < self.parallelism && !self.is_shut_down() {
            Wake::NewWorker(self.admit(queue))
        } else {
            Wake::Nobody
        }
    }

    /// Adds a worker that is going to start.
    pub(super) fn admit(&self, queue: &mut Queue) -> Arc<Worker> {
        let worker = Worker::starting(self.now());
        queue.active.push(Arc::clone(&worker));
        worker
    }

    fn wake(self: &Arc<Self>, wake: Wake) {
        match wake {
            Wake::Nobody => {}
            Wake::Sleeper => self.sleepers.notify_one(),
            Wake::Poller => self.reactor.kick(),
            Wake::NewWorker(worker) => self.start(&worker),
        }
    }

    /// Wakes up to `count` sleepers; returns how many.
    pub(super) fn wake_sleepers(&self, queue: &mut Queue, count: usize) -> usize {
        let woken = count.min(queue.sleeping - queue.wakeups);
        queue.wakeups += woken;
        for _ in 0..woken {
            self.sleepers.notify_one();
        }
        woken
    }

    /// Wakes every thread, so that each looks at what it waits for besides tasks.
    pub(super) fn wake_everyone(&self) {
        // The lock makes sure that no thread is between its look and its sleep.
        drop(self.queue());
        self.sleepers.notify_all();
        self.reactor.kick();
    }

    /// Starts the thread of a worker that was admitted.
    pub(super) fn start(self: &Arc<Self>, worker: &Arc<Worker>) {
        let shared = Arc::clone(self);
        let own = Arc::clone(worker);
        let started = std::thread::Builder::new()
            .name("worker".to_owned())
            .stack_size(WORKER_STACK_BYTES)
            .spawn(move || shared.work_until(&own, &AtomicBool::new(false)));
        if let Err(error) = started {
            // The queue keeps its tasks; the monitor tries again at its next look.
            tracing::warn!(%error, "cannot start a worker thread");
            self.queue().forget(worker);
        }
    }

    /// Runs tasks until `is_done`, or until the worker is not needed any more.
    pub(super) fn work_until(self: &Arc<Self>, worker: &Arc<Worker>, is_done: &AtomicBool) {
        worker.turns.begin();
        let me = Some((Arc::as_ptr(self), Arc::clone(worker)));
        let before = CURRENT.replace(me);
        let _nap = OwnNap::new(&worker.nap);
        if worker.is_caller {
            self.queue().active.push(Arc::clone(worker));
        }
        let mut turn = Turn::default();
        while let Some(task) = self.next_task(worker, is_done, &mut turn) {
            if quota::nap_if_due() {
                worker.busy_since.store(self.now(), Ordering::Relaxed);
            }
            if worker.is_detached.load(Ordering::Relaxed) {
                // Others have their turn, and nothing is held yet for which they would wait.
                worker.nap.sleep();
            }
            worker.nap.begin();
            task.run();
            worker.busy_since.store(0, Ordering::Relaxed);
        }
        let wake = self.leave(worker);
        self.wake(wake);
        CURRENT.set(before);
    }

    /// Gives up the worker's place; returns who must do what was left to it.
    fn leave(&self, worker: &Arc<Worker>) -> Wake {
        let mut queue = self.queue();
        queue.forget(worker);
        // A wake-up that was meant for this worker must not be lost, and if it was the one that waited for events, another must: those
        // who sleep would not hear of them, nor of timers.
        let is_poller_missing = !queue.has_poller && queue.sleeping > queue.wakeups;
        match queue.runnable.is_empty() && !is_poller_missing {
            true => Wake::Nobody,
            false => self.choose_wake(&mut queue),
        }
    }

    /// Returns the next task, waiting for one, or `None` when the worker has to go.
    fn next_task(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        is_done: &AtomicBool,
        turn: &mut Turn,
    ) -> Option<Arc<Task>> {
        let mut queue = self.queue();
        loop {
            if self.is_shut_down() || is_done.load(Ordering::SeqCst) {
                return None;
            }
            if turn.tasks_since_look >= TASKS_PER_IO_LOOK && !queue.has_poller {
                turn.tasks_since_look = 0;
                queue = self.look_for_events(queue, Wait::No);
            }
            let may_stay = self.may_stay(&mut queue, worker);
            // A thread that was started for a burst, and had to wait for a CPU so long that it was
            // detached meanwhile, has still a task to take.
            if (may_stay || !turn.has_run)
                && !queue.is_paused
                && let Some(task) = queue.runnable.pop_front()
            {
                turn.tasks_since_look += 1;
                turn.has_run = true;
                worker.busy_since.store(self.now(), Ordering::Relaxed);
                self.rouse_monitor(queue);
                return Some(task);
            }
            if !may_stay {
                return None;
            }
            worker.busy_since.store(0, Ordering::Relaxed);
            turn.tasks_since_look = 0;
            queue = if queue.has_poller {
                self.sleep(queue, is_done)
            } else {
                self.look_for_events(queue, Wait::UntilEvent)
            };
        }
    }

    /// Returns whether there is a place for the worker, and gives it back to one that was detached.
    fn may_stay(&self, queue: &mut Queue, worker: &Arc<Worker>) -> bool {
        if !worker.is_detached.load(Ordering::Relaxed) {
            return worker.is_caller || queue.active.len() <= self.parallelism;
        }
        let has_place = worker.is_caller || queue.active.len() < self.parallelism;
        if has_place {
            worker.is_detached.store(false, Ordering::Relaxed);
            worker.turns.shorten();
            queue.forget(worker);
            queue.active.push(Arc::clone(worker));
        }
        has_place
    }

    /// Waits for events as the poller, and queues what they wake.
    fn look_for_events<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Queue>,
        wait: Wait,
    ) -> MutexGuard<'a, Queue> {
        queue.has_poller = true;
        queue.is_poller_kicked = matches!(wait, Wait::No);
        drop(queue);
        let events = self.reactor.wait(wait);
        let mut queue = self.queue();
        queue.has_poller = false;
        queue.is_poller_kicked = false;
        drop(queue);
        self.reactor.dispatch(events);
        self.queue()
    }

    /// Waits at the condition variable for a wake-up.
    fn sleep<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Queue>,
        is_done: &AtomicBool,
    ) -> MutexGuard<'a, Queue> {
        queue.sleeping += 1;
        while queue.wakeups == 0 && !self.is_shut_down() && !is_done.load(Ordering::SeqCst) {
            queue = self
                .sleepers
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        queue.wakeups = queue.wakeups.saturating_sub(1);
        queue.sleeping -= 1;
        queue
    }

    fn rouse_monitor(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>) {
        if std::mem::take(&mut queue.is_monitor_dormant) {
            drop(queue);
            self.monitor.rouse(self);
        }
    }

    /// Ends the executor: workers leave after their current poll, other tasks are dropped now.
    pub(super) fn shut_down(self: &Arc<Self>) {
        self.is_shut_down.store(true, Ordering::SeqCst);
        self.resume();
        self.wake_everyone();
        self.monitor.wake();
        let queued = std::mem::take(&mut self.queue().runnable);
        drop(queued);
        for task in self.tasks.take() {
            task.abandon();
        }
        self.reactor.forget_wakers();
    }
}

impl Queue {
    fn forget(&mut self, worker: &Arc<Worker>) {
        self.active.retain(|active| !Arc::ptr_eq(active, worker));
        self.detached
            .retain(|detached| !Arc::ptr_eq(detached, worker));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An executor with room for one worker, one that sleeps, and one that is to leave.
    fn crowded() -> (Arc<Shared>, Arc<Worker>) {
        let shared = Shared::new(1, Reactor::new().expect("the host has epoll"));
        let leaving = Worker::starting(1);
        let mut queue = shared.queue();
        queue.active = vec![Worker::caller(), Arc::clone(&leaving)];
        queue.sleeping = 1;
        drop(queue);
        (shared, leaving)
    }

    #[test]
    fn one_who_sleeps_is_woken_to_wait_for_events_when_the_one_who_did_leaves() {
        let (shared, leaving) = crowded();
        assert!(matches!(shared.leave(&leaving), Wake::Sleeper));
        assert_eq!(shared.queue().active.len(), 1);
    }

    #[test]
    fn nobody_is_woken_for_events_while_another_waits_for_them() {
        let (shared, leaving) = crowded();
        shared.queue().has_poller = true;
        assert!(matches!(shared.leave(&leaving), Wake::Nobody));
    }
}
