//! Sockets: making them, their names, transfers of one buffer.

use minke_abi::linux::OpenFlags;
use minke_abi::{Errno, Result};
use minke_kernel::net::{MessageFlags, Received, Shutdown};
use wasmtime::Caller;

use super::addresses::{read_address, write_address, write_sender};
use crate::personality::musl::context::{Arguments, Context, task_of};
use crate::runtime::Guest;
use crate::runtime::guest::view;

/// `SOCK_NONBLOCK` and `SOCK_CLOEXEC`, which are `O_NONBLOCK` and `O_CLOEXEC`.
const KIND_FLAGS: OpenFlags = OpenFlags::NONBLOCK.union(OpenFlags::CLOEXEC);
/// Longest socket option value that is copied in.
const OPTION_BYTES_MAX: usize = 256;

pub(in crate::personality) fn socket(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let domain = domain(arguments.word(0))?;
    let (kind, flags) = kind_and_flags(arguments.word(1))?;
    let task = context.task();
    let fd = task.socket(domain, kind, arguments.int(2), flags)?;
    Ok(i64::from(fd.0))
}

/// Splits `type` into the kind of socket and the flags of its descriptor.
fn kind_and_flags(raw: u32) -> Result<(u32, OpenFlags)> {
    const KIND_MASK: u32 = 0xf;
    let flags = OpenFlags::from_bits_retain(raw & !KIND_MASK);
    if !KIND_FLAGS.contains(flags) {
        return Err(Errno::EINVAL);
    }
    Ok((raw & KIND_MASK, flags))
}

fn domain(raw: u32) -> Result<u16> {
    u16::try_from(raw).map_err(|_| Errno::EAFNOSUPPORT)
}

pub(in crate::personality) fn socketpair(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let (kind, flags) = kind_and_flags(arguments.word(1))?;
    let numbers = arguments.address(3);
    context.memory.check(numbers, 8)?;
    let task = context.task();
    let (first, second) = task.socket_pair(domain(arguments.word(0))?, kind, flags)?;
    context.memory.write_u32(numbers, first.0)?;
    context.memory.write_u32(numbers.offset(4), second.0)?;
    Ok(0)
}

pub(in crate::personality) fn bind(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let address = read_address(context, arguments.address(1), arguments.word(2))?;
    context.task().bind(arguments.fd(0), &address).map(|()| 0)
}

pub(in crate::personality) fn listen(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let (fd, backlog) = (arguments.fd(0), arguments.word(1));
    context.task().listen(fd, backlog).map(|()| 0)
}

pub(in crate::personality) fn getsockname(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let address = context.task().socket_name(arguments.fd(0))?;
    let (target, length) = (arguments.pointer(1), arguments.pointer(2));
    write_address(context, &address, target, length).map(|()| 0)
}

pub(in crate::personality) fn getpeername(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let address = context.task().peer_name(arguments.fd(0))?;
    let (target, length) = (arguments.pointer(1), arguments.pointer(2));
    write_address(context, &address, target, length).map(|()| 0)
}

pub(in crate::personality) fn shutdown(
    context: &mut Context<'_>,
    arguments: &Arguments,
) -> Result<i64> {
    let how = match arguments.word(1) {
        0 => Shutdown::Read,
        1 => Shutdown::Write,
        2 => Shutdown::Both,
        _ => return Err(Errno::EINVAL),
    };
    context.task().shutdown(arguments.fd(0), how).map(|()| 0)
}

pub(in crate::personality) async fn accept(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
    flags: OpenFlags,
) -> Result<i64> {
    if !KIND_FLAGS.contains(flags) {
        return Err(Errno::EINVAL);
    }
    let task = task_of(caller);
    let (fd, peer) = task.accept(arguments.fd(0), flags).await?;
    let (address, length) = (arguments.pointer(1), arguments.pointer(2));
    if let Err(errno) = write_address(&mut Context::of(caller), &peer, address, length) {
        // The guest would never learn the number.
        let _ = task.close(fd);
        return Err(errno);
    }
    Ok(i64::from(fd.0))
}

pub(in crate::personality) async fn connect(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
) -> Result<i64> {
    let context = Context::of(caller);
    let address = read_address(&context, arguments.address(1), arguments.word(2))?;
    task_of(caller).connect(arguments.fd(0), &address).await?;
    Ok(0)
}

/// The flags of a transfer that mean something here; others are ignored, as Linux does.
pub(in crate::personality) fn message_flags(raw: u32) -> MessageFlags {
    MessageFlags::from_bits_truncate(raw)
}

pub(in crate::personality) async fn send(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
) -> Result<i64> {
    let (buffer, length) = (arguments.address(1), u64::from(arguments.word(2)));
    let context = Context::of(caller);
    context.memory.check(buffer, length)?;
    let to = match arguments.pointer(4) {
        Some(address) => Some(read_address(&context, address, arguments.word(5))?),
        None => None,
    };
    let flags = message_flags(arguments.word(3));
    let sent = task_of(caller)
        .send_with(arguments.fd(0), to.as_ref(), flags, |action| {
            let (memory, _) = view(caller);
            memory.with_slice(buffer, length, |bytes| action(bytes))
        })
        .await?;
    Ok(sent as i64)
}

pub(in crate::personality) async fn receive(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
) -> Result<i64> {
    let (buffer, length) = (arguments.address(1), u64::from(arguments.word(2)));
    Context::of(caller).memory.check(buffer, length)?;
    let flags = message_flags(arguments.word(3));
    let received = task_of(caller)
        .receive_with(arguments.fd(0), flags, |action| {
            let (mut memory, _) = view(caller);
            memory.receive(buffer, length, |bytes| action(bytes), |got| got.count)
        })
        .await?;
    let (address, length) = (arguments.pointer(4), arguments.pointer(5));
    write_sender(&mut Context::of(caller), &received, address, length)?;
    Ok(told_length(&received, flags))
}

/// What a receive returns: with `MSG_TRUNC` the datagram's whole length.
pub(in crate::personality) fn told_length(received: &Received, flags: MessageFlags) -> i64 {
    if flags.contains(MessageFlags::TRUNC) {
        received.datagram_bytes as i64
    } else {
        received.count as i64
    }
}

/// Reads the value that `setsockopt` is given.
pub(in crate::personality) fn read_option(
    context: &Context<'_>,
    arguments: &Arguments,
) -> Result<Vec<u8>> {
    let length = u32::try_from(arguments.int(4)).map_err(|_| Errno::EINVAL)?;
    let length = (length as usize).min(OPTION_BYTES_MAX) as u64;
    let memory = &context.memory;
    memory.read_bytes(arguments.address(3), length, OPTION_BYTES_MAX)
}

/// Reads the room that `getsockopt` is given.
pub(in crate::personality) fn option_room(
    context: &Context<'_>,
    arguments: &Arguments,
) -> Result<usize> {
    let length = context.memory.read_u32(arguments.address(4))?;
    let length = u32::try_from(length.cast_signed()).map_err(|_| Errno::EINVAL)?;
    Ok(length as usize)
}

/// Writes a value of `getsockopt` as far as there is room, and its length.
pub(in crate::personality) fn write_option(
    context: &mut Context<'_>,
    arguments: &Arguments,
    mut value: Vec<u8>,
    room: usize,
) -> Result<i64> {
    value.truncate(room);
    context.memory.write(arguments.address(3), &value)?;
    let length = value.len() as u32;
    context.memory.write_u32(arguments.address(4), length)?;
    Ok(0)
}
