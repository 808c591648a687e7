//! Calls on descriptors: `dup`, `pipe`, `fcntl`, `ioctl`.

use minke_abi::emscripten::{decode_record_lock, encode_record_lock};
use minke_abi::linux::{OpenFlags, RecordLock};
use minke_abi::{Errno, Result};
use minke_kernel::calls::locks::RecordOwner;
use minke_kernel::task::{Deadline, Patience};
use minke_kernel::{Fd, File, ModesChange, TerminalModes};
use wasmtime::Caller;

use crate::personality::emscripten::context::{Arguments, Context, task_of};
use crate::personality::emscripten::syscalls::poll::finish;
use crate::personality::emscripten::table::{Function, WORDS};
use crate::runtime::{Guest, GuestAddr};

/// `FD_CLOEXEC`.
const FD_CLOEXEC: u32 = 1;

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    Function::syscall("__syscall_dup", WORDS[1], |c, a| {
        let fd = c.task().duplicate(a.fd(0), Fd(0), false)?;
        Ok(i64::from(fd.0))
    }),
    Function::syscall("__syscall_dup3", WORDS[3], dup3)
        .partial("equal numbers are accepted, because `dup2` of 3.1.6 is this call"),
    Function::syscall("__syscall_pipe", WORDS[1], |c, a| {
        pipe(c, a.address(0), OpenFlags::empty())
    }),
    Function::syscall("__syscall_pipe2", WORDS[2], |c, a| {
        let flags = OpenFlags::from_bits_retain(a.word(1));
        pipe(c, a.address(0), flags)
    }),
    Function::waiting("__syscall_fcntl64", WORDS[3], |mut caller, arguments| {
        Box::new(async move {
            let result = fcntl(&mut caller, &arguments).await;
            finish(caller.data(), result)
        })
    })
    .partial("no owners, leases or signals"),
    Function::syscall("__syscall_ioctl", WORDS[3], ioctl)
        .partial("descriptors' and terminals' requests; a terminal that does not tell has 24 rows of 80 columns"),
];

fn dup3(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let flags = arguments.word(2);
    if flags & !OpenFlags::CLOEXEC.bits() != 0 {
        return Err(Errno::EINVAL);
    }
    let (fd, target) = (arguments.fd(0), arguments.fd(1));
    context.task().duplicate_to(fd, target, flags != 0)?;
    Ok(i64::from(target.0))
}

/// A pipe whose numbers cannot be told is closed again.
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

/// Commands of `fcntl`. Source: musl `include/fcntl.h`; those of a process's record locks have two numbers.
mod command {
    pub(super) const DUPFD: u32 = 0;
    pub(super) const GETFD: u32 = 1;
    pub(super) const SETFD: u32 = 2;
    pub(super) const GETFL: u32 = 3;
    pub(super) const SETFL: u32 = 4;
    pub(super) const GETLK: [u32; 2] = [5, 12];
    pub(super) const SETLK: [u32; 2] = [6, 13];
    pub(super) const SETLKW: [u32; 2] = [7, 14];
    pub(super) const OFD_GETLK: u32 = 36;
    pub(super) const OFD_SETLK: u32 = 37;
    pub(super) const OFD_SETLKW: u32 = 38;
    pub(super) const DUPFD_CLOEXEC: u32 = 1030;
}

async fn fcntl(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> Result<i64> {
    let command = arguments.word(1);
    match LockCommand::of(command) {
        Some(lock) => lock_record(caller, arguments, lock).await,
        None => change_descriptor(&Context::of(caller), arguments, command),
    }
}

fn change_descriptor(context: &Context<'_>, arguments: &Arguments, command: u32) -> Result<i64> {
    let fd = arguments.fd(0);
    let description = context.task().process.fds.get(fd)?;
    let argument = context.variadic(arguments.pointer(2));
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
            it if command::GETLK.contains(&it) => (LockAction::Test, RecordOwner::Process),
            it if command::SETLK.contains(&it) => {
                (LockAction::Set(Patience::None), RecordOwner::Process)
            }
            it if command::SETLKW.contains(&it) => (LockAction::Set(WAIT), RecordOwner::Process),
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
    let context = Context::of(caller);
    let address = GuestAddr::from(context.variadic(arguments.pointer(2))?);
    let lock = decode_record_lock(&context.memory.read_array(address)?);
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

/// Requests of `ioctl`. Source: Linux `include/uapi/asm-generic/ioctls.h`.
mod request {
    pub(super) const TCGETS: u32 = 0x5401;
    pub(super) const TCSETS: u32 = 0x5402;
    pub(super) const TCSETSW: u32 = 0x5403;
    pub(super) const TCSETSF: u32 = 0x5404;
    pub(super) const TCGETA: u32 = 0x5405;
    pub(super) const TCSETA: std::ops::RangeInclusive<u32> = 0x5406..=0x5408;
    pub(super) const TIOCGPGRP: u32 = 0x540f;
    pub(super) const TIOCSPGRP: u32 = 0x5410;
    pub(super) const TIOCGWINSZ: u32 = 0x5413;
    pub(super) const TIOCSWINSZ: u32 = 0x5414;
    pub(super) const FIONREAD: u32 = 0x541b;
    pub(super) const FIONBIO: u32 = 0x5421;
    pub(super) const FIONCLEX: u32 = 0x5450;
    pub(super) const FIOCLEX: u32 = 0x5451;
}

fn ioctl(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let fd = arguments.fd(0);
    let description = context.task().process.fds.get(fd)?;
    let argument = GuestAddr::from(context.variadic(arguments.pointer(2))?);
    match arguments.word(1) {
        request::FIONBIO => {
            let is_on = context.memory.read_u32(argument)? != 0;
            let others = description.flags() - OpenFlags::NONBLOCK;
            let wanted = if is_on {
                OpenFlags::NONBLOCK
            } else {
                OpenFlags::empty()
            };
            description.set_status_flags(others | wanted);
        }
        request::FIONREAD => {
            let bytes = description.file.readable_bytes()?;
            let bytes = u32::try_from(bytes).unwrap_or(i32::MAX.cast_unsigned());
            context.memory.write_u32(argument, bytes)?;
        }
        request::FIOCLEX => context.task().process.fds.set_close_on_exec(fd, true)?,
        request::FIONCLEX => context.task().process.fds.set_close_on_exec(fd, false)?,
        request if description.file.is_terminal() => {
            terminal(context, request, argument, &*description.file)?;
        }
        _ => return Err(Errno::ENOTTY),
    }
    Ok(0)
}

/// Serves a terminal's requests.
fn terminal(
    context: &mut Context<'_>,
    request: u32,
    argument: GuestAddr,
    file: &dyn File,
) -> Result<()> {
    /// Rows and columns of a terminal that does not tell.
    const WINDOW: [u16; 4] = [24, 80, 0, 0];
    match request {
        request::TIOCGWINSZ => {
            let window = file.window().unwrap_or(WINDOW).map(u16::to_le_bytes);
            context.memory.write(argument, window.as_flattened())
        }
        request::TIOCGPGRP => {
            let group = context.task().process.pid.0;
            context.memory.write_u32(argument, group)
        }
        request::TCGETS => {
            let modes = file.modes().unwrap_or(DEFAULT_MODES);
            context.memory.write(argument, &encode_modes(&modes))
        }
        request::TCSETS | request::TCSETSW | request::TCSETSF => {
            let modes = decode_modes(&context.memory.read_array(argument)?);
            match file.set_modes(&modes, when(request)) {
                // A terminal that keeps its modes.
                Err(Errno::ENOTTY) => Ok(()),
                changed => changed,
            }
        }
        request::TCGETA | request::TIOCSWINSZ | request::TIOCSPGRP => Err(Errno::EINVAL),
        other if request::TCSETA.contains(&other) => Ok(()),
        _ => Err(Errno::ENOTTY),
    }
}

fn when(request: u32) -> ModesChange {
    match request {
        request::TCSETSW => ModesChange::Drained,
        request::TCSETSF => ModesChange::Flushed,
        _ => ModesChange::Now,
    }
}

/// Bytes of musl's `struct termios`: four flags, the line discipline, 32 characters, two speeds.
const TERMIOS_BYTES: usize = 60;
const DISCIPLINE_AT: usize = 16;
const CHARACTERS_AT: usize = 17;

/// Modes of a terminal that nobody has changed. Linux: drivers/tty/tty_io.c `tty_std_termios`.
const DEFAULT_MODES: TerminalModes = TerminalModes {
    // `ICRNL|IXON`, `OPOST|ONLCR`, `B38400|CS8|CREAD|HUPCL`, `ISIG|ICANON|ECHO…|IEXTEN`.
    flags: [0o2400, 0o5, 0o2277, 0o105073],
    discipline: 0,
    // ^C, ^\, DEL, ^U, ^D, …
    characters: [
        3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0,
    ],
};

fn encode_modes(modes: &TerminalModes) -> [u8; TERMIOS_BYTES] {
    let mut bytes = [0; TERMIOS_BYTES];
    let flags = modes.flags.map(u32::to_le_bytes);
    bytes[..DISCIPLINE_AT].copy_from_slice(flags.as_flattened());
    bytes[DISCIPLINE_AT] = modes.discipline;
    let end = CHARACTERS_AT + modes.characters.len();
    bytes[CHARACTERS_AT..end].copy_from_slice(&modes.characters);
    bytes
}

fn decode_modes(bytes: &[u8; TERMIOS_BYTES]) -> TerminalModes {
    let mut modes = DEFAULT_MODES;
    for (flag, bytes) in modes.flags.iter_mut().zip(bytes.as_chunks().0) {
        *flag = u32::from_le_bytes(*bytes);
    }
    modes.discipline = bytes[DISCIPLINE_AT];
    let end = CHARACTERS_AT + modes.characters.len();
    modes.characters.copy_from_slice(&bytes[CHARACTERS_AT..end]);
    modes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_they_were_written() {
        let mut modes = DEFAULT_MODES;
        modes.flags[3] = 0o5;
        modes.characters[18] = 7;
        assert_eq!(decode_modes(&encode_modes(&modes)), modes);
    }
}
