//! Waiting for several descriptors: the sets of `poll` and `select`.

use minke_abi::linux::PollEvents;
use minke_abi::{Errno, Result};
use minke_kernel::calls::poll::PollEntry;
use minke_kernel::task::Deadline;
use minke_kernel::{Fd, Task};
use wasmtime::Caller;

use crate::personality::musl::context::{Arguments, Context, task_of};
use crate::runtime::{Guest, GuestAddr};

/// Bytes of `struct pollfd`.
const POLLFD_BYTES: u64 = 8;
/// Most entries of a poll set, and one more than the highest descriptor of a `select`. POSIX: `FD_SETSIZE` is the guest's own limit.
const ENTRIES_MAX: u32 = 65_536;

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

/// When a `poll` gives up after so many milliseconds: never, if they are negative.
pub(in crate::personality) fn deadline_after_ms(
    context: &Context<'_>,
    milliseconds: i32,
) -> Deadline {
    match u64::try_from(milliseconds) {
        Ok(time) => context.deadline_after(time * NANOSECONDS_PER_MILLISECOND),
        Err(_) => Deadline::Never,
    }
}

/// `poll`: a set, and the count of its entries.
pub(in crate::personality) async fn poll_until(
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

/// `select`: one more than the highest descriptor, and three sets, which come in words of so many bits.
pub(in crate::personality) async fn select_until(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
    deadline: Deadline,
    word_bits: u32,
) -> Result<i64> {
    let task = task_of(caller);
    let count = arguments.word(0);
    if count > ENTRIES_MAX {
        return Err(Errno::EINVAL);
    }
    let addresses = [1, 2, 3].map(|index| arguments.pointer(index));
    let context = Context::of(caller);
    let sets = read_sets(&context, count.next_multiple_of(word_bits) / 8, addresses)?;
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

/// Reads three bit sets; a missing one is empty.
fn read_sets(
    context: &Context<'_>,
    length: u32,
    addresses: [Option<GuestAddr>; 3],
) -> Result<[Vec<u8>; 3]> {
    let room = length as usize;
    let read = |address: Option<GuestAddr>| match address {
        Some(address) => context.memory.read_bytes(address, u64::from(length), room),
        None => Ok(vec![0; room]),
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
