//! A terminal of the host.
#![expect(unsafe_code, reason = "terminals are asked by `ioctl(2)`")]

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use minke_abi::linux::PollEvents;
use minke_abi::terminal::request;
use minke_kernel::TerminalModes;
use minke_kernel::tty::{Flow, Queue};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};

use crate::oracle::Terminal;

/// How long the host's kernel may take to move what was written from one end to the other, when nothing tells that it has.
const SETTLING: Duration = Duration::from_millis(4);

pub(crate) struct Host {
    master: Option<OwnedFd>,
    slave: Option<OwnedFd>,
}

impl Host {
    pub(crate) fn open() -> Host {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let master = open("/dev/ptmx", flags, Mode::empty()).expect("the host has terminals");
        control(&master, request::TIOCSPTLCK, &mut 0_i32);
        let raw_flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
        // SAFETY: `TIOCGPTPEER` takes flags by value and touches no memory; the descriptor is open.
        let slave = unsafe {
            libc::ioctl(
                master.as_raw_fd(),
                libc::Ioctl::from(request::TIOCGPTPEER),
                raw_flags,
            )
        };
        assert!(slave >= 0, "the slave opens");
        // SAFETY: the call has just returned the descriptor, and nobody else knows it.
        let slave = unsafe { OwnedFd::from_raw_fd(slave) };
        Host {
            master: Some(master),
            slave: Some(slave),
        }
    }

    fn master(&self) -> &OwnedFd {
        self.master.as_ref().expect("the master is open")
    }

    fn slave(&self) -> &OwnedFd {
        self.slave.as_ref().expect("the slave is open")
    }

    /// Waits until the host's kernel has moved what was written. Polling does it, except where there is something to read already.
    fn settle(&self) {
        let mut has_something = false;
        for end in [&self.slave, &self.master].into_iter().flatten() {
            has_something |= events(end).contains(PollEvents::IN);
        }
        if has_something {
            std::thread::sleep(SETTLING);
        }
    }
}

fn control<T>(fd: &OwnedFd, request: u32, argument: &mut T) {
    // SAFETY: the callers pass what the request reads and writes, which lives until the call returns; the descriptor is open.
    let result = unsafe {
        libc::ioctl(
            fd.as_raw_fd(),
            libc::Ioctl::from(request),
            std::ptr::from_mut(argument),
        )
    };
    assert!(result >= 0, "request {request:#x}");
}

/// Makes a request whose argument is a number.
fn control_number(fd: &OwnedFd, request: u32, argument: libc::c_int) {
    // SAFETY: the request takes a number by value and touches no memory; the descriptor is open.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::Ioctl::from(request), argument) };
    assert!(result >= 0, "request {request:#x}");
}

fn events(fd: &OwnedFd) -> PollEvents {
    let mut fds = [PollFd::from_borrowed_fd(
        fd.as_fd(),
        PollFlags::IN | PollFlags::OUT | PollFlags::PRI,
    )];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&at_once)).expect("it can be polled");
    PollEvents::from_bits_truncate(fds[0].revents().bits())
}

fn read(fd: &OwnedFd, bytes: usize) -> Result<Vec<u8>, i32> {
    let mut buffer = vec![0; bytes];
    let count = rustix::io::read(fd, &mut buffer[..]).map_err(number)?;
    buffer.truncate(count);
    Ok(buffer)
}

fn number(errno: rustix::io::Errno) -> i32 {
    errno.raw_os_error()
}

/// The kernel's `struct termios`.
#[repr(C)]
#[derive(Default)]
struct RawModes {
    flags: [u32; 4],
    discipline: u8,
    characters: [u8; 19],
}

impl Terminal for Host {
    fn modes(&self) -> TerminalModes {
        let mut raw = RawModes::default();
        control(self.slave(), request::TCGETS, &mut raw);
        TerminalModes {
            flags: raw.flags,
            discipline: raw.discipline,
            characters: raw.characters,
        }
    }

    fn set_modes(&self, modes: &TerminalModes) {
        self.settle();
        let mut raw = RawModes {
            flags: modes.flags,
            discipline: modes.discipline,
            characters: modes.characters,
        };
        control(self.slave(), request::TCSETS, &mut raw);
    }

    fn type_bytes(&self, bytes: &[u8]) -> Result<usize, i32> {
        let written = rustix::io::write(self.master(), bytes).map_err(number);
        self.settle();
        written
    }

    fn read(&self, bytes: usize) -> Result<Vec<u8>, i32> {
        read(self.slave(), bytes)
    }

    fn print(&self, bytes: &[u8]) -> Result<usize, i32> {
        self.settle();
        rustix::io::write(self.slave(), bytes).map_err(number)
    }

    fn take(&self, bytes: usize) -> Result<Vec<u8>, i32> {
        self.settle();
        read(self.master(), bytes)
    }

    fn readable_bytes(&self) -> usize {
        self.settle();
        let mut count: libc::c_int = 0;
        control(self.slave(), 0x541b, &mut count);
        count as usize
    }

    fn flush(&self, queue: Queue) {
        self.settle();
        let queue = match queue {
            Queue::Input => libc::TCIFLUSH,
            Queue::Output => libc::TCOFLUSH,
            Queue::Both => libc::TCIOFLUSH,
        };
        control_number(self.slave(), request::TCFLSH, queue);
    }

    fn set_flow(&self, flow: Flow) {
        self.settle();
        let action = match flow {
            Flow::StopOutput => libc::TCOOFF,
            Flow::StartOutput => libc::TCOON,
            Flow::StopInput => libc::TCIOFF,
            Flow::StartInput => libc::TCION,
        };
        control_number(self.slave(), request::TCXONC, action);
    }

    fn events(&self) -> PollEvents {
        self.settle();
        events(self.slave())
    }

    fn set_packet_mode(&self) {
        control(self.master(), request::TIOCPKT, &mut 1_i32);
    }

    fn close_slave(&mut self) {
        self.settle();
        self.slave = None;
    }

    fn close_master(&mut self) {
        self.settle();
        self.master = None;
    }
}
