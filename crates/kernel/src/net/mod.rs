//! Sockets: TCP and UDP over the host or inside the container, and Unix sockets.
//!
//! | module | is |
//! |---|---|
//! | [`address`] | the container's addresses, and how host peers appear |
//! | `ports` | who has which port: conflicts, ephemeral ports |
//! | `internet` | what Internet sockets share, and the way to the host |
//! | `tcp`, `host` | TCP sockets; host sockets in a guest's hands |
//! | `udp`, `host_datagram` | UDP sockets of a private network; of the host's |
//! | `datagrams` | queues of messages |
//! | `unix` | Unix sockets |
//! | `resolve` | host names that need no resolver |
//! | `listener` | queues of connections that wait to be accepted |
//! | `duplex` | connections inside the container |
//! | [`options`] | socket options as a table |

use std::net::SocketAddr;
use std::sync::Arc;

use bitflags::bitflags;
use minke_abi::linux::{AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM};
use minke_abi::{Errno, Result};

use crate::anonymous::AnonymousInode;
use crate::file::File;
use crate::kernel::MemoryBudget;
use crate::platform::{Family, HostNetwork, SocketOption, Transport};
use crate::stream::Consume;

pub mod address;
mod datagrams;
mod duplex;
mod host;
mod host_datagram;
mod internet;
mod layout;
mod listener;
pub mod options;
mod ports;
pub(crate) mod resolve;
mod tcp;
mod udp;
pub(crate) mod unix;

pub use layout::ADDRESS_BYTES_MAX;
pub use options::{SocketKind, SocketOptions};

use host_datagram::HostDatagramSocket;
use internet::Internet;
use ports::PortTable;
use tcp::TcpSocket;
use udp::UdpSocket;
use unix::{InFlight, UnixNames, UnixNetwork};

/// An address of a socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SocketAddress {
    Inet(SocketAddr),
    Unix(UnixAddress),
}

/// An address of a Unix socket. Linux: `unix(7)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UnixAddress {
    Unnamed,
    Path(Vec<u8>),
    Abstract(Vec<u8>),
}

/// Who is at the other end of a Unix socket, or has sent. Linux: `struct ucred`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserCredentials {
    pub pid: u32,
    pub uid: u32,
    pub gid: u32,
}

impl UserCredentials {
    /// What is told where nobody is known.
    pub const NOBODY: UserCredentials = UserCredentials {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };

    /// Bytes of `struct ucred`.
    pub const BYTES: usize = 12;

    /// Lays them out as `struct ucred`.
    pub fn encode(self) -> [u8; UserCredentials::BYTES] {
        let words = [self.pid, self.uid, self.gid].map(u32::to_le_bytes);
        let mut bytes = [0; UserCredentials::BYTES];
        bytes.copy_from_slice(words.as_flattened());
        bytes
    }

    fn of(inode: &AnonymousInode) -> UserCredentials {
        UserCredentials {
            pid: inode.pid,
            uid: inode.uid,
            gid: inode.gid,
        }
    }
}

bitflags! {
    /// Flags of `send` and `recv` that the kernel knows.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MessageFlags: u32 {
        const PEEK = 0x2;
        const CTRUNC = 0x8;
        const TRUNC = 0x20;
        const DONTWAIT = 0x40;
        const WAITALL = 0x100;
        const NOSIGNAL = 0x4000;
    }
}

impl MessageFlags {
    /// Whether what is received leaves its queue.
    pub fn consume(self) -> Consume {
        if self.contains(MessageFlags::PEEK) {
            Consume::Peek
        } else {
            Consume::Take
        }
    }
}

/// A Unix socket with a name, as `/proc` shows it.
pub(crate) struct NamedSocket {
    pub(crate) address: UnixAddress,
    /// `SOCK_*`.
    pub(crate) kind: u32,
    pub(crate) is_listening: bool,
    pub(crate) inode: u64,
}

/// Which directions `shutdown(2)` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    Read,
    Write,
    Both,
}

/// What a receive gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes put into the buffer.
    pub count: usize,
    /// Whole length of the datagram; equals `count` unless it was cut.
    pub datagram_bytes: usize,
    pub from: Option<SocketAddress>,
}

impl Received {
    /// Bytes of a stream, which has neither boundaries nor senders.
    pub fn of_stream(count: usize) -> Received {
        Received {
            count,
            datagram_bytes: count,
            from: None,
        }
    }
}

/// A socket's operations; tries never block. `bind` and `connect` of Unix paths are
/// [`Task`](crate::Task)'s, which resolves the path.
pub trait Socket: File {
    fn bind(&self, address: &SocketAddress) -> Result<()>;
    fn listen(&self, backlog: u32) -> Result<()>;
    /// Starts to connect; `EINPROGRESS` while it is under way, then `POLLOUT` tells the end.
    fn connect(&self, address: &SocketAddress) -> Result<()>;
    fn accept(&self) -> Result<(Arc<dyn File>, SocketAddress)>;
    fn send(&self, bytes: &[u8], to: Option<&SocketAddress>, flags: MessageFlags) -> Result<usize>;
    fn receive(&self, buffer: &mut [u8], flags: MessageFlags) -> Result<Received>;
    fn shutdown(&self, how: Shutdown) -> Result<()>;
    fn local_address(&self) -> Result<SocketAddress>;
    fn peer_address(&self) -> Result<SocketAddress>;
    /// Takes the pending error (`SO_ERROR`).
    fn take_error(&self) -> Result<()>;
    /// Returns who is at the other end (`SO_PEERCRED`).
    fn peer_credentials(&self) -> UserCredentials {
        UserCredentials::NOBODY
    }
    /// Whether `listen` was called.
    fn is_listening(&self) -> bool {
        false
    }
    /// The options as they were set.
    fn options(&self) -> &SocketOptions;
    /// Tells the host's socket behind this one, if there is one, of an option.
    fn apply_to_host(&self, _option: SocketOption) -> Result<()> {
        Ok(())
    }

    /// Sets an option by its Linux level and name; the value is as Linux lays it out.
    fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let is_bound =
            || matches!(self.local_address(), Ok(SocketAddress::Inet(a)) if a.port() != 0);
        if (level, name) == (options::SOL_IPV6, options::IPV6_V6ONLY) && is_bound() {
            return Err(Errno::EINVAL);
        }
        match self.options().set(level, name, value)? {
            Some(option) => self.apply_to_host(option),
            None => Ok(()),
        }
    }

    /// Returns an option's value as Linux lays it out.
    fn option(&self, level: i32, name: i32) -> Result<Vec<u8>> {
        if (level, name) == (options::SOL_SOCKET, options::SO_PEERCRED) {
            return Ok(self.peer_credentials().encode().to_vec());
        }
        self.options().get(level, name, |fact| match fact {
            options::SO_ERROR => self.take_error().err().map_or(0, Errno::raw),
            _ => i32::from(self.is_listening()),
        })
    }
}

/// How a container reaches networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    /// Its own loopback; published ports come in, other traffic goes out through the host.
    Private,
    /// The host's sockets are its own.
    Host,
    /// Its own loopback and nothing else.
    None,
}

/// The container's network.
pub struct Network {
    pub mode: NetworkMode,
    pub host: Arc<dyn HostNetwork>,
    internet: Arc<Internet>,
    unix: UnixNetwork,
}

impl Network {
    /// Makes the network of a container; what waits in its sockets is charged to `memory`.
    pub fn new(
        mode: NetworkMode,
        host: Arc<dyn HostNetwork>,
        memory: Arc<MemoryBudget>,
    ) -> Network {
        let internet = Arc::new(Internet {
            mode,
            host: Arc::clone(&host),
            memory: Arc::clone(&memory),
            tcp: PortTable::new(Transport::Tcp),
            udp: PortTable::new(Transport::Udp),
        });
        Network {
            mode,
            host,
            internet,
            unix: UnixNetwork {
                names: Arc::new(UnixNames::default()),
                in_flight: InFlight::new(Arc::clone(&memory)),
                memory,
            },
        }
    }

    /// Makes a socket. Linux: net/socket.c __sock_create().
    pub(crate) fn socket(
        &self,
        domain: u16,
        kind: u32,
        protocol: i32,
        inode: AnonymousInode,
    ) -> Result<Arc<dyn File>> {
        let family = match domain {
            AF_INET => Family::V4,
            AF_INET6 => Family::V6,
            AF_UNIX => {
                let kind = unix_kind(kind, protocol)?;
                return Ok(unix::socket(&self.unix, kind, inode));
            }
            _ => return Err(Errno::EAFNOSUPPORT),
        };
        let protocol = internet_protocol(kind, protocol)?;
        let options = SocketOptions::new(SocketKind {
            domain,
            kind,
            protocol,
        });
        let internet = Arc::clone(&self.internet);
        match kind {
            SOCK_STREAM => Ok(TcpSocket::new(internet, family, inode, options)?),
            _ if self.mode == NetworkMode::Host => Ok(Arc::new(HostDatagramSocket {
                socket: self.host.socket(Transport::Udp, family)?,
                inode,
                options,
            })),
            _ => Ok(UdpSocket::new(internet, family, inode, options)),
        }
    }
}

impl Network {
    /// Makes two connected Unix sockets. Linux: net/socket.c __sys_socketpair().
    pub(crate) fn socket_pair(
        &self,
        domain: u16,
        kind: u32,
        inode: AnonymousInode,
    ) -> Result<(Arc<dyn File>, Arc<dyn File>)> {
        match domain {
            AF_UNIX => unix::socket_pair(&self.unix, unix_kind(kind, 0)?, inode),
            AF_INET | AF_INET6 => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    /// Descriptors that are on their way.
    pub(crate) fn in_flight(&self) -> &Arc<InFlight> {
        &self.unix.in_flight
    }

    /// Lists the TCP ports that are bound, and whether somebody listens.
    pub(crate) fn tcp_ports(&self) -> Vec<(SocketAddr, bool)> {
        self.internet.tcp.list()
    }

    /// Lists the UDP ports that are bound; nobody listens.
    pub(crate) fn udp_ports(&self) -> Vec<(SocketAddr, bool)> {
        let ports = self.internet.udp.list().into_iter();
        ports.map(|(address, _)| (address, false)).collect()
    }

    /// Lists the Unix sockets that have a name.
    pub(crate) fn named_sockets(&self) -> Vec<NamedSocket> {
        self.unix.names.list()
    }

    /// The names of Unix sockets.
    pub(crate) fn unix_names(&self) -> &UnixNames {
        &self.unix.names
    }
}

/// Checks kind and protocol of a Unix socket. Linux: net/unix/af_unix.c unix_create().
fn unix_kind(kind: u32, protocol: i32) -> Result<SocketKind> {
    if protocol != 0 && protocol != i32::from(AF_UNIX) {
        return Err(Errno::EPROTONOSUPPORT);
    }
    if !unix::is_kind(kind) {
        return Err(Errno::ESOCKTNOSUPPORT);
    }
    Ok(SocketKind {
        domain: AF_UNIX,
        kind,
        protocol: 0,
    })
}

/// `IPPROTO_TCP`.
const IPPROTO_TCP: i32 = 6;
/// `IPPROTO_UDP`.
const IPPROTO_UDP: i32 = 17;
/// `SOCK_RAW`.
const SOCK_RAW: u32 = 3;

/// Checks kind and protocol of an Internet socket; returns the protocol that 0 stands for.
///
/// Linux: net/ipv4/af_inet.c inet_create().
fn internet_protocol(kind: u32, protocol: i32) -> Result<i32> {
    let own = match kind {
        SOCK_STREAM => IPPROTO_TCP,
        SOCK_DGRAM => IPPROTO_UDP,
        SOCK_RAW => return Err(Errno::EPERM),
        _ => return Err(Errno::ESOCKTNOSUPPORT),
    };
    if protocol == 0 || protocol == own {
        Ok(own)
    } else {
        Err(Errno::EPROTONOSUPPORT)
    }
}
