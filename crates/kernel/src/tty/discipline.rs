//! The line discipline: typed bytes become lines, signals and echoes. Linux: drivers/tty/n_tty.c; POSIX: 11 General Terminal Interface.

use minke_abi::linux::Signal;
use minke_abi::terminal::{InputFlags, LocalFlags, character};

use super::input::{Input, Place};
use super::letters;
use super::output::{Output, is_control};
use super::termios::Termios;

/// What is between the two ends of a terminal. Linux: `struct n_tty_data`.
#[derive(Debug, Default)]
pub(super) struct Discipline {
    pub(super) termios: Termios,
    pub(super) input: Input,
    pub(super) output: Output,
    /// The next byte has no meaning of its own (`VLNEXT`).
    is_quoted: bool,
    /// Erased characters are being printed between `\` and `/` (`ECHOPRT`).
    pub(super) is_erasing: bool,
}

/// What [`Discipline::receive`] has done besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A byte of a line, or of nothing.
    Byte,
    /// The foreground group gets a signal, and what waits was flushed if so.
    Signal(Signal, Flushed),
}

/// Whether input and output were forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    Yes,
    No,
}

impl Discipline {
    /// Whether a typed byte may come.
    pub(super) fn has_room(&self) -> bool {
        self.input.has_room(self.termios.is_canonical())
    }

    /// Changes the modes. Linux: `n_tty_set_termios()`.
    pub(super) fn set_termios(&mut self, termios: Termios) {
        let before = std::mem::replace(&mut self.termios, termios);
        if before.is_canonical() != termios.is_canonical() {
            match termios.is_canonical() {
                true => self.input.begin_lines(),
                false => self.input.end_lines(),
            }
            self.is_quoted = false;
            self.is_erasing = false;
        }
        let stops = |termios: &Termios| termios.input.contains(InputFlags::IXON);
        if stops(&before) && !stops(&termios) {
            self.start();
        }
    }

    /// Prints again what was stopped.
    pub(super) fn start(&mut self) {
        self.output.is_stopped = false;
        self.output.release();
    }

    /// Takes a typed byte; there is room ([`Discipline::has_room`]). Linux: `n_tty_receive_buf_standard()`.
    pub(super) fn receive(&mut self, byte: u8) -> Received {
        self.input.make_room();
        let byte = self.narrowed(byte);
        let is_quoted = std::mem::take(&mut self.is_quoted);
        if self.termios.local.contains(LocalFlags::EXTPROC) {
            self.store(byte);
            return Received::Byte;
        }
        if is_quoted {
            self.receive_plain(byte);
            return Received::Byte;
        }
        if self.receive_flow(byte) {
            return Received::Byte;
        }
        if let Some(signal) = self.signal_of(byte) {
            return self.receive_signal(signal, byte);
        }
        if self.termios.any_starts() {
            self.start();
        }
        match self.translated(byte) {
            None => {}
            Some(byte) if self.termios.is_canonical() && self.receive_editing(byte) => {}
            Some(b'\n') if byte == b'\r' => self.receive_newline(),
            Some(byte) => self.receive_plain(byte),
        }
        Received::Byte
    }

    fn narrowed(&self, byte: u8) -> u8 {
        let input = self.termios.input;
        let byte = match input.contains(InputFlags::ISTRIP) {
            true => byte & 0x7f,
            false => byte,
        };
        let is_extended = self.termios.local.contains(LocalFlags::IEXTEN);
        match input.contains(InputFlags::IUCLC) && is_extended {
            true => letters::lower(byte),
            false => byte,
        }
    }

    /// Whether the byte stops the output or starts it. Linux: `n_tty_receive_char_flow_ctrl()`.
    fn receive_flow(&mut self, byte: u8) -> bool {
        if !self.termios.input.contains(InputFlags::IXON) {
            return false;
        }
        if self.termios.is(character::START, byte) {
            self.start();
            return true;
        }
        let stops = self.termios.is(character::STOP, byte);
        self.output.is_stopped |= stops;
        stops
    }

    fn signal_of(&self, byte: u8) -> Option<Signal> {
        const SIGNALS: [(usize, Signal); 3] = [
            (character::INTR, Signal::INT),
            (character::QUIT, Signal::QUIT),
            (character::SUSP, Signal::TSTP),
        ];
        if !self.termios.local.contains(LocalFlags::ISIG) {
            return None;
        }
        let mut signals = SIGNALS.into_iter();
        signals.find_map(|(place, signal)| self.termios.is(place, byte).then_some(signal))
    }

    /// Linux: `isig()`, `n_tty_receive_signal_char()`.
    fn receive_signal(&mut self, signal: Signal, byte: u8) -> Received {
        let flushed = match self.termios.local.contains(LocalFlags::NOFLSH) {
            true => Flushed::No,
            false => Flushed::Yes,
        };
        if flushed == Flushed::Yes {
            self.output.flush();
            self.flush_input();
        }
        if self.termios.input.contains(InputFlags::IXON) {
            self.start();
        }
        if self.termios.echoes() {
            self.echo(byte);
        }
        Received::Signal(signal, flushed)
    }

    /// Forgets what was typed and not read.
    pub(super) fn flush_input(&mut self) {
        self.input.clear();
        self.is_quoted = false;
        self.is_erasing = false;
    }

    /// Makes line ends and returns what the modes make them; `None` for what is dropped.
    fn translated(&self, byte: u8) -> Option<u8> {
        let input = self.termios.input;
        match byte {
            b'\r' if input.contains(InputFlags::IGNCR) => None,
            b'\r' if input.contains(InputFlags::ICRNL) => Some(b'\n'),
            b'\n' if input.contains(InputFlags::INLCR) => Some(b'\r'),
            byte => Some(byte),
        }
    }

    /// Whether the byte does something to the line. Linux: `n_tty_receive_char_special()`.
    fn receive_editing(&mut self, byte: u8) -> bool {
        let termios = self.termios;
        let is_eraser = termios.is(character::ERASE, byte)
            || termios.is(character::KILL, byte)
            || termios.is_extended(character::WERASE, byte);
        if is_eraser {
            self.erase(byte);
        } else if termios.is_extended(character::LNEXT, byte) {
            self.quote_next();
        } else if termios.is_extended(character::REPRINT, byte) && termios.echoes() {
            self.reprint(byte);
        } else if byte == b'\n' {
            self.finish_with_newline();
        } else if termios.is(character::EOF, byte) {
            self.input.finish(0, Place::End);
        } else if termios.is(character::EOL, byte) || termios.is_extended(character::EOL2, byte) {
            self.echo_first(byte);
            self.input.finish(byte, Place::Last);
        } else {
            return false;
        }
        true
    }

    fn quote_next(&mut self) {
        self.is_quoted = true;
        if self.termios.echoes() {
            self.finish_erasing();
            if self.termios.local.contains(LocalFlags::ECHOCTL) {
                self.echo_plainly(b"^\x08");
            }
        }
    }

    fn reprint(&mut self, byte: u8) {
        self.finish_erasing();
        self.echo(byte);
        self.echo_plainly(b"\n");
        let line: Vec<u8> = self.input.line().collect();
        for byte in line {
            self.echo(byte);
        }
    }

    fn finish_with_newline(&mut self) {
        if self
            .termios
            .local
            .intersects(LocalFlags::ECHO | LocalFlags::ECHONL)
        {
            self.echo_plainly(b"\n");
        }
        self.input.finish(b'\n', Place::Last);
    }

    /// Takes a byte that only is what it is. Linux: `n_tty_receive_char()`.
    fn receive_plain(&mut self, byte: u8) {
        if self.termios.echoes() {
            self.finish_erasing();
            self.echo_first(byte);
        }
        self.store(byte);
    }

    /// Takes a return that became a newline, without editing; one that was typed is echoed as what it is.
    fn receive_newline(&mut self) {
        if self.termios.echoes() {
            self.finish_erasing();
            self.echo_plainly(b"\n");
        }
        self.store(b'\n');
    }

    fn store(&mut self, byte: u8) {
        match self.termios.is_canonical() {
            true => self.input.push(byte),
            false => self.input.push_raw(byte),
        }
    }

    /// Echoes a byte that may be the first of its line.
    fn echo_first(&mut self, byte: u8) {
        if !self.termios.echoes() {
            return;
        }
        if self.input.is_line_empty() {
            self.output.begin_line();
        }
        self.echo(byte);
    }

    /// Echoes a byte, a control character as the modes say. Linux: `echo_char()`.
    pub(super) fn echo(&mut self, byte: u8) {
        let shows_control = self.termios.local.contains(LocalFlags::ECHOCTL);
        if shows_control && is_control(byte) && byte != b'\t' {
            self.output.echo_control(byte);
        } else {
            self.output.echo(byte, &self.termios);
        }
    }

    /// Echoes bytes as they are. Linux: `echo_char_raw()`.
    pub(super) fn echo_plainly(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.output.echo(*byte, &self.termios);
        }
    }

    /// Ends what `ECHOPRT` prints.
    pub(super) fn finish_erasing(&mut self) {
        if std::mem::take(&mut self.is_erasing) {
            self.echo_plainly(b"/");
        }
    }
}
