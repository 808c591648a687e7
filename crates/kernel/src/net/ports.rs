//! Who has which port of the container: bindings, their conflicts, and ephemeral ports.
//!
//! One table per transport. A socket holds a [`PortLease`] while it is bound; what receives
//! (a listener, a datagram inbox) is entered there and found by address.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use minke_abi::{Errno, Result};

use crate::platform::Transport;

/// Ports that the kernel chooses from. Linux: `net.ipv4.ip_local_port_range`.
const EPHEMERAL_PORTS: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// The addresses that a binding takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// In canonical form: never IPv4-mapped.
    pub ip: IpAddr,
    /// Whether an IPv6 wildcard leaves IPv4 to others (`IPV6_V6ONLY`).
    pub is_v6_only: bool,
}

impl Coverage {
    /// Whether traffic to `ip` belongs to the binding.
    fn covers(&self, ip: IpAddr) -> bool {
        if !self.ip.is_unspecified() {
            return self.ip == ip;
        }
        self.ip.is_ipv4() == ip.is_ipv4() || (self.ip.is_ipv6() && !self.is_v6_only)
    }

    /// Whether some address belongs to both.
    fn overlaps(&self, other: &Coverage) -> bool {
        self.covers(other.ip) || other.covers(self.ip)
    }
}

/// Which other sockets may have the same address and port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sharing {
    /// `SO_REUSEADDR`: with others that say so too and do not listen.
    pub reuse_address: bool,
    /// `SO_REUSEPORT`: with others that say so too.
    pub reuse_port: bool,
}

struct Binding<E> {
    id: u64,
    coverage: Coverage,
    sharing: Sharing,
    /// What receives; `None` while a TCP socket is bound and does not listen.
    endpoint: Option<Weak<E>>,
}

impl<E> Binding<E> {
    /// Linux: net/ipv4/inet_connection_sock.c inet_csk_bind_conflict().
    fn conflicts_with(&self, coverage: &Coverage, sharing: Sharing, transport: Transport) -> bool {
        if !self.coverage.overlaps(coverage) {
            return false;
        }
        let is_listener = transport == Transport::Tcp && self.endpoint.is_some();
        let both_reuse_address = self.sharing.reuse_address && sharing.reuse_address;
        let both_reuse_port = self.sharing.reuse_port && sharing.reuse_port;
        !(both_reuse_port || (both_reuse_address && !is_listener))
    }
}

/// The ports of one transport. `E` is what receives there.
pub(crate) struct PortTable<E> {
    transport: Transport,
    ports: Mutex<Ports<E>>,
}

struct Ports<E> {
    bindings: BTreeMap<u16, Vec<Binding<E>>>,
    last_ephemeral: u16,
    last_id: u64,
}

impl<E> PortTable<E> {
    /// Makes a table in which every port is free.
    pub(crate) fn new(transport: Transport) -> Arc<PortTable<E>> {
        Arc::new(PortTable {
            transport,
            ports: Mutex::new(Ports {
                bindings: BTreeMap::new(),
                last_ephemeral: *EPHEMERAL_PORTS.end(),
                last_id: 0,
            }),
        })
    }

    /// Takes a port, or with port 0 a free ephemeral one; `EADDRINUSE` when it is not free.
    pub(crate) fn bind(
        self: &Arc<Self>,
        coverage: Coverage,
        port: u16,
        sharing: Sharing,
    ) -> Result<PortLease<E>> {
        let mut ports = self.lock();
        let port = match port {
            0 => ports.free_ephemeral(&coverage)?,
            port => port,
        };
        let others = ports.bindings.get(&port).map_or(&[][..], Vec::as_slice);
        let conflicts = |b: &Binding<E>| b.conflicts_with(&coverage, sharing, self.transport);
        if others.iter().any(conflicts) {
            return Err(Errno::EADDRINUSE);
        }
        let id = ports.enter(port, coverage, sharing);
        Ok(PortLease {
            table: Arc::clone(self),
            coverage,
            port,
            id,
        })
    }

    /// Returns what receives at an address: the binding to just that address before a wildcard, the latest first.
    pub(crate) fn find(&self, address: SocketAddr) -> Option<Arc<E>> {
        let ports = self.lock();
        let bindings = ports.bindings.get(&address.port())?;
        let covering = |b: &&Binding<E>| b.coverage.covers(address.ip());
        let endpoint = |b: &Binding<E>| b.endpoint.as_ref().and_then(Weak::upgrade);
        let exact = |b: &&Binding<E>| b.coverage.ip == address.ip();
        let latest_first = || bindings.iter().rev().filter(covering);
        latest_first()
            .filter(exact)
            .find_map(endpoint)
            .or_else(|| latest_first().find_map(endpoint))
    }

    /// Lists what is bound, by port, and whether something receives there.
    pub(crate) fn list(&self) -> Vec<(SocketAddr, bool)> {
        let ports = self.lock();
        let all = ports.bindings.iter().flat_map(|(port, bindings)| {
            let row = |it: &Binding<E>| {
                let address = SocketAddr::new(it.coverage.ip, *port);
                (address, it.endpoint.is_some())
            };
            bindings.iter().map(row).collect::<Vec<_>>()
        });
        all.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Ports<E>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Ports<E> {
    /// Chooses the next ephemeral port that nobody has; `EADDRINUSE` when all are taken.
    fn free_ephemeral(&mut self, coverage: &Coverage) -> Result<u16> {
        let (start, end) = (*EPHEMERAL_PORTS.start(), *EPHEMERAL_PORTS.end());
        for _ in EPHEMERAL_PORTS {
            let next = if self.last_ephemeral >= end {
                start
            } else {
                self.last_ephemeral + 1
            };
            self.last_ephemeral = next;
            let taken = self.bindings.get(&next).map_or(&[][..], Vec::as_slice);
            if !taken.iter().any(|b| b.coverage.overlaps(coverage)) {
                return Ok(next);
            }
        }
        Err(Errno::EADDRINUSE)
    }

    fn enter(&mut self, port: u16, coverage: Coverage, sharing: Sharing) -> u64 {
        self.last_id += 1;
        self.bindings.entry(port).or_default().push(Binding {
            id: self.last_id,
            coverage,
            sharing,
            endpoint: None,
        });
        self.last_id
    }
}

/// A port that a socket has; dropped, it is free again.
pub(crate) struct PortLease<E> {
    table: Arc<PortTable<E>>,
    coverage: Coverage,
    port: u16,
    id: u64,
}

impl<E> PortLease<E> {
    /// Returns the bound address.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.coverage.ip, self.port)
    }

    /// Enters what receives here; `EADDRINUSE` when another that shares the port listens already.
    pub(crate) fn receive_with(&self, endpoint: &Arc<E>) -> Result<()> {
        let transport = self.table.transport;
        let mut ports = self.table.lock();
        let Some(bindings) = ports.bindings.get_mut(&self.port) else {
            return Err(Errno::EINVAL);
        };
        let sharing = bindings
            .iter()
            .find(|b| b.id == self.id)
            .map_or_else(Sharing::default, |b| b.sharing);
        let conflicts = bindings
            .iter()
            .any(|b| b.id != self.id && b.conflicts_with(&self.coverage, sharing, transport));
        if conflicts {
            return Err(Errno::EADDRINUSE);
        }
        if let Some(own) = bindings.iter_mut().find(|b| b.id == self.id) {
            own.endpoint = Some(Arc::downgrade(endpoint));
        }
        Ok(())
    }
}

impl<E> Drop for PortLease<E> {
    fn drop(&mut self) {
        let mut ports = self.table.lock();
        if let Some(bindings) = ports.bindings.get_mut(&self.port) {
            bindings.retain(|binding| binding.id != self.id);
            if bindings.is_empty() {
                ports.bindings.remove(&self.port);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cover(ip: &str) -> Coverage {
        Coverage {
            ip: ip.parse().unwrap(),
            is_v6_only: false,
        }
    }

    const NONE: Sharing = Sharing {
        reuse_address: false,
        reuse_port: false,
    };

    #[test]
    fn a_dual_stack_wildcard_conflicts_with_ipv4() {
        let table = PortTable::<()>::new(Transport::Tcp);
        let _wildcard = table.bind(cover("::"), 80, NONE).unwrap();
        let v4 = table.bind(cover("127.0.0.1"), 80, NONE).map(drop);
        assert_eq!(v4, Err(Errno::EADDRINUSE));
    }

    #[test]
    fn an_ipv6_only_wildcard_leaves_ipv4_to_others() {
        let table = PortTable::<()>::new(Transport::Tcp);
        let only = Coverage {
            is_v6_only: true,
            ..cover("::")
        };
        let _wildcard = table.bind(only, 80, NONE).unwrap();
        assert!(table.bind(cover("0.0.0.0"), 80, NONE).is_ok());
    }

    #[test]
    fn reuse_address_shares_until_one_listens() {
        let table = PortTable::<()>::new(Transport::Tcp);
        let reuse = Sharing {
            reuse_address: true,
            ..NONE
        };
        let first = table.bind(cover("0.0.0.0"), 80, reuse).unwrap();
        let second = table.bind(cover("0.0.0.0"), 80, reuse).unwrap();
        let endpoint = Arc::new(());
        first.receive_with(&endpoint).unwrap();
        assert_eq!(second.receive_with(&endpoint), Err(Errno::EADDRINUSE));
        let third = table.bind(cover("0.0.0.0"), 80, reuse).map(drop);
        assert_eq!(third, Err(Errno::EADDRINUSE));
    }

    #[test]
    fn ephemeral_ports_run_out_and_come_back() {
        let table = PortTable::<()>::new(Transport::Udp);
        let bind = || table.bind(cover("127.0.0.1"), 0, NONE);
        let mut leases: Vec<_> = EPHEMERAL_PORTS.map(|_| bind().unwrap()).collect();
        assert_eq!(bind().map(drop), Err(Errno::EADDRINUSE));
        let freed = leases.pop().unwrap().address();
        assert_eq!(bind().unwrap().address(), freed);
    }

    #[test]
    fn the_exact_address_is_found_before_the_wildcard() {
        let table = PortTable::<u8>::new(Transport::Udp);
        let wildcard = table.bind(cover("0.0.0.0"), 53, SHARED).unwrap();
        let exact = table.bind(cover("127.0.0.1"), 53, SHARED).unwrap();
        let (one, two) = (Arc::new(1), Arc::new(2));
        exact.receive_with(&two).unwrap();
        wildcard.receive_with(&one).unwrap();
        let find = |text: &str| table.find(text.parse().unwrap()).map(|e| *e);
        assert_eq!(find("127.0.0.1:53"), Some(2));
        assert_eq!(find("127.0.0.2:53"), Some(1));
        assert_eq!(find("127.0.0.2:54"), None);
    }

    const SHARED: Sharing = Sharing {
        reuse_address: true,
        reuse_port: false,
    };
}
