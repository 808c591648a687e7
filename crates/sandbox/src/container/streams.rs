//! Standard streams: of the first process a terminal, or the caller's, the log and those of commands; of others those that a command passes.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::Waker;

use minke_abi::Result;
use minke_abi::linux::{FileType, OpenFlags, PollEvents};
use minke_kernel::calls::paths::At;
use minke_kernel::vfs::Metadata;
use minke_kernel::{File, FileDescription, Kernel, Task};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio;

use super::{Attachment, Stdin, Surroundings};
use crate::attach::{
    Attached, Hub, InputEnd, NoInput, Output, Terminal, TypedInput, TypedSink, WindowSize,
};
use crate::executor::Reactor;
use crate::logs::{LogWriter, Stream};
use crate::platform::stdio::Direction;
use crate::platform::{HostStream, LogStream};
use crate::spec::ProcessSpec;

/// The standard streams of the first process, from outside.
pub(super) struct Opened {
    pub(super) attached: Arc<Attached>,
    /// What they are with `-t`, and where it is to be shown.
    pub(super) terminal: Option<(Arc<Terminal>, Output)>,
}

/// Opens descriptors 0, 1 and 2.
///
/// With `-t` all three are a terminal of the container's kernel. Without it a guest sees none, wherever the streams lead, as with Docker.
/// Commands may be attached to either.
pub(super) fn open(
    kernel: &Arc<Kernel>,
    task: &Task,
    reactor: &Arc<Reactor>,
    surroundings: &Surroundings,
    process: &ProcessSpec,
) -> io::Result<Opened> {
    let log = match surroundings.has_log {
        true => Some(Arc::new(LogWriter::open(&surroundings.state_directory)?)),
        false => None,
    };
    let hub = Arc::<Hub>::default();
    let output = |stream, host| Output {
        stream,
        host,
        kept: log.as_ref().map(|log| LogStream::new(log.sink(stream))),
        hub: Arc::clone(&hub),
    };
    if process.has_terminal {
        let size = surroundings.first_command.as_ref();
        let size = size.and_then(|command| command.request.window);
        let terminal = open_terminal(kernel, task, size.unwrap_or_default())?;
        terminal.set_console();
        let shown = output(Stream::Stdout, None);
        return Ok(Opened {
            attached: Attached::new(hub, Arc::clone(&terminal) as _),
            terminal: Some((terminal, shown)),
        });
    }
    let input = open_input(task, reactor, surroundings.attachment, process)?;
    for (stream, fd) in [
        (Stream::Stdout, stdio::stdout()),
        (Stream::Stderr, stdio::stderr()),
    ] {
        let host = match surroundings.attachment {
            Attachment::Detached => None,
            Attachment::Attached { .. } => Some(hidden(reactor, duplicate(fd)?, Direction::Out)),
        };
        place(task, Arc::new(output(stream, host)), OpenFlags::WRONLY)?;
    }
    Ok(Opened {
        attached: Attached::new(hub, input),
        terminal: None,
    })
}

/// Makes a terminal the standard streams of a process that runs nothing yet.
pub(super) fn open_terminal(
    kernel: &Arc<Kernel>,
    task: &Task,
    size: WindowSize,
) -> io::Result<Arc<Terminal>> {
    Terminal::open(kernel, task, size).map_err(io::Error::other)
}

/// Opens descriptors 0, 1 and 2 on those that a command passed, each `None` for `/dev/null`. The guest sees no terminal.
pub(super) fn open_passed(
    task: &Task,
    reactor: &Arc<Reactor>,
    passed: [Option<OwnedFd>; 3],
) -> io::Result<()> {
    let directions = [Direction::In, Direction::Out, Direction::Out];
    for (fd, direction) in passed.into_iter().zip(directions) {
        let flags = match direction {
            Direction::In => OpenFlags::RDONLY,
            Direction::Out => OpenFlags::WRONLY,
        };
        match fd {
            Some(fd) => place(task, hidden(reactor, fd, direction), flags)?,
            None => open_null(task, flags)?,
        }
    }
    Ok(())
}

fn open_input(
    task: &Task,
    reactor: &Arc<Reactor>,
    attachment: Attachment,
    process: &ProcessSpec,
) -> io::Result<Arc<dyn TypedSink>> {
    let host = match attachment {
        Attachment::Attached { stdin: Stdin::Open } => {
            Some(hidden(reactor, duplicate(stdio::stdin())?, Direction::In))
        }
        Attachment::Detached if process.is_stdin_open => None,
        // Docker: without `-i` the standard input is `/dev/null`.
        _ => {
            open_null(task, OpenFlags::RDONLY)?;
            return Ok(Arc::new(NoInput));
        }
    };
    let end = match process.is_stdin_once {
        true => InputEnd::Closed,
        false => InputEnd::Open,
    };
    let input = TypedInput::new(host, end);
    place(task, Arc::clone(&input) as _, OpenFlags::RDONLY)?;
    Ok(input)
}

/// A stream of the host that is no terminal to a guest.
fn hidden(reactor: &Arc<Reactor>, fd: OwnedFd, direction: Direction) -> Arc<dyn File> {
    Arc::new(Plain(HostStream::new(reactor, fd, direction)))
}

fn open_null(task: &Task, flags: OpenFlags) -> io::Result<()> {
    let opened = task.open(At::Cwd, b"/dev/null", flags, 0);
    opened.map(drop).map_err(io::Error::other)
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

/// A stream of the caller that is no terminal to the guest, whatever it is.
struct Plain(Arc<HostStream>);

impl File for Plain {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.0.write(bytes)
    }

    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        self.0.poll(interest, waker)
    }

    fn register(&self, interest: PollEvents, waker: &Waker) {
        self.0.register(interest, waker);
    }

    /// A pipe, as with Docker: a guest that asks for the type must not find a terminal's either.
    fn metadata(&self) -> Result<Metadata> {
        let metadata = self.0.metadata()?;
        Ok(match self.0.is_terminal() {
            true => Metadata {
                file_type: FileType::Fifo,
                device_id: 0,
                ..metadata
            },
            false => metadata,
        })
    }

    fn readable_bytes(&self) -> Result<usize> {
        self.0.readable_bytes()
    }
}
