//! Messages of several parts: `sendmsg`, `recvmsg`.

use minke_abi::{Errno, Result};
use minke_kernel::calls::sockets::SentControl;
use minke_kernel::net::MessageFlags;
use wasmtime::Caller;

use super::addresses::{read_address, write_sender};
use super::control::{ControlBuffer, read_control, write_control};
use super::sockets::{message_flags, told_length};
use crate::personality::musl::context::{Arguments, Context, task_of};
use crate::runtime::guest::view;
use crate::runtime::vectors::Buffers;
use crate::runtime::{Guest, GuestAddr};

/// `MSG_CMSG_CLOEXEC`.
const CLOSE_ON_EXEC: u32 = 0x4000_0000;

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
    pub(in crate::personality) control: u64,
    pub(in crate::personality) control_bytes: u64,
    pub(in crate::personality) flags: u64,
    /// Bytes of `struct cmsghdr`, of its first field, and what one begins at a multiple of.
    pub(in crate::personality) control_header_bytes: u64,
    pub(in crate::personality) control_length_bytes: usize,
    pub(in crate::personality) control_alignment: u64,
}

impl MessageLayout {
    fn control_buffer(
        self,
        context: &Context<'_>,
        message: GuestAddr,
    ) -> Result<Option<ControlBuffer>> {
        let at = context.memory.read_u32(message.offset(self.control))?;
        let length = context
            .memory
            .read_u32(message.offset(self.control_bytes))?;
        let at = GuestAddr::from(at);
        Ok((at.0 != 0 && length != 0).then_some(ControlBuffer { at, length }))
    }
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
    layout: MessageLayout,
) -> Result<i64> {
    let context = Context::of(caller);
    let message = arguments.address(1);
    let (name, name_bytes, buffers) = read_message(&context, message)?;
    let control = match layout.control_buffer(&context, message)? {
        Some(buffer) => read_control(&context, buffer, layout)?,
        None => SentControl::default(),
    };
    let to = match name {
        Some(name) => Some(read_address(&context, name, name_bytes)?),
        None => None,
    };
    let flags = message_flags(arguments.word(2));
    let sent = task_of(caller)
        .send_message(arguments.fd(0), to.as_ref(), flags, control, |action| {
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
    let (received, control) = task_of(caller)
        .receive_message(arguments.fd(0), flags, |action| {
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
    let buffer = layout.control_buffer(&context, message)?;
    let is_close_on_exec = arguments.word(2) & CLOSE_ON_EXEC != 0;
    let how = (layout, is_close_on_exec);
    let control_bytes = write_control(&mut context, control, buffer, how, &mut told)?;
    let memory = &mut context.memory;
    memory.write_u32(message.offset(layout.control_bytes), control_bytes as u32)?;
    memory.write_u32(message.offset(layout.flags), told.bits())?;
    Ok(told_length(&received, flags))
}
