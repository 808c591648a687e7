//! WasmEdge's socket calls, in the forms that the published crate `wasmedge_wasi_socket` imports.
//!
//! They sit in preview 1's module, so the type of an import chooses between two forms of a name.

use std::net::SocketAddr;
use std::sync::Arc;

use minke_abi::linux::OpenFlags;
use minke_abi::wasi::{Errno, Rights};
use minke_abi::wasmedge::{
    ADDRESS_BYTES, Address, AddressBytes, SO_ERROR, SO_TYPE, STORAGE_BYTES, SocketKind,
    SocketOption, family_version, parse_address, socket_type_number,
};
use minke_kernel::net::{Received, SocketAddress, UnixAddress};
use minke_kernel::{Errno as LinuxErrno, Fd};
use wasmtime::Caller;

use super::poll::poll_oneoff;
use super::socket::{Message, accept, check_send_flags, receive_flags, write_received};
use super::{Answer, Call};
use crate::runtime::guest::view;
use crate::runtime::{Guest, GuestAddr, MemoryView};

/// Longest value of a socket option, in bytes; a `timeval` has 16.
const OPTION_BYTES_MAX: usize = 64;

/// Makes a socket.
pub(super) fn sock_open(call: &mut Call<'_>, family: u32, kind: u32, result: u32) -> Answer<()> {
    let SocketKind { domain, kind } = SocketKind::from_raw(family, kind).ok_or(Errno::INVAL)?;
    call.memory.check(result.into(), 4)?;
    let fd = call.task().socket(domain, kind, 0, OpenFlags::empty())?;
    Ok(call.memory.write_u32(result.into(), fd.0)?)
}

/// Closes a socket and tells nothing.
pub(super) fn sock_close(mut caller: Caller<'_, Guest>, fd: u32) {
    let guest = caller.data_mut();
    if guest.task.close(Fd(fd)).is_ok() {
        guest.wasi.forget(Fd(fd));
    }
}

/// Gives a socket an address.
pub(super) fn sock_bind(call: &mut Call<'_>, fd: u32, address: u32, port: u32) -> Answer<()> {
    let address = read_address(&call.memory, address, port)?;
    Ok(call.task().bind(Fd(fd), &address)?)
}

/// Makes a socket take connections.
pub(super) fn sock_listen(call: &mut Call<'_>, fd: u32, backlog: u32) -> Answer<()> {
    Ok(call.task().listen(Fd(fd), backlog)?)
}

/// Takes a connection: WasmEdge's form, without flags.
pub(super) async fn sock_accept(
    caller: &mut Caller<'_, Guest>,
    fd: u32,
    result: u32,
) -> Answer<()> {
    accept(caller, fd, OpenFlags::empty(), result).await
}

/// Connects.
pub(super) async fn sock_connect(
    caller: &mut Caller<'_, Guest>,
    fd: u32,
    address: u32,
    port: u32,
) -> Answer<()> {
    let address = read_address(&view(caller).0, address, port)?;
    let task = Arc::clone(&caller.data().task);
    Ok(task.connect(Fd(fd), &address).await?)
}

/// Receives a datagram and the address of its sender, but not the port.
#[expect(
    clippy::too_many_arguments,
    reason = "the call's own arguments, in its order"
)]
pub(super) async fn sock_recv_from(
    caller: &mut Caller<'_, Guest>,
    fd: u32,
    iovecs: u32,
    count: u32,
    address: u32,
    flags: u32,
    received: u32,
    out_flags: u32,
) -> Answer<()> {
    let message = Message::decode(caller, fd, Rights::FD_READ, iovecs, count)?;
    AddressBuffer::decode(&view(caller).0, address)?;
    let got = message.receive(caller, receive_flags(flags)?).await?;
    write_sender(caller, &got, address)?;
    write_received(caller, &got, received, out_flags)
}

/// Sends a datagram to an address.
#[expect(
    clippy::too_many_arguments,
    reason = "the call's own arguments, in its order"
)]
pub(super) async fn sock_send_to(
    caller: &mut Caller<'_, Guest>,
    fd: u32,
    iovecs: u32,
    count: u32,
    address: u32,
    port: u32,
    flags: u32,
    sent: u32,
) -> Answer<()> {
    check_send_flags(flags)?;
    let message = Message::decode(caller, fd, Rights::FD_WRITE, iovecs, count)?;
    let to = read_address(&view(caller).0, address, port)?;
    message.send(caller, Some(&to), sent).await
}

/// Tells a socket's own address; the family as 4 or 6.
pub(super) fn sock_getlocaladdr(
    call: &mut Call<'_>,
    fd: u32,
    address: u32,
    family: u32,
    port: u32,
) -> Answer<()> {
    let name = call.task().socket_name(Fd(fd))?;
    write_name(call, &name, address, family, port)
}

/// Tells the address of a socket's peer; the family as 4 or 6.
pub(super) fn sock_getpeeraddr(
    call: &mut Call<'_>,
    fd: u32,
    address: u32,
    family: u32,
    port: u32,
) -> Answer<()> {
    let name = call.task().peer_name(Fd(fd))?;
    write_name(call, &name, address, family, port)
}

/// Tells a socket option's value; the guest's length is cut to it.
pub(super) fn sock_getsockopt(
    call: &mut Call<'_>,
    fd: u32,
    level: u32,
    name: u32,
    value: u32,
    length: u32,
) -> Answer<()> {
    let option = SocketOption::from_raw(level, name).ok_or(Errno::NOPROTOOPT)?;
    let room = call.memory.read_u32(length.into())? as usize;
    let mut bytes = call
        .task()
        .socket_option(Fd(fd), option.level, option.name)?;
    if let Ok(number) = <[u8; 4]>::try_from(bytes.as_slice()) {
        let number = translate_option(option.name, u32::from_le_bytes(number));
        bytes = number.to_le_bytes().to_vec();
    }
    bytes.truncate(room);
    call.memory.write(value.into(), &bytes)?;
    Ok(call.memory.write_u32(length.into(), bytes.len() as u32)?)
}

/// Sets a socket option.
pub(super) fn sock_setsockopt(
    call: &mut Call<'_>,
    fd: u32,
    level: u32,
    name: u32,
    value: u32,
    length: u32,
) -> Answer<()> {
    let option = SocketOption::from_raw(level, name).ok_or(Errno::NOPROTOOPT)?;
    let bytes = call
        .memory
        .read_bytes(value.into(), u64::from(length), OPTION_BYTES_MAX)
        .map_err(|error| match error {
            LinuxErrno::ENAMETOOLONG => Errno::INVAL,
            other => other.into(),
        })?;
    let task = call.task();
    Ok(task.set_socket_option(Fd(fd), option.level, option.name, &bytes)?)
}

/// Polls; edges are not told from levels.
pub(super) async fn epoll_oneoff(
    caller: &mut Caller<'_, Guest>,
    subscriptions: u32,
    events: u32,
    count: u32,
    result: u32,
) -> Answer<()> {
    poll_oneoff(caller, subscriptions, events, count, result).await
}

/// The guest's buffer for an address. WasmEdge: `__wasi_address_t`.
pub(super) struct AddressBuffer {
    address: GuestAddr,
    length: u32,
}

impl AddressBuffer {
    /// Reads the pointer and length, and checks that the buffer is there and of a length that means something.
    pub(super) fn decode(memory: &MemoryView<'_>, pointer: u32) -> Answer<AddressBuffer> {
        let bytes: [u8; ADDRESS_BYTES] = memory.read_array(pointer.into())?;
        let [a, b, c, d, e, f, g, h] = bytes;
        let address = GuestAddr::from(u32::from_le_bytes([a, b, c, d]));
        let length = u32::from_le_bytes([e, f, g, h]);
        memory.check(address, u64::from(length))?;
        match length as usize {
            4 | 16 | STORAGE_BYTES => Ok(AddressBuffer { address, length }),
            _ => Err(Errno::INVAL),
        }
    }

    /// Whether the buffer has room for the family too.
    pub(super) fn is_storage(&self) -> bool {
        self.length as usize == STORAGE_BYTES
    }

    /// Writes an address in the form that the buffer's length means, and returns its port.
    pub(super) fn write(&self, memory: &mut MemoryView<'_>, name: &SocketAddress) -> Answer<u16> {
        let (address, port) = match name {
            SocketAddress::Inet(address) => (Address::Internet(address.ip()), address.port()),
            SocketAddress::Unix(UnixAddress::Path(path)) => (Address::Unix(path), 0),
            SocketAddress::Unix(UnixAddress::Unnamed) => (Address::Unix(b""), 0),
            SocketAddress::Unix(UnixAddress::Abstract(_)) => return Err(Errno::AFNOSUPPORT),
        };
        let encoded = AddressBytes::new(address, self.length as usize).ok_or(Errno::INVAL)?;
        memory.write(self.address, encoded.as_slice())?;
        Ok(port)
    }
}

/// Writes the address of a message's sender; on a connection there is none.
pub(super) fn write_sender(
    caller: &mut Caller<'_, Guest>,
    got: &Received,
    address: u32,
) -> Answer<()> {
    let Some(from) = &got.from else {
        return Ok(());
    };
    let (mut memory, _) = view(caller);
    let buffer = AddressBuffer::decode(&memory, address)?;
    buffer.write(&mut memory, from).map(drop)
}

fn read_address(memory: &MemoryView<'_>, pointer: u32, port: u32) -> Answer<SocketAddress> {
    let buffer = AddressBuffer::decode(memory, pointer)?;
    let length = u64::from(buffer.length);
    let bytes = memory.read_bytes(buffer.address, length, STORAGE_BYTES)?;
    match parse_address(&bytes).ok_or(Errno::AFNOSUPPORT)? {
        Address::Internet(address) => {
            let port = u16::try_from(port).map_err(|_| Errno::INVAL)?;
            Ok(SocketAddress::Inet(SocketAddr::new(address, port)))
        }
        Address::Unix(path) => Ok(SocketAddress::Unix(UnixAddress::Path(path.to_vec()))),
    }
}

fn write_name(
    call: &mut Call<'_>,
    name: &SocketAddress,
    address: u32,
    family: u32,
    port: u32,
) -> Answer<()> {
    let SocketAddress::Inet(internet) = name else {
        return Err(Errno::AFNOSUPPORT);
    };
    let memory = &mut call.memory;
    let buffer = AddressBuffer::decode(memory, address)?;
    let number = buffer.write(memory, name)?;
    memory.write_u32(family.into(), family_version(internet.ip()))?;
    Ok(memory.write_u32(port.into(), u32::from(number))?)
}

/// Translates an option's value from Linux's numbers.
fn translate_option(name: i32, value: u32) -> u32 {
    match name {
        SO_ERROR if value != 0 => {
            let error = LinuxErrno::from_raw(value.cast_signed());
            u32::from(Errno::from(error).raw())
        }
        SO_TYPE => socket_type_number(value),
        _ => value,
    }
}
