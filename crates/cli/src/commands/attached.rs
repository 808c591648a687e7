//! A command that is attached to a program: its streams are the program's until that ends.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minke_engine::attach::{Connection, Frame, Stream};
use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;
use rustix::stdio;

use super::detach::{DetachKeys, Sifted};
use super::terminal::{self, Raw};
use crate::report::Report;

/// How much is read of what is typed at a time: less than a frame may hold.
const TYPED_BYTES: usize = 4096;

/// Signals that come at one time.
const SIGNALS_MAX: usize = 64;

/// How an attachment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The program has ended with this code.
    Ended(u8),
    /// The sandbox closed the connection without a word: it was killed, or gave this command up.
    CutOff,
    /// A signal ended this command.
    Signalled(u8),
    /// The keys that leave the program were typed.
    Detached,
}

/// A connection, and what is done with it.
pub(super) struct Attachment {
    pub(super) connection: Connection,
    /// Whether this command's standard input is read.
    pub(super) is_typed: bool,
    /// The keys that leave a program whose streams are a terminal: then that of this command is as one with it.
    pub(super) terminal: Option<DetachKeys>,
    /// Where numbers of signals come from, if they are not just to end this command.
    pub(super) signals: Option<OwnedFd>,
}

/// What is ready.
struct Ready {
    has_printed: bool,
    can_send: bool,
    is_typed: bool,
    is_signalled: bool,
}

impl Attachment {
    /// Copies until something ends it; `on_signal` may. The terminal of this command is as it was when it returns.
    pub(super) fn run(
        mut self,
        mut on_signal: impl FnMut(u8) -> Result<Option<Ending>, Report>,
    ) -> Result<Ending, Report> {
        let _raw = match self.terminal.is_some() && self.is_typed {
            true => Raw::enter()?,
            false => None,
        };
        if self.terminal.is_some() {
            self.tell_window();
        }
        loop {
            let ready = self.wait()?;
            if ready.is_signalled
                && let Some(ending) = self.take_signals(&mut on_signal)?
            {
                return Ok(ending);
            }
            if ready.can_send && self.connection.send_rest().is_err() {
                self.is_typed = false;
            }
            if ready.has_printed
                && let Some(ending) = self.show()?
            {
                return Ok(ending);
            }
            if ready.is_typed
                && let Some(ending) = self.take_typed()
            {
                return Ok(ending);
            }
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let is_sending = self.connection.is_sending();
        let wanted = match is_sending {
            true => PollFlags::IN | PollFlags::OUT,
            false => PollFlags::IN,
        };
        let mut fds = vec![PollFd::new(&self.connection, wanted)];
        // What is typed waits while the program does not read.
        let is_read = self.is_typed && !is_sending;
        fds.extend(is_read.then(|| PollFd::from_borrowed_fd(stdio::stdin(), PollFlags::IN)));
        let signals: Option<BorrowedFd<'_>> = self.signals.as_ref().map(AsFd::as_fd);
        fds.extend(signals.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match rustix::event::poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        let of_connection = fds[0].revents();
        Ok(Ready {
            has_printed: of_connection.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
            can_send: is_sending && of_connection.contains(PollFlags::OUT),
            is_typed: is_read && is_ready(1),
            is_signalled: self.signals.is_some() && is_ready(fds.len() - 1),
        })
    }

    /// Prints what has come.
    fn show(&mut self) -> Result<Option<Ending>, Report> {
        loop {
            match self.connection.receive() {
                Ok(Some(Frame::Printed(Stream::Stdout, bytes))) => {
                    let mut out = io::stdout().lock();
                    out.write_all(&bytes)?;
                    out.flush()?;
                }
                Ok(Some(Frame::Printed(Stream::Stderr, bytes))) => {
                    io::stderr().lock().write_all(&bytes)?;
                }
                Ok(Some(Frame::Ended(code))) => return Ok(Some(Ending::Ended(code))),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(_) => return Ok(Some(Ending::CutOff)),
            }
        }
    }

    /// Passes on what is typed. The other side may have gone: then what it printed before is still to be shown.
    fn take_typed(&mut self) -> Option<Ending> {
        let mut buffer = [0; TYPED_BYTES];
        let count = match rustix::io::read(stdio::stdin(), &mut buffer[..]) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return None,
            // A terminal that is gone types nothing any more.
            Err(_) => 0,
            Ok(count) => count,
        };
        if count == 0 {
            self.is_typed = false;
            let _ = self.connection.send(&Frame::TypedEnd);
            return None;
        }
        let Sifted { typed, is_detached } = match &mut self.terminal {
            Some(keys) => keys.sift(&buffer[..count]),
            None => Sifted {
                typed: buffer[..count].to_vec(),
                is_detached: false,
            },
        };
        if !typed.is_empty() && self.connection.send(&Frame::Typed(typed)).is_err() {
            self.is_typed = false;
        }
        is_detached.then_some(Ending::Detached)
    }

    fn take_signals(
        &mut self,
        on_signal: &mut impl FnMut(u8) -> Result<Option<Ending>, Report>,
    ) -> Result<Option<Ending>, Report> {
        let mut numbers = [0; SIGNALS_MAX];
        let signals = self.signals.as_ref();
        let count = signals.map_or(0, |signals| {
            rustix::io::read(signals, &mut numbers[..]).unwrap_or(0)
        });
        for number in &numbers[..count] {
            if i32::from(*number) == Signal::WINCH.as_raw() {
                self.tell_window();
            } else if let Some(ending) = on_signal(*number)? {
                return Ok(Some(ending));
            }
        }
        Ok(None)
    }

    /// Tells the size of this command's window. The other side may have gone: that is noticed where it is read.
    pub(super) fn tell_window(&mut self) {
        if let Some(size) = terminal::window_size() {
            let _ = self.connection.send(&Frame::Window(size));
        }
    }
}
