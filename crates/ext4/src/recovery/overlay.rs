//! A device beside what a journal says of its blocks, to which can be written without changing the device.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{PoisonError, RwLock};

use crate::device::{Device, DeviceError};

/// Keeps each block that is written, over those of a device.
pub(super) struct Overlay<'a, D> {
    device: &'a D,
    block_size: usize,
    blocks: RwLock<HashMap<u64, Box<[u8]>>>,
}

impl<'a, D: Device> Overlay<'a, D> {
    /// `blocks` are those that differ from the device's already.
    pub(super) fn new(
        device: &'a D,
        block_size: usize,
        blocks: HashMap<u64, Box<[u8]>>,
    ) -> Overlay<'a, D> {
        Overlay {
            device,
            block_size,
            blocks: RwLock::new(blocks),
        }
    }

    /// Returns the blocks that differ from the device's.
    pub(super) fn into_blocks(self) -> HashMap<u64, Box<[u8]>> {
        self.blocks
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Splits `length` bytes from `offset` on at the borders of blocks: number of the block, first byte in it, number of bytes.
    fn split(&self, offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
        let size = self.block_size;
        let (mut at, mut left) = (offset, length);
        std::iter::from_fn(move || {
            let (number, first) = (at / size as u64, (at % size as u64) as usize);
            let count = left.min(size - first);
            at += count as u64;
            left -= count;
            (count > 0).then_some((number, first, count))
        })
    }
}

impl<D: Device> Device for Overlay<'_, D> {
    fn size(&self) -> u64 {
        self.device.size()
    }

    fn read_at(&self, offset: u64, mut buffer: &mut [u8]) -> Result<(), DeviceError> {
        self.device.read_at(offset, buffer)?;
        let blocks = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
        for (number, first, count) in self.split(offset, buffer.len()) {
            let (part, rest) = buffer.split_at_mut(count);
            if let Some(block) = blocks.get(&number) {
                part.copy_from_slice(&block[first..first + count]);
            }
            buffer = rest;
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, mut bytes: &[u8]) -> Result<(), DeviceError> {
        let mut blocks = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
        for (number, first, count) in self.split(offset, bytes.len()) {
            let (part, rest) = bytes.split_at(count);
            let block = match blocks.entry(number) {
                Entry::Occupied(kept) => kept.into_mut(),
                Entry::Vacant(place) => {
                    let mut block = vec![0; self.block_size];
                    let start = number * self.block_size as u64;
                    self.device.read_at(start, &mut block)?;
                    place.insert(block.into())
                }
            };
            block[first..first + count].copy_from_slice(part);
            bytes = rest;
        }
        Ok(())
    }

    fn discard(&self, _offset: u64, _length: u64) -> Result<(), DeviceError> {
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
    use crate::MemoryDevice;

    #[test]
    fn what_is_written_across_blocks_is_kept_and_the_device_is_not_changed() {
        let device = MemoryDevice::from_image(&[7; 4096]);
        let given = HashMap::from([(3, vec![3; 1024].into_boxed_slice())]);
        let overlay = Overlay::new(&device, 1024, given);
        overlay.write_at(1000, &[1; 100]).unwrap();
        let mut bytes = [0; 4096];
        overlay.read_at(0, &mut bytes).unwrap();
        assert_eq!(
            (bytes[999], bytes[1000], bytes[1099], bytes[1100]),
            (7, 1, 1, 7)
        );
        assert_eq!((bytes[3071], bytes[3072]), (7, 3));
        device.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes, [7; 4096]);
        let mut changed: Vec<u64> = overlay.into_blocks().into_keys().collect();
        changed.sort_unstable();
        assert_eq!(changed, [0, 1, 3]);
    }
}
