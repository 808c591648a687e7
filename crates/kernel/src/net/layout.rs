//! Socket addresses as Linux lays them out: `struct sockaddr_in`, `sockaddr_in6`, `sockaddr_un`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use minke_abi::linux::{AF_INET, AF_INET6, AF_UNIX};
use minke_abi::{Errno, Result};

use super::{SocketAddress, UnixAddress};

/// Bytes of `struct sockaddr_storage`: the longest address.
pub const ADDRESS_BYTES_MAX: usize = 128;
const INET_BYTES: usize = 16;
const INET6_BYTES: usize = 28;
/// `sun_path` of `struct sockaddr_un`.
const UNIX_PATH_BYTES: usize = 108;

impl SocketAddress {
    /// Reads an address. Linux: net/socket.c move_addr_to_kernel().
    pub fn decode(bytes: &[u8]) -> Result<SocketAddress> {
        if bytes.len() > ADDRESS_BYTES_MAX || bytes.len() < 2 {
            return Err(Errno::EINVAL);
        }
        match u16::from_le_bytes([bytes[0], bytes[1]]) {
            AF_INET => decode_inet(bytes).map(SocketAddress::Inet),
            AF_INET6 => decode_inet6(bytes).map(SocketAddress::Inet),
            AF_UNIX => decode_unix(&bytes[2..]).map(SocketAddress::Unix),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    /// Lays an address out as `struct sockaddr_*`.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            SocketAddress::Inet(address) => encode_inet(address),
            SocketAddress::Unix(address) => {
                let mut bytes = AF_UNIX.to_le_bytes().to_vec();
                match address {
                    UnixAddress::Unnamed => {}
                    UnixAddress::Path(path) => {
                        bytes.extend(path);
                        bytes.push(0);
                    }
                    UnixAddress::Abstract(name) => {
                        bytes.push(0);
                        bytes.extend(name);
                    }
                }
                bytes
            }
        }
    }
}

fn encode_inet(address: &SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(INET6_BYTES);
    let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    bytes.extend(family.to_le_bytes());
    bytes.extend(address.port().to_be_bytes());
    match (address.ip(), address) {
        (IpAddr::V4(ip), _) => {
            bytes.extend(ip.octets());
            bytes.resize(INET_BYTES, 0);
        }
        (IpAddr::V6(ip), SocketAddr::V6(whole)) => {
            bytes.extend(whole.flowinfo().to_le_bytes());
            bytes.extend(ip.octets());
            bytes.extend(whole.scope_id().to_le_bytes());
        }
        (IpAddr::V6(_), SocketAddr::V4(_)) => {}
    }
    bytes
}

fn port_of(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[2], bytes[3]])
}

fn decode_inet(bytes: &[u8]) -> Result<SocketAddr> {
    if bytes.len() < INET_BYTES {
        return Err(Errno::EINVAL);
    }
    let address = Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]);
    Ok(SocketAddr::from((address, port_of(bytes))))
}

fn decode_inet6(bytes: &[u8]) -> Result<SocketAddr> {
    if bytes.len() < INET6_BYTES {
        return Err(Errno::EINVAL);
    }
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let octets: [u8; 16] = bytes[8..24].try_into().map_err(|_| Errno::EINVAL)?;
    let address = SocketAddrV6::new(Ipv6Addr::from(octets), port_of(bytes), word(4), word(24));
    Ok(SocketAddr::V6(address))
}

/// A path ends at its first zero; one that starts with a zero is abstract. Linux: `unix(7)`.
fn decode_unix(path: &[u8]) -> Result<UnixAddress> {
    if path.len() > UNIX_PATH_BYTES {
        return Err(Errno::EINVAL);
    }
    Ok(match path.first() {
        None => UnixAddress::Unnamed,
        Some(0) => UnixAddress::Abstract(path[1..].to_vec()),
        Some(_) => {
            let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
            UnixAddress::Path(path.to_vec())
        }
    })
}
