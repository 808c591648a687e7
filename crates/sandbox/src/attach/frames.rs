//! Frames: a kind, a length (four bytes, little-endian), and as many bytes.

use std::io;

use super::WindowSize;
use crate::logs::Stream;

/// Bounds a frame's bytes; longer ones are refused before they are held.
pub(super) const FRAME_BYTES_MAX: usize = 64 << 10;

/// Bytes before those of a frame: its kind and its length.
const HEADER_BYTES: usize = 5;

/// What goes over a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// To the program: bytes of the standard input, at most 64 KiB.
    Typed(Vec<u8>),
    /// To the program: no more bytes come.
    TypedEnd,
    /// To the program's terminal, if it has one: the window that shows it has this size now.
    Window(WindowSize),
    /// From the program.
    Printed(Stream, Vec<u8>),
    /// The program has ended with this code; nothing comes behind it.
    Ended(u8),
}

const TYPED: u8 = 0;
const TYPED_END: u8 = 1;
const STDOUT: u8 = 2;
const STDERR: u8 = 3;
const ENDED: u8 = 4;
const WINDOW: u8 = 5;

impl Frame {
    /// Lays the frame out behind what is there.
    pub fn append_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Frame::Typed(typed) => append(bytes, TYPED, typed),
            Frame::TypedEnd => append(bytes, TYPED_END, &[]),
            Frame::Window(size) => append(bytes, WINDOW, &size.map(u16::to_le_bytes).concat()),
            Frame::Printed(stream, printed) => append_printed(bytes, *stream, printed),
            Frame::Ended(code) => append(bytes, ENDED, &[*code]),
        }
    }

    /// Takes the first whole frame out of bytes that were received; `None` when more are needed.
    ///
    /// # Errors
    /// When they can be no frame, at the earliest byte that shows it.
    pub fn take(inbox: &mut Vec<u8>) -> io::Result<Option<Frame>> {
        let Some(header) = inbox.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let [kind, length @ ..] = *header;
        let length = u32::from_le_bytes(length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(malformed(format!("a frame of {length} bytes")));
        }
        let Some(body) = inbox.get(HEADER_BYTES..HEADER_BYTES + length) else {
            return Ok(None);
        };
        let frame = parse(kind, body)?;
        inbox.drain(..HEADER_BYTES + length);
        Ok(Some(frame))
    }
}

/// Lays out what was printed, in as many frames as it takes.
pub(super) fn append_printed(bytes: &mut Vec<u8>, stream: Stream, printed: &[u8]) {
    let kind = match stream {
        Stream::Stdout => STDOUT,
        Stream::Stderr => STDERR,
    };
    for piece in printed.chunks(FRAME_BYTES_MAX) {
        append(bytes, kind, piece);
    }
}

fn append(bytes: &mut Vec<u8>, kind: u8, body: &[u8]) {
    bytes.push(kind);
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(body);
}

fn parse(kind: u8, body: &[u8]) -> io::Result<Frame> {
    match (kind, body) {
        (TYPED, _) => Ok(Frame::Typed(body.to_vec())),
        (TYPED_END, []) => Ok(Frame::TypedEnd),
        (STDOUT, _) => Ok(Frame::Printed(Stream::Stdout, body.to_vec())),
        (STDERR, _) => Ok(Frame::Printed(Stream::Stderr, body.to_vec())),
        (ENDED, [code]) => Ok(Frame::Ended(*code)),
        (WINDOW, [a, b, c, d, e, f, g, h]) => {
            let size = [[*a, *b], [*c, *d], [*e, *f], [*g, *h]];
            Ok(Frame::Window(size.map(u16::from_le_bytes)))
        }
        _ => Err(malformed(format!("a frame of kind {kind}"))),
    }
}

fn malformed(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
