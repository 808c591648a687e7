//! Standard streams: of the first process the caller's, the log, or both; of others those that a command passes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::Waker;

use minke_abi::Result;
use minke_abi::linux::{FileType, OpenFlags, PollEvents};
use minke_kernel::calls::paths::At;
use minke_kernel::vfs::Metadata;
use minke_kernel::{File, FileDescription, Task};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio;

use super::{Attachment, Stdin, Surroundings};
use crate::attach::{Attached, Hub, InputEnd, NoInput, Output, TypedInput, TypedSink};
use crate::executor::{Executor, Reactor};
use crate::logs::{LogWriter, Stream};
use crate::platform::stdio::Direction;
use crate::platform::{self, HostStream, LogStream, SavedModes, TerminalReader};
use crate::spec::ProcessSpec;

/// Opens descriptors 0, 1 and 2.
///
/// With a terminal (`-t`) the caller's own is passed on: its line discipline, its window. Standard output and standard error are
/// then one stream, as on any terminal. Without a caller the guest gets a terminal of its own; the reader of that is returned.
/// Without `-t` a guest sees none, wherever the streams lead, as with Docker. Commands may be attached to all of them.
pub(super) fn open(
    task: &Task,
    executor: &Executor,
    surroundings: &Surroundings,
    process: &ProcessSpec,
) -> io::Result<Opened> {
    let log = match surroundings.has_log {
        true => Some(Arc::new(LogWriter::open(&surroundings.state_directory)?)),
        false => None,
    };
    let reactor = executor.reactor();
    let terminal = match process.has_terminal {
        true => Terminal::Shown,
        false => Terminal::Hidden,
    };
    let hub = Arc::<Hub>::default();
    if let (Attachment::Detached, Terminal::Shown, Some(log)) =
        (surroundings.attachment, terminal, &log)
    {
        let terminal = Some(open_own_terminal(task, reactor, log, &hub)?);
        let attached = Attached::new(hub, Arc::new(NoInput));
        return Ok(Opened { attached, terminal });
    }
    let input = open_input(task, reactor, surroundings.attachment, process, terminal)?;
    let outputs = match terminal {
        Terminal::Shown => [(Stream::Stdout, stdio::stdout()); 2],
        Terminal::Hidden => [
            (Stream::Stdout, stdio::stdout()),
            (Stream::Stderr, stdio::stderr()),
        ],
    };
    for (stream, fd) in outputs {
        let output = Output {
            stream,
            host: match surroundings.attachment {
                Attachment::Detached => None,
                Attachment::Attached { .. } => Some(host_output(reactor, fd, terminal)?),
            },
            kept: log.as_ref().map(|log| LogStream::new(log.sink(stream))),
            hub: Arc::clone(&hub),
        };
        place(task, Arc::new(output), OpenFlags::WRONLY)?;
    }
    Ok(Opened {
        attached: Attached::new(hub, input),
        terminal: None,
    })
}

/// The standard streams of the first process, from outside.
pub(super) struct Opened {
    pub(super) attached: Arc<Attached>,
    /// Of a terminal of its own.
    pub(super) terminal: Option<TerminalReader>,
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
            Some(fd) => {
                let stream = HostStream::new(reactor, fd, direction);
                place(task, shown(stream, Terminal::Hidden), flags)?;
            }
            None => open_null(task, flags)?,
        }
    }
    Ok(())
}

/// Remembers how the caller's terminals are that the guest may change.
pub(super) fn callers_modes(surroundings: &Surroundings, process: &ProcessSpec) -> Vec<SavedModes> {
    if surroundings.attachment == Attachment::Detached || !process.has_terminal {
        return Vec::new();
    }
    let streams = [stdio::stdin(), stdio::stdout()].into_iter();
    streams
        .filter_map(|fd| SavedModes::of(duplicate(fd).ok()?))
        .collect()
}

/// Gives a guest in the background a terminal whose output is the log's.
fn open_own_terminal(
    task: &Task,
    reactor: &Arc<Reactor>,
    log: &Arc<LogWriter>,
    hub: &Arc<Hub>,
) -> io::Result<TerminalReader> {
    let terminal = platform::Terminal::open()?;
    let stream = |direction| -> io::Result<_> {
        let fd = duplicate(terminal.slave.as_fd())?;
        Ok(HostStream::new(reactor, fd, direction))
    };
    place(task, stream(Direction::In)?, OpenFlags::RDONLY)?;
    place(task, stream(Direction::Out)?, OpenFlags::WRONLY)?;
    place(task, stream(Direction::Out)?, OpenFlags::WRONLY)?;
    Ok(terminal.into_reader(Output {
        stream: Stream::Stdout,
        host: None,
        kept: Some(LogStream::new(log.sink(Stream::Stdout))),
        hub: Arc::clone(hub),
    }))
}

/// Whether a guest may see that a stream is a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Terminal {
    Shown,
    Hidden,
}

fn open_input(
    task: &Task,
    reactor: &Arc<Reactor>,
    attachment: Attachment,
    process: &ProcessSpec,
    terminal: Terminal,
) -> io::Result<Arc<dyn TypedSink>> {
    let host = match attachment {
        Attachment::Attached { stdin: Stdin::Open } => {
            let fd = duplicate(stdio::stdin())?;
            let input = shown(HostStream::new(reactor, fd, Direction::In), terminal);
            if terminal == Terminal::Shown {
                place(task, input, OpenFlags::RDONLY)?;
                return Ok(Arc::new(NoInput));
            }
            Some(input)
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

fn shown(stream: Arc<HostStream>, terminal: Terminal) -> Arc<dyn File> {
    match terminal {
        Terminal::Shown => stream,
        Terminal::Hidden => Arc::new(Plain(stream)),
    }
}

fn open_null(task: &Task, flags: OpenFlags) -> io::Result<()> {
    let opened = task.open(At::Cwd, b"/dev/null", flags, 0);
    opened.map(drop).map_err(io::Error::other)
}

fn host_output(
    reactor: &Arc<Reactor>,
    fd: BorrowedFd<'_>,
    terminal: Terminal,
) -> io::Result<Arc<dyn File>> {
    let stream = HostStream::new(reactor, duplicate(fd)?, Direction::Out);
    Ok(shown(stream, terminal))
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
