//! A share of CPU time for all guests together, held without cgroups.
//!
//! At each tick the monitor looks how much CPU time the process has used. What is above its share is a debt, and until that is
//! paid off the workers [nap](super::naps), wherever they are. A container without a quota pays a load per task. The thread of the
//! control socket does not nap; a nap ends early for a signal that it brings ([`CpuQuota::lift`]).
//!
//! A napping thread may hold locks, which others then wait for: no longer than the nap, which is bounded by what was
//! used since the last tick.
//!
//! Linux: kernel/sched/fair.c, "CFS bandwidth control", which this stands in for.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rustix::thread::futex;
use rustix::time::{ClockId, clock_gettime};

use super::naps;
use super::reactor::monotonic_now;
use super::task::lock;

/// What was not used is kept for so long. Linux: `cpu.max` has periods of 100 ms.
const BURST_NS: f64 = 100e6;

/// Bounds how often the monitor looks: a small share needs short looks, for what is used between two is used.
const TICK_MIN: Duration = Duration::from_millis(1);

/// When naps end, on the monotonic clock; 0 while nobody is to nap. A handler has nothing but statics.
static NAPS_END_AT: AtomicU64 = AtomicU64::new(0);

/// Counts how often naps were ended early; those who nap wait for its change.
static LIFTED: AtomicU32 = AtomicU32::new(0);

/// The share of CPU time that a container may use. A process has one container.
#[derive(Default)]
pub struct CpuQuota {
    /// `None` without a limit.
    account: Mutex<Option<Account>>,
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Balance {
    /// Nobody counts.
    Unlimited,
    Positive,
    /// Workers have to nap.
    Overdrawn,
}

/// What was used, against what may be.
#[derive(Clone, Copy, Debug)]
struct Account {
    /// CPU time per time.
    cpus: f64,
    /// CPU time that may be used; negative for a debt.
    balance_ns: f64,
    /// The last look's time, and the CPU time used until then.
    looked_at: u64,
    used_ns: u64,
}

impl CpuQuota {
    /// Limits CPU time to that of so many CPUs (more than 0), or lifts the limit.
    ///
    /// # Errors
    /// When the host refuses the signal's handler; then there is no limit.
    pub fn set(&self, cpus: Option<f64>) -> io::Result<()> {
        let account = match cpus {
            Some(cpus) => {
                naps::set_handler()?;
                Some(Account::new(cpus, monotonic_now(), cpu_time_used()))
            }
            None => None,
        };
        *lock(&self.account) = account;
        wake_everyone();
        Ok(())
    }

    /// Ends naps and forgets the debt, so that a guest takes a signal now.
    pub fn lift(&self) {
        // Not to wait for a monitor that waits for a lock that a napping worker holds, the wake-up comes first.
        wake_everyone();
        if let Some(account) = &mut *lock(&self.account) {
            account.forgive();
        }
    }

    /// Looks what was used, and sets when naps end.
    pub(super) fn look(&self) -> Balance {
        let mut account = lock(&self.account);
        let Some(account) = &mut *account else {
            return Balance::Unlimited;
        };
        let naps_end_at = account.look(monotonic_now(), cpu_time_used());
        NAPS_END_AT.store(naps_end_at.unwrap_or(0), Ordering::SeqCst);
        match naps_end_at {
            Some(_) => Balance::Overdrawn,
            None => Balance::Positive,
        }
    }

    /// Returns how often the monitor should look, which is at least every `tick`.
    pub(super) fn tick(&self, tick: Duration, workers: usize) -> Duration {
        match &*lock(&self.account) {
            Some(account) => tick
                .mul_f64((account.cpus / workers as f64).min(1.0))
                .max(TICK_MIN),
            None => tick,
        }
    }
}

impl Account {
    fn new(cpus: f64, now: u64, used_ns: u64) -> Account {
        Account {
            cpus,
            balance_ns: cpus * BURST_NS,
            looked_at: now,
            used_ns,
        }
    }

    /// Balances the account; returns when a debt will be paid off.
    fn look(&mut self, now: u64, used_ns: u64) -> Option<u64> {
        let earned = now.saturating_sub(self.looked_at) as f64 * self.cpus;
        let spent = used_ns.saturating_sub(self.used_ns) as f64;
        self.balance_ns = (self.balance_ns + earned - spent).min(self.cpus * BURST_NS);
        (self.looked_at, self.used_ns) = (now, used_ns);
        (self.balance_ns < 0.0).then(|| now + (-self.balance_ns / self.cpus) as u64)
    }

    fn forgive(&mut self) {
        self.balance_ns = self.cpus * BURST_NS;
    }
}

/// Makes the calling worker nap if all have to; returns whether it did.
#[inline]
pub(super) fn nap_if_due() -> bool {
    let is_due = NAPS_END_AT.load(Ordering::Relaxed) != 0;
    is_due && nap()
}

/// Waits until naps end. Async-signal-safe: atomics, the vDSO's clock and `futex(2)`, which rustix calls without `errno`.
pub(super) fn nap() -> bool {
    let mut has_napped = false;
    loop {
        let lifted = LIFTED.load(Ordering::SeqCst);
        let left = NAPS_END_AT
            .load(Ordering::SeqCst)
            .saturating_sub(monotonic_now());
        if left == 0 {
            return has_napped;
        }
        has_napped = true;
        let timeout = futex::Timespec {
            tv_sec: (left / 1_000_000_000) as i64,
            tv_nsec: (left % 1_000_000_000) as i64,
        };
        // Whatever ends the wait, the time is looked at again.
        let _ = futex::wait(&LIFTED, futex::Flags::PRIVATE, lifted, Some(&timeout));
    }
}

fn wake_everyone() {
    NAPS_END_AT.store(0, Ordering::SeqCst);
    LIFTED.fetch_add(1, Ordering::SeqCst);
    // Fails only for a bad address.
    let _ = futex::wake(&LIFTED, futex::Flags::PRIVATE, i32::MAX as u32);
}

/// CPU time of the whole process, in nanoseconds.
fn cpu_time_used() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn what_is_used_above_the_share_is_paid_off_by_waiting() {
        let mut account = Account::new(0.5, 0, 0);
        // The burst is 50 ms.
        assert_eq!(account.look(10 * MS, 20 * MS), None);
        // 35 are left, 5 are earned, 65 used: a debt of 25 ms, paid off in 50 ms.
        let until = account.look(20 * MS, 85 * MS);
        assert_eq!(until, Some(70 * MS));
        assert_eq!(account.look(70 * MS, 85 * MS), None);
        assert!(account.look(71 * MS, 86 * MS).is_some());
    }

    #[test]
    fn what_is_not_used_is_not_kept_for_long() {
        let mut account = Account::new(2.0, 0, 0);
        assert_eq!(account.look(3_600_000 * MS, 0), None);
        assert!(account.look(3_600_000 * MS, 201 * MS).is_some());
        account.forgive();
        assert_eq!(account.look(3_600_000 * MS, 202 * MS), None);
    }

    #[test]
    fn a_nap_ends_when_its_time_has_come_or_it_is_lifted() {
        let quota = CpuQuota::default();
        quota.set(Some(1.0)).expect("a handler can be set");
        NAPS_END_AT.store(monotonic_now() + 5 * MS, Ordering::SeqCst);
        assert!(nap_if_due());
        NAPS_END_AT.store(u64::MAX, Ordering::SeqCst);
        let thread = std::thread::spawn(nap_if_due);
        while !thread.is_finished() {
            quota.lift();
        }
        assert!(!nap_if_due());
    }
}
