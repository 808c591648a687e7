//! A bound on the headers of a foreign tar, which the tar crate reads whole into memory.
//!
//! A pax header or a GNU long name may claim gigabytes. So the crate reads through a [`BoundedReader`], which gives out so
//! many bytes for the headers of one entry, and as many as are asked for once its content begins.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};

/// Bounds what the headers of one entry have together: a path, what it links to, a few times and extended attributes.
pub const HEADER_BYTES_MAX: u64 = 1 << 20;

/// How many bytes may be read of a tar now.
#[derive(Debug)]
pub struct HeaderBytes {
    /// None while content is read.
    left: Cell<Option<u64>>,
    /// Of the entry whose headers are read, from 1.
    number: Cell<u64>,
}

impl HeaderBytes {
    /// Begins with the first entry's headers.
    pub fn new() -> Self {
        Self {
            left: Cell::new(Some(HEADER_BYTES_MAX)),
            number: Cell::new(1),
        }
    }

    /// Returns a reader of a tar that is bound by this.
    pub fn bound<R>(&self, tar: R) -> BoundedReader<'_, R> {
        BoundedReader { tar, bytes: self }
    }

    /// Lets an entry's content be read.
    pub fn begin_content(&self) {
        self.left.set(None);
    }

    /// Expects the headers of the next entry.
    pub fn begin_headers(&self) {
        self.left.set(Some(HEADER_BYTES_MAX));
        self.number.set(self.number.get() + 1);
    }

    /// Returns the entry whose headers were too long, counted from 1.
    pub fn exceeded(&self) -> Option<u64> {
        (self.left.get() == Some(0)).then(|| self.number.get())
    }
}

impl Default for HeaderBytes {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads a tar as far as [`HeaderBytes`] lets it.
#[derive(Debug)]
pub struct BoundedReader<'bytes, R> {
    tar: R,
    bytes: &'bytes HeaderBytes,
}

impl<R: Read> Read for BoundedReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.bytes.left.get() else {
            return self.tar.read(buffer);
        };
        if left == 0 && !buffer.is_empty() {
            let number = self.bytes.number.get();
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("entry {number} has headers of more than {HEADER_BYTES_MAX} bytes"),
            ));
        }
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| buffer.len().min(left));
        let count = self.tar.read(&mut buffer[..wanted])?;
        self.bytes.left.set(Some(left - count as u64));
        Ok(count)
    }
}

impl<R: Seek> Seek for BoundedReader<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.tar.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_bound_and_contents_are_not() {
        let bytes = HeaderBytes::new();
        let mut reader = bytes.bound(io::repeat(1));
        let mut read = |count: u64| io::copy(&mut reader.by_ref().take(count), &mut io::sink());
        assert_eq!(
            read(HEADER_BYTES_MAX - 1).expect("few enough"),
            HEADER_BYTES_MAX - 1
        );
        assert_eq!(bytes.exceeded(), None);
        bytes.begin_content();
        assert_eq!(
            read(3 * HEADER_BYTES_MAX).expect("content"),
            3 * HEADER_BYTES_MAX
        );
        bytes.begin_headers();
        let error = read(HEADER_BYTES_MAX + 1).expect_err("too many");
        assert_eq!(
            error.to_string(),
            "entry 2 has headers of more than 1048576 bytes"
        );
        assert_eq!(bytes.exceeded(), Some(2));
    }
}
