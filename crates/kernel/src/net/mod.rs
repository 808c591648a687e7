//! Sockets: TCP and UDP over the host or inside the container, and Unix sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use bitflags::bitflags;
use minke_abi::Result;

use crate::file::File;
use crate::platform::HostNetwork;

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

bitflags! {
    /// Flags of `send` and `recv` that the kernel knows.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MessageFlags: u32 {
        const PEEK = 0x2;
        const TRUNC = 0x20;
        const DONTWAIT = 0x40;
        const WAITALL = 0x100;
        const NOSIGNAL = 0x4000;
    }
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

/// A socket's operations; tries never block. `bind` and `connect` of Unix paths have resolved
/// the path already.
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
    /// Sets an option by its Linux level and name; the value is as Linux lays it out.
    fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<()>;
    /// Returns an option's value as Linux lays it out.
    fn option(&self, level: i32, name: i32) -> Result<Vec<u8>>;
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
}

impl Network {
    /// Makes the network of a container.
    pub fn new(mode: NetworkMode, host: Arc<dyn HostNetwork>) -> Network {
        Network { mode, host }
    }
}
