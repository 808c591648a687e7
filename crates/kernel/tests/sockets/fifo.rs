//! Fifos: pipes with a name.

use std::sync::{Arc, Barrier};

use minke_abi::linux::{FileType, OpenFlags, PollEvents};
use minke_kernel::calls::At;
use minke_kernel::vfs::NewInode;
use minke_kernel::{Errno, FileDescription, Result, Task};

use crate::blocking::run;
use crate::machine::{Machine, Shortcuts};

fn task_with_fifo(machine: &Machine) -> Task {
    let task = machine.root();
    task.make_node(At::Cwd, b"/fifo", &NewInode::Fifo, 0o666)
        .unwrap();
    task
}

fn open(task: &Task, flags: OpenFlags) -> Result<Arc<FileDescription>> {
    task.opened("/fifo", flags)
}

#[test]
fn what_one_writes_the_other_reads_until_the_last_writer_goes() {
    let machine = Machine::with_tmpfs();
    let task = task_with_fifo(&machine);
    let reader = open(&task, OpenFlags::RDONLY).unwrap();
    let first = open(&task, OpenFlags::WRONLY).unwrap();
    let second = open(&task, OpenFlags::WRONLY).unwrap();
    assert_eq!(first.write(b"one"), Ok(3));
    drop(first);
    assert_eq!(reader.read(&mut [0; 8]), Ok(3));
    assert_eq!(reader.read(&mut [0; 8]), Err(Errno::EAGAIN));
    drop(second);
    assert_eq!(reader.read(&mut [0; 8]), Ok(0));
    assert_eq!(reader.poll(PollEvents::IN, None), PollEvents::HUP);
    assert_eq!(reader.file.metadata().unwrap().file_type, FileType::Fifo);
}

#[test]
fn a_blocking_end_waits_for_the_other_and_a_non_blocking_one_does_not() {
    let machine = Machine::with_tmpfs();
    let task = task_with_fifo(&machine);
    let nonblocking = |access| open(&task, access | OpenFlags::NONBLOCK);
    let refused = nonblocking(OpenFlags::WRONLY).map(drop);
    assert_eq!(refused, Err(Errno::ENXIO));
    let writer = open(&task, OpenFlags::WRONLY).unwrap();
    assert_eq!(writer.write(b"early"), Err(Errno::EAGAIN));
    assert_eq!(writer.poll(PollEvents::OUT, None), PollEvents::empty());
    let reader = nonblocking(OpenFlags::RDONLY).unwrap();
    assert_eq!(writer.write(b"early"), Ok(5));
    drop(reader);
    assert_eq!(writer.write(b"late"), Err(Errno::EPIPE));
    drop(writer);
    let impatient = nonblocking(OpenFlags::RDONLY).unwrap();
    assert_eq!(impatient.read(&mut [0; 8]), Ok(0));
    let patient = open(&task, OpenFlags::RDONLY).unwrap();
    assert_eq!(patient.read(&mut [0; 8]), Err(Errno::EAGAIN));
}

#[test]
fn what_nobody_read_is_gone_when_all_ends_are_closed() {
    let machine = Machine::with_tmpfs();
    let task = task_with_fifo(&machine);
    let both = open(&task, OpenFlags::RDWR).unwrap();
    let before = machine.kernel.memory.used();
    assert_eq!(both.write(&[1; 5000]), Ok(5000));
    drop(both);
    assert!(machine.kernel.memory.used() <= before);
    let reader = open(&task, OpenFlags::RDONLY | OpenFlags::NONBLOCK).unwrap();
    assert_eq!(reader.read(&mut [0; 8]), Ok(0));
}

#[test]
fn ends_that_come_and_go_at_once_do_not_miss_each_other() {
    const ROUNDS: usize = 2000;
    let machine = Machine::with_tmpfs();
    let task = task_with_fifo(&machine);
    let round = Barrier::new(2);
    let meet = |flags| {
        for _ in 0..ROUNDS {
            round.wait();
            let fd = run(task.open_waiting(At::Cwd, b"/fifo", flags, 0)).unwrap();
            task.close(fd).unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| meet(OpenFlags::RDONLY));
        meet(OpenFlags::WRONLY);
    });
}
