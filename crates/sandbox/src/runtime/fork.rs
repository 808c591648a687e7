//! Another instance of a program with the memory of the first: what `fork` and its kin need of the runtime.
//!
//! The guest leaves its frames by itself and comes back to them in its export `resume` (see `docs/compat/linux.md`), so
//! nothing but memory is copied, and of that only pages that somebody has written: the others are the same in the new instance.

use std::sync::Arc;

use minke_abi::{Errno, Result};
use minke_kernel::{ExitStatus, Pid, Process, Task};
use wasmtime::{Caller, Instance, Memory, Store};

use super::guest::{Guest, Started};
use super::instance::find_memory;
use super::memory::GuestMemory;
use super::pagemap::{self, PageMap};

/// The export in which a program goes on. One that was linked without restorable frames has none.
const RESUME: &str = "resume";

/// Bytes of a wasm page.
const PAGE_BYTES: u64 = 65_536;

/// What is compared and copied at once: a page of the host.
const COPIED_BYTES: usize = 4096;

/// Makes a child of a guest's process with a copy of its memory, and starts it; returns its number. `ENOSYS` where the guest
/// may start no others or has no `resume`, `EAGAIN` and `ENOMEM` when the container has no room for it.
pub(crate) async fn fork(caller: &mut Caller<'_, Guest>) -> Result<Pid> {
    let started = caller.data().started.clone().ok_or(Errno::ENOSYS)?;
    if caller.get_export(RESUME).is_none() {
        return Err(Errno::ENOSYS);
    }
    let Some(GuestMemory::Local(memory)) = caller.data().memory.clone() else {
        return Err(Errno::ENOSYS);
    };
    let parent = Arc::clone(&caller.data().task);
    let process = parent.fork()?;
    let pid = process.pid;
    let made = make_instance(&started, &process).await;
    let linux = caller.data().linux.fork();
    let made = made.and_then(|(mut store, instance)| {
        store.data_mut().linux = linux;
        let pages = started.launcher.pages();
        copy_memory(memory.data(&*caller), pages, &mut store)?;
        Ok((store, instance))
    });
    match made {
        Ok((store, instance)) => start(started, process, store, instance),
        Err(errno) => {
            parent.forget_child(&process);
            return Err(errno);
        }
    }
    Ok(pid)
}

async fn make_instance(
    started: &Started,
    process: &Arc<Process>,
) -> Result<(Store<Guest>, Instance)> {
    let task = Arc::new(Task::main_of(Arc::clone(process)));
    let make_guest = || {
        let mut guest = Guest::new(Arc::clone(&task));
        guest.started = Some(started.clone());
        guest
    };
    let made = started.program.instantiate(make_guest).await;
    let (mut store, instance, linked) = made.map_err(|_| Errno::ENOMEM)?;
    find_memory(&mut store, &instance, &linked.exports);
    Ok((store, instance))
}

/// Makes a new instance's memory equal to `source`, which is no smaller.
fn copy_memory(source: &[u8], pages: Option<&PageMap>, store: &mut Store<Guest>) -> Result<()> {
    let Some(GuestMemory::Local(memory)) = store.data().memory.clone() else {
        return Err(Errno::ENOSYS);
    };
    grow(&memory, store, source.len())?;
    let target = memory.data_mut(&mut *store);
    let copied = pages.map(|pages| {
        pages.written(source, |range| {
            let target = &mut target[range.clone()];
            pagemap::populate(target);
            target.copy_from_slice(&source[range]);
        })
    });
    if !matches!(copied, Some(Ok(()))) {
        copy_differences(source, target);
    }
    Ok(())
}

/// Where nobody tells which pages were written, all are looked at. To write those that are equal would take memory.
fn copy_differences(source: &[u8], target: &mut [u8]) {
    for (target, source) in target
        .chunks_mut(COPIED_BYTES)
        .zip(source.chunks(COPIED_BYTES))
    {
        if target != source {
            target.copy_from_slice(source);
        }
    }
}

fn grow(memory: &Memory, store: &mut Store<Guest>, bytes: usize) -> Result<()> {
    let wanted = bytes as u64 / PAGE_BYTES;
    let more = wanted.saturating_sub(memory.size(&*store));
    if more > 0 {
        memory.grow(&mut *store, more).map_err(|_| Errno::ENOMEM)?;
    }
    Ok(())
}

fn start(started: Started, process: Arc<Process>, store: Store<Guest>, instance: Instance) {
    let spawner = started.launcher.spawner().clone();
    // Nobody waits for the future; who waits for the process hears of its end from the kernel.
    drop(spawner.spawn(async move {
        let _ends = EndsProcess(process);
        let Started { program, launcher } = started;
        program.run_forked(store, instance, &launcher).await
    }));
}

/// Ends a process when its future goes away, however that comes about: a future that ends by itself has recorded its own status.
pub(crate) struct EndsProcess(pub(crate) Arc<Process>);

impl Drop for EndsProcess {
    fn drop(&mut self) {
        let reason = "internal error: a process of the sandbox failed".to_owned();
        self.0.exit(ExitStatus::Trapped(reason));
    }
}
