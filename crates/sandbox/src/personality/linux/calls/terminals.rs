//! Requests of terminals. Linux: `ioctl_tty(2)`.

use minke_abi::linux::OpenFlags;
use minke_abi::terminal::request;
use minke_abi::{Errno, Result};
use minke_kernel::tty::{DEFAULT_MODES, End, Flow, Queue, Side, Window};
use minke_kernel::{Fd, File, ModesChange, Pid, Task, TerminalModes};
use wasmtime::Caller;

use crate::personality::linux::context::{Context, task_of};
use crate::runtime::{Guest, GuestAddr};

/// Rows and columns of a terminal that does not tell.
const WINDOW: [u16; 4] = [24, 80, 0, 0];

/// Serves a request of one of the kernel's terminals. Those that change it stop a background group first.
pub(super) async fn terminal(
    caller: &mut Caller<'_, Guest>,
    fd: Fd,
    request: u32,
    argument: GuestAddr,
) -> Result<i64> {
    let task = task_of(caller);
    match request {
        request::TCSETS | request::TCSETSW | request::TCSETSF => {
            let bytes = Context::of(caller).memory.read_array(argument)?;
            let modes = decode_modes(&bytes);
            task.set_terminal_modes(fd, &modes, when(request)).await?;
        }
        request::TIOCSPGRP => {
            let group = Context::of(caller).memory.read_u32(argument)?;
            set_foreground_group(&task, fd, group.cast_signed()).await?;
        }
        // Whoever reads the master has all output at once, and there is no line to break.
        request::TCSBRK | request::TCSBRKP => {
            task.terminal_to_change(fd).await?;
        }
        request::TCXONC => {
            let flow = flow(argument)?;
            task.terminal_to_change(fd).await?.pair.set_flow(flow);
        }
        request::TCFLSH => {
            let queue = queue(argument)?;
            task.terminal_to_change(fd).await?.flush(queue);
        }
        request::TIOCGPTPEER => {
            let flags = OpenFlags::from_bits_retain(argument.0 as u32);
            return Ok(i64::from(task.open_terminal_peer(fd, flags)?.0));
        }
        _ => job_request(&mut Context::of(caller), &task, fd, request, argument)?,
    }
    Ok(0)
}

/// A group that nobody can have is told from one that nobody has.
async fn set_foreground_group(task: &Task, fd: Fd, group: i32) -> Result<()> {
    let group = u32::try_from(group).map_err(|_| Errno::EINVAL)?;
    task.set_foreground_group(fd, Pid(group)).await
}

fn flow(argument: GuestAddr) -> Result<Flow> {
    Ok(match argument.0 {
        0 => Flow::StopOutput,
        1 => Flow::StartOutput,
        2 => Flow::StopInput,
        3 => Flow::StartInput,
        _ => return Err(Errno::EINVAL),
    })
}

fn queue(argument: GuestAddr) -> Result<Queue> {
    Ok(match argument.0 {
        0 => Queue::Input,
        1 => Queue::Output,
        2 => Queue::Both,
        _ => return Err(Errno::EINVAL),
    })
}

/// Serves requests about who has a terminal.
fn job_request(
    context: &mut Context<'_>,
    task: &Task,
    fd: Fd,
    request: u32,
    argument: GuestAddr,
) -> Result<()> {
    let memory = &mut context.memory;
    match request {
        request::TIOCSCTTY => task.acquire_terminal(fd, argument.0 == 1),
        request::TIOCNOTTY => task.release_terminal(fd),
        request::TIOCGPGRP => memory.write_u32(argument, task.foreground_group(fd)?.0),
        request::TIOCGSID => memory.write_u32(argument, task.terminal_session(fd)?.0),
        _ => state_request(context, &task.terminal(fd)?, request, argument),
    }
}

/// Serves requests about what a terminal is like.
fn state_request(
    context: &mut Context<'_>,
    end: &End,
    request: u32,
    argument: GuestAddr,
) -> Result<()> {
    let memory = &mut context.memory;
    let pair = &end.pair;
    match request {
        request::TCGETS => memory.write(argument, &encode_modes(&pair.modes())),
        request::TIOCGWINSZ => memory.write(argument, &encode_window(pair.window())),
        request::TIOCSWINSZ => {
            pair.set_window(decode_window(memory.read_array(argument)?));
            Ok(())
        }
        // What is printed is at the master at once.
        request::TIOCOUTQ => memory.write_u32(argument, 0),
        request::TIOCEXCL => {
            pair.set_exclusive(true);
            Ok(())
        }
        request::TIOCNXCL => {
            pair.set_exclusive(false);
            Ok(())
        }
        request::TIOCGEXCL => memory.write_u32(argument, pair.is_exclusive().into()),
        // Linux: `tty_legacy_tiocsti`, off since 6.2 in most distributions.
        request::TIOCSTI => Err(Errno::EIO),
        _ if end.side == Side::Master => master_request(context, end, request, argument),
        _ => Err(Errno::ENOTTY),
    }
}

/// Serves requests that only a master knows.
fn master_request(
    context: &mut Context<'_>,
    end: &End,
    request: u32,
    argument: GuestAddr,
) -> Result<()> {
    let memory = &mut context.memory;
    let pair = &end.pair;
    match request {
        request::TIOCGPTN => memory.write_u32(argument, pair.number),
        request::TIOCSPTLCK => {
            pair.set_locked(memory.read_u32(argument)? != 0);
            Ok(())
        }
        request::TIOCGPTLCK => memory.write_u32(argument, pair.is_locked().into()),
        request::TIOCPKT => {
            pair.set_packet_mode(memory.read_u32(argument)? != 0);
            Ok(())
        }
        request::TIOCGPKT => memory.write_u32(argument, pair.is_in_packet_mode().into()),
        _ => Err(Errno::ENOTTY),
    }
}

/// Serves a request of a terminal of the host. It controls nobody: the caller's group is in front, and nobody can change that.
pub(super) fn host_terminal(
    context: &mut Context<'_>,
    request: u32,
    argument: GuestAddr,
    file: &dyn File,
) -> Result<i64> {
    match request {
        request::TIOCGWINSZ => {
            let window = file.window().unwrap_or(WINDOW).map(u16::to_le_bytes);
            context.memory.write(argument, window.as_flattened())?;
        }
        request::TIOCGPGRP => {
            let (group, _) = context.task().process.group_and_session();
            context.memory.write_u32(argument, group.0)?;
        }
        request::TCGETS => {
            let modes = file.modes().unwrap_or(DEFAULT_MODES);
            context.memory.write(argument, &encode_modes(&modes))?;
        }
        request::TCSETS | request::TCSETSW | request::TCSETSF => {
            let modes = decode_modes(&context.memory.read_array(argument)?);
            match file.set_modes(&modes, when(request)) {
                // A terminal that keeps its modes.
                Err(Errno::ENOTTY) => {}
                changed => changed?,
            }
        }
        _ => return Err(Errno::ENOTTY),
    }
    Ok(0)
}

/// Bytes of `struct winsize`.
const WINDOW_BYTES: usize = 8;

fn encode_window(window: Window) -> [u8; WINDOW_BYTES] {
    let fields = [window.rows, window.columns, window.width, window.height];
    let mut bytes = [0; WINDOW_BYTES];
    bytes.copy_from_slice(fields.map(u16::to_le_bytes).as_flattened());
    bytes
}

fn decode_window(bytes: [u8; WINDOW_BYTES]) -> Window {
    let field = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    Window {
        rows: field(0),
        columns: field(2),
        width: field(4),
        height: field(6),
    }
}

fn when(request: u32) -> ModesChange {
    match request {
        request::TCSETSW => ModesChange::Drained,
        request::TCSETSF => ModesChange::Flushed,
        _ => ModesChange::Now,
    }
}

/// Bytes of the kernel's `struct termios`: four flags, the line discipline, 19 characters.
const TERMIOS_BYTES: usize = 36;
const DISCIPLINE_AT: usize = 16;
const CHARACTERS_AT: usize = 17;

fn encode_modes(modes: &TerminalModes) -> [u8; TERMIOS_BYTES] {
    let mut bytes = [0; TERMIOS_BYTES];
    let flags = modes.flags.map(u32::to_le_bytes);
    bytes[..DISCIPLINE_AT].copy_from_slice(flags.as_flattened());
    bytes[DISCIPLINE_AT] = modes.discipline;
    bytes[CHARACTERS_AT..].copy_from_slice(&modes.characters);
    bytes
}

fn decode_modes(bytes: &[u8; TERMIOS_BYTES]) -> TerminalModes {
    let mut modes = DEFAULT_MODES;
    for (flag, bytes) in modes.flags.iter_mut().zip(bytes.as_chunks().0) {
        *flag = u32::from_le_bytes(*bytes);
    }
    modes.discipline = bytes[DISCIPLINE_AT];
    modes.characters.copy_from_slice(&bytes[CHARACTERS_AT..]);
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
