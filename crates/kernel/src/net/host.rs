//! Sockets of the host as a guest sees them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minke_abi::{Errno, Result};

use crate::net::address::{CONTAINER_ADDRESS, canonical, present_peer};
use crate::net::{SocketAddress, SocketOptions};
use crate::platform::{Family, HostSocket};

/// A host's socket in a guest's hands.
pub(crate) struct HostConnection {
    pub(crate) socket: Arc<dyn HostSocket>,
    view: View,
    is_listening: AtomicBool,
}

/// Which addresses a guest is shown.
#[derive(Clone, Copy, Debug)]
enum View {
    /// The host's own: the container has the host's network.
    Direct,
    /// A connection that left a private network.
    Outgoing,
    /// A connection to a published port.
    Incoming { guest_port: u16, peer: SocketAddr },
}

impl HostConnection {
    /// Wraps a socket of a container that has the host's network.
    pub(crate) fn direct(socket: Arc<dyn HostSocket>) -> HostConnection {
        HostConnection::new(socket, View::Direct)
    }

    /// Wraps a connection that leaves a private network.
    pub(crate) fn outgoing(socket: Arc<dyn HostSocket>) -> HostConnection {
        HostConnection::new(socket, View::Outgoing)
    }

    /// Wraps a connection that came through a published port.
    pub(crate) fn incoming(
        socket: Arc<dyn HostSocket>,
        guest_port: u16,
        family: Family,
        peer: SocketAddr,
    ) -> HostConnection {
        let peer = present_peer(family, peer);
        HostConnection::new(socket, View::Incoming { guest_port, peer })
    }

    fn new(socket: Arc<dyn HostSocket>, view: View) -> HostConnection {
        HostConnection {
            socket,
            view,
            is_listening: AtomicBool::new(false),
        }
    }

    /// Binds; only a container with the host's network may.
    pub(crate) fn bind(&self, address: &SocketAddress) -> Result<()> {
        match self.view {
            View::Direct => self.socket.bind(internet(address)?),
            View::Outgoing | View::Incoming { .. } => Err(Errno::EINVAL),
        }
    }

    /// Listens; only a container with the host's network may.
    pub(crate) fn listen(&self, backlog: u32) -> Result<()> {
        match self.view {
            View::Direct => {
                self.socket.listen(backlog)?;
                self.is_listening.store(true, Ordering::Relaxed);
                Ok(())
            }
            View::Outgoing | View::Incoming { .. } => Err(Errno::EINVAL),
        }
    }

    /// Connects again; the host tells what is wrong with that.
    pub(crate) fn connect(&self, address: &SocketAddress) -> Result<()> {
        let address = internet(address)?;
        match self.view {
            View::Direct => self.socket.connect(address),
            View::Outgoing => self.socket.connect(canonical(address)),
            View::Incoming { .. } => Err(Errno::EISCONN),
        }
    }

    /// Takes a connection of a container that has the host's network.
    pub(crate) fn accept(&self) -> Result<(HostConnection, SocketAddress)> {
        let View::Direct = self.view else {
            return Err(Errno::EINVAL);
        };
        let (socket, peer) = self.socket.accept()?;
        Ok((HostConnection::direct(socket), SocketAddress::Inet(peer)))
    }

    /// Tells an accepted connection what its listener was told.
    pub(crate) fn inherit(&self, options: &SocketOptions) {
        for option in options.for_accepted() {
            // The peer may have gone already; the guest learns of that when it uses the connection.
            let _ = self.socket.set_option(option);
        }
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::Relaxed)
    }

    /// Returns the container's end of the connection.
    pub(crate) fn local_address(&self, family: Family) -> Result<SocketAddr> {
        let host = self.socket.local_address()?;
        let port = match self.view {
            View::Direct => return Ok(host),
            View::Outgoing => host.port(),
            View::Incoming { guest_port, .. } => guest_port,
        };
        let host = canonical(host);
        let is_shown = host.is_ipv6() && family == Family::V6 && !host.ip().is_loopback();
        let ip = if is_shown {
            host.ip()
        } else {
            CONTAINER_ADDRESS.into()
        };
        Ok(SocketAddr::new(ip, port))
    }

    /// Returns the other end of the connection.
    pub(crate) fn peer_address(&self) -> Result<SocketAddr> {
        match self.view {
            View::Direct | View::Outgoing => self.socket.peer_address(),
            View::Incoming { peer, .. } => Ok(peer),
        }
    }
}

fn internet(address: &SocketAddress) -> Result<SocketAddr> {
    match address {
        SocketAddress::Inet(address) => Ok(*address),
        SocketAddress::Unix(_) => Err(Errno::EAFNOSUPPORT),
    }
}
