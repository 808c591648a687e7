//! Standard streams of the first process: the caller's, the log, or both.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::Waker;

use minke_abi::Result;
use minke_abi::linux::{OpenFlags, PollEvents};
use minke_kernel::calls::paths::At;
use minke_kernel::vfs::Metadata;
use minke_kernel::{File, FileDescription, Task};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio;

use super::{Attachment, Stdin, Surroundings};
use crate::executor::{Executor, Reactor};
use crate::logs::{LogWriter, Stream};
use crate::platform::stdio::Direction;
use crate::platform::{HostStream, LogStream};

/// Opens descriptors 0, 1 and 2.
pub(super) fn open(
    task: &Task,
    executor: &Executor,
    surroundings: &Surroundings,
) -> io::Result<()> {
    let log = match surroundings.has_log {
        true => Some(Arc::new(LogWriter::open(&surroundings.state_directory)?)),
        false => None,
    };
    let reactor = executor.reactor();
    open_input(task, reactor, surroundings.attachment)?;
    let outputs = [
        (Stream::Stdout, stdio::stdout()),
        (Stream::Stderr, stdio::stderr()),
    ];
    for (stream, fd) in outputs {
        let kept = log.as_ref().map(|log| LogStream::new(log.sink(stream)));
        let file: Arc<dyn File> = match (surroundings.attachment, kept) {
            (Attachment::Detached, Some(kept)) => kept,
            (Attachment::Detached, None) => {
                open_null(task, OpenFlags::WRONLY)?;
                continue;
            }
            (Attachment::Attached { .. }, None) => host_output(reactor, fd)?,
            (Attachment::Attached { .. }, Some(kept)) => Arc::new(Tee {
                host: host_output(reactor, fd)?,
                kept,
            }),
        };
        place(task, file, OpenFlags::WRONLY)?;
    }
    Ok(())
}

fn open_input(task: &Task, reactor: &Arc<Reactor>, attachment: Attachment) -> io::Result<()> {
    match attachment {
        Attachment::Attached { stdin: Stdin::Open } => {
            let fd = duplicate(stdio::stdin())?;
            let input = HostStream::new(reactor, fd, Direction::In);
            place(task, input, OpenFlags::RDONLY)
        }
        // Docker: without `-i` the standard input is `/dev/null`.
        _ => open_null(task, OpenFlags::RDONLY),
    }
}

fn open_null(task: &Task, flags: OpenFlags) -> io::Result<()> {
    let opened = task.open(At::Cwd, b"/dev/null", flags, 0);
    opened.map(drop).map_err(io::Error::other)
}

fn host_output(reactor: &Arc<Reactor>, fd: BorrowedFd<'_>) -> io::Result<Arc<dyn File>> {
    Ok(HostStream::new(reactor, duplicate(fd)?, Direction::Out))
}

fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    /// Leaves the standard streams' numbers alone.
    const FIRST_OTHER: i32 = 3;
    Ok(fcntl_dupfd_cloexec(fd, FIRST_OTHER)?)
}

/// Gives a file the next free descriptor.
fn place(task: &Task, file: Arc<dyn File>, flags: OpenFlags) -> io::Result<()> {
    let description = FileDescription::new(file, None, flags);
    let placed = task.process.fds.insert(description, false);
    placed.map(drop).map_err(io::Error::other)
}

/// A stream of the caller whose lines are kept too.
struct Tee {
    host: Arc<dyn File>,
    kept: Arc<LogStream>,
}

impl File for Tee {
    fn write(&self, bytes: &[u8]) -> Result<usize> {
        let count = self.host.write(bytes)?;
        // The log takes everything at once.
        let _ = self.kept.write(&bytes[..count]);
        Ok(count)
    }

    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        self.host.poll(interest, waker)
    }

    fn register(&self, interest: PollEvents, waker: &Waker) {
        self.host.register(interest, waker);
    }

    fn metadata(&self) -> Result<Metadata> {
        self.host.metadata()
    }

    fn is_terminal(&self) -> bool {
        self.host.is_terminal()
    }

    fn close(&self) {
        self.host.close();
        self.kept.close();
    }
}
