//! How long a thread's turns on a CPU are.
//!
//! Since 6.6 Linux serves first whose turn would end first; a thread that wakes up among a thousand compute-bound ones
//! waits for about as many turns as its own is long, compared with theirs: 1.5 s on two CPUs. Since 6.12 a
//! thread may ask for shorter turns (`sched_attr::sched_runtime`). It gets no more time so, but gets it sooner,
//! at the price of more switches while others compete. So the monitor and the workers in their places ask for the shortest, and
//! a worker that was detached for computing gets the ordinary ones back. Older kernels ignore the wish.
//!
//! Linux: Documentation/scheduler/sched-eevdf.rst, kernel/sched/syscalls.c `__setparam_fair()`.
#![expect(
    unsafe_code,
    reason = "neither the standard library nor rustix has these system calls"
)]

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

/// The shortest turn that Linux grants.
const SHORT_TURN_NS: u64 = 100_000;

/// Asks for a turn of the ordinary length.
const ORDINARY_TURN_NS: u64 = 0;

/// The turns of one thread.
#[derive(Default)]
pub(super) struct ThreadTurns {
    /// The host's number of the thread; 0 until it has begun.
    thread: AtomicI32,
    /// Whether the turns are of ordinary length.
    lengthened: AtomicBool,
    /// CPU time that the thread has had, and how much of it was counted.
    had_ns: AtomicU64,
    counted_ns: AtomicU64,
}

impl ThreadTurns {
    /// Makes the calling thread's turns short.
    pub(super) fn begin(&self) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.thread.store(thread, Ordering::Relaxed);
        set_turn(thread, SHORT_TURN_NS);
    }

    /// Returns the host's number of the thread, once it has begun.
    pub(super) fn thread(&self) -> Option<i32> {
        let thread = self.thread.load(Ordering::Relaxed);
        (thread != 0).then_some(thread)
    }

    /// Counts the CPU time that the thread has had; one that is counted first has had `newcomer_ns`. Returns whether it
    /// has had some since it was counted last. Only the monitor counts.
    pub(super) fn count(&self, newcomer_ns: u64) -> bool {
        let time_ns = cpu_time_ns(self.thread());
        let before = self.counted_ns.swap(time_ns, Ordering::Relaxed);
        if before == 0 {
            self.had_ns.store(newcomer_ns, Ordering::Relaxed);
        } else {
            let new = time_ns.saturating_sub(before);
            self.had_ns.fetch_add(new, Ordering::Relaxed);
        }
        time_ns != before
    }

    /// Returns the CPU time that was counted.
    pub(super) fn had_ns(&self) -> u64 {
        self.had_ns.load(Ordering::Relaxed)
    }

    /// Makes the turns short again, if they are not. The thread is alive: its worker is one of the executor's.
    pub(super) fn shorten(&self) {
        if self.lengthened.swap(false, Ordering::Relaxed) {
            set_turn(self.thread.load(Ordering::Relaxed), SHORT_TURN_NS);
        }
    }

    /// Gives the turns their ordinary length. The thread is alive: its worker is one of the executor's.
    pub(super) fn lengthen(&self) {
        let thread = self.thread.load(Ordering::Relaxed);
        if thread != 0 && !self.lengthened.swap(true, Ordering::Relaxed) {
            set_turn(thread, ORDINARY_TURN_NS);
        }
    }
}

/// Returns the CPU time of a thread of this process; 0 for one that is not there.
pub(super) fn cpu_time_ns(thread: Option<i32>) -> u64 {
    // Linux: include/linux/posix-timers_types.h, `MAKE_THREAD_CPUCLOCK(tid, CPUCLOCK_SCHED)`.
    let Some(clock) = thread.map(|thread| (!thread << 3) | 6) else {
        return 0;
    };
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call writes to `time` only.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Asks for turns of a length. Failure leaves them as they are, which costs promptness only.
fn set_turn(thread: i32, nanoseconds: u64) {
    let size = size_of::<libc::sched_attr>() as u32;
    let mut attributes = libc::sched_attr {
        size,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    let address = &raw mut attributes;
    // SAFETY: the call writes at most `size` bytes to `attributes`, which has that size.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, thread, address, size, 0) };
    let is_ordinary = attributes.sched_policy == libc::SCHED_OTHER as u32;
    if got != 0 || !is_ordinary {
        return;
    }
    attributes.sched_runtime = nanoseconds;
    let address = &raw const attributes;
    // SAFETY: the call reads `attributes`, whose field `size` holds its size, and keeps no pointer.
    unsafe { libc::syscall(libc::SYS_sched_setattr, thread, address, 0) };
}
