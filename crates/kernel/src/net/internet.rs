//! What the Internet sockets of one container share: ports, and the way to the host.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use minke_abi::{Errno, Result};

use crate::kernel::MemoryBudget;
use crate::net::address::GATEWAY_ADDRESS;
use crate::net::ports::PortTable;
use crate::net::tcp::Listener;
use crate::net::udp::Inbox;
use crate::net::{NetworkMode, SocketOptions};
use crate::platform::{Family, HostNetwork, HostSocket, Transport};

/// The Internet part of a container's network.
pub(crate) struct Internet {
    pub(crate) mode: NetworkMode,
    pub(crate) host: Arc<dyn HostNetwork>,
    pub(crate) memory: Arc<MemoryBudget>,
    pub(crate) tcp: Arc<PortTable<Listener>>,
    pub(crate) udp: Arc<PortTable<Inbox>>,
}

impl Internet {
    /// Returns the host's sockets that were bound for a published port, for a binding that outside traffic reaches.
    pub(crate) fn published(
        &self,
        transport: Transport,
        bound: SocketAddr,
    ) -> Vec<Arc<dyn HostSocket>> {
        if self.mode != NetworkMode::Private || bound.ip().is_loopback() {
            return Vec::new();
        }
        self.host.published(transport, bound.port())
    }

    /// Makes a host socket for traffic to `peer`, with the options that reach it.
    ///
    /// `ENETUNREACH` without a network; `ECONNREFUSED` for the gateway, behind which nothing is offered.
    pub(crate) fn outgoing(
        &self,
        transport: Transport,
        peer: SocketAddr,
        options: &SocketOptions,
    ) -> Result<Arc<dyn HostSocket>> {
        if self.mode == NetworkMode::None {
            return Err(Errno::ENETUNREACH);
        }
        if peer.ip() == IpAddr::V4(GATEWAY_ADDRESS) {
            return Err(Errno::ECONNREFUSED);
        }
        let socket = self.host.socket(transport, Family::of(&peer))?;
        for option in options.for_host() {
            // Set before the connection was known to leave the container; what the host refuses now was only a wish.
            let _ = socket.set_option(option);
        }
        Ok(socket)
    }
}
