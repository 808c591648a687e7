//! What was typed and not read yet.

use std::collections::VecDeque;

/// Bytes that wait to be read, at most; of a line that is not finished one less. Linux: `N_TTY_BUF_SIZE`.
pub(super) const INPUT_BYTES_MAX: usize = 4096;

/// What a byte is in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Inside.
    Within,
    /// The last one.
    Last,
    /// No byte at all: the line ends before it. POSIX: `VEOF`.
    End,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    byte: u8,
    place: Place,
}

/// Typed bytes, in lines as far as they were edited. Linux: `read_buf` and `read_flags` of `struct n_tty_data`.
#[derive(Debug, Default)]
pub(super) struct Input {
    cells: VecDeque<Cell>,
    /// How many of them belong to finished lines, or were typed without editing.
    finished: usize,
}

impl Input {
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether a reader that reads lines has one.
    pub(super) fn has_line(&self) -> bool {
        self.finished > 0
    }

    /// Whether there is nothing to edit.
    pub(super) fn is_line_empty(&self) -> bool {
        self.cells.len() == self.finished
    }

    /// Whether a byte may come; a line that nobody can finish otherwise has room always. Linux: `n_tty_receive_buf_common()`.
    pub(super) fn has_room(&self, is_canonical: bool) -> bool {
        self.cells.len() < INPUT_BYTES_MAX - 1 || (is_canonical && self.finished == 0)
    }

    /// Drops the last byte of a line that is as long as a line may be, so that another may come.
    pub(super) fn make_room(&mut self) {
        if self.cells.len() >= INPUT_BYTES_MAX {
            self.cells.pop_back();
        }
    }

    /// Adds to the line that is edited.
    pub(super) fn push(&mut self, byte: u8) {
        let place = Place::Within;
        self.cells.push_back(Cell { byte, place });
    }

    /// Adds what is read as it is.
    pub(super) fn push_raw(&mut self, byte: u8) {
        self.push(byte);
        self.finished = self.cells.len();
    }

    /// Finishes the line with a byte.
    pub(super) fn finish(&mut self, byte: u8, place: Place) {
        self.cells.push_back(Cell { byte, place });
        self.finished = self.cells.len();
    }

    /// Returns the bytes of the line that is edited, the last one first.
    pub(super) fn line_backwards(&self) -> impl Iterator<Item = u8> {
        let line = self.cells.range(self.finished..);
        line.rev().map(|cell| cell.byte)
    }

    /// Returns the bytes of the line that is edited.
    pub(super) fn line(&self) -> impl Iterator<Item = u8> {
        self.cells.range(self.finished..).map(|cell| cell.byte)
    }

    /// Takes the last bytes from the line that is edited.
    pub(super) fn erase(&mut self, count: usize) {
        let left = self.cells.len().saturating_sub(count).max(self.finished);
        self.cells.truncate(left);
    }

    /// Takes a line, or the part of it that fits; `None` when there is none. Linux: `canon_copy_from_read_buf()`.
    pub(super) fn read_line(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if self.finished == 0 {
            return None;
        }
        for (count, byte) in buffer.iter_mut().enumerate() {
            let Some(cell) = self.take() else {
                return Some(count);
            };
            match cell.place {
                Place::End => return Some(count),
                Place::Last => {
                    *byte = cell.byte;
                    return Some(count + 1);
                }
                Place::Within => *byte = cell.byte,
            }
        }
        // An end right behind what was read belongs to it: else it would look like the end of the file.
        let is_end = |cell: &Cell| cell.place == Place::End;
        if !buffer.is_empty() && self.finished > 0 && self.cells.front().is_some_and(is_end) {
            self.take();
        }
        Some(buffer.len())
    }

    /// Takes what is there; `None` when nothing is.
    pub(super) fn read_raw(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let count = buffer.len().min(self.cells.len());
        for (byte, cell) in buffer.iter_mut().zip(self.cells.drain(..count)) {
            *byte = cell.byte;
        }
        self.finished = self.cells.len();
        (count > 0 || buffer.is_empty()).then_some(count)
    }

    fn take(&mut self) -> Option<Cell> {
        if self.finished == 0 {
            return None;
        }
        self.finished -= 1;
        self.cells.pop_front()
    }

    /// What is there becomes a line: editing begins. Linux: `n_tty_set_termios()`.
    pub(super) fn begin_lines(&mut self) {
        for cell in &mut self.cells {
            cell.place = Place::Within;
        }
        if let Some(last) = self.cells.back_mut() {
            last.place = Place::Last;
        }
        self.finished = self.cells.len();
    }

    /// What is there is read as it is: editing ends.
    pub(super) fn end_lines(&mut self) {
        self.finished = self.cells.len();
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.cells.clear();
        self.finished = 0;
    }

    /// Bytes that reads would give now. Linux: `inq_canon()`.
    pub(super) fn readable_bytes(&self, is_canonical: bool) -> usize {
        if !is_canonical {
            return self.cells.len();
        }
        let finished = self.cells.range(..self.finished);
        finished.filter(|cell| cell.place != Place::End).count()
    }
}
