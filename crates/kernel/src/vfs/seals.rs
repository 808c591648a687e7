//! What may not be done with a file's content any more. Linux: mm/memfd.c; `fcntl(2)`, "File Sealing".

use std::sync::atomic::{AtomicU32, Ordering};

use bitflags::bitflags;
use minke_abi::{Errno, Result};

bitflags! {
    /// Seals of a file. Linux: include/uapi/linux/fcntl.h `F_SEAL_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Seals: u32 {
        /// No more seals are added.
        const SEAL = 1;
        const SHRINK = 2;
        const GROW = 4;
        const WRITE = 8;
        /// As `WRITE`: what would still be allowed are mappings that were there before, and here are none.
        const FUTURE_WRITE = 16;
    }
}

/// The seals of one file. Changed under the lock of its content.
#[derive(Debug)]
pub struct SealCell(AtomicU32);

impl SealCell {
    /// Makes a cell that begins so.
    pub fn new(seals: Seals) -> SealCell {
        SealCell(AtomicU32::new(seals.bits()))
    }

    /// Says what is sealed of a file that nobody has seen yet.
    pub(super) fn begin(&self, seals: Seals) {
        self.0.store(seals.bits(), Ordering::SeqCst);
    }

    /// Returns what is sealed.
    pub fn get(&self) -> Seals {
        Seals::from_bits_truncate(self.0.load(Ordering::SeqCst))
    }

    /// Adds seals; `EPERM` when that is sealed itself.
    pub(super) fn add(&self, seals: Seals) -> Result<()> {
        self.refuse(Seals::SEAL)?;
        self.0.fetch_or(seals.bits(), Ordering::SeqCst);
        Ok(())
    }

    /// `EPERM` if any of these is sealed.
    pub(super) fn refuse(&self, seals: Seals) -> Result<()> {
        match self.get().intersects(seals) {
            true => Err(Errno::EPERM),
            false => Ok(()),
        }
    }

    /// Checks a write up to `end` of a file of a size. Linux: mm/shmem.c `shmem_write_begin()`.
    pub(super) fn check_write(&self, size: u64, end: u64) -> Result<()> {
        self.refuse(Seals::WRITE | Seals::FUTURE_WRITE)?;
        self.check_size(size, size.max(end))
    }

    /// Checks a change of the size. Linux: mm/shmem.c `shmem_setattr()`.
    pub(super) fn check_size(&self, size: u64, new: u64) -> Result<()> {
        if new < size {
            self.refuse(Seals::SHRINK)
        } else if new > size {
            self.refuse(Seals::GROW)
        } else {
            Ok(())
        }
    }
}
