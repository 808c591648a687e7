//! Traffic that leaves a private network, on a host that is made up: no packet leaves the test.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use minke_abi::linux::{AF_INET, AF_INET6, OpenFlags, PollEvents, SOCK_DGRAM, SOCK_STREAM};
use minke_kernel::net::options::{SOL_TCP, TCP_NODELAY};
use minke_kernel::net::{MessageFlags, NetworkMode, Shutdown, SocketAddress};
use minke_kernel::platform::{
    Family, HostLookup, HostNetwork, HostReceived, HostSocket, SocketOption, Transport,
};
use minke_kernel::process::Credentials;
use minke_kernel::stream::Consume;
use minke_kernel::vfs::memory::MemoryFileSystem;
use minke_kernel::{Errno, Fd, Result, Task};

use crate::blocking::run;
use crate::machine::{Machine, memory_options};

/// Where the made-up host's sockets are.
const HOST_ADDRESS: &str = "203.0.113.9:4000";

/// A host that writes down what is asked of it.
#[derive(Default)]
struct Host {
    calls: Arc<Mutex<Vec<String>>>,
    /// The socket of the published UDP port 53.
    published: Mutex<Option<Arc<FakeSocket>>>,
}

/// A socket that sends what it is sent to the list of calls.
struct FakeSocket {
    name: &'static str,
    calls: Arc<Mutex<Vec<String>>>,
    arrived: Mutex<VecDeque<(Vec<u8>, SocketAddr)>>,
    peer: Mutex<Option<SocketAddr>>,
}

impl Host {
    fn open(&self, name: &'static str) -> Arc<FakeSocket> {
        Arc::new(FakeSocket {
            name,
            calls: Arc::clone(&self.calls),
            arrived: Mutex::default(),
            peer: Mutex::default(),
        })
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

impl HostNetwork for Host {
    fn socket(&self, transport: Transport, family: Family) -> Result<Arc<dyn HostSocket>> {
        let call = format!("socket {transport:?} {family:?}");
        self.calls.lock().unwrap().push(call);
        Ok(self.open("outgoing"))
    }

    fn published(&self, transport: Transport, guest_port: u16) -> Vec<Arc<dyn HostSocket>> {
        let published = self.published.lock().unwrap().clone();
        let is_asked = transport == Transport::Udp && guest_port == 53;
        let sockets = published.filter(|_| is_asked).into_iter();
        sockets
            .map(|socket| socket as Arc<dyn HostSocket>)
            .collect()
    }

    fn resolve(&self, _name: &str) -> Arc<dyn HostLookup> {
        unreachable!("no test here resolves a name")
    }
}

impl FakeSocket {
    fn note(&self, call: &str) {
        let call = format!("{} {call}", self.name);
        self.calls.lock().unwrap().push(call);
    }
}

impl HostSocket for FakeSocket {
    fn bind(&self, _address: SocketAddr) -> Result<()> {
        Err(Errno::EACCES)
    }

    fn listen(&self, _backlog: u32) -> Result<()> {
        Err(Errno::EACCES)
    }

    fn connect(&self, address: SocketAddr) -> Result<()> {
        self.note(&format!("connect {address}"));
        *self.peer.lock().unwrap() = Some(address);
        Ok(())
    }

    fn accept(&self) -> Result<(Arc<dyn HostSocket>, SocketAddr)> {
        Err(Errno::EINVAL)
    }

    fn receive(&self, buffer: &mut [u8], _consume: Consume) -> Result<HostReceived> {
        let arrived = self.arrived.lock().unwrap().pop_front();
        let (bytes, from) = arrived.ok_or(Errno::EAGAIN)?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(HostReceived {
            count: bytes.len(),
            datagram_bytes: bytes.len(),
            from: Some(from),
        })
    }

    fn send(&self, bytes: &[u8], to: Option<SocketAddr>) -> Result<usize> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        match to {
            Some(to) => self.note(&format!("send {text} to {to}")),
            None => self.note(&format!("send {text}")),
        }
        Ok(bytes.len())
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        self.note(&format!("shutdown {how:?}"));
        Ok(())
    }

    fn local_address(&self) -> Result<SocketAddr> {
        Ok(HOST_ADDRESS.parse().unwrap())
    }

    fn peer_address(&self) -> Result<SocketAddr> {
        self.peer.lock().unwrap().ok_or(Errno::ENOTCONN)
    }

    fn take_error(&self) -> Result<()> {
        Ok(())
    }

    fn set_option(&self, option: SocketOption) -> Result<()> {
        self.note(&format!("{option:?}"));
        Ok(())
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(0)
    }

    fn poll(&self, interest: PollEvents) -> PollEvents {
        interest & PollEvents::OUT
    }

    fn register(&self, _interest: PollEvents, _waker: &Waker) {}
}

struct Guest {
    host: Arc<Host>,
    task: Task,
    _machine: Machine,
}

impl Guest {
    fn new() -> Guest {
        let host = Arc::new(Host::default());
        *host.published.lock().unwrap() = Some(host.open("published"));
        let network = Arc::clone(&host) as Arc<dyn HostNetwork>;
        let root = MemoryFileSystem::tmpfs(memory_options()).unwrap();
        let machine = Machine::with(root, NetworkMode::Private, network);
        Guest {
            host,
            task: machine.task(Credentials::root()),
            _machine: machine,
        }
    }

    fn socket(&self, domain: u16, kind: u32) -> Fd {
        let flags = OpenFlags::NONBLOCK;
        self.task.socket(domain, kind, 0, flags).unwrap()
    }

    fn send(&self, fd: Fd, bytes: &[u8], to: Option<&str>) -> Result<usize> {
        let to = to.map(at);
        let flags = MessageFlags::empty();
        run(self
            .task
            .send_with(fd, to.as_ref(), flags, |send| send(bytes)))
    }

    fn receive_from(&self, fd: Fd) -> Result<Option<SocketAddress>> {
        let flags = MessageFlags::empty();
        let received = self
            .task
            .receive_with(fd, flags, |receive| receive(&mut [0; 64]));
        run(received).map(|received| received.from)
    }
}

fn at(text: &str) -> SocketAddress {
    SocketAddress::Inet(text.parse().unwrap())
}

#[test]
fn a_connection_to_elsewhere_is_the_hosts_with_the_options_set_before() {
    let guest = Guest::new();
    for (domain, peer, real) in [
        (AF_INET, "198.51.100.7:80", "198.51.100.7:80"),
        (AF_INET6, "[::ffff:198.51.100.7]:80", "198.51.100.7:80"),
    ] {
        let fd = guest.socket(domain, SOCK_STREAM);
        let on = 1_i32.to_le_bytes();
        guest
            .task
            .set_socket_option(fd, SOL_TCP, TCP_NODELAY, &on)
            .unwrap();
        run(guest.task.connect(fd, &at(peer))).unwrap();
        assert_eq!(guest.task.peer_name(fd), Ok(at(peer)));
        let local = match domain {
            AF_INET => at("192.0.0.2:4000"),
            _ => at("[::ffff:192.0.0.2]:4000"),
        };
        assert_eq!(guest.task.socket_name(fd), Ok(local));
        guest.send(fd, b"hello", None).unwrap();
        guest.task.shutdown(fd, Shutdown::Write).unwrap();
        let expected = [
            "socket Tcp V4".to_owned(),
            "outgoing NoDelay(true)".to_owned(),
            format!("outgoing connect {real}"),
            "outgoing send hello".to_owned(),
            "outgoing shutdown Write".to_owned(),
        ];
        assert_eq!(guest.host.calls(), expected);
    }
}

#[test]
fn an_address_of_the_container_never_reaches_the_host() {
    let guest = Guest::new();
    for address in [
        "127.0.0.1:80",
        "127.9.9.9:80",
        "0.0.0.0:80",
        "192.0.0.2:80",
        "192.0.0.1:80",
    ] {
        let fd = guest.socket(AF_INET, SOCK_STREAM);
        let refused = run(guest.task.connect(fd, &at(address)));
        assert_eq!(refused, Err(Errno::ECONNREFUSED), "{address}");
        let fd = guest.socket(AF_INET, SOCK_DGRAM);
        let _ = guest.send(fd, b"x", Some(address));
    }
    assert_eq!(guest.host.calls(), Vec::<String>::new());
}

#[test]
fn datagrams_leave_by_one_socket_of_each_family() {
    let guest = Guest::new();
    let fd = guest.socket(AF_INET6, SOCK_DGRAM);
    guest.send(fd, b"a", Some("[2001:db8::1]:53")).unwrap();
    guest
        .send(fd, b"b", Some("[::ffff:198.51.100.7]:53"))
        .unwrap();
    guest.send(fd, b"c", Some("[2001:db8::2]:53")).unwrap();
    let expected = [
        "socket Udp V6",
        "outgoing send a to [2001:db8::1]:53",
        "socket Udp V4",
        "outgoing send b to 198.51.100.7:53",
        "outgoing send c to [2001:db8::2]:53",
    ];
    assert_eq!(guest.host.calls(), expected);
}

#[test]
fn a_connected_datagram_socket_connects_the_hosts() {
    let guest = Guest::new();
    let fd = guest.socket(AF_INET, SOCK_DGRAM);
    run(guest.task.connect(fd, &at("198.51.100.7:53"))).unwrap();
    guest.send(fd, b"a", None).unwrap();
    run(guest.task.connect(fd, &at("198.51.100.8:53"))).unwrap();
    guest.send(fd, b"b", None).unwrap();
    let expected = [
        "socket Udp V4",
        "outgoing connect 198.51.100.7:53",
        "outgoing send a",
        "socket Udp V4",
        "outgoing connect 198.51.100.8:53",
        "outgoing send b",
    ];
    assert_eq!(guest.host.calls(), expected);
}

#[test]
fn only_who_wrote_through_a_published_port_is_answered_through_it() {
    let guest = Guest::new();
    let published = guest.host.published.lock().unwrap().clone().unwrap();
    let fd = guest.socket(AF_INET, SOCK_DGRAM);
    guest.task.bind(fd, &at("0.0.0.0:53")).unwrap();
    let arrive = |from: &str| {
        let datagram = (b"question".to_vec(), from.parse().unwrap());
        published.arrived.lock().unwrap().push_back(datagram);
    };
    for (from, shown) in [
        ("198.51.100.7:999", "198.51.100.7:999"),
        ("127.0.0.1:777", "192.0.0.1:777"),
    ] {
        arrive(from);
        assert_eq!(guest.receive_from(fd), Ok(Some(at(shown))));
        guest.send(fd, b"answer", Some(shown)).unwrap();
        let expected = format!("published send answer to {from}");
        assert_eq!(guest.host.calls(), [expected]);
    }
    // The host's loopback is reached by no other port than that of the one who wrote.
    let probing = guest.send(fd, b"probe", Some("192.0.0.1:778"));
    assert_eq!(probing, Err(Errno::ECONNREFUSED));
    assert_eq!(guest.host.calls(), Vec::<String>::new());
}

#[test]
fn strangers_cost_bounded_memory_and_the_latest_are_remembered() {
    let guest = Guest::new();
    let published = guest.host.published.lock().unwrap().clone().unwrap();
    let fd = guest.socket(AF_INET, SOCK_DGRAM);
    guest.task.bind(fd, &at("0.0.0.0:53")).unwrap();
    for port in 1..=1025 {
        let from = SocketAddr::from(([127, 0, 0, 1], port));
        published
            .arrived
            .lock()
            .unwrap()
            .push_back((Vec::new(), from));
        guest.receive_from(fd).unwrap();
    }
    let first = guest.send(fd, b"x", Some("192.0.0.1:1"));
    assert_eq!(first, Err(Errno::ECONNREFUSED));
    assert_eq!(guest.send(fd, b"x", Some("192.0.0.1:1025")), Ok(1));
}
