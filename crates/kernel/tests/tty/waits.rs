//! Who waits for a terminal, and that nobody does for ever.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use minke_abi::linux::{OpenFlags, PollEvents};
use minke_abi::terminal::{LocalFlags, character};
use minke_kernel::tty::{Master, Window};
use minke_kernel::{Errno, Fd, ModesChange, Task};

use crate::ours::open_pair;
use crate::{machine, print, read};

/// More than a terminal holds in any direction.
const MORE_THAN_ALL: usize = 1 << 20;

#[derive(Default)]
struct Wakes(AtomicUsize);

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
    let mut poll = || future.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(poll().is_pending(), "it does not wait");
    action();
    assert!(wakes.0.load(Ordering::SeqCst) > 0, "it is not woken");
    match poll() {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it still waits"),
    }
}

async fn read_wholly(task: &Task, fd: Fd, bytes: usize) -> minke_kernel::Result<usize> {
    let description = task.process.fds.get(fd)?;
    let mut buffer = vec![0; bytes];
    let attempt = || description.read(&mut buffer);
    task.block_on_read(&description, bytes, attempt).await
}

async fn write(task: &Task, fd: Fd, bytes: &[u8]) -> minke_kernel::Result<usize> {
    task.write_with(fd, |write| write(bytes)).await
}

fn set_raw(task: &Task, slave: Fd, minimum: u8, tenths: u8) {
    let pair = task.terminal(slave).unwrap().pair;
    let mut modes = pair.modes();
    modes.flags[3] &= !(LocalFlags::ICANON | LocalFlags::ECHO).bits();
    modes.characters[character::MIN] = minimum;
    modes.characters[character::TIME] = tenths;
    pair.set_modes(&modes, ModesChange::Now);
}

#[test]
fn a_reader_waits_for_a_line() {
    let machine = machine();
    let task = machine.root();
    let (master, slave) = open_pair(&task, OpenFlags::NOCTTY);
    let count = after(read_wholly(&task, slave, 100), || {
        print(&task, master, b"line\n");
    });
    assert_eq!(count, Ok(5));
}

#[test]
fn a_read_waits_for_the_least_number_of_bytes_or_its_buffer() {
    let machine = machine();
    let task = machine.root();
    let (master, slave) = open_pair(&task, OpenFlags::NOCTTY);
    set_raw(&task, slave, 3, 0);
    print(&task, master, b"ab");
    assert_eq!(read(&task, slave, 10), None);
    let count = after(read_wholly(&task, slave, 10), || {
        print(&task, master, b"c");
    });
    assert_eq!(count, Ok(3));
    print(&task, master, b"d");
    assert_eq!(read(&task, slave, 1), Some(Ok(b"d".to_vec())));
}

#[test]
fn timers_end_reads() {
    let machine = machine();
    let task = machine.root();
    let (master, slave) = open_pair(&task, OpenFlags::NOCTTY);
    // The test's clock wakes at once, and goes on by a microsecond each time it is read.
    let pass_time = || {
        (0..1_000).for_each(|_| {
            let _ = machine.kernel.clock.monotonic();
        });
    };
    let until_done = |bytes| {
        let mut reading = pin!(read_wholly(&task, slave, bytes));
        for _ in 0..1_000 {
            pass_time();
            let context = &mut Context::from_waker(Waker::noop());
            if let Poll::Ready(done) = reading.as_mut().poll(context) {
                return done;
            }
        }
        panic!("it waits for ever")
    };
    set_raw(&task, slave, 0, 1);
    assert_eq!(until_done(10), Ok(0), "nothing comes");
    set_raw(&task, slave, 5, 1);
    print(&task, master, b"ab");
    assert_eq!(until_done(10), Ok(2), "no more comes");
}

#[test]
fn a_reader_that_waits_hears_of_the_end() {
    let machine = machine();
    let task = machine.root();
    let (master, slave) = open_pair(&task, OpenFlags::NOCTTY);
    let reading = read_wholly(&task, slave, 100);
    assert_eq!(after(reading, || task.close(master).unwrap()), Ok(0));
}

#[test]
fn a_full_terminal_keeps_who_prints_waiting_until_it_is_read_or_gone() {
    let machine = machine();
    let task = machine.root();
    let (master, slave) = open_pair(&task, OpenFlags::NOCTTY);
    let much = vec![b'x'; MORE_THAN_ALL];
    let taken = print(&task, slave, &much).unwrap().unwrap();
    assert!(taken < MORE_THAN_ALL);
    let used = machine.kernel.memory.used();
    assert_eq!(print(&task, slave, b"x"), None);
    let written = after(write(&task, slave, b"x"), || {
        let description = task.process.fds.get(master).unwrap();
        assert_eq!(description.read(&mut [0; 4096]), Ok(4096));
    });
    assert_eq!(written, Ok(1));
    print(&task, slave, &much);
    assert_eq!(machine.kernel.memory.used(), used, "it holds no more");
    let written = after(write(&task, slave, b"x"), || task.close(master).unwrap());
    assert_eq!(written, Err(Errno::EIO));
}

#[test]
fn a_master_that_types_for_nobody_waits_until_the_slave_reads() {
    let machine = machine();
    let task = machine.root();
    let (master, slave) = open_pair(&task, OpenFlags::NOCTTY);
    set_raw(&task, slave, 1, 0);
    let much = vec![b'x'; MORE_THAN_ALL];
    let taken = print(&task, master, &much).unwrap().unwrap();
    assert!(taken < MORE_THAN_ALL);
    let rest = print(&task, master, &much).unwrap().unwrap_or(0);
    assert!(rest <= 4096, "what the line discipline took has made room");
    let typed = after(write(&task, master, b"x"), || {
        assert!(read(&task, slave, 4096).unwrap().is_ok());
    });
    assert_eq!(typed, Ok(1));
}

#[test]
fn an_interrupt_gets_through_while_echoes_have_no_room() {
    let machine = machine();
    let task = machine.root();
    let (master, slave) = open_pair(&task, OpenFlags::NOCTTY);
    print(&task, slave, &vec![b'x'; MORE_THAN_ALL]);
    for _ in 0..20_000 {
        assert_eq!(print(&task, master, b"\x03"), Some(Ok(1)));
    }
}

#[test]
fn the_host_hears_of_output_and_of_the_last_close() {
    let machine = machine();
    let root = machine.root();
    let master = Master::open(&machine.kernel, 0, Window::default()).unwrap();
    let leader = crate::fork(&root);
    leader.begin_session().unwrap();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let interest = PollEvents::IN | PollEvents::OUT;
    assert_eq!(master.poll(interest, Some(&waker)), PollEvents::OUT);
    assert_eq!(master.read(&mut [0; 8]), Err(Errno::EAGAIN));
    master.attach(&leader).unwrap();
    print(&leader, Fd(1), b"bye\n");
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    leader.process.exit(minke_kernel::ExitStatus::Exited(0));
    let events = master.poll(PollEvents::IN, None);
    assert_eq!(events, PollEvents::IN | PollEvents::HUP);
    assert_eq!(master.read(&mut [0; 8]), Ok(5));
    assert_eq!(master.read(&mut [0; 8]), Err(Errno::EIO));
    assert_eq!(master.write(b"typed"), Ok(5));
}

#[test]
fn terminals_are_bounded_and_give_their_memory_back() {
    let machine = machine();
    let task = machine.root();
    let used = machine.kernel.memory.used();
    let open = || {
        task.open(
            minke_kernel::calls::At::Cwd,
            b"/dev/ptmx",
            OpenFlags::RDWR,
            0,
        )
    };
    let opened: Vec<_> = std::iter::from_fn(|| open().ok()).collect();
    assert!(opened.len() > 10);
    for fd in opened {
        task.close(fd).unwrap();
    }
    assert_eq!(machine.kernel.memory.used(), used);
    open().unwrap();
}
