//! Both ends of a terminal as open files.

use std::any::Any;
use std::sync::Arc;
use std::task::Waker;

use minke_abi::linux::{OpenFlags, PollEvents};
use minke_abi::{Errno, Result};

use super::devpts::PtsInode;
use super::pair::{Pair, Queue};
use crate::file::{File, ModesChange, TerminalModes};
use crate::task::Task;
use crate::vfs::{Inode, Metadata};

/// Which end of a terminal is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Master,
    Slave,
}

/// An end of a terminal.
#[derive(Clone)]
pub struct End {
    pub pair: Arc<Pair>,
    pub side: Side,
}

impl End {
    /// Forgets what waits at this end. POSIX: `tcflush()`.
    pub fn flush(&self, queue: Queue) {
        match self.side {
            Side::Master => self.pair.flush_master(queue),
            Side::Slave => self.pair.flush(queue),
        }
    }

    /// Bytes that a read would get at once (`FIONREAD`).
    pub fn readable_bytes(&self) -> usize {
        match self.side {
            Side::Master => self.pair.printed_bytes(),
            Side::Slave => self.pair.typed_bytes(),
        }
    }

    /// Whether the other end is gone for good.
    pub fn is_hung_up(&self) -> bool {
        self.side == Side::Slave && self.pair.is_hung_up()
    }

    fn window(&self) -> [u16; 4] {
        let window = self.pair.window();
        [window.rows, window.columns, window.width, window.height]
    }
}

/// Makes a terminal, for `/dev/ptmx`; its slave is locked until the master says otherwise. Linux: `ptmx_open()`.
pub(crate) fn open_master(task: &Task, inode: &Arc<dyn Inode>) -> Result<Arc<dyn File>> {
    let kernel = &task.process.kernel;
    let uid = task.process.credentials().uid;
    let pair = kernel.terminals.add(kernel, uid)?;
    pair.set_locked(true);
    Ok(Arc::new(MasterFile {
        end: End {
            pair,
            side: Side::Master,
        },
        inode: Arc::clone(inode),
    }))
}

/// Opens the slave that a node of `/dev/pts` stands for; `None` for other nodes.
pub(crate) fn open_slave(
    task: &Task,
    inode: &Arc<dyn Inode>,
    flags: OpenFlags,
) -> Option<Result<Arc<dyn File>>> {
    let any: &dyn Any = &**inode;
    let node = any.downcast_ref::<PtsInode>()?;
    Some(node.pair.open_slave_for(task, inode, flags))
}

impl Pair {
    /// Opens the slave for a process, whose controlling terminal it may become. Linux: `tty_open()`.
    pub(crate) fn open_slave_for(
        self: &Arc<Pair>,
        task: &Task,
        inode: &Arc<dyn Inode>,
        flags: OpenFlags,
    ) -> Result<Arc<dyn File>> {
        let is_privileged = task.process.credentials().is_privileged();
        if self.lock().is_exclusive && !is_privileged {
            return Err(Errno::EBUSY);
        }
        let file = self.open_slave(inode)?;
        if !flags.contains(OpenFlags::NOCTTY) && flags.is_readable() {
            self.offer(&task.process);
        }
        Ok(file)
    }

    /// Opens the slave; `EIO` while it is locked, or once the master is gone. Linux: `pty_open()`.
    pub(super) fn open_slave(self: &Arc<Pair>, inode: &Arc<dyn Inode>) -> Result<Arc<dyn File>> {
        if self.is_hung_up() {
            return Err(Errno::EIO);
        }
        let mut state = self.lock();
        if state.is_locked {
            return Err(Errno::EIO);
        }
        state.slaves += 1;
        state.is_left = false;
        drop(state);
        Ok(Arc::new(SlaveFile {
            end: End {
                pair: Arc::clone(self),
                side: Side::Slave,
            },
            inode: Arc::clone(inode),
        }))
    }

    /// Keeps the slave from being opened, or lets it (`TIOCSPTLCK`).
    pub fn set_locked(&self, is_locked: bool) {
        self.lock().is_locked = is_locked;
    }

    /// Whether the slave cannot be opened (`TIOCGPTLCK`).
    pub fn is_locked(&self) -> bool {
        self.lock().is_locked
    }

    /// Lets only root open the slave again, or everybody who may (`TIOCEXCL`, `TIOCNXCL`).
    pub fn set_exclusive(&self, is_exclusive: bool) {
        self.lock().is_exclusive = is_exclusive;
    }

    /// Whether only root may open the slave again (`TIOCGEXCL`).
    pub fn is_exclusive(&self) -> bool {
        self.lock().is_exclusive
    }
}

/// The end that programs read from and print to.
struct SlaveFile {
    end: End,
    /// The node that was opened: of `/dev/pts`, or `/dev/tty`.
    inode: Arc<dyn Inode>,
}

impl File for SlaveFile {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.end.pair.read_typed(buffer)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.end.pair.print(bytes)
    }

    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        if let Some(waker) = waker {
            self.end.pair.register_slave(waker);
        }
        let always = PollEvents::HUP | PollEvents::ERR;
        self.end.pair.slave_events() & (interest | always)
    }

    fn register(&self, _interest: PollEvents, waker: &Waker) {
        self.end.pair.register_slave(waker);
    }

    fn metadata(&self) -> Result<Metadata> {
        self.inode.metadata()
    }

    fn is_terminal(&self) -> bool {
        true
    }

    fn window(&self) -> Option<[u16; 4]> {
        Some(self.end.window())
    }

    fn modes(&self) -> Result<TerminalModes> {
        Ok(self.end.pair.modes())
    }

    fn set_modes(&self, modes: &TerminalModes, when: ModesChange) -> Result<()> {
        self.end.pair.set_modes(modes, when);
        Ok(())
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.end.readable_bytes())
    }

    fn terminal(&self) -> Option<&End> {
        Some(&self.end)
    }
}

impl Drop for SlaveFile {
    /// Linux: `pty_close()`.
    fn drop(&mut self) {
        {
            let mut state = self.end.pair.lock();
            state.slaves -= 1;
            state.is_left = state.slaves == 0;
        }
        self.end.pair.wake_all();
    }
}

/// The end of a program that plays the terminal.
struct MasterFile {
    end: End,
    inode: Arc<dyn Inode>,
}

impl File for MasterFile {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.end.pair.read_printed(buffer)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.end.pair.type_bytes(bytes)
    }

    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        if let Some(waker) = waker {
            self.end.pair.register_master(waker);
        }
        let always = PollEvents::HUP | PollEvents::ERR;
        self.end.pair.master_events() & (interest | always)
    }

    fn metadata(&self) -> Result<Metadata> {
        self.inode.metadata()
    }

    fn is_terminal(&self) -> bool {
        true
    }

    fn window(&self) -> Option<[u16; 4]> {
        Some(self.end.window())
    }

    fn modes(&self) -> Result<TerminalModes> {
        Ok(self.end.pair.modes())
    }

    fn set_modes(&self, modes: &TerminalModes, when: ModesChange) -> Result<()> {
        self.end.pair.set_modes(modes, when);
        Ok(())
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.end.readable_bytes())
    }

    fn terminal(&self) -> Option<&End> {
        Some(&self.end)
    }
}

impl Drop for MasterFile {
    fn drop(&mut self) {
        self.end.pair.hang_up();
    }
}
