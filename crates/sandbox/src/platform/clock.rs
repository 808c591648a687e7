//! Clocks of the host, and timers of the executor.

use std::sync::Arc;
use std::task::Waker;

use minke_kernel::platform::{Clock, Nanoseconds, TimerId};
use rustix::time::{ClockId, clock_gettime};

use crate::executor::Reactor;

/// The host's clocks. Reading one is a call of the vDSO, not of the host's kernel.
pub struct HostClock {
    reactor: Arc<Reactor>,
}

impl HostClock {
    /// Makes clocks whose timers fire in `reactor`.
    pub fn new(reactor: Arc<Reactor>) -> HostClock {
        HostClock { reactor }
    }
}

impl Clock for HostClock {
    fn monotonic(&self) -> Nanoseconds {
        read(ClockId::Monotonic)
    }

    fn realtime(&self) -> Nanoseconds {
        read(ClockId::Realtime)
    }

    fn cpu_time(&self) -> Nanoseconds {
        read(ClockId::ProcessCPUTime)
    }

    fn wake_at(&self, deadline: Nanoseconds, waker: Waker) -> TimerId {
        self.reactor.wake_at(deadline, waker)
    }

    fn cancel(&self, timer: TimerId) {
        self.reactor.cancel(timer);
    }
}

/// Reads a clock; times before its zero, which only a wrong host clock shows, count as zero.
fn read(clock: ClockId) -> Nanoseconds {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}
