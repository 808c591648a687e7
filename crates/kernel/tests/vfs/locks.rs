//! Locks on files: who gets them, who waits, and when they are given back. Linux: `flock(2)`, `fcntl(2)`.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use minke_abi::linux::{OpenFlags, RecordLock, Signal};
use minke_kernel::calls::At;
use minke_kernel::calls::locks::RecordOwner;
use minke_kernel::locks::{LockKind, RECORDS_MAX};
use minke_kernel::process::ExitStatus;
use minke_kernel::task::{Deadline, Patience};
use minke_kernel::{Errno, Fd, Result, Task};

use crate::machine::{Machine, Shortcuts};

const WAIT: Patience = Patience::Until(Deadline::Never);

/// Counts how often a waiting call was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls a call once.
fn poll<T>(call: Pin<&mut impl Future<Output = T>>, count: &Arc<Count>) -> Poll<T> {
    let waker = Waker::from(Arc::clone(count));
    call.poll(&mut Context::from_waker(&waker))
}

/// Gives what a call answers that does not wait.
pub(crate) fn now<T>(call: impl Future<Output = T>) -> T {
    match poll(pin!(call), &Arc::default()) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the call waits"),
    }
}

fn record(kind: i16, start: i64, length: i64) -> RecordLock {
    RecordLock {
        kind,
        whence: 0,
        start,
        length,
        pid: 0,
    }
}

fn write_lock(start: i64, length: i64) -> RecordLock {
    record(RecordLock::WRITE, start, length)
}

fn set(task: &Task, fd: Fd, lock: RecordLock, owner: RecordOwner) -> Result<()> {
    now(task.set_record_lock(fd, &lock, owner, Patience::None))
}

fn set_own(task: &Task, fd: Fd, lock: RecordLock) -> Result<()> {
    set(task, fd, lock, RecordOwner::Process)
}

fn conflict(task: &Task, fd: Fd, lock: RecordLock) -> Option<RecordLock> {
    task.conflicting_record_lock(fd, &lock, RecordOwner::Process)
        .unwrap()
}

fn flock(task: &Task, fd: Fd, kind: Option<LockKind>) -> Result<()> {
    now(task.lock_file(fd, kind, Patience::None))
}

fn open(task: &Task, flags: OpenFlags) -> Fd {
    let flags = flags | OpenFlags::CREAT;
    task.open(At::Cwd, b"/file", flags, 0o666).unwrap()
}

/// Two processes, each with the same file open.
fn two() -> (Machine, [(Task, Fd); 2]) {
    let machine = Machine::with_tmpfs();
    let sides = [machine.root(), machine.root()].map(|task| {
        let fd = open(&task, OpenFlags::RDWR);
        (task, fd)
    });
    (machine, sides)
}

#[test]
fn another_process_sees_a_record_lock_and_whose_it_is() {
    let (_machine, [(first, a), (second, b)]) = two();
    set_own(&first, a, write_lock(10, 10)).unwrap();
    let expected = RecordLock {
        pid: first.process.pid.0.cast_signed(),
        ..write_lock(10, 10)
    };
    assert_eq!(conflict(&second, b, write_lock(0, 0)), Some(expected));
    assert_eq!(conflict(&first, a, write_lock(0, 0)), None, "its own");
    assert_eq!(set_own(&second, b, write_lock(19, 1)), Err(Errno::EAGAIN));
    set_own(&second, b, write_lock(20, 0)).unwrap();
    let readers = record(RecordLock::READ, 0, 5);
    set_own(&first, a, readers).unwrap();
    set_own(&second, b, readers).unwrap();
}

#[test]
fn closing_any_descriptor_of_the_file_gives_the_process_locks_back() {
    let (_machine, [(first, a), (second, b)]) = two();
    let other = open(&first, OpenFlags::RDONLY);
    set_own(&first, a, write_lock(0, 0)).unwrap();
    first.close(other).unwrap();
    set_own(&second, b, write_lock(0, 0)).unwrap();
    // `dup2` closes what was there.
    let copy = second.duplicate(b, Fd(0), false).unwrap();
    second.put("/other", b"").unwrap();
    let elsewhere = second
        .open(At::Cwd, b"/other", OpenFlags::RDONLY, 0)
        .unwrap();
    second.duplicate_to(elsewhere, copy, false).unwrap();
    set_own(&first, a, write_lock(0, 0)).unwrap();
    first.process.exit(ExitStatus::Exited(0));
    set_own(&second, b, write_lock(0, 0)).unwrap();
}

#[test]
fn a_description_keeps_its_locks_until_its_last_descriptor_is_closed() {
    let (_machine, [(task, first), (other, b)]) = two();
    let second = open(&task, OpenFlags::RDWR);
    set(&task, first, write_lock(0, 4), RecordOwner::Description).unwrap();
    let refused = set(&task, second, write_lock(0, 4), RecordOwner::Description);
    assert_eq!(refused, Err(Errno::EAGAIN));
    let seen = conflict(&other, b, write_lock(0, 0)).unwrap();
    assert_eq!((seen.pid, seen.start, seen.length), (-1, 0, 4));
    assert_eq!(
        set_own(&task, second, write_lock(0, 4)),
        Err(Errno::EAGAIN),
        "the process's own locks are others'"
    );
    let copy = task.duplicate(first, Fd(0), false).unwrap();
    task.close(first).unwrap();
    let range = write_lock(3, 1);
    assert_eq!(set_own(&other, b, range), Err(Errno::EAGAIN));
    task.close(copy).unwrap();
    set_own(&other, b, range).unwrap();
}

#[test]
fn a_whole_file_is_locked_by_descriptions_and_apart_from_records() {
    let (_machine, [(task, first), (other, b)]) = two();
    let second = open(&task, OpenFlags::RDONLY);
    flock(&task, first, Some(LockKind::Exclusive)).unwrap();
    set_own(&other, b, write_lock(0, 0)).unwrap();
    for (task, fd) in [(&task, second), (&other, b)] {
        let refused = flock(task, fd, Some(LockKind::Shared));
        assert_eq!(refused, Err(Errno::EAGAIN));
    }
    flock(&task, first, Some(LockKind::Shared)).unwrap();
    flock(&task, second, Some(LockKind::Shared)).unwrap();
    // Converting gives the old lock back first, and a try that fails does not take it again.
    let refused = flock(&task, first, Some(LockKind::Exclusive));
    assert_eq!(refused, Err(Errno::EAGAIN));
    flock(&task, second, Some(LockKind::Exclusive)).unwrap();
    let copy = task.duplicate(second, Fd(0), false).unwrap();
    task.close(second).unwrap();
    assert!(flock(&other, b, Some(LockKind::Shared)).is_err());
    flock(&task, copy, None).unwrap();
    flock(&other, b, Some(LockKind::Exclusive)).unwrap();
}

#[test]
fn who_waits_is_woken_when_the_lock_is_given_back() {
    let (_machine, [(first, a), (second, b)]) = two();
    let count = Arc::default();
    set_own(&first, a, write_lock(0, 10)).unwrap();
    let wanted = write_lock(5, 10);
    let mut waiting = pin!(second.set_record_lock(b, &wanted, RecordOwner::Process, WAIT));
    assert!(poll(waiting.as_mut(), &count).is_pending());
    set_own(&first, a, record(RecordLock::UNLOCK, 0, 8)).unwrap();
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert!(
        poll(waiting.as_mut(), &count).is_pending(),
        "two bytes are left"
    );
    set_own(&first, a, record(RecordLock::UNLOCK, 0, 0)).unwrap();
    assert_eq!(poll(waiting.as_mut(), &count), Poll::Ready(Ok(())));

    flock(&first, a, Some(LockKind::Exclusive)).unwrap();
    let mut waiting = pin!(second.lock_file(b, Some(LockKind::Shared), WAIT));
    assert!(poll(waiting.as_mut(), &count).is_pending());
    first.close(a).unwrap();
    assert_eq!(poll(waiting.as_mut(), &count), Poll::Ready(Ok(())));
}

#[test]
fn a_process_that_would_wait_for_itself_is_told() {
    let (machine, [(first, a), (second, b)]) = two();
    let third = machine.root();
    let c = open(&third, OpenFlags::RDWR);
    let count = Arc::default();
    for (at, (task, fd)) in [(&first, a), (&second, b), (&third, c)].iter().enumerate() {
        set_own(task, *fd, write_lock(at as i64, 1)).unwrap();
    }
    let locks = [1, 2, 0].map(|start| write_lock(start, 1));
    let wait = |task, fd, lock| Task::set_record_lock(task, fd, lock, RecordOwner::Process, WAIT);
    let mut of_first = pin!(wait(&first, a, &locks[0]));
    assert!(poll(of_first.as_mut(), &count).is_pending());
    {
        let mut of_second = pin!(wait(&second, b, &locks[1]));
        assert!(poll(of_second.as_mut(), &count).is_pending());
        assert_eq!(now(wait(&third, c, &locks[2])), Err(Errno::EDEADLK));
    }
    // The second has given up, so the circle is open.
    let mut of_third = pin!(wait(&third, c, &locks[2]));
    assert!(poll(of_third.as_mut(), &count).is_pending());
    second.process.exit(ExitStatus::Exited(0));
    assert_eq!(poll(of_first.as_mut(), &count), Poll::Ready(Ok(())));
}

#[test]
fn waiting_ends_when_the_process_is_to_end_and_leaves_nothing() {
    let (_machine, [(first, a), (second, b)]) = two();
    let count = Arc::default();
    set_own(&first, a, write_lock(0, 0)).unwrap();
    let wanted = write_lock(0, 1);
    {
        let mut waiting = pin!(second.set_record_lock(b, &wanted, RecordOwner::Process, WAIT));
        assert!(poll(waiting.as_mut(), &count).is_pending());
        second.process.kill(Signal::KILL);
        assert_eq!(
            poll(waiting.as_mut(), &count),
            Poll::Ready(Err(Errno::EINTR))
        );
    }
    set_own(&first, a, record(RecordLock::UNLOCK, 0, 0)).unwrap();
    assert_eq!(conflict(&first, a, write_lock(0, 0)), None);
}

#[test]
fn ranges_count_from_the_start_the_position_and_the_end() {
    let (_machine, [(first, a), (second, b)]) = two();
    first.put("/file", &[0; 100]).unwrap();
    now(first.read_with(a, |read| read(&mut [0; 40]))).unwrap();
    let at = |whence, start, length| RecordLock {
        whence,
        ..write_lock(start, length)
    };
    let cases = [
        (at(1, 2, 3), (42, 3)),
        (at(1, 0, -10), (30, 10)),
        (at(2, -5, 0), (95, 0)),
        (at(0, i64::MAX, 1), (i64::MAX, 0)),
    ];
    for (lock, expected) in cases {
        set_own(&first, a, lock).unwrap();
        let seen = conflict(&second, b, write_lock(0, 0)).unwrap();
        assert_eq!((seen.start, seen.length), expected, "{lock:?}");
        set_own(&first, a, record(RecordLock::UNLOCK, 0, 0)).unwrap();
    }
    let refused = |lock| set_own(&first, a, lock).unwrap_err();
    assert_eq!(refused(at(3, 0, 0)), Errno::EINVAL);
    assert_eq!(refused(at(0, -1, 0)), Errno::EINVAL);
    assert_eq!(refused(at(0, 5, -6)), Errno::EINVAL);
    assert_eq!(refused(at(1, i64::MAX, 1)), Errno::EOVERFLOW);
    assert_eq!(refused(at(0, 2, i64::MAX)), Errno::EOVERFLOW);
    assert_eq!(refused(record(3, 0, 0)), Errno::EINVAL);
}

#[test]
fn a_lock_needs_a_descriptor_that_is_open_for_it() {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    open(&task, OpenFlags::RDWR);
    let open = |flags| task.open(At::Cwd, b"/file", flags, 0).unwrap();
    let [reader, writer, path] = [OpenFlags::RDONLY, OpenFlags::WRONLY, OpenFlags::PATH].map(open);
    let read_lock = record(RecordLock::READ, 0, 0);
    set_own(&task, reader, read_lock).unwrap();
    assert_eq!(set_own(&task, reader, write_lock(0, 0)), Err(Errno::EBADF));
    assert_eq!(set_own(&task, writer, read_lock), Err(Errno::EBADF));
    assert_eq!(set_own(&task, path, read_lock), Err(Errno::EBADF));
    assert_eq!(
        flock(&task, path, Some(LockKind::Shared)),
        Err(Errno::EBADF)
    );
    flock(&task, reader, Some(LockKind::Exclusive)).unwrap();
    let named = RecordLock {
        pid: 1,
        ..read_lock
    };
    let refused = set(&task, reader, named, RecordOwner::Description);
    assert_eq!(refused, Err(Errno::EINVAL));
}

#[test]
fn a_guest_cannot_make_locks_without_end() {
    let (_machine, [(first, a), (second, b)]) = two();
    let mut start = 0;
    let full = loop {
        match set_own(&first, a, write_lock(start * 2, 1)) {
            Ok(()) => start += 1,
            Err(errno) => break errno,
        }
    };
    assert_eq!((full, start as usize), (Errno::ENOLCK, RECORDS_MAX));
    assert_eq!(set_own(&second, b, write_lock(1, 1)), Err(Errno::ENOLCK));
    set_own(&first, a, record(RecordLock::UNLOCK, 0, 0)).unwrap();
    // Nor by taking parts away from one.
    set_own(&first, a, write_lock(0, 0)).unwrap();
    let holes = (1..).map(|at| record(RecordLock::UNLOCK, at * 2, 1));
    let refused = holes
        .map(|hole| set_own(&first, a, hole))
        .find(Result::is_err);
    assert_eq!(refused, Some(Err(Errno::ENOLCK)));
    first.process.exit(ExitStatus::Exited(0));
    set_own(&second, b, write_lock(0, 0)).unwrap();
}
