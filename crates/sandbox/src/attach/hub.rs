//! What a program printed, on its way to each attached command.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};

use minke_kernel::wait::WaitQueue;

use super::frames::{Frame, append_printed};
use super::{COMMANDS_MAX, PENDING_BYTES_MAX};
use crate::logs::Stream;

/// All commands that are attached to a program, as far as its output is concerned.
///
/// Lock order: the list of commands before what is pending for one of them.
#[derive(Default)]
pub(crate) struct Hub {
    /// Whether the list has any: one look for a program that nobody is attached to.
    has_commands: AtomicBool,
    commands: Mutex<Commands>,
    /// Writers that wait for commands to take something.
    writers: WaitQueue,
}

#[derive(Default)]
struct Commands {
    pending: Vec<Arc<Pending>>,
    is_over: bool,
}

/// What waits for one command.
#[derive(Default)]
pub(super) struct Pending {
    state: Mutex<PendingState>,
    changed: Condvar,
}

#[derive(Default)]
struct PendingState {
    bytes: Vec<u8>,
    /// Nothing is added any more.
    is_closed: bool,
}

impl Hub {
    /// Adds a command, which gets `greeting` before anything else; `None` when there are [`COMMANDS_MAX`], or the program has ended.
    pub(super) fn add(&self, greeting: &[u8]) -> Option<Arc<Pending>> {
        let mut commands = self.lock();
        if commands.is_over || commands.pending.len() >= COMMANDS_MAX {
            return None;
        }
        let pending = Arc::<Pending>::default();
        pending.add(|all| all.extend_from_slice(greeting));
        commands.pending.push(Arc::clone(&pending));
        self.has_commands.store(true, Ordering::SeqCst);
        Some(pending)
    }

    /// Forgets a command: nobody waits for it any more.
    pub(super) fn remove(&self, pending: &Arc<Pending>) {
        let mut commands = self.lock();
        commands.pending.retain(|it| !Arc::ptr_eq(it, pending));
        let has_commands = !commands.pending.is_empty();
        self.has_commands.store(has_commands, Ordering::SeqCst);
        drop(commands);
        pending.close();
        self.writers.wake_all();
    }

    /// Whether any command is attached.
    pub(crate) fn has_commands(&self) -> bool {
        self.has_commands.load(Ordering::Relaxed)
    }

    /// Whether so much waits for some command that nothing is to be printed now.
    pub(crate) fn is_full(&self) -> bool {
        self.has_commands() && self.lock().pending.iter().any(|it| it.is_full())
    }

    /// Wakes once when something was taken.
    pub(crate) fn register(&self, waker: &Waker) {
        self.writers.register(waker);
    }

    /// Waits until nothing keeps the calling thread from printing; each command is waited for no longer than it may hold a program up.
    pub(crate) fn wait_for_room(&self) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            self.register(&waker);
            if !self.is_full() {
                return;
            }
            thread::park();
        }
    }

    /// Passes on what was printed; the caller has asked whether there is room.
    pub(crate) fn print(&self, stream: Stream, bytes: &[u8]) {
        for pending in &self.lock().pending {
            pending.add(|all| append_printed(all, stream, bytes));
        }
    }

    /// Tells everybody the exit code; nobody is added any more.
    pub(super) fn end(&self, exit_code: u8) {
        let mut commands = self.lock();
        commands.is_over = true;
        for pending in &commands.pending {
            pending.add(|all| Frame::Ended(exit_code).append_to(all));
            pending.close();
        }
    }

    /// Says that a command has taken what waited for it.
    pub(super) fn taken(&self) {
        self.writers.wake_all();
    }

    fn lock(&self) -> MutexGuard<'_, Commands> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes a thread.
pub(super) struct Unpark(pub(super) Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Pending {
    /// Waits for something to send; `None` when nothing comes any more.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        let mut state = self
            .changed
            .wait_while(self.lock(), |it| it.bytes.is_empty() && !it.is_closed)
            .unwrap_or_else(PoisonError::into_inner);
        let bytes = std::mem::take(&mut state.bytes);
        (!bytes.is_empty()).then_some(bytes)
    }

    fn add(&self, append: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        if !state.is_closed {
            append(&mut state.bytes);
            self.changed.notify_all();
        }
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn is_full(&self) -> bool {
        let state = self.lock();
        !state.is_closed && state.bytes.len() >= PENDING_BYTES_MAX
    }

    fn lock(&self) -> MutexGuard<'_, PendingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
