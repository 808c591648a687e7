//! Inodes without a name: what `fstat` shows of pipes and sockets. Linux: pipefs, sockfs.

use std::sync::atomic::{AtomicU64, Ordering};

use minke_abi::linux::FileType;

use crate::task::Task;
use crate::vfs::{Metadata, Timestamp};

/// The device number that files without a name show. Linux gives pipefs and sockfs one each.
const ANONYMOUS_DEVICE: u64 = 0xd;

/// The number of the next inode without a name; only uniqueness counts.
static NEXT_INODE: AtomicU64 = AtomicU64::new(1);

/// The identity of a file that no directory holds.
#[derive(Clone, Copy, Debug)]
pub struct AnonymousInode {
    file_type: FileType,
    inode: u64,
    /// The process that made it.
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    created: Timestamp,
}

impl AnonymousInode {
    /// Makes an inode that belongs to a task's effective user.
    pub fn of(task: &Task, file_type: FileType) -> AnonymousInode {
        let credentials = task.process.credentials();
        let now = task.process.kernel.clock.realtime();
        AnonymousInode {
            file_type,
            inode: next_inode(),
            pid: task.process.pid.0,
            uid: credentials.euid,
            gid: credentials.egid,
            created: Timestamp::from_nanoseconds(now),
        }
    }

    /// Makes another inode of the same owner and age: a connection that a listening socket took.
    pub fn sibling(&self) -> AnonymousInode {
        AnonymousInode {
            inode: next_inode(),
            ..*self
        }
    }

    /// Returns what `fstat` shows.
    pub fn metadata(&self) -> Metadata {
        let permissions = match self.file_type {
            FileType::Socket => 0o777,
            _ => 0o600,
        };
        Metadata {
            device: ANONYMOUS_DEVICE,
            inode: self.inode,
            file_type: self.file_type,
            mode: permissions,
            links: 1,
            uid: self.uid,
            gid: self.gid,
            device_id: 0,
            size: 0,
            block_size: 4096,
            blocks: 0,
            accessed: self.created,
            modified: self.created,
            changed: self.created,
        }
    }
}

fn next_inode() -> u64 {
    NEXT_INODE.fetch_add(1, Ordering::Relaxed)
}
