//! Several tasks at the same files at the same time.

use minke_abi::linux::OpenFlags;
use minke_kernel::calls::{At, Follow};
use minke_kernel::vfs::RenameFlags;
use minke_kernel::{Errno, Task};

use crate::disk::machines;
use crate::machine::Shortcuts;

const TASKS: u64 = 4;
const STEPS: u64 = 4000;

/// Numbers that look random and are always the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

/// One of the directories that the tasks move into each other.
fn path(numbers: &mut Numbers) -> String {
    let depth = 1 + numbers.below(3);
    (0..depth)
        .map(|_| format!("/{}", numbers.below(3)))
        .collect()
}

fn step(task: &Task, numbers: &mut Numbers) {
    let (old, new) = (path(numbers), path(numbers));
    let flags = if numbers.below(4) == 0 {
        RenameFlags::EXCHANGE
    } else {
        RenameFlags::empty()
    };
    let done: Result<(), Errno> = match numbers.below(6) {
        0 => task.mkdir(&old),
        1 => task.remove_directory(At::Cwd, old.as_bytes()),
        2 => task.change_directory(At::Cwd, old.as_bytes()),
        3 => task.current_directory().map(drop),
        _ => task.rename(At::Cwd, old.as_bytes(), At::Cwd, new.as_bytes(), flags),
    };
    let known = [
        Errno::ENOENT,
        Errno::EEXIST,
        Errno::ENOTEMPTY,
        Errno::EINVAL,
        Errno::ENAMETOOLONG,
    ];
    assert!(
        done.is_ok() || known.contains(&done.unwrap_err()),
        "{done:?}"
    );
}

#[test]
fn directories_moved_by_many_never_form_a_circle_nor_get_lost() {
    for machine in machines() {
        std::thread::scope(|scope| {
            for seed in 0..TASKS {
                let task = machine.root();
                scope.spawn(move || {
                    let mut numbers = Numbers(seed);
                    (0..STEPS).for_each(|_| step(&task, &mut numbers));
                });
            }
        });
        let task = machine.root();
        let mut pending = vec![String::new()];
        while let Some(directory) = pending.pop() {
            let path = format!("{directory}/");
            let names = task.names(&path).unwrap();
            let links = task
                .stat(At::Cwd, path.as_bytes(), Follow::Yes)
                .unwrap()
                .links;
            assert_eq!(links as usize, 2 + names.len(), "{path}");
            for name in names {
                let below = format!("{directory}/{name}");
                task.change_directory(At::Cwd, below.as_bytes()).unwrap();
                assert_eq!(task.current_directory().unwrap(), below.as_bytes());
                pending.push(below);
            }
        }
    }
}

#[test]
fn appends_of_many_do_not_overwrite_each_other() {
    for machine in machines() {
        machine.root().put("/log", b"").unwrap();
        std::thread::scope(|scope| {
            for letter in b'a'..b'e' {
                let task = machine.root();
                scope.spawn(move || {
                    let flags = OpenFlags::WRONLY | OpenFlags::APPEND;
                    let file = task.opened("/log", flags).unwrap();
                    for _ in 0..200 {
                        file.write(&[letter; 100]).unwrap();
                    }
                });
            }
        });
        let content = machine.root().get("/log").unwrap();
        assert_eq!(content.len(), 4 * 200 * 100);
        assert!(
            content
                .chunks(100)
                .all(|line| line.iter().all(|b| *b == line[0]))
        );
    }
}

#[test]
fn a_fifo_joins_two_tasks() {
    for machine in machines() {
        let (a, b) = (machine.root(), machine.root());
        let fifo = minke_kernel::vfs::NewInode::Fifo;
        a.make_node(At::Cwd, b"/fifo", &fifo, 0o644).unwrap();
        let early = a.opened("/fifo", OpenFlags::WRONLY | OpenFlags::NONBLOCK);
        assert_eq!(early.err(), Some(Errno::ENXIO));
        let reader = a
            .opened("/fifo", OpenFlags::RDONLY | OpenFlags::NONBLOCK)
            .unwrap();
        let writer = b.opened("/fifo", OpenFlags::WRONLY).unwrap();
        writer.write(b"through").unwrap();
        let mut buffer = [0; 16];
        assert_eq!(reader.read(&mut buffer), Ok(7));
        drop(writer);
        assert_eq!(reader.read(&mut buffer), Ok(0));
    }
}
