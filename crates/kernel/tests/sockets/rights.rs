//! Descriptors that travel over Unix sockets: what they keep open, and what ends them.

use minke_abi::linux::{AF_UNIX, OpenFlags, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
use minke_kernel::calls::At;
use minke_kernel::calls::sockets::{ReceivedControl, SentControl};
use minke_kernel::net::MessageFlags;
use minke_kernel::{Errno, Fd, Result, Task};

use crate::blocking::run;
use crate::machine::Machine;

fn pair(task: &Task, kind: u32) -> (Fd, Fd) {
    task.socket_pair(AF_UNIX, kind, OpenFlags::NONBLOCK)
        .unwrap()
}

fn socket(task: &Task, kind: u32) -> Fd {
    task.socket(AF_UNIX, kind, 0, OpenFlags::NONBLOCK).unwrap()
}

fn pass(task: &Task, over: Fd, descriptors: &[Fd]) -> Result<usize> {
    let control = SentControl {
        credentials: None,
        descriptors: descriptors.to_vec(),
    };
    let flags = MessageFlags::empty();
    run(task.send_message(over, None, flags, control, |send| send(b"x")))
}

fn take(task: &Task, over: Fd, flags: MessageFlags) -> Result<(usize, ReceivedControl)> {
    let mut buffer = [0; 8];
    let received = run(task.receive_message(over, flags, |receive| receive(&mut buffer)));
    received.map(|(received, control)| (received.count, control))
}

fn used(task: &Task) -> u64 {
    task.process.kernel.memory.used()
}

#[test]
fn what_travels_stays_open_and_can_be_looked_at_before_it_is_taken() {
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let machine = Machine::with_tmpfs();
        let task = machine.root();
        let (near, far) = pair(&task, kind);
        let flags = OpenFlags::CREAT | OpenFlags::RDWR;
        let file = task.open(At::Cwd, b"/file", flags, 0o600).unwrap();
        let inode = task.process.fds.get(file).unwrap().file.metadata().unwrap();
        pass(&task, near, &[file, file]).unwrap();
        task.close(file).unwrap();
        let (_, seen) = take(&task, far, MessageFlags::PEEK).unwrap();
        assert_eq!(seen.descriptions.len(), 2);
        let (count, taken) = take(&task, far, MessageFlags::empty()).unwrap();
        assert_eq!((count, taken.descriptions.len()), (1, 2));
        assert_eq!(taken.descriptions[1].file.metadata(), Ok(inode));
        let nothing = take(&task, far, MessageFlags::empty()).map(|_| ());
        assert_eq!(nothing, Err(Errno::EAGAIN));
    }
}

#[test]
fn sockets_in_each_others_queues_are_closed_when_nobody_names_them() {
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let machine = Machine::with_tmpfs();
        let task = machine.root();
        let before = used(&task);
        let (first, second) = pair(&task, kind);
        let (third, fourth) = pair(&task, kind);
        let reader = task.pipe(OpenFlags::NONBLOCK).unwrap();
        // Each waits in the other's queue, with a pipe's end that nobody else has.
        pass(&task, second, &[third, reader.1]).unwrap();
        pass(&task, fourth, &[first]).unwrap();
        for fd in [third, reader.1, second, fourth] {
            task.close(fd).unwrap();
        }
        let description = task.process.fds.get(reader.0).unwrap();
        assert_eq!(description.read(&mut [0; 4]), Err(Errno::EAGAIN));
        task.close(first).unwrap();
        // The end of any socket is when that is looked for.
        task.close(socket(&task, kind)).unwrap();
        assert_eq!(description.read(&mut [0; 4]), Ok(0));
        drop(description);
        task.close(reader.0).unwrap();
        assert_eq!(used(&task), before);
    }
}

#[test]
fn a_long_chain_of_sockets_in_sockets_is_closed_without_a_deep_stack() {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    let before = used(&task);
    let (mut near, mut far) = pair(&task, SOCK_STREAM);
    for _ in 0..4_000 {
        let (next_near, next_far) = pair(&task, SOCK_STREAM);
        pass(&task, next_near, &[near, far]).unwrap();
        task.close(near).unwrap();
        task.close(far).unwrap();
        (near, far) = (next_near, next_far);
    }
    task.close(near).unwrap();
    task.close(far).unwrap();
    assert_eq!(used(&task), before);
}

#[test]
fn descriptors_on_their_way_are_bounded() {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    let before = used(&task);
    let (null, _) = task.pipe(OpenFlags::NONBLOCK).unwrap();
    let many = vec![null; 253];
    let mut pairs = Vec::new();
    let refused = loop {
        let (near, far) = pair(&task, SOCK_STREAM);
        pairs.push((near, far));
        match pass(&task, near, &many) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(refused, Errno::ETOOMANYREFS);
    assert_eq!(pairs.len(), 16_384 / 253 + 1);
    for (near, far) in pairs {
        task.close(near).unwrap();
        task.close(far).unwrap();
    }
    assert!(used(&task) < before + (1 << 16));
}

#[test]
fn a_receive_ends_with_the_message_that_has_descriptors() {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    let (near, far) = pair(&task, SOCK_STREAM);
    let plain = |text: &'static [u8]| {
        let sent = run(task.send_with(near, None, MessageFlags::empty(), |send| send(text)));
        assert_eq!(sent, Ok(text.len()));
    };
    plain(b"ab");
    pass(&task, near, &[near]).unwrap();
    plain(b"cd");
    pass(&task, near, &[near, far]).unwrap();
    let (count, control) = take(&task, far, MessageFlags::empty()).unwrap();
    assert_eq!((count, control.descriptions.len()), (3, 1));
    let (count, control) = take(&task, far, MessageFlags::empty()).unwrap();
    assert_eq!((count, control.descriptions.len()), (3, 2));
}
