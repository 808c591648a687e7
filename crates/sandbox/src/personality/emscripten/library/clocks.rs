//! Clocks. Old versions import C's own functions; newer ones use WASI's `clock_time_get`.

use minke_abi::{Errno, Result};
use minke_kernel::Task;
use wasmtime::{Caller, Linker};

use crate::personality::emscripten::context::{Arguments, Context, task_of};
use crate::personality::emscripten::syscalls::poll::finish;
use crate::personality::emscripten::table::{Function, Pending, Returns, WORDS};
use crate::personality::{HostCall, Support};
use crate::runtime::{Guest, GuestAddr};

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;
const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;
const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

/// A clock. Source: `clock_gettime(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::personality::emscripten) enum Clock {
    Realtime,
    Monotonic,
    CpuTime,
}

impl Clock {
    /// Returns the clock of a `clockid_t`; coarse, raw and boot-time ones are their exact kin.
    pub(in crate::personality::emscripten) fn from_number(number: i32) -> Option<Clock> {
        match number {
            0 | 5 | 8 => Some(Clock::Realtime),
            1 | 4 | 6 | 7 | 9 => Some(Clock::Monotonic),
            2 | 3 => Some(Clock::CpuTime),
            _ => None,
        }
    }
}

/// Returns a clock's time in nanoseconds.
pub(in crate::personality::emscripten) fn now(task: &Task, clock: Clock) -> u64 {
    let source = &task.process.kernel.clock;
    match clock {
        Clock::Realtime => source.realtime(),
        Clock::Monotonic => source.monotonic(),
        Clock::CpuTime => source.cpu_time(),
    }
}

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    Function::library("time", WORDS[1], Returns::Word, time),
    Function::library("clock", WORDS[0], Returns::Word, |caller, _| {
        let nanoseconds = now(&caller.data().task, Clock::CpuTime);
        Ok((nanoseconds / NANOSECONDS_PER_MICROSECOND) as i32 as i64)
    }),
    Function::library("clock_gettime", WORDS[2], Returns::Word, clock_gettime),
    Function::library("__clock_gettime", WORDS[2], Returns::Word, clock_gettime),
    Function::library("clock_getres", WORDS[2], Returns::Word, clock_getres),
    Function::library("gettimeofday", WORDS[2], Returns::Word, gettimeofday),
    Function::library("timespec_get", WORDS[2], Returns::Word, timespec_get),
    Function::library("ftime", WORDS[1], Returns::Word, ftime),
    Function::library(
        "emscripten_get_now_is_monotonic",
        WORDS[0],
        Returns::Word,
        |_, _| Ok(1),
    ),
    Function::library(
        "_emscripten_get_now_is_monotonic",
        WORDS[0],
        Returns::Word,
        |_, _| Ok(1),
    ),
    Function::waiting("emscripten_sleep", WORDS[1], sleep).without_result(),
    Function::waiting("emscripten_thread_sleep_js", WORDS[1], sleep).without_result(),
];

/// Functions that return or take floating-point numbers.
pub(in crate::personality::emscripten) static FLOAT_CALLS: &[HostCall] = &[
    HostCall {
        name: "emscripten_get_now",
        signature: "() -> f64",
        support: Support::Whole,
        define: |linker, module, name| define_clock(linker, module, name, Clock::Monotonic),
    },
    HostCall {
        name: "emscripten_date_now",
        signature: "() -> f64",
        support: Support::Whole,
        define: |linker, module, name| define_clock(linker, module, name, Clock::Realtime),
    },
    HostCall {
        name: "emscripten_get_now_res",
        signature: "() -> f64",
        support: Support::Whole,
        define: |linker, module, name| {
            linker.func_wrap(module, name, || 1.0_f64)?;
            Ok(())
        },
    },
    HostCall {
        name: "difftime",
        signature: "(i32, i32) -> f64",
        support: Support::Whole,
        define: |linker, module, name| {
            linker.func_wrap(module, name, |later: i32, earlier: i32| {
                f64::from(later) - f64::from(earlier)
            })?;
            Ok(())
        },
    },
    HostCall {
        name: "emscripten_random",
        signature: "() -> f32",
        support: Support::Whole,
        define: |linker, module, name| {
            linker.func_wrap(module, name, |caller: Caller<'_, Guest>| {
                /// Random bits that a `float` between 0 and 1 holds.
                const FLOAT_BITS: u32 = 24;
                let mut bytes = [0; 4];
                caller.data().task.process.kernel.entropy.fill(&mut bytes);
                let bits = u32::from_le_bytes(bytes) >> (u32::BITS - FLOAT_BITS);
                bits as f32 / (1_u32 << FLOAT_BITS) as f32
            })?;
            Ok(())
        },
    },
    HostCall {
        name: "_setitimer_js",
        signature: "(i32, f64) -> i32",
        support: Support::Partial("the timer is not set: a program has no signals of its own yet"),
        define: |linker, module, name| {
            linker.func_wrap(module, name, |_: i32, _: f64| 0_i32)?;
            Ok(())
        },
    },
];

/// Defines a function that returns a clock's milliseconds.
fn define_clock(
    linker: &mut Linker<Guest>,
    module: &str,
    name: &str,
    clock: Clock,
) -> wasmtime::Result<()> {
    linker.func_wrap(module, name, move |caller: Caller<'_, Guest>| {
        now(&caller.data().task, clock) as f64 / NANOSECONDS_PER_MILLISECOND as f64
    })?;
    Ok(())
}

/// Gives a C function's answer: 0, or -1 with `errno` set where the guest lets us.
pub(in crate::personality::emscripten) fn c_result(
    caller: &mut Caller<'_, Guest>,
    result: Result<i64>,
) -> i64 {
    let errno = match result {
        Ok(value) => return value,
        Err(errno) => errno,
    };
    let mut context = Context::of(caller);
    if let Some(address) = context.guest.emscripten.exports.errno_address {
        let number = minke_abi::emscripten::errno_number(errno).cast_unsigned();
        // An address outside the memory is the guest's own doing.
        let _ = context.memory.write_u32(address, number);
    }
    -1
}

fn time(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let mut context = Context::of(caller);
    let seconds = (now(context.task(), Clock::Realtime) / NANOSECONDS_PER_SECOND) as i64;
    let result = match arguments.pointer(0) {
        Some(target) => {
            let bytes = seconds.to_le_bytes();
            let width = context.layout().time_bytes();
            context.memory.write(target, &bytes[..width])
        }
        None => Ok(()),
    };
    Ok(c_result(caller, result.map(|()| seconds)))
}

fn clock_gettime(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let mut context = Context::of(caller);
    let clock = Clock::from_number(arguments.int(0)).ok_or(Errno::EINVAL);
    let result = clock.and_then(|clock| {
        let time = now(context.task(), clock);
        write_time(&mut context, arguments.address(1), time, 1)
    });
    Ok(c_result(caller, result))
}

/// Writes a `struct timespec` or `timeval`, whose fraction counts `unit` nanoseconds.
fn write_time(
    context: &mut Context<'_>,
    target: GuestAddr,
    nanoseconds: u64,
    unit: u64,
) -> Result<i64> {
    let seconds = (nanoseconds / NANOSECONDS_PER_SECOND) as i64;
    let fraction = (nanoseconds % NANOSECONDS_PER_SECOND / unit) as u32;
    let bytes = context.layout().encode_timespec(seconds, fraction);
    context.memory.write(target, &bytes)?;
    Ok(0)
}

fn clock_getres(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let mut context = Context::of(caller);
    let clock = Clock::from_number(arguments.int(0)).ok_or(Errno::EINVAL);
    let result = clock.and_then(|_| match arguments.pointer(1) {
        Some(target) => write_time(&mut context, target, 1, 1),
        None => Ok(0),
    });
    Ok(c_result(caller, result))
}

fn gettimeofday(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let mut context = Context::of(caller);
    let result = match arguments.pointer(0) {
        Some(target) => {
            let time = now(context.task(), Clock::Realtime);
            write_time(&mut context, target, time, NANOSECONDS_PER_MICROSECOND)
        }
        None => Ok(0),
    };
    Ok(c_result(caller, result))
}

/// Returns the base, or 0 when it is not `TIME_UTC`. Spec: C11 7.27.2.5.
fn timespec_get(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    const TIME_UTC: i32 = 1;
    if arguments.int(1) != TIME_UTC {
        return Ok(0);
    }
    let mut context = Context::of(caller);
    let time = now(context.task(), Clock::Realtime);
    let written = write_time(&mut context, arguments.address(0), time, 1);
    Ok(written.map_or(0, |_| i64::from(TIME_UTC)))
}

/// Writes `struct timeb`: seconds, milliseconds, and two obsolete fields.
fn ftime(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let mut context = Context::of(caller);
    let milliseconds = now(context.task(), Clock::Realtime) / NANOSECONDS_PER_MILLISECOND;
    let width = context.layout().time_bytes();
    let mut bytes = ((milliseconds / 1000) as i64).to_le_bytes()[..width].to_vec();
    bytes.extend(((milliseconds % 1000) as u16).to_le_bytes());
    bytes.extend([0; 4]);
    let result = context.memory.write(arguments.address(0), &bytes);
    Ok(c_result(caller, result.map(|()| 0)))
}

/// Sleeps for milliseconds.
fn sleep(caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let task = task_of(&caller);
        let duration = u64::from(arguments.word(0)) * NANOSECONDS_PER_MILLISECOND;
        let deadline = now(&task, Clock::Monotonic).saturating_add(duration);
        let result = task.sleep_until(deadline).await.map(|()| 0);
        finish(caller.data(), result)
    })
}
