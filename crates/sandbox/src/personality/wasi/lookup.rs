//! WasmEdge's `sock_getaddrinfo`: host names to addresses, into a list that the guest has laid out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use minke_abi::wasi::Errno;
use minke_abi::wasmedge::{
    ADDRINFO_ADDRESS_OFFSET, ADDRINFO_BYTES, ADDRINFO_NAME_LEN_OFFSET, ADDRINFO_NEXT_OFFSET,
    AI_ALL_FLAGS, AI_NUMERICHOST, AI_NUMERICSERV, AI_PASSIVE, AddressHints, SOCKADDR_BYTES,
    family_number, sockaddr_data,
};
use wasmtime::Caller;

use super::Answer;
use crate::runtime::guest::view;
use crate::runtime::{Guest, GuestAddr, MemoryView};

/// Longest host or service name, in bytes. Linux: `NI_MAXHOST`.
const NAME_BYTES_MAX: usize = 1025;

/// Most addresses in one answer.
const ANSWERS_MAX: usize = 64;

/// Ports of the services that are asked for by name. Source: the IANA registry.
const SERVICES: &[(&str, u16)] = &[
    ("domain", 53),
    ("ftp", 21),
    ("http", 80),
    ("https", 443),
    ("mqtt", 1883),
    ("ntp", 123),
    ("smtp", 25),
    ("ssh", 22),
];

/// Looks a host and a service up.
#[expect(
    clippy::too_many_arguments,
    reason = "the call's own arguments, in its order"
)]
pub(super) async fn sock_getaddrinfo(
    caller: &mut Caller<'_, Guest>,
    node: u32,
    node_length: u32,
    service: u32,
    service_length: u32,
    hints: u32,
    answers: u32,
    answers_max: u32,
    answers_count: u32,
) -> Answer<()> {
    let (memory, guest) = view(caller);
    let node = read_name(&memory, node, node_length)?;
    let service = read_name(&memory, service, service_length)?;
    let hints = AddressHints::parse(&memory.read_array(hints.into())?);
    let first = GuestAddr::from(memory.read_u32(answers.into())?);
    memory.check(answers_count.into(), 4)?;
    check_hints(&hints, &node, &service)?;
    let port = port_of(&hints, &service)?;
    let task = Arc::clone(&guest.task);
    let addresses = match literal(&hints, &node) {
        Some(addresses) => addresses,
        None if hints.flags & AI_NUMERICHOST != 0 => return Err(Errno::AINONAME),
        None => task
            .resolve_host(&node)
            .await
            .map_err(|error| match Errno::from(error) {
                Errno::NOENT => Errno::AINONAME,
                other => other,
            })?,
    };
    let wanted = addresses
        .into_iter()
        .filter(|address| hints.family == 0 || family_number(*address) == hints.family)
        .map(|address| SocketAddr::new(address, port))
        .take(ANSWERS_MAX.min(answers_max as usize));
    let (mut memory, _) = view(caller);
    let count = write_answers(&mut memory, &hints, first, wanted)?;
    if count == 0 {
        return Err(Errno::AINONAME);
    }
    Ok(memory.write_u32(answers_count.into(), count)?)
}

/// Reads a name; the crate's ends in a zero, C's do not.
fn read_name(memory: &MemoryView<'_>, address: u32, length: u32) -> Answer<String> {
    let bytes = memory.read_bytes(address.into(), u64::from(length), NAME_BYTES_MAX)?;
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end])
        .map(str::to_owned)
        .map_err(|_| Errno::AINONAME)
}

fn check_hints(hints: &AddressHints, node: &str, service: &str) -> Answer<()> {
    if node.is_empty() && service.is_empty() {
        Err(Errno::AINONAME)
    } else if hints.flags & !AI_ALL_FLAGS != 0 {
        Err(Errno::AIBADFLAG)
    } else if hints.family > 2 {
        Err(Errno::AIFAMILY)
    } else if hints.socket_type > 2 || hints.protocol > 2 {
        Err(Errno::AISOCKTYPE)
    } else {
        Ok(())
    }
}

fn port_of(hints: &AddressHints, service: &str) -> Answer<u16> {
    if service.is_empty() {
        return Ok(0);
    }
    let by_name = || {
        SERVICES
            .iter()
            .filter(|_| hints.flags & AI_NUMERICSERV == 0)
            .find(|(name, _)| *name == service)
            .map(|(_, port)| *port)
    };
    service
        .parse()
        .ok()
        .or_else(by_name)
        .ok_or(Errno::AISERVICE)
}

/// Returns the addresses that need no look-up.
fn literal(hints: &AddressHints, node: &str) -> Option<Vec<IpAddr>> {
    if !node.is_empty() {
        return node.parse().ok().map(|address| vec![address]);
    }
    Some(if hints.flags & AI_PASSIVE != 0 {
        vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
    } else {
        vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
    })
}

/// Fills the guest's linked list; stops where it does.
fn write_answers(
    memory: &mut MemoryView<'_>,
    hints: &AddressHints,
    first: GuestAddr,
    addresses: impl Iterator<Item = SocketAddr>,
) -> Answer<u32> {
    let mut next = first;
    let mut count = 0;
    for address in addresses {
        if next.0 == 0 {
            break;
        }
        memory.check(next, ADDRINFO_BYTES as u64)?;
        memory.write(next, &hints.answer_bytes(address))?;
        memory.write_u32(next.offset(ADDRINFO_NAME_LEN_OFFSET as u64), 0)?;
        let target = memory.read_u32(next.offset(ADDRINFO_ADDRESS_OFFSET as u64))?;
        write_sockaddr(memory, target.into(), address)?;
        next = memory
            .read_u32(next.offset(ADDRINFO_NEXT_OFFSET as u64))?
            .into();
        count += 1;
    }
    Ok(count)
}

/// Fills a `__wasi_sockaddr_t`, whose data must have room for the family's longest.
///
/// The crate announces room for 14 bytes and provides 26, so WasmEdge never looks at what is announced.
fn write_sockaddr(
    memory: &mut MemoryView<'_>,
    target: GuestAddr,
    address: SocketAddr,
) -> Answer<()> {
    memory.check(target, SOCKADDR_BYTES as u64)?;
    let data = sockaddr_data(address);
    let bytes = data.as_slice();
    let pointer = memory.read_u32(target.offset(8))?;
    memory.write(pointer.into(), bytes)?;
    memory.write(target, &[family_number(address.ip())])?;
    Ok(memory.write_u32(target.offset(4), bytes.len() as u32)?)
}
