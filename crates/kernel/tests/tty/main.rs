//! Terminals: the line discipline against the host's, job control, and guests that do not read.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

#[path = "../vfs/machine.rs"]
#[expect(dead_code, reason = "tests of files use the rest of it")]
mod machine;

mod cases;
mod host;
mod jobs;
mod oracle;
mod ours;
mod waits;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use machine::{Machine, Shortcuts, memory_options};
use minke_kernel::vfs::MountOptions;
use minke_kernel::vfs::device::device_file_system;
use minke_kernel::vfs::proc::ProcFileSystem;
use minke_kernel::{Fd, Task, tty};

/// A container with `/dev`, `/dev/pts` and `/proc`.
fn machine() -> Machine {
    let machine = Machine::with_tmpfs();
    let root = machine.root();
    for path in ["/dev", "/proc"] {
        root.mkdir(path).unwrap();
    }
    let mounts = &machine.kernel.mounts;
    let devices = device_file_system(memory_options()).unwrap();
    mounts
        .mount(b"/dev", devices, MountOptions::default())
        .unwrap();
    let proc = ProcFileSystem::new(&machine.kernel);
    mounts
        .mount(b"/proc", proc, MountOptions::default())
        .unwrap();
    tty::mount(&machine.kernel).unwrap();
    machine
}

/// Returns what a future gives that need not wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match look(future) {
        Some(done) => done,
        None => panic!("it waits"),
    }
}

/// Returns what a future gives at once; `None` if it waits.
fn look<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// Reads from a descriptor as programs do; `None` if it waits.
fn read(task: &Task, fd: Fd, bytes: usize) -> Option<minke_kernel::Result<Vec<u8>>> {
    let description = task.process.fds.get(fd).unwrap();
    let mut buffer = vec![0; bytes];
    let attempt = || description.read(&mut buffer);
    let count = look(task.block_on_read(&description, bytes, attempt))?;
    Some(count.map(|count| {
        buffer.truncate(count);
        buffer
    }))
}

/// Prints to a descriptor; `None` if it waits.
fn print(task: &Task, fd: Fd, bytes: &[u8]) -> Option<minke_kernel::Result<usize>> {
    look(task.write_with(fd, |write| write(bytes)))
}

/// Makes a child of a task.
fn fork(task: &Task) -> Arc<Task> {
    Arc::new(Task::main_of(task.fork().unwrap()))
}
