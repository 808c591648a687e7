//! A writable disk: what is read, staged, committed and frozen.

mod commit;
mod freeze;
mod open;
mod write;

use std::fmt;
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use crate::layout::{BlockNumber, ChangeFile};
use crate::snapshot::{check_range, read_stored};
use crate::view::{Era, Found, View};
use crate::writer::Writer;
use crate::{BLOCK_BYTES, DiskError, Limits, Snapshot};

/// A disk that is written: a change file over a [`Snapshot`].
///
/// Reads run side by side, and beside one write and one commit. What was not committed is lost when the value is dropped.
pub struct Disk {
    size_bytes: u64,
    limits: Limits,
    /// Held while something is staged: first in the lock order.
    staging: Mutex<()>,
    /// Guards the log: second in the lock order.
    writer: Mutex<Writer>,
    /// Guards where blocks are: last in the lock order, and held without input or output.
    view: RwLock<View>,
    /// What the disk lies on.
    below: Generation,
}

/// What a disk lay on until a snapshot was taken, and then; kept, because what is mapped may be in use.
struct Generation {
    below: Arc<Snapshot>,
    next: OnceLock<Box<Generation>>,
}

impl Disk {
    fn new(writer: Writer, map: crate::map::Map, below: Arc<Snapshot>, limits: Limits) -> Disk {
        let size_bytes = writer.superblock.file.size_bytes;
        let era = Era {
            top: writer.storage.clone(),
            below: below.clone(),
        };
        Disk {
            size_bytes,
            limits,
            staging: Mutex::new(()),
            view: RwLock::new(View::new(map, blocks_count(size_bytes), Arc::new(era))),
            writer: Mutex::new(writer),
            below: Generation {
                below,
                next: OnceLock::new(),
            },
        }
    }

    /// Returns the size in bytes.
    pub fn size(&self) -> u64 {
        self.size_bytes
    }

    /// Returns what the change file says of itself.
    pub fn file(&self) -> ChangeFile {
        lock(&self.writer).superblock.file
    }

    /// Fills `bytes` from `offset`, with what was written last, committed or not.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        check_range(offset, bytes.len() as u64, self.size_bytes)?;
        self.read_or_zeros(offset, bytes)
    }

    /// Fills `bytes` from `offset`; behind the end of the disk, where its last block goes on, there are zeros.
    fn read_or_zeros(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        let (mut bytes, mut offset) = (bytes, offset);
        while !bytes.is_empty() {
            let run = self.run_at(offset, bytes.len());
            let (part, rest) = bytes.split_at_mut(run.length);
            run.read(offset, part)?;
            offset += run.length as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Looks up where the block at `offset` is, and how many bytes from there lie in sequence with it.
    fn run_at(&self, offset: u64, length_max: usize) -> Run {
        let (first, within, count_max) = blocks_of(offset, length_max);
        let view = read(&self.view);
        let (found, count) = view.find(first, count_max);
        Run {
            found,
            length: (count as usize * BLOCK_BYTES - within).min(length_max),
            era: view.era.clone(),
        }
    }

    /// Looks at where blocks are.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        look(&read(&self.view))
    }

    /// Returns bytes from `offset` on as they lie in memory, if the disk below has them mapped and none was changed: as many, at most `length`,
    /// as lie in one piece.
    ///
    /// They stay what they were when the disk is written later.
    pub fn mapped(&self, offset: u64, length: usize) -> Option<&[u8]> {
        check_range(offset, length as u64, self.size_bytes).ok()?;
        let (first, within, count_max) = blocks_of(offset, length);
        let (found, count) = self.look(|view| view.find(first, count_max));
        match found {
            Found::Below => {
                let length = (count as usize * BLOCK_BYTES - within).min(length);
                self.generation().below.mapped(offset, length)
            }
            _ => None,
        }
    }

    fn generation(&self) -> &Generation {
        let mut generation = &self.below;
        while let Some(next) = generation.next.get() {
            generation = next;
        }
        generation
    }
}

/// Bytes that lie in sequence.
struct Run {
    found: Found,
    length: usize,
    /// Keeps the slots from being used for others while they are read.
    era: Arc<Era>,
}

impl Run {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        let within = offset % BLOCK_BYTES as u64;
        match &self.found {
            Found::InMemory(content) => {
                let start = within as usize;
                bytes.copy_from_slice(&content[start..start + bytes.len()]);
                Ok(())
            }
            Found::Zeros => {
                bytes.fill(0);
                Ok(())
            }
            Found::Slot(slot) => read_stored(&*self.era.top, slot.offset() + within, bytes),
            Found::Below => self.era.below.read_or_zeros(offset, bytes),
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("size_bytes", &self.size_bytes)
            .field("below", &self.generation().below)
            .finish_non_exhaustive()
    }
}

/// Returns the first block of a range of bytes, where in it the range begins, and in how many blocks it lies.
fn blocks_of(offset: u64, length: usize) -> (BlockNumber, usize, u64) {
    let first = BlockNumber((offset / BLOCK_BYTES as u64) as u32);
    let within = (offset % BLOCK_BYTES as u64) as usize;
    (
        first,
        within,
        (within + length).div_ceil(BLOCK_BYTES) as u64,
    )
}

fn blocks_count(size_bytes: u64) -> u64 {
    size_bytes.div_ceil(BLOCK_BYTES as u64)
}

// A panic while a lock is held is a defect of ours; what the locks guard is changed in single steps, so others may go on.

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
