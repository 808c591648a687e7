//! Calls on descriptors: `close`, `dup`, `pipe`, `fcntl`, `ioctl`.

use minke_abi::linux::{OpenFlags, RecordLock};
use minke_abi::wali::{decode_record_lock, encode_record_lock};
use minke_abi::{Errno, Result};
use minke_kernel::Fd;
use minke_kernel::calls::locks::RecordOwner;
use minke_kernel::locks::LockKind;
use minke_kernel::task::{Deadline, Patience};
use wasmtime::Caller;

use super::terminals::{host_terminal, terminal};
use crate::personality::linux::context::{Arguments, Context, task_of};
use crate::personality::linux::table::Syscall;
use crate::runtime::{Guest, GuestAddr};

/// `FD_CLOEXEC`.
const FD_CLOEXEC: u32 = 1;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("close", 3, |c, a| c.task().close(a.fd(0)).map(|()| 0)),
    Syscall::now("dup", 32, |c, a| {
        let fd = c.task().duplicate(a.fd(0), Fd(0), false)?;
        Ok(i64::from(fd.0))
    }),
    Syscall::now("dup2", 33, |c, a| {
        c.task().duplicate_to(a.fd(0), a.fd(1), false)?;
        Ok(i64::from(a.fd(1).0))
    }),
    Syscall::now("dup3", 292, dup3),
    Syscall::now("pipe", 22, |c, a| {
        pipe(c, a.address(0), OpenFlags::empty())
    }),
    Syscall::now("pipe2", 293, |c, a| {
        pipe(c, a.address(0), OpenFlags::from_bits_retain(a.word(1)))
    }),
    Syscall::waiting("fcntl", 72, |c, a| Box::pin(fcntl(c, a)))
        .restarting()
        .partial("no owners, leases, signals, sizes of pipes or seals"),
    Syscall::waiting("flock", 73, |c, a| Box::pin(flock(c, a))).restarting(),
    Syscall::waiting("ioctl", 16, |c, a| Box::pin(ioctl(c, a)))
        .restarting()
        .partial("descriptors' and terminals' requests, without `TIOCSTI`, `TCGETS2` and what only hardware has"),
];

fn dup3(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let flags = arguments.word(2);
    let (fd, target) = (arguments.fd(0), arguments.fd(1));
    if flags & !OpenFlags::CLOEXEC.bits() != 0 || fd == target {
        return Err(Errno::EINVAL);
    }
    context.task().duplicate_to(fd, target, flags != 0)?;
    Ok(i64::from(target.0))
}

/// A pipe whose numbers cannot be told is never made.
fn pipe(context: &mut Context<'_>, numbers: GuestAddr, flags: OpenFlags) -> Result<i64> {
    if !(OpenFlags::CLOEXEC | OpenFlags::NONBLOCK | OpenFlags::DIRECT).contains(flags) {
        return Err(Errno::EINVAL);
    }
    context.memory.check(numbers, 8)?;
    let (reader, writer) = context.task().pipe(flags)?;
    context.memory.write_u32(numbers, reader.0)?;
    context.memory.write_u32(numbers.offset(4), writer.0)?;
    Ok(0)
}

/// Commands of `fcntl`. Linux: include/uapi/asm-generic/fcntl.h, include/uapi/linux/fcntl.h.
mod command {
    pub(super) const DUPFD: u32 = 0;
    pub(super) const GETFD: u32 = 1;
    pub(super) const SETFD: u32 = 2;
    pub(super) const GETFL: u32 = 3;
    pub(super) const SETFL: u32 = 4;
    pub(super) const GETLK: u32 = 5;
    pub(super) const SETLK: u32 = 6;
    pub(super) const SETLKW: u32 = 7;
    pub(super) const OFD_GETLK: u32 = 36;
    pub(super) const OFD_SETLK: u32 = 37;
    pub(super) const OFD_SETLKW: u32 = 38;
    pub(super) const DUPFD_CLOEXEC: u32 = 1030;
}

async fn fcntl(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    match LockCommand::of(arguments.word(1)) {
        Some(lock) => lock_record(caller, &arguments, lock).await,
        None => change_descriptor(&Context::of(caller), &arguments),
    }
}

fn change_descriptor(context: &Context<'_>, arguments: &Arguments) -> Result<i64> {
    let fd = arguments.fd(0);
    let fds = &context.task().process.fds;
    let description = fds.get(fd)?;
    let argument = arguments.word(2);
    match arguments.word(1) {
        command::DUPFD => duplicate(context, fd, argument, false),
        command::DUPFD_CLOEXEC => duplicate(context, fd, argument, true),
        command::GETFD => {
            let is_set = fds.is_close_on_exec(fd)?;
            Ok(i64::from(u32::from(is_set) * FD_CLOEXEC))
        }
        command::SETFD => {
            fds.set_close_on_exec(fd, argument & FD_CLOEXEC != 0)?;
            Ok(0)
        }
        command::GETFL => Ok(i64::from(description.flags().bits())),
        command::SETFL => {
            description.set_status_flags(OpenFlags::from_bits_retain(argument));
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

fn duplicate(context: &Context<'_>, fd: Fd, minimum: u32, is_close_on_exec: bool) -> Result<i64> {
    // Linux: fs/fcntl.c, F_DUPFD: a minimum at or above the limit.
    if minimum >= context.task().process.fds.fds_max() {
        return Err(Errno::EINVAL);
    }
    let task = context.task();
    let fd = task.duplicate(fd, Fd(minimum), is_close_on_exec)?;
    Ok(i64::from(fd.0))
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

/// What a command does with a record lock, and for whom.
struct LockCommand {
    action: LockAction,
    owner: RecordOwner,
}

#[derive(Clone, Copy)]
enum LockAction {
    Test,
    Set(Patience),
}

impl LockCommand {
    /// Reads a command; `None` if it is not about record locks.
    fn of(command: u32) -> Option<LockCommand> {
        const WAIT: Patience = Patience::Until(Deadline::Never);
        let (action, owner) = match command {
            command::GETLK => (LockAction::Test, RecordOwner::Process),
            command::SETLK => (LockAction::Set(Patience::None), RecordOwner::Process),
            command::SETLKW => (LockAction::Set(WAIT), RecordOwner::Process),
            command::OFD_GETLK => (LockAction::Test, RecordOwner::Description),
            command::OFD_SETLK => (LockAction::Set(Patience::None), RecordOwner::Description),
            command::OFD_SETLKW => (LockAction::Set(WAIT), RecordOwner::Description),
            _ => return None,
        };
        Some(LockCommand { action, owner })
    }
}

async fn lock_record(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
    command: LockCommand,
) -> Result<i64> {
    let fd = arguments.fd(0);
    let task = task_of(caller);
    // An unknown descriptor is told before an unreadable lock.
    task.process.fds.get(fd)?;
    let address = arguments.address(2);
    let lock = decode_record_lock(&Context::of(caller).memory.read_array(address)?);
    match command.action {
        LockAction::Test => {
            let found = task.conflicting_record_lock(fd, &lock, command.owner)?;
            let free = RecordLock {
                kind: RecordLock::UNLOCK,
                ..lock
            };
            let bytes = encode_record_lock(&found.unwrap_or(free));
            Context::of(caller).memory.write(address, &bytes)?;
        }
        LockAction::Set(patience) => {
            task.set_record_lock(fd, &lock, command.owner, patience)
                .await?;
        }
    }
    Ok(0)
}

/// Requests of `ioctl` that every descriptor knows. Linux: include/uapi/asm-generic/ioctls.h.
mod request {
    pub(super) const FIONREAD: u32 = 0x541b;
    pub(super) const FIONBIO: u32 = 0x5421;
    pub(super) const FIONCLEX: u32 = 0x5450;
    pub(super) const FIOCLEX: u32 = 0x5451;
}

async fn ioctl(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let fd = arguments.fd(0);
    let description = task_of(caller).process.fds.get(fd)?;
    let (request, argument) = (arguments.word(1), arguments.address(2));
    if let Some(done) = descriptor_request(&mut Context::of(caller), &arguments) {
        return done.map(|()| 0);
    }
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

/// Serves what every descriptor knows; `None` for other requests.
fn descriptor_request(context: &mut Context<'_>, arguments: &Arguments) -> Option<Result<()>> {
    let fd = arguments.fd(0);
    let argument = arguments.address(2);
    let fds = &context.task().process.fds;
    Some(match arguments.word(1) {
        request::FIONBIO => set_nonblocking(context, fd, argument),
        request::FIONREAD => tell_readable_bytes(context, fd, argument),
        request::FIOCLEX => fds.set_close_on_exec(fd, true),
        request::FIONCLEX => fds.set_close_on_exec(fd, false),
        _ => return None,
    })
}

fn set_nonblocking(context: &mut Context<'_>, fd: Fd, argument: GuestAddr) -> Result<()> {
    let description = context.task().process.fds.get(fd)?;
    let is_on = context.memory.read_u32(argument)? != 0;
    let mut flags = description.flags();
    flags.set(OpenFlags::NONBLOCK, is_on);
    description.set_status_flags(flags);
    Ok(())
}

fn tell_readable_bytes(context: &mut Context<'_>, fd: Fd, argument: GuestAddr) -> Result<()> {
    let description = context.task().process.fds.get(fd)?;
    let bytes = description.file.readable_bytes()?;
    let bytes = u32::try_from(bytes).unwrap_or(i32::MAX.cast_unsigned());
    context.memory.write_u32(argument, bytes)
}
