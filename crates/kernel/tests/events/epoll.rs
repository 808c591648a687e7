//! Sets of watched descriptors.

use minke_abi::linux::{OpenFlags, PollEvents};
use minke_kernel::calls::At;
use minke_kernel::calls::events::WatchChange;
use minke_kernel::events::counter::Takes;
use minke_kernel::events::epoll::{Interest, Ready, WatchFlags};
use minke_kernel::process::Credentials;
use minke_kernel::task::Deadline;
use minke_kernel::{Errno, Fd, Result, Task};

use crate::blocking::run;
use crate::machine::Machine;

const NONE: OpenFlags = OpenFlags::empty();

fn input(flags: WatchFlags, data: u64) -> Interest {
    Interest {
        events: PollEvents::IN,
        flags,
        data,
    }
}

fn watch(task: &Task, set: Fd, fd: Fd, flags: WatchFlags) -> Result<()> {
    let interest = input(flags, u64::from(fd.0));
    task.change_watch(set, fd, WatchChange::Add(interest))
}

/// Returns the data of what is ready now.
fn ready(task: &Task, set: Fd) -> Vec<u64> {
    let found = run(task.wait_for_events(set, 8, Deadline::At(0))).unwrap();
    found.iter().map(|ready: &Ready| ready.data).collect()
}

fn write(task: &Task, fd: Fd, bytes: &[u8]) {
    task.process.fds.get(fd).unwrap().write(bytes).unwrap();
}

fn read(task: &Task, fd: Fd) {
    let mut bytes = [0; 64];
    task.process.fds.get(fd).unwrap().read(&mut bytes).unwrap();
}

#[test]
fn a_level_is_told_while_it_holds_an_edge_once_and_a_single_shot_until_it_is_changed() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let set = task.make_epoll(NONE).unwrap();
    let (level, to_level) = task.pipe(NONE).unwrap();
    let (edge, to_edge) = task.pipe(NONE).unwrap();
    let (once, to_once) = task.pipe(NONE).unwrap();
    watch(&task, set, level, WatchFlags::empty()).unwrap();
    watch(&task, set, edge, WatchFlags::EDGE).unwrap();
    watch(&task, set, once, WatchFlags::ONESHOT).unwrap();
    assert!(ready(&task, set).is_empty());
    for end in [to_level, to_edge, to_once] {
        write(&task, end, b"x");
    }
    let name = |fd: Fd| u64::from(fd.0);
    assert_eq!(ready(&task, set), [level, edge, once].map(name));
    assert_eq!(ready(&task, set), [name(level)]);
    for end in [to_edge, to_once] {
        write(&task, end, b"y");
    }
    assert_eq!(ready(&task, set), [level, edge].map(name));
    read(&task, level);
    assert!(ready(&task, set).is_empty());
    let again = WatchChange::Modify(input(WatchFlags::ONESHOT, 77));
    task.change_watch(set, once, again).unwrap();
    assert_eq!(ready(&task, set), [77]);
}

#[test]
fn more_than_fits_is_told_in_turns() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let set = task.make_epoll(NONE).unwrap();
    for _ in 0..3 {
        let counter = task.make_event_counter(1, Takes::All, NONE).unwrap();
        watch(&task, set, counter, WatchFlags::empty()).unwrap();
    }
    let two = || {
        let found = run(task.wait_for_events(set, 2, Deadline::At(0))).unwrap();
        found.iter().map(|ready| ready.data).collect::<Vec<_>>()
    };
    let (first, second) = (two(), two());
    assert_ne!(first, second);
    assert_eq!((first.len(), second.len()), (2, 2));
}

#[test]
fn a_closed_file_is_forgotten_with_its_last_descriptor() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let used = task.process.kernel.memory.used();
    let set = task.make_epoll(NONE).unwrap();
    let counter = task.make_event_counter(1, Takes::All, NONE).unwrap();
    watch(&task, set, counter, WatchFlags::empty()).unwrap();
    assert_eq!(
        watch(&task, set, counter, WatchFlags::empty()),
        Err(Errno::EEXIST)
    );
    let copy = task.duplicate(counter, Fd(0), false).unwrap();
    task.close(counter).unwrap();
    assert_eq!(ready(&task, set), [u64::from(counter.0)]);
    task.close(copy).unwrap();
    assert!(ready(&task, set).is_empty());
    // Its number may be used for another file.
    let next = task.make_event_counter(0, Takes::All, NONE).unwrap();
    assert_eq!(next, counter);
    watch(&task, set, next, WatchFlags::empty()).unwrap();
    task.change_watch(set, next, WatchChange::Remove).unwrap();
    let gone = task.change_watch(set, next, WatchChange::Remove);
    assert_eq!(gone, Err(Errno::ENOENT));
    task.close(set).unwrap();
    assert_eq!(task.process.kernel.memory.used(), used);
}

#[test]
fn sets_may_watch_sets_but_not_in_a_circle_nor_too_deep() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let sets: Vec<_> = (0..7).map(|_| task.make_epoll(NONE).unwrap()).collect();
    let add =
        |outer: usize, inner: usize| watch(&task, sets[outer], sets[inner], WatchFlags::empty());
    assert_eq!(add(0, 0), Err(Errno::EINVAL));
    // Built from the top, so that what is above counts too.
    for outer in 0..4 {
        assert_eq!(add(outer, outer + 1), Ok(()));
    }
    assert_eq!(add(4, 5), Err(Errno::ELOOP));
    assert_eq!(add(4, 0), Err(Errno::ELOOP));
    assert_eq!(add(6, 0), Err(Errno::ELOOP));
    let counter = task.make_event_counter(0, Takes::All, NONE).unwrap();
    watch(&task, sets[4], counter, WatchFlags::empty()).unwrap();
    assert!(ready(&task, sets[0]).is_empty());
    write(&task, counter, &1_u64.to_le_bytes());
    assert_eq!(ready(&task, sets[0]), [u64::from(sets[1].0)]);
    read(&task, counter);
    assert!(ready(&task, sets[0]).is_empty());
}

#[test]
fn what_is_always_ready_is_not_watched() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let set = task.make_epoll(NONE).unwrap();
    let flags = OpenFlags::CREAT | OpenFlags::RDWR;
    let file = task.open(At::Cwd, b"/file", flags, 0o600).unwrap();
    assert_eq!(
        watch(&task, set, file, WatchFlags::empty()),
        Err(Errno::EPERM)
    );
    let (pipe, _) = task.pipe(NONE).unwrap();
    assert_eq!(
        watch(&task, pipe, set, WatchFlags::empty()),
        Err(Errno::EINVAL)
    );
    let both = WatchFlags::EXCLUSIVE | WatchFlags::ONESHOT;
    assert_eq!(watch(&task, set, pipe, both), Err(Errno::EINVAL));
}

#[test]
fn watching_and_forgetting_without_waiting_holds_nothing() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let set = task.make_epoll(NONE).unwrap();
    let (pipe, _) = task.pipe(NONE).unwrap();
    let used = task.process.kernel.memory.used();
    for _ in 0..10_000 {
        watch(&task, set, pipe, WatchFlags::empty()).unwrap();
        task.change_watch(set, pipe, WatchChange::Remove).unwrap();
    }
    assert_eq!(task.process.kernel.memory.used(), used);
    assert!(ready(&task, set).is_empty());
}
