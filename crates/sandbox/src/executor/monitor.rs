//! Finds workers that are stuck in a compute-bound guest, and lets others take their place.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::naps::{self, Nap};
use super::quota::Balance;
use super::rota::{self, Rota};
use super::task::lock;
use super::turns::ThreadTurns;
use super::worker::{Queue, Shared, Worker};

/// How often the monitor looks while guests run.
const TICK: Duration = Duration::from_millis(10);

/// How often the monitor looks while guests that are to end were not found in their own code yet.
const ENDING_TICK: Duration = Duration::from_millis(1);

/// A worker that is in one poll for this long is stuck. A little less than a tick, so that
/// a poll is seen as stuck at the second look at the latest.
const STUCK_NS: u64 = 9_000_000;

/// How many looks in a row must find nobody at work before the monitor goes to sleep: waking it
/// costs a server more than a few looks do.
const IDLE_TICKS_MAX: u32 = 2;

/// Guests of a crowd that run at the same time on each CPU: more than one, for some wait for the host's files or for a page, and
/// Linux shares a turn among them that lasts longer because the monitor had to wait. While others wait for their first turn, one.
const RUNNING_PER_CPU: usize = 4;

/// Most workers that are started at one look.
const BURST_MAX: usize = 64;

/// With more compute-bound guests than this on a CPU, not all of them run at the same time.
const CROWD_THREADS_PER_CPU: usize = 8;

/// Stack of the monitor's thread; it calls nothing deep.
const MONITOR_STACK_BYTES: usize = 128 << 10;

/// Handle of the monitor's thread.
#[derive(Default)]
pub(super) struct Monitor {
    /// `None` until it is needed first.
    thread: Mutex<Option<Thread>>,
}

impl Monitor {
    /// Wakes the monitor, starting its thread if need be. The caller has cleared `is_monitor_dormant`.
    pub(super) fn rouse(&self, shared: &Arc<Shared>) {
        let mut thread = lock(&self.thread);
        if let Some(thread) = &*thread {
            return thread.unpark();
        }
        let own = Arc::clone(shared);
        let started = std::thread::Builder::new()
            .name("monitor".to_owned())
            .stack_size(MONITOR_STACK_BYTES)
            .spawn(move || watch(&own));
        match started {
            Ok(handle) => *thread = Some(handle.thread().clone()),
            Err(error) => {
                tracing::warn!(%error, "cannot start the monitor thread");
                shared.queue().is_monitor_dormant = true;
            }
        }
    }

    /// Wakes the monitor if there is one.
    pub(super) fn wake(&self) {
        if let Some(thread) = &*lock(&self.thread) {
            thread.unpark();
        }
    }
}

/// The monitor's thread.
fn watch(shared: &Arc<Shared>) {
    ThreadTurns::default().begin();
    let mut idle_ticks = 0;
    let mut burst = 0;
    let mut rota = Rota::default();
    let mut is_ending = false;
    let mut looked_at = Instant::now();
    while !shared.is_shut_down() {
        let tick = if rota.is_kept() { rota::TURN } else { TICK };
        let pause = if is_ending { ENDING_TICK } else { tick };
        std::thread::park_timeout(shared.quota.tick(pause, shared.parallelism()));
        let balance = shared.quota.look();
        let mut queue = shared.queue();
        is_ending = queue.hurry_doomed();
        if is_ending && looked_at.elapsed() < tick {
            // A look at a thousand guests takes long enough to keep those waiting that are to end.
            continue;
        }
        looked_at = Instant::now();
        if queue.is_paused {
            // Those who nap are not stuck, and tasks that wait are to wait.
            if !queue.hold() && !is_ending {
                queue.is_monitor_dormant = true;
                drop(queue);
                wait_for_work(shared);
            }
            continue;
        }
        // Detached workers need nobody's look but the quota's and the rota's.
        let is_counted = balance != Balance::Unlimited && !queue.detached.is_empty();
        let is_counted = is_counted || rota.is_kept() || is_ending;
        if queue.is_at_work() || is_counted {
            idle_ticks = 0;
            if balance == Balance::Overdrawn {
                // Those who nap are not stuck: nobody may take their places.
                queue.send_to_nap();
                continue;
            }
            let starting = look(shared, &mut queue, &mut burst);
            give_turns(shared, &queue, &mut rota);
            drop(queue);
            for worker in starting {
                shared.start(&worker);
            }
            continue;
        }
        idle_ticks += 1;
        if idle_ticks > IDLE_TICKS_MAX {
            queue.is_monitor_dormant = true;
            drop(queue);
            wait_for_work(shared);
            idle_ticks = 0;
        }
    }
    rota.disband(&shared.queue().detached);
}

/// Lets a crowd of detached workers take turns.
fn give_turns(shared: &Shared, queue: &Queue, rota: &mut Rota) {
    let cpus = shared.parallelism();
    if queue.detached.len() > cpus * CROWD_THREADS_PER_CPU {
        let is_growing = !queue.runnable.is_empty();
        let places = if is_growing { 1 } else { RUNNING_PER_CPU };
        rota.turn(&queue.detached, cpus * places);
    } else {
        rota.disband(&queue.detached);
    }
}

/// Sleeps until a worker has cleared `is_monitor_dormant`.
fn wait_for_work(shared: &Shared) {
    while shared.queue().is_monitor_dormant && !shared.is_shut_down() {
        std::thread::park();
    }
}

/// Detaches stuck workers, wakes sleepers, and returns workers to start in their place.
///
/// When most active workers are stuck and tasks wait, `burst` doubles from look to look, beyond the
/// number of CPUs: so a thousand compute-bound guests each have their thread after some twenty looks.
fn look(shared: &Shared, queue: &mut Queue, burst: &mut usize) -> Vec<Arc<Worker>> {
    let parallelism = shared.parallelism();
    let stuck = detach_stuck(shared, queue);
    let is_starving = stuck > 0 && stuck >= queue.active.len() && !queue.runnable.is_empty();
    let mut places = parallelism.saturating_sub(queue.active.len());
    if is_starving {
        *burst = (*burst * 2).clamp(parallelism, BURST_MAX);
        places = places.max(*burst);
    } else if queue.runnable.is_empty() {
        *burst = 0;
    }
    let mut wanted = places.min(queue.runnable.len());
    let is_free = |worker: &Arc<Worker>| worker.busy_since.load(Ordering::Relaxed) == 0;
    if wanted == 0 && !queue.has_poller && queue.active.iter().all(is_free) {
        // Nobody waits for events and timers, and all who could are asleep or detached.
        wanted = 1;
    }
    let woken = shared.wake_sleepers(queue, wanted);
    (woken..wanted).map(|_| shared.admit(queue)).collect()
}

/// Takes the places of stuck workers away; returns how many there were.
fn detach_stuck(shared: &Shared, queue: &mut Queue) -> usize {
    let now = shared.now();
    let is_stuck = |worker: &mut Arc<Worker>| {
        let since = worker.busy_since.load(Ordering::Relaxed);
        since != 0 && now.saturating_sub(since) >= STUCK_NS
    };
    let stuck: Vec<_> = queue.active.extract_if(.., is_stuck).collect();
    for worker in &stuck {
        worker.is_detached.store(true, Ordering::Relaxed);
        worker.turns.lengthen();
    }
    let count = stuck.len();
    queue.detached.extend(stuck);
    count
}

impl Shared {
    /// Ends the guest that is being polled by the worker whose nap this is, as soon as a signal finds it in its own code.
    pub(super) fn doom(self: &Arc<Self>, nap: &Arc<Nap>) {
        if let Err(error) = naps::set_handler() {
            tracing::error!(%error, "guests that compute cannot be ended");
        }
        nap.doom();
        let mut queue = self.queue();
        let mut workers = queue.active.iter().chain(&queue.detached);
        if let Some(worker) = workers.find(|worker| Arc::ptr_eq(&worker.nap, nap)) {
            // It is to have the CPU soon, though not for long.
            worker.turns.shorten();
            if let Some(thread) = worker.turns.thread() {
                naps::signal(thread);
            }
        }
        queue.is_monitor_dormant = false;
        drop(queue);
        self.monitor.rouse(self);
    }
}

impl Queue {
    /// Signals once more to the guests that are to end and were not found in their own code; returns whether there are any.
    fn hurry_doomed(&self) -> bool {
        let workers = self.active.iter().chain(&self.detached);
        let doomed = workers.filter(|worker| worker.nap.is_doomed());
        let threads = doomed.filter_map(|worker| worker.turns.thread());
        threads.map(naps::signal).count() > 0
    }

    /// Makes the workers nap that are in a guest.
    fn send_to_nap(&self) {
        let workers = self.active.iter().chain(&self.detached);
        let busy = workers.filter(|worker| worker.busy_since.load(Ordering::Relaxed) != 0);
        busy.filter_map(|worker| worker.turns.thread())
            .for_each(naps::signal);
    }

    /// Whether an active worker is in a poll, or should be.
    fn is_at_work(&self) -> bool {
        let is_busy = |worker: &Arc<Worker>| worker.busy_since.load(Ordering::Relaxed) != 0;
        !self.runnable.is_empty() || self.active.iter().any(is_busy)
    }
}
