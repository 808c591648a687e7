//! Pending signals of a process, as far as stopping and killing need them.
//!
//! No personality installs handlers yet, so a signal that is delivered either ends the
//! process or is ignored. Unlike Linux, process 1 of a container takes default actions
//! too (as if it had been started by an init): a guest cannot ask for `SIGTERM`, and a
//! `stop` that always waited for its time-out would help nobody.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use minke_abi::linux::{DefaultAction, Signal};

use crate::wait::WaitQueue;

/// Signals that were sent to a process.
#[derive(Debug, Default)]
pub struct Signals {
    /// The signal that ends the process; 0 while it lives on.
    fatal: AtomicU8,
    /// Signals ignored by `SIG_IGN`, bit `n - 1` for signal `n`.
    ignored: AtomicU64,
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

    /// Returns the signal that the process has to end with, if one was posted.
    pub fn fatal(&self) -> Option<Signal> {
        Signal::from_raw(i32::from(self.fatal.load(Ordering::SeqCst)))
    }

    /// Wakes `waker` when a signal is posted.
    pub fn register(&self, waker: &std::task::Waker) {
        self.waiters.register(waker);
    }
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.raw() - 1)
}
