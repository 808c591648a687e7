//! Processes, their families and signals, through the calls of tasks.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

#[path = "../vfs/machine.rs"]
#[expect(dead_code, reason = "tests of files use the rest of it")]
mod machine;

mod families;
mod signals;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use machine::Machine;
use minke_kernel::process::Credentials;
use minke_kernel::{Process, Task};

/// A container whose process 1 can wait for children.
fn machine() -> (Machine, Task) {
    let machine = Machine::with_tmpfs();
    let init = machine.root();
    init.process.set_can_wait(true);
    (machine, init)
}

/// Makes a child of a task.
fn fork(task: &Task) -> Task {
    Task::main_of(task.fork().unwrap())
}

/// Makes a child that acts as another user.
fn fork_as(task: &Task, uid: u32) -> Task {
    let child = fork(task);
    child.process.set_credentials(Credentials::user(uid, uid));
    child
}

/// Returns what a future gives that need not wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match poll(&mut pin!(future), &Waker::noop().clone()) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it waits"),
    }
}

fn poll<F: Future>(future: &mut std::pin::Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// Counts how often it was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs `action` while a future waits, and returns what the future gives then.
fn after<T>(future: impl Future<Output = T>, action: impl FnOnce()) -> T {
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut future = pin!(future);
    assert!(poll(&mut future, &waker).is_pending(), "it does not wait");
    action();
    assert!(wakes.count() > 0, "it is not woken");
    match poll(&mut future, &waker) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it still waits"),
    }
}

fn is_there(machine: &Machine, process: &Process) -> bool {
    machine.kernel.process(process.pid).is_some()
}
