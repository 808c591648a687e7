//! A terminal of the kernel, opened as programs do.

use minke_abi::linux::{OpenFlags, PollEvents};
use minke_kernel::calls::At;
use minke_kernel::tty::{End, Flow, Queue};
use minke_kernel::{Fd, FileDescription, ModesChange, Task, TerminalModes};

use crate::machine::Machine;
use crate::oracle::Terminal;

pub(crate) struct Ours {
    task: Task,
    master: Fd,
    slave: Fd,
    end: End,
    _machine: Machine,
}

impl Ours {
    pub(crate) fn open() -> Ours {
        let machine = crate::machine();
        let task = machine.root();
        let (master, slave) = open_pair(&task, OpenFlags::NOCTTY | OpenFlags::NONBLOCK);
        let end = task.terminal(slave).unwrap();
        Ours {
            task,
            master,
            slave,
            end,
            _machine: machine,
        }
    }

    fn description(&self, fd: Fd) -> std::sync::Arc<FileDescription> {
        self.task.process.fds.get(fd).unwrap()
    }

    fn read_from(&self, fd: Fd, bytes: usize) -> Result<Vec<u8>, i32> {
        let mut buffer = vec![0; bytes];
        let count = self.description(fd).read(&mut buffer);
        buffer.truncate(count.map_err(|errno| errno.raw())?);
        Ok(buffer)
    }
}

/// Opens `/dev/ptmx` and its slave.
pub(crate) fn open_pair(task: &Task, flags: OpenFlags) -> (Fd, Fd) {
    let flags = flags | OpenFlags::RDWR;
    let master = task.open(At::Cwd, b"/dev/ptmx", flags, 0).unwrap();
    let pair = task.terminal(master).unwrap().pair;
    pair.set_locked(false);
    let path = format!("/dev/pts/{}", pair.number);
    let slave = task.open(At::Cwd, path.as_bytes(), flags, 0).unwrap();
    (master, slave)
}

impl Terminal for Ours {
    fn modes(&self) -> TerminalModes {
        self.description(self.slave).file.modes().unwrap()
    }

    fn set_modes(&self, modes: &TerminalModes) {
        self.end.pair.set_modes(modes, ModesChange::Now);
    }

    fn type_bytes(&self, bytes: &[u8]) -> Result<usize, i32> {
        let typed = self.description(self.master).write(bytes);
        typed.map_err(|errno| errno.raw())
    }

    fn read(&self, bytes: usize) -> Result<Vec<u8>, i32> {
        self.read_from(self.slave, bytes)
    }

    fn print(&self, bytes: &[u8]) -> Result<usize, i32> {
        let printed = self.description(self.slave).write(bytes);
        printed.map_err(|errno| errno.raw())
    }

    fn take(&self, bytes: usize) -> Result<Vec<u8>, i32> {
        self.read_from(self.master, bytes)
    }

    fn readable_bytes(&self) -> usize {
        self.end.readable_bytes()
    }

    fn flush(&self, queue: Queue) {
        self.end.flush(queue);
    }

    fn set_flow(&self, flow: Flow) {
        self.end.pair.set_flow(flow);
    }

    fn events(&self) -> PollEvents {
        let interest = PollEvents::IN | PollEvents::OUT | PollEvents::PRI;
        self.description(self.slave).poll(interest, None)
    }

    fn set_packet_mode(&self) {
        self.end.pair.set_packet_mode(true);
    }

    fn close_slave(&mut self) {
        self.task.close(self.slave).unwrap();
    }

    fn close_master(&mut self) {
        self.task.close(self.master).unwrap();
    }
}
