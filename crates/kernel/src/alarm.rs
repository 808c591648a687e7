//! The timer of a process that ends in `SIGALRM`. POSIX: `alarm()`, `setitimer()` with `ITIMER_REAL`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};

use minke_abi::linux::Signal;

use crate::platform::{Nanoseconds, TimerId};
use crate::process::Process;
use crate::task::Task;

/// Shortest time between two signals: bounds what a guest makes the host do for it.
const INTERVAL_MIN: Nanoseconds = 100_000;

/// A process's timer, while it is set.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Mutex<Option<Armed>>);

#[derive(Clone, Copy, Debug)]
struct Armed {
    /// Of the clock, once that has given it one.
    timer: Option<TimerId>,
    at: Nanoseconds,
    /// Until it rings again; 0 for never.
    interval: Nanoseconds,
}

/// How long a timer still has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Until the next signal; 0 if none is to come.
    pub time: Nanoseconds,
    /// Between later ones; 0 if there are none.
    pub interval: Nanoseconds,
}

impl Alarm {
    fn lock(&self) -> MutexGuard<'_, Option<Armed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    /// Sets the timer, or takes it back with a time of 0; returns what was set.
    pub fn set_alarm(&self, wanted: Remaining) -> Remaining {
        let process = &self.process;
        let before = self.alarm();
        process.cancel_alarm();
        if wanted.time > 0 {
            let interval = match wanted.interval {
                0 => 0,
                interval => interval.max(INTERVAL_MIN),
            };
            arm(process, wanted.time, interval);
        }
        before
    }

    /// Returns how long the timer still has.
    pub fn alarm(&self) -> Remaining {
        let now = self.process.kernel.clock.monotonic();
        let armed = *self.process.alarm.lock();
        armed.map_or(Remaining::default(), |armed| Remaining {
            // It has not rung yet.
            time: armed.at.saturating_sub(now).max(1),
            interval: armed.interval,
        })
    }
}

impl Process {
    pub(crate) fn cancel_alarm(&self) {
        let armed = self.alarm.lock().take();
        if let Some(timer) = armed.and_then(|armed| armed.timer) {
            self.kernel.clock.cancel(timer);
        }
    }

    fn ring(self: &Arc<Self>) {
        let armed = self.alarm.lock().take();
        let Some(armed) = armed else { return };
        if armed.interval > 0 {
            arm(self, armed.interval, armed.interval);
        }
        self.kill(Signal::ALRM);
    }
}

fn arm(process: &Arc<Process>, time: Nanoseconds, interval: Nanoseconds) {
    let clock = &process.kernel.clock;
    let at = clock.monotonic().saturating_add(time);
    let bell = Waker::from(Arc::new(Bell(Arc::downgrade(process))));
    *process.alarm.lock() = Some(Armed {
        timer: None,
        at,
        interval,
    });
    // No lock is held: it may ring at once.
    let timer = clock.wake_at(at, bell);
    if let Some(armed) = &mut *process.alarm.lock()
        && armed.at == at
    {
        armed.timer = Some(timer);
    }
}

/// Rings for a process, if it is still there.
struct Bell(Weak<Process>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Some(process) = self.0.upgrade() {
            process.ring();
        }
    }
}
