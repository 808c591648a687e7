//! `inotify`: what happens to files and in directories.

use minke_abi::linux::OpenFlags;
use minke_kernel::calls::{At, Follow};
use minke_kernel::events::notify::Happening;
use minke_kernel::process::Credentials;
use minke_kernel::vfs::{NewInode, RenameFlags};
use minke_kernel::{Errno, Fd, Task};

use crate::machine::Machine;

/// Watch, what, cookie and name of an event.
type Event = (i32, Happening, u32, String);

fn events(task: &Task, fd: Fd) -> Vec<Event> {
    let mut bytes = vec![0; 1 << 20];
    let description = task.process.fds.get(fd).unwrap();
    let Ok(length) = description.read(&mut bytes) else {
        return Vec::new();
    };
    let mut rest = &bytes[..length];
    let mut events = Vec::new();
    while !rest.is_empty() {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let end = 16 + word(12) as usize;
        let name = rest[16..end].split(|byte| *byte == 0).next();
        let name = String::from_utf8(name.unwrap_or_default().to_vec()).unwrap();
        let what = Happening::from_bits_retain(word(4));
        events.push((word(0).cast_signed(), what, word(8), name));
        rest = &rest[end..];
    }
    events
}

fn make(task: &Task, path: &[u8]) -> Fd {
    let flags = OpenFlags::CREAT | OpenFlags::RDWR;
    task.open(At::Cwd, path, flags, 0o600).unwrap()
}

fn rename(task: &Task, old: &[u8], new: &[u8]) {
    task.rename(At::Cwd, old, At::Cwd, new, RenameFlags::empty())
        .unwrap();
}

#[test]
fn a_directory_tells_what_happens_to_names_in_it() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let inotify = task.make_inotify(OpenFlags::empty()).unwrap();
    let all = Happening::ALL;
    let watch = task.watch_file(inotify, b"/", all).unwrap();
    let file = make(&task, b"/a");
    let description = task.process.fds.get(file).unwrap();
    description.write(b"xy").unwrap();
    description.write(b"z").unwrap();
    drop(description);
    task.close(file).unwrap();
    task.make_node(At::Cwd, b"/d", &NewInode::Directory, 0o700)
        .unwrap();
    task.change_mode(At::Cwd, b"/d", 0o755, Follow::Yes)
        .unwrap();
    rename(&task, b"/a", b"/b");
    task.unlink(At::Cwd, b"/b").unwrap();
    task.remove_directory(At::Cwd, b"/d").unwrap();
    let found = events(&task, inotify);
    let cookie = found.iter().find(|event| event.2 != 0).unwrap().2;
    let directory = Happening::ISDIR;
    let expected = [
        (Happening::CREATE, 0, "a"),
        (Happening::OPEN, 0, "a"),
        (Happening::MODIFY, 0, "a"),
        (Happening::CLOSE_WRITE, 0, "a"),
        (Happening::CREATE | directory, 0, "d"),
        (Happening::ATTRIB | directory, 0, "d"),
        (Happening::MOVED_FROM, cookie, "a"),
        (Happening::MOVED_TO, cookie, "b"),
        (Happening::DELETE, 0, "b"),
        (Happening::DELETE | directory, 0, "d"),
    ];
    let expected: Vec<Event> = expected
        .into_iter()
        .map(|(what, cookie, name)| (watch, what, cookie, name.to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_file_tells_its_end_and_is_ignored_then() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let used = task.process.kernel.memory.used();
    let inotify = task.make_inotify(OpenFlags::empty()).unwrap();
    task.close(make(&task, b"/a")).unwrap();
    let ends = Happening::DELETE_SELF | Happening::ATTRIB | Happening::MOVE_SELF;
    let watch = task.watch_file(inotify, b"/a", ends).unwrap();
    assert_eq!(task.watch_file(inotify, b"/a", ends), Ok(watch));
    task.link(At::Cwd, b"/a", At::Cwd, b"/b", Follow::No)
        .unwrap();
    task.unlink(At::Cwd, b"/a").unwrap();
    rename(&task, b"/b", b"/c");
    task.unlink(At::Cwd, b"/c").unwrap();
    let whats: Vec<_> = events(&task, inotify).iter().map(|it| it.1).collect();
    let expected = [
        // The link and the name that went look the same, and are told once.
        Happening::ATTRIB,
        Happening::MOVE_SELF,
        Happening::ATTRIB,
        Happening::DELETE_SELF,
        Happening::IGNORED,
    ];
    assert_eq!(whats, expected);
    assert_eq!(task.forget_watch(inotify, watch), Err(Errno::EINVAL));
    task.close(inotify).unwrap();
    assert_eq!(task.process.kernel.memory.used(), used);
}

#[test]
fn events_that_nobody_reads_are_lost_with_a_word() {
    let machine = Machine::with_tmpfs();
    let task = machine.task(Credentials::root());
    let used = task.process.kernel.memory.used();
    let inotify = task.make_inotify(OpenFlags::empty()).unwrap();
    task.close(make(&task, b"/a")).unwrap();
    let moves = Happening::MOVED_FROM | Happening::MOVED_TO;
    task.watch_file(inotify, b"/", moves).unwrap();
    for _ in 0..10_000 {
        rename(&task, b"/a", b"/b");
        rename(&task, b"/b", b"/a");
    }
    let found = events(&task, inotify);
    assert_eq!(found.len(), 16_385);
    let last = found.last().unwrap();
    assert_eq!((last.0, last.1), (-1, Happening::Q_OVERFLOW));
    let once = Happening::MOVED_TO | Happening::ONESHOT;
    let watch = task.watch_file(inotify, b"/", once).unwrap();
    rename(&task, b"/a", b"/b");
    rename(&task, b"/b", b"/a");
    let whats: Vec<_> = events(&task, inotify).iter().map(|it| it.1).collect();
    assert_eq!(whats, [Happening::MOVED_TO, Happening::IGNORED]);
    assert_eq!(task.forget_watch(inotify, watch), Err(Errno::EINVAL));
    let file = task.watch_file(inotify, b"/a", Happening::ALL | Happening::ONLYDIR);
    assert_eq!(file, Err(Errno::ENOTDIR));
    let nothing = task.watch_file(inotify, b"/a", Happening::empty());
    assert_eq!(nothing, Err(Errno::EINVAL));
    task.unlink(At::Cwd, b"/a").unwrap();
    task.close(inotify).unwrap();
    assert_eq!(task.process.kernel.memory.used(), used);
}
