//! Threads.
//!
//! Spec: WebAssembly/wasi-threads. A module that imports its memory shared and exports
//! `wasi_thread_start` has each thread run in an instance of its own over that memory.

use minke_abi::wasi::Errno;
use wasmtime::{Caller, Instance, Store};

use super::{Answer, Pending, finish};
use crate::runtime::Guest;
use crate::runtime::threads;

/// What a module exports for the host to call in a new thread: thread number, argument.
const ENTRY: &str = "wasi_thread_start";

/// Starts a thread; returns its number, or a negative error number.
pub(super) fn thread_spawn(mut caller: Caller<'_, Guest>, argument: u32) -> Pending<'_> {
    Box::new(async move {
        match spawn(&mut caller, argument).await {
            Ok(tid) => Ok(tid),
            Err(errno) => {
                let number = finish(caller.data(), Err(errno))?;
                Ok(number.cast_signed().wrapping_neg().cast_unsigned())
            }
        }
    })
}

async fn spawn(caller: &mut Caller<'_, Guest>, argument: u32) -> Answer<u32> {
    if caller.get_export(ENTRY).is_none() {
        return Err(Errno::NOTSUP);
    }
    let spawning = threads::spawn(caller.data(), move |store, instance| {
        Box::pin(enter(store, instance, argument))
    });
    Ok(spawning.await?)
}

async fn enter(
    store: &mut Store<Guest>,
    instance: &Instance,
    argument: u32,
) -> wasmtime::Result<()> {
    let entry = instance.get_typed_func::<(u32, u32), ()>(&mut *store, ENTRY)?;
    let tid = store.data().task.tid;
    entry.call_async(store, (tid, argument)).await
}
