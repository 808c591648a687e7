//! WasmEdge's socket extension of WASI preview 1: numbers and byte layouts.
//!
//! Source: the crate `wasmedge_wasi_socket` (0.3 to 0.5), which guests are built with, and
//! WasmEdge `thirdparty/wasi/api.hpp`, `lib/host/wasi/wasifunc.cpp`. An address is passed as a
//! buffer of 4 bytes (IPv4), 16 bytes (IPv6), or 128 bytes (a family of 16 bits, then the address).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::linux::{AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM};

/// Bytes of an address buffer that also tells the family.
pub const STORAGE_BYTES: usize = 128;

/// Bytes of `__wasi_address_t`: a pointer and a length.
pub const ADDRESS_BYTES: usize = 8;

/// The family of Unix sockets, in storage buffers.
const FAMILY_UNIX: u16 = 3;

/// Family and type of a socket to be made: Linux's `AF_*` and `SOCK_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketKind {
    pub domain: u16,
    pub kind: u32,
}

impl SocketKind {
    /// Reads `sock_open`'s numbers; `None` for those that name nothing.
    ///
    /// Family 0 is IPv4 in the numbering of WasmEdge before 0.10 (where types count from 0 too);
    /// later it is "unspecified", which no socket can be, so it can only be the old one.
    pub fn from_raw(family: u32, kind: u32) -> Option<SocketKind> {
        let (domain, kind) = match family {
            0 => (AF_INET, kind.checked_add(1)?),
            1 => (AF_INET, kind),
            2 => (AF_INET6, kind),
            3 => (AF_UNIX, kind),
            _ => return None,
        };
        let kind = match kind {
            1 => SOCK_DGRAM,
            2 => SOCK_STREAM,
            _ => return None,
        };
        Some(SocketKind { domain, kind })
    }
}

/// Returns the family's number as storage buffers and `sock_getaddrinfo` have it.
pub fn family_number(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 1,
        IpAddr::V6(_) => 2,
    }
}

/// Returns the family's number as `sock_getlocaladdr` with four arguments tells it.
pub fn family_version(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 4,
        IpAddr::V6(_) => 6,
    }
}

/// An address as a guest's buffer has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'a> {
    Internet(IpAddr),
    /// A path, without a zero at its end.
    Unix(&'a [u8]),
}

/// Reads an address buffer; `None` for a length or family that is none.
pub fn parse_address(bytes: &[u8]) -> Option<Address<'_>> {
    match bytes.len() {
        STORAGE_BYTES => match u16::from_le_bytes([bytes[0], bytes[1]]) {
            1 => parse_address(&bytes[2..6]),
            2 => parse_address(&bytes[2..18]),
            FAMILY_UNIX => {
                let path = bytes[2..].split(|byte| *byte == 0).next()?;
                (!path.is_empty()).then_some(Address::Unix(path))
            }
            _ => None,
        },
        4 => {
            let octets = <[u8; 4]>::try_from(bytes).ok()?;
            Some(Address::Internet(Ipv4Addr::from(octets).into()))
        }
        16 => {
            let octets = <[u8; 16]>::try_from(bytes).ok()?;
            Some(Address::Internet(Ipv6Addr::from(octets).into()))
        }
        _ => None,
    }
}

/// An address in the bytes that a guest's buffer of some length can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressBytes {
    bytes: [u8; STORAGE_BYTES],
    len: usize,
}

impl AddressBytes {
    /// Encodes for a buffer of so many bytes; `None` when the address does not fit.
    pub fn new(address: Address<'_>, buffer_bytes: usize) -> Option<AddressBytes> {
        let mut encoded = AddressBytes {
            bytes: [0; STORAGE_BYTES],
            len: 0,
        };
        let has_family = buffer_bytes >= STORAGE_BYTES;
        match address {
            Address::Internet(address) => {
                if has_family {
                    encoded.push(&u16::from(family_number(address)).to_le_bytes())?;
                }
                match address {
                    IpAddr::V4(v4) => encoded.push(&v4.octets())?,
                    IpAddr::V6(v6) => encoded.push(&v6.octets())?,
                }
            }
            Address::Unix(_) if !has_family => return None,
            Address::Unix(path) => {
                encoded.push(&FAMILY_UNIX.to_le_bytes())?;
                encoded.push(path)?;
                encoded.push(&[0])?;
            }
        }
        (encoded.len <= buffer_bytes).then_some(encoded)
    }

    /// Returns the bytes to put at the buffer's start.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, part: &[u8]) -> Option<()> {
        let target = self.bytes.get_mut(self.len..self.len + part.len())?;
        target.copy_from_slice(part);
        self.len += part.len();
        Some(())
    }
}

/// A socket option: Linux's level and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOption {
    pub level: i32,
    pub name: i32,
}

/// `SOL_SOCKET` on Linux.
pub const SOL_SOCKET: i32 = 1;
/// `SO_TYPE` on Linux.
pub const SO_TYPE: i32 = 3;
/// `SO_ERROR` on Linux.
pub const SO_ERROR: i32 = 4;

/// Linux's option names in the order of WasmEdge's numbers: `SO_REUSEADDR`, `SO_TYPE`, `SO_ERROR`, `SO_DONTROUTE`,
/// `SO_BROADCAST`, `SO_SNDBUF`, `SO_RCVBUF`, `SO_KEEPALIVE`, `SO_OOBINLINE`, `SO_LINGER`, `SO_RCVLOWAT`,
/// `SO_RCVTIMEO`, `SO_SNDTIMEO`, `SO_ACCEPTCONN`, `SO_BINDTODEVICE`.
const OPTION_NAMES: [i32; 15] = [
    2, SO_TYPE, SO_ERROR, 5, 6, 7, 8, 9, 10, 13, 18, 20, 21, 30, 25,
];

impl SocketOption {
    /// Reads WasmEdge's numbers; values are laid out as on 64-bit Linux already.
    pub fn from_raw(level: u32, name: u32) -> Option<SocketOption> {
        if level != 0 {
            return None;
        }
        OPTION_NAMES.get(name as usize).map(|name| SocketOption {
            level: SOL_SOCKET,
            name: *name,
        })
    }
}

/// Returns WasmEdge's number of Linux's socket type, for `SO_TYPE`.
pub fn socket_type_number(kind: u32) -> u32 {
    match kind {
        SOCK_DGRAM => 1,
        SOCK_STREAM => 2,
        _ => 0,
    }
}

/// What `sock_getaddrinfo` is asked for. WasmEdge: the head of `__wasi_addrinfo_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressHints {
    pub flags: u16,
    pub family: u8,
    pub socket_type: u8,
    pub protocol: u8,
}

/// The node is absent and a server's own address is wanted.
pub const AI_PASSIVE: u16 = 1;
/// The node is an address, not a name.
pub const AI_NUMERICHOST: u16 = 4;
/// The service is a number, not a name.
pub const AI_NUMERICSERV: u16 = 8;
/// All flags that are known.
pub const AI_ALL_FLAGS: u16 = 0x7f;

/// Bytes of `__wasi_addrinfo_t`: flags@0:2 family@2 type@3 protocol@4 addrlen@8 addr@12 canonname@16 canonname_len@20 next@24.
pub const ADDRINFO_BYTES: usize = 28;
/// Where `__wasi_addrinfo_t` points to its `__wasi_sockaddr_t`.
pub const ADDRINFO_ADDRESS_OFFSET: usize = 12;
/// Where `__wasi_addrinfo_t` has the length of its canonical name.
pub const ADDRINFO_NAME_LEN_OFFSET: usize = 20;
/// Where `__wasi_addrinfo_t` points to the next one.
pub const ADDRINFO_NEXT_OFFSET: usize = 24;
/// Bytes of `__wasi_sockaddr_t`: family@0 length@4 data@8.
pub const SOCKADDR_BYTES: usize = 12;

impl AddressHints {
    /// Reads the head of an `__wasi_addrinfo_t`.
    pub fn parse(bytes: &[u8; 5]) -> AddressHints {
        AddressHints {
            flags: u16::from_le_bytes([bytes[0], bytes[1]]),
            family: bytes[2],
            socket_type: bytes[3],
            protocol: bytes[4],
        }
    }

    /// Lays an answer's head out: flags, family, type, protocol and the length of a Linux `sockaddr`.
    pub fn answer_bytes(&self, address: SocketAddr) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[0..2].copy_from_slice(&self.flags.to_le_bytes());
        bytes[2] = family_number(address.ip());
        bytes[3] = self.socket_type;
        bytes[4] = self.protocol;
        let length = sockaddr_data(address).as_slice().len() as u32 + 2;
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        bytes
    }
}

/// The bytes of a Linux `sockaddr_in` or `sockaddr_in6` after the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SockaddrData {
    bytes: [u8; 26],
    len: usize,
}

impl SockaddrData {
    /// Returns the bytes: 14 for IPv4, 26 for IPv6.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Lays an address out as Linux's `sockaddr` without its family.
pub fn sockaddr_data(address: SocketAddr) -> SockaddrData {
    let mut bytes = [0; 26];
    bytes[0..2].copy_from_slice(&address.port().to_be_bytes());
    let len = match address {
        SocketAddr::V4(v4) => {
            bytes[2..6].copy_from_slice(&v4.ip().octets());
            14
        }
        SocketAddr::V6(v6) => {
            bytes[6..22].copy_from_slice(&v6.ip().octets());
            bytes[22..26].copy_from_slice(&v6.scope_id().to_le_bytes());
            26
        }
    };
    SockaddrData { bytes, len }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_types_of_both_numberings_make_sockets() {
        let tcp = Some(SocketKind {
            domain: AF_INET,
            kind: SOCK_STREAM,
        });
        assert_eq!(SocketKind::from_raw(1, 2), tcp);
        assert_eq!(SocketKind::from_raw(0, 1), tcp);
        assert_eq!(SocketKind::from_raw(1, 0), None);
        assert_eq!(SocketKind::from_raw(9, 2), None);
        assert_eq!(SocketKind::from_raw(0, u32::MAX), None);
    }

    #[test]
    fn addresses_survive_every_buffer_that_holds_them() {
        for address in [
            IpAddr::from([127, 0, 0, 1]),
            IpAddr::from(Ipv6Addr::LOCALHOST),
        ] {
            let plain_bytes = if address.is_ipv4() { 4 } else { 16 };
            for buffer_bytes in [plain_bytes, STORAGE_BYTES] {
                let address = Address::Internet(address);
                let encoded = AddressBytes::new(address, buffer_bytes).expect("it fits");
                let mut buffer = vec![0; buffer_bytes];
                buffer[..encoded.as_slice().len()].copy_from_slice(encoded.as_slice());
                assert_eq!(parse_address(&buffer), Some(address));
            }
        }
        let v6 = Address::Internet(Ipv6Addr::LOCALHOST.into());
        assert_eq!(AddressBytes::new(v6, 4), None);
        assert_eq!(parse_address(&[1, 2, 3]), None);
    }

    #[test]
    fn a_path_needs_a_buffer_that_tells_the_family() {
        let address = Address::Unix(b"/run/socket");
        assert_eq!(AddressBytes::new(address, 16), None);
        let encoded = AddressBytes::new(address, STORAGE_BYTES).expect("it fits");
        let mut buffer = [0xff; STORAGE_BYTES];
        buffer[..encoded.as_slice().len()].copy_from_slice(encoded.as_slice());
        assert_eq!(parse_address(&buffer), Some(address));
        let long = [b'x'; STORAGE_BYTES];
        assert_eq!(AddressBytes::new(Address::Unix(&long), STORAGE_BYTES), None);
    }

    #[test]
    fn options_have_linux_numbers() {
        let name = |raw| SocketOption::from_raw(0, raw).map(|o| o.name);
        assert_eq!(name(0), Some(2));
        assert_eq!(name(9), Some(13));
        assert_eq!(name(14), Some(25));
        assert_eq!(name(15), None);
        assert_eq!(SocketOption::from_raw(6, 0), None);
    }
}
