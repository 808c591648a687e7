//! Calls on descriptors: `dup`, `pipe`, `fcntl`, `ioctl`.

use minke_abi::emscripten::{decode_record_lock, encode_record_lock};
use minke_abi::linux::OpenFlags;
use minke_abi::{Errno, Result};
use minke_kernel::{Fd, File, ModesChange, TerminalModes};
use wasmtime::Caller;

use crate::personality::emscripten::context::{Arguments, Context, task_of};
use crate::personality::emscripten::syscalls::poll::finish;
use crate::personality::emscripten::table::{Function, WORDS};
use crate::personality::musl::descriptors::{
    LockCommand, change_descriptor, control, lock_record, pipe,
};
use crate::runtime::{Guest, GuestAddr};

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

/// Commands of a process's record locks, which have two numbers. Source: musl `include/fcntl.h`.
const LOCK64: std::ops::RangeInclusive<u32> = 12..=14;
/// From those to the numbers that Linux has on 64 bits.
const LOCK64_OFFSET: u32 = 7;

async fn fcntl(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> Result<i64> {
    let (fd, command) = (arguments.fd(0), arguments.word(1));
    let context = Context::of(caller);
    let argument = context.variadic(arguments.pointer(2));
    let lock_command = match command {
        command if LOCK64.contains(&command) => LockCommand::of(command - LOCK64_OFFSET),
        command => LockCommand::of(command),
    };
    let Some(lock_command) = lock_command else {
        return change_descriptor(&context, fd, command, argument);
    };
    let task = task_of(caller);
    // An unknown descriptor is told before an unreadable lock.
    task.process.fds.get(fd)?;
    let address = GuestAddr::from(argument?);
    let lock = decode_record_lock(&Context::of(caller).memory.read_array(address)?);
    if let Some(told) = lock_record(&task, fd, lock_command, lock).await? {
        let bytes = encode_record_lock(&told);
        Context::of(caller).memory.write(address, &bytes)?;
    }
    Ok(0)
}

fn ioctl(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let (fd, request) = (arguments.fd(0), arguments.word(1));
    let argument = GuestAddr::from(context.variadic(arguments.pointer(2))?);
    if control(context, fd, request, argument)? {
        return Ok(0);
    }
    let description = context.task().process.fds.get(fd)?;
    if !description.file.is_terminal() {
        return Err(Errno::ENOTTY);
    }
    terminal(context, request, argument, &*description.file)?;
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
