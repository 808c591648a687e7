//! TCP and UDP inside a container.

use minke_abi::linux::{AF_INET, AF_INET6, OpenFlags, PollEvents, SOCK_DGRAM, SOCK_STREAM};
use minke_kernel::calls::poll::PollEntry;
use minke_kernel::net::options::{
    IPV6_V6ONLY, SO_ACCEPTCONN, SO_ERROR, SO_REUSEADDR, SO_SNDBUF, SOL_IPV6, SOL_SOCKET, SOL_TCP,
    TCP_NODELAY,
};
use minke_kernel::net::{MessageFlags, Received, Shutdown, SocketAddress};
use minke_kernel::process::Credentials;
use minke_kernel::task::Deadline;
use minke_kernel::{Errno, Fd, Result, Task};

use crate::blocking::run;
use crate::machine::Machine;

/// Calls that do not wait, in a line.
struct Guest {
    task: Task,
    _machine: Machine,
}

fn at(text: &str) -> SocketAddress {
    SocketAddress::Inet(text.parse().unwrap())
}

impl Guest {
    fn new() -> Guest {
        let machine = Machine::with_tmpfs();
        Guest {
            task: machine.task(Credentials::root()),
            _machine: machine,
        }
    }

    fn socket(&self, domain: u16, kind: u32) -> Fd {
        self.task
            .socket(domain, kind, 0, OpenFlags::NONBLOCK)
            .unwrap()
    }

    fn bound(&self, address: &str, kind: u32) -> Result<Fd> {
        let domain = if address.starts_with('[') {
            AF_INET6
        } else {
            AF_INET
        };
        let fd = self.socket(domain, kind);
        self.task.bind(fd, &at(address)).map(|()| fd)
    }

    fn listening(&self, address: &str, backlog: u32) -> Fd {
        let fd = self.bound(address, SOCK_STREAM).unwrap();
        self.task.listen(fd, backlog).unwrap();
        fd
    }

    fn connected(&self, address: &str) -> Result<Fd> {
        let domain = if address.starts_with('[') {
            AF_INET6
        } else {
            AF_INET
        };
        let fd = self.socket(domain, SOCK_STREAM);
        run(self.task.connect(fd, &at(address))).map(|()| fd)
    }

    fn accept(&self, fd: Fd) -> Result<(Fd, SocketAddress)> {
        run(self.task.accept(fd, OpenFlags::NONBLOCK))
    }

    fn send_to(&self, fd: Fd, bytes: &[u8], to: Option<&str>) -> Result<usize> {
        let to = to.map(at);
        let flags = MessageFlags::empty();
        run(self
            .task
            .send_with(fd, to.as_ref(), flags, |send| send(bytes)))
    }

    fn receive(&self, fd: Fd, flags: MessageFlags) -> Result<(Vec<u8>, Received)> {
        let mut buffer = [0; 8];
        let received = run(self
            .task
            .receive_with(fd, flags, |receive| receive(&mut buffer)))?;
        Ok((buffer[..received.count].to_vec(), received))
    }

    fn poll(&self, fd: Fd) -> PollEvents {
        let mut entries = [PollEntry {
            fd,
            interest: PollEvents::IN | PollEvents::OUT,
            ready: PollEvents::empty(),
        }];
        run(self.task.poll(&mut entries, Deadline::At(0))).unwrap();
        entries[0].ready
    }

    fn number(&self, fd: Fd, level: i32, name: i32) -> Result<i32> {
        let value = self.task.socket_option(fd, level, name)?;
        Ok(i32::from_le_bytes(value.try_into().unwrap()))
    }
}

#[test]
fn each_end_knows_both_addresses() {
    let guest = Guest::new();
    for address in ["127.0.0.1:80", "[::1]:80", "192.0.0.2:80"] {
        let listener = guest.listening(address, 1);
        let near = guest.connected(address).unwrap();
        let (far, peer) = guest.accept(listener).unwrap();
        assert_eq!(guest.task.peer_name(near), Ok(at(address)));
        assert_eq!(guest.task.socket_name(far), Ok(at(address)));
        assert_eq!(guest.task.socket_name(near), Ok(peer.clone()));
        assert_eq!(guest.task.peer_name(far), Ok(peer));
    }
}

#[test]
fn a_wildcard_of_ipv6_takes_both_families() {
    let guest = Guest::new();
    let listener = guest.listening("[::]:80", 4);
    let near = guest.connected("127.0.0.1:80").unwrap();
    let SocketAddress::Inet(own) = guest.task.socket_name(near).unwrap() else {
        panic!("not an Internet address");
    };
    let (far, peer) = guest.accept(listener).unwrap();
    assert_eq!(peer, at(&format!("[::ffff:127.0.0.1]:{}", own.port())));
    let local = guest.task.socket_name(far);
    assert_eq!(local, Ok(at("[::ffff:127.0.0.1]:80")));
    guest.connected("[::1]:80").unwrap();
    guest.connected("[::ffff:127.0.0.1]:80").unwrap();
    guest.connected("0.0.0.0:80").unwrap();
}

#[test]
fn a_wildcard_of_ipv6_alone_leaves_ipv4_free() {
    let guest = Guest::new();
    let only = guest.socket(AF_INET6, SOCK_STREAM);
    let on = 1_i32.to_le_bytes();
    guest
        .task
        .set_socket_option(only, SOL_IPV6, IPV6_V6ONLY, &on)
        .unwrap();
    guest.task.bind(only, &at("[::]:80")).unwrap();
    guest.task.listen(only, 1).unwrap();
    assert_eq!(guest.connected("127.0.0.1:80"), Err(Errno::ECONNREFUSED));
    assert!(guest.bound("0.0.0.0:80", SOCK_STREAM).is_ok());
    let late = guest
        .task
        .set_socket_option(only, SOL_IPV6, IPV6_V6ONLY, &on);
    assert_eq!(late, Err(Errno::EINVAL));
}

#[test]
fn a_port_has_one_listener_until_it_is_closed() {
    let guest = Guest::new();
    let first = guest.listening("127.0.0.1:80", 1);
    let second = guest.bound("0.0.0.0:80", SOCK_STREAM);
    assert_eq!(second, Err(Errno::EADDRINUSE));
    assert!(guest.bound("0.0.0.0:80", SOCK_DGRAM).is_ok());
    guest.task.close(first).unwrap();
    assert!(guest.bound("0.0.0.0:80", SOCK_STREAM).is_ok());
    let foreign = guest.bound("198.51.100.7:80", SOCK_STREAM);
    assert_eq!(foreign, Err(Errno::EADDRNOTAVAIL));
}

#[test]
fn a_full_backlog_lets_connections_wait() {
    let guest = Guest::new();
    let listener = guest.listening("127.0.0.1:80", 1);
    guest.connected("127.0.0.1:80").unwrap();
    guest.connected("127.0.0.1:80").unwrap();
    let third = guest.socket(AF_INET, SOCK_STREAM);
    let connect = || run(guest.task.connect(third, &at("127.0.0.1:80")));
    assert_eq!(connect(), Err(Errno::EINPROGRESS));
    assert_eq!(connect(), Err(Errno::EALREADY));
    assert_eq!(guest.poll(third), PollEvents::empty());
    guest.accept(listener).unwrap();
    assert_eq!(guest.poll(third), PollEvents::OUT);
    assert_eq!(guest.number(third, SOL_SOCKET, SO_ERROR), Ok(0));
    assert_eq!(connect(), Err(Errno::EISCONN));
    guest.accept(listener).unwrap();
    assert_eq!(guest.send_to(third, b"late", None), Ok(4));
    let (far, _) = guest.accept(listener).unwrap();
    assert_eq!(guest.receive(far, MessageFlags::PEEK).unwrap().0, b"late");
}

#[test]
fn what_nobody_accepted_is_reset_when_the_listener_goes() {
    let guest = Guest::new();
    let listener = guest.listening("127.0.0.1:80", 4);
    let near = guest.connected("127.0.0.1:80").unwrap();
    guest.task.close(listener).unwrap();
    let flags = MessageFlags::empty();
    let reset = guest.receive(near, flags).map(|(bytes, _)| bytes);
    assert_eq!(reset, Err(Errno::ECONNRESET));
    assert_eq!(guest.connected("127.0.0.1:80"), Err(Errno::ECONNREFUSED));
}

#[test]
fn a_listener_that_is_shut_down_keeps_its_port_and_can_listen_again() {
    let guest = Guest::new();
    let listener = guest.listening("127.0.0.1:80", 4);
    assert_eq!(guest.number(listener, SOL_SOCKET, SO_ACCEPTCONN), Ok(1));
    guest.task.shutdown(listener, Shutdown::Read).unwrap();
    assert_eq!(guest.accept(listener).map(drop), Err(Errno::EINVAL));
    assert_eq!(guest.number(listener, SOL_SOCKET, SO_ACCEPTCONN), Ok(0));
    guest.task.listen(listener, 4).unwrap();
    guest.connected("127.0.0.1:80").unwrap();
    assert!(guest.accept(listener).is_ok());
}

#[test]
fn sockets_in_the_wrong_state_say_so() {
    let guest = Guest::new();
    let idle = guest.socket(AF_INET, SOCK_STREAM);
    let flags = MessageFlags::empty();
    assert_eq!(guest.poll(idle), PollEvents::OUT | PollEvents::HUP);
    assert_eq!(guest.accept(idle).map(drop), Err(Errno::EINVAL));
    assert_eq!(guest.receive(idle, flags).map(drop), Err(Errno::ENOTCONN));
    assert_eq!(guest.send_to(idle, b"x", None), Err(Errno::EPIPE));
    let shutdown = guest.task.shutdown(idle, Shutdown::Both);
    assert_eq!(shutdown, Err(Errno::ENOTCONN));
    assert_eq!(guest.task.peer_name(idle), Err(Errno::ENOTCONN));
    assert_eq!(guest.task.socket_name(idle), Ok(at("0.0.0.0:0")));
    let wrong_family = run(guest.task.connect(idle, &at("[::1]:80")));
    assert_eq!(wrong_family, Err(Errno::EAFNOSUPPORT));
    let outside = run(guest.task.connect(idle, &at("198.51.100.7:80")));
    assert_eq!(outside, Err(Errno::ENETUNREACH));
    let (reader, _) = guest.task.pipe(OpenFlags::empty()).unwrap();
    assert_eq!(guest.task.listen(reader, 1), Err(Errno::ENOTSOCK));
    assert_eq!(guest.task.listen(Fd(99), 1), Err(Errno::EBADF));
}

#[test]
fn unknown_kinds_of_socket_are_refused_as_on_linux() {
    let guest = Guest::new();
    let refusal = |domain, kind, protocol| {
        let made = guest
            .task
            .socket(domain, kind, protocol, OpenFlags::empty());
        made.unwrap_err()
    };
    assert_eq!(refusal(16, SOCK_DGRAM, 0), Errno::EAFNOSUPPORT);
    assert_eq!(refusal(AF_INET, 3, 1), Errno::EPERM);
    assert_eq!(refusal(AF_INET, 5, 0), Errno::ESOCKTNOSUPPORT);
    assert_eq!(refusal(AF_INET, SOCK_STREAM, 17), Errno::EPROTONOSUPPORT);
    let pair = guest
        .task
        .socket_pair(AF_INET, SOCK_STREAM, OpenFlags::empty());
    assert_eq!(pair, Err(Errno::EOPNOTSUPP));
}

#[test]
fn options_are_kept_inherited_and_refused() {
    let guest = Guest::new();
    let listener = guest.listening("127.0.0.1:80", 4);
    let set = |fd, level, name, value: i32| {
        let value = value.to_le_bytes();
        guest.task.set_socket_option(fd, level, name, &value)
    };
    assert_eq!(guest.number(listener, SOL_TCP, TCP_NODELAY), Ok(0));
    set(listener, SOL_TCP, TCP_NODELAY, 7).unwrap();
    set(listener, SOL_SOCKET, SO_SNDBUF, 8192).unwrap();
    guest.connected("127.0.0.1:80").unwrap();
    let (far, _) = guest.accept(listener).unwrap();
    assert_eq!(guest.number(far, SOL_TCP, TCP_NODELAY), Ok(1));
    assert_eq!(guest.number(far, SOL_SOCKET, SO_SNDBUF), Ok(16_384));
    assert_eq!(set(far, SOL_SOCKET, SO_ERROR, 1), Err(Errno::ENOPROTOOPT));
    assert_eq!(set(far, SOL_TCP, 9999, 1), Err(Errno::ENOPROTOOPT));
    let udp = guest.socket(AF_INET, SOCK_DGRAM);
    let wrong = set(udp, SOL_TCP, TCP_NODELAY, 1);
    assert_eq!(wrong, Err(Errno::ENOPROTOOPT));
    let short = guest
        .task
        .set_socket_option(far, SOL_SOCKET, SO_REUSEADDR, &[1]);
    assert_eq!(short, Err(Errno::EINVAL));
}

#[test]
fn datagrams_carry_their_sender_and_their_length() {
    let guest = Guest::new();
    let server = guest.bound("127.0.0.1:53", SOCK_DGRAM).unwrap();
    let client = guest.socket(AF_INET, SOCK_DGRAM);
    let sent = guest.send_to(client, b"0123456789", Some("127.0.0.1:53"));
    assert_eq!(sent, Ok(10));
    assert_eq!(guest.poll(server), PollEvents::IN | PollEvents::OUT);
    let (bytes, received) = guest.receive(server, MessageFlags::empty()).unwrap();
    assert_eq!(bytes, b"01234567");
    assert_eq!(received.datagram_bytes, 10);
    let SocketAddress::Inet(from) = received.from.unwrap() else {
        panic!("not an Internet address");
    };
    let answered = guest.send_to(server, b"", Some(&from.to_string()));
    assert_eq!(answered, Ok(0));
    let (bytes, received) = guest.receive(client, MessageFlags::empty()).unwrap();
    assert!(bytes.is_empty());
    assert_eq!(received.from, Some(at("127.0.0.1:53")));
}

#[test]
fn a_connected_datagram_socket_hears_only_its_peer() {
    let guest = Guest::new();
    let server = guest.bound("127.0.0.1:53", SOCK_DGRAM).unwrap();
    let other = guest.bound("127.0.0.1:54", SOCK_DGRAM).unwrap();
    let client = guest.bound("127.0.0.1:55", SOCK_DGRAM).unwrap();
    guest
        .send_to(other, b"before", Some("127.0.0.1:55"))
        .unwrap();
    run(guest.task.connect(client, &at("127.0.0.1:53"))).unwrap();
    guest
        .send_to(other, b"after", Some("127.0.0.1:55"))
        .unwrap();
    guest
        .send_to(server, b"peer", Some("127.0.0.1:55"))
        .unwrap();
    let flags = MessageFlags::empty();
    assert_eq!(guest.receive(client, flags).unwrap().0, b"peer");
    assert_eq!(guest.receive(client, flags).map(drop), Err(Errno::EAGAIN));
    guest.task.close(server).unwrap();
    assert_eq!(guest.send_to(client, b"x", None), Ok(1));
    assert_eq!(guest.send_to(client, b"x", None), Err(Errno::ECONNREFUSED));
}

#[test]
fn datagrams_that_nobody_reads_cost_bounded_memory() {
    let guest = Guest::new();
    let memory = &guest.task.process.kernel.memory;
    let before = memory.used();
    let _server = guest.bound("127.0.0.1:53", SOCK_DGRAM).unwrap();
    let client = guest.socket(AF_INET, SOCK_DGRAM);
    for _ in 0..10_000 {
        guest.send_to(client, b"", Some("127.0.0.1:53")).unwrap();
        guest
            .send_to(client, &[1; 1000], Some("127.0.0.1:53"))
            .unwrap();
    }
    assert!(memory.used() - before <= 212_992);
    let too_long = guest.send_to(client, &[1; 65_508], Some("127.0.0.1:53"));
    assert_eq!(too_long, Err(Errno::EMSGSIZE));
}

#[test]
fn descriptors_run_out_before_connections_are_taken() {
    let guest = Guest::new();
    let listener = guest.listening("127.0.0.1:80", 4);
    guest.connected("127.0.0.1:80").unwrap();
    while guest.task.duplicate(listener, Fd(0), false).is_ok() {}
    assert_eq!(guest.accept(listener).map(drop), Err(Errno::EMFILE));
    let flags = OpenFlags::empty();
    assert_eq!(guest.task.pipe(flags).map(drop), Err(Errno::EMFILE));
    guest.task.close(Fd(200)).unwrap();
    assert!(guest.accept(listener).is_ok());
}

#[test]
fn connections_that_nobody_accepts_are_paid_for() {
    let guest = Guest::new();
    let memory = &guest.task.process.kernel.memory;
    let before = memory.used();
    let listener = guest.listening("127.0.0.1:80", 4096);
    for _ in 0..1000 {
        let fd = guest.connected("127.0.0.1:80").unwrap();
        guest.task.close(fd).unwrap();
    }
    assert!(memory.used() >= before + 1000 * 1024);
    let left = memory.bytes_max() - memory.used();
    memory.charge(left).unwrap();
    assert_eq!(guest.connected("127.0.0.1:80"), Err(Errno::ENOMEM));
    memory.release(left);
    guest.task.close(listener).unwrap();
    assert_eq!(memory.used(), before);
}
