//! What the hidden table holds: waiting, waking and growing on a shared memory (`runtime::instrument`).
//!
//! Spec: WebAssembly threads, "Wait and Notify operators".

use std::sync::Arc;

use minke_kernel::FutexWait;
use minke_kernel::task::Deadline;
use wasmtime::{Caller, Func, FuncType, Ref, Store, Table, Trap, Val, ValType};

use super::guest::Guest;
use super::instrument::{Number, SHARED_CALLS, SharedCall};
use super::process_memory::{Growth, ProcessMemory};
use super::shared;
use super::stop::unless_ending;

/// Fills the hidden table of an instance.
pub(super) fn provide(
    store: &mut Store<Guest>,
    table: Table,
    memory: &ProcessMemory,
) -> wasmtime::Result<()> {
    let address = if memory.memory().ty().is_64() {
        Number::I64
    } else {
        Number::I32
    };
    for call in SHARED_CALLS {
        let function = function(store, call, address);
        table.set(&mut *store, call as u64, Ref::Func(Some(function)))?;
    }
    Ok(())
}

fn function(store: &mut Store<Guest>, call: SharedCall, address: Number) -> Func {
    let wasm = |number| match number {
        Number::I32 => ValType::I32,
        Number::I64 => ValType::I64,
    };
    let (parameters, result) = call.signature(address);
    let ty = FuncType::new(
        store.engine(),
        parameters.into_iter().map(wasm),
        [wasm(result)],
    );
    match call {
        SharedCall::Wait32 => Func::new_async(store, ty, |caller, parameters, results| {
            Box::new(wait(caller, parameters, results, Width::Four))
        }),
        SharedCall::Wait64 => Func::new_async(store, ty, |caller, parameters, results| {
            Box::new(wait(caller, parameters, results, Width::Eight))
        }),
        SharedCall::Notify => Func::new(store, ty, |caller, parameters, results| {
            notify(caller.data(), parameters, results)
        }),
        SharedCall::Grow => Func::new(store, ty, move |mut caller, parameters, results| {
            grow(caller.data_mut(), parameters, results, address)
        }),
    }
}

/// The size of the number that is waited for.
#[derive(Clone, Copy)]
enum Width {
    Four = 4,
    Eight = 8,
}

/// Waits: address, expected number, time-out in nanoseconds or a negative number for none, offset.
async fn wait(
    caller: Caller<'_, Guest>,
    parameters: &[Val],
    results: &mut [Val],
    width: Width,
) -> wasmtime::Result<()> {
    let [address, expected, timeout, offset] = parameters else {
        return Err(bad_call());
    };
    let guest = caller.data();
    let memory = memory_of(guest)?;
    let task = Arc::clone(&guest.task);
    let address = place(&memory, address, offset, width)?;
    let timeout_ns = number(timeout).cast_signed();
    let deadline = match u64::try_from(timeout_ns) {
        Ok(timeout_ns) => {
            let now = task.process.kernel.clock.monotonic();
            Deadline::At(now.saturating_add(timeout_ns))
        }
        Err(_) => Deadline::Never,
    };
    let expected = number(expected);
    let is_expected = || load(&memory, address, width) == expected;
    let waited = task.futex_wait(address, deadline, is_expected).await;
    // Without an end, an interrupted wait is a wake-up without a cause, which guests must expect.
    let outcome = unless_ending(caller.data(), waited)?.unwrap_or(FutexWait::Woken);
    give(results, Val::I32(outcome as i32))
}

/// Wakes: address, most threads, offset. Returns how many were woken.
fn notify(guest: &Guest, parameters: &[Val], results: &mut [Val]) -> wasmtime::Result<()> {
    let [address, count, offset] = parameters else {
        return Err(bad_call());
    };
    let memory = memory_of(guest)?;
    let address = place(&memory, address, offset, Width::Four)?;
    let woken = guest.task.futex_wake(address, number(count) as u32);
    give(results, Val::I32(woken.cast_signed()))
}

/// Grows by pages; returns how many there were, or -1.
fn grow(
    guest: &mut Guest,
    parameters: &[Val],
    results: &mut [Val],
    address: Number,
) -> wasmtime::Result<()> {
    let [pages] = parameters else {
        return Err(bad_call());
    };
    let growth = guest.grow_shared(number(pages));
    let pages = growth.unwrap_or(u64::MAX);
    let pages = match address {
        Number::I32 => Val::I32((pages as u32).cast_signed()),
        Number::I64 => Val::I64(pages.cast_signed()),
    };
    give(results, pages)
}

impl Guest {
    /// Grows the shared memory by pages; returns how many there were.
    pub fn grow_shared(&mut self, pages: u64) -> Option<u64> {
        match self.shared.as_ref()?.grow(pages) {
            Growth::Grown { before } => Some(before),
            Growth::OverBudget => {
                self.limits.refuse();
                None
            }
            Growth::Impossible => None,
        }
    }
}

fn memory_of(guest: &Guest) -> wasmtime::Result<Arc<ProcessMemory>> {
    guest.shared.clone().ok_or_else(bad_call)
}

/// Checks where an operator's number lies: aligned, and inside the memory.
fn place(
    memory: &ProcessMemory,
    address: &Val,
    offset: &Val,
    width: Width,
) -> wasmtime::Result<u64> {
    let bytes = width as u64;
    let address = number(address).checked_add(number(offset));
    let address = address.ok_or(Trap::MemoryOutOfBounds)?;
    if !address.is_multiple_of(bytes) {
        return Err(Trap::HeapMisaligned.into());
    }
    let end = address.checked_add(bytes);
    if end.is_none_or(|end| end > memory.memory().data_size() as u64) {
        return Err(Trap::MemoryOutOfBounds.into());
    }
    Ok(address)
}

fn load(memory: &ProcessMemory, address: u64, width: Width) -> u64 {
    let start = address as usize;
    match width {
        Width::Four => u64::from(shared::load_u32(memory.memory(), start)),
        Width::Eight => shared::load_u64(memory.memory(), start),
    }
}

/// Returns a parameter's bits.
fn number(value: &Val) -> u64 {
    match value {
        Val::I32(short) => u64::from(short.cast_unsigned()),
        Val::I64(long) => long.cast_unsigned(),
        _ => 0,
    }
}

fn give(results: &mut [Val], value: Val) -> wasmtime::Result<()> {
    *results.first_mut().ok_or_else(bad_call)? = value;
    Ok(())
}

/// The rewriting calls with the right parameters, so this is a defect of ours.
fn bad_call() -> wasmtime::Error {
    wasmtime::format_err!("internal error: a hidden function was called wrongly")
}
