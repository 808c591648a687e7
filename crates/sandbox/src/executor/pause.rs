//! A pause of all guests: nobody takes a task, and workers that are in a guest nap where they are found in its code.
//!
//! A worker that is in a call of the host goes on until it comes back to the guest's code, or its poll ends: so nobody naps with a lock
//! of ours. The monitor repeats the signal until everybody naps, and sleeps then; timers and events only queue tasks meanwhile.
//! The clock goes on, as it does for a control group that is frozen.
//!
//! Linux: Documentation/admin-guide/cgroup-v2.rst, `cgroup.freeze`, which this stands in for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::naps;
use super::worker::{Queue, Shared};

impl Shared {
    /// Begins a pause; guests that compute stop a moment later ([`Shared::is_still`]).
    pub(super) fn pause(self: &Arc<Self>) -> io::Result<()> {
        naps::set_handler()?;
        let mut queue = self.queue();
        queue.is_paused = true;
        queue.hold();
        queue.is_monitor_dormant = false;
        drop(queue);
        self.monitor.rouse(self);
        Ok(())
    }

    /// Whether nobody is in a guest but those who nap there.
    pub(super) fn is_still(&self) -> bool {
        self.queue().is_still()
    }

    /// Ends a pause, if there is one.
    pub(super) fn resume(self: &Arc<Self>) {
        let mut queue = self.queue();
        if !std::mem::take(&mut queue.is_paused) {
            return;
        }
        for worker in queue.active.iter().chain(&queue.detached) {
            worker.nap.end();
        }
        let waiting = queue.runnable.len();
        self.wake_sleepers(&mut queue, waiting);
        queue.is_monitor_dormant = false;
        drop(queue);
        self.reactor.kick();
        // It finds places for the rest of the tasks that came meanwhile.
        self.monitor.rouse(self);
    }
}

impl Queue {
    /// Sends workers to their naps that are in a guest and do not nap yet; returns whether there are any.
    pub(super) fn hold(&self) -> bool {
        let workers = self.active.iter().chain(&self.detached);
        let moving = workers.filter(|worker| {
            worker.busy_since.load(Ordering::Relaxed) != 0 && !worker.nap.is_asleep()
        });
        let sent = moving.map(|worker| worker.nap.send(worker.turns.thread()));
        sent.count() > 0
    }

    fn is_still(&self) -> bool {
        let mut workers = self.active.iter().chain(&self.detached);
        workers
            .all(|worker| worker.busy_since.load(Ordering::Relaxed) == 0 || worker.nap.is_asleep())
    }
}
