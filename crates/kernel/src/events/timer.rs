//! How often a timer has rung since it was read. Linux: fs/timerfd.c; `timerfd_create(2)`.
//!
//! What has passed is computed when somebody asks; the clock is asked to wake only while somebody waits. A change of the
//! host's real-time clock is not noticed (`TFD_TIMER_CANCEL_ON_SET`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};

use minke_abi::linux::{FileType, PollEvents};
use minke_abi::{Errno, Result};

use crate::alarm::Remaining;
use crate::anonymous::AnonymousInode;
use crate::file::File;
use crate::platform::{Clock, Nanoseconds, TimerId};
use crate::task::Task;
use crate::vfs::Metadata;
use crate::wait::WaitQueue;

/// Bytes of what is read: how often it has rung.
const COUNT_BYTES: usize = 8;

/// Shortest time between two rings: bounds what a guest makes the host do for it.
const INTERVAL_MIN: Nanoseconds = 100_000;

/// A timer behind a descriptor.
pub struct TimerFile {
    clock: Arc<dyn Clock>,
    /// The number of the clock that it was made for: what an absolute time is of.
    pub clock_number: u32,
    bell: Arc<Bell>,
    state: Mutex<State>,
    inode: AnonymousInode,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The next ring that was not read, in monotonic time; 0 while the timer is not set.
    at: Nanoseconds,
    /// Between rings; 0 if there is only one.
    interval: Nanoseconds,
    /// What wakes those who wait, and for when.
    armed: Option<(TimerId, Nanoseconds)>,
}

impl State {
    /// How often the timer has rung and was not read.
    fn rings(&self, now: Nanoseconds) -> u64 {
        match now.checked_sub(self.at) {
            _ if self.at == 0 => 0,
            None => 0,
            Some(_) if self.interval == 0 => 1,
            Some(late) => late / self.interval + 1,
        }
    }

    /// When the next ring comes that has not come yet; `None` if none will.
    fn next(&self, now: Nanoseconds) -> Option<Nanoseconds> {
        match self.rings(now) {
            _ if self.at == 0 => None,
            0 => Some(self.at),
            _ if self.interval == 0 => None,
            rings => Some(self.at.saturating_add(rings.saturating_mul(self.interval))),
        }
    }

    fn remaining(&self, now: Nanoseconds) -> Remaining {
        Remaining {
            time: self.next(now).map_or(0, |next| (next - now).max(1)),
            interval: self.interval,
        }
    }
}

/// Wakes who waits for a timer.
#[derive(Default)]
struct Bell(WaitQueue);

/// What the clock holds: a timer that is gone rings for nobody.
struct Rope(Weak<Bell>);

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        if let Some(bell) = self.0.upgrade() {
            bell.0.wake_all();
        }
    }
}

impl TimerFile {
    /// Makes a timer that is not set and belongs to a task's user.
    pub fn new(task: &Task, clock_number: u32) -> TimerFile {
        TimerFile {
            clock: Arc::clone(&task.process.kernel.clock),
            clock_number,
            bell: Arc::default(),
            state: Mutex::default(),
            inode: AnonymousInode::of(task, FileType::Fifo),
        }
    }

    /// Sets the timer, or takes it back with a time of 0; returns what was set. What has rung and was not read is forgotten.
    pub fn set(&self, wanted: Remaining) -> Remaining {
        let now = self.clock.monotonic();
        let (before, armed) = {
            let mut state = self.lock();
            let before = state.remaining(now);
            let armed = state.armed.take();
            *state = match wanted.time {
                0 => State::default(),
                time => State {
                    at: now.saturating_add(time),
                    interval: match wanted.interval {
                        0 => 0,
                        interval => interval.max(INTERVAL_MIN),
                    },
                    armed: None,
                },
            };
            (before, armed)
        };
        self.disarm(armed);
        // Who waits learns the new time.
        self.bell.0.wake_all();
        before
    }

    /// Returns how long the timer still has.
    pub fn remaining(&self) -> Remaining {
        let now = self.clock.monotonic();
        self.lock().remaining(now)
    }

    /// Sees to it that the next ring wakes those who wait.
    fn arm(&self, now: Nanoseconds) {
        let (next, stale) = {
            let mut state = self.lock();
            let next = state.next(now);
            if state.armed.map(|(_, at)| at) == next {
                return;
            }
            (next, state.armed.take())
        };
        self.disarm(stale);
        let Some(next) = next else { return };
        let rope = Waker::from(Arc::new(Rope(Arc::downgrade(&self.bell))));
        // No lock is held: it may ring at once.
        let timer = self.clock.wake_at(next, rope);
        let replaced = self.lock().armed.replace((timer, next));
        self.disarm(replaced);
    }

    fn disarm(&self, armed: Option<(TimerId, Nanoseconds)>) {
        if let Some((timer, _)) = armed {
            self.clock.cancel(timer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl File for TimerFile {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let target = buffer.get_mut(..COUNT_BYTES).ok_or(Errno::EINVAL)?;
        let now = self.clock.monotonic();
        let rings = {
            let mut state = self.lock();
            let rings = state.rings(now);
            if rings == 0 {
                return Err(Errno::EAGAIN);
            }
            state.at = state.next(now).unwrap_or(0);
            rings
        };
        target.copy_from_slice(&rings.to_le_bytes());
        Ok(COUNT_BYTES)
    }

    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        let now = self.clock.monotonic();
        if let Some(waker) = waker {
            self.bell.0.register(waker);
            self.arm(now);
        }
        let mut ready = PollEvents::empty();
        ready.set(PollEvents::IN, self.lock().rings(now) > 0);
        ready & interest
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.inode.metadata())
    }
}

impl Drop for TimerFile {
    fn drop(&mut self) {
        let armed = self.lock().armed.take();
        self.disarm(armed);
    }
}
