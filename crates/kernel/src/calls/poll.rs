//! Waiting for several descriptors.

use std::sync::Arc;
use std::task::Waker;

use minke_abi::linux::PollEvents;
use minke_abi::{Errno, Result};
use smallvec::SmallVec;

use crate::descriptor::{Fd, FileDescription};
use crate::task::{Deadline, Task};

/// Entries whose descriptions are held without an allocation: servers of a few sockets poll often.
const ENTRIES_INLINE: usize = 8;

/// One descriptor of a poll set. A negative number on the wire is the personality's business: it leaves the entry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollEntry {
    pub fd: Fd,
    pub interest: PollEvents,
    /// What holds; filled in by [`Task::poll`].
    pub ready: PollEvents,
}

/// The descriptions of a poll set, in its order; `None` where the descriptor is not open.
type Descriptions = SmallVec<[Option<Arc<FileDescription>>; ENTRIES_INLINE]>;

impl Task {
    /// Waits until an entry is ready or the deadline has passed; returns how many are. POSIX: `poll()`.
    ///
    /// Descriptors are looked up once, so a descriptor that another thread closes meanwhile is
    /// still waited for, as on Linux. `EINVAL` for more entries than descriptors may be open.
    pub async fn poll(&self, entries: &mut [PollEntry], deadline: Deadline) -> Result<usize> {
        if entries.len() > self.process.fds.fds_max() as usize {
            return Err(Errno::EINVAL);
        }
        let descriptions: Descriptions = entries
            .iter()
            .map(|entry| self.process.fds.get(entry.fd).ok())
            .collect();
        let ready_count = look(entries, &descriptions, None);
        if ready_count > 0 || self.is_past(deadline) {
            return Ok(ready_count);
        }
        let found = self.wait_for(deadline, |cx| {
            match look(entries, &descriptions, Some(cx.waker())) {
                0 => None,
                count => Some(Ok(count)),
            }
        });
        found.await.unwrap_or(Ok(0))
    }

    /// Whether a deadline leaves no time to wait.
    pub(super) fn is_past(&self, deadline: Deadline) -> bool {
        match deadline {
            Deadline::Never => false,
            Deadline::At(time) => self.process.kernel.clock.monotonic() >= time,
        }
    }
}

/// Fills in what holds of each entry and returns how many hold something.
///
/// Once an entry is found ready the call will not wait, so the waker goes no further.
fn look(entries: &mut [PollEntry], descriptions: &Descriptions, waker: Option<&Waker>) -> usize {
    let mut ready_count = 0;
    for (entry, description) in entries.iter_mut().zip(descriptions) {
        entry.ready = match description {
            None => PollEvents::NVAL,
            Some(description) => {
                let waker = waker.filter(|_| ready_count == 0);
                description.poll(entry.interest, waker)
            }
        };
        ready_count += usize::from(!entry.ready.is_empty());
    }
    ready_count
}
