//! Internet addresses as a container sees them.
//!
//! A container with a private network has its loopback and one address of its own, and sees the
//! host as its gateway. The two come from the block that RFC 6333 sets aside for exactly such
//! a link (192.0.0.0/29), so they hide no network that a guest may want to reach. What a
//! guest could not tell apart or write down otherwise appears as the gateway: peers on the host's
//! own loopback, which are not processes of the container, and IPv6 peers of an IPv4 socket. Docker's
//! user-space proxy shows its bridge's gateway in the same cases.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use minke_abi::{Errno, Result};

use crate::net::SocketAddress;
use crate::platform::Family;

/// The container's own address. Spec: RFC 6333, 5.7.
pub const CONTAINER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 2);

/// The host, as a container with a private network sees it.
pub const GATEWAY_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 1);

impl Family {
    /// The family of an address.
    pub fn of(address: &SocketAddr) -> Family {
        match address {
            SocketAddr::V4(_) => Family::V4,
            SocketAddr::V6(_) => Family::V6,
        }
    }

    /// The wildcard address.
    pub fn unspecified(self) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// Writes an address as a socket of this family shows it; `None` for IPv6 on an IPv4 socket.
    pub fn express(self, address: SocketAddr) -> Option<SocketAddr> {
        match (self, address) {
            (Family::V4, SocketAddr::V4(_)) | (Family::V6, SocketAddr::V6(_)) => Some(address),
            (Family::V6, SocketAddr::V4(v4)) => {
                let mapped = v4.ip().to_ipv6_mapped();
                Some(SocketAddr::new(mapped.into(), v4.port()))
            }
            (Family::V4, SocketAddr::V6(v6)) => {
                let v4 = v6.ip().to_ipv4_mapped()?;
                Some(SocketAddr::new(v4.into(), v6.port()))
            }
        }
    }

    /// Checks an address that a guest gave a socket of this family, and drops the IPv4-mapped form.
    ///
    /// Linux: net/ipv4/af_inet.c __inet_bind(), net/ipv6/af_inet6.c __inet6_bind().
    pub fn accept(self, address: &SocketAddress) -> Result<SocketAddr> {
        let SocketAddress::Inet(address) = address else {
            return Err(Errno::EAFNOSUPPORT);
        };
        match (self, address) {
            (Family::V4, SocketAddr::V6(_)) => Err(Errno::EAFNOSUPPORT),
            (Family::V6, SocketAddr::V4(_)) => Err(Errno::EINVAL),
            _ => Ok(canonical(*address)),
        }
    }
}

/// Writes an IPv4-mapped IPv6 address as IPv4, so that equal ends compare equal.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}

/// Whether a container with a private network is itself the owner of an address.
pub fn is_own(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip.is_loopback() || ip == IpAddr::V4(CONTAINER_ADDRESS)
}

/// Returns where a connection to an address goes: the wildcard means the loopback.
///
/// Linux: net/ipv4/route.c ip_route_output_key_hash_rcu().
pub fn destination(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => return address,
    };
    SocketAddr::new(ip, address.port())
}

/// Writes a host peer's address as a socket of a private network shows it.
pub fn present_peer(family: Family, peer: SocketAddr) -> SocketAddr {
    let peer = canonical(peer);
    let gateway = SocketAddr::new(GATEWAY_ADDRESS.into(), peer.port());
    let shown = if peer.ip().is_loopback() {
        gateway
    } else {
        peer
    };
    family
        .express(shown)
        .or_else(|| family.express(gateway))
        .unwrap_or(gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn host_loopback_peers_appear_as_the_gateway() {
        for peer in ["127.0.0.1:9", "[::1]:9", "[::ffff:127.0.0.1]:9"] {
            assert_eq!(
                present_peer(Family::V4, address(peer)),
                address("192.0.0.1:9")
            );
            let mapped = address("[::ffff:192.0.0.1]:9");
            assert_eq!(present_peer(Family::V6, address(peer)), mapped);
        }
    }

    #[test]
    fn remote_peers_keep_their_address_where_the_family_can_write_it() {
        let v4 = address("198.51.100.7:80");
        let v6 = address("[2001:db8::1]:80");
        assert_eq!(present_peer(Family::V4, v4), v4);
        assert_eq!(present_peer(Family::V6, v6), v6);
        assert_eq!(present_peer(Family::V4, v6), address("192.0.0.1:80"));
        let mapped = address("[::ffff:198.51.100.7]:80");
        assert_eq!(present_peer(Family::V6, v4), mapped);
    }
}
