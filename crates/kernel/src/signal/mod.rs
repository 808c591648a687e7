//! Signals of a process: what was sent, what is done about it, what waits.
//!
//! A signal that is posted ends the process, stops it, lets it go on, is ignored, or waits: for the process to unblock
//! it, or for a personality to call the guest's handler ([`ThreadSignals::take_handler`]). Which of these is decided
//! in one place, [`State::settle`], whenever a signal comes, the mask changes or an action does.
//!
//! Unlike Linux, process 1 of a container takes default actions for signals from outside (as if it had been started by an
//! init): most guests cannot ask for `SIGTERM`, and a `stop` that always waited for its time-out would help nobody.
//! From inside it is protected as Linux's is (`calls::signals`). A signal below 32 that is pending twice is delivered
//! once; those from 32 on queue, each with what was said of it ([`SignalInfo`]).
//!
//! Actions are the process's; each thread has a mask and signals of its own beside those of the process
//! ([`ThreadSignals`]), which the first thread takes that does not block them.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minke_abi::linux::Signal;
use minke_abi::signal::{ActionFlags, SignalSet};

use crate::wait::WaitQueue;

mod pending;
mod state;
#[cfg(test)]
mod tests;
mod thread;

use state::{Queued, Settled, State};
pub(crate) use thread::HandlerFlag;
pub use thread::ThreadSignals;

/// Signals that were sent to a process, and what it does about them. Linux: `struct sighand_struct`, `struct signal_struct`.
#[derive(Debug)]
pub struct Signals {
    /// The signal that ends the process; 0 while it lives on.
    fatal: AtomicU8,
    /// The threads are to end because one of them has ended the process.
    is_exiting: AtomicBool,
    /// Written under the lock of `state`.
    is_stopped: AtomicBool,
    state: Mutex<State>,
    waiters: WaitQueue,
    main_tid: u32,
    main_flag: HandlerFlag,
}

/// What a process does about a signal. Linux: `struct k_sigaction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    pub disposition: Disposition,
    pub flags: ActionFlags,
    /// Blocked too while the handler runs.
    pub mask: SignalSet,
}

/// The heart of an [`Action`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disposition {
    /// `SIG_DFL`.
    #[default]
    Default,
    /// `SIG_IGN`.
    Ignore,
    /// A function of the guest, as its personality names it.
    Handler(u64),
}

/// What is said of a signal beside its number. Linux: `struct kernel_siginfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalInfo {
    pub signal: Signal,
    /// Why it was sent: one of [`code`], or a number of the sender's.
    pub code: i32,
    /// The sender, or the child.
    pub pid: u32,
    /// The sender's or the child's real user.
    pub uid: u32,
    /// A child's status, or what the sender gave along.
    pub value: u64,
}

/// `si_code`. Linux: include/uapi/asm-generic/siginfo.h.
pub mod code {
    /// By `kill`.
    pub const USER: i32 = 0;
    /// By the kernel.
    pub const KERNEL: i32 = 0x80;
    /// By `sigqueue`.
    pub const QUEUE: i32 = -1;
    /// By a timer.
    pub const TIMER: i32 = -2;
    /// By `tgkill`.
    pub const TKILL: i32 = -6;
    /// A child has exited, was killed, has stopped, goes on.
    pub const CHILD_EXITED: i32 = 1;
    pub const CHILD_KILLED: i32 = 2;
    pub const CHILD_STOPPED: i32 = 5;
    pub const CHILD_CONTINUED: i32 = 6;
}

impl SignalInfo {
    /// A signal that no process has sent.
    pub fn of_kernel(signal: Signal) -> SignalInfo {
        SignalInfo {
            signal,
            code: code::KERNEL,
            pid: 0,
            uid: 0,
            value: 0,
        }
    }

    /// Whether signals of the number queue. Linux: `SIGRTMIN`.
    fn queues(signal: Signal) -> bool {
        signal.raw() >= 32
    }
}

/// A handler that is to be called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub info: SignalInfo,
    pub handler: u64,
    pub flags: ActionFlags,
    /// What [`ThreadSignals::set_mask`] puts back when the handler has returned.
    pub mask_before: SignalSet,
}

/// What posting a signal did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// The process is to end with this signal.
    Fatal,
    /// Nothing happens.
    Ignored,
    /// It waits for its handler, or to be unblocked.
    Pending,
    /// The process has stopped.
    Stopped,
    /// The process had stopped, and goes on.
    Continued,
    /// It was to be queued, and too many are.
    Full,
}

impl Signals {
    /// Those of a new process, of whose first thread the number is given.
    pub fn new(main_tid: u32) -> Signals {
        Signals::starting_with(main_tid, State::new)
    }

    /// Returns what a child starts with: the same actions, the mask of who makes it, and nothing pending. POSIX: `fork()`.
    pub(crate) fn fork(&self, parent_tid: u32, main_tid: u32) -> Signals {
        Signals::starting_with(main_tid, |main| self.lock().fork(parent_tid, main))
    }

    fn starting_with(main_tid: u32, make: impl FnOnce(state::Thread) -> State) -> Signals {
        let main_flag = HandlerFlag::default();
        let main = state::Thread::new(main_tid, Arc::clone(&main_flag));
        Signals {
            fatal: AtomicU8::new(0),
            is_exiting: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
            state: Mutex::new(make(main)),
            waiters: WaitQueue::default(),
            main_tid,
            main_flag,
        }
    }

    /// Those of the first thread.
    pub fn of_main(&self) -> ThreadSignals<'_> {
        ThreadSignals::of(self, self.main_tid, &self.main_flag)
    }

    /// Returns what a thread blocks, or the first one if none is named.
    pub(crate) fn mask_of(&self, tid: Option<u32>) -> SignalSet {
        self.lock().mask(tid.unwrap_or(self.main_tid))
    }

    pub(crate) fn main_flag(&self) -> HandlerFlag {
        Arc::clone(&self.main_flag)
    }

    /// Adds a thread, which blocks what the one that makes it does.
    pub(crate) fn add_thread(&self, parent_tid: u32, tid: u32) -> HandlerFlag {
        let flag = HandlerFlag::default();
        self.lock()
            .add(parent_tid, state::Thread::new(tid, Arc::clone(&flag)));
        flag
    }

    /// Whether a number is that of one of the process's threads.
    pub fn is_thread(&self, tid: u32) -> bool {
        self.lock().has_thread(tid)
    }

    /// Forgets a thread; another one may take what it has not.
    pub(crate) fn remove_thread(&self, tid: u32) {
        let mut state = self.lock();
        let had_to_call = state.remove(tid);
        self.settle(&mut state);
        drop(state);
        if had_to_call {
            self.waiters.wake_all();
        }
    }

    /// Forgets handlers, whose code is gone; what is ignored stays so, and the mask. POSIX: `exec`.
    pub(crate) fn begin_image(&self) {
        let mut state = self.lock();
        state.forget_handlers();
        self.settle(&mut state);
    }

    /// Posts a signal that no process has sent. The first fatal one wins; `SIGKILL` replaces any other.
    pub fn post(&self, signal: Signal) -> Posted {
        self.post_with(SignalInfo::of_kernel(signal))
    }

    /// Posts a signal with what is said of it.
    pub fn post_with(&self, info: SignalInfo) -> Posted {
        self.post_to(None, info)
    }

    /// Posts a signal for a thread alone, or else for the process.
    pub(crate) fn post_to(&self, tid: Option<u32>, info: SignalInfo) -> Posted {
        let posted = {
            let mut state = self.lock();
            self.post_locked(&mut state, tid, info)
        };
        if posted != Posted::Ignored {
            self.waiters.wake_all();
        }
        posted
    }

    /// Tells a timer's signal that still waits of one more ring, and of those missed before it; false if none waits.
    pub(crate) fn count_overrun(&self, tid: Option<u32>, info: SignalInfo, missed: u32) -> bool {
        self.lock()
            .count_overrun(tid, info, missed.saturating_add(1))
    }

    /// Returns how often a timer had rung besides when its last signal was taken.
    pub(crate) fn timer_overrun(&self, timer: i32) -> u32 {
        self.lock().overrun(timer.cast_unsigned())
    }

    /// Forgets that: the timer is gone.
    pub(crate) fn forget_timer(&self, timer: i32) {
        self.lock().forget_timer(timer.cast_unsigned());
    }

    /// Linux: kernel/signal.c `prepare_signal()`, `sig_ignored()`.
    fn post_locked(&self, state: &mut State, tid: Option<u32>, info: SignalInfo) -> Posted {
        let signal = info.signal;
        let goes_on = signal == Signal::CONT || signal == Signal::KILL;
        let was_stopped = goes_on && self.is_stopped.swap(false, Ordering::SeqCst);
        if signal == Signal::CONT {
            state.discard(SignalSet::STOPPING);
        } else if SignalSet::STOPPING.contains(signal) {
            state.discard(SignalSet::of(&[Signal::CONT]));
        }
        let is_blocked = state.mask(tid.unwrap_or(self.main_tid)).contains(signal);
        let is_kept = is_blocked || !state.is_ignored(signal);
        if is_kept && state.enqueue(tid, info) == Queued::Refused {
            return Posted::Full;
        }
        let settled = self.settle(state);
        if settled.fatal == Some(signal) {
            Posted::Fatal
        } else if settled.stop.is_some() {
            Posted::Stopped
        } else if was_stopped {
            Posted::Continued
        } else if is_kept {
            Posted::Pending
        } else {
            Posted::Ignored
        }
    }

    /// Brings what other threads look at in line with the state.
    fn settle(&self, state: &mut State) -> Settled {
        let settled = state.settle();
        if let Some(signal) = settled.fatal {
            self.end_with(signal);
        }
        if settled.stop.is_some() {
            self.is_stopped.store(true, Ordering::SeqCst);
        }
        settled
    }

    fn end_with(&self, signal: Signal) {
        let first =
            self.fatal
                .compare_exchange(0, signal.raw(), Ordering::SeqCst, Ordering::SeqCst);
        if first.is_err() && signal == Signal::KILL {
            self.fatal.store(signal.raw(), Ordering::SeqCst);
        }
    }

    /// Ignores a signal, or stops ignoring it (`SIG_IGN`, `SIG_DFL`).
    pub fn set_ignored(&self, signal: Signal, is_ignored: bool) {
        self.set_action(
            signal,
            Action {
                disposition: if is_ignored {
                    Disposition::Ignore
                } else {
                    Disposition::Default
                },
                ..Action::default()
            },
        );
    }

    /// Returns what the process does about a signal.
    pub fn action(&self, signal: Signal) -> Action {
        *self.lock().action(signal)
    }

    /// Changes what the process does about a signal; returns what it did. One that is pending and ignored now is
    /// dropped. POSIX: `sigaction()`.
    pub fn set_action(&self, signal: Signal, action: Action) -> Action {
        let mut state = self.lock();
        let before = std::mem::replace(state.action_mut(signal), action);
        state.action_mut(signal).mask = action.mask.without(SignalSet::UNBLOCKABLE);
        if state.is_ignored(signal) {
            state.discard(SignalSet::of(&[signal]));
        }
        self.settle(&mut state);
        before
    }

    /// Whether the process has stopped: what it waits for does not come before it goes on.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Returns the signal that the process has to end with, if one was posted; `KILL` while its threads are to end.
    pub fn fatal(&self) -> Option<Signal> {
        let posted = Signal::from_raw(i32::from(self.fatal.load(Ordering::SeqCst)));
        posted.or_else(|| {
            let is_exiting = self.is_exiting.load(Ordering::SeqCst);
            is_exiting.then_some(Signal::KILL)
        })
    }

    /// Makes every thread end, as after `KILL`.
    pub(crate) fn begin_exit(&self) {
        self.is_exiting.store(true, Ordering::SeqCst);
        self.is_stopped.store(false, Ordering::SeqCst);
        self.waiters.wake_all();
    }

    /// Ends what [`Signals::begin_exit`] began: what is left of the process may wait again.
    pub(crate) fn end_exit(&self) {
        self.is_exiting.store(false, Ordering::SeqCst);
    }

    /// Wakes `waker` when a signal is posted.
    pub fn register(&self, waker: &std::task::Waker) {
        self.waiters.register(waker);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
