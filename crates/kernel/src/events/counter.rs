//! A number that writes add to and a read takes. Linux: fs/eventfd.c; `eventfd(2)`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use minke_abi::linux::{FileType, PollEvents};
use minke_abi::{Errno, Result};

use crate::anonymous::AnonymousInode;
use crate::file::File;
use crate::task::Task;
use crate::vfs::Metadata;
use crate::wait::WaitQueue;

/// The highest count; the number above it is never reached.
const COUNT_MAX: u64 = u64::MAX - 1;

/// Bytes of what is read and written: the number, in the machine's order.
const COUNT_BYTES: usize = 8;

/// What a read takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// The whole count.
    All,
    /// One of it (`EFD_SEMAPHORE`).
    One,
}

/// A counter behind a descriptor.
pub struct EventCounter {
    count: Mutex<u64>,
    takes: Takes,
    waiters: WaitQueue,
    inode: AnonymousInode,
}

impl EventCounter {
    /// Makes a counter that belongs to a task's user.
    pub fn new(task: &Task, count: u32, takes: Takes) -> EventCounter {
        EventCounter {
            count: Mutex::new(u64::from(count)),
            takes,
            waiters: WaitQueue::default(),
            inode: AnonymousInode::of(task, FileType::Fifo),
        }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl File for EventCounter {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let target = buffer.get_mut(..COUNT_BYTES).ok_or(Errno::EINVAL)?;
        let taken = {
            let mut count = self.lock();
            let taken = match self.takes {
                Takes::All => *count,
                Takes::One => (*count).min(1),
            };
            if taken == 0 {
                return Err(Errno::EAGAIN);
            }
            *count -= taken;
            taken
        };
        target.copy_from_slice(&taken.to_le_bytes());
        self.waiters.wake_all();
        Ok(COUNT_BYTES)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        let added = bytes.first_chunk().ok_or(Errno::EINVAL)?;
        let added = u64::from_le_bytes(*added);
        if added > COUNT_MAX {
            return Err(Errno::EINVAL);
        }
        {
            let mut count = self.lock();
            if added > COUNT_MAX - *count {
                return Err(Errno::EAGAIN);
            }
            *count += added;
        }
        self.waiters.wake_all();
        Ok(COUNT_BYTES)
    }

    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        if let Some(waker) = waker {
            self.waiters.register(waker);
        }
        let count = *self.lock();
        let mut ready = PollEvents::empty();
        ready.set(PollEvents::IN, count > 0);
        ready.set(PollEvents::OUT, count < COUNT_MAX);
        ready & interest
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.inode.metadata())
    }
}
