//! A command's side of an attachment.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use super::Frame;

/// How much is read at a time.
const READ_BYTES: usize = 16 << 10;

/// A connection over which frames go. Nothing blocks; readiness is the caller's business.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

impl Connection {
    /// Takes a connection over on which frames are next.
    pub fn new(stream: UnixStream) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            inbox: Vec::new(),
            outbox: Vec::new(),
        })
    }

    /// Whether something waits to be sent: then the caller offers no more, and waits until the descriptor can be written.
    pub fn is_sending(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Sends a frame, or keeps what the socket does not take for [`Connection::send_rest`].
    pub fn send(&mut self, frame: &Frame) -> io::Result<()> {
        frame.append_to(&mut self.outbox);
        self.send_rest()
    }

    /// Sends what waits, as far as the socket takes it.
    pub fn send_rest(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(count) => drop(self.outbox.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns the next frame that is there; `None` when none is yet.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other side has gone without telling the program's end.
    pub fn receive(&mut self) -> io::Result<Option<Frame>> {
        let mut buffer = [0; READ_BYTES];
        loop {
            if let Some(frame) = Frame::take(&mut self.inbox)? {
                return Ok(Some(frame));
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.inbox.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
