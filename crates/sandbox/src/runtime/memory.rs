//! A guest's linear memory as host calls see it: every access is checked, none can fault.

use minke_abi::{Errno, Result};
use smallvec::SmallVec;
use wasmtime::{Memory, SharedMemory};

use super::shared;

/// An address in a guest's linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GuestAddr(pub u64);

impl GuestAddr {
    /// Adds a byte count; an address past the end of the address space stays there and is refused on access.
    pub fn offset(self, bytes: u64) -> GuestAddr {
        GuestAddr(self.0.saturating_add(bytes))
    }
}

impl From<u32> for GuestAddr {
    fn from(address: u32) -> GuestAddr {
        GuestAddr(u64::from(address))
    }
}

impl From<i32> for GuestAddr {
    fn from(address: i32) -> GuestAddr {
        GuestAddr(u64::from(address.cast_unsigned()))
    }
}

/// Handle of a guest's memory, kept in the store's data.
#[derive(Clone)]
pub enum GuestMemory {
    Local(Memory),
    Shared(SharedMemory),
}

impl From<Memory> for GuestMemory {
    fn from(memory: Memory) -> GuestMemory {
        GuestMemory::Local(memory)
    }
}

impl From<SharedMemory> for GuestMemory {
    fn from(memory: SharedMemory) -> GuestMemory {
        GuestMemory::Shared(memory)
    }
}

/// The bytes of a guest's memory during one call.
pub struct MemoryView<'a>(View<'a>);

enum View<'a> {
    Local(&'a mut [u8]),
    Shared(SharedMemory),
}

/// Most bytes that one access to a shared memory copies aside; longer ones are served short.
const SHARED_COPY_BYTES_MAX: usize = 1 << 20;

/// Bytes of a shared memory that are copied aside without an allocation.
const SHARED_COPY_BYTES_INLINE: usize = 512;

/// Bytes of a shared memory that are aside while a host call works on them.
type Aside = SmallVec<[u8; SHARED_COPY_BYTES_INLINE]>;

impl<'a> MemoryView<'a> {
    pub(crate) fn local(bytes: &'a mut [u8]) -> MemoryView<'a> {
        MemoryView(View::Local(bytes))
    }

    pub(crate) fn shared(memory: SharedMemory) -> MemoryView<'a> {
        MemoryView(View::Shared(memory))
    }

    /// Checks that a range is inside the memory.
    pub fn check(&self, address: GuestAddr, length: u64) -> Result<()> {
        self.range(address, length).map(drop)
    }

    /// Copies bytes out of the guest.
    pub fn read_into(&self, address: GuestAddr, target: &mut [u8]) -> Result<()> {
        let range = self.range(address, target.len() as u64)?;
        match &self.0 {
            View::Local(bytes) => target.copy_from_slice(&bytes[range]),
            View::Shared(memory) => shared::read(memory, range.start, target),
        }
        Ok(())
    }

    /// Copies bytes into the guest.
    pub fn write(&mut self, address: GuestAddr, source: &[u8]) -> Result<()> {
        let range = self.range(address, source.len() as u64)?;
        match &mut self.0 {
            View::Local(bytes) => bytes[range].copy_from_slice(source),
            View::Shared(memory) => shared::write(memory, range.start, source),
        }
        Ok(())
    }

    /// Copies bytes from one place of the memory to another; the two may overlap.
    pub fn copy_within(&mut self, source: GuestAddr, target: GuestAddr, length: u64) -> Result<()> {
        let from = self.range(source, length)?;
        let to = self.range(target, length)?;
        match &mut self.0 {
            View::Local(bytes) => bytes.copy_within(from, to.start),
            View::Shared(memory) => shared::move_within(memory, from, to.start),
        }
        Ok(())
    }

    /// Reads an array of bytes, for the `from_le_bytes` of numbers and structs.
    pub fn read_array<const N: usize>(&self, address: GuestAddr) -> Result<[u8; N]> {
        let mut array = [0; N];
        self.read_into(address, &mut array)?;
        Ok(array)
    }

    /// Reads a little-endian `u32`.
    pub fn read_u32(&self, address: GuestAddr) -> Result<u32> {
        self.read_array(address).map(u32::from_le_bytes)
    }

    /// Reads a little-endian `u64`.
    pub fn read_u64(&self, address: GuestAddr) -> Result<u64> {
        self.read_array(address).map(u64::from_le_bytes)
    }

    /// Finds a number that other threads may change meanwhile; the address is a multiple of 4.
    pub fn word(&self, address: GuestAddr) -> Result<Word> {
        let range = self.range(address, 4)?;
        Ok(match &self.0 {
            View::Local(_) => Word::Local(self.read_u32(address)?),
            View::Shared(memory) => Word::Shared(memory.clone(), range.start),
        })
    }

    /// Writes a little-endian `u32`.
    pub fn write_u32(&mut self, address: GuestAddr, value: u32) -> Result<()> {
        self.write(address, &value.to_le_bytes())
    }

    /// Writes a little-endian `u64`.
    pub fn write_u64(&mut self, address: GuestAddr, value: u64) -> Result<()> {
        self.write(address, &value.to_le_bytes())
    }

    /// Copies `length` bytes out, at most `length_max`: longer is `ENAMETOOLONG`, for paths and names.
    pub fn read_bytes(
        &self,
        address: GuestAddr,
        length: u64,
        length_max: usize,
    ) -> Result<Vec<u8>> {
        if length > length_max as u64 {
            self.check(address, length)?;
            return Err(Errno::ENAMETOOLONG);
        }
        let mut bytes = vec![0; length as usize];
        self.read_into(address, &mut bytes)?;
        Ok(bytes)
    }

    /// Copies a zero-terminated string of at most `length_max` bytes, without the zero.
    pub fn read_c_string(&self, address: GuestAddr, length_max: usize) -> Result<Vec<u8>> {
        let end = self.len().min(address.offset(length_max as u64 + 1).0);
        let length = end.checked_sub(address.0).ok_or(Errno::EFAULT)?;
        let mut bytes = vec![0; length as usize];
        self.read_into(address, &mut bytes)?;
        let Some(zero) = bytes.iter().position(|b| *b == 0) else {
            return Err(if end == self.len() {
                Errno::EFAULT
            } else {
                Errno::ENAMETOOLONG
            });
        };
        bytes.truncate(zero);
        Ok(bytes)
    }

    /// Hands a range to `action`, without a copy unless the memory is shared.
    pub fn with_slice<R>(
        &self,
        address: GuestAddr,
        length: u64,
        action: impl FnOnce(&[u8]) -> Result<R>,
    ) -> Result<R> {
        let range = self.range(address, length)?;
        match &self.0 {
            View::Local(bytes) => action(&bytes[range]),
            View::Shared(memory) => {
                let mut aside = aside(range.len());
                shared::read(memory, range.start, &mut aside);
                action(&aside)
            }
        }
    }

    /// Lets `action` put bytes into a range, without a copy unless the memory is shared.
    ///
    /// `count_of` tells from the result how many there are. Bytes of a shared memory beyond them keep what guest threads
    /// write there meanwhile, and `action` sees zeros instead of what stood there.
    pub fn receive<R>(
        &mut self,
        address: GuestAddr,
        length: u64,
        action: impl FnOnce(&mut [u8]) -> Result<R>,
        count_of: impl FnOnce(&R) -> usize,
    ) -> Result<R> {
        let range = self.range(address, length)?;
        match &mut self.0 {
            View::Local(bytes) => action(&mut bytes[range]),
            View::Shared(memory) => {
                let mut aside = aside(range.len());
                let result = action(&mut aside)?;
                let received = aside.get(..count_of(&result)).unwrap_or(&aside);
                shared::write(memory, range.start, received);
                Ok(result)
            }
        }
    }

    /// Fills a range with one byte.
    pub fn fill(&mut self, address: GuestAddr, length: u64, byte: u8) -> Result<()> {
        let range = self.range(address, length)?;
        match &mut self.0 {
            View::Local(bytes) => bytes[range].fill(byte),
            View::Shared(memory) => {
                let bytes = [byte; SHARED_COPY_BYTES_INLINE];
                for start in range.clone().step_by(bytes.len()) {
                    let count = (range.end - start).min(bytes.len());
                    shared::write(memory, start, &bytes[..count]);
                }
            }
        }
        Ok(())
    }

    /// Bytes that the memory has now.
    pub fn len(&self) -> u64 {
        match &self.0 {
            View::Local(bytes) => bytes.len() as u64,
            View::Shared(memory) => memory.data().len() as u64,
        }
    }

    /// Whether the guest has no memory at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn range(&self, address: GuestAddr, length: u64) -> Result<std::ops::Range<usize>> {
        let end = address.0.checked_add(length).ok_or(Errno::EFAULT)?;
        if end > self.len() {
            return Err(Errno::EFAULT);
        }
        Ok(address.0 as usize..end as usize)
    }
}

/// A number in a guest's memory.
pub enum Word {
    /// Nobody else changes it: what it was.
    Local(u32),
    /// In a memory, at a multiple of 4.
    Shared(SharedMemory, usize),
}

impl Word {
    /// Loads it, in the order of all threads' accesses.
    pub fn load(&self) -> u32 {
        match self {
            Word::Local(number) => *number,
            Word::Shared(memory, start) => shared::load_u32(memory, *start),
        }
    }
}

/// Makes room for bytes of a shared memory, at most [`SHARED_COPY_BYTES_MAX`].
fn aside(length: usize) -> Aside {
    Aside::from_elem(0, length.min(SHARED_COPY_BYTES_MAX))
}
