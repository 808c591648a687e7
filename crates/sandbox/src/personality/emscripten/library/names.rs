//! Host names: `getaddrinfo` and its elders, whose results live in the guest's heap.
//!
//! Newer versions do this in C over `_emscripten_lookup_name`. Source of the rules: POSIX
//! `getaddrinfo()`; Emscripten `system/lib/libc/musl/src/network/freeaddrinfo.c` frees address and entry apart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use minke_abi::linux::{AF_INET, AF_INET6, AF_UNSPEC, SOCK_DGRAM, SOCK_STREAM};
use minke_abi::{Errno, Result};
use minke_kernel::net::SocketAddress;
use wasmtime::Caller;

use crate::personality::Support;
use crate::personality::emscripten::context::{Arguments, Context, task_of};
use crate::personality::emscripten::exports::allocate;
use crate::personality::emscripten::table::{Body, Function, Pending, Returns, WORDS};
use crate::personality::musl::addresses::read_address;
use crate::runtime::stop::unless_ending;
use crate::runtime::{Guest, GuestAddr};

/// Longest host name. Linux: `NI_MAXHOST`.
const HOST_BYTES_MAX: usize = 1025;
/// Longest service name. Linux: `NI_MAXSERV`.
const SERVICE_BYTES_MAX: usize = 32;
/// Most addresses that one look-up gives a guest.
const ADDRESSES_MAX: usize = 16;

/// Results of `getaddrinfo`. Source: musl `include/netdb.h`.
mod eai {
    pub(super) const BADFLAGS: i64 = -1;
    pub(super) const NONAME: i64 = -2;
    pub(super) const AGAIN: i64 = -3;
    pub(super) const FAMILY: i64 = -6;
    pub(super) const SOCKTYPE: i64 = -7;
    pub(super) const SERVICE: i64 = -8;
    pub(super) const MEMORY: i64 = -10;
    pub(super) const OVERFLOW: i64 = -12;
}

const AI_PASSIVE: u32 = 0x1;
const AI_NUMERICHOST: u32 = 0x4;
const AI_KNOWN: u32 = 0x43f;
const NI_NAMEREQD: u32 = 0x8;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    waiting("getaddrinfo", 4, |mut caller, arguments| {
        Box::new(async move { getaddrinfo(&mut caller, &arguments).await })
    })
    .partial("services by number only; `AI_CANONNAME` gives none"),
    Function::library("getnameinfo", WORDS[7], Returns::Word, getnameinfo)
        .partial("numbers only: addresses are not looked up"),
    waiting("gethostbyname", 1, |mut caller, arguments| {
        Box::new(async move { gethostbyname(&mut caller, &arguments).await })
    })
    .partial("IPv4 only, as its result cannot hold more"),
    waiting("_emscripten_lookup_name", 1, |mut caller, arguments| {
        Box::new(async move { lookup_name(&mut caller, &arguments).await })
    })
    .partial("IPv4 only, as its result cannot hold more"),
    Function::library("gethostbyaddr", WORDS[3], Returns::Word, |_, _| Ok(0))
        .partial("finds none: addresses are not looked up"),
    waiting("getprotobyname", 1, |mut caller, arguments| {
        Box::new(async move {
            let name = read_name(&mut caller, arguments.pointer(0), HOST_BYTES_MAX);
            let wanted = name.ok().flatten().unwrap_or_default();
            protocol(&mut caller, |(name, _)| *name == wanted).await
        })
    })
    .partial("knows `ip`, `icmp`, `tcp`, `udp` and `ipv6`"),
    waiting("getprotobynumber", 1, |mut caller, arguments| {
        Box::new(async move {
            let wanted = arguments.word(0);
            protocol(&mut caller, |(_, number)| *number == wanted).await
        })
    })
    .partial("knows `ip`, `icmp`, `tcp`, `udp` and `ipv6`"),
];

const fn waiting(
    name: &'static str,
    arguments: usize,
    body: for<'a> fn(Caller<'a, Guest>, Arguments) -> Pending<'a>,
) -> Function {
    Function {
        name,
        arguments: WORDS[arguments],
        returns: Returns::Word,
        support: Support::Whole,
        body: Body::Waiting(body),
    }
}

/// What a caller of `getaddrinfo` wants.
#[derive(Clone, Copy, Debug, Default)]
struct Hints {
    flags: u32,
    family: u32,
    kind: u32,
    protocol: u32,
}

impl Hints {
    fn read(context: &Context<'_>, address: Option<GuestAddr>) -> Result<Hints> {
        let Some(address) = address else {
            return Ok(Hints::default());
        };
        let word = |offset| context.memory.read_u32(address.offset(offset));
        Ok(Hints {
            flags: word(0)?,
            family: word(4)?,
            kind: word(8)?,
            protocol: word(12)?,
        })
    }

    /// Fills in the kind or the protocol that follows from the other.
    fn completed(mut self) -> std::result::Result<Hints, i64> {
        if self.flags & !AI_KNOWN != 0 {
            return Err(eai::BADFLAGS);
        }
        if ![AF_UNSPEC, AF_INET, AF_INET6]
            .map(u32::from)
            .contains(&self.family)
        {
            return Err(eai::FAMILY);
        }
        if self.kind == 0 {
            self.kind = if self.protocol == IPPROTO_UDP {
                SOCK_DGRAM
            } else {
                SOCK_STREAM
            };
        }
        if self.protocol == 0 {
            self.protocol = if self.kind == SOCK_DGRAM {
                IPPROTO_UDP
            } else {
                IPPROTO_TCP
            };
        }
        if ![SOCK_STREAM, SOCK_DGRAM].contains(&self.kind) {
            return Err(eai::SOCKTYPE);
        }
        Ok(self)
    }

    fn takes(&self, address: &IpAddr) -> bool {
        let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
        self.family == u32::from(AF_UNSPEC) || self.family == u32::from(family)
    }
}

/// Reads a name; `None` for a null pointer.
fn read_name(
    caller: &mut Caller<'_, Guest>,
    address: Option<GuestAddr>,
    bytes_max: usize,
) -> Result<Option<String>> {
    let Some(address) = address else {
        return Ok(None);
    };
    let bytes = Context::of(caller)
        .memory
        .read_c_string(address, bytes_max)?;
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| Errno::EINVAL)
}

/// Node, service, hints, where to put the list; returns 0 or an `EAI_*` number.
async fn getaddrinfo(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
) -> wasmtime::Result<i64> {
    let hints = Hints::read(&Context::of(caller), arguments.pointer(2));
    let hints = match hints.map_err(|_| eai::BADFLAGS).and_then(Hints::completed) {
        Ok(hints) => hints,
        Err(number) => return Ok(number),
    };
    let node = read_name(caller, arguments.pointer(0), HOST_BYTES_MAX);
    let service = read_name(caller, arguments.pointer(1), SERVICE_BYTES_MAX);
    let (Ok(node), Ok(service)) = (node, service) else {
        return Ok(eai::NONAME);
    };
    if node.is_none() && service.is_none() {
        return Ok(eai::NONAME);
    }
    let port = match service.as_deref().map(str::parse::<u16>) {
        None => 0,
        Some(Ok(port)) => port,
        Some(Err(_)) => return Ok(eai::SERVICE),
    };
    let addresses = match node {
        Some(node) => match resolve(caller, &node, &hints).await? {
            Ok(addresses) => addresses,
            Err(number) => return Ok(number),
        },
        None => local_addresses(&hints),
    };
    let addresses: Vec<IpAddr> = addresses.into_iter().filter(|a| hints.takes(a)).collect();
    if addresses.is_empty() {
        return Ok(eai::NONAME);
    }
    write_list(caller, arguments.address(3), &addresses, port, &hints).await
}

/// Addresses without a name: of this machine, or any when the socket is to listen.
fn local_addresses(hints: &Hints) -> Vec<IpAddr> {
    if hints.flags & AI_PASSIVE != 0 {
        vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
    } else {
        vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
    }
}

/// Resolves a name; the inner error is an `EAI_*` number.
async fn resolve(
    caller: &mut Caller<'_, Guest>,
    node: &str,
    hints: &Hints,
) -> wasmtime::Result<std::result::Result<Vec<IpAddr>, i64>> {
    if let Ok(address) = node.parse() {
        return Ok(Ok(vec![address]));
    }
    if hints.flags & AI_NUMERICHOST != 0 {
        return Ok(Err(eai::NONAME));
    }
    let resolved = task_of(caller).resolve_host(node).await;
    let resolved = unless_ending(caller.data(), resolved).map_err(wasmtime::Error::new)?;
    Ok(resolved.map_err(|errno| match errno {
        Errno::EAGAIN | Errno::ETIMEDOUT | Errno::EINTR => eai::AGAIN,
        _ => eai::NONAME,
    }))
}

/// Builds the list of `struct addrinfo` back to front, and points the caller to it.
async fn write_list(
    caller: &mut Caller<'_, Guest>,
    target: GuestAddr,
    addresses: &[IpAddr],
    port: u16,
    hints: &Hints,
) -> wasmtime::Result<i64> {
    /// Bytes of `struct addrinfo`.
    const ENTRY_BYTES: usize = 32;
    let mut next = 0;
    for address in addresses.iter().take(ADDRESSES_MAX).rev() {
        let socket = SocketAddress::Inet(SocketAddr::new(*address, port)).encode();
        let Some(socket_block) = put(caller, &socket).await? else {
            return Ok(eai::MEMORY);
        };
        let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
        let words = [
            hints.flags,
            u32::from(family),
            hints.kind,
            hints.protocol,
            socket.len() as u32,
            socket_block,
            0,
            next,
        ];
        let entry: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        debug_assert_eq!(entry.len(), ENTRY_BYTES);
        match put(caller, &entry).await? {
            Some(block) => next = block,
            None => return Ok(eai::MEMORY),
        }
    }
    let written = Context::of(caller).memory.write_u32(target, next);
    Ok(written.map_or(eai::NONAME, |()| 0))
}

/// Copies bytes into memory taken from the guest's heap.
async fn put(caller: &mut Caller<'_, Guest>, bytes: &[u8]) -> wasmtime::Result<Option<u32>> {
    let Some(block) = allocate(caller, bytes.len()).await? else {
        return Ok(None);
    };
    let written = Context::of(caller).memory.write(block, bytes);
    written.map_err(|_| wasmtime::Error::new(wasmtime::Trap::MemoryOutOfBounds))?;
    Ok(Some(block.0 as u32))
}

/// Address, its length, host buffer and size, service buffer and size, flags.
fn getnameinfo(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let mut context = Context::of(caller);
    let address = read_address(&context, arguments.address(0), arguments.word(1));
    let Ok(SocketAddress::Inet(address)) = address else {
        return Ok(eai::FAMILY);
    };
    if arguments.word(6) & NI_NAMEREQD != 0 {
        return Ok(eai::NONAME);
    }
    let texts = [address.ip().to_string(), address.port().to_string()];
    for (text, first) in texts.into_iter().zip([2, 4]) {
        let room = arguments.word(first + 1) as usize;
        let Some(target) = arguments.pointer(first).filter(|_| room > 0) else {
            continue;
        };
        if text.len() >= room {
            return Ok(eai::OVERFLOW);
        }
        let mut bytes = text.into_bytes();
        bytes.push(0);
        if context.memory.write(target, &bytes).is_err() {
            return Ok(eai::OVERFLOW);
        }
    }
    Ok(0)
}

/// Returns the first IPv4 address of a name.
async fn first_ipv4(
    caller: &mut Caller<'_, Guest>,
    name: &str,
) -> wasmtime::Result<Option<Ipv4Addr>> {
    let found = resolve(caller, name, &Hints::default()).await?;
    let addresses = found.unwrap_or_default();
    Ok(addresses.into_iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }))
}

/// Name; returns a `struct hostent` or null. As in 3.1.6 nobody frees it.
async fn gethostbyname(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
) -> wasmtime::Result<i64> {
    let Ok(Some(name)) = read_name(caller, arguments.pointer(0), HOST_BYTES_MAX) else {
        return Ok(0);
    };
    let Some(address) = first_ipv4(caller, &name).await? else {
        return Ok(0);
    };
    // Five words, an empty list of aliases, a list of one address, the address, the name.
    const HEAD_BYTES: usize = 5 * 4 + 4 + 2 * 4 + 4;
    let Some(block) = allocate(caller, HEAD_BYTES + name.len() + 1).await? else {
        return Ok(0);
    };
    let base = block.0 as u32;
    let words = [
        base + HEAD_BYTES as u32,
        base + 20,
        u32::from(AF_INET),
        4,
        base + 24,
        0,
        base + 32,
        0,
    ];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(address.octets());
    bytes.extend(name.bytes());
    bytes.push(0);
    let written = Context::of(caller).memory.write(block, &bytes);
    Ok(written.map_or(0, |()| i64::from(base.cast_signed())))
}

/// Name; returns the address as a number in network order, or 0.
async fn lookup_name(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
) -> wasmtime::Result<i64> {
    let Ok(Some(name)) = read_name(caller, arguments.pointer(0), HOST_BYTES_MAX) else {
        return Ok(0);
    };
    let address = first_ipv4(caller, &name).await?;
    Ok(address.map_or(0, |a| i64::from(i32::from_le_bytes(a.octets()))))
}

/// The protocols that programs ask for. Source: IANA, Protocol Numbers.
const PROTOCOLS: [(&str, u32); 5] = [
    ("ip", 0),
    ("icmp", 1),
    ("tcp", IPPROTO_TCP),
    ("udp", IPPROTO_UDP),
    ("ipv6", 41),
];

/// Returns a `struct protoent` or null. As in 3.1.6 nobody frees it.
async fn protocol(
    caller: &mut Caller<'_, Guest>,
    is_wanted: impl FnMut(&&(&str, u32)) -> bool,
) -> wasmtime::Result<i64> {
    let Some((name, number)) = PROTOCOLS.iter().find(is_wanted) else {
        return Ok(0);
    };
    // Three words, an empty list of aliases, the name.
    const HEAD_BYTES: u32 = 16;
    let Some(block) = allocate(caller, HEAD_BYTES as usize + name.len() + 1).await? else {
        return Ok(0);
    };
    let base = block.0 as u32;
    let words = [base + HEAD_BYTES, base + 12, *number, 0];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(name.bytes());
    bytes.push(0);
    let written = Context::of(caller).memory.write(block, &bytes);
    Ok(written.map_or(0, |()| i64::from(base.cast_signed())))
}
