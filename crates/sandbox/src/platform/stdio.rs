//! Standard streams: descriptors that were inherited, and lines for a log.
//!
//! An inherited descriptor often shares its file description with other processes (a shell's
//! terminal), so it must never be put into non-blocking mode: the others would see
//! `EAGAIN`. A pipe or terminal is opened again through `/proc/self/fd`, which gives a
//! description of our own; where that is refused, readiness is asked for before each transfer, and
//! writes are kept so short that a ready pipe takes them whole.

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use minke_abi::linux::{FileType, PollEvents};
use minke_abi::{Errno, Result};
use minke_kernel::File;
use minke_kernel::vfs::{Metadata, Timestamp};
use rustix::fs::{Mode, OFlags};

use super::errno;
use super::network::poll_now;
use crate::executor::{PolledFd, Reactor};

/// A write that a pipe which polls as writable takes without blocking. POSIX: `PIPE_BUF`.
const CAREFUL_WRITE_BYTES: usize = 4096;

/// Which way a standard stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    In,
    Out,
}

/// A descriptor of the host as a container's standard stream.
pub struct HostStream {
    reactor: Arc<Reactor>,
    blocking: Blocking,
    /// Registers the descriptor when somebody waits for it first; `None` inside for what is always ready.
    polled: OnceLock<Option<PolledFd>>,
    fd: Arc<OwnedFd>,
}

/// How transfers are kept from blocking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocking {
    /// The description is ours and non-blocking.
    Own,
    /// The description is shared: look before each transfer.
    Careful,
    /// Regular files and devices such as `/dev/null` are always ready.
    Ready,
}

impl HostStream {
    /// Wraps an inherited descriptor; the original may be closed afterwards.
    pub fn new(reactor: &Arc<Reactor>, fd: OwnedFd, direction: Direction) -> Arc<HostStream> {
        let (fd, blocking) = prepare(fd, direction);
        Arc::new(HostStream {
            reactor: Arc::clone(reactor),
            blocking,
            polled: OnceLock::new(),
            fd: Arc::new(fd),
        })
    }

    fn attempt<T>(
        &self,
        interest: PollEvents,
        operation: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Result<T> {
        if self.blocking == Blocking::Careful && poll_now(self.fd.as_fd(), interest).is_empty() {
            if let Some(Some(polled)) = self.polled.get() {
                // Tells the reactor's memory that the descriptor is not ready.
                let again = |_: BorrowedFd<'_>| Err::<(), _>(rustix::io::Errno::AGAIN);
                let _ = polled.attempt(interest, again);
            }
            return Err(Errno::EAGAIN);
        }
        let result = match self.polled.get() {
            Some(Some(polled)) => polled.attempt(interest, operation),
            _ => operation(self.fd.as_fd()),
        };
        result.map_err(errno)
    }
}

/// Finds out how to use a descriptor without blocking.
fn prepare(fd: OwnedFd, direction: Direction) -> (OwnedFd, Blocking) {
    let file_type = rustix::fs::fstat(&fd)
        .map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode))
        .unwrap_or(rustix::fs::FileType::Unknown);
    let can_wait = match file_type {
        rustix::fs::FileType::Fifo | rustix::fs::FileType::Socket => true,
        rustix::fs::FileType::CharacterDevice => fd.is_terminal(),
        _ => false,
    };
    if !can_wait {
        return (fd, Blocking::Ready);
    }
    match reopen(&fd, direction) {
        Some(own) => (own, Blocking::Own),
        None => (fd, Blocking::Careful),
    }
}

/// Opens the file behind a descriptor once more, non-blocking; sockets and other users' files refuse.
fn reopen(fd: &OwnedFd, direction: Direction) -> Option<OwnedFd> {
    use std::os::fd::AsRawFd;

    let access = match direction {
        Direction::In => OFlags::RDONLY,
        Direction::Out => OFlags::WRONLY,
    };
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

impl File for HostStream {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.attempt(PollEvents::IN, |fd| rustix::io::read(fd, &mut *buffer))
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        let bytes = match self.blocking {
            Blocking::Careful => &bytes[..bytes.len().min(CAREFUL_WRITE_BYTES)],
            Blocking::Own | Blocking::Ready => bytes,
        };
        self.attempt(PollEvents::OUT, |fd| rustix::io::write(fd, bytes))
    }

    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        if let Some(waker) = waker {
            self.register(interest, waker);
        }
        match self.polled.get() {
            Some(Some(polled)) => polled.poll(interest, None),
            _ => poll_now(self.fd.as_fd(), interest),
        }
    }

    fn register(&self, _interest: PollEvents, waker: &Waker) {
        let polled = self
            .polled
            .get_or_init(|| PolledFd::new(&self.reactor, Arc::clone(&self.fd)).ok());
        match polled {
            Some(polled) => polled.register(waker),
            None => waker.wake_by_ref(),
        }
    }

    fn metadata(&self) -> Result<Metadata> {
        let stat = rustix::fs::fstat(&self.fd).map_err(errno)?;
        let file_type = FileType::from_mode(stat.st_mode).unwrap_or(FileType::CharacterDevice);
        let time = |seconds, nanoseconds: u64| Timestamp {
            seconds,
            nanoseconds: nanoseconds as u32,
        };
        Ok(Metadata {
            device: stat.st_dev,
            inode: stat.st_ino,
            file_type,
            mode: stat.st_mode & 0o7777,
            links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
            // The host's users mean nothing in the container.
            uid: 0,
            gid: 0,
            device_id: stat.st_rdev,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            block_size: u32::try_from(stat.st_blksize).unwrap_or(4096),
            blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
            accessed: time(stat.st_atime, stat.st_atime_nsec),
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
            changed: time(stat.st_ctime, stat.st_ctime_nsec),
        })
    }

    fn is_terminal(&self) -> bool {
        self.fd.is_terminal()
    }

    fn readable_bytes(&self) -> Result<usize> {
        let bytes = rustix::io::ioctl_fionread(&self.fd).map_err(errno)?;
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }
}

/// Takes lines of a container's output.
pub trait LogSink: Send + Sync {
    /// Takes a line without its newline, or a part of one that is too long.
    fn write_line(&self, line: &[u8], end: LineEnd);
}

/// How a piece of output ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// With a newline, or with the stream.
    Newline,
    /// The line was cut here and goes on in the next piece.
    Cut,
}

/// Longest piece of a line that is kept together. Docker: `daemon/logger` cuts at 16 KiB too.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// A standard stream that goes to a log line by line.
pub struct LogStream {
    sink: Arc<dyn LogSink>,
    /// The line that has no end yet; at most [`LINE_BYTES_MAX`].
    unfinished: Mutex<Vec<u8>>,
}

impl LogStream {
    /// Makes a stream whose lines go to `sink`.
    pub fn new(sink: Arc<dyn LogSink>) -> Arc<LogStream> {
        Arc::new(LogStream {
            sink,
            unfinished: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out a piece, joined with what was left over from the last write.
    fn emit(&self, unfinished: &mut Vec<u8>, piece: &[u8], end: LineEnd) {
        if unfinished.is_empty() {
            self.sink.write_line(piece, end);
            return;
        }
        unfinished.extend_from_slice(piece);
        self.sink.write_line(unfinished, end);
        unfinished.clear();
    }
}

impl File for LogStream {
    fn write(&self, bytes: &[u8]) -> Result<usize> {
        let mut unfinished = self.lock();
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = LINE_BYTES_MAX - unfinished.len();
            let window = &rest[..rest.len().min(room + 1)];
            match window.iter().position(|byte| *byte == b'\n') {
                Some(newline) => {
                    self.emit(&mut unfinished, &rest[..newline], LineEnd::Newline);
                    rest = &rest[newline + 1..];
                }
                None if rest.len() > room => {
                    self.emit(&mut unfinished, &rest[..room], LineEnd::Cut);
                    rest = &rest[room..];
                }
                None => {
                    unfinished.extend_from_slice(rest);
                    break;
                }
            }
        }
        Ok(bytes.len())
    }

    fn poll(&self, interest: PollEvents, _waker: Option<&Waker>) -> PollEvents {
        interest & PollEvents::OUT
    }

    fn metadata(&self) -> Result<Metadata> {
        let epoch = Timestamp::default();
        Ok(Metadata {
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
        })
    }

    /// Hands out a last line without a newline.
    fn close(&self) {
        let mut unfinished = self.lock();
        if !unfinished.is_empty() {
            self.emit(&mut unfinished, &[], LineEnd::Newline);
        }
    }
}
