//! What was printed and not taken from the master yet, and echoes.

use std::collections::VecDeque;

use minke_abi::terminal::OutputFlags;

use super::letters;
use super::termios::Termios;

/// Bytes that wait for whoever reads the master, at most. Linux: the default `limit` of a `struct tty_port`'s buffer.
pub(super) const OUTPUT_BYTES_MAX: usize = 65_536;

/// Echoes that wait for a terminal that was stopped or is full; later ones are lost. Linux: `echo_buf` of `struct n_tty_data`.
pub(super) const ECHO_BYTES_MAX: usize = 4096;

/// Echoes that are printed before the last byte that came with them was looked at. Linux: `ECHO_COMMIT_WATERMARK`.
const ECHO_COMMIT_BYTES: usize = 256;

/// What a flush leaves, because the master's own line discipline has it. Linux: `pty_flush_buffer()`.
const BEYOND_FLUSH_BYTES: usize = 4095;

/// The most bytes that one becomes: a tab.
const EXPANDED_BYTES_MAX: usize = 8;

/// Columns of a tab.
const TAB_COLUMNS: u32 = 8;

/// Output of a terminal, and where its cursor is.
#[derive(Debug, Default)]
pub(super) struct Output {
    queue: VecDeque<u8>,
    /// Echoes that wait: for the end of what came with them, or for a terminal that can print.
    held: VecDeque<u8>,
    /// Where the next character goes, from 0.
    column: u32,
    /// The same without the echoes that wait.
    printed_column: u32,
    /// Where the line that is edited begins.
    line_column: u32,
    /// Nothing is printed (`^S`, `TCOOFF`).
    pub(super) is_stopped: bool,
}

impl Output {
    /// Whether a program may print.
    pub(super) fn has_room(&self) -> bool {
        self.can_take_byte() && self.held.is_empty()
    }

    fn can_take_byte(&self) -> bool {
        let count = self.queue.len() + self.held.len();
        !self.is_stopped && count + EXPANDED_BYTES_MAX <= OUTPUT_BYTES_MAX
    }

    /// Prints as much as there is room for; returns how much of it. Linux: `n_tty_write()`.
    pub(super) fn print(&mut self, bytes: &[u8], termios: &Termios) -> usize {
        self.release();
        if !self.held.is_empty() {
            return 0;
        }
        let mut count = 0;
        while count < bytes.len() && self.can_take_byte() {
            self.print_byte(bytes[count], termios);
            count += 1;
        }
        self.release();
        count
    }

    fn print_byte(&mut self, byte: u8, termios: &Termios) {
        match termios.output.contains(OutputFlags::OPOST) {
            true => self.process(byte, termios),
            false => self.put(byte),
        }
    }

    /// Whether an echo may come; none does while too many wait.
    fn can_echo(&mut self) -> bool {
        if self.held.len() >= ECHO_COMMIT_BYTES {
            self.release();
        }
        self.held.len() + EXPANDED_BYTES_MAX <= ECHO_BYTES_MAX
    }

    /// Echoes a byte as a program would print it.
    pub(super) fn echo(&mut self, byte: u8, termios: &Termios) {
        if self.can_echo() {
            self.print_byte(byte, termios);
        }
    }

    /// Echoes a control character as `^X`.
    pub(super) fn echo_control(&mut self, byte: u8) {
        if !self.can_echo() {
            return;
        }
        self.put(b'^');
        self.put(byte ^ 0o100);
        self.column += 2;
    }

    /// Goes back over a tab, behind so many columns of its line, or of what follows another tab.
    pub(super) fn erase_tab(&mut self, columns: u32, is_after_tab: bool) {
        if !self.can_echo() {
            return;
        }
        let start = if is_after_tab { 0 } else { self.line_column };
        for _ in 0..TAB_COLUMNS - (columns + start) % TAB_COLUMNS {
            self.put(b'\x08');
            self.column = self.column.saturating_sub(1);
        }
    }

    /// Goes back a column without a byte: what was echoed takes none.
    pub(super) fn step_back(&mut self) {
        self.column = self.column.saturating_sub(1);
    }

    /// The line that is edited begins where the cursor is.
    pub(super) fn begin_line(&mut self) {
        self.line_column = self.column;
    }

    /// Linux: drivers/tty/n_tty.c `do_output_char()`.
    fn process(&mut self, byte: u8, termios: &Termios) {
        let flags = termios.output;
        match byte {
            b'\n' => {
                if flags.contains(OutputFlags::ONLRET) {
                    self.column = 0;
                }
                if flags.contains(OutputFlags::ONLCR) {
                    self.column = 0;
                    self.put(b'\r');
                }
                self.line_column = self.column;
            }
            b'\r' => return self.process_return(flags),
            b'\t' => return self.process_tab(flags),
            b'\x08' => self.column = self.column.saturating_sub(1),
            _ if is_control(byte) => {}
            _ => {
                self.column += u32::from(!termios.is_continuation(byte));
                if flags.contains(OutputFlags::OLCUC) {
                    return self.put(letters::upper(byte));
                }
            }
        }
        self.put(byte);
    }

    fn process_return(&mut self, flags: OutputFlags) {
        if flags.contains(OutputFlags::ONOCR) && self.column == 0 {
            return;
        }
        if !flags.contains(OutputFlags::OCRNL) {
            self.column = 0;
            self.line_column = 0;
            return self.put(b'\r');
        }
        if flags.contains(OutputFlags::ONLRET) {
            self.column = 0;
            self.line_column = 0;
        }
        self.put(b'\n');
    }

    fn process_tab(&mut self, flags: OutputFlags) {
        let columns = TAB_COLUMNS - self.column % TAB_COLUMNS;
        self.column += columns;
        if flags.contains(OutputFlags::XTABS) {
            (0..columns).for_each(|_| self.put(b' '));
        } else {
            self.put(b'\t');
        }
    }

    /// Prints a byte as it is, whatever the modes say, even if nothing else is printed.
    pub(super) fn send(&mut self, byte: u8) {
        if self.queue.len() < OUTPUT_BYTES_MAX {
            self.queue.push_back(byte);
        }
    }

    fn put(&mut self, byte: u8) {
        self.held.push_back(byte);
    }

    /// Prints what is held back, as far as there is room.
    pub(super) fn release(&mut self) {
        if self.is_stopped {
            return;
        }
        let room = OUTPUT_BYTES_MAX - self.queue.len();
        let count = room.min(self.held.len());
        self.queue.extend(self.held.drain(..count));
        if self.held.is_empty() {
            self.printed_column = self.column;
        }
    }

    /// Bytes that wait for the master.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Takes what is there; returns how much.
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.queue.len());
        for (byte, printed) in buffer.iter_mut().zip(self.queue.drain(..count)) {
            *byte = printed;
        }
        self.release();
        count
    }

    /// Forgets what has not got through to the master. POSIX: `tcflush()`.
    pub(super) fn flush(&mut self) {
        self.held.clear();
        self.column = self.printed_column;
        self.queue.truncate(BEYOND_FLUSH_BYTES);
    }

    /// Forgets everything: the master flushes its input.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.release();
    }
}

/// Whether a byte is a control character of ASCII.
pub(super) fn is_control(byte: u8) -> bool {
    byte.is_ascii_control()
}
