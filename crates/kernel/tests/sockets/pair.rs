//! Two connected ends, on Linux and on our kernel, behind one set of operations.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use minke_abi::linux::{AF_INET, AF_UNIX, OpenFlags, PollEvents};
use minke_abi::linux::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
use minke_kernel::calls::poll::PollEntry;
use minke_kernel::net::options::{SO_ERROR, SOL_SOCKET};
use minke_kernel::net::{MessageFlags, Shutdown, SocketAddress};
use minke_kernel::process::Credentials;
use minke_kernel::task::Deadline;
use minke_kernel::{Errno, Fd, Task};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::blocking::run;
use crate::machine::Machine;

/// What connects the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pipe,
    UnixStream,
    UnixPackets,
    UnixDatagrams,
    Tcp,
}

/// What a call gave: a count, or the name of an error.
pub(crate) type Outcome = Result<usize, Errno>;

/// Two connected ends, by 0 and 1. Nothing blocks.
pub(crate) trait Pair {
    fn write(&mut self, end: usize, bytes: &[u8]) -> Outcome;
    fn read(&mut self, end: usize, buffer: &mut [u8]) -> Outcome;
    fn shutdown(&mut self, end: usize, how: Shutdown) -> Outcome;
    fn close(&mut self, end: usize);
    fn poll(&mut self, end: usize) -> PollEvents;
    fn take_error(&mut self, end: usize) -> Outcome;
    fn readable_bytes(&mut self, end: usize) -> Outcome;
}

/// Everything that is asked for in a poll.
pub(crate) const INTEREST: PollEvents = PollEvents::IN
    .union(PollEvents::OUT)
    .union(PollEvents::PRI)
    .union(PollEvents::RDHUP);

/// The ends on the host's kernel.
pub(crate) struct Linux {
    kind: Kind,
    fds: [Option<OwnedFd>; 2],
}

impl Linux {
    pub(crate) fn new(kind: Kind) -> Linux {
        let (first, second) = match kind {
            Kind::Pipe => {
                let flags = rustix::pipe::PipeFlags::NONBLOCK | rustix::pipe::PipeFlags::CLOEXEC;
                rustix::pipe::pipe_with(flags).unwrap()
            }
            Kind::UnixStream => linux_unix(SocketType::STREAM),
            Kind::UnixPackets => linux_unix(SocketType::SEQPACKET),
            Kind::UnixDatagrams => linux_unix(SocketType::DGRAM),
            Kind::Tcp => linux_tcp(),
        };
        Linux {
            kind,
            fds: [Some(first), Some(second)],
        }
    }

    fn fd(&self, end: usize) -> &OwnedFd {
        self.fds[end].as_ref().unwrap()
    }
}

fn linux_unix(kind: SocketType) -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None).unwrap()
}

fn linux_tcp() -> (OwnedFd, OwnedFd) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    // Bytes that wait for company would arrive after they were looked for.
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    (near.into(), far.into())
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

impl Pair for Linux {
    fn write(&mut self, end: usize, bytes: &[u8]) -> Outcome {
        match self.kind {
            Kind::Pipe => rustix::io::write(self.fd(end), bytes).map_err(errno),
            _ => rustix::net::send(self.fd(end), bytes, SendFlags::NOSIGNAL).map_err(errno),
        }
    }

    fn read(&mut self, end: usize, buffer: &mut [u8]) -> Outcome {
        match self.kind {
            Kind::Pipe => rustix::io::read(self.fd(end), buffer).map_err(errno),
            _ => rustix::net::recv(self.fd(end), buffer, RecvFlags::empty())
                .map(|(count, _)| count)
                .map_err(errno),
        }
    }

    fn shutdown(&mut self, end: usize, how: Shutdown) -> Outcome {
        let how = match how {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        let done = rustix::net::shutdown(self.fd(end), how);
        done.map(|()| 0).map_err(errno)
    }

    fn close(&mut self, end: usize) {
        self.fds[end] = None;
    }

    fn poll(&mut self, end: usize) -> PollEvents {
        let interest = PollFlags::from_bits_retain(INTEREST.bits());
        let mut fds = [PollFd::new(self.fd(end), interest)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        rustix::event::poll(&mut fds, Some(&at_once)).unwrap();
        PollEvents::from_bits_retain(fds[0].revents().bits())
    }

    fn take_error(&mut self, end: usize) -> Outcome {
        let pending = rustix::net::sockopt::socket_error(self.fd(end)).map_err(errno)?;
        pending.map(|()| 0).map_err(errno)
    }

    fn readable_bytes(&mut self, end: usize) -> Outcome {
        let bytes = rustix::io::ioctl_fionread(self.fd(end)).map_err(errno)?;
        Ok(bytes as usize)
    }
}

/// The ends on our kernel.
pub(crate) struct Ours {
    kind: Kind,
    task: Task,
    fds: [Fd; 2],
    _machine: Machine,
}

impl Ours {
    pub(crate) fn new(kind: Kind) -> Ours {
        let machine = Machine::with_tmpfs();
        let task = machine.task(Credentials::root());
        let unix = |kind| {
            task.socket_pair(AF_UNIX, kind, OpenFlags::NONBLOCK)
                .unwrap()
        };
        let (first, second) = match kind {
            Kind::Pipe => task.pipe(OpenFlags::NONBLOCK).unwrap(),
            Kind::UnixStream => unix(SOCK_STREAM),
            Kind::UnixPackets => unix(SOCK_SEQPACKET),
            Kind::UnixDatagrams => unix(SOCK_DGRAM),
            Kind::Tcp => tcp_pair(&task),
        };
        Ours {
            kind,
            task,
            fds: [first, second],
            _machine: machine,
        }
    }
}

/// Makes a TCP connection of a container with itself.
pub(crate) fn tcp_pair(task: &Task) -> (Fd, Fd) {
    let any = SocketAddress::Inet(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
    let socket = || task.socket(AF_INET, SOCK_STREAM, 0, OpenFlags::NONBLOCK);
    let listener = socket().unwrap();
    task.bind(listener, &any).unwrap();
    task.listen(listener, 1).unwrap();
    let near = socket().unwrap();
    let address = task.socket_name(listener).unwrap();
    run(task.connect(near, &address)).unwrap();
    let (far, _) = run(task.accept(listener, OpenFlags::NONBLOCK)).unwrap();
    task.close(listener).unwrap();
    (near, far)
}

impl Pair for Ours {
    fn write(&mut self, end: usize, bytes: &[u8]) -> Outcome {
        let fd = self.fds[end];
        match self.kind {
            Kind::Pipe => self.task.process.fds.get(fd)?.write(bytes),
            _ => run(self
                .task
                .send_with(fd, None, MessageFlags::empty(), |send| send(bytes))),
        }
    }

    fn read(&mut self, end: usize, buffer: &mut [u8]) -> Outcome {
        let fd = self.fds[end];
        match self.kind {
            Kind::Pipe => self.task.process.fds.get(fd)?.read(buffer),
            _ => run(self
                .task
                .receive_with(fd, MessageFlags::empty(), |receive| receive(buffer)))
            .map(|received| received.count),
        }
    }

    fn shutdown(&mut self, end: usize, how: Shutdown) -> Outcome {
        self.task.shutdown(self.fds[end], how).map(|()| 0)
    }

    fn close(&mut self, end: usize) {
        self.task.close(self.fds[end]).unwrap();
    }

    fn poll(&mut self, end: usize) -> PollEvents {
        let mut entries = [PollEntry {
            fd: self.fds[end],
            interest: INTEREST,
            ready: PollEvents::empty(),
        }];
        run(self.task.poll(&mut entries, Deadline::At(0))).unwrap();
        entries[0].ready
    }

    fn take_error(&mut self, end: usize) -> Outcome {
        let value = self
            .task
            .socket_option(self.fds[end], SOL_SOCKET, SO_ERROR)?;
        match i32::from_le_bytes(value.try_into().unwrap()) {
            0 => Ok(0),
            number => Err(Errno::from_raw(number)),
        }
    }

    fn readable_bytes(&mut self, end: usize) -> Outcome {
        let description = self.task.process.fds.get(self.fds[end])?;
        description.file.readable_bytes()
    }
}
