//! Signals that are read instead of handled. Linux: fs/signalfd.c; `signalfd(2)`.
//!
//! A descriptor reads the signals of the process that made it; a child that inherits it gets one of its own, which means the same
//! signals ([`File::inherited`]). What is passed over a socket still reads those of who made it; Linux's reads those of who reads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use minke_abi::linux::{FileType, PollEvents};
use minke_abi::signal::SignalSet;
use minke_abi::{Errno, Result};

use crate::anonymous::AnonymousInode;
use crate::file::File;
use crate::process::Process;
use crate::signal::SignalInfo;
use crate::task::Task;
use crate::vfs::Metadata;
use crate::wait::WaitQueue;

/// Bytes of `struct signalfd_siginfo`.
const INFO_BYTES: usize = 128;

/// A process's signals behind a descriptor.
pub struct SignalFile {
    process: Weak<Process>,
    meant: Arc<Meant>,
    inode: AnonymousInode,
}

/// Which signals a descriptor means, and those that children have inherited.
struct Meant {
    set: Mutex<SignalSet>,
    /// Wakes who waits for signals that were not meant before.
    changed: WaitQueue,
}

impl SignalFile {
    /// Makes a descriptor's file for signals of a set of the task's process.
    pub fn new(task: &Task, set: SignalSet) -> SignalFile {
        SignalFile {
            process: Arc::downgrade(&task.process),
            meant: Arc::new(Meant {
                set: Mutex::new(set.without(SignalSet::UNBLOCKABLE)),
                changed: WaitQueue::default(),
            }),
            inode: AnonymousInode::of(task, FileType::Fifo),
        }
    }

    /// Means other signals from now on.
    pub fn set_signals(&self, set: SignalSet) {
        *self.lock() = set.without(SignalSet::UNBLOCKABLE);
        self.meant.changed.wake_all();
    }

    fn lock(&self) -> MutexGuard<'_, SignalSet> {
        self.meant
            .set
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lays out `struct signalfd_siginfo`. Linux: include/uapi/linux/signalfd.h.
fn encode(info: &SignalInfo) -> [u8; INFO_BYTES] {
    let mut bytes = [0; INFO_BYTES];
    let mut word = |at: usize, word: u32| bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    let value = info.value as u32;
    word(0, u32::from(info.signal.raw()));
    word(8, info.code.cast_unsigned());
    word(12, info.pid);
    word(16, info.uid);
    // The status of a child, or what the sender gave along as a number and as a pointer.
    if info.signal == minke_abi::linux::Signal::CHLD {
        word(40, value);
    } else {
        word(44, value);
        bytes[48..56].copy_from_slice(&info.value.to_le_bytes());
    }
    bytes
}

impl File for SignalFile {
    /// Reads as many signals as there are and fit.
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.len() < INFO_BYTES {
            return Err(Errno::EINVAL);
        }
        let process = self.process.upgrade().ok_or(Errno::EAGAIN)?;
        let set = *self.lock();
        let mut count = 0;
        for slot in buffer.chunks_exact_mut(INFO_BYTES) {
            let Some(info) = process.signals.of_main().take_pending(set) else {
                break;
            };
            slot.copy_from_slice(&encode(&info));
            count += INFO_BYTES;
        }
        match count {
            0 => Err(Errno::EAGAIN),
            count => Ok(count),
        }
    }

    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        let Some(process) = self.process.upgrade() else {
            return PollEvents::empty();
        };
        if let Some(waker) = waker {
            self.meant.changed.register(waker);
            process.signals.register(waker);
        }
        let set = *self.lock();
        let mut ready = PollEvents::empty();
        ready.set(
            PollEvents::IN,
            process.signals.of_main().is_any_pending(set),
        );
        ready & interest
    }

    fn inherited(&self, child: &Arc<Process>) -> Option<Arc<dyn File>> {
        Some(Arc::new(SignalFile {
            process: Arc::downgrade(child),
            meant: Arc::clone(&self.meant),
            inode: self.inode,
        }))
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.inode.metadata())
    }
}
