//! The system, and memory.

use minke_abi::wali::SysInfo;
use minke_abi::{Errno, Result};

use crate::personality::linux::context::{Arguments, Context, NANOSECONDS_PER_SECOND};
use crate::personality::linux::table::Syscall;
use crate::personality::musl::identity::uname;

const LIBRARYS_WORK: &str = "the C library maps memory itself, over `memory.grow`";

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("uname", 63, uname),
    Syscall::now("sysinfo", 99, sysinfo).partial("no loads, no swap"),
    Syscall::now("getrandom", 318, getrandom),
    Syscall::waiting("sched_yield", 24, |_, _| Box::pin(sched_yield())),
    Syscall::now("sched_getaffinity", 204, sched_getaffinity),
    Syscall::now("mmap", 9, |_, _| Err(Errno::ENOSYS)).refused(LIBRARYS_WORK),
    Syscall::now("munmap", 11, |_, _| Err(Errno::ENOSYS)).refused(LIBRARYS_WORK),
    Syscall::now("mprotect", 10, |_, _| Err(Errno::ENOSYS)).refused(LIBRARYS_WORK),
    Syscall::now("brk", 12, |_, _| Ok(0)).refused(LIBRARYS_WORK),
];

fn sysinfo(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let kernel = &context.task().process.kernel;
    let memory_bytes = kernel.memory.bytes_max();
    let uptime = kernel.clock.monotonic().saturating_sub(kernel.started_at);
    let info = SysInfo {
        uptime_seconds: uptime / NANOSECONDS_PER_SECOND,
        memory_bytes,
        memory_free_bytes: memory_bytes.saturating_sub(kernel.memory.used()),
        processes: u16::try_from(kernel.tasks_count()).unwrap_or(u16::MAX),
    };
    let bytes = info.encode();
    context.memory.write(arguments.address(0), &bytes)?;
    Ok(0)
}

fn getrandom(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    /// Bytes that are made at once.
    const PIECE_BYTES: usize = 256;
    /// `GRND_NONBLOCK`, `GRND_RANDOM`, `GRND_INSECURE`: the bytes are always there.
    const FLAGS: u32 = 7;
    /// `GRND_RANDOM` and `GRND_INSECURE` contradict each other.
    const CONTRADICTION: u32 = 6;
    let flags = arguments.word(2);
    if flags & !FLAGS != 0 || flags & CONTRADICTION == CONTRADICTION {
        return Err(Errno::EINVAL);
    }
    let length = u64::from(arguments.word(1));
    let address = arguments.address(0);
    context.memory.check(address, length)?;
    let mut done = 0;
    while done < length {
        let mut piece = [0; PIECE_BYTES];
        let count = (length - done).min(PIECE_BYTES as u64);
        let piece = &mut piece[..count as usize];
        context.task().process.kernel.entropy.fill(piece);
        context.memory.write(address.offset(done), piece)?;
        done += count;
    }
    Ok(done as i64)
}

/// Lets others run.
async fn sched_yield() -> Result<i64> {
    let mut has_yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
    Ok(0)
}

/// Says that every CPU of the container may be used. Returns the bytes of the kernel's set.
fn sched_getaffinity(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    const SET_BYTES: u32 = 8;
    if arguments.word(1) < SET_BYTES {
        return Err(Errno::EINVAL);
    }
    let cpus = context.task().process.kernel.config.cpus.clamp(1, 64);
    let set = u64::MAX >> (64 - cpus);
    context.memory.write_u64(arguments.address(2), set)?;
    Ok(i64::from(SET_BYTES))
}
