//! Random locks of open file descriptions, with what Linux answered: `locks_on_linux.txt` was written by a program that made these calls
//! on Linux 6.18 (`F_OFD_SETLK`, `F_OFD_GETLK`, `flock` with `LOCK_NB`), on three descriptions of one file.
//!
//! A lock is `KIND START+LENGTH`, with the numbers of `struct flock`, and for an answer its holder.

use minke_abi::linux::{OpenFlags, RecordLock};
use minke_kernel::calls::At;
use minke_kernel::calls::locks::RecordOwner;
use minke_kernel::locks::LockKind;
use minke_kernel::task::Patience;
use minke_kernel::{Fd, Result, Task};

use crate::locks::now;
use crate::machine::Machine;

const TRANSCRIPT: &str = include_str!("locks_on_linux.txt");
/// Descriptions of the file.
const DESCRIPTIONS: usize = 3;

struct Ours {
    task: Task,
    fds: Vec<Fd>,
}

impl Ours {
    fn new(machine: &Machine) -> Ours {
        let task = machine.root();
        let fds = (0..DESCRIPTIONS).map(|_| Ours::open(&task)).collect();
        Ours { task, fds }
    }

    fn open(task: &Task) -> Fd {
        let flags = OpenFlags::RDWR | OpenFlags::CREAT;
        task.open(At::Cwd, b"/file", flags, 0o600).unwrap()
    }

    fn answer(&mut self, step: &str) -> String {
        match self.play(step) {
            Ok(None) => "ok".to_owned(),
            Ok(Some(it)) => format!("{} {}+{} {}", it.kind, it.start, it.length, it.pid),
            Err(errno) => errno.name().to_owned(),
        }
    }

    /// Makes the call of a line.
    fn play(&mut self, step: &str) -> Result<Option<RecordLock>> {
        let words: Vec<&str> = step.split(' ').collect();
        let which: usize = words[1].parse().unwrap();
        let (task, fd) = (&self.task, self.fds[which]);
        let (owner, patience) = (RecordOwner::Description, Patience::None);
        match words[0] {
            "set" => {
                let lock = parse(&words[2..]);
                now(task.set_record_lock(fd, &lock, owner, patience)).map(|()| None)
            }
            "test" => task.conflicting_record_lock(fd, &parse(&words[2..]), owner),
            "whole" => {
                let kind = match words[2] {
                    "shared" => Some(LockKind::Shared),
                    "exclusive" => Some(LockKind::Exclusive),
                    _ => None,
                };
                now(task.lock_file(fd, kind, patience)).map(|()| None)
            }
            _ => {
                // Linux closed the old descriptor when the new one was there.
                let new = Ours::open(task);
                task.close(fd)?;
                self.fds[which] = new;
                Ok(None)
            }
        }
    }
}

/// Reads `KIND START+LENGTH`.
fn parse(words: &[&str]) -> RecordLock {
    let (start, length) = words[1].split_once('+').unwrap();
    RecordLock {
        kind: words[0].parse().unwrap(),
        whence: 0,
        start: start.parse().unwrap(),
        length: length.parse().unwrap(),
        pid: 0,
    }
}

#[test]
fn random_locks_get_the_answers_of_linux() {
    let machine = Machine::with_tmpfs();
    let mut ours = Ours::new(&machine);
    for (index, line) in TRANSCRIPT.lines().enumerate() {
        match line.split_once(": ") {
            Some((step, expected)) => {
                assert_eq!(ours.answer(step), expected, "line {}: {step}", index + 1);
            }
            None => {
                ours.task.process.fds.clear();
                ours = Ours::new(&machine);
            }
        }
    }
}
