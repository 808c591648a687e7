//! Reaches a guest's code while it runs.
//!
//! To end it, a signal to its thread finds it wherever it is, and the thread goes on at an instruction that traps
//! (`executor::code`). What runs in the host on behalf of an instruction and may take long, such as `memory.fill`, would hide the guest
//! from the signal; there the guest's code has checks of a page (`runtime::instrument`), which is made unreadable.
//!
//! To have it call handlers, bytes of the same page are set, which the polls of programs that have handlers look at.
#![expect(
    unsafe_code,
    reason = "page protection is changed behind wasmtime's back, and put back before it looks; bytes that guests poll are set"
)]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minke_kernel::{Interruption, Task};
use rustix::mm::{MprotectFlags, mprotect};
use wasmtime::{Memory, Store};

use super::code::ProgramCode;
use super::guest::Guest;
use super::instrument::{ATTENTION_BYTES, MEMORY_BYTES};
use crate::executor::{self, Meter, Nap, Spawner};

/// The switch of one instance. Thrown from any thread, at most once; it outlives the instance.
pub struct Interrupt {
    state: Mutex<State>,
    code: Arc<ProgramCode>,
    spawner: Spawner,
}

/// Guarded by its mutex, which is held while the protection changes: so the page is never touched once it is disarmed. It is
/// taken before the executor's queue.
struct State {
    /// Address of the hidden memory, while its instance lives, if it has one.
    page: Option<usize>,
    is_raised: bool,
    /// Polls call the host.
    wants_attention: bool,
    /// Of the worker that runs the instance now.
    nap: Option<Arc<Nap>>,
}

/// Keeps an instance's switch armed, and its thread's hook to it. Must be dropped before the store.
pub(super) struct Armed<'a> {
    interrupt: Arc<Interrupt>,
    meter: Arc<Meter>,
    task: &'a Task,
}

impl<'a> Armed<'a> {
    /// Arms the switch of an instance of `code` whose hidden memory is `memory`, for signals to the task's process.
    pub(super) fn new(
        store: &mut Store<Guest>,
        code: &Arc<ProgramCode>,
        memory: Option<Memory>,
        task: &'a Task,
        spawner: &Spawner,
    ) -> Self {
        let page = memory.map(|memory| memory.data_ptr(&*store).expose_provenance());
        let interrupt = Arc::new(Interrupt {
            state: Mutex::new(State {
                page,
                is_raised: false,
                wants_attention: false,
                nap: None,
            }),
            code: Arc::clone(code),
            spawner: spawner.clone(),
        });
        store.data_mut().interrupt = Some(Arc::clone(&interrupt));
        let hook = Arc::clone(&interrupt);
        let reach = move |interruption| match interruption {
            Interruption::End => hook.raise(),
            Interruption::Attend => hook.set_attention(true),
        };
        task.process.add_interrupter(task.tid, Box::new(reach));
        let meter = Arc::new(Meter::default());
        task.process.add_meter(task.tid, Arc::clone(&meter) as _);
        Self {
            interrupt,
            meter,
            task,
        }
    }

    /// Runs the instance: awaits `code`, which is its, on whatever workers poll it.
    pub(super) async fn run<T>(&self, code: impl Future<Output = T>) -> T {
        let mut code = pin!(code);
        poll_fn(|context| {
            let _metered = self.meter.begin();
            let _running = Running::new(&self.interrupt);
            code.as_mut().poll(context)
        })
        .await
    }

    /// Whether the switch was thrown.
    pub(super) fn is_raised(&self) -> bool {
        self.interrupt.lock().is_raised
    }
}

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        self.task.process.remove_interrupter(self.task.tid);
        self.task.process.remove_meter(self.task.tid);
        self.interrupt.disarm();
    }
}

/// Lets it be known which worker runs an instance, while it does.
struct Running<'a>(&'a Interrupt);

impl<'a> Running<'a> {
    fn new(interrupt: &'a Interrupt) -> Self {
        let mut state = interrupt.lock();
        state.nap = executor::current_nap();
        if state.is_raised {
            interrupt.doom(&state);
        }
        Self(interrupt)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if let Some(nap) = state.nap.take()
            && state.is_raised
        {
            nap.pardon();
        }
    }
}

impl Interrupt {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the instance's code trap soon.
    fn raise(&self) {
        let mut state = self.lock();
        if state.is_raised {
            return;
        }
        state.is_raised = true;
        if let Some(page) = state.page {
            protect(page, MprotectFlags::empty());
        }
        self.doom(&state);
    }

    fn doom(&self, state: &State) {
        if let Some(nap) = &state.nap {
            self.code.find_exit();
            self.spawner.doom(nap);
        }
    }

    /// Has the guest's next poll call the host, or no longer.
    pub(crate) fn set_attention(&self, is_wanted: bool) {
        let mut state = self.lock();
        if let (Some(page), false) = (state.page, state.is_raised)
            && state.wants_attention != is_wanted
        {
            state.wants_attention = is_wanted;
            set_polled(page, is_wanted);
        }
    }

    /// Puts the page back as wasmtime made it, and forgets it.
    fn disarm(&self) {
        let mut state = self.lock();
        let Some(page) = state.page.take() else {
            return;
        };
        if state.is_raised {
            protect(page, MprotectFlags::READ | MprotectFlags::WRITE);
        }
        if state.wants_attention {
            set_polled(page, false);
        }
    }
}

/// Sets what polls look at in a hidden memory, which is readable and writable now.
fn set_polled(page: usize, is_set: bool) {
    let value = if is_set { u64::MAX } else { 0 };
    for address in (page..page + ATTENTION_BYTES).step_by(size_of::<u64>()) {
        // SAFETY: `address` lies in a linear memory of `MEMORY_BYTES`, aligned to pages and mapped while the instance lives, which it does
        // until `disarm`, called under the same lock. Nothing else but compiled code reads or writes there.
        let word = unsafe { AtomicU64::from_ptr(std::ptr::with_exposed_provenance_mut(address)) };
        word.store(value, Ordering::Relaxed);
    }
}

/// Changes the protection of a hidden memory. Failure is for want of kernel memory only: the
/// guest then runs on until a signal finds it or a host call ends it.
fn protect(page: usize, flags: MprotectFlags) {
    let address = std::ptr::with_exposed_provenance_mut(page);
    // SAFETY: `page` is the base of a linear memory of `MEMORY_BYTES` (fixed by the rewriting: minimum and
    // maximum are one page), aligned to host pages and mapped while the instance lives, which it does until
    // `disarm`, called under the same lock. But for `set_polled`, which looks at the state before, no host code reads or writes it: guests
    // cannot name it, so no host call is given its addresses, and wasmtime touches it again when the store is
    // dropped, after `disarm`. Faults of compiled code in it are wasm traps.
    let changed = unsafe { mprotect(address, MEMORY_BYTES, flags) };
    if let Err(error) = changed {
        tracing::error!(%error, "cannot change the protection of an interrupt page");
    }
}
