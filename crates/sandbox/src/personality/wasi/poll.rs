//! `poll_oneoff`: waiting for descriptors and clocks.

use std::sync::Arc;

use minke_abi::linux::PollEvents;
use minke_abi::wasi::{ClockId, Errno, Event, EventKind, Subscribed, Subscription};
use minke_kernel::calls::poll::PollEntry;
use minke_kernel::descriptor::SeekTarget;
use minke_kernel::platform::{Clock, Nanoseconds};
use minke_kernel::task::Deadline;
use minke_kernel::{Fd, FileDescription, Task};
use smallvec::SmallVec;
use wasmtime::Caller;

use super::Answer;
use crate::runtime::guest::view;
use crate::runtime::{Guest, GuestAddr, MemoryView};

/// Most subscriptions in one call: it bounds what a guest can make us hold during a wait.
const SUBSCRIPTIONS_MAX: u32 = 1 << 14;

/// Subscriptions that are held without an allocation: a sleep has one, a server a few.
const SUBSCRIPTIONS_INLINE: usize = 4;

/// Waits until a subscription has something to tell, and tells of all that do.
pub(super) async fn poll_oneoff(
    caller: &mut Caller<'_, Guest>,
    subscriptions: u32,
    events: u32,
    count: u32,
    result: u32,
) -> Answer<()> {
    let parse = Subscription::from_preview1;
    poll_with(caller, parse, subscriptions, events, count, result).await
}

/// Polls with subscriptions in one of the two layouts.
pub(super) async fn poll_with<const N: usize>(
    caller: &mut Caller<'_, Guest>,
    parse: fn(&[u8; N]) -> Option<Subscription>,
    subscriptions: u32,
    events: u32,
    count: u32,
    result: u32,
) -> Answer<()> {
    let task = Arc::clone(&caller.data().task);
    let mut plan = {
        let (memory, _) = view(caller);
        let events_bytes = u64::from(count) * Event::BYTES as u64;
        memory.check(events.into(), events_bytes)?;
        memory.check(result.into(), 4)?;
        Plan::decode(&memory, &task, parse, subscriptions.into(), count)?
    };
    let deadline = plan.deadline();
    task.poll(&mut plan.entries, deadline).await?;
    let (mut memory, _) = view(caller);
    plan.report(&mut memory, &task, events.into(), result)
}

/// What one call waits for.
struct Plan {
    /// In the order of the guest's array.
    waits: SmallVec<[Wait; SUBSCRIPTIONS_INLINE]>,
    /// Of the descriptors alone, in the same order.
    entries: SmallVec<[PollEntry; SUBSCRIPTIONS_INLINE]>,
}

/// One subscription.
struct Wait {
    userdata: u64,
    until: Until,
}

enum Until {
    /// Monotonic time.
    Time(Nanoseconds),
    /// The next of the plan's entries.
    Descriptor(EventKind),
}

impl Plan {
    fn decode<const N: usize>(
        memory: &MemoryView<'_>,
        task: &Task,
        parse: fn(&[u8; N]) -> Option<Subscription>,
        array: GuestAddr,
        count: u32,
    ) -> Answer<Plan> {
        // Nothing would ever end the wait; wasmtime refuses it too.
        if count == 0 || count > SUBSCRIPTIONS_MAX {
            return Err(Errno::INVAL);
        }
        let mut plan = Plan {
            waits: SmallVec::new(),
            entries: SmallVec::new(),
        };
        for index in 0..u64::from(count) {
            let bytes = memory.read_array(array.offset(index * N as u64))?;
            plan.add(task, parse(&bytes).ok_or(Errno::INVAL)?)?;
        }
        Ok(plan)
    }

    fn add(&mut self, task: &Task, subscription: Subscription) -> Answer<()> {
        let mut watch = |fd, interest, kind| {
            self.entries.push(PollEntry {
                fd: Fd(fd),
                interest,
                ready: PollEvents::empty(),
            });
            Until::Descriptor(kind)
        };
        let until = match subscription.to {
            Subscribed::Read(fd) => watch(fd, PollEvents::IN, EventKind::Read),
            Subscribed::Write(fd) => watch(fd, PollEvents::OUT, EventKind::Write),
            Subscribed::Clock {
                clock,
                timeout,
                is_absolute,
            } => {
                let clocks = &*task.process.kernel.clock;
                Until::Time(deadline_of(clocks, clock, timeout, is_absolute)?)
            }
        };
        let userdata = subscription.userdata;
        self.waits.push(Wait { userdata, until });
        Ok(())
    }

    /// The first time at which a clock's subscription ends the wait.
    fn deadline(&self) -> Deadline {
        let times = self.waits.iter().filter_map(|wait| match wait.until {
            Until::Time(time) => Some(time),
            Until::Descriptor(_) => None,
        });
        times.min().map_or(Deadline::Never, Deadline::At)
    }

    /// Writes an event for each subscription that has something to tell.
    fn report(
        &self,
        memory: &mut MemoryView<'_>,
        task: &Task,
        events: GuestAddr,
        result: u32,
    ) -> Answer<()> {
        let now = task.process.kernel.clock.monotonic();
        let mut entries = self.entries.iter();
        let mut written = 0;
        for wait in &self.waits {
            let event = match wait.until {
                Until::Time(time) => (time <= now).then(|| clock_event(wait.userdata)),
                Until::Descriptor(kind) => entries
                    .next()
                    .filter(|entry| !entry.ready.is_empty())
                    .map(|entry| descriptor_event(task, wait.userdata, kind, entry)),
            };
            if let Some(event) = event {
                let target = events.offset(u64::from(written) * Event::BYTES as u64);
                memory.write(target, &event.to_bytes())?;
                written += 1;
            }
        }
        Ok(memory.write_u32(result.into(), written)?)
    }
}

/// Returns the monotonic time at which a clock's subscription is due.
fn deadline_of(
    clocks: &dyn Clock,
    clock: u32,
    timeout: Nanoseconds,
    is_absolute: bool,
) -> Answer<Nanoseconds> {
    let now = clocks.monotonic();
    match (ClockId::from_raw(clock), is_absolute) {
        (Some(ClockId::Realtime | ClockId::Monotonic), false) => Ok(now.saturating_add(timeout)),
        (Some(ClockId::Monotonic), true) => Ok(timeout),
        (Some(ClockId::Realtime), true) => {
            let left = timeout.saturating_sub(clocks.realtime());
            Ok(now.saturating_add(left))
        }
        // CPU clocks cannot be waited for; Linux's `clock_nanosleep` refuses a thread's own too.
        _ => Err(Errno::INVAL),
    }
}

fn clock_event(userdata: u64) -> Event {
    Event {
        userdata,
        error: Errno::SUCCESS,
        kind: EventKind::Clock,
        bytes: 0,
        is_hangup: false,
    }
}

fn descriptor_event(task: &Task, userdata: u64, kind: EventKind, entry: &PollEntry) -> Event {
    let mut event = Event {
        userdata,
        error: Errno::SUCCESS,
        kind,
        bytes: 0,
        is_hangup: entry.ready.contains(PollEvents::HUP),
    };
    match task.process.fds.get(entry.fd) {
        Ok(description) if !entry.ready.contains(PollEvents::NVAL) => {
            event.bytes = match kind {
                EventKind::Read => readable_bytes(&description),
                _ => 1,
            };
        }
        _ => event.error = Errno::BADF,
    }
    event
}

/// How much a read would give; at least 1 where nobody can tell, as wasmtime says.
fn readable_bytes(description: &FileDescription) -> u64 {
    if description.file.is_seekable() {
        let size = description.file.metadata().map_or(0, |stat| stat.size);
        let position = description.seek(SeekTarget::Current(0)).unwrap_or(0);
        return size.saturating_sub(position);
    }
    description
        .file
        .readable_bytes()
        .map_or(1, |count| count as u64)
}
