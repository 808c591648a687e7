//! A program's terminal from outside: what commands are typed goes in, what it shows goes to them and to the log.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use minke_abi::Result;
use minke_abi::linux::PollEvents;
use minke_kernel::tty::{Master, Window};
use minke_kernel::{File, Kernel, Task};

use super::hub::Unpark;
use super::{Output, TypedSink, WindowSize};

/// How much is taken from a terminal at a time.
const READ_BYTES_MAX: usize = 16 << 10;

/// Stack of the thread that reads: it calls nothing deep.
const STACK_BYTES: usize = 128 << 10;

/// A terminal of the container's kernel whose other end a program has.
pub(crate) struct Terminal {
    master: Master,
}

impl Terminal {
    /// Makes a terminal, which becomes the standard streams and the controlling terminal of a process that runs nothing yet.
    pub(crate) fn open(
        kernel: &Arc<Kernel>,
        task: &Task,
        size: WindowSize,
    ) -> Result<Arc<Terminal>> {
        let uid = task.process.credentials().uid;
        let master = Master::open(kernel, uid, window(size))?;
        master.attach(task)?;
        Ok(Arc::new(Terminal { master }))
    }

    /// Makes it what `/dev/console` opens.
    pub(crate) fn set_console(&self) {
        self.master.set_console();
    }
}

impl TypedSink for Terminal {
    fn offer(&self, bytes: &[u8]) -> usize {
        self.master.write(bytes).unwrap_or(0)
    }

    fn wait_for_room(&self, within: Duration) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        if self.master.poll(PollEvents::OUT, Some(&waker)).is_empty() {
            thread::park_timeout(within);
        }
    }

    fn set_window(&self, size: WindowSize) {
        self.master.set_window(window(size));
    }
}

fn window([rows, columns, width, height]: WindowSize) -> Window {
    Window {
        rows,
        columns,
        width,
        height,
    }
}

/// What is done once everything is shown.
type Then = Box<dyn FnOnce() + Send>;

/// The thread that reads a terminal: however busy the guests are, what they print is taken, whether anybody is attached or not.
pub(crate) struct Showing {
    end: Arc<Mutex<Option<Then>>>,
    thread: JoinHandle<()>,
}

impl Showing {
    /// Shows what comes, from now on. Threads are made once the jail is closed.
    pub(crate) fn start(terminal: Arc<Terminal>, output: Output) -> io::Result<Showing> {
        let end = Arc::<Mutex<Option<Then>>>::default();
        let told = Arc::clone(&end);
        let thread = thread::Builder::new()
            .name("terminal".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || show(&terminal.master, &output, &told))?;
        Ok(Showing { end, thread })
    }

    /// Shows what is left, and ends the thread.
    pub(crate) fn finish(self) {
        self.tell(Box::new(|| {}));
        if self.thread.join().is_err() {
            tracing::error!("the thread of the terminal panicked");
        }
    }

    /// The same without waiting for it; `then` is called behind the last that is shown.
    pub(crate) fn finish_before(self, then: impl FnOnce() + Send + 'static) {
        self.tell(Box::new(then));
    }

    fn tell(&self, then: Then) {
        *lock(&self.end) = Some(then);
        self.thread.thread().unpark();
    }
}

fn lock(end: &Mutex<Option<Then>>) -> MutexGuard<'_, Option<Then>> {
    end.lock().unwrap_or_else(PoisonError::into_inner)
}

fn show(master: &Master, output: &Output, end: &Mutex<Option<Then>>) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let then = loop {
        // Asked before: what was printed by then is taken below.
        let then = lock(end).take();
        take(master, output);
        if let Some(then) = then {
            break then;
        }
        if !master
            .poll(PollEvents::IN, Some(&waker))
            .contains(PollEvents::IN)
        {
            thread::park();
        }
    };
    output.close();
    then();
}

/// Takes what is there, until there is nothing, or nobody has the other end open: somebody may open it again.
fn take(master: &Master, output: &Output) {
    let mut buffer = [0; READ_BYTES_MAX];
    while let Ok(count) = master.read(&mut buffer) {
        output.hub.wait_for_room();
        // A log takes everything at once, and so do commands that there is room for.
        let _ = output.write(&buffer[..count]);
    }
}
