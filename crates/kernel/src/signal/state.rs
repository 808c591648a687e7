//! What is decided about signals, under one lock.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use minke_abi::linux::{DefaultAction, Signal};
use minke_abi::signal::{ActionFlags, SignalSet};

use super::pending::Pending;
pub(super) use super::pending::Queued;
use super::thread::HandlerFlag;
use super::{Action, Delivery, Disposition, SignalInfo, code};

/// The signals of a process and its threads.
#[derive(Debug)]
pub(super) struct State {
    /// Sent to the process: whoever of its threads takes them.
    shared: Pending,
    actions: [Action; Signal::MAX as usize],
    /// The first thread, which is always there, and the others in the order in which they began.
    threads: Vec<Thread>,
    /// By number of a timer: how often it had rung besides when its last signal was taken.
    overruns: BTreeMap<u32, u32>,
}

/// A thread. Linux: what `struct task_struct` has for itself.
#[derive(Debug)]
pub(super) struct Thread {
    tid: u32,
    own: Pending,
    blocked: SignalSet,
    flag: HandlerFlag,
}

/// What [`State::settle`] has found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled {
    pub(super) fatal: Option<Signal>,
    pub(super) stop: Option<Signal>,
}

impl Thread {
    pub(super) fn new(tid: u32, flag: HandlerFlag) -> Thread {
        Thread {
            tid,
            own: Pending::default(),
            blocked: SignalSet::default(),
            flag,
        }
    }
}

impl State {
    pub(super) fn new(main: Thread) -> State {
        State {
            shared: Pending::default(),
            actions: [Action::default(); Signal::MAX as usize],
            threads: vec![main],
            overruns: BTreeMap::new(),
        }
    }

    /// Makes a child's, of which `main` is the only thread.
    pub(super) fn fork(&self, parent_tid: u32, main: Thread) -> State {
        State {
            shared: Pending::default(),
            actions: self.actions,
            threads: vec![Thread {
                blocked: self.mask(parent_tid),
                ..main
            }],
            overruns: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, parent_tid: u32, thread: Thread) {
        let blocked = self.mask(parent_tid);
        self.threads.push(Thread { blocked, ..thread });
    }

    /// Forgets a thread other than the first; returns whether it was to call a handler.
    pub(super) fn remove(&mut self, tid: u32) -> bool {
        let mut others = self.threads.iter().skip(1);
        let Some(index) = others.position(|it| it.tid == tid) else {
            return false;
        };
        let thread = self.threads.remove(index + 1);
        thread.flag.load(Ordering::SeqCst)
    }

    pub(super) fn has_thread(&self, tid: u32) -> bool {
        self.threads.iter().any(|thread| thread.tid == tid)
    }

    fn index(&self, tid: u32) -> usize {
        let index = self.threads.iter().position(|thread| thread.tid == tid);
        // A thread that is gone asks for nothing.
        index.unwrap_or(0)
    }

    fn thread_mut(&mut self, tid: u32) -> &mut Thread {
        let index = self.index(tid);
        &mut self.threads[index]
    }

    /// What a thread blocks.
    pub(super) fn mask(&self, tid: u32) -> SignalSet {
        self.threads[self.index(tid)].blocked
    }

    pub(super) fn set_mask(&mut self, tid: u32, mask: SignalSet) {
        self.thread_mut(tid).blocked = mask.without(SignalSet::UNBLOCKABLE);
    }

    pub(super) fn action(&self, signal: Signal) -> &Action {
        &self.actions[usize::from(signal.raw()) - 1]
    }

    pub(super) fn action_mut(&mut self, signal: Signal) -> &mut Action {
        &mut self.actions[usize::from(signal.raw()) - 1]
    }

    /// Forgets handlers; what is ignored stays so.
    pub(super) fn forget_handlers(&mut self) {
        for action in &mut self.actions {
            let is_ignored = action.disposition == Disposition::Ignore;
            *action = Action::default();
            if is_ignored {
                action.disposition = Disposition::Ignore;
            }
        }
    }

    pub(super) fn is_ignored(&self, signal: Signal) -> bool {
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

    /// Adds a signal to those of a thread, or of the process.
    pub(super) fn enqueue(&mut self, tid: Option<u32>, info: SignalInfo) -> Queued {
        match tid {
            Some(tid) => self.thread_mut(tid).own.enqueue(info),
            None => self.shared.enqueue(info),
        }
    }

    /// What was sent to a thread or its process, blocked or not.
    pub(super) fn pending(&self, tid: u32) -> SignalSet {
        let own = &self.threads[self.index(tid)].own;
        own.set.with(self.shared.set)
    }

    /// Takes one signal of a set that is pending for a thread: its own come first. Linux: kernel/signal.c `dequeue_signal()`.
    pub(super) fn dequeue(&mut self, tid: u32, set: SignalSet) -> Option<SignalInfo> {
        let own = &mut self.thread_mut(tid).own;
        let info = match own.set.both(set).first() {
            Some(signal) => own.dequeue(signal),
            None => {
                let signal = self.shared.set.both(set).first()?;
                self.shared.dequeue(signal)
            }
        };
        if info.code == code::TIMER {
            self.overruns.insert(info.pid, info.uid);
        }
        Some(info)
    }

    /// As [`Pending::count_overrun`], of those of a thread or of the process.
    pub(super) fn count_overrun(&mut self, tid: Option<u32>, info: SignalInfo, rings: u32) -> bool {
        match tid {
            Some(tid) => self.thread_mut(tid).own.count_overrun(info, rings),
            None => self.shared.count_overrun(info, rings),
        }
    }

    /// Returns what the last signal of a timer was told.
    pub(super) fn overrun(&self, timer: u32) -> u32 {
        self.overruns.get(&timer).copied().unwrap_or(0)
    }

    /// Forgets what the last signal of a timer was told.
    pub(super) fn forget_timer(&mut self, timer: u32) {
        self.overruns.remove(&timer);
    }

    /// Forgets all pending signals of a set.
    pub(super) fn discard(&mut self, set: SignalSet) {
        self.shared.discard(set);
        for thread in &mut self.threads {
            thread.own.discard(set);
        }
    }

    /// Takes the next signal whose handler a thread is to call, and blocks what is blocked meanwhile.
    pub(super) fn take_handler(&mut self, tid: u32) -> Option<Delivery> {
        let mask_before = self.mask(tid);
        // What has no handler has taken effect already.
        let unblocked = self.pending(tid).without(mask_before);
        let info = self.dequeue(tid, unblocked)?;
        let signal = info.signal;
        let action = *self.action(signal);
        let Disposition::Handler(handler) = action.disposition else {
            return None;
        };
        let thread = self.thread_mut(tid);
        thread.blocked = mask_before.with(action.mask);
        if !action.flags.contains(ActionFlags::NODEFER) {
            thread.blocked.insert(signal);
        }
        if action.flags.contains(ActionFlags::RESETHAND) {
            *self.action_mut(signal) = Action::default();
        }
        Some(Delivery {
            info,
            handler,
            flags: action.flags,
            mask_before,
        })
    }

    /// Takes what is pending and not blocked, as far as no handler is to be called for it, and tells the threads
    /// that are to call one.
    pub(super) fn settle(&mut self) -> Settled {
        let mut settled = Settled::default();
        let unblocked = self.take_effects(&mut settled);
        let mut shared = unblocked;
        for thread in &mut self.threads {
            let own = thread.own.set.without(thread.blocked);
            let taken = shared.without(thread.blocked);
            shared = shared.without(taken);
            let has_handler = !own.with(taken).is_empty();
            thread.flag.store(has_handler, Ordering::SeqCst);
        }
        settled
    }

    /// Lets unblocked signals without handlers take effect; returns those of the process that have one.
    fn take_effects(&mut self, settled: &mut Settled) -> SignalSet {
        let mut blocked_by_all = SignalSet(u64::MAX);
        let mut unblocked = SignalSet::default();
        for thread in &self.threads {
            blocked_by_all = blocked_by_all.both(thread.blocked);
            unblocked = unblocked.with(thread.own.set.without(thread.blocked));
        }
        let shared = self.shared.set.without(blocked_by_all);
        let mut handled = SignalSet::default();
        for signal in unblocked.with(shared).iter() {
            let disposition = self.action(signal).disposition;
            if let Disposition::Handler(_) = disposition {
                handled.insert(signal);
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
        shared.both(handled)
    }
}
