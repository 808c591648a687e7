//! Requests of terminals.

use minke_abi::{Errno, Result};
use minke_kernel::{File, ModesChange, TerminalModes};

use crate::personality::linux::context::Context;
use crate::runtime::GuestAddr;

/// Linux: include/uapi/asm-generic/ioctls.h.
mod request {
    pub(super) const TCGETS: u32 = 0x5401;
    pub(super) const TCSETS: u32 = 0x5402;
    pub(super) const TCSETSW: u32 = 0x5403;
    pub(super) const TCSETSF: u32 = 0x5404;
    pub(super) const TIOCGPGRP: u32 = 0x540f;
    pub(super) const TIOCGWINSZ: u32 = 0x5413;
}

/// Rows and columns of a terminal that does not tell.
const WINDOW: [u16; 4] = [24, 80, 0, 0];

/// Serves a terminal's request. There is no job control yet: the caller's group is in front, and nobody can change that.
pub(super) fn terminal(
    context: &mut Context<'_>,
    request: u32,
    argument: GuestAddr,
    file: &dyn File,
) -> Result<()> {
    match request {
        request::TIOCGWINSZ => {
            let window = file.window().unwrap_or(WINDOW).map(u16::to_le_bytes);
            context.memory.write(argument, window.as_flattened())
        }
        request::TIOCGPGRP => {
            let (group, _) = context.task().process.group_and_session();
            context.memory.write_u32(argument, group.0)
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

/// Bytes of the kernel's `struct termios`: four flags, the line discipline, 19 characters.
const TERMIOS_BYTES: usize = 36;
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
