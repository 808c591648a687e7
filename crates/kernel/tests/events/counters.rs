//! `eventfd` and `timerfd`.

use minke_abi::linux::OpenFlags;
use minke_kernel::alarm::Remaining;
use minke_kernel::events::counter::Takes;
use minke_kernel::process::Credentials;
use minke_kernel::{Errno, Fd, Result, Task};

use crate::machine::Machine;

fn read(task: &Task, fd: Fd) -> Result<u64> {
    let mut bytes = [0; 8];
    task.process.fds.get(fd)?.read(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn add(task: &Task, fd: Fd, count: u64) -> Result<usize> {
    let description = task.process.fds.get(fd)?;
    description.write(&count.to_le_bytes())
}

#[test]
fn a_read_takes_the_count_or_one_of_it() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let none = OpenFlags::empty();
    let all = task.make_event_counter(2, Takes::All, none).unwrap();
    add(&task, all, 3).unwrap();
    assert_eq!(read(&task, all), Ok(5));
    assert_eq!(read(&task, all), Err(Errno::EAGAIN));
    let one = task.make_event_counter(2, Takes::One, none).unwrap();
    assert_eq!(read(&task, one), Ok(1));
    assert_eq!(read(&task, one), Ok(1));
    assert_eq!(read(&task, one), Err(Errno::EAGAIN));
}

#[test]
fn a_count_never_reaches_the_highest_number() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let counter = task
        .make_event_counter(1, Takes::All, OpenFlags::empty())
        .unwrap();
    assert_eq!(add(&task, counter, u64::MAX), Err(Errno::EINVAL));
    assert_eq!(add(&task, counter, u64::MAX - 1), Err(Errno::EAGAIN));
    assert_eq!(add(&task, counter, u64::MAX - 2), Ok(8));
    assert_eq!(add(&task, counter, 1), Err(Errno::EAGAIN));
    let description = task.process.fds.get(counter).unwrap();
    assert_eq!(description.write(&[0; 7]), Err(Errno::EINVAL));
    assert_eq!(description.read(&mut [0; 7]), Err(Errno::EINVAL));
}

#[test]
fn a_timer_counts_the_rings_that_nobody_read() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let timer = task.make_timer(OpenFlags::empty(), 1).unwrap();
    assert_eq!(read(&task, timer), Err(Errno::EAGAIN));
    let wanted = Remaining {
        time: 1_000_000,
        interval: 500_000,
    };
    assert_eq!(task.set_timer(timer, wanted), Ok(Remaining::default()));
    let left = task.timer(timer).unwrap();
    assert!(left.time > 0 && left.time <= wanted.time && left.interval == wanted.interval);
    // Each look at the clock takes a microsecond.
    let clock = &task.process.kernel.clock;
    while clock.monotonic() < 2_000_000 {}
    assert!(read(&task, timer).unwrap() >= 2);
    assert_eq!(read(&task, timer), Err(Errno::EAGAIN));
    task.set_timer(timer, Remaining::default()).unwrap();
    assert_eq!(task.timer(timer), Ok(Remaining::default()));
    let (pipe, _) = task.pipe(OpenFlags::empty()).unwrap();
    assert_eq!(task.timer(pipe), Err(Errno::EINVAL));
}
