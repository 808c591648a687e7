//! Waiting for several descriptors: `poll`, `select` and their kin.

use minke_abi::Result;
use minke_abi::signal::SignalSet;
use minke_kernel::task::Deadline;
use wasmtime::Caller;

use crate::personality::linux::context::{Arguments, Context};
use crate::personality::linux::table::Syscall;
use crate::personality::musl::poll::{deadline_after_ms, poll_until, select_until};
use crate::runtime::{Guest, GuestAddr};

/// Bits of the words that the sets of `select` come in: `unsigned long`.
const SET_WORD_BITS: u32 = 64;

const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::waiting("poll", 7, |c, a| Box::pin(poll(c, a))),
    Syscall::waiting("ppoll", 271, |c, a| Box::pin(ppoll(c, a)))
        .partial("the time that is left is not written back"),
    Syscall::waiting("select", 23, |c, a| {
        Box::pin(select(c, a, NANOSECONDS_PER_MICROSECOND))
    })
    .partial("the time that is left is not written back"),
    Syscall::waiting("pselect6", 270, |c, a| Box::pin(pselect(c, a)))
        .partial("the time that is left is not written back"),
];

async fn poll(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let deadline = deadline_after_ms(&Context::of(caller), arguments.int(2));
    poll_until(caller, &arguments, deadline).await
}

async fn ppoll(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let mut context = Context::of(caller);
    let deadline = read_deadline(&context, arguments.pointer(2), 1)?;
    if let Some(mask) = arguments.pointer(3) {
        mask_meanwhile(&mut context, mask)?;
    }
    poll_until(caller, &arguments, deadline).await
}

/// Sets the mask until the call has returned. POSIX: `pselect()`.
pub(super) fn mask_meanwhile(context: &mut Context<'_>, address: GuestAddr) -> Result<()> {
    let mask = SignalSet(context.memory.read_u64(address)?);
    let before = context.task().signals().set_mask(mask);
    context.guest.linux.mask_after = Some(before);
    Ok(())
}

fn read_deadline(context: &Context<'_>, timeout: Option<GuestAddr>, unit: u64) -> Result<Deadline> {
    Ok(match timeout {
        Some(timeout) => context.deadline_after(context.duration(timeout, unit)?),
        None => Deadline::Never,
    })
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
    let deadline = read_deadline(&Context::of(caller), arguments.pointer(4), unit)?;
    select_until(caller, &arguments, deadline, SET_WORD_BITS).await
}
