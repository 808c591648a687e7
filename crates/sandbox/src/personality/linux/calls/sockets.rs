//! Socket calls.

use minke_abi::linux::OpenFlags;
use minke_abi::{Errno, Result};
use minke_kernel::net::{MessageFlags, Received, Shutdown};
use wasmtime::Caller;

use super::addresses::{read_address, write_address, write_sender};
use super::transfers::broken;
use crate::personality::linux::context::{Arguments, Context, task_of};
use crate::personality::linux::table::Syscall;
use crate::runtime::guest::view;
use crate::runtime::vectors::Buffers;
use crate::runtime::{Guest, GuestAddr};

/// `SOCK_NONBLOCK` and `SOCK_CLOEXEC`, which are `O_NONBLOCK` and `O_CLOEXEC`.
const KIND_FLAGS: OpenFlags = OpenFlags::NONBLOCK.union(OpenFlags::CLOEXEC);
/// Longest socket option value that is copied in.
const OPTION_BYTES_MAX: usize = 256;
/// `MSG_NOSIGNAL`.
const NO_SIGNAL: u32 = 0x4000;

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("socket", 41, |c, a| {
        let (kind, flags) = kind_and_flags(a.word(1))?;
        let fd = c.task().socket(domain(a.word(0))?, kind, a.int(2), flags)?;
        Ok(i64::from(fd.0))
    }),
    Syscall::now("socketpair", 53, socketpair),
    Syscall::now("bind", 49, |c, a| {
        let address = read_address(c, a.address(1), a.word(2))?;
        c.task().bind(a.fd(0), &address).map(|()| 0)
    }),
    Syscall::now("listen", 50, |c, a| {
        c.task().listen(a.fd(0), a.word(1)).map(|()| 0)
    }),
    Syscall::waiting("accept", 43, |c, a| {
        Box::pin(accept(c, a, OpenFlags::empty()))
    })
    .restarting(),
    Syscall::waiting("accept4", 288, |c, a| {
        let flags = OpenFlags::from_bits_retain(a.word(3));
        Box::pin(accept(c, a, flags))
    })
    .restarting(),
    Syscall::waiting("connect", 42, |c, a| Box::pin(connect(c, a))).restarting(),
    Syscall::waiting("sendto", 44, |c, a| Box::pin(send(c, a))).restarting(),
    Syscall::waiting("recvfrom", 45, |c, a| Box::pin(receive(c, a))).restarting(),
    Syscall::waiting("sendmsg", 46, |c, a| Box::pin(send_message(c, a)))
        .restarting()
        .partial("control data is not sent"),
    Syscall::waiting("recvmsg", 47, |c, a| Box::pin(receive_message(c, a)))
        .restarting()
        .partial("control data is never received"),
    Syscall::now("getsockname", 51, |c, a| {
        let address = c.task().socket_name(a.fd(0))?;
        write_address(c, &address, a.pointer(1), a.pointer(2)).map(|()| 0)
    }),
    Syscall::now("getpeername", 52, |c, a| {
        let address = c.task().peer_name(a.fd(0))?;
        write_address(c, &address, a.pointer(1), a.pointer(2)).map(|()| 0)
    }),
    Syscall::now("setsockopt", 54, setsockopt),
    Syscall::now("getsockopt", 55, getsockopt),
    Syscall::now("shutdown", 48, |c, a| {
        let how = match a.word(1) {
            0 => Shutdown::Read,
            1 => Shutdown::Write,
            2 => Shutdown::Both,
            _ => return Err(Errno::EINVAL),
        };
        c.task().shutdown(a.fd(0), how).map(|()| 0)
    }),
];

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

fn socketpair(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let (kind, flags) = kind_and_flags(arguments.word(1))?;
    let numbers = arguments.address(3);
    context.memory.check(numbers, 8)?;
    let task = context.task();
    let (first, second) = task.socket_pair(domain(arguments.word(0))?, kind, flags)?;
    context.memory.write_u32(numbers, first.0)?;
    context.memory.write_u32(numbers.offset(4), second.0)?;
    Ok(0)
}

async fn accept(
    caller: &mut Caller<'_, Guest>,
    arguments: Arguments,
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

async fn connect(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let context = Context::of(caller);
    let address = read_address(&context, arguments.address(1), arguments.word(2))?;
    task_of(caller).connect(arguments.fd(0), &address).await?;
    Ok(0)
}

/// The flags of a transfer that mean something here; others are ignored, as Linux does.
fn message_flags(raw: u32) -> MessageFlags {
    MessageFlags::from_bits_truncate(raw)
}

async fn send(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let (buffer, length) = (arguments.address(1), u64::from(arguments.word(2)));
    let context = Context::of(caller);
    context.memory.check(buffer, length)?;
    let to = match arguments.pointer(4) {
        Some(address) => Some(read_address(&context, address, arguments.word(5))?),
        None => None,
    };
    let flags = message_flags(arguments.word(3));
    let task = task_of(caller);
    let sent = task
        .send_with(arguments.fd(0), to.as_ref(), flags, |action| {
            let (memory, _) = view(caller);
            memory.with_slice(buffer, length, |bytes| action(bytes))
        })
        .await;
    if arguments.word(3) & NO_SIGNAL == 0 {
        let _ = sent.as_ref().inspect_err(|errno| broken(&task, **errno));
    }
    Ok(sent? as i64)
}

async fn receive(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
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
fn told_length(received: &Received, flags: MessageFlags) -> i64 {
    if flags.contains(MessageFlags::TRUNC) {
        received.datagram_bytes as i64
    } else {
        received.count as i64
    }
}

/// `struct msghdr`, by its offsets.
mod header {
    pub(super) const NAME: u64 = 0;
    pub(super) const NAME_BYTES: u64 = 4;
    pub(super) const PARTS: u64 = 8;
    pub(super) const PARTS_COUNT: u64 = 12;
    pub(super) const CONTROL_BYTES: u64 = 24;
    pub(super) const FLAGS: u64 = 32;
}

/// Reads where a message's sender or receiver is named, and its parts.
fn read_message(
    context: &Context<'_>,
    message: GuestAddr,
) -> Result<(Option<GuestAddr>, u32, Buffers)> {
    let word = |offset| context.memory.read_u32(message.offset(offset));
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

async fn send_message(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let context = Context::of(caller);
    let (name, name_bytes, buffers) = read_message(&context, arguments.address(1))?;
    let to = match name {
        Some(name) => Some(read_address(&context, name, name_bytes)?),
        None => None,
    };
    let flags = message_flags(arguments.word(2));
    let task = task_of(caller);
    let sent = task
        .send_with(arguments.fd(0), to.as_ref(), flags, |action| {
            buffers.send(&view(caller).0, 0, |bytes| action(bytes))
        })
        .await;
    if arguments.word(2) & NO_SIGNAL == 0 {
        let _ = sent.as_ref().inspect_err(|errno| broken(&task, **errno));
    }
    Ok(sent? as i64)
}

async fn receive_message(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
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
    memory.write_u32(message.offset(header::CONTROL_BYTES), 0)?;
    memory.write_u32(message.offset(header::FLAGS), told.bits())?;
    Ok(told_length(&received, flags))
}

fn setsockopt(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let (level, name) = (arguments.int(1), arguments.int(2));
    let length = u32::try_from(arguments.int(4)).map_err(|_| Errno::EINVAL)?;
    let length = (length as usize).min(OPTION_BYTES_MAX) as u64;
    let value = context
        .memory
        .read_bytes(arguments.address(3), length, OPTION_BYTES_MAX)?;
    context
        .task()
        .set_socket_option(arguments.fd(0), level, name, &value)?;
    Ok(0)
}

fn getsockopt(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let (level, name) = (arguments.int(1), arguments.int(2));
    let length_address = arguments.address(4);
    let length = context.memory.read_u32(length_address)?;
    if length.cast_signed() < 0 {
        return Err(Errno::EINVAL);
    }
    let mut value = context.task().socket_option(arguments.fd(0), level, name)?;
    value.truncate(length as usize);
    context.memory.write(arguments.address(3), &value)?;
    context
        .memory
        .write_u32(length_address, value.len() as u32)?;
    Ok(0)
}
