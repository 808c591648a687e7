//! Signals that wait, and what was said of them.

use std::collections::VecDeque;

use minke_abi::linux::Signal;
use minke_abi::signal::SignalSet;

use super::{SignalInfo, code};

/// Signals that wait together with what was said of them. Linux: `RLIMIT_SIGPENDING`, there for each user.
const QUEUED_MAX: usize = 1024;

/// Signals that were sent to a process, or to one of its threads, and have not taken effect. Linux: `struct sigpending`.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) set: SignalSet,
    /// In the order in which they came.
    queue: VecDeque<SignalInfo>,
}

/// Whether a signal became pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    Yes,
    Refused,
}

impl Pending {
    /// Adds a signal. Linux: kernel/signal.c `__send_signal_locked()`.
    pub(super) fn enqueue(&mut self, info: SignalInfo) -> Queued {
        let signal = info.signal;
        if !SignalInfo::queues(signal) {
            if !self.set.contains(signal) {
                self.queue.push_back(info);
            }
        } else if self.queue.len() < QUEUED_MAX {
            self.queue.push_back(info);
        } else if info.code != code::USER && info.code != code::KERNEL {
            return Queued::Refused;
        }
        self.set.insert(signal);
        Queued::Yes
    }

    /// Tells a timer's signal that still waits that the timer has rung so many more times; false if none waits. The number of a timer
    /// stands in the place of the sender, its overrun in that of the user.
    pub(super) fn count_overrun(&mut self, info: SignalInfo, rings: u32) -> bool {
        let is_it = |queued: &&mut SignalInfo| {
            (queued.code, queued.signal, queued.pid) == (code::TIMER, info.signal, info.pid)
        };
        let Some(queued) = self.queue.iter_mut().find(is_it) else {
            return false;
        };
        /// Linux: `DELAYTIMER_MAX`.
        const OVERRUNS_MAX: u32 = i32::MAX.cast_unsigned();
        queued.uid = queued.uid.saturating_add(rings).min(OVERRUNS_MAX);
        true
    }

    /// Takes one signal of a number, with what was said of it.
    pub(super) fn dequeue(&mut self, signal: Signal) -> SignalInfo {
        let mut of_it = self.queue.iter().enumerate();
        let mut of_it = of_it.by_ref().filter(|(_, info)| info.signal == signal);
        let first = of_it.next().map(|(index, _)| index);
        let has_more = of_it.next().is_some();
        drop(of_it);
        if !has_more {
            self.set.remove(signal);
        }
        let taken = first.and_then(|index| self.queue.remove(index));
        // There was no room for more than its number.
        taken.unwrap_or(SignalInfo {
            code: code::USER,
            ..SignalInfo::of_kernel(signal)
        })
    }

    /// Forgets all signals of a set.
    pub(super) fn discard(&mut self, set: SignalSet) {
        if self.set.both(set).is_empty() {
            return;
        }
        self.set = self.set.without(set);
        self.queue.retain(|info| !set.contains(info.signal));
    }
}
