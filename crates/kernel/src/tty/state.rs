//! What a terminal holds, under its lock.

use std::collections::VecDeque;

use minke_abi::signal::SignalSet;
use minke_abi::terminal::PacketStatus;
use minke_abi::{Errno, Result};

use super::devpts::TTY_GROUP;
use super::discipline::{Discipline, Flushed, Received};
use super::pair::Window;
use super::termios::Termios;
use crate::platform::Nanoseconds;
use crate::vfs::{Permissions, Timestamp};

/// Typed bytes that wait for room in the line discipline, at most. Linux: the default `limit` of a `struct tty_port`'s buffer.
pub(super) const ARRIVING_BYTES_MAX: usize = 65_536;

/// The state of a terminal.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) discipline: Discipline,
    /// Typed bytes for which the line discipline has no room.
    pub(super) arriving: VecDeque<u8>,
    pub(super) window: Window,
    /// When a byte was typed last.
    pub(super) typed_at: Nanoseconds,
    pub(super) attributes: Attributes,
    pub(super) slaves: u32,
    /// The last slave was closed, and none opened since. Linux: `TTY_OTHER_CLOSED` of the master.
    pub(super) is_left: bool,
    pub(super) is_locked: bool,
    pub(super) is_exclusive: bool,
    /// The master is gone, for good.
    pub(super) is_hung_up: bool,
    /// The master is told of more than bytes (`TIOCPKT`).
    pub(super) packet: Option<PacketStatus>,
}

/// What `stat` shows of `/dev/pts/N`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) permissions: Permissions,
    pub(super) accessed: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) changed: Timestamp,
}

impl Default for Attributes {
    /// Linux: devpts with `gid=5,mode=620`, as distributions and Docker mount it.
    fn default() -> Attributes {
        let time = Timestamp::default();
        Attributes {
            permissions: Permissions {
                mode: 0o620,
                uid: 0,
                gid: TTY_GROUP,
            },
            accessed: time,
            modified: time,
            changed: time,
        }
    }
}

impl State {
    /// Hands bytes to the line discipline as far as that has room; returns the signals that they mean.
    pub(super) fn arrive(&mut self) -> SignalSet {
        let mut signals = SignalSet::default();
        while self.discipline.has_room()
            && let Some(byte) = self.arriving.pop_front()
        {
            let was_stopped = self.discipline.output.is_stopped;
            if let Received::Signal(signal, flushed) = self.discipline.receive(byte) {
                signals.insert(signal);
                if flushed == Flushed::Yes {
                    self.tell(PacketStatus::FLUSHREAD | PacketStatus::FLUSHWRITE);
                }
            }
            self.tell_flow(was_stopped);
        }
        self.discipline.output.release();
        signals
    }

    pub(super) fn read_typed(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Discipline { input, termios, .. } = &mut self.discipline;
        let read = match termios.is_canonical() {
            true => input.read_line(buffer),
            false => input.read_raw(buffer),
        };
        let gives_up = !termios.is_canonical()
            && termios.minimum_bytes() == 0
            && termios.patience_tenths() == 0;
        match read {
            Some(count) => Ok(count),
            None if gives_up || buffer.is_empty() => Ok(0),
            None => Err(Errno::EAGAIN),
        }
    }

    pub(super) fn read_printed(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut start = 0;
        if let Some(status) = &mut self.packet {
            buffer[0] = std::mem::take(status).bits();
            if buffer[0] != 0 {
                return Ok(1);
            }
            start = 1;
        }
        match self.discipline.output.take(&mut buffer[start..]) {
            0 if self.discipline.output.len() > 0 => Ok(start),
            0 if self.is_left || self.is_hung_up => Err(Errno::EIO),
            0 => Err(Errno::EAGAIN),
            count => Ok(start + count),
        }
    }

    /// Whether a line is there, or so many bytes if lines are not edited.
    pub(super) fn has_typed(&self, wanted: usize) -> bool {
        let Discipline { input, termios, .. } = &self.discipline;
        match termios.is_canonical() {
            true => input.has_line(),
            false => input.len() >= wanted.max(1),
        }
    }

    pub(super) fn set_termios(&mut self, termios: Termios) {
        let was_stopped = self.discipline.output.is_stopped;
        let before = self.discipline.termios.stops_by_characters();
        self.discipline.set_termios(termios);
        self.tell_flow(was_stopped);
        match (before, termios.stops_by_characters()) {
            (true, false) => self.tell(PacketStatus::NOSTOP),
            (false, true) => self.tell(PacketStatus::DOSTOP),
            _ => {}
        }
    }

    pub(super) fn flush_input(&mut self) {
        self.discipline.flush_input();
        self.arriving.clear();
        self.tell(PacketStatus::FLUSHREAD);
    }

    pub(super) fn stop(&mut self) {
        let was_stopped = std::mem::replace(&mut self.discipline.output.is_stopped, true);
        self.tell_flow(was_stopped);
    }

    pub(super) fn start(&mut self) {
        let was_stopped = self.discipline.output.is_stopped;
        self.discipline.start();
        self.tell_flow(was_stopped);
    }

    /// Prints one of the control characters, for whoever reads the master.
    pub(super) fn send(&mut self, place: usize) {
        let Discipline {
            output, termios, ..
        } = &mut self.discipline;
        output.send(termios.character(place));
    }

    pub(super) fn tell_flow(&mut self, was_stopped: bool) {
        match (was_stopped, self.discipline.output.is_stopped) {
            (false, true) => self.tell(PacketStatus::STOP),
            (true, false) => self.tell(PacketStatus::START),
            _ => {}
        }
    }

    /// Tells the master in packet mode; what was told and is undone is told no more.
    pub(super) fn tell(&mut self, news: PacketStatus) {
        const OPPOSITES: [(PacketStatus, PacketStatus); 4] = [
            (PacketStatus::STOP, PacketStatus::START),
            (PacketStatus::START, PacketStatus::STOP),
            (PacketStatus::NOSTOP, PacketStatus::DOSTOP),
            (PacketStatus::DOSTOP, PacketStatus::NOSTOP),
        ];
        let Some(status) = &mut self.packet else {
            return;
        };
        for (_, undone) in OPPOSITES.iter().filter(|(it, _)| news.contains(*it)) {
            status.remove(*undone);
        }
        status.insert(news);
    }
}
