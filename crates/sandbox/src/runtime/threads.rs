//! Threads of a process: instances of one program over one memory.
//!
//! Each thread is a store and a future of its own on the executor, and a task of the same process in the kernel. The
//! first that traps or exits ends all: its ending is kept, the others are interrupted, and the first thread's future
//! waits for them before the process is said to have ended.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use minke_abi::{Errno, Result};
use minke_kernel::{ExitStatus, Process, Task};
use wasmtime::{Instance, Store};

use super::guest::Guest;
use super::process_memory::ProcessMemory;
use super::program::Program;
use super::trap::{self, Ending};
use crate::executor::Spawner;

/// What a thread runs: a function of its own instance. Its error, unlike its return, ends the process.
pub(super) type ThreadMain =
    Box<dyn for<'a> FnOnce(&'a mut Store<Guest>, &'a Instance) -> ThreadFuture<'a> + Send>;

/// A thread that is under way.
pub type ThreadFuture<'a> = Pin<Box<dyn Future<Output = wasmtime::Result<()>> + Send + 'a>>;

/// What the threads of a process share in the runtime.
pub struct ThreadGroup {
    program: Arc<Program>,
    spawner: Spawner,
    memory: Arc<ProcessMemory>,
    /// How the process ends; the first thread that says so decides.
    ending: Mutex<Option<Ending>>,
}

/// Starts a thread of a guest's process; returns its number. `ENOSYS` where the module does not import its memory
/// shared, `EAGAIN` when the container has no room for another thread, `EINTR` when the process is to end.
pub fn spawn<Main>(
    guest: &Guest,
    main: Main,
) -> impl Future<Output = Result<u32>> + Send + use<Main>
where
    Main: for<'a> FnOnce(&'a mut Store<Guest>, &'a Instance) -> ThreadFuture<'a> + Send + 'static,
{
    let group = guest.threads.clone();
    let parent = Arc::clone(&guest.task);
    let wasi = guest.wasi.clone();
    let emscripten = guest.emscripten.for_thread();
    let started = guest.started.clone();
    async move {
        let group = group.ok_or(Errno::ENOSYS)?;
        if parent.process.signals.fatal().is_some() {
            return Err(Errno::EINTR);
        }
        let kernel = &parent.process.kernel;
        let task = Arc::new(kernel.spawn_thread(&parent)?);
        let tid = task.tid;
        let mut guest = Guest::new(Arc::clone(&task));
        guest.wasi = wasi;
        guest.emscripten = emscripten;
        guest.started = started;
        group.join(&mut guest);
        let (store, instance) = group
            .program
            .instantiate_thread(guest)
            .await
            .map_err(|error| {
                tracing::warn!(%error, "cannot make the instance of a thread");
                Errno::EAGAIN
            })?;
        let thread = Thread {
            group: Arc::clone(&group),
            task,
        };
        group
            .spawner
            .spawn(thread.run(store, instance, Box::new(main)));
        Ok(tid)
    }
}

impl ThreadGroup {
    /// Prepares for threads of a program that imports its memory shared; others have none.
    pub(super) fn new(
        program: &Arc<Program>,
        spawner: &Spawner,
        process: &Process,
    ) -> wasmtime::Result<Option<Arc<Self>>> {
        let Some(ty) = program.linked.shared_memory_import() else {
            return Ok(None);
        };
        let engine = program.linked.module().engine();
        let memory = ProcessMemory::new(engine, ty, &process.kernel.memory)?;
        Ok(Some(Arc::new(Self {
            program: Arc::clone(program),
            spawner: spawner.clone(),
            memory: Arc::new(memory),
            ending: Mutex::default(),
        })))
    }

    /// Makes a guest that is not instantiated yet one of the group's threads.
    pub(super) fn join(self: &Arc<Self>, guest: &mut Guest) {
        guest.shared = Some(Arc::clone(&self.memory));
        guest.threads = Some(Arc::clone(self));
    }

    /// Ends all threads of the process; the first ending counts.
    fn end(&self, process: &Process, ending: Ending) {
        self.ending().get_or_insert(ending);
        process.begin_exit();
    }

    fn ending(&self) -> MutexGuard<'_, Option<Ending>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the other threads have ended, since the first one has with `ending`; returns how the process ended.
    pub(super) async fn finish(&self, process: &Process, ending: Ending) -> Ending {
        self.end(process, ending);
        poll_fn(|cx| match process.poll_other_threads_ended(cx.waker()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        let first = self.ending().take();
        first.unwrap_or_else(|| ExitStatus::Exited(0).into())
    }
}

/// A thread that is not the first.
struct Thread {
    group: Arc<ThreadGroup>,
    // Dropped last: whoever counts the threads may rely on the store being gone.
    task: Arc<Task>,
}

impl Thread {
    async fn run(self, store: Store<Guest>, instance: Instance, main: ThreadMain) {
        let unfinished = Unfinished(&self);
        let program = &self.group.program;
        let ending = program
            .run_thread(store, instance, main, &self.group.spawner)
            .await;
        std::mem::forget(unfinished);
        if let Some(ending) = ending {
            self.group.end(&self.task.process, ending);
        }
    }
}

/// Ends the process when a thread's future goes away before it has ended: by a panic, or with the executor.
struct Unfinished<'a>(&'a Thread);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let reason = "internal error: a thread of the sandbox failed";
        let ending = ExitStatus::Trapped(reason.to_owned()).into();
        self.0.group.end(&self.0.task.process, ending);
    }
}

/// Ends the other threads of a process when the first one's future goes away.
pub(super) struct EndsOthers<'a>(pub(super) &'a Process);

impl Drop for EndsOthers<'_> {
    fn drop(&mut self) {
        if self.0.threads_count() > 1 {
            self.0.begin_exit();
        }
    }
}

/// Says that a process could not have its memory.
pub(super) fn no_memory(error: &wasmtime::Error, process: &Process, program: &str) -> Ending {
    trap::no_memory(error, process.kernel.memory.bytes_max(), program)
}
