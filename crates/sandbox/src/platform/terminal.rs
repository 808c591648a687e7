//! A terminal of a container's own, for `-t` in the background: a pair of the host's, whose other end goes to the log.
//!
//! The host's kernel is the line discipline. Nobody types: a read waits for ever, and the window has no size.
//!
//! Linux: `pty(7)`, `ioctl_tty(2)`.
#![expect(unsafe_code, reason = "a pair of terminals is made by `ioctl(2)`")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use minke_kernel::File;
use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::attach::Output;

/// How much is taken from a terminal at a time.
const READ_BYTES_MAX: usize = 4096;

/// Stack of the thread that reads: it calls nothing deep.
const STACK_BYTES: usize = 128 << 10;

/// A terminal that no program has yet.
#[derive(Debug)]
pub struct Terminal {
    /// The end that programs have.
    pub slave: OwnedFd,
    master: OwnedFd,
}

impl Terminal {
    /// Makes a terminal.
    pub fn open() -> io::Result<Terminal> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master = rustix::fs::open("/dev/ptmx", flags | OFlags::NONBLOCK, Mode::empty())?;
        let unlocked: libc::c_int = 0;
        // SAFETY: `TIOCSPTLCK` reads one `int`, which lives until the call returns; the descriptor is open.
        if unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: `TIOCGPTPEER` takes flags by value and touches no memory; the descriptor is open.
        let slave = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) };
        if slave < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just returned the descriptor, and nobody else knows it.
        let slave = unsafe { OwnedFd::from_raw_fd(slave) };
        Ok(Terminal { slave, master })
    }

    /// Names where what programs print goes, and gives up the programs' end.
    pub(crate) fn into_reader(self, sink: Output) -> TerminalReader {
        TerminalReader {
            master: self.master,
            sink,
        }
    }
}

/// The end of a terminal that programs do not have.
pub struct TerminalReader {
    master: OwnedFd,
    sink: Output,
}

impl TerminalReader {
    /// Reads in a thread of its own. Threads are made once the jail is closed.
    pub fn start(self) -> io::Result<ReadingThread> {
        let end = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?);
        let told = Arc::clone(&end);
        let thread = std::thread::Builder::new()
            .name("terminal".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || self.run(&told))?;
        Ok(ReadingThread { end, thread })
    }

    fn run(&self, end: &OwnedFd) {
        let mut is_over = false;
        while !is_over {
            let mut fds = [
                PollFd::new(&self.master, PollFlags::IN),
                PollFd::new(end, PollFlags::IN),
            ];
            match rustix::event::poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "the terminal cannot be read");
                    break;
                }
            }
            is_over = !fds[1].revents().is_empty();
            self.take();
        }
        self.sink.close();
    }

    /// Takes what is there. Linux hands out what was printed before it says that there is nothing (`n_tty_read()`).
    fn take(&self) {
        let mut buffer = [0; READ_BYTES_MAX];
        while let Ok(count @ 1..) = rustix::io::read(&self.master, &mut buffer[..]) {
            self.sink.hub.wait_for_room();
            // A log takes everything at once, and so do commands that there is room for.
            let _ = self.sink.write(&buffer[..count]);
        }
    }
}

/// The thread that reads a terminal.
pub struct ReadingThread {
    end: Arc<OwnedFd>,
    thread: JoinHandle<()>,
}

impl ReadingThread {
    /// Reads what is left, and ends the thread.
    pub fn finish(self) {
        // An eventfd takes a first write always.
        let _ = rustix::io::write(&*self.end, &1u64.to_ne_bytes());
        if self.thread.join().is_err() {
            tracing::error!("the thread of the terminal panicked");
        }
    }
}
