//! Waiting for several descriptors.

use minke_abi::linux::PollEvents;
use minke_abi::{Errno, Result};

use crate::descriptor::Fd;
use crate::task::{Deadline, Task};

/// One descriptor of a poll set. A negative number on the wire is the personality's business: it leaves the entry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollEntry {
    pub fd: Fd,
    pub interest: PollEvents,
    /// What holds; filled in by [`Task::poll`].
    pub ready: PollEvents,
}

impl Task {
    /// Waits until an entry is ready or the deadline has passed; returns how many are. POSIX: `poll()`.
    pub async fn poll(&self, entries: &mut [PollEntry], deadline: Deadline) -> Result<usize> {
        let _ = (entries, deadline);
        Err(Errno::ENOSYS)
    }
}
