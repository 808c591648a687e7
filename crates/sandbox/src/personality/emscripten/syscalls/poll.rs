//! Waiting for several descriptors: `poll`, `select`, `pselect`.

use minke_abi::emscripten::errno_number;
use minke_abi::{Errno, Result};
use minke_kernel::task::Deadline;
use wasmtime::Caller;

use crate::personality::emscripten::context::{Arguments, Context};
use crate::personality::emscripten::table::{Function, Pending, WORDS};
use crate::personality::musl::poll::{deadline_after_ms, poll_until, select_until};
use crate::runtime::stop::unless_ending;
use crate::runtime::{Guest, GuestAddr};

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    Function::waiting("__syscall_poll", WORDS[3], poll),
    Function::waiting("__syscall__newselect", WORDS[5], |caller, arguments| {
        select(caller, arguments, NANOSECONDS_PER_MICROSECOND)
    }),
    Function::waiting("__syscall_pselect6", WORDS[6], |caller, arguments| {
        select(caller, arguments, 1)
    })
    .partial("the signal mask is not looked at"),
];

/// Bits of the words that the sets of `select` come in: `unsigned long`.
const SET_WORD_BITS: u32 = 32;

const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;
const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// Turns a call's outcome into what the guest gets: a number, a negated error, or its end.
pub(in crate::personality::emscripten) fn finish(
    guest: &Guest,
    result: Result<i64>,
) -> wasmtime::Result<i64> {
    let result = unless_ending(guest, result).map_err(wasmtime::Error::new)?;
    Ok(result.unwrap_or_else(|errno| -i64::from(errno_number(errno))))
}

fn poll(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let deadline = deadline_after_ms(&Context::of(&mut caller), arguments.int(2));
        let result = poll_until(&mut caller, &arguments, deadline).await;
        finish(caller.data(), result)
    })
}

/// `select` and `pselect`; `unit` is the fraction of the timeout in nanoseconds.
fn select(mut caller: Caller<'_, Guest>, arguments: Arguments, unit: u64) -> Pending<'_> {
    Box::new(async move {
        let result = select_sets(&mut caller, &arguments, unit).await;
        finish(caller.data(), result)
    })
}

async fn select_sets(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
    unit: u64,
) -> Result<i64> {
    let context = Context::of(caller);
    let deadline = match arguments.pointer(4) {
        Some(timeout) => context.deadline_after(read_timeout(&context, timeout, unit)?),
        None => Deadline::Never,
    };
    select_until(caller, arguments, deadline, SET_WORD_BITS).await
}

/// Reads a timeout; a negative one is refused.
fn read_timeout(context: &Context<'_>, address: GuestAddr, unit: u64) -> Result<u64> {
    let layout = context.layout();
    let bytes = context
        .memory
        .read_bytes(address, layout.timespec_bytes(), 16)?;
    let (seconds, fraction) = layout.decode_timespec(&bytes);
    let seconds = u64::try_from(seconds).map_err(|_| Errno::EINVAL)?;
    let fraction = u64::try_from(fraction).map_err(|_| Errno::EINVAL)?;
    Ok(seconds
        .saturating_mul(NANOSECONDS_PER_SECOND)
        .saturating_add(fraction.saturating_mul(unit)))
}
