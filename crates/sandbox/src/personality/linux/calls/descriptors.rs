//! Calls on descriptors: `close`, `dup`, `pipe`, `fcntl`, `ioctl`.

use minke_abi::linux::OpenFlags;
use minke_abi::wali::{decode_record_lock, encode_record_lock};
use minke_abi::{Errno, Result};
use minke_kernel::Fd;
use minke_kernel::locks::LockKind;
use minke_kernel::task::{Deadline, Patience};
use minke_kernel::vfs::Seals;
use wasmtime::Caller;

use super::terminals::{host_terminal, terminal};
use crate::personality::linux::context::{Arguments, Context, task_of};
use crate::personality::linux::table::Syscall;
use crate::personality::musl::descriptors::{
    LockCommand, change_descriptor, control, lock_record, pipe,
};
use crate::runtime::Guest;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    // The end of a terminal hangs up who is on it.
    Syscall::now("close", 3, |c, a| c.task().close(a.fd(0)).map(|()| 0)).attentive(),
    Syscall::now("dup", 32, |c, a| {
        let fd = c.task().duplicate(a.fd(0), Fd(0), false)?;
        Ok(i64::from(fd.0))
    }),
    Syscall::now("dup2", 33, |c, a| {
        c.task().duplicate_to(a.fd(0), a.fd(1), false)?;
        Ok(i64::from(a.fd(1).0))
    })
    .attentive(),
    Syscall::now("dup3", 292, dup3).attentive(),
    Syscall::now("close_range", 436, |c, a| {
        // `CLOSE_RANGE_UNSHARE`, which changes nothing without threads, and `CLOSE_RANGE_CLOEXEC`.
        const UNSHARE: u32 = 2;
        const CLOSE_ON_EXEC: u32 = 4;
        let (first, last, flags) = (a.word(0), a.word(1), a.word(2));
        if first > last || flags & !(UNSHARE | CLOSE_ON_EXEC) != 0 {
            return Err(Errno::EINVAL);
        }
        let process = &c.task().process;
        for fd in process.fds.list() {
            if !(first..=last).contains(&fd.0) {
                continue;
            }
            // A descriptor that went meanwhile is closed too.
            let _ = match flags & CLOSE_ON_EXEC {
                0 => c.task().close(fd),
                _ => process.fds.set_close_on_exec(fd, true),
            };
        }
        Ok(0)
    })
    .attentive(),
    Syscall::now("memfd_create", 319, memory_file)
        .partial("without `MFD_HUGETLB` and `MFD_NOEXEC_SEAL`"),
    Syscall::now("pipe", 22, |c, a| {
        pipe(c, a.address(0), OpenFlags::empty())
    }),
    Syscall::now("pipe2", 293, |c, a| {
        pipe(c, a.address(0), OpenFlags::from_bits_retain(a.word(1)))
    }),
    Syscall::waiting("fcntl", 72, |c, a| Box::pin(fcntl(c, a)))
        .restarting()
        .partial("no owners, leases, signals or sizes of pipes"),
    Syscall::waiting("flock", 73, |c, a| Box::pin(flock(c, a))).restarting(),
    Syscall::waiting("ioctl", 16, |c, a| Box::pin(ioctl(c, a)))
        .restarting()
        .partial("descriptors' and terminals' requests, without `TIOCSTI`, `TCGETS2` and what only hardware has"),
];

/// Flags of `memfd_create`. Linux: include/uapi/linux/memfd.h.
mod memory_flag {
    pub(super) const CLOSE_ON_EXEC: u32 = 1;
    pub(super) const ALLOW_SEALING: u32 = 2;
    pub(super) const EXECUTABLE: u32 = 0x10;
    pub(super) const ALL: u32 = CLOSE_ON_EXEC | ALLOW_SEALING | EXECUTABLE;
}

/// Name, flags.
fn memory_file(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let flags = arguments.word(1);
    if flags & !memory_flag::ALL != 0 {
        return Err(Errno::EINVAL);
    }
    let name = context.path(arguments.address(0));
    let name = name.map_err(|errno| match errno {
        Errno::ENAMETOOLONG => Errno::EINVAL,
        other => other,
    })?;
    let seals = match flags & memory_flag::ALLOW_SEALING {
        0 => Seals::SEAL,
        _ => Seals::empty(),
    };
    let mut opened = OpenFlags::empty();
    opened.set(OpenFlags::CLOEXEC, flags & memory_flag::CLOSE_ON_EXEC != 0);
    let fd = context.task().make_memory_file(&name, seals, opened)?;
    Ok(i64::from(fd.0))
}

fn dup3(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let flags = arguments.word(2);
    let (fd, target) = (arguments.fd(0), arguments.fd(1));
    if flags & !OpenFlags::CLOEXEC.bits() != 0 || fd == target {
        return Err(Errno::EINVAL);
    }
    context.task().duplicate_to(fd, target, flags != 0)?;
    Ok(i64::from(target.0))
}

async fn fcntl(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let (fd, command) = (arguments.fd(0), arguments.word(1));
    let Some(lock_command) = LockCommand::of(command) else {
        return change_descriptor(&Context::of(caller), fd, command, Ok(arguments.word(2)));
    };
    let task = task_of(caller);
    // An unknown descriptor is told before an unreadable lock.
    task.process.fds.get(fd)?;
    let address = arguments.address(2);
    let lock = decode_record_lock(&Context::of(caller).memory.read_array(address)?);
    if let Some(told) = lock_record(&task, fd, lock_command, lock).await? {
        let bytes = encode_record_lock(&told);
        Context::of(caller).memory.write(address, &bytes)?;
    }
    Ok(0)
}

/// Operations of `flock`. Linux: include/uapi/asm-generic/fcntl.h.
mod operation {
    pub(super) const SHARED: u32 = 1;
    pub(super) const EXCLUSIVE: u32 = 2;
    pub(super) const NOT_BLOCKING: u32 = 4;
    pub(super) const UNLOCK: u32 = 8;
}

async fn flock(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let asked = arguments.word(1);
    let kind = match asked & !operation::NOT_BLOCKING {
        operation::SHARED => Some(LockKind::Shared),
        operation::EXCLUSIVE => Some(LockKind::Exclusive),
        operation::UNLOCK => None,
        _ => return Err(Errno::EINVAL),
    };
    let patience = match asked & operation::NOT_BLOCKING {
        0 => Patience::Until(Deadline::Never),
        _ => Patience::None,
    };
    let task = task_of(caller);
    task.lock_file(arguments.fd(0), kind, patience).await?;
    Ok(0)
}

async fn ioctl(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let (fd, request) = (arguments.fd(0), arguments.word(1));
    let argument = arguments.address(2);
    if control(&mut Context::of(caller), fd, request, argument)? {
        return Ok(0);
    }
    let description = task_of(caller).process.fds.get(fd)?;
    if description.file.terminal().is_some() {
        return terminal(caller, fd, request, argument).await;
    }
    match description.file.is_terminal() {
        true => host_terminal(
            &mut Context::of(caller),
            request,
            argument,
            &*description.file,
        ),
        false => Err(Errno::ENOTTY),
    }
}
