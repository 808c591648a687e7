//! The later forms of WasmEdge's socket calls, where their arguments differ: addresses go into
//! buffers of 128 bytes that tell the family, and a datagram's sender has a port.

use minke_abi::wasi::{Errno, Rights};
use minke_kernel::Fd;
use minke_kernel::net::SocketAddress;
use wasmtime::Caller;

use super::socket::{Message, receive_flags, write_received};
use super::wasmedge::{AddressBuffer, write_sender};
use super::{Answer, Call};
use crate::runtime::Guest;
use crate::runtime::guest::view;

/// Tells a socket's own address.
pub(super) fn sock_getlocaladdr(
    call: &mut Call<'_>,
    fd: u32,
    address: u32,
    port: u32,
) -> Answer<()> {
    let name = call.task().socket_name(Fd(fd))?;
    write_name(call, &name, address, port)
}

/// Tells the address of a socket's peer.
pub(super) fn sock_getpeeraddr(
    call: &mut Call<'_>,
    fd: u32,
    address: u32,
    port: u32,
) -> Answer<()> {
    let name = call.task().peer_name(Fd(fd))?;
    write_name(call, &name, address, port)
}

/// Receives a datagram and its sender. The port is 16 bits wide, as WasmEdge writes it.
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
    port: u32,
    received: u32,
    out_flags: u32,
) -> Answer<()> {
    let message = Message::decode(caller, fd, Rights::FD_READ, iovecs, count)?;
    {
        let (memory, _) = view(caller);
        AddressBuffer::decode(&memory, address)?;
        memory.check(port.into(), 2)?;
    }
    let got = message.receive(caller, receive_flags(flags)?).await?;
    write_sender(caller, &got, address)?;
    if let Some(SocketAddress::Inet(from)) = &got.from {
        let (mut memory, _) = view(caller);
        memory.write(port.into(), &from.port().to_le_bytes())?;
    }
    write_received(caller, &got, received, out_flags)
}

fn write_name(call: &mut Call<'_>, name: &SocketAddress, address: u32, port: u32) -> Answer<()> {
    let buffer = AddressBuffer::decode(&call.memory, address)?;
    if !buffer.is_storage() {
        return Err(Errno::INVAL);
    }
    let number = buffer.write(&mut call.memory, name)?;
    Ok(call.memory.write_u32(port.into(), u32::from(number))?)
}
