//! The signals of one thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minke_abi::signal::{MaskChange, SignalSet};

use super::{Delivery, SignalInfo, Signals};

/// Whether a thread is to call a handler. Written under the lock of its process's signals.
pub(crate) type HandlerFlag = Arc<AtomicBool>;

/// What a thread blocks, what was sent to it, and what it takes of that which was sent to its process.
#[derive(Clone, Copy, Debug)]
pub struct ThreadSignals<'a> {
    signals: &'a Signals,
    tid: u32,
    flag: &'a HandlerFlag,
}

impl<'a> ThreadSignals<'a> {
    pub(crate) fn of(signals: &'a Signals, tid: u32, flag: &'a HandlerFlag) -> ThreadSignals<'a> {
        ThreadSignals { signals, tid, flag }
    }

    /// Returns what is blocked.
    pub fn mask(&self) -> SignalSet {
        self.signals.lock().mask(self.tid)
    }

    /// Replaces what is blocked; returns what was. What is pending and unblocked now takes effect: look at
    /// [`Signals::fatal`] and [`Signals::is_stopped`] after it.
    pub fn set_mask(&self, mask: SignalSet) -> SignalSet {
        self.change_mask(MaskChange::Set, mask)
    }

    /// As [`ThreadSignals::set_mask`]. POSIX: `pthread_sigmask()`.
    pub fn change_mask(&self, change: MaskChange, set: SignalSet) -> SignalSet {
        let mut state = self.signals.lock();
        let before = state.mask(self.tid);
        let wanted = match change {
            MaskChange::Block => before.with(set),
            MaskChange::Unblock => before.without(set),
            MaskChange::Set => set,
        };
        state.set_mask(self.tid, wanted);
        self.signals.settle(&mut state);
        before
    }

    /// Returns what was sent and is blocked. POSIX: `sigpending()`.
    pub fn pending(&self) -> SignalSet {
        let state = self.signals.lock();
        state.pending(self.tid).both(state.mask(self.tid))
    }

    /// Whether a signal of a set is pending, blocked or not.
    pub fn is_any_pending(&self, set: SignalSet) -> bool {
        !self.signals.lock().pending(self.tid).both(set).is_empty()
    }

    /// Takes a pending signal out of a set, blocked or not. POSIX: `sigwait()`.
    pub fn take_pending(&self, set: SignalSet) -> Option<SignalInfo> {
        let mut state = self.signals.lock();
        let info = state.dequeue(self.tid, set)?;
        self.signals.settle(&mut state);
        Some(info)
    }

    /// Takes the next signal whose handler is to be called, and blocks what is blocked meanwhile. Linux: `get_signal()`,
    /// `signal_setup_done()`.
    pub fn take_handler(&self) -> Option<Delivery> {
        if !self.is_deliverable() {
            return None;
        }
        let mut state = self.signals.lock();
        let delivery = state.take_handler(self.tid)?;
        self.signals.settle(&mut state);
        Some(delivery)
    }

    /// Whether a personality has something to do on the way out of a call: the process ends or stops, or a handler is called.
    pub fn needs_attention(&self) -> bool {
        self.is_deliverable() || self.signals.is_stopped() || self.signals.fatal().is_some()
    }

    /// Whether a handler is to be called: blocked calls end with `EINTR`.
    pub fn is_deliverable(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }
}
