//! What a wasmtime store carries for one wasm thread.

use std::sync::Arc;

use minke_kernel::Task;
use wasmtime::Caller;

use crate::personality::{emscripten, linux, wasi};
use crate::processes::Launcher;
use crate::runtime::interrupt::Interrupt;
use crate::runtime::limits::InstanceLimits;
use crate::runtime::memory::{GuestMemory, MemoryView};
use crate::runtime::process_memory::ProcessMemory;
use crate::runtime::program::Program;
use crate::runtime::threads::ThreadGroup;

/// The host's side of a wasm thread: the store's data.
pub struct Guest {
    pub task: Arc<Task>,
    /// Found once after instantiation; `None` for a module without memory.
    pub memory: Option<GuestMemory>,
    /// The shared memory, whether the process's or the module's own.
    pub shared: Option<Arc<ProcessMemory>>,
    /// The threads of the process, where its program may have more than one.
    pub threads: Option<Arc<ThreadGroup>>,
    /// How the instance's code is reached from outside, once it runs.
    pub interrupt: Option<Arc<Interrupt>>,
    /// What the instance has taken of the container's memory.
    pub limits: InstanceLimits,
    pub wasi: wasi::State,
    pub emscripten: emscripten::State,
    pub linux: linux::State,
    /// What runs; known to guests that may start others.
    pub started: Option<Started>,
    /// What the process becomes once its code is left by [`Stop::Exec`](super::Stop::Exec).
    pub next_program: Option<Arc<Program>>,
}

/// A program that runs as a process, and what starts others.
#[derive(Clone)]
pub struct Started {
    pub program: Arc<Program>,
    pub launcher: Arc<Launcher>,
}

impl Guest {
    /// Makes the data of a thread whose module is not instantiated yet.
    pub fn new(task: Arc<Task>) -> Guest {
        let emscripten = emscripten::State::new(&task);
        let limits = InstanceLimits::new(Arc::clone(&task.process.kernel.memory));
        Guest {
            task,
            memory: None,
            shared: None,
            threads: None,
            interrupt: None,
            limits,
            wasi: wasi::State::default(),
            emscripten,
            linux: linux::State::default(),
            started: None,
            next_program: None,
        }
    }
}

/// Splits a call's context into the guest's memory and its data, once per call.
pub fn view<'a>(caller: &'a mut Caller<'_, Guest>) -> (MemoryView<'a>, &'a mut Guest) {
    match caller.data().memory.clone() {
        Some(GuestMemory::Local(memory)) => {
            let (bytes, guest) = memory.data_and_store_mut(caller);
            (MemoryView::local(bytes), guest)
        }
        Some(GuestMemory::Shared(memory)) => (MemoryView::shared(memory), caller.data_mut()),
        None => (MemoryView::local(&mut []), caller.data_mut()),
    }
}
