//! Calls on terminals: what depends on who asks.
//!
//! Linux: drivers/tty/tty_io.c, tty_jobctrl.c, n_tty.c.

use std::sync::Arc;

use minke_abi::linux::{OpenFlags, PollEvents, Signal};
use minke_abi::signal::SignalSet;
use minke_abi::{Errno, Result};

use crate::descriptor::{Fd, FileDescription};
use crate::file::{ModesChange, TerminalModes};
use crate::process::Pid;
use crate::task::{Deadline, Task};
use crate::tty::{Access, DevptsFileSystem, End, Readiness, Side, Stealing};

impl Task {
    /// Reads as [`Task::block_on`] does, and a terminal as its modes say: a background group is stopped first, `VMIN` and `VTIME` hold.
    ///
    /// `wanted` is how many bytes the read has room for; the default of `T` is what a read of nothing gives.
    pub async fn block_on_read<T: Default>(
        &self,
        description: &FileDescription,
        wanted: usize,
        attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        match description.file.terminal() {
            Some(end) if end.side == Side::Slave => {
                self.read_terminal(end, description, wanted, attempt).await
            }
            _ => self.block_on(description, PollEvents::IN, attempt).await,
        }
    }

    async fn read_terminal<T: Default>(
        &self,
        end: &End,
        description: &FileDescription,
        wanted: usize,
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let began = self.process.kernel.clock.monotonic();
        loop {
            self.use_terminal(end, Signal::TTIN).await?;
            if description.is_nonblocking() {
                return attempt();
            }
            let deadline = match end.pair.readiness(wanted, began) {
                Readiness::WaitsUntil(deadline) => deadline,
                Readiness::Ready => match attempt() {
                    // Somebody else was faster.
                    Err(Errno::EAGAIN) => continue,
                    done => return done,
                },
            };
            if self
                .await_input(end, description, (wanted, began), deadline)
                .await?
            {
                continue;
            }
            return match attempt() {
                Err(Errno::EAGAIN) => Ok(T::default()),
                done => done,
            };
        }
    }

    /// Waits for a change of what a read waits for; returns `false` when the deadline has passed.
    async fn await_input(
        &self,
        end: &End,
        description: &FileDescription,
        (wanted, began): (usize, u64),
        deadline: Option<u64>,
    ) -> Result<bool> {
        let until = deadline.map_or(Deadline::Never, Deadline::At);
        let changed = self.wait_for(until, |cx| {
            description.file.register(PollEvents::IN, cx.waker());
            let waits = end.pair.readiness(wanted, began) == Readiness::WaitsUntil(deadline);
            let is_allowed = end.pair.access(&self.process, Signal::TTIN) == Access::Allowed;
            (!waits || !is_allowed).then_some(Ok(()))
        });
        match changed.await {
            None => Ok(false),
            Some(changed) => changed.map(|()| true),
        }
    }

    /// Waits until the process may print to what may be its terminal. POSIX: `TOSTOP`.
    pub(crate) async fn may_print(&self, description: &FileDescription) -> Result<()> {
        match description.file.terminal() {
            Some(end) if end.side == Side::Slave && end.pair.stops_background_output() => {
                self.use_terminal(end, Signal::TTOU).await
            }
            _ => Ok(()),
        }
    }

    /// Stops a background group for as long as its terminal is not for it; `EIO` if nobody would let it go on.
    async fn use_terminal(&self, end: &End, signal: Signal) -> Result<()> {
        loop {
            match end.pair.access(&self.process, signal) {
                Access::Allowed => return Ok(()),
                Access::Refused => return Err(Errno::EIO),
                Access::Signals(group) => {
                    let signals = SignalSet::of(&[signal]);
                    self.process.kernel.signal_group(group, signals);
                }
            }
            // Nothing is ready before the process goes on.
            let goes_on = self.wait_for(Deadline::Never, |_| Some(Ok(())));
            goes_on.await.unwrap_or(Ok(()))?;
            let signals = &self.process.signals;
            if signals.fatal().is_some() || self.signals().is_deliverable() {
                return Err(Errno::EINTR);
            }
        }
    }

    /// Returns the end of a terminal that a descriptor names; `ENOTTY` for what is none of the kernel's, `EIO` once it was hung up.
    pub fn terminal(&self, fd: Fd) -> Result<End> {
        let description = self.process.fds.get(fd)?;
        let end = description.file.terminal().ok_or(Errno::ENOTTY)?;
        match end.is_hung_up() {
            true => Err(Errno::EIO),
            false => Ok(end.clone()),
        }
    }

    /// Returns a terminal that the process is about to change, once it may.
    pub async fn terminal_to_change(&self, fd: Fd) -> Result<End> {
        let end = self.terminal(fd)?;
        self.use_terminal(&end, Signal::TTOU).await?;
        Ok(end)
    }

    /// Changes a terminal's modes. POSIX: `tcsetattr()`.
    pub async fn set_terminal_modes(
        &self,
        fd: Fd,
        modes: &TerminalModes,
        when: ModesChange,
    ) -> Result<()> {
        let end = self.terminal_to_change(fd).await?;
        end.pair.set_modes(modes, when);
        Ok(())
    }

    /// Makes a terminal the controlling one of the caller's session; from another session root may take it. Linux: `TIOCSCTTY`.
    pub fn acquire_terminal(&self, fd: Fd, takes_from_others: bool) -> Result<()> {
        let end = self.terminal(fd)?;
        let is_privileged = self.process.credentials().is_privileged();
        let is_readable = self.process.fds.get(fd)?.flags().is_readable();
        if !is_readable && !is_privileged {
            return Err(Errno::EPERM);
        }
        let stealing = match takes_from_others && is_privileged {
            true => Stealing::Yes,
            false => Stealing::No,
        };
        end.pair.acquire(&self.process, stealing)
    }

    /// Gives the controlling terminal up, for the whole session if the caller leads it. Linux: `TIOCNOTTY`, `disassociate_ctty()`.
    pub fn release_terminal(&self, fd: Fd) -> Result<()> {
        self.controlling(fd)?;
        let process = &self.process;
        let left = {
            let mut table = process.kernel.table();
            let left = table.leave_terminal(process.pid, SignalSet::of(&[Signal::CONT]));
            if let Some(member) = table.get_mut(process.pid) {
                member.terminal = None;
            }
            left
        };
        process.kernel.tell_left(left);
        Ok(())
    }

    /// Returns a terminal that controls the caller, or of which it has the master; else `ENOTTY`.
    fn controlling(&self, fd: Fd) -> Result<End> {
        let end = self.terminal(fd)?;
        match end.side == Side::Master || end.pair.is_controlling(&self.process) {
            true => Ok(end),
            false => Err(Errno::ENOTTY),
        }
    }

    /// Returns the foreground group; 0 if there is none. POSIX: `tcgetpgrp()`.
    pub fn foreground_group(&self, fd: Fd) -> Result<Pid> {
        let end = self.controlling(fd)?;
        Ok(end.pair.foreground().unwrap_or(Pid(0)))
    }

    /// Puts a group into the foreground. POSIX: `tcsetpgrp()`.
    pub async fn set_foreground_group(&self, fd: Fd, group: Pid) -> Result<()> {
        let not_controlling = |errno| match errno {
            Errno::EIO => Errno::ENOTTY,
            errno => errno,
        };
        let end = self.terminal_to_change(fd).await.map_err(not_controlling)?;
        end.pair.set_foreground(&self.process, group)
    }

    /// Returns the session that a terminal controls. POSIX: `tcgetsid()`.
    pub fn terminal_session(&self, fd: Fd) -> Result<Pid> {
        self.controlling(fd)?.pair.session().ok_or(Errno::ENOTTY)
    }

    /// Opens the slave of a master, whatever its path means to the caller; gives it a descriptor. Linux: `TIOCGPTPEER`.
    pub fn open_terminal_peer(&self, fd: Fd, flags: OpenFlags) -> Result<Fd> {
        let end = self.terminal(fd)?;
        if end.side != Side::Master {
            return Err(Errno::ENOTTY);
        }
        let kernel = &self.process.kernel;
        let location = end.pair.location(kernel);
        let inode = match &location {
            Some(location) => Arc::clone(&location.inode),
            None => DevptsFileSystem::new(kernel).node(&end.pair),
        };
        let file = end.pair.open_slave_for(self, &inode, flags)?;
        let description = FileDescription::new(file, location, flags);
        let is_close_on_exec = flags.contains(OpenFlags::CLOEXEC);
        self.process.fds.insert(description, is_close_on_exec)
    }
}
