//! Calls on descriptors: `pipe`, `fcntl`, `ioctl`.

use minke_abi::linux::{OpenFlags, RecordLock};
use minke_abi::{Errno, Result};
use minke_kernel::calls::locks::RecordOwner;
use minke_kernel::task::{Deadline, Patience};
use minke_kernel::vfs::Seals;
use minke_kernel::{Fd, Task};

use crate::personality::musl::context::Context;
use crate::runtime::GuestAddr;

/// `FD_CLOEXEC`.
const FD_CLOEXEC: u32 = 1;

/// A pipe whose numbers cannot be told is never made.
pub(in crate::personality) fn pipe(
    context: &mut Context<'_>,
    numbers: GuestAddr,
    flags: OpenFlags,
) -> Result<i64> {
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
    pub(super) const ADD_SEALS: u32 = 1033;
    pub(super) const GET_SEALS: u32 = 1034;
}

/// `fcntl` but for record locks. The argument is looked at only where the command takes one.
pub(in crate::personality) fn change_descriptor(
    context: &Context<'_>,
    fd: Fd,
    command: u32,
    argument: Result<u32>,
) -> Result<i64> {
    let description = context.task().process.fds.get(fd)?;
    match command {
        command::DUPFD => duplicate(context, fd, argument?, false),
        command::DUPFD_CLOEXEC => duplicate(context, fd, argument?, true),
        command::GETFD => {
            let is_set = context.task().process.fds.is_close_on_exec(fd)?;
            Ok(i64::from(u32::from(is_set) * FD_CLOEXEC))
        }
        command::SETFD => {
            let is_set = argument? & FD_CLOEXEC != 0;
            context.task().process.fds.set_close_on_exec(fd, is_set)?;
            Ok(0)
        }
        command::GETFL => Ok(i64::from(description.flags().bits())),
        command::SETFL => {
            description.set_status_flags(OpenFlags::from_bits_retain(argument?));
            Ok(0)
        }
        command::ADD_SEALS => {
            let seals = Seals::from_bits(argument?).ok_or(Errno::EINVAL)?;
            context.task().add_seals(fd, seals).map(|()| 0)
        }
        command::GET_SEALS => Ok(i64::from(context.task().seals(fd)?.bits())),
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

/// What a command does with a record lock, and for whom.
pub(in crate::personality) struct LockCommand {
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
    pub(in crate::personality) fn of(command: u32) -> Option<LockCommand> {
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

/// Tests or sets a record lock. Returns what a test has to tell: a lock in the way, or that there is none.
pub(in crate::personality) async fn lock_record(
    task: &Task,
    fd: Fd,
    command: LockCommand,
    lock: RecordLock,
) -> Result<Option<RecordLock>> {
    match command.action {
        LockAction::Test => {
            let found = task.conflicting_record_lock(fd, &lock, command.owner)?;
            let free = RecordLock {
                kind: RecordLock::UNLOCK,
                ..lock
            };
            Ok(Some(found.unwrap_or(free)))
        }
        LockAction::Set(patience) => {
            task.set_record_lock(fd, &lock, command.owner, patience)
                .await?;
            Ok(None)
        }
    }
}

/// Requests of `ioctl` that every descriptor knows. Linux: include/uapi/asm-generic/ioctls.h.
mod request {
    pub(super) const FIONREAD: u32 = 0x541b;
    pub(super) const FIONBIO: u32 = 0x5421;
    pub(super) const FIONCLEX: u32 = 0x5450;
    pub(super) const FIOCLEX: u32 = 0x5451;
}

/// Serves a request of `ioctl` that every descriptor knows; false if it is none.
pub(in crate::personality) fn control(
    context: &mut Context<'_>,
    fd: Fd,
    request: u32,
    argument: GuestAddr,
) -> Result<bool> {
    let description = context.task().process.fds.get(fd)?;
    match request {
        request::FIONBIO => {
            let is_on = context.memory.read_u32(argument)? != 0;
            let mut flags = description.flags();
            flags.set(OpenFlags::NONBLOCK, is_on);
            description.set_status_flags(flags);
        }
        request::FIONREAD => {
            let bytes = description.file.readable_bytes()?;
            let bytes = u32::try_from(bytes).unwrap_or(i32::MAX.cast_unsigned());
            context.memory.write_u32(argument, bytes)?;
        }
        request::FIOCLEX => context.task().process.fds.set_close_on_exec(fd, true)?,
        request::FIONCLEX => context.task().process.fds.set_close_on_exec(fd, false)?,
        _ => return Ok(false),
    }
    Ok(true)
}
