//! Signals of a process: what was sent, what is done about it, what waits.
//!
//! A signal that is posted ends the process, stops it, lets it go on, is ignored, or waits: for the process to unblock
//! it, or for a personality to call the guest's handler ([`Signals::take_handler`]). Which of these is decided
//! in one place, [`State::settle`], whenever a signal comes, the mask changes or an action does.
//!
//! Unlike Linux, process 1 of a container takes default actions for signals from outside (as if it had been started by an
//! init): most guests cannot ask for `SIGTERM`, and a `stop` that always waited for its time-out would help nobody.
//! From inside it is protected as Linux's is (`calls::signals`). A process has one mask, as its
//! threads share one: threads come from personalities without masks. A signal below 32 that is pending twice is delivered
//! once; those from 32 on queue, each with what was said of it ([`SignalInfo`]).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use minke_abi::linux::{DefaultAction, Signal};
use minke_abi::signal::{ActionFlags, MaskChange, SignalSet};

use crate::wait::WaitQueue;

/// Signals that were sent to a process, and what it does about them. Linux: `struct sighand_struct`, `struct signal_struct`.
#[derive(Debug, Default)]
pub struct Signals {
    /// The signal that ends the process; 0 while it lives on.
    fatal: AtomicU8,
    /// The threads are to end because one of them has ended the process.
    is_exiting: AtomicBool,
    /// A handler is to be called. Written under the lock of `state`.
    is_deliverable: AtomicBool,
    /// Written under the lock of `state`.
    is_stopped: AtomicBool,
    state: Mutex<State>,
    waiters: WaitQueue,
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

/// Signals of one process that wait with what was said of them. Linux: `RLIMIT_SIGPENDING`, there for each user.
const QUEUED_MAX: usize = 1024;

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
    /// What [`Signals::set_mask`] puts back when the handler has returned.
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

#[derive(Debug)]
struct State {
    pending: SignalSet,
    /// What was said of pending signals, in the order in which they came.
    queue: VecDeque<SignalInfo>,
    blocked: SignalSet,
    actions: [Action; Signal::MAX as usize],
}

impl Default for State {
    fn default() -> State {
        State {
            pending: SignalSet::default(),
            queue: VecDeque::new(),
            blocked: SignalSet::default(),
            actions: [Action::default(); Signal::MAX as usize],
        }
    }
}

/// Whether a signal became pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queued {
    Yes,
    Refused,
}

/// What [`State::settle`] has found.
#[derive(Clone, Copy, Debug, Default)]
struct Settled {
    fatal: Option<Signal>,
    stop: Option<Signal>,
    is_deliverable: bool,
}

impl State {
    fn action(&self, signal: Signal) -> &Action {
        &self.actions[usize::from(signal.raw()) - 1]
    }

    fn action_mut(&mut self, signal: Signal) -> &mut Action {
        &mut self.actions[usize::from(signal.raw()) - 1]
    }

    fn is_ignored(&self, signal: Signal) -> bool {
        let action = self.action(signal);
        match action.disposition {
            Disposition::Ignore => !SignalSet::UNBLOCKABLE.contains(signal),
            Disposition::Default => matches!(
                signal.default_action(),
                DefaultAction::Ignore | DefaultAction::Continue
            ),
            Disposition::Handler(_) => false,
        }
    }

    /// Adds a signal to those that are pending. Linux: kernel/signal.c `__send_signal_locked()`.
    fn enqueue(&mut self, info: SignalInfo) -> Queued {
        let signal = info.signal;
        if !SignalInfo::queues(signal) {
            if !self.pending.contains(signal) {
                self.queue.push_back(info);
            }
        } else if self.queue.len() < QUEUED_MAX {
            self.queue.push_back(info);
        } else if info.code != code::USER && info.code != code::KERNEL {
            return Queued::Refused;
        }
        self.pending.insert(signal);
        Queued::Yes
    }

    /// Takes one pending signal of a number, with what was said of it.
    fn dequeue(&mut self, signal: Signal) -> SignalInfo {
        let mut of_it = self.queue.iter().enumerate();
        let mut of_it = of_it.by_ref().filter(|(_, info)| info.signal == signal);
        let first = of_it.next().map(|(index, _)| index);
        let has_more = of_it.next().is_some();
        drop(of_it);
        if !has_more {
            self.pending.remove(signal);
        }
        let taken = first.and_then(|index| self.queue.remove(index));
        // There was no room for more than its number.
        taken.unwrap_or(SignalInfo {
            code: code::USER,
            ..SignalInfo::of_kernel(signal)
        })
    }

    /// Forgets all pending signals of a set.
    fn discard(&mut self, set: SignalSet) {
        if self.pending.both(set).is_empty() {
            return;
        }
        self.pending = self.pending.without(set);
        self.queue.retain(|info| !set.contains(info.signal));
    }

    /// Takes what is pending and not blocked, as far as no handler is to be called for it.
    fn settle(&mut self) -> Settled {
        let mut settled = Settled::default();
        for signal in self.pending.without(self.blocked).iter() {
            if let Disposition::Handler(_) = self.action(signal).disposition {
                settled.is_deliverable = true;
                continue;
            }
            self.discard(SignalSet::of(&[signal]));
            match signal.default_action() {
                _ if self.is_ignored(signal) => {}
                DefaultAction::Stop => settled.stop = Some(signal),
                _ if signal == Signal::KILL => settled.fatal = Some(signal),
                _ => settled.fatal = settled.fatal.or(Some(signal)),
            }
        }
        settled
    }
}

impl Signals {
    /// Returns what a child starts with: the same actions and mask, and nothing pending. POSIX: `fork()`.
    pub(crate) fn fork(&self) -> Signals {
        let state = self.lock();
        Signals {
            state: Mutex::new(State {
                pending: SignalSet::default(),
                queue: VecDeque::new(),
                blocked: state.blocked,
                actions: state.actions,
            }),
            ..Signals::default()
        }
    }

    /// Forgets handlers, whose code is gone; what is ignored stays so, and the mask. POSIX: `exec`.
    pub(crate) fn begin_image(&self) {
        let mut state = self.lock();
        for action in &mut state.actions {
            let is_ignored = action.disposition == Disposition::Ignore;
            *action = Action::default();
            if is_ignored {
                action.disposition = Disposition::Ignore;
            }
        }
        self.settle(&mut state);
    }

    /// Posts a signal that no process has sent. The first fatal one wins; `SIGKILL` replaces any other.
    pub fn post(&self, signal: Signal) -> Posted {
        self.post_with(SignalInfo::of_kernel(signal))
    }

    /// Posts a signal with what is said of it.
    pub fn post_with(&self, info: SignalInfo) -> Posted {
        let posted = {
            let mut state = self.lock();
            self.post_locked(&mut state, info)
        };
        if posted != Posted::Ignored {
            self.waiters.wake_all();
        }
        posted
    }

    /// Linux: kernel/signal.c `prepare_signal()`, `sig_ignored()`.
    fn post_locked(&self, state: &mut State, info: SignalInfo) -> Posted {
        let signal = info.signal;
        let goes_on = signal == Signal::CONT || signal == Signal::KILL;
        let was_stopped = goes_on && self.is_stopped.swap(false, Ordering::SeqCst);
        if signal == Signal::CONT {
            state.discard(SignalSet::STOPPING);
        } else if SignalSet::STOPPING.contains(signal) {
            state.discard(SignalSet::of(&[Signal::CONT]));
        }
        let is_kept = state.blocked.contains(signal) || !state.is_ignored(signal);
        if is_kept && state.enqueue(info) == Queued::Refused {
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
        self.is_deliverable
            .store(settled.is_deliverable, Ordering::SeqCst);
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

    /// Returns what is blocked.
    pub fn mask(&self) -> SignalSet {
        self.lock().blocked
    }

    /// Replaces what is blocked; returns what was. What is pending and unblocked now takes effect: look at
    /// [`Signals::fatal`] and [`Signals::is_stopped`] after it.
    pub fn set_mask(&self, mask: SignalSet) -> SignalSet {
        self.change_mask(MaskChange::Set, mask)
    }

    /// As [`Signals::set_mask`]. POSIX: `sigprocmask()`.
    pub fn change_mask(&self, change: MaskChange, set: SignalSet) -> SignalSet {
        let mut state = self.lock();
        let before = state.blocked;
        let wanted = match change {
            MaskChange::Block => before.with(set),
            MaskChange::Unblock => before.without(set),
            MaskChange::Set => set,
        };
        state.blocked = wanted.without(SignalSet::UNBLOCKABLE);
        self.settle(&mut state);
        before
    }

    /// Returns what was sent and is blocked. POSIX: `sigpending()`.
    pub fn pending(&self) -> SignalSet {
        let state = self.lock();
        state.pending.both(state.blocked)
    }

    /// Whether a signal of a set is pending, blocked or not.
    pub fn is_any_pending(&self, set: SignalSet) -> bool {
        !self.lock().pending.both(set).is_empty()
    }

    /// Takes a pending signal out of a set, blocked or not. POSIX: `sigwait()`.
    pub fn take_pending(&self, set: SignalSet) -> Option<SignalInfo> {
        let mut state = self.lock();
        let signal = state.pending.both(set).first()?;
        let info = state.dequeue(signal);
        self.settle(&mut state);
        Some(info)
    }

    /// Takes the next signal whose handler is to be called, and blocks what is blocked meanwhile. Linux: `get_signal()`,
    /// `signal_setup_done()`.
    pub fn take_handler(&self) -> Option<Delivery> {
        if !self.is_deliverable() {
            return None;
        }
        let mut state = self.lock();
        let signal = state.pending.without(state.blocked).first()?;
        let action = *state.action(signal);
        let Disposition::Handler(handler) = action.disposition else {
            return None;
        };
        let info = state.dequeue(signal);
        let mask_before = state.blocked;
        state.blocked = mask_before.with(action.mask);
        if !action.flags.contains(ActionFlags::NODEFER) {
            state.blocked.insert(signal);
        }
        if action.flags.contains(ActionFlags::RESETHAND) {
            *state.action_mut(signal) = Action::default();
        }
        self.settle(&mut state);
        Some(Delivery {
            info,
            handler,
            flags: action.flags,
            mask_before,
        })
    }

    /// Whether a personality has something to do on the way out of a call: the process ends or stops, or a handler is called.
    pub fn needs_attention(&self) -> bool {
        self.is_deliverable() || self.is_stopped() || self.fatal().is_some()
    }

    /// Whether a handler is to be called: blocked calls end with `EINTR`.
    pub fn is_deliverable(&self) -> bool {
        self.is_deliverable.load(Ordering::SeqCst)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn handled(flags: ActionFlags) -> Action {
        Action {
            disposition: Disposition::Handler(7),
            flags,
            mask: SignalSet::of(&[Signal::HUP]),
        }
    }

    #[test]
    fn the_first_fatal_signal_wins_but_kill_replaces_it() {
        let signals = Signals::default();
        assert_eq!(signals.post(Signal::TERM), Posted::Fatal);
        assert_eq!(signals.post(Signal::INT), Posted::Fatal);
        assert_eq!(signals.fatal(), Some(Signal::TERM));
        signals.post(Signal::KILL);
        assert_eq!(signals.fatal(), Some(Signal::KILL));
        signals.post(Signal::TERM);
        assert_eq!(signals.fatal(), Some(Signal::KILL));
    }

    #[test]
    fn an_exit_looks_like_kill_until_it_is_over_and_keeps_the_posted_signal() {
        let signals = Signals::default();
        signals.begin_exit();
        assert_eq!(signals.fatal(), Some(Signal::KILL));
        signals.post(Signal::TERM);
        signals.end_exit();
        assert_eq!(signals.fatal(), Some(Signal::TERM));
    }

    #[test]
    fn signals_that_end_nobody_by_default_do_nothing() {
        let signals = Signals::default();
        for signal in [Signal::CHLD, Signal::WINCH, Signal::CONT, Signal::URG] {
            assert_eq!(signals.post(signal), Posted::Ignored);
        }
        assert_eq!(signals.fatal(), None);
    }

    #[test]
    fn an_ignored_signal_does_nothing_and_kill_cannot_be_ignored() {
        let signals = Signals::default();
        signals.set_ignored(Signal::TERM, true);
        signals.set_ignored(Signal::KILL, true);
        assert_eq!(signals.post(Signal::TERM), Posted::Ignored);
        assert_eq!(signals.fatal(), None);
        assert_eq!(signals.post(Signal::KILL), Posted::Fatal);
        signals.set_ignored(Signal::TERM, false);
        assert_eq!(signals.post(Signal::TERM), Posted::Fatal);
    }

    #[test]
    fn a_handler_blocks_its_signal_and_its_mask_until_it_has_returned() {
        let signals = Signals::default();
        signals.set_action(Signal::USR1, handled(ActionFlags::RESTART));
        assert_eq!(signals.post(Signal::USR1), Posted::Pending);
        let delivery = signals.take_handler().expect("it is pending");
        assert_eq!((delivery.info.signal, delivery.handler), (Signal::USR1, 7));
        assert_eq!(delivery.flags, ActionFlags::RESTART);
        let blocked = SignalSet::of(&[Signal::USR1, Signal::HUP]);
        assert_eq!(signals.mask(), blocked);
        assert_eq!(signals.post(Signal::USR1), Posted::Pending);
        assert_eq!(signals.take_handler(), None);
        signals.set_mask(delivery.mask_before);
        assert!(signals.take_handler().is_some());
    }

    #[test]
    fn a_handler_that_is_to_be_reset_is_called_once() {
        let signals = Signals::default();
        let flags = ActionFlags::RESETHAND | ActionFlags::NODEFER;
        signals.set_action(Signal::USR1, handled(flags));
        signals.post(Signal::USR1);
        assert!(signals.take_handler().is_some());
        assert_eq!(signals.post(Signal::USR1), Posted::Fatal);
    }

    #[test]
    fn a_blocked_signal_waits_until_it_is_unblocked() {
        let signals = Signals::default();
        let term = SignalSet::of(&[Signal::TERM, Signal::KILL]);
        signals.change_mask(MaskChange::Block, term);
        assert_eq!(signals.mask(), SignalSet::of(&[Signal::TERM]));
        assert_eq!(signals.post(Signal::TERM), Posted::Pending);
        assert_eq!(signals.pending(), SignalSet::of(&[Signal::TERM]));
        signals.change_mask(MaskChange::Unblock, term);
        assert_eq!(signals.fatal(), Some(Signal::TERM));
    }

    #[test]
    fn a_signal_that_is_ignored_while_it_is_pending_is_dropped() {
        let signals = Signals::default();
        signals.set_mask(SignalSet::of(&[Signal::TERM]));
        signals.post(Signal::TERM);
        signals.set_ignored(Signal::TERM, true);
        signals.set_mask(SignalSet::default());
        assert_eq!(signals.fatal(), None);
        assert!(signals.pending().is_empty());
    }

    #[test]
    fn a_stopped_process_goes_on_by_cont_and_ends_by_kill() {
        let signals = Signals::default();
        assert_eq!(signals.post(Signal::TSTP), Posted::Stopped);
        assert!(signals.is_stopped());
        assert_eq!(signals.post(Signal::CONT), Posted::Continued);
        assert!(!signals.is_stopped());
        assert_eq!(signals.post(Signal::CONT), Posted::Ignored);
        assert_eq!(signals.post(Signal::STOP), Posted::Stopped);
        assert_eq!(signals.post(Signal::KILL), Posted::Fatal);
        assert!(!signals.is_stopped());
    }

    #[test]
    fn a_child_has_the_actions_and_the_mask_and_nothing_pending() {
        let signals = Signals::default();
        signals.set_action(Signal::USR1, handled(ActionFlags::empty()));
        signals.set_mask(SignalSet::of(&[Signal::USR1]));
        signals.post(Signal::USR1);
        let child = signals.fork();
        assert_eq!(child.action(Signal::USR1), signals.action(Signal::USR1));
        assert_eq!(child.mask(), signals.mask());
        assert!(child.pending().is_empty());
    }

    #[test]
    fn a_new_image_forgets_handlers_and_keeps_what_is_ignored_and_pending() {
        let signals = Signals::default();
        signals.set_action(Signal::USR1, handled(ActionFlags::empty()));
        signals.set_ignored(Signal::INT, true);
        signals.set_mask(SignalSet::of(&[Signal::USR1]));
        signals.post(Signal::USR1);
        signals.begin_image();
        assert_eq!(signals.action(Signal::USR1), Action::default());
        assert_eq!(signals.action(Signal::INT).disposition, Disposition::Ignore);
        assert_eq!(signals.pending(), SignalSet::of(&[Signal::USR1]));
    }

    #[test]
    fn a_signal_that_is_waited_for_is_taken_without_its_handler() {
        let signals = Signals::default();
        let usr = SignalSet::of(&[Signal::USR1, Signal::USR2]);
        signals.set_mask(usr);
        signals.post(Signal::USR2);
        assert_eq!(
            signals.take_pending(usr).map(|info| info.signal),
            Some(Signal::USR2)
        );
        assert_eq!(signals.take_pending(usr), None);
    }
}
