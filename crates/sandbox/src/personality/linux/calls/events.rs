//! Descriptors of which something is read that has happened: `epoll`, `eventfd`, `timerfd`, `inotify`.

use minke_abi::linux::OpenFlags;
use minke_abi::{Errno, Result};
use minke_kernel::alarm::Remaining;
use minke_kernel::calls::events::WatchChange;
use minke_kernel::events::counter::Takes;
use minke_kernel::events::epoll::{Interest, Ready};
use minke_kernel::events::notify::Happening;
use minke_kernel::task::Deadline;
use wasmtime::Caller;

use super::clocks::{read_clock, write_timer};
use super::poll::mask_meanwhile;
use crate::personality::linux::context::{Arguments, Context, TIME_BYTES, task_of};
use crate::personality::linux::table::Syscall;
use crate::personality::musl::paths::checked_path;
use crate::personality::musl::poll::deadline_after_ms;
use crate::runtime::Guest;

/// Bytes of `struct epoll_event`, which is not packed: events, and data from 8 on.
const EVENT_BYTES: u64 = 16;

/// Most events that one wait tells; a program gets the others from the next one.
const EVENTS_MAX: u32 = 4096;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("epoll_create", 213, |c, a| {
        if a.int(0) <= 0 {
            return Err(Errno::EINVAL);
        }
        make_epoll(c, 0)
    }),
    Syscall::now("epoll_create1", 291, |c, a| make_epoll(c, a.word(0))),
    Syscall::now("epoll_ctl", 233, epoll_ctl),
    Syscall::waiting("epoll_wait", 232, |c, a| {
        Box::pin(async move {
            let deadline = deadline_after_ms(&Context::of(c), a.int(3));
            wait(c, &a, deadline).await
        })
    }),
    Syscall::waiting("epoll_pwait", 281, |c, a| {
        Box::pin(async move {
            let deadline = deadline_after_ms(&Context::of(c), a.int(3));
            if let Some(mask) = a.pointer(4) {
                mask_meanwhile(&mut Context::of(c), mask)?;
            }
            wait(c, &a, deadline).await
        })
    }),
    Syscall::waiting("epoll_pwait2", 441, |c, a| {
        Box::pin(async move {
            let context = Context::of(c);
            let deadline = match a.pointer(3) {
                Some(time) => context.deadline_after(context.duration(time, 1)?),
                None => Deadline::Never,
            };
            if let Some(mask) = a.pointer(4) {
                mask_meanwhile(&mut Context::of(c), mask)?;
            }
            wait(c, &a, deadline).await
        })
    }),
    Syscall::now("eventfd", 284, |c, a| make_counter(c, a.word(0), 0)),
    Syscall::now("eventfd2", 290, |c, a| {
        make_counter(c, a.word(0), a.word(1))
    }),
    Syscall::now("inotify_init", 253, |c, _| make_inotify(c, 0)),
    Syscall::now("inotify_init1", 294, |c, a| make_inotify(c, a.word(0))),
    Syscall::now("inotify_add_watch", 254, |c, a| {
        let path = checked_path(c, a.address(1), 0)?;
        let wanted = Happening::from_bits_truncate(a.word(2));
        let watch = c.task().watch_file(a.fd(0), &path, wanted)?;
        Ok(i64::from(watch))
    })
    .partial("what the host changes in a bound directory is not told; `IN_DELETE_SELF` comes with the end of the last name, not of the last descriptor"),
    Syscall::now("inotify_rm_watch", 255, |c, a| {
        c.task().forget_watch(a.fd(0), a.int(1)).map(|()| 0)
    }),
    Syscall::now("timerfd_create", 283, timerfd_create)
        .partial("clocks of real and of monotonic time"),
    Syscall::now("timerfd_settime", 286, timerfd_settime)
        .partial("a change of the host's clock is not told (`TFD_TIMER_CANCEL_ON_SET`)"),
    Syscall::now("timerfd_gettime", 287, |c, a| {
        let left = c.task().timer(a.fd(0))?;
        write_timer(c, a.address(1), left, 1).map(|()| 0)
    }),
];

fn make_inotify(context: &Context<'_>, raw: u32) -> Result<i64> {
    let flags = descriptor_flags(raw)?;
    Ok(i64::from(context.task().make_inotify(flags)?.0))
}

/// Reads the flags that make these descriptors, all of which are `O_CLOEXEC` and `O_NONBLOCK`.
pub(super) fn descriptor_flags(raw: u32) -> Result<OpenFlags> {
    let flags = OpenFlags::from_bits_retain(raw);
    if (OpenFlags::CLOEXEC | OpenFlags::NONBLOCK).contains(flags) {
        Ok(flags)
    } else {
        Err(Errno::EINVAL)
    }
}

fn make_epoll(context: &Context<'_>, raw: u32) -> Result<i64> {
    let flags = descriptor_flags(raw)?;
    if flags.contains(OpenFlags::NONBLOCK) {
        return Err(Errno::EINVAL);
    }
    Ok(i64::from(context.task().make_epoll(flags)?.0))
}

fn make_counter(context: &Context<'_>, count: u32, raw: u32) -> Result<i64> {
    /// `EFD_SEMAPHORE`.
    const SEMAPHORE: u32 = 1;
    let flags = descriptor_flags(raw & !SEMAPHORE)?;
    let takes = match raw & SEMAPHORE {
        0 => Takes::All,
        _ => Takes::One,
    };
    let fd = context.task().make_event_counter(count, takes, flags)?;
    Ok(i64::from(fd.0))
}

/// Operations of `epoll_ctl`. Linux: include/uapi/linux/eventpoll.h.
mod operation {
    pub(super) const ADD: u32 = 1;
    pub(super) const DEL: u32 = 2;
    pub(super) const MOD: u32 = 3;
}

fn epoll_ctl(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let event = arguments.address(3);
    let interest = || -> Result<Interest> {
        let events = context.memory.read_u32(event)?;
        let data = context.memory.read_u64(event.offset(8))?;
        Ok(Interest::decode(events, data))
    };
    let change = match arguments.word(1) {
        operation::ADD => WatchChange::Add(interest()?),
        operation::DEL => WatchChange::Remove,
        operation::MOD => WatchChange::Modify(interest()?),
        _ => return Err(Errno::EINVAL),
    };
    let task = context.task();
    task.change_watch(arguments.fd(0), arguments.fd(2), change)?;
    Ok(0)
}

async fn wait(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
    deadline: Deadline,
) -> Result<i64> {
    let task = task_of(caller);
    let count = u32::try_from(arguments.int(2)).map_err(|_| Errno::EINVAL)?;
    if count == 0 {
        return Err(Errno::EINVAL);
    }
    let count = count.min(EVENTS_MAX);
    let address = arguments.address(1);
    let room = u64::from(count) * EVENT_BYTES;
    Context::of(caller).memory.check(address, room)?;
    let waiting = task.wait_for_events(arguments.fd(0), count as usize, deadline);
    let ready = waiting.await?;
    let bytes: Vec<u8> = ready.iter().flat_map(encode).collect();
    Context::of(caller).memory.write(address, &bytes)?;
    Ok(ready.len() as i64)
}

fn encode(ready: &Ready) -> [u8; EVENT_BYTES as usize] {
    let mut bytes = [0; EVENT_BYTES as usize];
    bytes[..2].copy_from_slice(&ready.events.bits().to_le_bytes());
    bytes[8..].copy_from_slice(&ready.data.to_le_bytes());
    bytes
}

fn timerfd_create(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    /// `CLOCK_PROCESS_CPUTIME_ID`, `CLOCK_THREAD_CPUTIME_ID`.
    const CPU_CLOCKS: [u32; 2] = [2, 3];
    let clock = arguments.word(0);
    if CPU_CLOCKS.contains(&clock) {
        return Err(Errno::EINVAL);
    }
    read_clock(context.task(), clock)?;
    let flags = descriptor_flags(arguments.word(1))?;
    let fd = context.task().make_timer(flags, clock)?;
    Ok(i64::from(fd.0))
}

/// `struct itimerspec` holds the interval before the time.
fn timerfd_settime(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    /// `TFD_TIMER_ABSTIME`, `TFD_TIMER_CANCEL_ON_SET`.
    const ABSOLUTE: u32 = 1;
    const CANCEL_ON_SET: u32 = 2;
    let (fd, flags) = (arguments.fd(0), arguments.word(1));
    if flags & !(ABSOLUTE | CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let new = arguments.address(2);
    let mut wanted = Remaining {
        interval: context.duration(new, 1)?,
        time: context.duration(new.offset(TIME_BYTES), 1)?,
    };
    if flags & ABSOLUTE != 0 && wanted.time != 0 {
        let clock = context.task().timer_clock(fd)?;
        let now = read_clock(context.task(), clock)?;
        // What is past rings at once.
        wanted.time = wanted.time.saturating_sub(now).max(1);
    }
    let before = context.task().set_timer(fd, wanted)?;
    match arguments.pointer(3) {
        Some(old) => write_timer(context, old, before, 1).map(|()| 0),
        None => Ok(0),
    }
}
