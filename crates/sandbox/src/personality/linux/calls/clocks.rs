//! Clocks and sleeping.

use minke_abi::{Errno, Result};
use minke_kernel::alarm::Remaining;
use minke_kernel::timers::Measured;
use minke_kernel::{Pid, Task};
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
/// `TIMER_ABSTIME`.
const ABSOLUTE: u32 = 1;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("clock_gettime", 228, |c, a| {
        let time = read_clock(c.task(), a.word(0))?;
        let (seconds, fraction) = (time / NANOSECONDS_PER_SECOND, time % NANOSECONDS_PER_SECOND);
        c.write_time(a.address(1), seconds, fraction).map(|()| 0)
    }),
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
    Syscall::now("times", 100, times).partial(ALL_IS_USERS),
    Syscall::now("getrusage", 98, getrusage).partial(USED),
];

const ALL_IS_USERS: &str = "all CPU time is the user's, none the system's";
pub(super) const USED: &str = "CPU time only, all of it the user's";

pub(super) fn read_clock(task: &Task, number: u32) -> Result<u64> {
    let clock = &task.process.kernel.clock;
    match number {
        number if REALTIME.contains(&number) => Ok(clock.realtime()),
        number if MONOTONIC.contains(&number) => Ok(clock.monotonic()),
        number => match CpuClock::of(task, number) {
            Some(clock) => clock?.read(task),
            None => Err(Errno::EINVAL),
        },
    }
}

/// A clock of CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CpuClock {
    Process(Pid),
    /// Of the caller's process.
    Thread(u32),
}

impl CpuClock {
    /// Reads the number of a clock: one of two small ones, or one that holds the number of a process or thread. `None` for other clocks.
    /// Linux: include/linux/posix-timers_types.h `MAKE_PROCESS_CPUCLOCK()`.
    pub(super) fn of(task: &Task, number: u32) -> Option<Result<CpuClock>> {
        /// `CLOCK_PROCESS_CPUTIME_ID`, `CLOCK_THREAD_CPUTIME_ID`.
        const PROCESS: u32 = 2;
        const THREAD: u32 = 3;
        /// `CPUCLOCK_PERTHREAD_MASK`, and the bits that say which time; 3 would be a descriptor.
        const OF_THREAD: i32 = 4;
        const KIND: i32 = 3;
        let raw = number.cast_signed();
        match number {
            PROCESS => return Some(Ok(CpuClock::Process(task.process.pid))),
            THREAD => return Some(Ok(CpuClock::Thread(task.tid))),
            _ if raw >= 0 => return None,
            _ if raw & KIND == KIND => return Some(Err(Errno::EINVAL)),
            _ => {}
        }
        let id = !(raw >> 3).cast_unsigned();
        Some(Ok(match (raw & OF_THREAD, id) {
            (0, 0) => CpuClock::Process(task.process.pid),
            (0, id) => CpuClock::Process(Pid(id)),
            (_, 0) => CpuClock::Thread(task.tid),
            (_, id) => CpuClock::Thread(id),
        }))
    }

    /// Returns its time; `EINVAL` for a process or thread that is not there.
    fn read(self, task: &Task) -> Result<u64> {
        match self {
            CpuClock::Process(pid) => {
                let process = task.process.kernel.process(pid).ok_or(Errno::EINVAL)?;
                Ok(process.cpu_time())
            }
            CpuClock::Thread(tid) if task.process.signals.is_thread(tid) => {
                Ok(task.process.thread_cpu_time(tid))
            }
            CpuClock::Thread(_) => Err(Errno::EINVAL),
        }
    }

    /// Returns what a timer by this clock measures; another process's is refused.
    pub(super) fn measured(self, task: &Task) -> Result<Measured> {
        match self {
            CpuClock::Process(pid) if pid == task.process.pid => Ok(Measured::Process),
            CpuClock::Thread(tid) => Ok(Measured::Thread(tid)),
            CpuClock::Process(_) => Err(Errno::EINVAL),
        }
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
    if CpuClock::of(&task, clock).is_some() {
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
    let process = &context.guest.task.process;
    let used = ticks(process.cpu_time());
    let waited = ticks(process.children_cpu_time());
    let now = ticks(process.kernel.clock.monotonic());
    if let Some(address) = arguments.pointer(0) {
        for (index, value) in [used, 0, waited, 0].into_iter().enumerate() {
            context
                .memory
                .write_u64(address.offset(index as u64 * 8), value)?;
        }
    }
    Ok(now as i64)
}

/// Whose use of resources is asked for. Linux: include/uapi/linux/resource.h.
mod whose {
    pub(super) const SELF: i32 = 0;
    pub(super) const CHILDREN: i32 = -1;
    pub(super) const THREAD: i32 = 1;
}

fn getrusage(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let task = &context.guest.task;
    let used = match arguments.int(0) {
        whose::SELF => task.process.cpu_time(),
        whose::CHILDREN => task.process.children_cpu_time(),
        whose::THREAD => task.cpu_time(),
        _ => return Err(Errno::EINVAL),
    };
    write_usage(context, arguments.address(1), used).map(|()| 0)
}

/// Writes `struct rusage`, whose first field is the user's CPU time.
pub(super) fn write_usage(context: &mut Context<'_>, address: GuestAddr, used: u64) -> Result<()> {
    /// Bytes after the first time.
    const REST_BYTES: u64 = 128;
    let (seconds, fraction) = (used / NANOSECONDS_PER_SECOND, used % NANOSECONDS_PER_SECOND);
    context
        .memory
        .fill(address.offset(TIME_BYTES), REST_BYTES, 0)?;
    context.write_time(address, seconds, fraction / 1000)
}
