//! Waiting: several descriptors, many wakers, whole messages.

use std::sync::Arc;

use minke_abi::linux::{AF_UNIX, OpenFlags, PollEvents, SOCK_STREAM, Signal};
use minke_kernel::calls::poll::PollEntry;
use minke_kernel::net::MessageFlags;
use minke_kernel::process::Credentials;
use minke_kernel::task::Deadline;
use minke_kernel::{Errno, Fd, Task};

use crate::blocking::run;
use crate::machine::Machine;

fn entry(fd: Fd, interest: PollEvents) -> PollEntry {
    PollEntry {
        fd,
        interest,
        ready: PollEvents::empty(),
    }
}

fn write(task: &Task, fd: Fd, bytes: &[u8]) -> Result<usize, Errno> {
    run(task.write_with(fd, |write| write(bytes)))
}

fn read(task: &Task, fd: Fd, buffer: &mut [u8]) -> Result<usize, Errno> {
    run(task.read_with(fd, |read| read(buffer)))
}

#[test]
fn poll_tells_closed_descriptors_from_ready_and_quiet_ones() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let (reader, writer) = task.pipe(OpenFlags::empty()).unwrap();
    let mut entries = [
        entry(reader, PollEvents::IN),
        entry(writer, PollEvents::OUT),
        entry(Fd(77), PollEvents::IN),
        entry(writer, PollEvents::empty()),
    ];
    let ready = run(task.poll(&mut entries, Deadline::Never));
    assert_eq!(ready, Ok(2));
    let found = entries.map(|entry| entry.ready);
    let none = PollEvents::empty();
    assert_eq!(found, [none, PollEvents::OUT, PollEvents::NVAL, none]);
    task.close(reader).unwrap();
    let mut entries = [entry(writer, PollEvents::empty())];
    assert_eq!(run(task.poll(&mut entries, Deadline::Never)), Ok(1));
    assert_eq!(entries[0].ready, PollEvents::ERR);
}

#[test]
fn poll_takes_no_more_entries_than_there_may_be_descriptors() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let limit = task.process.fds.fds_max() as usize;
    let mut entries = vec![entry(Fd(77), PollEvents::IN); limit + 1];
    let refused = run(task.poll(&mut entries, Deadline::Never));
    assert_eq!(refused, Err(Errno::EINVAL));
    entries.pop();
    let found = run(task.poll(&mut entries, Deadline::Never));
    assert_eq!(found, Ok(limit));
}

#[test]
fn poll_of_nothing_ends_with_its_deadline_or_with_the_process() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    assert_eq!(run(task.poll(&mut [], Deadline::At(0))), Ok(0));
    task.process.kill(Signal::TERM);
    let ended = run(task.poll(&mut [], Deadline::Never));
    assert_eq!(ended, Err(Errno::EINTR));
}

/// Rounds of a ping-pong; each one is lost for ever if one wake-up is.
const ROUNDS: usize = 5_000;

#[test]
fn no_wake_up_is_lost_between_two_threads() {
    let machine = Machine::with_tmpfs();
    let task = Arc::new(machine.task(Credentials::root()));
    let (ping_reader, ping_writer) = task.pipe(OpenFlags::empty()).unwrap();
    let (pong_reader, pong_writer) = task.pipe(OpenFlags::empty()).unwrap();
    let other = Arc::clone(&task);
    let answering = std::thread::spawn(move || {
        for _ in 0..ROUNDS {
            let mut entries = [entry(ping_reader, PollEvents::IN)];
            let ready = run(other.poll(&mut entries, Deadline::Never));
            assert_eq!(ready, Ok(1));
            assert_eq!(read(&other, ping_reader, &mut [0; 4]), Ok(1));
            write(&other, pong_writer, b"!").unwrap();
        }
    });
    for _ in 0..ROUNDS {
        write(&task, ping_writer, b"?").unwrap();
        assert_eq!(read(&task, pong_reader, &mut [0; 4]), Ok(1));
    }
    answering.join().unwrap();
}

/// Tasks that wait on one pipe; each takes one byte.
const WAITERS: usize = 50;

#[test]
fn every_waiter_of_one_pipe_gets_its_byte() {
    let machine = Machine::with_tmpfs();
    let task = Arc::new(machine.task(Credentials::root()));
    let (reader, writer) = task.pipe(OpenFlags::empty()).unwrap();
    let waiting = (0..WAITERS).map(|_| {
        let task = Arc::clone(&task);
        std::thread::spawn(move || read(&task, reader, &mut [0; 1]))
    });
    let waiting: Vec<_> = waiting.collect();
    for _ in 0..WAITERS {
        write(&task, writer, b"x").unwrap();
    }
    for waiter in waiting {
        assert_eq!(waiter.join().unwrap(), Ok(1));
    }
}

#[test]
fn a_blocking_send_is_whole_and_so_is_a_receive_that_asks_for_it() {
    const BYTES: usize = 700_000;
    let machine = Machine::with_tmpfs();
    let task = Arc::new(machine.task(Credentials::root()));
    let flags = OpenFlags::empty();
    let (near, far) = task.socket_pair(AF_UNIX, SOCK_STREAM, flags).unwrap();
    let sender = Arc::clone(&task);
    let sending = std::thread::spawn(move || {
        let bytes: Vec<u8> = (0..BYTES).map(|index| index as u8).collect();
        let sent = run(sender.send_with(near, None, MessageFlags::empty(), |send| send(&bytes)));
        sender.close(near).unwrap();
        sent
    });
    let mut buffer = vec![0; BYTES];
    let flags = MessageFlags::WAITALL;
    // Each try gets another buffer, as of a guest whose vectors are put together anew.
    let received = run(task.receive_with(far, flags, |receive| {
        let mut aside = vec![0; BYTES];
        let received = receive(&mut aside)?;
        buffer[..received.count].copy_from_slice(&aside[..received.count]);
        Ok(received)
    }));
    assert_eq!(received.unwrap().count, BYTES);
    assert_eq!(sending.join().unwrap(), Ok(BYTES));
    assert!(buffer.iter().enumerate().all(|(i, byte)| *byte == i as u8));
    let rest = run(task.receive_with(far, flags, |receive| receive(&mut [0; 8])));
    assert_eq!(rest.unwrap().count, 0);
}
