//! Waiting for several descriptors: `poll`, `select` and their kin.

use minke_abi::Result;
use minke_abi::signal::SignalSet;
use minke_kernel::task::Deadline;
use wasmtime::Caller;

use crate::personality::linux::context::{Arguments, Context, NANOSECONDS_PER_SECOND};
use crate::personality::linux::table::Syscall;
use crate::personality::musl::poll::{deadline_after_ms, poll_until, select_until};
use crate::runtime::{Guest, GuestAddr};

/// Bits of the words that the sets of `select` come in: `unsigned long`.
const SET_WORD_BITS: u32 = 64;

const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::waiting("poll", 7, |c, a| Box::pin(poll(c, a))),
    Syscall::waiting("ppoll", 271, |c, a| Box::pin(ppoll(c, a))),
    Syscall::waiting("select", 23, |c, a| {
        Box::pin(select(c, a, NANOSECONDS_PER_MICROSECOND))
    }),
    Syscall::waiting("pselect6", 270, |c, a| Box::pin(pselect(c, a))),
];

async fn poll(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let deadline = deadline_after_ms(&Context::of(caller), arguments.int(2));
    poll_until(caller, &arguments, deadline).await
}

async fn ppoll(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let mut context = Context::of(caller);
    let timeout = Timeout::read(&context, arguments.pointer(2), 1)?;
    if let Some(mask) = arguments.pointer(3) {
        mask_meanwhile(&mut context, mask)?;
    }
    let polled = poll_until(caller, &arguments, timeout.deadline).await;
    timeout.write_left(&mut Context::of(caller));
    polled
}

/// Sets the mask until the call has returned. POSIX: `pselect()`.
pub(super) fn mask_meanwhile(context: &mut Context<'_>, address: GuestAddr) -> Result<()> {
    let mask = SignalSet(context.memory.read_u64(address)?);
    let before = context.task().signals().set_mask(mask);
    context.guest.linux.mask_after = Some(before);
    Ok(())
}

/// How long a call waits, and where it tells what is left of that.
struct Timeout {
    deadline: Deadline,
    /// `struct timespec` or `struct timeval`; `None` where nothing is told.
    left: Option<GuestAddr>,
    /// Nanoseconds of its fraction.
    unit: u64,
}

impl Timeout {
    /// Reads a time; none waits without end.
    fn read(context: &Context<'_>, timeout: Option<GuestAddr>, unit: u64) -> Result<Timeout> {
        let Some(address) = timeout else {
            return Ok(Timeout {
                deadline: Deadline::Never,
                left: None,
                unit,
            });
        };
        let duration = context.duration(address, unit)?;
        Ok(Timeout {
            deadline: context.deadline_after(duration),
            // A call that does not wait leaves it alone.
            left: (duration > 0).then_some(address),
            unit,
        })
    }

    /// Tells what is left, whatever came of the call; a place that cannot be written changes nothing. Linux: fs/select.c
    /// `poll_select_finish()`.
    fn write_left(&self, context: &mut Context<'_>) {
        let (Some(address), Deadline::At(end)) = (self.left, self.deadline) else {
            return;
        };
        let left = end.saturating_sub(context.task().process.kernel.clock.monotonic());
        let (seconds, rest) = (left / NANOSECONDS_PER_SECOND, left % NANOSECONDS_PER_SECOND);
        let _ = context.write_time(address, seconds, rest / self.unit);
    }
}

/// The last argument points to a pointer to a mask, and its size.
async fn pselect(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let mut context = Context::of(caller);
    if let Some(pair) = arguments.pointer(5) {
        let mask = context.memory.read_u64(pair)?;
        if mask != 0 {
            mask_meanwhile(&mut context, GuestAddr(mask))?;
        }
    }
    select(caller, arguments, 1).await
}

async fn select(caller: &mut Caller<'_, Guest>, arguments: Arguments, unit: u64) -> Result<i64> {
    let timeout = Timeout::read(&Context::of(caller), arguments.pointer(4), unit)?;
    let selected = select_until(caller, &arguments, timeout.deadline, SET_WORD_BITS).await;
    timeout.write_left(&mut Context::of(caller));
    selected
}
