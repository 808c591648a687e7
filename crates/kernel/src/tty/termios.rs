//! Modes of a terminal, as the line discipline reads them.

use minke_abi::terminal::{
    CREAD, CS8, CSIZE, InputFlags, LocalFlags, OutputFlags, PARENB, character,
};

use crate::file::TerminalModes;

/// Modes of a new terminal. Linux: `tty_std_termios`, drivers/tty/pty.c.
pub const DEFAULT_MODES: TerminalModes = TerminalModes {
    // `ICRNL|IXON`, `OPOST|ONLCR`, `B38400|CS8|CREAD`, `ISIG|ICANON|ECHO|ECHOE|ECHOK|ECHOCTL|ECHOKE|IEXTEN`.
    flags: [0o2400, 0o5, 0o277, 0o105073],
    discipline: 0,
    // ^C, ^\, DEL, ^U, ^D, …
    characters: [
        3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0,
    ],
};

/// A character that is never typed. POSIX: `_POSIX_VDISABLE`.
const DISABLED: u8 = 0;

/// Decoded modes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Termios {
    pub(super) input: InputFlags,
    pub(super) output: OutputFlags,
    pub(super) local: LocalFlags,
    modes: TerminalModes,
}

impl Default for Termios {
    fn default() -> Termios {
        Termios::new(&DEFAULT_MODES)
    }
}

impl Termios {
    /// Decodes modes. A pair has eight bits and no parity, whatever is asked for. Linux: `pty_set_termios()`.
    pub(super) fn new(modes: &TerminalModes) -> Termios {
        let mut modes = *modes;
        let [input, output, control, local] = modes.flags;
        modes.flags[2] = control & !(CSIZE | PARENB) | CS8 | CREAD;
        Termios {
            input: InputFlags::from_bits_retain(input),
            output: OutputFlags::from_bits_retain(output),
            local: LocalFlags::from_bits_retain(local),
            modes,
        }
    }

    pub(super) fn modes(&self) -> TerminalModes {
        self.modes
    }

    pub(super) fn is_canonical(&self) -> bool {
        self.local.contains(LocalFlags::ICANON)
    }

    pub(super) fn echoes(&self) -> bool {
        self.local.contains(LocalFlags::ECHO)
    }

    /// Whether a typed byte is the control character at a place in `c_cc`.
    pub(super) fn is(&self, place: usize, byte: u8) -> bool {
        byte != DISABLED && self.modes.characters[place] == byte
    }

    /// As [`Termios::is`], for those that only `IEXTEN` turns on.
    pub(super) fn is_extended(&self, place: usize, byte: u8) -> bool {
        self.local.contains(LocalFlags::IEXTEN) && self.is(place, byte)
    }

    pub(super) fn character(&self, place: usize) -> u8 {
        self.modes.characters[place]
    }

    /// Bytes that a read of a line that is not edited waits for: `VMIN`.
    pub(super) fn minimum_bytes(&self) -> usize {
        usize::from(self.character(character::MIN))
    }

    /// How long it waits, in tenths of a second: `VTIME`; 0 for ever.
    pub(super) fn patience_tenths(&self) -> u64 {
        u64::from(self.character(character::TIME))
    }

    /// Whether a byte is not the first of its character.
    pub(super) fn is_continuation(&self, byte: u8) -> bool {
        self.input.contains(InputFlags::IUTF8) && byte & 0xc0 == 0x80
    }

    /// Whether a typed byte may start stopped output again. POSIX: `IXANY`.
    pub(super) fn any_starts(&self) -> bool {
        self.input.contains(InputFlags::IXON | InputFlags::IXANY)
    }

    /// Whether `^S` and `^Q`, as usual, stop output and start it. Linux: `pty_set_termios()`, `TIOCPKT_DOSTOP`.
    pub(super) fn stops_by_characters(&self) -> bool {
        const CONTROL_S: u8 = 19;
        const CONTROL_Q: u8 = 17;
        self.input.contains(InputFlags::IXON)
            && self.character(character::STOP) == CONTROL_S
            && self.character(character::START) == CONTROL_Q
    }
}
