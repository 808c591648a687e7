//! The vectors of buffers that reads and writes name: decoded and checked once, copied once.

use minke_kernel::{Errno, Result};
use smallvec::SmallVec;

use super::{GuestAddr, MemoryView};

/// Most buffers in one call. Linux: `UIO_MAXIOV`.
const BUFFERS_MAX: u32 = 1024;

/// Most bytes that one call moves; the rest is served short. Linux: `MAX_RW_COUNT`.
const TRANSFER_BYTES_MAX: u64 = 0x7fff_f000;

/// Bytes of one `iovec` or `ciovec`.
const VECTOR_BYTES: u64 = 8;

/// Buffers that are kept without an allocation: libc's own writes have two.
const BUFFERS_INLINE: usize = 4;

/// Bytes of several buffers that are put together on the stack.
const GATHER_BYTES_INLINE: usize = 512;

/// Longest piece that is moved at once: between two pieces a guest that is to end does.
const PIECE_BYTES_MAX: u64 = 1 << 20;

/// Most bytes of several buffers that are put together, so that they make one line or datagram.
const GATHER_BYTES_MAX: u64 = 1 << 18;

/// A part of the guest's memory that was checked to be there.
#[derive(Clone, Copy)]
struct Buffer {
    address: GuestAddr,
    length: u64,
}

/// The buffers of one call, none of them empty.
pub(crate) struct Buffers {
    buffers: SmallVec<[Buffer; BUFFERS_INLINE]>,
    total: u64,
}

impl Buffers {
    /// Reads and checks an array of `iovec`s.
    pub(crate) fn decode(memory: &MemoryView<'_>, array: u32, count: u32) -> Result<Buffers> {
        if count > BUFFERS_MAX {
            return Err(Errno::EINVAL);
        }
        let mut decoded = Buffers {
            buffers: SmallVec::new(),
            total: 0,
        };
        for index in 0..u64::from(count) {
            decoded.push(memory, GuestAddr::from(array).offset(index * VECTOR_BYTES))?;
        }
        Ok(decoded)
    }

    fn push(&mut self, memory: &MemoryView<'_>, vector: GuestAddr) -> Result<()> {
        let address = GuestAddr::from(memory.read_u32(vector)?);
        let length = u64::from(memory.read_u32(vector.offset(4))?);
        memory.check(address, length)?;
        self.push_range(address, length);
        Ok(())
    }

    fn push_range(&mut self, address: GuestAddr, length: u64) {
        let length = length.min(TRANSFER_BYTES_MAX - self.total);
        self.total += length;
        let mut done = 0;
        while done < length {
            let piece = Buffer {
                address: address.offset(done),
                length: (length - done).min(PIECE_BYTES_MAX),
            };
            done += piece.length;
            self.buffers.push(piece);
        }
    }

    /// Takes one range for all buffers: of `read` and `write`.
    pub(crate) fn one(memory: &MemoryView<'_>, address: GuestAddr, length: u64) -> Result<Buffers> {
        memory.check(address, length)?;
        let mut decoded = Buffers {
            buffers: SmallVec::new(),
            total: 0,
        };
        decoded.push_range(address, length);
        Ok(decoded)
    }

    /// Bytes of all buffers together.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Fills the buffers one after the other from a file: `read` gets the bytes done before it.
    /// Stops at the first short read.
    pub(crate) fn fill(
        &self,
        memory: &mut MemoryView<'_>,
        mut read: impl FnMut(&mut [u8], u64) -> Result<usize>,
    ) -> Result<u64> {
        if self.buffers.is_empty() {
            return read(&mut [], 0).map(|count| count as u64);
        }
        let mut done = 0;
        for buffer in &self.buffers {
            let read = memory.receive(
                buffer.address,
                buffer.length,
                |bytes| read(bytes, done),
                |count| *count,
            );
            let count = match read {
                Ok(count) => count as u64,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            };
            done += count;
            if count < buffer.length {
                break;
            }
        }
        Ok(done)
    }

    /// Fills the buffers by one read, as a stream or datagram needs it: several get what one aside took.
    /// `count_of` tells how many bytes a result put into the buffer.
    pub(crate) fn receive<R>(
        &self,
        memory: &mut MemoryView<'_>,
        read: impl FnOnce(&mut [u8]) -> Result<R>,
        count_of: impl Fn(&R) -> usize,
    ) -> Result<R> {
        match self.buffers.as_slice() {
            [] => read(&mut []),
            [only] => memory.receive(only.address, only.length, read, count_of),
            // No message is longer than such a buffer.
            [first, ..] if first.length >= GATHER_BYTES_MAX => {
                memory.receive(first.address, first.length, read, count_of)
            }
            several => {
                let mut aside = vec![0; self.total.min(GATHER_BYTES_MAX) as usize];
                let result = read(&mut aside)?;
                let received = aside.get(..count_of(&result)).unwrap_or(&aside);
                scatter(memory, several, received)?;
                Ok(result)
            }
        }
    }

    /// Hands the buffers' bytes from `skip` on to one write, put together where they are several.
    pub(crate) fn send(
        &self,
        memory: &MemoryView<'_>,
        skip: u64,
        write: impl FnOnce(&[u8]) -> Result<usize>,
    ) -> Result<usize> {
        let mut rest = self.from(skip);
        match (rest.next(), rest.next()) {
            (None, _) => write(&[]),
            (Some(only), None) => memory.with_slice(only.address, only.length, write),
            // No message is longer than such a buffer, so nothing is torn apart.
            (Some(first), Some(_)) if first.length >= GATHER_BYTES_MAX => {
                memory.with_slice(first.address, first.length, write)
            }
            _ => write(&self.gather(memory, skip)?),
        }
    }

    fn gather(
        &self,
        memory: &MemoryView<'_>,
        skip: u64,
    ) -> Result<SmallVec<[u8; GATHER_BYTES_INLINE]>> {
        let mut gathered = SmallVec::new();
        for buffer in self.from(skip) {
            let start = gathered.len();
            let length = buffer.length.min(GATHER_BYTES_MAX - start as u64);
            gathered.resize(start + length as usize, 0);
            memory.read_into(buffer.address, &mut gathered[start..])?;
            if length < buffer.length {
                break;
            }
        }
        Ok(gathered)
    }

    /// What is left of the buffers after `skip` bytes.
    fn from(&self, mut skip: u64) -> impl Iterator<Item = Buffer> {
        self.buffers.iter().filter_map(move |buffer| {
            let skipped = skip.min(buffer.length);
            skip -= skipped;
            (skipped < buffer.length).then(|| Buffer {
                address: buffer.address.offset(skipped),
                length: buffer.length - skipped,
            })
        })
    }
}

/// Spreads bytes over buffers.
fn scatter(memory: &mut MemoryView<'_>, buffers: &[Buffer], mut bytes: &[u8]) -> Result<()> {
    for buffer in buffers {
        let (part, rest) = bytes.split_at(bytes.len().min(buffer.length as usize));
        memory.write(buffer.address, part)?;
        bytes = rest;
    }
    Ok(())
}
