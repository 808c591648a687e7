//! Socket addresses as guests lay them out: `struct sockaddr_in`, `sockaddr_in6`, `sockaddr_un`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use minke_abi::linux::{AF_INET, AF_INET6, AF_UNIX};
use minke_abi::{Errno, Result};
use minke_kernel::net::{Received, SocketAddress, UnixAddress};

use crate::personality::emscripten::context::Context;
use crate::runtime::GuestAddr;

/// Bytes of `struct sockaddr_storage`: the longest address.
const ADDRESS_BYTES_MAX: usize = 128;
const INET_BYTES: usize = 16;
const INET6_BYTES: usize = 28;
/// `sun_path` of `struct sockaddr_un`.
const UNIX_PATH_BYTES: usize = 108;

/// Reads an address. Linux: net/socket.c move_addr_to_kernel().
pub(in crate::personality::emscripten) fn read_address(
    context: &Context<'_>,
    address: GuestAddr,
    length: u32,
) -> Result<SocketAddress> {
    if length as usize > ADDRESS_BYTES_MAX || length < 2 {
        return Err(Errno::EINVAL);
    }
    let bytes = context
        .memory
        .read_bytes(address, u64::from(length), ADDRESS_BYTES_MAX)?;
    match u16::from_le_bytes([bytes[0], bytes[1]]) {
        AF_INET => decode_inet(&bytes).map(SocketAddress::Inet),
        AF_INET6 => decode_inet6(&bytes).map(SocketAddress::Inet),
        AF_UNIX => decode_unix(&bytes[2..]).map(SocketAddress::Unix),
        _ => Err(Errno::EAFNOSUPPORT),
    }
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

/// Lays an address out as `struct sockaddr_*`.
pub(in crate::personality::emscripten) fn encode_address(address: &SocketAddress) -> Vec<u8> {
    match address {
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

/// Writes an address where the guest has room for it, and its whole length. Linux: net/socket.c move_addr_to_user().
pub(super) fn write_address(
    context: &mut Context<'_>,
    address: &SocketAddress,
    target: Option<GuestAddr>,
    length: Option<GuestAddr>,
) -> Result<()> {
    let Some(target) = target else {
        return Ok(());
    };
    let length = length.ok_or(Errno::EFAULT)?;
    let room = context.memory.read_u32(length)?;
    if room.cast_signed() < 0 {
        return Err(Errno::EINVAL);
    }
    let bytes = encode_address(address);
    let shown = bytes.len().min(room as usize);
    context.memory.write(target, &bytes[..shown])?;
    context.memory.write_u32(length, bytes.len() as u32)
}

/// A connected stream knows no sender: the length becomes 0.
pub(super) fn write_sender(
    context: &mut Context<'_>,
    received: &Received,
    address: Option<GuestAddr>,
    length: Option<GuestAddr>,
) -> Result<()> {
    match (&received.from, address, length) {
        (Some(from), _, _) => write_address(context, from, address, length),
        (None, Some(_), Some(length)) => context.memory.write_u32(length, 0),
        _ => Ok(()),
    }
}
