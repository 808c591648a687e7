//! Waiting for several descriptors: `poll`, `select` and their kin.

use minke_abi::linux::PollEvents;
use minke_abi::signal::SignalSet;
use minke_abi::{Errno, Result};
use minke_kernel::calls::poll::PollEntry;
use minke_kernel::task::Deadline;
use minke_kernel::{Fd, Task};
use wasmtime::Caller;

use crate::personality::linux::context::{Arguments, Context, task_of};
use crate::personality::linux::table::Syscall;
use crate::runtime::{Guest, GuestAddr};

/// Bytes of `struct pollfd`.
const POLLFD_BYTES: u64 = 8;
/// Most entries of a poll set, and one more than the highest descriptor of a `select`.
const ENTRIES_MAX: u32 = 65_536;

const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;
const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::waiting("poll", 7, |c, a| Box::pin(poll(c, a))),
    Syscall::waiting("ppoll", 271, |c, a| Box::pin(ppoll(c, a)))
        .partial("the time that is left is not written back"),
    Syscall::waiting("select", 23, |c, a| {
        Box::pin(select(c, a, NANOSECONDS_PER_MICROSECOND))
    })
    .partial("the time that is left is not written back"),
    Syscall::waiting("pselect6", 270, |c, a| Box::pin(pselect(c, a)))
        .partial("the time that is left is not written back"),
];

async fn poll(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let deadline = match u64::try_from(arguments.int(2)) {
        Ok(time) => Context::of(caller).deadline_after(time * NANOSECONDS_PER_MILLISECOND),
        Err(_) => Deadline::Never,
    };
    poll_until(caller, &arguments, deadline).await
}

async fn ppoll(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let mut context = Context::of(caller);
    let deadline = read_deadline(&context, arguments.pointer(2), 1)?;
    if let Some(mask) = arguments.pointer(3) {
        mask_meanwhile(&mut context, mask)?;
    }
    poll_until(caller, &arguments, deadline).await
}

/// Sets the mask until the call has returned. POSIX: `pselect()`.
fn mask_meanwhile(context: &mut Context<'_>, address: GuestAddr) -> Result<()> {
    let mask = SignalSet(context.memory.read_u64(address)?);
    let before = context.task().process.signals.set_mask(mask);
    context.guest.linux.mask_after = Some(before);
    Ok(())
}

fn read_deadline(context: &Context<'_>, timeout: Option<GuestAddr>, unit: u64) -> Result<Deadline> {
    Ok(match timeout {
        Some(timeout) => context.deadline_after(context.duration(timeout, unit)?),
        None => Deadline::Never,
    })
}

async fn poll_until(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
    deadline: Deadline,
) -> Result<i64> {
    let task = task_of(caller);
    let (address, count) = (arguments.address(0), arguments.word(1));
    let mut entries = read_poll_set(&Context::of(caller), address, count)?;
    let ready = task.poll(&mut entries, deadline).await?;
    write_poll_set(&mut Context::of(caller), address, count, &entries)?;
    Ok(ready as i64)
}

/// Reads the entries whose descriptor is not negative.
fn read_poll_set(context: &Context<'_>, address: GuestAddr, count: u32) -> Result<Vec<PollEntry>> {
    if count > ENTRIES_MAX {
        return Err(Errno::EINVAL);
    }
    context
        .memory
        .check(address, u64::from(count) * POLLFD_BYTES)?;
    let mut entries = Vec::with_capacity(count as usize);
    for index in 0..u64::from(count) {
        let entry = address.offset(index * POLLFD_BYTES);
        let fd = context.memory.read_u32(entry)?;
        let events = u16::from_le_bytes(context.memory.read_array(entry.offset(4))?);
        if fd.cast_signed() >= 0 {
            entries.push(PollEntry {
                fd: Fd(fd),
                interest: PollEvents::from_bits_truncate(events),
                ready: PollEvents::empty(),
            });
        }
    }
    Ok(entries)
}

/// Writes `revents` of every entry; those that were left out get none.
fn write_poll_set(
    context: &mut Context<'_>,
    address: GuestAddr,
    count: u32,
    entries: &[PollEntry],
) -> Result<()> {
    let mut answered = entries.iter();
    for index in 0..u64::from(count) {
        let entry = address.offset(index * POLLFD_BYTES);
        let is_asked = context.memory.read_u32(entry)?.cast_signed() >= 0;
        let ready = if is_asked {
            answered.next().map_or(PollEvents::empty(), |e| e.ready)
        } else {
            PollEvents::empty()
        };
        context
            .memory
            .write(entry.offset(6), &ready.bits().to_le_bytes())?;
    }
    Ok(())
}

/// What each of `select`'s three sets asks for, and what makes it ready. Linux: fs/select.c POLLIN_SET and its kin.
const SETS: [(PollEvents, PollEvents); 3] = [
    (
        PollEvents::IN,
        PollEvents::IN.union(PollEvents::HUP).union(PollEvents::ERR),
    ),
    (PollEvents::OUT, PollEvents::OUT.union(PollEvents::ERR)),
    (PollEvents::PRI, PollEvents::PRI),
];

/// The last argument points to a pointer to a mask, and its size.
async fn pselect(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let mut context = Context::of(caller);
    if let Some(pair) = arguments.pointer(5) {
        let mask = context.memory.read_u64(pair)?;
        if mask != 0 {
            mask_meanwhile(&mut context, GuestAddr(mask))?;
        }
    }
    select(caller, arguments, 1).await
}

async fn select(caller: &mut Caller<'_, Guest>, arguments: Arguments, unit: u64) -> Result<i64> {
    let task = task_of(caller);
    let count = arguments.word(0);
    if count > ENTRIES_MAX {
        return Err(Errno::EINVAL);
    }
    let addresses = [1, 2, 3].map(|index| arguments.pointer(index));
    let context = Context::of(caller);
    let sets = read_sets(&context, count, addresses)?;
    let deadline = read_deadline(&context, arguments.pointer(4), unit)?;
    let mut entries = entries_of(&task, &sets, count)?;
    task.poll(&mut entries, deadline).await?;
    let (answers, ready) = answer(&sets, &entries);
    let mut context = Context::of(caller);
    for (address, answer) in addresses.into_iter().zip(answers) {
        if let Some(address) = address {
            context.memory.write(address, &answer)?;
        }
    }
    Ok(ready)
}

/// Reads three bit sets; a missing one is empty. They come in words of 64 bits.
fn read_sets(
    context: &Context<'_>,
    count: u32,
    addresses: [Option<GuestAddr>; 3],
) -> Result<[Vec<u8>; 3]> {
    let length = count.div_ceil(64) as usize * 8;
    let read = |address: Option<GuestAddr>| match address {
        Some(address) => context.memory.read_bytes(address, length as u64, length),
        None => Ok(vec![0; length]),
    };
    Ok([
        read(addresses[0])?,
        read(addresses[1])?,
        read(addresses[2])?,
    ])
}

fn has(set: &[u8], fd: u32) -> bool {
    set[fd as usize / 8] & (1 << (fd % 8)) != 0
}

/// Makes one entry per descriptor that is in a set; one that is not open is `EBADF`.
fn entries_of(task: &Task, sets: &[Vec<u8>; 3], count: u32) -> Result<Vec<PollEntry>> {
    let mut entries = Vec::new();
    for fd in 0..count {
        let mut interest = PollEvents::empty();
        for (set, (asked, _)) in sets.iter().zip(SETS) {
            if has(set, fd) {
                interest |= asked;
            }
        }
        if !interest.is_empty() {
            task.process.fds.get(Fd(fd))?;
            entries.push(PollEntry {
                fd: Fd(fd),
                interest,
                ready: PollEvents::empty(),
            });
        }
    }
    Ok(entries)
}

/// Turns what is ready into bit sets and the number of bits in them.
fn answer(sets: &[Vec<u8>; 3], entries: &[PollEntry]) -> ([Vec<u8>; 3], i64) {
    let mut answers = sets.clone().map(|set| vec![0; set.len()]);
    let mut ready = 0;
    for entry in entries {
        let fd = entry.fd.0;
        for ((set, answer), (_, makes_ready)) in sets.iter().zip(&mut answers).zip(SETS) {
            if has(set, fd) && entry.ready.intersects(makes_ready) {
                answer[fd as usize / 8] |= 1 << (fd % 8);
                ready += 1;
            }
        }
    }
    (answers, ready)
}
