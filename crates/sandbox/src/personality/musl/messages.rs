//! Messages of several parts: `sendmsg`, `recvmsg`.

use minke_abi::{Errno, Result};
use minke_kernel::net::MessageFlags;
use wasmtime::Caller;

use super::addresses::{read_address, write_sender};
use super::sockets::{message_flags, told_length};
use crate::personality::musl::context::{Arguments, Context, task_of};
use crate::runtime::guest::view;
use crate::runtime::vectors::Buffers;
use crate::runtime::{Guest, GuestAddr};

/// Most parts of one message. Linux: `UIO_MAXIOV`.
const PARTS_MAX: u32 = 1024;

/// The fields of `struct msghdr` that lie in the same place everywhere, by their offsets.
mod header {
    pub(super) const NAME: u64 = 0;
    pub(super) const NAME_BYTES: u64 = 4;
    pub(super) const PARTS: u64 = 8;
    pub(super) const PARTS_COUNT: u64 = 12;
}

/// The other fields, whose places differ.
#[derive(Clone, Copy, Debug)]
pub(in crate::personality) struct MessageLayout {
    pub(in crate::personality) control_bytes: u64,
    pub(in crate::personality) flags: u64,
}

/// Reads where a message's sender or receiver is named, and its parts.
fn read_message(
    context: &Context<'_>,
    message: GuestAddr,
) -> Result<(Option<GuestAddr>, u32, Buffers)> {
    let word = |offset| context.memory.read_u32(message.offset(offset));
    if word(header::PARTS_COUNT)? > PARTS_MAX {
        return Err(Errno::EMSGSIZE);
    }
    let name = Some(word(header::NAME)?).filter(|name| *name != 0);
    let buffers = Buffers::decode(
        &context.memory,
        word(header::PARTS)?,
        word(header::PARTS_COUNT)?,
    )?;
    Ok((
        name.map(GuestAddr::from),
        word(header::NAME_BYTES)?,
        buffers,
    ))
}

pub(in crate::personality) async fn send_message(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
) -> Result<i64> {
    let context = Context::of(caller);
    let (name, name_bytes, buffers) = read_message(&context, arguments.address(1))?;
    let to = match name {
        Some(name) => Some(read_address(&context, name, name_bytes)?),
        None => None,
    };
    let flags = message_flags(arguments.word(2));
    let sent = task_of(caller)
        .send_with(arguments.fd(0), to.as_ref(), flags, |action| {
            buffers.send(&view(caller).0, 0, |bytes| action(bytes))
        })
        .await?;
    Ok(sent as i64)
}

pub(in crate::personality) async fn receive_message(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
    layout: MessageLayout,
) -> Result<i64> {
    let message = arguments.address(1);
    let (name, _, buffers) = read_message(&Context::of(caller), message)?;
    let flags = message_flags(arguments.word(2));
    let received = task_of(caller)
        .receive_with(arguments.fd(0), flags, |action| {
            let (mut memory, _) = view(caller);
            buffers.receive(&mut memory, |bytes| action(bytes), |got| got.count)
        })
        .await?;
    let mut context = Context::of(caller);
    let name_bytes = name.map(|_| message.offset(header::NAME_BYTES));
    write_sender(&mut context, &received, name, name_bytes)?;
    let mut told = MessageFlags::empty();
    told.set(
        MessageFlags::TRUNC,
        received.datagram_bytes > received.count,
    );
    let memory = &mut context.memory;
    memory.write_u32(message.offset(layout.control_bytes), 0)?;
    memory.write_u32(message.offset(layout.flags), told.bits())?;
    Ok(told_length(&received, flags))
}
