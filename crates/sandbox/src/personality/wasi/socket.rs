//! Preview 1's own socket calls.

use std::sync::Arc;

use minke_abi::linux::OpenFlags;
use minke_abi::wasi::{Errno, FdFlags, RECEIVED_TRUNCATED, ReceiveFlags, Rights, ShutdownFlags};
use minke_kernel::net::{MessageFlags, Received, Shutdown, SocketAddress};
use minke_kernel::{Fd, Result};
use wasmtime::Caller;

use super::{Answer, Call};
use crate::runtime::Guest;
use crate::runtime::guest::view;
use crate::runtime::vectors::Buffers;

/// Takes a connection; the flags are those of its descriptor.
pub(super) async fn sock_accept(
    caller: &mut Caller<'_, Guest>,
    fd: u32,
    flags: u32,
    result: u32,
) -> Answer<()> {
    match FdFlags::from_bits(flags) {
        Some(flags) if FdFlags::NONBLOCK.contains(flags) => {
            accept(caller, fd, flags.to_linux(), result).await
        }
        _ => Err(Errno::INVAL),
    }
}

/// Receives into several buffers.
pub(super) async fn sock_recv(
    caller: &mut Caller<'_, Guest>,
    fd: u32,
    iovecs: u32,
    count: u32,
    flags: u32,
    received: u32,
    out_flags: u32,
) -> Answer<()> {
    let message = Message::decode(caller, fd, Rights::FD_READ, iovecs, count)?;
    let flags = receive_flags(flags)?;
    let got = message.receive(caller, flags).await?;
    write_received(caller, &got, received, out_flags)
}

/// Sends several buffers as one message.
pub(super) async fn sock_send(
    caller: &mut Caller<'_, Guest>,
    fd: u32,
    iovecs: u32,
    count: u32,
    flags: u32,
    sent: u32,
) -> Answer<()> {
    check_send_flags(flags)?;
    let message = Message::decode(caller, fd, Rights::FD_WRITE, iovecs, count)?;
    message.send(caller, None, sent).await
}

/// Ends one or both directions of a connection.
pub(super) fn sock_shutdown(call: &mut Call<'_>, fd: u32, how: u32) -> Answer<()> {
    call.require(fd, Rights::SOCK_SHUTDOWN)?;
    let flags = ShutdownFlags::from_bits(how).ok_or(Errno::INVAL)?;
    let how = match (
        flags.contains(ShutdownFlags::RD),
        flags.contains(ShutdownFlags::WR),
    ) {
        (true, true) => Shutdown::Both,
        (true, false) => Shutdown::Read,
        (false, true) => Shutdown::Write,
        (false, false) => return Err(Errno::INVAL),
    };
    Ok(call.task().shutdown(Fd(fd), how)?)
}

/// Takes a connection and writes its descriptor.
pub(super) async fn accept(
    caller: &mut Caller<'_, Guest>,
    fd: u32,
    flags: OpenFlags,
    result: u32,
) -> Answer<()> {
    let (memory, guest) = view(caller);
    guest.wasi.require(fd, Rights::SOCK_ACCEPT)?;
    memory.check(result.into(), 4)?;
    let task = Arc::clone(&guest.task);
    let (accepted, _peer) = task.accept(Fd(fd), flags).await?;
    Ok(view(caller).0.write_u32(result.into(), accepted.0)?)
}

/// A message to send or receive: the socket and the buffers.
pub(super) struct Message {
    fd: Fd,
    buffers: Buffers,
}

impl Message {
    /// Reads and checks the buffers.
    pub(super) fn decode(
        caller: &mut Caller<'_, Guest>,
        fd: u32,
        right: Rights,
        iovecs: u32,
        count: u32,
    ) -> Answer<Message> {
        let (memory, guest) = view(caller);
        guest.wasi.require(fd, right)?;
        let buffers = Buffers::decode(&memory, iovecs, count)?;
        let fd = Fd(fd);
        Ok(Message { fd, buffers })
    }

    /// Receives one message, waiting for it.
    pub(super) async fn receive(
        &self,
        caller: &mut Caller<'_, Guest>,
        flags: MessageFlags,
    ) -> Result<Received> {
        let task = Arc::clone(&caller.data().task);
        task.receive_with(self.fd, flags, |receive| {
            let (mut memory, _) = view(caller);
            self.buffers
                .receive(&mut memory, receive, |received| received.count)
        })
        .await
    }

    /// Sends the buffers as one message and writes how many bytes went.
    pub(super) async fn send(
        &self,
        caller: &mut Caller<'_, Guest>,
        to: Option<&SocketAddress>,
        sent: u32,
    ) -> Answer<()> {
        view(caller).0.check(sent.into(), 4)?;
        let task = Arc::clone(&caller.data().task);
        let count = task.send_with(self.fd, to, MessageFlags::NOSIGNAL, |send| {
            let (memory, _) = view(caller);
            self.buffers.send(&memory, 0, send)
        });
        let count = count.await? as u32;
        Ok(view(caller).0.write_u32(sent.into(), count)?)
    }
}

/// Reads the flags of a receive.
pub(super) fn receive_flags(flags: u32) -> Answer<MessageFlags> {
    let flags = ReceiveFlags::from_bits(flags).ok_or(Errno::INVAL)?;
    let mut known = MessageFlags::empty();
    known.set(MessageFlags::PEEK, flags.contains(ReceiveFlags::PEEK));
    known.set(MessageFlags::WAITALL, flags.contains(ReceiveFlags::WAITALL));
    Ok(known)
}

/// Refuses flags of a send: preview 1 has none.
pub(super) fn check_send_flags(flags: u32) -> Answer<()> {
    if flags == 0 {
        Ok(())
    } else {
        Err(Errno::INVAL)
    }
}

/// Writes what a receive gave: the count, and whether a datagram was cut.
pub(super) fn write_received(
    caller: &mut Caller<'_, Guest>,
    got: &Received,
    received: u32,
    out_flags: u32,
) -> Answer<()> {
    let (mut memory, _) = view(caller);
    let is_cut = got.datagram_bytes > got.count;
    let flags = if is_cut { RECEIVED_TRUNCATED } else { 0 };
    memory.write_u32(received.into(), got.count as u32)?;
    Ok(memory.write(out_flags.into(), &flags.to_le_bytes())?)
}
