//! Messages of several parts: `sendmsg`, `recvmsg`.

use minke_abi::{Errno, Result};
use minke_kernel::net::MessageFlags;
use wasmtime::Caller;

use crate::personality::emscripten::context::{Arguments, Context, task_of};
use crate::personality::emscripten::syscalls::addresses::{read_address, write_sender};
use crate::personality::emscripten::syscalls::poll::finish;
use crate::personality::emscripten::syscalls::sockets::{message_flags, told_length};
use crate::personality::emscripten::table::Pending;
use crate::runtime::{Guest, GuestAddr};

/// Most parts of one message. Linux: `UIO_MAXIOV`.
const PARTS_MAX: u32 = 1024;
/// Most bytes that a message of several parts copies aside; a longer one is sent or filled short.
const GATHERED_BYTES_MAX: usize = 1 << 20;

pub(super) fn sendmsg(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let result = send_message(&mut caller, &arguments).await;
        finish(caller.data(), result)
    })
}

async fn send_message(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> Result<i64> {
    let context = Context::of(caller);
    let message = Message::read(&context, arguments.address(1))?;
    let to = match message.name {
        Some(name) => Some(read_address(&context, name, message.name_bytes)?),
        None => None,
    };
    let bytes = message.gather(&context)?;
    let flags = message_flags(arguments.word(2));
    let sent = task_of(caller)
        .send_with(arguments.fd(0), to.as_ref(), flags, |action| action(&bytes))
        .await?;
    Ok(sent as i64)
}

pub(super) fn recvmsg(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let result = receive_message(&mut caller, &arguments).await;
        finish(caller.data(), result)
    })
}

async fn receive_message(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> Result<i64> {
    let header = arguments.address(1);
    let message = Message::read(&Context::of(caller), header)?;
    let flags = message_flags(arguments.word(2));
    let mut bytes = vec![0; message.length()];
    let received = task_of(caller)
        .receive_with(arguments.fd(0), flags, |action| action(&mut bytes))
        .await?;
    let mut context = Context::of(caller);
    message.scatter(&mut context, &bytes[..received.count])?;
    let name_bytes = message.name.map(|_| header.offset(Message::NAME_BYTES));
    write_sender(&mut context, &received, message.name, name_bytes)?;
    let was_cut = received.datagram_bytes > received.count;
    let told = if was_cut {
        MessageFlags::TRUNC
    } else {
        MessageFlags::empty()
    };
    let memory = &mut context.memory;
    memory.write_u32(header.offset(Message::CONTROL_BYTES), 0)?;
    memory.write_u32(header.offset(Message::FLAGS), told.bits())?;
    Ok(told_length(&received, flags))
}

/// `struct msghdr`.
struct Message {
    name: Option<GuestAddr>,
    name_bytes: u32,
    parts: Vec<(GuestAddr, u32)>,
}

impl Message {
    const CONTROL_BYTES: u64 = 20;
    const FLAGS: u64 = 24;
    const NAME_BYTES: u64 = 4;

    /// Reads the header and its vector, and checks the parts.
    fn read(context: &Context<'_>, header: GuestAddr) -> Result<Message> {
        let word = |offset| context.memory.read_u32(header.offset(offset));
        let (vector, count) = (GuestAddr::from(word(8)?), word(12)?);
        if count > PARTS_MAX {
            return Err(Errno::EMSGSIZE);
        }
        let mut parts = Vec::with_capacity(count as usize);
        for index in 0..u64::from(count) {
            let part = vector.offset(index * 8);
            let address = GuestAddr::from(context.memory.read_u32(part)?);
            let length = context.memory.read_u32(part.offset(4))?;
            context.memory.check(address, u64::from(length))?;
            parts.push((address, length));
        }
        let name = word(0)?;
        Ok(Message {
            name: (name != 0).then(|| GuestAddr::from(name)),
            name_bytes: word(Message::NAME_BYTES)?,
            parts,
        })
    }

    /// Bytes of all parts together, as far as they are copied.
    fn length(&self) -> usize {
        let total: u64 = self
            .parts
            .iter()
            .map(|(_, length)| u64::from(*length))
            .sum();
        total.min(GATHERED_BYTES_MAX as u64) as usize
    }

    fn gather(&self, context: &Context<'_>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.length()];
        let mut rest = bytes.as_mut_slice();
        for (address, length) in &self.parts {
            let taken = rest.len().min(*length as usize);
            let (part, after) = std::mem::take(&mut rest).split_at_mut(taken);
            context.memory.read_into(*address, part)?;
            rest = after;
        }
        Ok(bytes)
    }

    fn scatter(&self, context: &mut Context<'_>, mut bytes: &[u8]) -> Result<()> {
        for (address, length) in &self.parts {
            let (part, rest) = bytes.split_at(bytes.len().min(*length as usize));
            context.memory.write(*address, part)?;
            bytes = rest;
        }
        Ok(())
    }
}
