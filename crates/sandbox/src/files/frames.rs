//! Frames: a stream of any length on a connection that goes on afterwards.
//!
//! A frame is its length (four bytes, little-endian) and so many bytes; an empty one ends the stream.

use std::io::{self, Read, Write};

/// Bounds a frame; a longer one is refused before it is held.
pub const FRAME_BYTES_MAX: usize = 64 << 10;

/// Bytes of the length before a frame.
const LENGTH_BYTES: usize = 4;

/// The frame that ends a stream; alone, it is a stream of nothing.
pub(crate) const END: [u8; LENGTH_BYTES] = [0; LENGTH_BYTES];

/// Writes a stream as frames. What is written is sent when a frame is full, or at the end.
pub struct FrameWriter<W> {
    target: W,
    /// The frame that is being filled, behind room for its length.
    frame: Vec<u8>,
}

impl<W: Write> FrameWriter<W> {
    /// Begins a stream.
    pub fn new(target: W) -> FrameWriter<W> {
        FrameWriter {
            target,
            frame: vec![0; LENGTH_BYTES],
        }
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// What the connection says.
    pub fn finish(mut self) -> io::Result<()> {
        self.send()?;
        self.target.write_all(&END)?;
        self.target.flush()
    }

    fn send(&mut self) -> io::Result<()> {
        let length = self.frame.len() - LENGTH_BYTES;
        if length == 0 {
            return Ok(());
        }
        let length = u32::try_from(length).expect("a frame has a bound");
        self.frame[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        let sent = self.target.write_all(&self.frame);
        self.frame.truncate(LENGTH_BYTES);
        sent
    }
}

impl<W: Write> Write for FrameWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = FRAME_BYTES_MAX - (self.frame.len() - LENGTH_BYTES);
        let count = bytes.len().min(room);
        self.frame.extend_from_slice(&bytes[..count]);
        if count == room {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// Reads a stream of frames to its end, and nothing behind it.
pub struct FrameReader<R> {
    source: R,
    /// Bytes of the frame that were not read yet.
    left: usize,
    has_ended: bool,
}

impl<R: Read> FrameReader<R> {
    /// Begins a stream.
    pub fn new(source: R) -> FrameReader<R> {
        FrameReader {
            source,
            left: 0,
            has_ended: false,
        }
    }

    /// Returns the connection.
    pub fn into_source(self) -> R {
        self.source
    }

    fn next_frame(&mut self) -> io::Result<()> {
        let mut length = [0; LENGTH_BYTES];
        self.source.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > FRAME_BYTES_MAX {
            let message = format!("a frame of {length} bytes is longer than {FRAME_BYTES_MAX}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.left = length;
        self.has_ended = length == 0;
        Ok(())
    }
}

impl<R: Read> Read for FrameReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.has_ended && !buffer.is_empty() {
            self.next_frame()?;
        }
        let wanted = self.left.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.source.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(bytes: &[u8]) -> Vec<u8> {
        let mut sent = Vec::new();
        let mut writer = FrameWriter::new(&mut sent);
        writer.write_all(bytes).expect("memory takes all");
        writer.finish().expect("memory takes all");
        sent
    }

    #[test]
    fn a_stream_is_read_as_it_was_written_and_not_beyond() {
        for length in [
            0,
            1,
            FRAME_BYTES_MAX - 1,
            FRAME_BYTES_MAX,
            3 * FRAME_BYTES_MAX + 5,
        ] {
            let bytes: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let mut sent = framed(&bytes);
            sent.extend_from_slice(b"behind");
            let mut reader = FrameReader::new(&sent[..]);
            let mut read = Vec::new();
            reader.read_to_end(&mut read).expect("it is whole");
            assert_eq!(
                (read == bytes, reader.into_source()),
                (true, &b"behind"[..])
            );
        }
    }

    #[test]
    fn a_stream_that_is_cut_or_announces_too_much_is_an_error() {
        let sent = framed(b"some bytes");
        for end in [0, 3, 4, 9, sent.len() - 1] {
            let read = FrameReader::new(&sent[..end]).read_to_end(&mut Vec::new());
            let error = read.expect_err("it is cut");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{end}");
        }
        let read = FrameReader::new(&[0xff; 8][..]).read_to_end(&mut Vec::new());
        assert_eq!(
            read.expect_err("it is too long").kind(),
            io::ErrorKind::InvalidData
        );
    }
}
