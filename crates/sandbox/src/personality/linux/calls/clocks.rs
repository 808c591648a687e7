//! Clocks and sleeping.

use minke_abi::{Errno, Result};
use minke_kernel::Task;
use minke_kernel::alarm::Remaining;
use wasmtime::Caller;

use crate::personality::linux::context::{
    Arguments, Context, NANOSECONDS_PER_SECOND, TIME_BYTES, task_of,
};
use crate::personality::linux::entry::CLOCK_TICKS;
use crate::personality::linux::table::Syscall;
use crate::runtime::{Guest, GuestAddr};

/// `CLOCK_REALTIME` and its kin.
const REALTIME: [u32; 3] = [0, 5, 8];
/// `CLOCK_MONOTONIC` and its kin: raw, coarse, boot time, with and without alarm.
const MONOTONIC: [u32; 5] = [1, 4, 6, 7, 9];
/// `CLOCK_PROCESS_CPUTIME_ID`, `CLOCK_THREAD_CPUTIME_ID`.
const CPU_TIME: [u32; 2] = [2, 3];
/// `TIMER_ABSTIME`.
const ABSOLUTE: u32 = 1;

const CONTAINERS_TIME: &str = "CPU time is that of the whole container";

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("clock_gettime", 228, |c, a| {
        let time = read_clock(c.task(), a.word(0))?;
        let (seconds, fraction) = (time / NANOSECONDS_PER_SECOND, time % NANOSECONDS_PER_SECOND);
        c.write_time(a.address(1), seconds, fraction).map(|()| 0)
    })
    .partial(CONTAINERS_TIME),
    Syscall::now("clock_getres", 229, |c, a| {
        read_clock(c.task(), a.word(0))?;
        match a.pointer(1) {
            Some(address) => c.write_time(address, 0, 1).map(|()| 0),
            None => Ok(0),
        }
    }),
    Syscall::now("clock_settime", 227, |_, _| Err(Errno::EPERM))
        .refused("a container has its host's clocks"),
    Syscall::waiting("clock_nanosleep", 230, |c, a| {
        Box::pin(sleep(c, a, a.word(0), a.word(1), 2))
    }),
    Syscall::waiting("nanosleep", 35, |c, a| {
        Box::pin(sleep(c, a, MONOTONIC[0], 0, 0))
    }),
    Syscall::now("gettimeofday", 96, |c, a| {
        let time = read_clock(c.task(), REALTIME[0])?;
        let (seconds, fraction) = (time / NANOSECONDS_PER_SECOND, time % NANOSECONDS_PER_SECOND);
        match a.pointer(0) {
            Some(address) => c.write_time(address, seconds, fraction / 1000).map(|()| 0),
            None => Ok(0),
        }
    }),
    Syscall::now("time", 201, |c, a| {
        let seconds = read_clock(c.task(), REALTIME[0])? / NANOSECONDS_PER_SECOND;
        if let Some(address) = a.pointer(0) {
            c.memory.write_u64(address, seconds)?;
        }
        Ok(seconds as i64)
    }),
    Syscall::now("alarm", 37, |c, a| {
        let wanted = Remaining {
            time: u64::from(a.word(0)) * NANOSECONDS_PER_SECOND,
            interval: 0,
        };
        let before = c.task().set_alarm(wanted);
        Ok(before.time.div_ceil(NANOSECONDS_PER_SECOND) as i64)
    }),
    Syscall::now("setitimer", 38, setitimer).partial("`ITIMER_REAL` only"),
    Syscall::now("getitimer", 36, |c, a| {
        if a.word(0) != ITIMER_REAL {
            return Err(Errno::EINVAL);
        }
        let left = c.task().alarm();
        write_timer(c, a.address(1), left, 1000).map(|()| 0)
    })
    .partial("`ITIMER_REAL` only"),
    Syscall::now("times", 100, times).partial(CONTAINERS_TIME),
    Syscall::now("getrusage", 98, getrusage)
        .partial("CPU time of the whole container; everything else is 0"),
];

pub(super) fn read_clock(task: &Task, number: u32) -> Result<u64> {
    let clock = &task.process.kernel.clock;
    match number {
        number if REALTIME.contains(&number) => Ok(clock.realtime()),
        number if MONOTONIC.contains(&number) => Ok(clock.monotonic()),
        number if CPU_TIME.contains(&number) => Ok(clock.cpu_time()),
        _ => Err(Errno::EINVAL),
    }
}

/// `ITIMER_REAL`.
const ITIMER_REAL: u32 = 0;

/// `struct itimerval` holds the interval before the time.
fn setitimer(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    if arguments.word(0) != ITIMER_REAL {
        return Err(Errno::EINVAL);
    }
    let wanted = match arguments.pointer(1) {
        Some(new) => Remaining {
            interval: context.duration(new, 1000)?,
            time: context.duration(new.offset(TIME_BYTES), 1000)?,
        },
        None => Remaining::default(),
    };
    let before = context.task().set_alarm(wanted);
    match arguments.pointer(2) {
        Some(old) => write_timer(context, old, before, 1000).map(|()| 0),
        None => Ok(0),
    }
}

/// Writes a timer's interval and time; `unit` is the fraction's, in nanoseconds.
pub(super) fn write_timer(
    context: &mut Context<'_>,
    address: GuestAddr,
    timer: Remaining,
    unit: u64,
) -> Result<()> {
    let times = [timer.interval, timer.time];
    for (index, time) in times.into_iter().enumerate() {
        let at = address.offset(index as u64 * TIME_BYTES);
        let (seconds, rest) = (time / NANOSECONDS_PER_SECOND, time % NANOSECONDS_PER_SECOND);
        context.write_time(at, seconds, rest.div_ceil(unit))?;
    }
    Ok(())
}

/// Sleeps until or for a time; the arguments from `first` on are it, and where what is left is told.
async fn sleep(
    caller: &mut Caller<'_, Guest>,
    arguments: Arguments,
    clock: u32,
    flags: u32,
    first: usize,
) -> Result<i64> {
    let task = task_of(caller);
    let now = read_clock(&task, clock)?;
    if CPU_TIME.contains(&clock) {
        return Err(Errno::EOPNOTSUPP);
    }
    let time = Context::of(caller).duration(arguments.address(first), 1)?;
    let duration = match flags {
        ABSOLUTE => time.saturating_sub(now),
        _ => time,
    };
    let monotonic = task.process.kernel.clock.monotonic();
    let end = monotonic.saturating_add(duration);
    let slept = task.sleep_until(end).await;
    let rest: Option<GuestAddr> = arguments.pointer(first + 1);
    if let (Err(_), Some(rest), 0) = (&slept, rest, flags) {
        let left = end.saturating_sub(task.process.kernel.clock.monotonic());
        let (seconds, fraction) = (left / NANOSECONDS_PER_SECOND, left % NANOSECONDS_PER_SECOND);
        Context::of(caller).write_time(rest, seconds, fraction)?;
    }
    slept.map(|()| 0)
}

/// Writes `struct tms`; returns ticks since some point.
fn times(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let ticks = |nanoseconds: u64| nanoseconds / (NANOSECONDS_PER_SECOND / u64::from(CLOCK_TICKS));
    let clock = &context.task().process.kernel.clock;
    let (used, now) = (ticks(clock.cpu_time()), ticks(clock.monotonic()));
    if let Some(address) = arguments.pointer(0) {
        for (index, value) in [used, 0, 0, 0].into_iter().enumerate() {
            context
                .memory
                .write_u64(address.offset(index as u64 * 8), value)?;
        }
    }
    Ok(now as i64)
}

/// Writes `struct rusage`, whose first field is the user's CPU time.
fn getrusage(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    /// Bytes after the first time.
    const REST_BYTES: u64 = 128;
    let used = context.task().process.kernel.clock.cpu_time();
    let (seconds, fraction) = (used / NANOSECONDS_PER_SECOND, used % NANOSECONDS_PER_SECOND);
    let address = arguments.address(1);
    context.memory.fill(address.offset(16), REST_BYTES, 0)?;
    context.write_time(address, seconds, fraction / 1000)?;
    Ok(0)
}
