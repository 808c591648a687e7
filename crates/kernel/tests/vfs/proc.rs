//! `/proc` and `/dev` as programs read them.

use std::sync::Arc;

use minke_abi::linux::{AF_INET, AF_INET6, AF_UNIX, FileType, OpenFlags, SOCK_DGRAM, SOCK_STREAM};
use minke_kernel::calls::{At, Follow};
use minke_kernel::net::{SocketAddress, UnixAddress};
use minke_kernel::process::Credentials;
use minke_kernel::vfs::device::device_file_system;
use minke_kernel::vfs::proc::ProcFileSystem;
use minke_kernel::vfs::{MountOptions, NewInode};
use minke_kernel::{Errno, Fd, Task};

use crate::machine::{Machine, Shortcuts, memory_options};

fn machine() -> Machine {
    let machine = Machine::with_tmpfs();
    let mounts = &machine.kernel.mounts;
    for path in [b"/proc", b"/dev\0"] {
        let path = path.split(|byte| *byte == 0).next().unwrap();
        mounts.make_mount_point(path, FileType::Directory).unwrap();
    }
    let proc = ProcFileSystem::new(&machine.kernel);
    mounts
        .mount(b"/proc", proc, MountOptions::default())
        .unwrap();
    let dev = device_file_system(memory_options()).unwrap();
    mounts.mount(b"/dev", dev, MountOptions::default()).unwrap();
    machine
}

fn text(task: &Task, path: &str) -> String {
    String::from_utf8(task.get(path).unwrap()).unwrap()
}

#[test]
fn the_container_describes_itself() {
    let machine = machine();
    let task = machine.root();
    assert_eq!(text(&task, "/proc/sys/kernel/hostname"), "orca\n");
    assert_eq!(
        text(&task, "/proc/cpuinfo").matches("processor\t:").count(),
        2
    );
    assert!(text(&task, "/proc/meminfo").starts_with("MemTotal:          65536 kB\n"));
    assert!(text(&task, "/proc/version").starts_with("Linux version "));
    let uptime = text(&task, "/proc/uptime");
    assert!(uptime.split_whitespace().all(|n| n.parse::<f64>().is_ok()));
    assert!(text(&task, "/proc/stat").contains("\nbtime 1699999999\n"));
    let mounts = text(&task, "/proc/mounts");
    let points: Vec<_> = mounts
        .lines()
        .map(|line| line.split(' ').nth(1).unwrap())
        .collect();
    assert_eq!(points, ["/", "/proc", "/dev"]);
    let uuid = text(&task, "/proc/sys/kernel/random/uuid");
    assert_eq!((uuid.len(), &uuid[14..15]), (37, "4"));
}

#[test]
fn every_name_in_proc_can_be_looked_up_and_read() {
    let machine = machine();
    let task = machine.root();
    let mut pending = vec!["/proc".to_owned()];
    let mut files = 0;
    while let Some(directory) = pending.pop() {
        for name in task.names(&directory).unwrap() {
            let path = format!("{directory}/{name}");
            if directory.ends_with("/fd") {
                // The descriptor that was read from is among them, and closed by now.
                continue;
            }
            match task
                .stat(At::Cwd, path.as_bytes(), Follow::No)
                .unwrap()
                .file_type
            {
                FileType::Directory => pending.push(path),
                FileType::Regular => {
                    assert!(!task.get(&path).unwrap().is_empty(), "{path}");
                    files += 1;
                }
                FileType::Symlink => drop(task.read_link(At::Cwd, path.as_bytes())),
                other => panic!("{path} is a {other:?}"),
            }
        }
    }
    assert!(files > 20);
}

#[test]
fn sockets_with_a_port_or_a_name_are_listed() {
    let machine = machine();
    let task = machine.root();
    let bound = |domain, kind, address: &SocketAddress| {
        let fd = task.socket(domain, kind, 0, OpenFlags::empty()).unwrap();
        task.bind(fd, address).unwrap();
        fd
    };
    let inet = |text: &str| SocketAddress::Inet(text.parse().unwrap());
    let listener = bound(AF_INET, SOCK_STREAM, &inet("127.0.0.1:8080"));
    task.listen(listener, 1).unwrap();
    bound(AF_INET6, SOCK_STREAM, &inet("[::1]:81"));
    bound(AF_INET, SOCK_DGRAM, &inet("0.0.0.0:53"));
    let name = SocketAddress::Unix(UnixAddress::Abstract(b"name".to_vec()));
    let named = bound(AF_UNIX, SOCK_STREAM, &name);
    task.listen(named, 1).unwrap();
    let second = |file: &str| {
        let text = text(&task, &format!("/proc/net/{file}"));
        let line = text.lines().nth(1).unwrap().to_owned();
        assert_eq!(text.lines().count(), 2, "{text}");
        line
    };
    assert!(second("tcp").starts_with("   0: 0100007F:1F90 00000000:0000 0A "));
    let loopback = "   0: 00000000000000000000000001000000:0051 ";
    assert!(second("tcp6").starts_with(loopback));
    assert!(second("udp").starts_with("    0: 00000000:0035 00000000:0000 07 "));
    let unix = second("unix");
    assert!(unix.starts_with("0000000000000000: 00000002 00000000 00010000 0001 01 "));
    assert!(unix.ends_with(" @name"), "{unix}");
    for fd in [listener, named] {
        task.close(fd).unwrap();
    }
    assert_eq!(text(&task, "/proc/net/tcp").lines().count(), 1);
    assert_eq!(text(&task, "/proc/net/unix").lines().count(), 1);
}

#[test]
fn threads_have_numbers_are_counted_and_make_room_when_they_end() {
    let machine = machine();
    let task = machine.root();
    let field = |text: String, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let counted = || field(text(&task, "/proc/self/status"), "Threads:");
    assert_eq!(counted(), "1");
    let mut threads = Vec::new();
    let refused = loop {
        match machine.kernel.spawn_thread(&task) {
            Ok(thread) => threads.push(thread),
            Err(errno) => break errno,
        }
    };
    // The machine of these tests allows 64 processes and threads, and one is the first.
    assert_eq!((refused, threads.len()), (Errno::EAGAIN, 63));
    assert_eq!(counted(), "64");
    let mut numbers: Vec<u32> = threads.iter().map(|thread| thread.tid).collect();
    numbers.push(task.tid);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 64);
    drop(threads);
    assert_eq!(counted(), "1");
    assert!(machine.kernel.spawn_thread(&task).is_ok());
}

#[test]
fn a_process_sees_itself() {
    let machine = machine();
    let task = machine.root();
    task.mkdir("/home").unwrap();
    task.change_directory(At::Cwd, b"/home").unwrap();
    let pid = task.process.pid.0.to_string();
    assert_eq!(
        task.read_link(At::Cwd, b"/proc/self").unwrap(),
        pid.as_bytes()
    );
    assert_eq!(text(&task, "/proc/self/cmdline"), "program\0--loud\0");
    assert_eq!(text(&task, "/proc/self/environ"), "HOME=/root\0");
    assert_eq!(text(&task, "/proc/self/comm"), "program\n");
    assert_eq!(
        task.read_link(At::Cwd, b"/proc/self/cwd").unwrap(),
        b"/home"
    );
    assert_eq!(
        task.read_link(At::Cwd, b"/proc/self/exe").unwrap(),
        b"/bin/program"
    );
    let status = text(&task, "/proc/self/status");
    assert!(status.contains(&format!("\nPid:\t{pid}\n")), "{status}");
    let fields = text(&task, "/proc/self/stat");
    assert_eq!(fields.split_whitespace().count(), 52);
}

#[test]
fn descriptors_can_be_opened_again_by_their_link() {
    let machine = machine();
    let task = machine.root();
    task.put("/file", b"text").unwrap();
    let fd = task.open(At::Cwd, b"/file", OpenFlags::RDONLY, 0).unwrap();
    let link = format!("/proc/self/fd/{}", fd.0);
    assert_eq!(task.read_link(At::Cwd, link.as_bytes()).unwrap(), b"/file");
    task.unlink(At::Cwd, b"/file").unwrap();
    assert_eq!(
        text(&task, &link),
        "text",
        "the object counts, not its path"
    );
    let (reader, writer) = task.pipe(OpenFlags::empty()).unwrap();
    let target = format!("/proc/self/fd/{}", reader.0);
    let again = task.opened(&target, OpenFlags::RDONLY).unwrap();
    task.close(reader).unwrap();
    task.process
        .fds
        .get(writer)
        .unwrap()
        .write(b"through")
        .unwrap();
    let mut buffer = [0; 16];
    assert_eq!(again.read(&mut buffer).unwrap(), 7);
}

#[test]
fn what_was_opened_through_a_link_of_proc_knows_its_path() {
    let machine = machine();
    let task = machine.root();
    task.mkdir("/home").unwrap();
    task.put("/home/file", b"text").unwrap();
    task.change_directory(At::Cwd, b"/home").unwrap();
    let open = |path: &str| {
        let fd = task.open(At::Cwd, path.as_bytes(), OpenFlags::RDONLY, 0);
        format!("/proc/self/fd/{}", fd.unwrap().0)
    };
    let first = open("/proc/self/cwd/file");
    let second = open(&first);
    for link in [first, second] {
        let path = task.read_link(At::Cwd, link.as_bytes()).unwrap();
        assert_eq!(path, b"/home/file");
    }
}

#[test]
fn a_shell_can_redirect_to_standard_output() {
    let machine = machine();
    let task = machine.root();
    let (reader, writer) = task.pipe(OpenFlags::empty()).unwrap();
    task.duplicate_to(writer, Fd(1), false).unwrap();
    task.put("/dev/stdout", b"said").unwrap();
    let mut buffer = [0; 8];
    let read = task.process.fds.get(reader).unwrap().read(&mut buffer);
    assert_eq!(read, Ok(4));
    assert_eq!(task.fstatfs(reader).unwrap().magic, 0x5049_5045);
}

#[test]
fn others_cannot_look_through_a_process() {
    let machine = machine();
    let root = machine.root();
    let alice = machine.task(Credentials::user(1000, 1000));
    let of_root = format!("/proc/{}", root.process.pid.0);
    assert_eq!(alice.get(&format!("{of_root}/environ")), Err(Errno::EACCES));
    assert_eq!(alice.names(&format!("{of_root}/fd")), Err(Errno::EACCES));
    assert_eq!(alice.names(&format!("{of_root}/cwd/")), Err(Errno::EACCES));
    assert!(alice.get(&format!("{of_root}/cmdline")).is_ok());
    assert!(
        root.get(&format!("/proc/{}/environ", alice.process.pid.0))
            .is_ok()
    );
}

#[test]
fn devices_do_what_they_are_for() {
    let machine = machine();
    let task = machine.root();
    let mut buffer = [7; 4];
    let device = |name: &str| {
        task.opened(&format!("/dev/{name}"), OpenFlags::RDWR)
            .unwrap()
    };
    assert_eq!(device("null").read(&mut buffer), Ok(0));
    assert_eq!(device("null").write(b"gone"), Ok(4));
    assert_eq!(device("zero").read(&mut buffer), Ok(4));
    assert_eq!(buffer, [0; 4]);
    assert_eq!(device("full").write(b"x"), Err(Errno::ENOSPC));
    assert_eq!(device("urandom").read(&mut buffer), Ok(4));
    assert_eq!(buffer, [0, 1, 2, 3]);
    assert_eq!(
        task.opened("/dev/tty", OpenFlags::RDWR).err(),
        Some(Errno::ENXIO)
    );
    let metadata = task.stat(At::Cwd, b"/dev/null", Follow::Yes).unwrap();
    assert_eq!((metadata.device_id, metadata.mode), (0x103, 0o666));
}

#[test]
fn standard_streams_are_files_of_dev() {
    let machine = machine();
    let task = machine.root();
    task.put("/input", b"typed").unwrap();
    let input = task.opened("/input", OpenFlags::RDONLY).unwrap();
    task.process.fds.replace(Fd(0), input, false).unwrap();
    assert_eq!(text(&task, "/dev/stdin"), "typed");
    assert_eq!(task.names("/dev/fd").unwrap()[0], "0");
}

#[test]
fn a_device_node_reaches_only_known_devices() {
    let machine = machine();
    let task = machine.root();
    let node =
        |path: &[u8], id| task.make_node(At::Cwd, path, &NewInode::CharacterDevice(id), 0o666);
    node(b"/null", 0x103).unwrap();
    node(b"/memory", 0x101).unwrap();
    assert!(task.put("/null", b"gone").is_ok());
    assert_eq!(
        task.opened("/memory", OpenFlags::RDONLY).err(),
        Some(Errno::ENXIO)
    );
    let alice = machine.task(Credentials::user(1000, 1000));
    let made = alice.make_node(At::Cwd, b"/x", &NewInode::CharacterDevice(0x103), 0o666);
    assert_eq!(made, Err(Errno::EACCES));
    drop(Arc::clone(&machine.kernel));
}
