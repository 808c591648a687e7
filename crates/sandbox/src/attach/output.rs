//! A standard stream of a program: to the caller, to the log, and to attached commands.

use std::sync::Arc;
use std::task::Waker;

use minke_abi::linux::{FileType, PollEvents};
use minke_abi::{Errno, Result};
use minke_kernel::File;
use minke_kernel::vfs::{Metadata, Timestamp};

use super::{Hub, PENDING_BYTES_MAX};
use crate::logs::Stream;
use crate::platform::LogStream;

/// Where a standard stream goes.
pub(crate) struct Output {
    pub(crate) stream: Stream,
    /// The caller's own stream, in the foreground.
    pub(crate) host: Option<Arc<dyn File>>,
    pub(crate) kept: Option<Arc<LogStream>>,
    pub(crate) hub: Arc<Hub>,
}

impl File for Output {
    fn write(&self, bytes: &[u8]) -> Result<usize> {
        let has_commands = self.hub.has_commands();
        let bytes = match has_commands {
            true if self.hub.is_full() => return Err(Errno::EAGAIN),
            true => &bytes[..bytes.len().min(PENDING_BYTES_MAX)],
            false => bytes,
        };
        let count = match &self.host {
            Some(host) => host.write(bytes)?,
            None => bytes.len(),
        };
        if let Some(kept) = &self.kept {
            // The log takes everything at once.
            let _ = kept.write(&bytes[..count]);
        }
        if has_commands {
            self.hub.print(self.stream, &bytes[..count]);
        }
        Ok(count)
    }

    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        if let Some(waker) = waker {
            self.register(interest, waker);
        }
        if self.hub.is_full() {
            return PollEvents::empty();
        }
        let host = self.host.as_ref();
        host.map_or(interest & PollEvents::OUT, |host| host.poll(interest, None))
    }

    fn register(&self, interest: PollEvents, waker: &Waker) {
        self.hub.register(waker);
        if let Some(host) = &self.host {
            host.register(interest, waker);
        }
    }

    fn metadata(&self) -> Result<Metadata> {
        match &self.host {
            Some(host) => host.metadata(),
            None => Ok(metadata_of_pipe()),
        }
    }

    fn close(&self) {
        if let Some(host) = &self.host {
            host.close();
        }
        if let Some(kept) = &self.kept {
            kept.close();
        }
    }
}

/// What `fstat` says of a standard stream that is none of the host's: a pipe, as with Docker.
pub(super) fn metadata_of_pipe() -> Metadata {
    let epoch = Timestamp::default();
    Metadata {
        device: 0,
        inode: 1,
        file_type: FileType::Fifo,
        mode: 0o600,
        links: 1,
        uid: 0,
        gid: 0,
        device_id: 0,
        size: 0,
        block_size: 4096,
        blocks: 0,
        accessed: epoch,
        modified: epoch,
        changed: epoch,
    }
}
