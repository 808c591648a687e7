//! Timers that send signals: `timer_create` and its kin, `setitimer`.

use minke_abi::linux::Signal;
use minke_abi::{Errno, Result};
use minke_kernel::alarm::Remaining;
use minke_kernel::signal::{SignalInfo, code};
use minke_kernel::timers::{Measured, Notice, OwnTimer};

use super::clocks::{CpuClock, read_clock, write_timer};
use crate::personality::linux::context::{Arguments, Context, TIME_BYTES};
use crate::personality::linux::table::Syscall;
use crate::runtime::GuestAddr;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("timer_create", 222, create).partial("a set clock of real time moves no timer"),
    Syscall::now("timer_settime", 223, set),
    Syscall::now("timer_gettime", 224, |c, a| {
        let left = c.task().process.signal_timer(a.int(0))?;
        write_timer(c, a.address(1), left, 1).map(|()| 0)
    }),
    Syscall::now("timer_getoverrun", 225, |c, a| {
        let overrun = c.task().process.signal_timer_overrun(a.int(0))?;
        Ok(i64::from(overrun))
    }),
    Syscall::now("timer_delete", 226, |c, a| {
        c.task().process.delete_signal_timer(a.int(0)).map(|()| 0)
    }),
    Syscall::now("setitimer", 38, set_interval),
    Syscall::now("getitimer", 36, |c, a| {
        let left = match interval_timer(a.word(0))? {
            None => c.task().alarm(),
            Some(which) => c.task().process.own_timer(which),
        };
        write_timer(c, a.address(1), left, 1000).map(|()| 0)
    }),
];

/// `CLOCK_MONOTONIC_RAW`, `CLOCK_REALTIME_COARSE`, `CLOCK_MONOTONIC_COARSE`: no timer counts by them.
const WITHOUT_TIMERS: [u32; 3] = [4, 5, 6];

/// How `struct sigevent` says what is to happen. Linux: include/uapi/asm-generic/siginfo.h.
mod notify {
    pub(super) const SIGNAL: u32 = 0;
    pub(super) const NONE: u32 = 1;
    pub(super) const THREAD_ID: u32 = 4;
}

/// What `struct sigevent` asks for: value, signal, how, thread.
struct Event {
    signal: Signal,
    value: Option<u32>,
    tid: Option<u32>,
    is_silent: bool,
}

impl Event {
    /// Reads it; without one, the process gets `SIGALRM`. Linux: kernel/time/posix-timers.c `good_sigevent()`.
    fn read(context: &Context<'_>, address: Option<GuestAddr>) -> Result<Event> {
        let Some(address) = address else {
            return Ok(Event {
                signal: Signal::ALRM,
                value: None,
                tid: None,
                is_silent: false,
            });
        };
        let word = |index: u64| context.memory.read_u32(address.offset(index * 4));
        let (value, number, how, tid) = (word(0)?, word(1)?, word(2)?, word(3)?);
        let is_silent = how == notify::NONE;
        let tid = match how {
            notify::THREAD_ID => Some(tid),
            notify::SIGNAL | notify::NONE => None,
            _ => return Err(Errno::EINVAL),
        };
        if tid.is_some_and(|tid| !context.task().process.signals.is_thread(tid)) {
            return Err(Errno::EINVAL);
        }
        let signal = Signal::from_raw(number.cast_signed());
        let signal = if is_silent {
            Some(Signal::ALRM)
        } else {
            signal
        };
        Ok(Event {
            signal: signal.ok_or(Errno::EINVAL)?,
            value: Some(value),
            tid,
            is_silent,
        })
    }

    fn notice(&self, timer: i32) -> Notice {
        if self.is_silent {
            return Notice::Nothing;
        }
        let timer = timer.cast_unsigned();
        Notice::Signal {
            tid: self.tid,
            info: SignalInfo {
                signal: self.signal,
                code: code::TIMER,
                pid: timer,
                uid: 0,
                value: u64::from(self.value.unwrap_or(timer)),
            },
        }
    }
}

/// Clock, event, where the number goes.
fn create(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let clock = arguments.word(0);
    read_clock(context.task(), clock)?;
    if WITHOUT_TIMERS.contains(&clock) {
        return Err(Errno::EOPNOTSUPP);
    }
    let measured = match CpuClock::of(context.task(), clock) {
        None => Measured::Time,
        Some(clock) => clock?.measured(context.task())?,
    };
    let event = Event::read(context, arguments.pointer(1))?;
    context.memory.check(arguments.address(2), 4)?;
    let process = &context.guest.task.process;
    let number = process.make_signal_timer(clock, measured, |number| event.notice(number))?;
    context
        .memory
        .write_u32(arguments.address(2), number.cast_unsigned())?;
    Ok(0)
}

/// Timer, flags, new value, old value.
fn set(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    /// `TIMER_ABSTIME`.
    const ABSOLUTE: u32 = 1;
    let (number, new) = (arguments.int(0), arguments.pointer(2));
    let new = new.ok_or(Errno::EINVAL)?;
    let mut wanted = Remaining {
        interval: context.duration(new, 1)?,
        time: context.duration(new.offset(TIME_BYTES), 1)?,
    };
    let process = &context.guest.task.process;
    let clock = process.signal_timer_clock(number)?;
    if arguments.word(1) & ABSOLUTE != 0 && wanted.time != 0 {
        let now = read_clock(&context.guest.task, clock)?;
        // What is past rings at once.
        wanted.time = wanted.time.saturating_sub(now).max(1);
    }
    let before = process.set_signal_timer(number, wanted)?;
    match arguments.pointer(3) {
        Some(old) => write_timer(context, old, before, 1).map(|()| 0),
        None => Ok(0),
    }
}

/// Returns which of a process's own timers a number names; `None` for `ITIMER_REAL`.
fn interval_timer(number: u32) -> Result<Option<OwnTimer>> {
    match number {
        0 => Ok(None),
        1 => Ok(Some(OwnTimer::Virtual)),
        2 => Ok(Some(OwnTimer::Profiling)),
        _ => Err(Errno::EINVAL),
    }
}

/// `struct itimerval` holds the interval before the time.
fn set_interval(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let which = interval_timer(arguments.word(0))?;
    let wanted = match arguments.pointer(1) {
        Some(new) => Remaining {
            interval: context.duration(new, 1000)?,
            time: context.duration(new.offset(TIME_BYTES), 1000)?,
        },
        None => Remaining::default(),
    };
    let before = match which {
        None => context.task().set_alarm(wanted),
        Some(which) => context.task().process.set_own_timer(which, wanted),
    };
    match arguments.pointer(2) {
        Some(old) => write_timer(context, old, before, 1000).map(|()| 0),
        None => Ok(0),
    }
}
