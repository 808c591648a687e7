//! `epoll`, timers, and host descriptors with remembered readiness.
//!
//! Descriptors are registered once, edge-triggered; for output only once somebody has had to wait for it. An event is handed to the descriptor's [`Source`];
//! [`PolledFd`] is the source for most: it remembers what the events said until an operation answers `EAGAIN`, so that waiting
//! costs no further system call.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use minke_abi::linux::PollEvents;
use minke_kernel::platform::{Nanoseconds, TimerId};
use minke_kernel::wait::WaitQueue;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::time::{ClockId, clock_gettime};
use smallvec::SmallVec;

use super::task::lock;

/// Events taken from the host at a time; what is left comes with the next look.
const EVENTS_MAX: usize = 64;

/// The token of the eventfd that ends a wait early.
const KICK_TOKEN: u64 = u64::MAX;

/// Wakes for descriptors and at times. Workers take turns at waiting in it.
pub struct Reactor {
    epoll: OwnedFd,
    kick: OwnedFd,
    sources: Mutex<Sources>,
    timers: Mutex<Timers>,
}

/// What is told of a descriptor's events.
pub trait Source: Send + Sync {
    /// Tells what has happened since the last time. Runs on a worker: it must not block.
    fn ready(&self, events: PollEvents);
}

/// Keeps a descriptor registered.
pub struct Registration {
    reactor: Arc<Reactor>,
    fd: Arc<OwnedFd>,
    token: u64,
}

#[derive(Default)]
struct Sources {
    by_token: HashMap<u64, Arc<dyn Source>>,
    next_token: u64,
}

#[derive(Default)]
struct Timers {
    wakers: BTreeMap<(Nanoseconds, u64), Waker>,
    deadlines: HashMap<u64, Nanoseconds>,
    next_id: u64,
    /// Until when the poller sleeps, while it does.
    poller_sleeps_until: Option<Nanoseconds>,
}

/// What is told of every descriptor.
const INPUT_EVENTS: epoll::EventFlags = epoll::EventFlags::IN
    .union(epoll::EventFlags::PRI)
    .union(epoll::EventFlags::RDHUP)
    .union(epoll::EventFlags::ET);

/// How long a look for events may take.
#[derive(Clone, Copy)]
pub(super) enum Wait {
    No,
    UntilEvent,
}

/// What a look has found.
pub(super) struct Events(SmallVec<[(u64, PollEvents); EVENTS_MAX]>);

impl Reactor {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let kick = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &kick, epoll::EventData::new_u64(KICK_TOKEN), flags)?;
        Ok(Arc::new(Self {
            epoll,
            kick,
            sources: Mutex::default(),
            timers: Mutex::default(),
        }))
    }

    /// Tells `source` of the descriptor's input, errors and ends until the registration is dropped.
    ///
    /// Output is left out until [`Registration::watch_output`]: nearly every socket has room when it is
    /// registered, and would wake the poller to say so.
    ///
    /// # Errors
    /// `EPERM` for what is always ready: regular files and directories.
    pub fn register(
        self: &Arc<Self>,
        fd: Arc<OwnedFd>,
        source: Arc<dyn Source>,
    ) -> io::Result<Registration> {
        let token = {
            let mut sources = lock(&self.sources);
            let token = sources.next_token;
            sources.next_token += 1;
            sources.by_token.insert(token, source);
            token
        };
        let data = epoll::EventData::new_u64(token);
        let added = epoll::add(&self.epoll, &fd, data, INPUT_EVENTS);
        if let Err(error) = added {
            lock(&self.sources).by_token.remove(&token);
            return Err(error.into());
        }
        Ok(Registration {
            reactor: Arc::clone(self),
            fd,
            token,
        })
    }

    /// Wakes `waker` once the monotonic clock has reached `deadline`.
    pub fn wake_at(&self, deadline: Nanoseconds, waker: Waker) -> TimerId {
        let mut timers = lock(&self.timers);
        let id = timers.next_id;
        timers.next_id += 1;
        timers.wakers.insert((deadline, id), waker);
        timers.deadlines.insert(id, deadline);
        let is_too_late = |until: Nanoseconds| deadline < until;
        let must_kick = timers.poller_sleeps_until.is_some_and(is_too_late);
        drop(timers);
        if must_kick {
            self.kick();
        }
        TimerId(id)
    }

    /// Forgets a timer; one that has fired already is no error.
    pub fn cancel(&self, timer: TimerId) {
        let mut timers = lock(&self.timers);
        let waker = timers
            .deadlines
            .remove(&timer.0)
            .and_then(|deadline| timers.wakers.remove(&(deadline, timer.0)));
        drop(timers);
        drop(waker);
    }

    /// Makes the poller return from its wait, now or at its next.
    pub(super) fn kick(&self) {
        // It fails only when the counter is full, and then the poller is kicked already.
        let _ = rustix::io::write(&self.kick, &1u64.to_ne_bytes());
    }

    /// Waits for events, timers or a kick.
    pub(super) fn wait(&self, wait: Wait) -> Events {
        let timeout = self.begin_wait(wait);
        let mut buffer = [MaybeUninit::<epoll::Event>::uninit(); EVENTS_MAX];
        let mut events = Events(SmallVec::new());
        // Errors are interruptions by signals: as good as nothing found.
        if let Ok((found, _)) = epoll::wait(&self.epoll, &mut buffer, timeout.as_ref()) {
            events.0.extend(found.iter().map(|event| {
                let flags = event.flags;
                (event.data.u64(), poll_events(flags))
            }));
        }
        lock(&self.timers).poller_sleeps_until = None;
        events
    }

    /// Computes the time-out and lets it be known, so that an earlier timer ends the wait.
    fn begin_wait(&self, wait: Wait) -> Option<Timespec> {
        if matches!(wait, Wait::No) {
            return Some(timespec(0));
        }
        let mut timers = lock(&self.timers);
        let first = timers.wakers.keys().next().map(|(deadline, _)| *deadline);
        timers.poller_sleeps_until = Some(first.unwrap_or(Nanoseconds::MAX));
        first.map(|deadline| timespec(deadline.saturating_sub(monotonic_now())))
    }

    /// Tells sources of their events, and wakes what timers are due.
    pub(super) fn dispatch(&self, events: Events) {
        for (token, events) in events.0 {
            if token == KICK_TOKEN {
                let _ = rustix::io::read(&self.kick, &mut [0; 8]);
                continue;
            }
            let source = lock(&self.sources).by_token.get(&token).cloned();
            if let Some(source) = source {
                source.ready(events);
            }
        }
        self.fire_timers();
    }

    fn fire_timers(&self) {
        let mut timers = lock(&self.timers);
        if timers.wakers.is_empty() {
            return;
        }
        let later = timers.wakers.split_off(&(monotonic_now() + 1, 0));
        let due = std::mem::replace(&mut timers.wakers, later);
        for (_, id) in due.keys() {
            timers.deadlines.remove(id);
        }
        drop(timers);
        due.into_values().for_each(Waker::wake);
    }

    /// Drops all timers, whose wakers keep tasks alive.
    pub(super) fn forget_wakers(&self) {
        let timers = std::mem::take(&mut *lock(&self.timers));
        drop(timers);
    }
}

impl Registration {
    /// Tells the source of room for output too; if there is some already, at once.
    pub fn watch_output(&self) -> io::Result<()> {
        let data = epoll::EventData::new_u64(self.token);
        let events = INPUT_EVENTS | epoll::EventFlags::OUT;
        epoll::modify(&self.reactor.epoll, &self.fd, data, events)?;
        Ok(())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // The descriptor is still open, for we hold it; it was registered, so this cannot fail.
        let _ = epoll::delete(&self.reactor.epoll, &self.fd);
        let source = lock(&self.reactor.sources).by_token.remove(&self.token);
        drop(source);
    }
}

/// Returns the monotonic clock's time.
pub fn monotonic_now() -> Nanoseconds {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn timespec(nanoseconds: Nanoseconds) -> Timespec {
    Timespec {
        tv_sec: (nanoseconds / 1_000_000_000) as i64,
        tv_nsec: (nanoseconds % 1_000_000_000) as i64,
    }
}

/// `EPOLL*` and `POLL*` have the same values. Linux: `include/uapi/linux/eventpoll.h`.
fn poll_events(flags: epoll::EventFlags) -> PollEvents {
    PollEvents::from_bits_truncate(flags.bits() as u16)
}

/// A non-blocking host descriptor whose readiness is remembered.
pub struct PolledFd {
    /// Dropped first: it names the descriptor.
    registration: Registration,
    /// Somebody has waited for room, so the registration tells of it.
    watches_output: AtomicBool,
    fd: Arc<OwnedFd>,
    readiness: Arc<Readiness>,
}

/// What the events of a descriptor have said.
struct Readiness {
    /// The low 16 bits: what may be ready. The high: a count of events, so that
    /// forgetting readiness is undone when an event came meanwhile.
    state: AtomicU32,
    waiters: WaitQueue,
}

/// What a new descriptor may be ready for. Errors and ends are left out: events tell of them, and once
/// remembered they would count for everything.
const UNKNOWN: PollEvents = PollEvents::IN.union(PollEvents::OUT).union(PollEvents::PRI);

/// One event, in the upper half of [`Readiness::state`].
const ONE_EVENT: u32 = 1 << 16;

/// The lower half of [`Readiness::state`].
const READY_BITS: u32 = 0xffff;

/// Stands in [`Readiness::state`] while there is certainly input: an event has told of it, and nobody has taken any since. None of
/// the bits of `poll(2)`.
const CERTAIN_INPUT: u32 = 1 << 15;

impl Source for Readiness {
    fn ready(&self, events: PollEvents) {
        let certain = if events.contains(PollEvents::IN) {
            CERTAIN_INPUT
        } else {
            0
        };
        let bits = u32::from(events.bits()) | certain;
        let add = |state: u32| Some(state.wrapping_add(ONE_EVENT) | bits);
        let _ = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
        self.waiters.wake_all();
    }
}

impl PolledFd {
    /// Registers a descriptor, which must be in non-blocking mode.
    ///
    /// # Errors
    /// `EPERM` for what is always ready: regular files and directories.
    pub fn new(reactor: &Arc<Reactor>, fd: Arc<OwnedFd>) -> io::Result<Self> {
        let readiness = Arc::new(Readiness {
            state: AtomicU32::new(u32::from(UNKNOWN.bits())),
            waiters: WaitQueue::default(),
        });
        let source = Arc::clone(&readiness) as Arc<dyn Source>;
        Ok(Self {
            registration: reactor.register(Arc::clone(&fd), source)?,
            watches_output: AtomicBool::new(false),
            fd,
            readiness,
        })
    }

    /// Runs `operation` unless the descriptor is known not to be ready for `interest`, one of `IN`
    /// and `OUT`; remembers it when the answer is `EAGAIN`.
    pub fn attempt<T>(
        &self,
        interest: PollEvents,
        operation: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        self.attempt_to_drain(interest, operation, |_| false)
    }

    /// Does what [`PolledFd::attempt`] does, and takes a result that `is_drained` accepts for an `EAGAIN` to come.
    ///
    /// A stream that gave less than it was asked for is empty, and tells of more by another event
    /// (`epoll(7)`, question 9): the try that would only say so is saved.
    pub fn attempt_to_drain<T>(
        &self,
        interest: PollEvents,
        operation: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<T>,
        is_drained: impl FnOnce(&T) -> bool,
    ) -> rustix::io::Result<T> {
        let before = self.readiness.state.load(Ordering::SeqCst);
        if !may_be_ready(before, interest) {
            return Err(rustix::io::Errno::AGAIN);
        }
        let result = operation(self.fd.as_fd());
        let is_exhausted = match &result {
            Ok(value) => is_drained(value),
            Err(error) => *error == rustix::io::Errno::AGAIN,
        };
        if interest.contains(PollEvents::IN) {
            // Also what an event has told of since the operation began may be taken already.
            let state = &self.readiness.state;
            state.fetch_and(!CERTAIN_INPUT, Ordering::SeqCst);
        }
        if is_exhausted {
            self.forget(before & !CERTAIN_INPUT, interest);
        }
        result
    }

    /// Forgets readiness that was seen `before`, unless events came since.
    fn forget(&self, before: u32, interest: PollEvents) {
        let mut without = before & !u32::from(interest.bits());
        if interest.contains(PollEvents::IN) {
            without &= !CERTAIN_INPUT;
        }
        let _ = self.readiness.state.compare_exchange(
            before,
            without,
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        let is_first = || !self.watches_output.swap(true, Ordering::SeqCst);
        if interest.contains(PollEvents::OUT) && is_first() {
            // It cannot fail: the descriptor is registered, and a change needs no memory.
            let _ = self.registration.watch_output();
        }
    }

    /// Returns what [`PolledFd::poll`] does, for a descriptor whose input nobody outside of this process takes: then the host need
    /// not be asked again what an event has told.
    pub fn poll_own(&self, interest: PollEvents) -> PollEvents {
        let state = self.readiness.state.load(Ordering::SeqCst);
        let more = u32::from((PollEvents::ERR | PollEvents::HUP | PollEvents::RDHUP).bits());
        match interest == PollEvents::IN && state & CERTAIN_INPUT != 0 && state & more == 0 {
            true => PollEvents::IN,
            false => self.poll(interest, None),
        }
    }

    /// Returns what of `interest` holds now, plus `ERR` and `HUP`; queues `waker` for changes when given.
    pub fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        if let Some(waker) = waker {
            self.readiness.waiters.register(waker);
        }
        let before = self.readiness.state.load(Ordering::SeqCst);
        if !may_be_ready(before, interest) {
            return PollEvents::empty();
        }
        let wanted = rustix::event::PollFlags::from_bits_retain(interest.bits());
        let mut fds = [rustix::event::PollFd::new(&*self.fd, wanted)];
        let ready = match rustix::event::poll(&mut fds, Some(&timespec(0))) {
            Ok(_) => PollEvents::from_bits_truncate(fds[0].revents().bits()),
            Err(_) => return PollEvents::empty(),
        };
        // So that a server of many quiet connections asks the host once for each, not each time.
        self.forget(before, interest - ready);
        ready
    }

    /// Queues `waker` for the next event without looking at what holds now: a try follows.
    pub fn register(&self, waker: &Waker) {
        self.readiness.waiters.register(waker);
    }

    /// Wakes everyone who waits for the descriptor, to look again.
    pub fn wake_all(&self) {
        self.readiness.waiters.wake_all();
    }
}

impl AsFd for PolledFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether what was remembered leaves room for `interest`; errors and ends count for everything.
fn may_be_ready(state: u32, interest: PollEvents) -> bool {
    let always = PollEvents::ERR | PollEvents::HUP | PollEvents::RDHUP;
    let remembered = PollEvents::from_bits_truncate((state & READY_BITS) as u16);
    remembered.intersects(interest | always)
}
