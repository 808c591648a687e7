//! What happens on the way out of a call, and between calls where code polls: the process ends, stops, or calls the handlers of its
//! signals.

use std::sync::atomic::{AtomicU32, Ordering};

use minke_abi::signal::ActionFlags;
use minke_kernel::signal::Delivery;
use minke_kernel::task::Deadline;
use wasmtime::{Caller, Extern, Ref, Val};

use super::context::task_of;
use super::table::Interrupted;
use crate::runtime::engine::CALLBACK_STACKS_MAX;
use crate::runtime::{Guest, Stop};

/// Handlers that run inside of each other; what comes beyond them waits, as it does when all stacks for handlers are taken. Each takes one.
const HANDLERS_MAX: u32 = 32;

/// The table that handlers are indices of.
const TABLE: &str = "__indirect_function_table";

/// Ends or stops the process, if a signal says so, and calls the handlers of all others. Tells whether an interrupted
/// call may be made again: if all of its handlers say so.
pub(super) async fn attend(caller: &mut Caller<'_, Guest>) -> wasmtime::Result<Interrupted> {
    let mut interrupted = call_handlers(caller).await?;
    if let Some(mask) = caller.data_mut().linux.mask_after.take() {
        caller.data().task.signals().set_mask(mask);
        // Nothing is made again that has waited with a mask of its own.
        call_handlers(caller).await?;
        interrupted = Interrupted::Fails;
    }
    Ok(interrupted)
}

/// As [`attend`], for code that makes no call.
pub(super) async fn attend_in_code(caller: &mut Caller<'_, Guest>) -> wasmtime::Result<()> {
    let interrupt = caller.data().interrupt.clone();
    let set_attention = |is_wanted| {
        if let Some(interrupt) = &interrupt {
            interrupt.set_attention(is_wanted);
        }
    };
    // What is posted from here on is asked for again.
    set_attention(false);
    call_handlers(caller).await?;
    if caller.data().task.signals().needs_attention() {
        set_attention(true);
    }
    Ok(())
}

async fn call_handlers(caller: &mut Caller<'_, Guest>) -> wasmtime::Result<Interrupted> {
    let task = task_of(caller);
    let signals = &task.process.signals;
    let mut interrupted = Interrupted::Restarts;
    loop {
        if signals.is_stopped() {
            // It gives nothing before the process goes on.
            task.wait_for(Deadline::Never, |_| Some(Ok(()))).await;
        }
        if let Some(signal) = signals.fatal() {
            return Err(Stop::Signal(signal).leaving(caller.engine()));
        }
        if caller.data().linux.handlers >= HANDLERS_MAX {
            return Ok(interrupted);
        }
        let Some(_stack) = CallbackStack::take() else {
            return Ok(interrupted);
        };
        let Some(delivery) = task.signals().take_handler() else {
            return Ok(interrupted);
        };
        if !delivery.flags.contains(ActionFlags::RESTART) {
            interrupted = Interrupted::Fails;
        }
        let state = &mut caller.data_mut().linux;
        state.handlers += 1;
        let (flags, stack) = state.enter_handler(delivery.flags);
        let delivery = Delivery { flags, ..delivery };
        let called = call_handler(caller, &delivery).await;
        let state = &mut caller.data_mut().linux;
        state.handlers -= 1;
        state.leave_handler(stack);
        called?;
        task.signals().set_mask(delivery.mask_before);
    }
}

/// One of the stacks that the pool has for handlers. The sandbox has one pool, so they are counted together.
struct CallbackStack;

static CALLBACK_STACKS: AtomicU32 = AtomicU32::new(0);

impl CallbackStack {
    fn take() -> Option<CallbackStack> {
        let more = |taken| (taken < CALLBACK_STACKS_MAX).then_some(taken + 1);
        let taken = CALLBACK_STACKS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then_some(CallbackStack)
    }
}

impl Drop for CallbackStack {
    fn drop(&mut self) {
        CALLBACK_STACKS.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn call_handler(caller: &mut Caller<'_, Guest>, delivery: &Delivery) -> wasmtime::Result<()> {
    let info = &delivery.info;
    let signal = i32::from(info.signal.raw());
    let handler = delivery.handler as u32;
    if let Some(deliver) = caller.data().linux.deliver.clone() {
        let flags = delivery.flags.bits().cast_signed();
        let arguments = (
            handler.cast_signed(),
            flags,
            signal,
            info.code,
            info.pid.cast_signed(),
            info.uid.cast_signed(),
            info.value.cast_signed(),
        );
        return deliver.call_async(&mut *caller, arguments).await;
    }
    let Some(Extern::Table(table)) = caller.get_export(TABLE) else {
        return Ok(());
    };
    let Some(Ref::Func(Some(function))) = table.get(&mut *caller, u64::from(handler)) else {
        return Err(wasmtime::format_err!(
            "the handler of signal {signal} is no function"
        ));
    };
    function
        .call_async(&mut *caller, &[Val::I32(signal)], &mut [])
        .await
}
