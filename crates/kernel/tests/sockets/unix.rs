//! Names of Unix sockets: files, abstract names, permissions.

use minke_abi::linux::{AF_UNIX, FileType, OpenFlags, PollEvents};
use minke_abi::linux::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
use minke_kernel::calls::poll::PollEntry;
use minke_kernel::calls::{At, Follow};
use minke_kernel::net::{MessageFlags, SocketAddress, UnixAddress};
use minke_kernel::process::Credentials;
use minke_kernel::task::Deadline;
use minke_kernel::vfs::RenameFlags;
use minke_kernel::{Errno, Fd, Result, Task};

use crate::blocking::run;
use crate::machine::{Machine, Shortcuts};

fn path(text: &str) -> SocketAddress {
    SocketAddress::Unix(UnixAddress::Path(text.as_bytes().to_vec()))
}

fn named(text: &str) -> SocketAddress {
    SocketAddress::Unix(UnixAddress::Abstract(text.as_bytes().to_vec()))
}

const UNNAMED: SocketAddress = SocketAddress::Unix(UnixAddress::Unnamed);

fn socket(task: &Task, kind: u32) -> Fd {
    task.socket(AF_UNIX, kind, 0, OpenFlags::NONBLOCK).unwrap()
}

fn listening(task: &Task, kind: u32, address: &SocketAddress) -> Fd {
    let fd = socket(task, kind);
    task.bind(fd, address).unwrap();
    task.listen(fd, 1).unwrap();
    fd
}

fn connect(task: &Task, kind: u32, address: &SocketAddress) -> Result<Fd> {
    let fd = socket(task, kind);
    run(task.connect(fd, address)).map(|()| fd)
}

fn send(task: &Task, fd: Fd, to: Option<&SocketAddress>) -> Result<usize> {
    run(task.send_with(fd, to, MessageFlags::empty(), |send| send(b"message")))
}

#[test]
fn a_path_makes_a_socket_file_that_leads_to_the_socket() {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    let listener = listening(&task, SOCK_STREAM, &path("/service"));
    let metadata = task.stat(At::Cwd, b"/service", Follow::No).unwrap();
    assert_eq!(metadata.file_type, FileType::Socket);
    assert_eq!(metadata.mode, 0o755);
    let near = connect(&task, SOCK_STREAM, &path("/service")).unwrap();
    let (far, peer) = run(task.accept(listener, OpenFlags::empty())).unwrap();
    assert_eq!(peer, UNNAMED);
    assert_eq!(task.peer_name(near), Ok(path("/service")));
    assert_eq!(task.socket_name(far), Ok(path("/service")));
    assert_eq!(task.socket_name(near), Ok(UNNAMED));
    let again = task.bind(socket(&task, SOCK_STREAM), &path("/service"));
    assert_eq!(again, Err(Errno::EADDRINUSE));
    let renamed = task.bind(listener, &path("/other"));
    assert_eq!(renamed, Err(Errno::EINVAL));
    assert!(task.stat(At::Cwd, b"/other", Follow::No).is_err());
}

#[test]
fn the_file_and_not_its_name_leads_to_the_socket() {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    let listener = listening(&task, SOCK_STREAM, &path("/old"));
    let flags = RenameFlags::empty();
    task.rename(At::Cwd, b"/old", At::Cwd, b"/new", flags)
        .unwrap();
    connect(&task, SOCK_STREAM, &path("/new")).unwrap();
    let gone = connect(&task, SOCK_STREAM, &path("/old"));
    assert_eq!(gone, Err(Errno::ENOENT));
    task.close(listener).unwrap();
    let deaf = connect(&task, SOCK_STREAM, &path("/new"));
    assert_eq!(deaf, Err(Errno::ECONNREFUSED));
    task.put("/file", b"").unwrap();
    let regular = connect(&task, SOCK_STREAM, &path("/file"));
    assert_eq!(regular, Err(Errno::ECONNREFUSED));
}

#[test]
fn connecting_needs_the_right_to_write_the_file() {
    let machine = Machine::with_tmpfs();
    let root = machine.root();
    let _listener = listening(&root, SOCK_STREAM, &path("/service"));
    let user = machine.task(Credentials::user(1000, 1000));
    let refused = connect(&user, SOCK_STREAM, &path("/service"));
    assert_eq!(refused, Err(Errno::EACCES));
    root.change_mode(At::Cwd, b"/service", 0o777, Follow::Yes)
        .unwrap();
    assert!(connect(&user, SOCK_STREAM, &path("/service")).is_ok());
}

#[test]
fn abstract_names_end_with_their_socket() {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    let listener = listening(&task, SOCK_SEQPACKET, &named("service"));
    let wrong = connect(&task, SOCK_STREAM, &named("service"));
    assert_eq!(wrong, Err(Errno::EPROTOTYPE));
    let near = connect(&task, SOCK_SEQPACKET, &named("service")).unwrap();
    assert_eq!(send(&task, near, None), Ok(7));
    task.close(listener).unwrap();
    let gone = connect(&task, SOCK_SEQPACKET, &named("service"));
    assert_eq!(gone, Err(Errno::ECONNREFUSED));
    let fresh = socket(&task, SOCK_STREAM);
    assert_eq!(task.listen(fresh, 1), Err(Errno::EINVAL));
    task.bind(fresh, &UNNAMED).unwrap();
    assert_eq!(task.socket_name(fresh), Ok(named("00000")));
}

#[test]
fn a_full_queue_makes_a_connection_wait_or_say_so() {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    let listener = listening(&task, SOCK_STREAM, &named("busy"));
    for _ in 0..2 {
        connect(&task, SOCK_STREAM, &named("busy")).unwrap();
    }
    let full = connect(&task, SOCK_STREAM, &named("busy"));
    assert_eq!(full, Err(Errno::EAGAIN));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let fd = task.socket(AF_UNIX, SOCK_STREAM, 0, OpenFlags::empty());
            run(task.connect(fd.unwrap(), &named("busy")))
        });
        run(task.accept(listener, OpenFlags::empty())).unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
}

#[test]
fn datagrams_find_their_receiver_by_name() {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    let server = socket(&task, SOCK_DGRAM);
    task.bind(server, &path("/log")).unwrap();
    let client = socket(&task, SOCK_DGRAM);
    assert_eq!(send(&task, client, None), Err(Errno::ENOTCONN));
    task.bind(client, &named("client")).unwrap();
    let to = path("/log");
    let mut sent = 0;
    while send(&task, client, Some(&to)).is_ok() {
        sent += 1;
    }
    assert_eq!(send(&task, client, Some(&to)), Err(Errno::EAGAIN));
    assert_eq!(sent, 11);
    run(task.connect(client, &to)).unwrap();
    let mut entries = [PollEntry {
        fd: client,
        interest: PollEvents::OUT,
        ready: PollEvents::empty(),
    }];
    assert_eq!(run(task.poll(&mut entries, Deadline::At(0))), Ok(0));
    let mut buffer = [0; 16];
    let flags = MessageFlags::empty();
    let received = run(task.receive_with(server, flags, |receive| receive(&mut buffer))).unwrap();
    assert_eq!(&buffer[..received.count], b"message");
    assert_eq!(received.from, Some(named("client")));
    assert_eq!(run(task.poll(&mut entries, Deadline::At(0))), Ok(1));
    let wrong = connect(&task, SOCK_STREAM, &to);
    assert_eq!(wrong, Err(Errno::EPROTOTYPE));
}

#[test]
fn a_path_that_is_too_long_for_an_address_is_refused() {
    let machine = Machine::with_tmpfs();
    let task = machine.root();
    let long = path(&format!("/{}", "a".repeat(108)));
    let refused = task.bind(socket(&task, SOCK_STREAM), &long);
    assert_eq!(refused, Err(Errno::EINVAL));
}
