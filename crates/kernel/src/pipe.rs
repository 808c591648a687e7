//! Pipes and fifos. Linux: fs/pipe.c; `pipe(7)`.
//!
//! A write without readers answers `EPIPE`. Linux would also send `SIGPIPE`, whose default
//! action ends the writer; no personality installs handlers yet, and WASI guests are built
//! to see the error, so the signal is left out until signals have handlers.

use std::sync::Arc;
use std::task::Waker;

use minke_abi::linux::{FileType, OpenFlags, PollEvents};
use minke_abi::{Errno, Result};

use crate::anonymous::AnonymousInode;
use crate::file::File;
use crate::kernel::MemoryBudget;
use crate::stream::{Consume, Stream, StreamLimits, StreamStatus};
use crate::task::Task;
use crate::vfs::{Inode, Metadata};

/// Bytes that a pipe holds. Linux: `PIPE_DEF_BUFFERS` pages.
pub const PIPE_CAPACITY_BYTES: usize = 65_536;

/// Writes up to this length are not mixed with others'. POSIX: `PIPE_BUF`; Linux: one page.
pub const PIPE_BUF: usize = 4096;

const PIPE_LIMITS: StreamLimits = StreamLimits {
    capacity_bytes: PIPE_CAPACITY_BYTES,
    atomic_bytes_max: PIPE_BUF,
    room_bytes_min: PIPE_BUF,
};

/// Makes a pipe: its reading and its writing end.
pub fn pipe(task: &Task) -> (Arc<dyn File>, Arc<dyn File>) {
    let memory = Arc::clone(&task.process.kernel.memory);
    let fifo = Fifo::new(memory);
    let identity = Identity::Anonymous(AnonymousInode::of(task, FileType::Fifo));
    let reader = PipeEnd::open(&fifo, Access::Read, Patience::None, identity.clone());
    let writer = PipeEnd::open(&fifo, Access::Write, Patience::None, identity);
    (reader, writer)
}

/// The buffer of a fifo, shared by all who opened its inode; a file system keeps one per fifo inode.
pub struct Fifo {
    stream: Stream,
}

impl Fifo {
    /// Makes an empty fifo that nobody has opened.
    pub fn new(memory: Arc<MemoryBudget>) -> Arc<Fifo> {
        Arc::new(Fifo {
            stream: Stream::new(PIPE_LIMITS, memory),
        })
    }

    /// Opens the fifo behind `inode`; `ENXIO` for a non-blocking writer without readers.
    ///
    /// Linux waits in `open` until the other end has come, as [`Task::open_waiting`] does; where a personality opens
    /// without waiting, the first read or write of a blocking end waits. Linux: fs/pipe.c fifo_open().
    pub fn open(
        self: &Arc<Fifo>,
        inode: Arc<dyn Inode>,
        flags: OpenFlags,
    ) -> Result<Arc<dyn File>> {
        let access = match (flags.is_readable(), flags.is_writable()) {
            (true, true) => Access::Both,
            (true, false) => Access::Read,
            _ => Access::Write,
        };
        let is_nonblocking = flags.contains(OpenFlags::NONBLOCK);
        if access == Access::Write && is_nonblocking && !self.stream.status().has_readers {
            return Err(Errno::ENXIO);
        }
        let patience = if is_nonblocking {
            Patience::None
        } else {
            Patience::UntilPeerComes
        };
        Ok(PipeEnd::open(
            self,
            access,
            patience,
            Identity::Named(inode),
        ))
    }
}

/// Which sides of a pipe a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    Both,
}

impl Access {
    fn reads(self) -> bool {
        self != Access::Write
    }

    fn writes(self) -> bool {
        self != Access::Read
    }
}

/// Whether an end that was opened before its peer waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    None,
    UntilPeerComes,
}

/// What `fstat` shows of a pipe's end.
#[derive(Clone)]
enum Identity {
    Anonymous(AnonymousInode),
    Named(Arc<dyn Inode>),
}

/// An open end of a pipe or fifo.
struct PipeEnd {
    fifo: Arc<Fifo>,
    access: Access,
    patience: Patience,
    /// The stream as it was when this end was opened, to notice that a peer has come since.
    at_open: StreamStatus,
    identity: Identity,
}

impl PipeEnd {
    fn open(
        fifo: &Arc<Fifo>,
        access: Access,
        patience: Patience,
        identity: Identity,
    ) -> Arc<dyn File> {
        // Who opens both is its own peer.
        let at_open = match access {
            Access::Read => fifo.stream.add_reader(),
            Access::Write => fifo.stream.add_writer(),
            Access::Both => {
                fifo.stream.add_reader();
                fifo.stream.add_writer()
            }
        };
        Arc::new(PipeEnd {
            fifo: Arc::clone(fifo),
            access,
            patience,
            at_open,
            identity,
        })
    }

    /// Whether no writer has been there yet, as far as this end can know.
    fn is_before_writers(&self, now: &StreamStatus) -> bool {
        !self.at_open.has_writers && now.writer_arrivals == self.at_open.writer_arrivals
    }

    /// Whether this end waits for the first reader.
    fn awaits_readers(&self, now: &StreamStatus) -> bool {
        self.patience == Patience::UntilPeerComes
            && !self.at_open.has_readers
            && now.reader_arrivals == self.at_open.reader_arrivals
    }
}

impl File for PipeEnd {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        match self.fifo.stream.read(buffer, Consume::Take) {
            Ok(0)
                if self.patience == Patience::UntilPeerComes
                    && !buffer.is_empty()
                    && self.is_before_writers(&self.fifo.stream.status()) =>
            {
                Err(Errno::EAGAIN)
            }
            result => result,
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        match self.fifo.stream.write(bytes) {
            Err(Errno::EPIPE) if self.awaits_readers(&self.fifo.stream.status()) => {
                Err(Errno::EAGAIN)
            }
            result => result,
        }
    }

    /// Linux: fs/pipe.c pipe_poll().
    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        let stream = &self.fifo.stream;
        if let Some(waker) = waker {
            if self.access.reads() {
                stream.register_reader(waker);
            }
            if self.access.writes() {
                stream.register_writer(waker);
            }
        }
        let status = stream.status();
        let mut ready = PollEvents::empty();
        if self.access.reads() {
            ready.set(PollEvents::IN, status.readable_bytes > 0);
            let is_hung_up = !status.has_writers && !self.is_before_writers(&status);
            ready.set(PollEvents::HUP, is_hung_up);
        }
        if self.access.writes() {
            let is_early = self.awaits_readers(&status);
            ready.set(PollEvents::OUT, status.has_room && !is_early);
            ready.set(PollEvents::ERR, !status.has_readers && !is_early);
        }
        ready & (interest | PollEvents::HUP | PollEvents::ERR)
    }

    fn metadata(&self) -> Result<Metadata> {
        match &self.identity {
            Identity::Anonymous(inode) => Ok(inode.metadata()),
            Identity::Named(inode) => inode.metadata(),
        }
    }

    fn pipe(&self) -> Option<&Stream> {
        Some(&self.fifo.stream)
    }

    fn awaits_peer(&self) -> bool {
        let now = self.fifo.stream.status();
        match self.access {
            Access::Read => {
                self.patience == Patience::UntilPeerComes && self.is_before_writers(&now)
            }
            Access::Write => self.awaits_readers(&now),
            Access::Both => false,
        }
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.fifo.stream.status().readable_bytes)
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        if self.access.reads() {
            self.fifo.stream.remove_reader();
        }
        if self.access.writes() {
            self.fifo.stream.remove_writer();
        }
        self.fifo.stream.discard_if_abandoned();
    }
}
