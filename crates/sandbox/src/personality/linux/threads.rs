//! Threads: each is an instance over the process's shared memory, which enters by the export `thread_start`.
//!
//! The C library lays out what a thread begins with; here it gets a number, and when its code is gone, who waits for
//! that hears of it: the word that `set_tid_address` named becomes zero, as Linux has it (`CLONE_CHILD_CLEARTID`).

use minke_abi::signal::SignalSet;
use minke_abi::{Errno, Result};
use minke_kernel::task::Deadline;
use wasmtime::{Caller, Instance, Store};

use super::context::{Arguments, task_of};
use super::entry::find_deliver;
use super::link::raw;
use crate::runtime::memory::GuestMemory;
use crate::runtime::stop::unless_ending;
use crate::runtime::{Guest, GuestAddr, MemoryView, Stop, threads};

/// What a module exports for the host to call in a new thread: what `minke.clone` was given.
const ENTRY: &str = "thread_start";

/// What `minke.clone` is given.
#[derive(Clone, Copy)]
pub(super) struct NewThread {
    /// Handed to the new thread as it is.
    pub(super) block: i32,
    /// Where its number goes before it begins, or 0.
    pub(super) tid: u32,
    /// What becomes zero when it has ended, or 0.
    pub(super) clear_tid: u32,
}

/// Starts a thread; returns its number, or a negative error number.
pub(super) async fn clone(
    caller: &mut Caller<'_, Guest>,
    thread: NewThread,
) -> std::result::Result<i32, Stop> {
    let spawned = match caller.get_export(ENTRY) {
        Some(_) => {
            let spawning = threads::spawn(caller.data(), move |store, instance| {
                Box::pin(run(store, instance, thread))
            });
            spawning.await
        }
        None => Err(Errno::ENOSYS),
    };
    let tid = unless_ending(caller.data(), spawned)?;
    Ok(raw(tid.map(i64::from)) as i32)
}

/// Runs a thread to its end.
async fn run(
    store: &mut Store<Guest>,
    instance: &Instance,
    thread: NewThread,
) -> wasmtime::Result<()> {
    let pointer = |address| (address != 0).then(|| GuestAddr::from(address));
    find_deliver(store, instance);
    store.data_mut().linux.clear_tid = pointer(thread.clear_tid);
    if let Some(address) = pointer(thread.tid) {
        let tid = store.data().task.tid;
        // The C library has chosen the address; one that is outside harms nobody else.
        let _ = shared(store.data()).and_then(|mut memory| memory.write_u32(address, tid));
    }
    let entry = instance.get_typed_func::<i32, ()>(&mut *store, ENTRY)?;
    let ended = entry.call_async(&mut *store, thread.block).await;
    tell_end(store.data_mut());
    match ended {
        Err(error) if matches!(error.downcast_ref(), Some(Stop::Thread)) => Ok(()),
        ended => ended,
    }
}

/// Tells who waits for the end of a thread. Linux: kernel/fork.c `mm_release()`.
fn tell_end(guest: &mut Guest) {
    let Some(address) = guest.linux.clear_tid.take() else {
        return;
    };
    if let Ok(mut memory) = shared(guest)
        && memory.write_u32(address, 0).is_ok()
    {
        guest.task.futex_wake(address.0, 1);
    }
}

fn shared(guest: &Guest) -> Result<MemoryView<'static>> {
    match &guest.memory {
        Some(GuestMemory::Shared(memory)) => Ok(MemoryView::shared(memory.clone())),
        _ => Err(Errno::ENOSYS),
    }
}

/// Ends the calling thread. The first one's process lives on until the others have ended. Linux: `exit(2)`.
pub(super) async fn exit(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let task = task_of(caller);
    if task.tid != task.process.pid.0 {
        caller.data_mut().linux.stop = Some(Stop::Thread);
        return Ok(0);
    }
    // Signals are for those that are left.
    task.signals().set_mask(SignalSet(u64::MAX));
    tell_end(caller.data_mut());
    let ended = task.wait_for(Deadline::Never, |cx| {
        let are_gone = task.process.poll_other_threads_ended(cx.waker());
        are_gone.then_some(Ok(()))
    });
    // What interrupts it ends the process.
    let _ = ended.await;
    caller.data_mut().linux.stop = Some(Stop::Exit(arguments.int(0)));
    Ok(0)
}
