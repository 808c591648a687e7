//! What a file system lies on: bytes that are read, written, and made durable all at once.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// Why a device did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error("bytes {offset} to {end} lie beyond the device's end")]
    OutOfBounds { offset: u64, end: u64 },
    #[error("the device is read-only")]
    ReadOnly,
    /// There is no room left for what changed.
    #[error("no space left on the device")]
    NoSpace,
    /// What the host said.
    #[error("{0}")]
    Failed(String),
}

/// A block device whose changes take effect together.
///
/// Whatever was written since the last [`Device::commit`] becomes durable with the next one as a whole, or is lost as a
/// whole. A file system on it needs no journal: it commits when it is consistent, and may write at any time before.
///
/// All methods may be called at the same time from several threads; a read beside a write of the same bytes sees any mixture.
pub trait Device: Send + Sync {
    /// Returns the size in bytes.
    fn size(&self) -> u64;

    /// Fills `buffer` with the bytes from `offset` on: the last that were written, durable or not.
    ///
    /// # Errors
    /// [`DeviceError::OutOfBounds`] if they do not all lie inside; whatever the host says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError>;

    /// Writes bytes from `offset` on.
    ///
    /// # Errors
    /// As [`Device::read_at`]; [`DeviceError::ReadOnly`]; [`DeviceError::NoSpace`].
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Says that bytes are not needed any more; they read as zeros or as before from now on.
    ///
    /// # Errors
    /// As [`Device::write_at`].
    fn discard(&self, offset: u64, length: u64) -> Result<(), DeviceError>;

    /// Makes all that was written and discarded since the last commit durable, all or nothing.
    ///
    /// # Errors
    /// Whatever the host says; then nothing of it is durable.
    fn commit(&self) -> Result<(), DeviceError>;

    /// Returns bytes from `offset` on in place, as many, at most `length`, as are there in one piece, if the device keeps them as they are while
    /// it lives, whatever is written over them later; such as those of a mapped base that no change covers now.
    fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]>;
}

impl<D: Device + ?Sized> Device for std::sync::Arc<D> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        (**self).read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        (**self).write_at(offset, bytes)
    }

    fn discard(&self, offset: u64, length: u64) -> Result<(), DeviceError> {
        (**self).discard(offset, length)
    }

    fn commit(&self) -> Result<(), DeviceError> {
        (**self).commit()
    }

    fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]> {
        (**self).mapped(offset, length)
    }
}

impl<D: Device + ?Sized> Device for &D {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        (**self).read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        (**self).write_at(offset, bytes)
    }

    fn discard(&self, offset: u64, length: u64) -> Result<(), DeviceError> {
        (**self).discard(offset, length)
    }

    fn commit(&self) -> Result<(), DeviceError> {
        (**self).commit()
    }

    fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]> {
        (**self).mapped(offset, length)
    }
}

/// Bytes in memory that cannot be written.
impl Device for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DeviceError> {
        let bytes = self
            .mapped(offset, buffer.len())
            .ok_or(DeviceError::OutOfBounds {
                offset,
                end: offset.saturating_add(buffer.len() as u64),
            })?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, _offset: u64, _bytes: &[u8]) -> Result<(), DeviceError> {
        Err(DeviceError::ReadOnly)
    }

    fn discard(&self, _offset: u64, _length: u64) -> Result<(), DeviceError> {
        Err(DeviceError::ReadOnly)
    }

    fn commit(&self) -> Result<(), DeviceError> {
        Err(DeviceError::ReadOnly)
    }

    fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.get(start..start.checked_add(length)?)
    }
}

/// Bytes of one piece of a [`MemoryDevice`].
const PIECE_BYTES: usize = 4096;

/// A sparse device in memory; what was never written is zeros. Nothing outlives it, so committing does nothing.
pub struct MemoryDevice {
    size: u64,
    /// Pieces that were written, by their number.
    pieces: RwLock<BTreeMap<u64, Box<[u8; PIECE_BYTES]>>>,
}

impl MemoryDevice {
    /// Makes a device of zeros.
    pub fn new(size: u64) -> MemoryDevice {
        MemoryDevice {
            size,
            pieces: RwLock::default(),
        }
    }

    /// Makes a device with the bytes of an image.
    pub fn from_image(image: &[u8]) -> MemoryDevice {
        let device = MemoryDevice::new(image.len() as u64);
        for (number, bytes) in image.chunks(PIECE_BYTES).enumerate() {
            if bytes.iter().any(|byte| *byte != 0) {
                let offset = (number * PIECE_BYTES) as u64;
                device
                    .write_at(offset, bytes)
                    .expect("it is as large as the image");
            }
        }
        device
    }

    /// Hands out what was written, piece by piece with its offset; all else is zeros.
    pub fn for_each_piece(&self, mut visit: impl FnMut(u64, &[u8])) {
        let pieces = self.pieces.read().unwrap_or_else(PoisonError::into_inner);
        for (number, piece) in pieces.iter() {
            let offset = number * PIECE_BYTES as u64;
            let length = (self.size - offset).min(PIECE_BYTES as u64) as usize;
            visit(offset, &piece[..length]);
        }
    }

    fn check(&self, offset: u64, length: u64) -> Result<(), DeviceError> {
        let end = offset.saturating_add(length);
        match end <= self.size {
            true => Ok(()),
            false => Err(DeviceError::OutOfBounds { offset, end }),
        }
    }
}

/// Splits `length` bytes from `offset` on at the borders of pieces: number of the piece, first byte in it, number of bytes.
fn split(offset: u64, length: u64) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset + length;
    let mut at = offset;
    std::iter::from_fn(move || {
        let (number, first) = (at / PIECE_BYTES as u64, (at % PIECE_BYTES as u64) as usize);
        let count = (end - at).min((PIECE_BYTES - first) as u64) as usize;
        at += count as u64;
        (count > 0).then_some((number, first, count))
    })
}

impl Device for MemoryDevice {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, mut buffer: &mut [u8]) -> Result<(), DeviceError> {
        self.check(offset, buffer.len() as u64)?;
        let pieces = self.pieces.read().unwrap_or_else(PoisonError::into_inner);
        for (number, first, count) in split(offset, buffer.len() as u64) {
            let (target, rest) = buffer.split_at_mut(count);
            match pieces.get(&number) {
                Some(piece) => target.copy_from_slice(&piece[first..first + count]),
                None => target.fill(0),
            }
            buffer = rest;
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, mut bytes: &[u8]) -> Result<(), DeviceError> {
        self.check(offset, bytes.len() as u64)?;
        let mut pieces = self.pieces.write().unwrap_or_else(PoisonError::into_inner);
        for (number, first, count) in split(offset, bytes.len() as u64) {
            let (source, rest) = bytes.split_at(count);
            let piece = pieces
                .entry(number)
                .or_insert_with(|| Box::new([0; PIECE_BYTES]));
            piece[first..first + count].copy_from_slice(source);
            bytes = rest;
        }
        Ok(())
    }

    fn discard(&self, offset: u64, length: u64) -> Result<(), DeviceError> {
        self.check(offset, length)?;
        let mut pieces = self.pieces.write().unwrap_or_else(PoisonError::into_inner);
        for (number, _, count) in split(offset, length) {
            if count == PIECE_BYTES {
                pieces.remove(&number);
            }
        }
        Ok(())
    }

    fn commit(&self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn mapped(&self, _offset: u64, _length: usize) -> Option<&[u8]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_keeps_what_was_written_across_pieces() {
        let device = MemoryDevice::new(3 * PIECE_BYTES as u64 + 5);
        let bytes: Vec<u8> = (0..5000).map(|it| it as u8).collect();
        device.write_at(4000, &bytes).unwrap();
        let mut found = vec![1; 5002];
        device.read_at(3999, &mut found).unwrap();
        assert_eq!((found[0], &found[1..5001], found[5001]), (0, &bytes[..], 0));
        assert!(device.write_at(device.size(), &[1]).is_err());
        assert!(device.read_at(u64::MAX, &mut [1]).is_err());
    }
}
