//! Pending signals of a process, as far as stopping and killing need them.
//!
//! No personality installs handlers yet, so a signal that is delivered either ends the
//! process or is ignored. Unlike Linux, process 1 of a container takes default actions
//! too (as if it had been started by an init): a guest cannot ask for `SIGTERM`, and a
//! `stop` that always waited for its time-out would help nobody. Signals that stop a process
//! (`SIGSTOP`, `SIGTSTP`) are left out with job control. Handlers will be a third outcome of
//! [`Signals::post`], beside [`Posted::Fatal`] and [`Posted::Ignored`].

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use minke_abi::linux::{DefaultAction, Signal};

use crate::wait::WaitQueue;

/// Signals that were sent to a process.
#[derive(Debug, Default)]
pub struct Signals {
    /// The signal that ends the process; 0 while it lives on.
    fatal: AtomicU8,
    /// Signals ignored by `SIG_IGN`, bit `n - 1` for signal `n`.
    ignored: AtomicU64,
    /// The threads are to end because one of them has ended the process.
    is_exiting: AtomicBool,
    waiters: WaitQueue,
}

/// What posting a signal did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// The process is to end with this signal.
    Fatal,
    /// Nothing happens.
    Ignored,
}

impl Signals {
    /// Posts a signal. The first fatal one wins; `SIGKILL` replaces any other.
    pub fn post(&self, signal: Signal) -> Posted {
        let is_ignored = self.ignored.load(Ordering::Relaxed) & bit(signal) != 0;
        if signal.default_action() != DefaultAction::Terminate
            || (is_ignored && signal != Signal::KILL)
        {
            return Posted::Ignored;
        }
        let first = self
            .fatal
            .compare_exchange(0, signal.raw(), Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        if !first && signal == Signal::KILL {
            self.fatal.store(signal.raw(), Ordering::SeqCst);
        }
        self.waiters.wake_all();
        Posted::Fatal
    }

    /// Ignores a signal, or stops ignoring it (`SIG_IGN`, `SIG_DFL`).
    pub fn set_ignored(&self, signal: Signal, is_ignored: bool) {
        if is_ignored {
            self.ignored.fetch_or(bit(signal), Ordering::Relaxed);
        } else {
            self.ignored.fetch_and(!bit(signal), Ordering::Relaxed);
        }
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
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.raw() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for signal in [Signal::CHLD, Signal::WINCH, Signal::CONT, Signal::STOP] {
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
}
