//! The CPU time of each guest's thread.
//!
//! To read a thread's CPU clock is a system call, and a task that is woken, answers and waits again would pay for two. So a short poll
//! counts as long as it took by the clock on the wall, which is read without a call; a longer one, which may have been kept waiting for
//! a CPU, counts what its thread's CPU clock has gained since it was read last, without what was counted of that already.

use std::cell::Cell;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use minke_kernel::cpu_time::CpuMeter;
use rustix::time::{ClockId, clock_gettime};

use super::turns::cpu_time_ns;

/// A poll that takes no longer counts by the clock on the wall.
const SHORT_POLL_NS: u64 = 200_000;

/// Looks at a poll that begins or ends meanwhile, before the answer may be a little off.
const LOOKS_MAX: u32 = 4;

/// Counts the CPU time of polls that belong together.
#[derive(Default)]
pub(crate) struct Meter {
    counted_ns: AtomicU64,
    /// The host's number of the thread that is in a poll; 0 between polls. Written last when one begins, first when it ends.
    thread: AtomicI32,
    /// When the poll began: by the clock on the wall, and by the thread's CPU clock as far as that is known.
    began_ns: AtomicU64,
    began_cpu_ns: AtomicU64,
}

/// What is known of a thread's CPU clock.
#[derive(Clone, Copy, Default)]
struct ThreadClock {
    thread: i32,
    /// What it was when it was read last, and what was counted since.
    cpu_ns: u64,
}

thread_local! {
    static CLOCK: Cell<ThreadClock> = const { Cell::new(ThreadClock { thread: 0, cpu_ns: 0 }) };
}

/// A poll that is measured until this is dropped.
pub(crate) struct Metered<'a>(&'a Meter);

impl Meter {
    /// Begins to measure a poll on this thread.
    pub(crate) fn begin(&self) -> Metered<'_> {
        let mut clock = CLOCK.get();
        if clock.thread == 0 {
            clock.thread = rustix::thread::gettid().as_raw_nonzero().get();
            clock.cpu_ns = cpu_time_ns(Some(clock.thread));
            CLOCK.set(clock);
        }
        self.began_ns.store(monotonic_ns(), Ordering::Relaxed);
        self.began_cpu_ns.store(clock.cpu_ns, Ordering::Relaxed);
        self.thread.store(clock.thread, Ordering::Release);
        Metered(self)
    }

    fn end(&self) {
        self.thread.store(0, Ordering::Relaxed);
        let took = monotonic_ns().saturating_sub(self.began_ns.load(Ordering::Relaxed));
        let mut clock = CLOCK.get();
        let used = if took <= SHORT_POLL_NS {
            clock.cpu_ns += took;
            took
        } else {
            clock.cpu_ns = cpu_time_ns(Some(clock.thread));
            let gained = clock
                .cpu_ns
                .saturating_sub(self.began_cpu_ns.load(Ordering::Relaxed));
            gained.min(took)
        };
        CLOCK.set(clock);
        self.counted_ns.fetch_add(used, Ordering::Release);
    }

    /// Returns the CPU time of the poll that is under way.
    fn under_way(&self, thread: i32) -> u64 {
        let took = monotonic_ns().saturating_sub(self.began_ns.load(Ordering::Acquire));
        let cpu_ns = cpu_time_ns(Some(thread));
        cpu_ns
            .saturating_sub(self.began_cpu_ns.load(Ordering::Acquire))
            .min(took)
    }
}

impl CpuMeter for Meter {
    fn used(&self) -> u64 {
        let mut used = 0;
        for _ in 0..LOOKS_MAX {
            let counted = self.counted_ns.load(Ordering::Acquire);
            let thread = self.thread.load(Ordering::Acquire);
            let began = self.began_ns.load(Ordering::Acquire);
            used = counted;
            if thread != 0 {
                used += self.under_way(thread);
            }
            let is_same = self.thread.load(Ordering::Acquire) == thread
                && self.began_ns.load(Ordering::Acquire) == began
                && self.counted_ns.load(Ordering::Acquire) == counted;
            if is_same {
                break;
            }
        }
        used
    }
}

impl Drop for Metered<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computes until the thread has had so much CPU time.
    fn compute(nanoseconds: u64) {
        let thread = Some(rustix::thread::gettid().as_raw_nonzero().get());
        let start = cpu_time_ns(thread);
        while cpu_time_ns(thread) - start < nanoseconds {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn long_polls_count_what_they_compute_and_not_what_they_wait() {
        let meter = Meter::default();
        let metered = meter.begin();
        compute(5_000_000);
        assert!(meter.used() >= 4_000_000);
        std::thread::park_timeout(std::time::Duration::from_millis(50));
        drop(metered);
        let used = meter.used();
        assert!((4_000_000..40_000_000).contains(&used), "{used}");
    }

    #[test]
    fn between_polls_nothing_is_counted() {
        let meter = Meter::default();
        drop(meter.begin());
        let used = meter.used();
        compute(3_000_000);
        assert_eq!(meter.used(), used);
        drop(meter.begin());
        assert!(meter.used() < used + 3_000_000);
    }
}
