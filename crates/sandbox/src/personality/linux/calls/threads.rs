//! Threads that wait for each other.

use minke_abi::{Errno, Result};
use minke_kernel::task::Deadline;
use minke_kernel::{ALL_BITS, FutexWait};
use wasmtime::Caller;

use crate::personality::linux::context::{Arguments, Context, task_of};
use crate::personality::linux::table::Syscall;
use crate::runtime::{Guest, GuestAddr};

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::waiting("futex", 202, |c, a| Box::pin(futex(c, a)))
        .restarting()
        .partial(
            "waiting, waking and moving, by the threads of one process; no `FUTEX_WAKE_OP` or priorities; a \
             time-out that is relative begins again after a handler with `SA_RESTART`",
        ),
    Syscall::now("set_robust_list", 273, |_, a| match a.word(1) {
        ROBUST_LIST_BYTES => Ok(0),
        _ => Err(Errno::EINVAL),
    })
    .partial("changes nothing: memory is shared by no two processes, and a thread that ends lets its mutexes go by itself"),
];

/// Bytes of `struct robust_list_head`.
const ROBUST_LIST_BYTES: u32 = 24;

/// Operations of `futex`. Linux: include/uapi/linux/futex.h.
mod operation {
    pub(super) const WAIT: u32 = 0;
    pub(super) const WAKE: u32 = 1;
    pub(super) const REQUEUE: u32 = 3;
    pub(super) const CMP_REQUEUE: u32 = 4;
    pub(super) const WAIT_BITSET: u32 = 9;
    pub(super) const WAKE_BITSET: u32 = 10;
    /// No other process waits: here none ever does.
    pub(super) const PRIVATE: u32 = 128;
    pub(super) const CLOCK_REALTIME: u32 = 256;
}

async fn futex(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let address = arguments.address(0);
    if !address.0.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let clock = arguments.word(1) & operation::CLOCK_REALTIME;
    let operation = arguments.word(1) & !(operation::PRIVATE | operation::CLOCK_REALTIME);
    match operation {
        operation::WAIT | operation::WAIT_BITSET => {
            let bits = match operation {
                operation::WAIT => ALL_BITS,
                _ => some_bits(arguments.word(5))?,
            };
            let deadline = match arguments.pointer(3) {
                None => Deadline::Never,
                Some(time) if operation == operation::WAIT => {
                    let context = Context::of(caller);
                    context.deadline_after(context.duration(time, 1)?)
                }
                Some(time) => deadline_at(&Context::of(caller), time, clock != 0)?,
            };
            let expected = arguments.word(2);
            wait(caller, (address, bits), expected, deadline).await
        }
        operation::WAKE => Ok(wake(caller, address, ALL_BITS, arguments.word(2))),
        operation::WAKE_BITSET => {
            let bits = some_bits(arguments.word(5))?;
            Ok(wake(caller, address, bits, arguments.word(2)))
        }
        operation::REQUEUE => requeue(caller, &arguments, None),
        operation::CMP_REQUEUE => requeue(caller, &arguments, Some(arguments.word(5))),
        _ => Err(Errno::ENOSYS),
    }
}

fn some_bits(bits: u32) -> Result<u32> {
    match bits {
        0 => Err(Errno::EINVAL),
        bits => Ok(bits),
    }
}

/// Reads a time of a clock.
fn deadline_at(context: &Context<'_>, time: GuestAddr, is_real_time: bool) -> Result<Deadline> {
    let at = context.duration(time, 1)?;
    if !is_real_time {
        return Ok(Deadline::At(at));
    }
    let now = context.task().process.kernel.clock.realtime();
    Ok(context.deadline_after(at.saturating_sub(now)))
}

/// Waits while the number at an address is the expected one. Linux: `FUTEX_WAIT`.
async fn wait(
    caller: &mut Caller<'_, Guest>,
    (address, bits): (GuestAddr, u32),
    expected: u32,
    deadline: Deadline,
) -> Result<i64> {
    let task = task_of(caller);
    let word = Context::of(caller).memory.word(address)?;
    let waited = task.futex_wait_for(address.0, bits, deadline, || word.load() == expected);
    match waited.await? {
        FutexWait::Woken => Ok(0),
        FutexWait::NotEqual => Err(Errno::EAGAIN),
        FutexWait::TimedOut => Err(Errno::ETIMEDOUT),
    }
}

fn wake(caller: &Caller<'_, Guest>, address: GuestAddr, bits: u32, count: u32) -> i64 {
    let task = &caller.data().task;
    i64::from(task.futex_wake_some(address.0, bits, count))
}

/// Wakes some and moves some others to the queue of another address.
fn requeue(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
    expected: Option<u32>,
) -> Result<i64> {
    let (from, to) = (arguments.address(0), arguments.address(4));
    if !to.0.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let context = Context::of(caller);
    let word = context.memory.word(from)?;
    let (woken, moved) =
        context
            .task()
            .futex_requeue(from.0, to.0, arguments.word(2), arguments.word(3), || {
                expected.is_none_or(|expected| word.load() == expected)
            })?;
    // `FUTEX_REQUEUE` tells of the woken only.
    let moved = expected.map_or(0, |_| moved);
    Ok(i64::from(woken) + i64::from(moved))
}
