//! The end of a terminal that the host drives: of `run -t`, `exec -t` and `attach`.

use std::sync::Arc;
use std::task::Waker;

use minke_abi::Result;
use minke_abi::linux::{OpenFlags, PollEvents};
use minke_abi::terminal::InputFlags;

use super::devpts::DevptsFileSystem;
use super::pair::{Pair, Window};
use super::session::Stealing;
use crate::descriptor::{Fd, FileDescription};
use crate::file::ModesChange;
use crate::kernel::Kernel;
use crate::task::Task;
use crate::vfs::Location;

/// Descriptors of the standard streams.
const STANDARD_STREAMS: [Fd; 3] = [Fd(0), Fd(1), Fd(2)];

/// The end of a terminal that programs do not have. Dropping it hangs up.
pub struct Master {
    kernel: Arc<Kernel>,
    pair: Arc<Pair>,
}

impl Master {
    /// Makes a terminal that belongs to a user, with Linux's modes and characters in UTF-8, as terminal emulators make one.
    ///
    /// `ENOSPC` when the container has all terminals that it may have, `ENOMEM` when it has no memory for one.
    pub fn open(kernel: &Arc<Kernel>, uid: u32, window: Window) -> Result<Master> {
        let pair = kernel.terminals.add(kernel, uid)?;
        let mut modes = pair.modes();
        modes.flags[0] |= InputFlags::IUTF8.bits();
        pair.set_modes(&modes, ModesChange::Now);
        pair.set_window(window);
        let kernel = Arc::clone(kernel);
        Ok(Master { kernel, pair })
    }

    /// Returns N of `/dev/pts/N`.
    pub fn number(&self) -> u32 {
        self.pair.number
    }

    /// Makes the slave the standard streams of a process that runs nothing yet, and its controlling terminal.
    ///
    /// `EPERM` unless it leads its session and has no terminal.
    pub fn attach(&self, task: &Task) -> Result<()> {
        let location = self.location();
        let inode = match &location {
            Some(location) => Arc::clone(&location.inode),
            None => DevptsFileSystem::new(&self.kernel).node(&self.pair),
        };
        let file = self.pair.open_slave(&inode)?;
        self.pair.acquire(&task.process, Stealing::No)?;
        let flags = OpenFlags::RDWR | OpenFlags::LARGEFILE;
        let description = FileDescription::new(file, location, flags);
        for fd in STANDARD_STREAMS {
            let description = Arc::clone(&description);
            task.process.fds.replace(fd, description, false)?;
        }
        Ok(())
    }

    /// Returns where the slave is; `None` when something hides `/dev/pts`.
    fn location(&self) -> Option<Arc<Location>> {
        self.pair.location(&self.kernel)
    }

    /// Makes this terminal what `/dev/console` opens.
    pub fn set_console(&self) {
        self.kernel.terminals.set_console(&self.pair);
    }

    /// Reads what programs printed, and echoes.
    ///
    /// `EAGAIN` when nothing is there; `EIO` when nothing is there and nobody has the slave open any more, or [`Master::hang_up`] was called.
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.pair.read_printed(buffer)
    }

    /// Types bytes, perhaps fewer than given; `EAGAIN` when none fits because programs do not read.
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.pair.type_bytes(bytes)
    }

    /// Returns what of `interest` holds, and `HUP` when nobody has the slave open any more; registers `waker` for changes.
    pub fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        if let Some(waker) = waker {
            self.pair.register_master(waker);
        }
        self.pair.master_events() & (interest | PollEvents::HUP)
    }

    /// Changes the size of the window; if it is another one, the foreground group gets `SIGWINCH`.
    pub fn set_window(&self, window: Window) {
        self.pair.set_window(window);
    }

    /// Returns the size of the window.
    pub fn window(&self) -> Window {
        self.pair.window()
    }

    /// Hangs up for good: the session's leader gets `SIGHUP` and `SIGCONT`, reads of the slave give the end, writes `EIO`.
    pub fn hang_up(&self) {
        self.pair.hang_up();
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.pair.hang_up();
    }
}
