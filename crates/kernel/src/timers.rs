//! Timers of a process that send it signals. POSIX: `timer_create()`, `setitimer()` with `ITIMER_VIRTUAL` and `ITIMER_PROF`; Linux:
//! `RLIMIT_CPU`.
//!
//! A timer of CPU time is looked at when it could be due at the soonest, and more seldom while the process computes nothing.
//! `ITIMER_REAL` is [`alarm`](crate::alarm).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};

use minke_abi::linux::Signal;
use minke_abi::resource::{CPU, UNLIMITED};
use minke_abi::{Errno, Result};

use crate::alarm::Remaining;
use crate::platform::{Nanoseconds, TimerId};
use crate::process::Process;
use crate::resource::ResourceLimit;
use crate::signal::SignalInfo;

/// Most timers of a process. Linux: `RLIMIT_SIGPENDING`, there for each user.
const TIMERS_MAX: usize = 1024;

/// Shortest time between two signals: bounds what a guest makes the host do for it.
const INTERVAL_MIN: Nanoseconds = 100_000;

/// How often CPU time is looked at: bounds the same.
const LOOK_MIN: Nanoseconds = 1_000_000;
/// The same while nothing is computed: bounds how late a signal comes.
const LOOK_MAX: Nanoseconds = 64_000_000;

const SECOND: Nanoseconds = 1_000_000_000;

/// What a timer measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// Monotonic time.
    Time,
    /// CPU time of the process.
    Process,
    /// CPU time of one of its threads.
    Thread(u32),
}

/// What happens when a timer rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    Nothing,
    /// A signal for the process, or for one of its threads.
    Signal {
        tid: Option<u32>,
        info: SignalInfo,
    },
    /// `SIGXCPU`, each second; `SIGKILL` at the hard limit.
    CpuLimit,
}

/// The timers of a process.
#[derive(Default)]
pub(crate) struct Timers(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// Made by the program, by number.
    made: BTreeMap<i32, Made>,
    next: i32,
    /// `ITIMER_VIRTUAL`, `ITIMER_PROF`, and that of `RLIMIT_CPU`.
    intervals: [Option<Arc<Timer>>; 3],
}

struct Made {
    timer: Arc<Timer>,
    /// The number of the clock that it was made for.
    clock: u32,
}

/// Timers that a process has without making them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnTimer {
    /// `ITIMER_VIRTUAL`.
    Virtual = 0,
    /// `ITIMER_PROF`.
    Profiling = 1,
    /// `RLIMIT_CPU`.
    Limit = 2,
}

struct Timer {
    process: Weak<Process>,
    measured: Measured,
    notice: Notice,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// When it rings next, in what it measures; 0 while it is not set.
    at: Nanoseconds,
    interval: Nanoseconds,
    armed: Option<TimerId>,
    /// Counts the times that the clock was asked: a bell of an earlier one rings in vain.
    round: u64,
    /// What the CPU time was when it was looked at, and how long it is left alone since it does not move.
    looked_at: Nanoseconds,
    left_alone: Nanoseconds,
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    /// Makes a timer that is not set; `notice` is told its number. `EAGAIN` when there are too many. POSIX: `timer_create()`.
    pub fn make_signal_timer(
        self: &Arc<Self>,
        clock: u32,
        measured: Measured,
        notice: impl FnOnce(i32) -> Notice,
    ) -> Result<i32> {
        let mut table = self.timers.lock();
        if table.made.len() >= TIMERS_MAX {
            return Err(Errno::EAGAIN);
        }
        while table.made.contains_key(&table.next) {
            table.next = table.next.checked_add(1).unwrap_or(0);
        }
        let number = table.next;
        table.next = number.checked_add(1).unwrap_or(0);
        let timer = Timer::new(self, measured, notice(number));
        table.made.insert(number, Made { timer, clock });
        Ok(number)
    }

    /// Returns the number of the clock that a timer was made for; `EINVAL` when there is no such timer.
    pub fn signal_timer_clock(&self, number: i32) -> Result<u32> {
        let table = self.timers.lock();
        let made = table.made.get(&number).ok_or(Errno::EINVAL)?;
        Ok(made.clock)
    }

    /// Sets a timer, or takes it back with a time of 0; returns what was set. POSIX: `timer_settime()`.
    pub fn set_signal_timer(&self, number: i32, wanted: Remaining) -> Result<Remaining> {
        let before = self.signal_timer_of(number)?.set(wanted);
        self.signals.forget_timer(number);
        Ok(before)
    }

    /// Returns how long a timer still has. POSIX: `timer_gettime()`.
    pub fn signal_timer(&self, number: i32) -> Result<Remaining> {
        Ok(self.signal_timer_of(number)?.remaining())
    }

    /// Returns how often a timer has rung besides while its last signal waited. POSIX: `timer_getoverrun()`.
    pub fn signal_timer_overrun(&self, number: i32) -> Result<u32> {
        self.signal_timer_of(number)?;
        Ok(self.signals.timer_overrun(number))
    }

    /// Forgets a timer. POSIX: `timer_delete()`.
    pub fn delete_signal_timer(&self, number: i32) -> Result<()> {
        let made = self.timers.lock().made.remove(&number);
        let made = made.ok_or(Errno::EINVAL)?;
        made.timer.set(Remaining::default());
        self.signals.forget_timer(number);
        Ok(())
    }

    fn signal_timer_of(&self, number: i32) -> Result<Arc<Timer>> {
        let table = self.timers.lock();
        let made = table.made.get(&number).ok_or(Errno::EINVAL)?;
        Ok(Arc::clone(&made.timer))
    }

    /// Sets a timer that every process has; returns what was set. POSIX: `setitimer()`.
    pub fn set_own_timer(self: &Arc<Self>, which: OwnTimer, wanted: Remaining) -> Remaining {
        let timer = {
            let mut table = self.timers.lock();
            let made = || Timer::new(self, Measured::Process, which.notice());
            let place = &mut table.intervals[which as usize];
            Arc::clone(place.get_or_insert_with(made))
        };
        timer.set(wanted)
    }

    /// Returns how long such a timer still has. POSIX: `getitimer()`.
    pub fn own_timer(&self, which: OwnTimer) -> Remaining {
        let timer = self.timers.lock().intervals[which as usize].clone();
        timer.map_or(Remaining::default(), |timer| timer.remaining())
    }

    /// Holds the process to its limit of CPU time. Linux: kernel/time/posix-cpu-timers.c `update_rlimit_cpu()`.
    pub(crate) fn hold_cpu_limit(self: &Arc<Self>, limit: ResourceLimit) {
        let due = limit.soft.saturating_mul(SECOND);
        let time = match due {
            Nanoseconds::MAX => 0,
            due => due.saturating_sub(self.cpu_time()).max(1),
        };
        let interval = if time == 0 { 0 } else { SECOND };
        self.set_own_timer(OwnTimer::Limit, Remaining { time, interval });
    }

    /// Holds a process that begins to the limit that it has inherited.
    pub(crate) fn hold_inherited_cpu_limit(self: &Arc<Self>) {
        let limit = self.settings.limits().get(CPU);
        if let Some(limit) = limit.filter(|limit| limit.soft != UNLIMITED) {
            self.hold_cpu_limit(limit);
        }
    }

    /// Forgets what a program has made, which ends; the others go on. POSIX: `exec`.
    pub(crate) fn delete_signal_timers(&self) {
        let made = std::mem::take(&mut self.timers.lock().made);
        for (number, made) in made {
            made.timer.set(Remaining::default());
            self.signals.forget_timer(number);
        }
    }

    /// Stops all timers: the process has ended.
    pub(crate) fn stop_timers(&self) {
        self.delete_signal_timers();
        let own = std::mem::take(&mut self.timers.lock().intervals);
        for timer in own.into_iter().flatten() {
            timer.set(Remaining::default());
        }
    }
}

impl OwnTimer {
    fn notice(self) -> Notice {
        let signal = match self {
            OwnTimer::Virtual => Signal::VTALRM,
            OwnTimer::Profiling => Signal::PROF,
            OwnTimer::Limit => return Notice::CpuLimit,
        };
        Notice::Signal {
            tid: None,
            info: SignalInfo::of_kernel(signal),
        }
    }
}

impl Timer {
    fn new(process: &Arc<Process>, measured: Measured, notice: Notice) -> Arc<Timer> {
        Arc::new(Timer {
            process: Arc::downgrade(process),
            measured,
            notice,
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what it measures, now.
    fn now(&self, process: &Process) -> Nanoseconds {
        match self.measured {
            Measured::Time => process.kernel.clock.monotonic(),
            Measured::Process => process.cpu_time(),
            Measured::Thread(tid) => process.thread_cpu_time(tid),
        }
    }

    fn set(self: &Arc<Self>, wanted: Remaining) -> Remaining {
        let Some(process) = self.process.upgrade() else {
            return Remaining::default();
        };
        let now = self.now(&process);
        let (before, armed) = {
            let mut state = self.lock();
            let before = state.remaining(now);
            let armed = state.armed.take();
            *state = State {
                at: match wanted.time {
                    0 => 0,
                    time => now.saturating_add(time),
                },
                interval: match wanted.interval {
                    0 => 0,
                    interval => interval.max(INTERVAL_MIN),
                },
                round: state.round + 1,
                ..State::default()
            };
            (before, armed)
        };
        if let Some(armed) = armed {
            process.kernel.clock.cancel(armed);
        }
        self.arm(&process);
        before
    }

    fn remaining(&self) -> Remaining {
        let Some(process) = self.process.upgrade() else {
            return Remaining::default();
        };
        let now = self.now(&process);
        self.lock().remaining(now)
    }

    /// Asks the clock to ring when it could be due.
    fn arm(self: &Arc<Self>, process: &Process) {
        let now = self.now(process);
        let (round, wait) = {
            let mut state = self.lock();
            if state.at == 0 {
                return;
            }
            let left = state.at.saturating_sub(now);
            let wait = match self.measured {
                Measured::Time => left,
                Measured::Process => {
                    state.look_after(left / u64::from(process.threads_count()), now)
                }
                Measured::Thread(_) => state.look_after(left, now),
            };
            (state.round, wait)
        };
        let clock = &process.kernel.clock;
        let at = clock.monotonic().saturating_add(wait);
        let bell = Bell {
            timer: Arc::downgrade(self),
            round,
        };
        // No lock is held: it may ring at once.
        let armed = clock.wake_at(at, Waker::from(Arc::new(bell)));
        let mut state = self.lock();
        if state.round == round {
            state.armed = Some(armed);
        } else {
            drop(state);
            clock.cancel(armed);
        }
    }

    fn ring(self: &Arc<Self>, round: u64) {
        let Some(process) = self.process.upgrade() else {
            return;
        };
        let now = self.now(&process);
        let missed = {
            let mut state = self.lock();
            if state.round != round {
                return;
            }
            state.round += 1;
            state.armed = None;
            state.take_ring(now)
        };
        if let Some(missed) = missed {
            self.notify(&process, missed);
        }
        self.arm(&process);
    }

    fn notify(&self, process: &Process, missed: u32) {
        match self.notice {
            Notice::Nothing => {}
            Notice::Signal { tid, info } => process.post_timer(tid, info, missed),
            Notice::CpuLimit => {
                let limit = process.settings.limits().get(CPU);
                let hard =
                    limit.map_or(Nanoseconds::MAX, |limit| limit.hard.saturating_mul(SECOND));
                let is_over = process.cpu_time() >= hard;
                process.kill(if is_over { Signal::KILL } else { Signal::XCPU });
            }
        }
    }
}

impl State {
    fn remaining(&self, now: Nanoseconds) -> Remaining {
        Remaining {
            time: match self.at {
                0 => 0,
                at => at.saturating_sub(now).max(1),
            },
            interval: self.interval,
        }
    }

    /// Returns when CPU time is looked at again that cannot be due before `soonest`.
    fn look_after(&mut self, soonest: Nanoseconds, now: Nanoseconds) -> Nanoseconds {
        self.left_alone = match now == self.looked_at {
            true => (self.left_alone * 2).clamp(LOOK_MIN, LOOK_MAX),
            false => 0,
        };
        self.looked_at = now;
        soonest.max(LOOK_MIN).max(self.left_alone)
    }

    /// Takes a ring that is due, and sets the next one; returns how many more were due.
    fn take_ring(&mut self, now: Nanoseconds) -> Option<u32> {
        if self.at == 0 || now < self.at {
            return None;
        }
        if self.interval == 0 {
            self.at = 0;
            return Some(0);
        }
        let missed = (now - self.at) / self.interval;
        self.at = self
            .at
            .saturating_add((missed + 1).saturating_mul(self.interval));
        Some(u32::try_from(missed).unwrap_or(u32::MAX))
    }
}

/// Rings for a timer, if it is still there.
struct Bell {
    timer: Weak<Timer>,
    round: u64,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Some(timer) = self.timer.upgrade() {
            timer.ring(self.round);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_that_were_missed_are_counted_and_the_next_one_keeps_its_time() {
        let mut state = State {
            at: 100,
            interval: 10,
            ..State::default()
        };
        assert_eq!(state.take_ring(99), None);
        assert_eq!(state.take_ring(125), Some(2));
        assert_eq!(state.at, 130);
        assert_eq!(state.remaining(126).time, 4);
    }

    #[test]
    fn cpu_time_that_does_not_move_is_looked_at_more_and_more_seldom() {
        let mut state = State::default();
        assert_eq!(state.look_after(5, 7), LOOK_MIN);
        assert_eq!(state.look_after(5, 7), LOOK_MIN);
        assert_eq!(state.look_after(5, 7), 2 * LOOK_MIN);
        assert_eq!(state.look_after(5, 8), LOOK_MIN);
        assert_eq!(state.look_after(9 * SECOND, 8), 9 * SECOND);
    }
}
