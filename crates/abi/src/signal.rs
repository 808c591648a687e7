//! Sets of signals and what is done about them. Linux: include/uapi/asm-generic/signal.h.

use bitflags::bitflags;

use crate::linux::Signal;

/// A set of signals, as Linux lays it out: bit `n - 1` for signal `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// What nobody can block, ignore or handle.
    pub const UNBLOCKABLE: SignalSet = SignalSet::of(&[Signal::KILL, Signal::STOP]);

    /// The signals whose default is to stop a process.
    pub const STOPPING: SignalSet =
        SignalSet::of(&[Signal::STOP, Signal::TSTP, Signal::TTIN, Signal::TTOU]);

    /// Those of them that come from a terminal, and stop nobody in an orphaned group.
    pub const STOPPING_BY_TERMINAL: SignalSet =
        SignalSet::of(&[Signal::TSTP, Signal::TTIN, Signal::TTOU]);

    /// Makes a set of a few signals.
    pub const fn of(signals: &[Signal]) -> SignalSet {
        let mut bits = 0;
        let mut index = 0;
        while index < signals.len() {
            bits |= 1 << (signals[index].raw() - 1);
            index += 1;
        }
        SignalSet(bits)
    }

    /// Returns whether a signal is in the set.
    pub fn contains(self, signal: Signal) -> bool {
        self.0 & SignalSet::of(&[signal]).0 != 0
    }

    /// Adds a signal.
    pub fn insert(&mut self, signal: Signal) {
        self.0 |= SignalSet::of(&[signal]).0;
    }

    /// Takes a signal out.
    pub fn remove(&mut self, signal: Signal) {
        self.0 &= !SignalSet::of(&[signal]).0;
    }

    /// Returns what is in either set.
    #[must_use]
    pub fn with(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 | other.0)
    }

    /// Returns what is in this set and not in the other.
    #[must_use]
    pub fn without(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 & !other.0)
    }

    /// Returns what is in both sets.
    #[must_use]
    pub fn both(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 & other.0)
    }

    /// Returns whether nothing is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the signal of the lowest number.
    pub fn first(self) -> Option<Signal> {
        Signal::from_raw(self.0.trailing_zeros() as i32 + 1)
    }

    /// Lists the signals in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        let mut rest = self;
        std::iter::from_fn(move || {
            let signal = rest.first()?;
            rest.remove(signal);
            Some(signal)
        })
    }
}

bitflags! {
    /// Flags of `sigaction(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ActionFlags: u32 {
        /// A child that stops sends no `SIGCHLD`.
        const NOCLDSTOP = 0x1;
        /// A child that ends leaves no zombie.
        const NOCLDWAIT = 0x2;
        const SIGINFO = 0x4;
        const RESTORER = 0x0400_0000;
        const ONSTACK = 0x0800_0000;
        /// A call that the handler has interrupted is made again.
        const RESTART = 0x1000_0000;
        /// The signal is not blocked in its own handler.
        const NODEFER = 0x4000_0000;
        /// The handler is forgotten once it was called.
        const RESETHAND = 0x8000_0000;
    }
}

/// `how` of `sigprocmask(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskChange {
    Block = 0,
    Unblock = 1,
    Set = 2,
}

impl MaskChange {
    /// Returns the change of a number.
    pub fn from_raw(number: u32) -> Option<MaskChange> {
        match number {
            0 => Some(MaskChange::Block),
            1 => Some(MaskChange::Unblock),
            2 => Some(MaskChange::Set),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_lists_its_signals_in_order() {
        let mut set = SignalSet::of(&[Signal::TERM, Signal::HUP]);
        set.insert(Signal::from_raw(64).unwrap_or(Signal::HUP));
        let numbers: Vec<_> = set.iter().map(Signal::raw).collect();
        assert_eq!(numbers, [1, 15, 64]);
        set.remove(Signal::HUP);
        assert_eq!(set.first(), Some(Signal::TERM));
        assert_eq!(SignalSet::default().first(), None);
    }
}
