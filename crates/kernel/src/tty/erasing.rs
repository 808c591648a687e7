//! Erasing characters, words and lines. Linux: drivers/tty/n_tty.c `eraser()`.

use minke_abi::terminal::{LocalFlags, character};

use super::discipline::Discipline;
use super::letters;
use super::output::is_control;

/// How much of the line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Character,
    /// Back to the first byte that is neither letter nor digit behind one that is.
    Word,
    Line,
}

impl Discipline {
    /// Erases from the end of the line, as the typed byte says.
    pub(super) fn erase(&mut self, byte: u8) {
        if self.input.is_line_empty() {
            return;
        }
        if self.termios.is(character::ERASE, byte) {
            self.erase_to(Extent::Character);
        } else if self.termios.is_extended(character::WERASE, byte) {
            self.erase_to(Extent::Word);
        } else if !self.termios.echoes() {
            self.input.erase(usize::MAX);
        } else if self.erases_lines_visibly() {
            self.erase_to(Extent::Line);
        } else {
            self.kill_line(byte);
        }
        if self.input.is_line_empty() && self.termios.echoes() {
            self.finish_erasing();
        }
    }

    fn erases_lines_visibly(&self) -> bool {
        let wanted = LocalFlags::ECHOK | LocalFlags::ECHOKE | LocalFlags::ECHOE;
        self.termios.local.contains(wanted)
    }

    /// Gives the line up on a screen that cannot take it back.
    fn kill_line(&mut self, byte: u8) {
        self.input.erase(usize::MAX);
        self.finish_erasing();
        self.echo(byte);
        if self.termios.local.contains(LocalFlags::ECHOK) {
            self.echo_plainly(b"\n");
        }
    }

    fn erase_to(&mut self, extent: Extent) {
        let mut has_seen_word = false;
        while let Some((first, count)) = self.last_character() {
            if extent == Extent::Word {
                if letters::is_of_word(first) {
                    has_seen_word = true;
                } else if has_seen_word {
                    break;
                }
            }
            self.erase_character(first, count, extent);
            if extent == Extent::Character {
                break;
            }
        }
    }

    /// Returns the first byte of the line's last character and how many bytes it has; `None` where there is no whole one.
    fn last_character(&self) -> Option<(u8, usize)> {
        let bytes = self.input.line_backwards().enumerate();
        let mut firsts = bytes.filter(|(_, byte)| !self.termios.is_continuation(*byte));
        firsts.next().map(|(index, byte)| (byte, index + 1))
    }

    fn erase_character(&mut self, first: u8, count: usize, extent: Extent) {
        let mut erased: Vec<u8> = self.input.line_backwards().take(count).collect();
        erased.reverse();
        self.input.erase(count);
        if !self.termios.echoes() {
            return;
        }
        let local = self.termios.local;
        if local.contains(LocalFlags::ECHOPRT) {
            self.print_erased(&erased);
        } else if extent == Extent::Character && !local.contains(LocalFlags::ECHOE) {
            self.echo(self.termios.character(character::ERASE));
        } else if first == b'\t' {
            self.erase_tab();
        } else {
            self.erase_columns(first);
        }
    }

    fn print_erased(&mut self, erased: &[u8]) {
        if !self.is_erasing {
            self.echo_plainly(b"\\");
            self.is_erasing = true;
        }
        for (index, byte) in erased.iter().enumerate() {
            if index == 0 {
                self.echo(*byte);
            } else {
                self.echo_plainly(&[*byte]);
                self.output.step_back();
            }
        }
    }

    /// Goes back over a tab: how far depends on what is before it.
    fn erase_tab(&mut self) {
        let shows_control = self.termios.local.contains(LocalFlags::ECHOCTL);
        let (mut columns, mut is_after_tab) = (0, false);
        for byte in self.input.line_backwards() {
            if byte == b'\t' {
                is_after_tab = true;
                break;
            }
            columns += match is_control(byte) {
                true => 2 * u32::from(shows_control),
                false => u32::from(!self.termios.is_continuation(byte)),
            };
        }
        self.output.erase_tab(columns, is_after_tab);
    }

    fn erase_columns(&mut self, first: u8) {
        let shows_control = self.termios.local.contains(LocalFlags::ECHOCTL);
        let columns = match is_control(first) {
            true => 2 * usize::from(shows_control),
            false => 1,
        };
        for _ in 0..columns {
            self.echo_plainly(b"\x08 \x08");
        }
    }
}
