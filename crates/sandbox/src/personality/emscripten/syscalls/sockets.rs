//! Socket calls. Addresses, options and flags are Linux's, but for the width of `time_t`.

use minke_abi::linux::OpenFlags;
use minke_abi::{Errno, Result};
use minke_kernel::net::{MessageFlags, Received, Shutdown};
use wasmtime::Caller;

use crate::personality::emscripten::context::{Arguments, Context, task_of};
use crate::personality::emscripten::syscalls::addresses::{
    read_address, write_address, write_sender,
};
use crate::personality::emscripten::syscalls::messages::{recvmsg, sendmsg};
use crate::personality::emscripten::syscalls::poll::finish;
use crate::personality::emscripten::table::{Function, Pending, WORDS};
use crate::runtime::Guest;
use crate::runtime::guest::view;

/// `SOCK_NONBLOCK` and `SOCK_CLOEXEC`, which are `O_NONBLOCK` and `O_CLOEXEC`.
const KIND_FLAGS: OpenFlags = OpenFlags::NONBLOCK.union(OpenFlags::CLOEXEC);
/// Longest socket option value that is copied in.
const OPTION_BYTES_MAX: usize = 256;
/// `SOL_SOCKET`, and its options that hold a `struct timeval`.
const SOL_SOCKET: i32 = 1;
const TIMEOUT_OPTIONS: [i32; 4] = [20, 21, 66, 67];
/// Bytes of the kernel's `struct timeval`.
const TIMEVAL_BYTES: usize = 16;

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    Function::syscall("__syscall_socket", WORDS[3], |c, a| {
        let (kind, flags) = kind_and_flags(a.word(1))?;
        let fd = c.task().socket(domain(a.word(0))?, kind, a.int(2), flags)?;
        Ok(i64::from(fd.0))
    }),
    Function::syscall("__syscall_socketpair", WORDS[4], socketpair),
    Function::syscall("__syscall_bind", WORDS[3], |c, a| {
        let address = read_address(c, a.address(1), a.word(2))?;
        c.task().bind(a.fd(0), &address).map(|()| 0)
    }),
    Function::syscall("__syscall_listen", WORDS[2], |c, a| {
        c.task().listen(a.fd(0), a.word(1)).map(|()| 0)
    }),
    Function::waiting("__syscall_accept4", WORDS[4], |mut caller, arguments| {
        Box::new(async move {
            let result = accept(&mut caller, &arguments).await;
            finish(caller.data(), result)
        })
    }),
    Function::waiting("__syscall_connect", WORDS[3], |mut caller, arguments| {
        Box::new(async move {
            let result = connect(&mut caller, &arguments).await;
            finish(caller.data(), result)
        })
    }),
    Function::waiting("__syscall_sendto", WORDS[6], sendto),
    Function::waiting("__syscall_recvfrom", WORDS[6], recvfrom),
    Function::waiting("__syscall_sendmsg", WORDS[3], sendmsg).partial("control data is not sent"),
    Function::waiting("__syscall_recvmsg", WORDS[3], recvmsg)
        .partial("control data is never received"),
    Function::syscall("__syscall_sendmmsg", WORDS[4], |_, _| Err(Errno::ENOSYS))
        .refused("`ENOSYS`: `sendmsg` sends one message"),
    Function::syscall("__syscall_recvmmsg", WORDS[5], |_, _| Err(Errno::ENOSYS))
        .refused("`ENOSYS`: `recvmsg` receives one message"),
    Function::syscall("__syscall_getsockname", WORDS[3], |c, a| {
        let address = c.task().socket_name(a.fd(0))?;
        write_address(c, &address, a.pointer(1), a.pointer(2)).map(|()| 0)
    }),
    Function::syscall("__syscall_getpeername", WORDS[3], |c, a| {
        let address = c.task().peer_name(a.fd(0))?;
        write_address(c, &address, a.pointer(1), a.pointer(2)).map(|()| 0)
    }),
    Function::syscall("__syscall_setsockopt", WORDS[5], setsockopt),
    Function::syscall("__syscall_getsockopt", WORDS[5], getsockopt),
    Function::syscall("__syscall_shutdown", WORDS[2], |c, a| {
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

async fn accept(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> Result<i64> {
    let flags = OpenFlags::from_bits_retain(arguments.word(3));
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

async fn connect(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> Result<i64> {
    let address = read_address(
        &Context::of(caller),
        arguments.address(1),
        arguments.word(2),
    )?;
    task_of(caller).connect(arguments.fd(0), &address).await?;
    Ok(0)
}

/// The flags of a transfer that mean something here; others are ignored, as Linux does.
pub(super) fn message_flags(raw: u32) -> MessageFlags {
    MessageFlags::from_bits_truncate(raw)
}

fn sendto(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let result = send_bytes(&mut caller, &arguments).await;
        finish(caller.data(), result)
    })
}

async fn send_bytes(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> Result<i64> {
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

fn recvfrom(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let result = receive_bytes(&mut caller, &arguments).await;
        finish(caller.data(), result)
    })
}

async fn receive_bytes(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> Result<i64> {
    let (buffer, length) = (arguments.address(1), u64::from(arguments.word(2)));
    Context::of(caller).memory.check(buffer, length)?;
    let flags = message_flags(arguments.word(3));
    let received = task_of(caller)
        .receive_with(arguments.fd(0), flags, |action| {
            let (mut memory, _) = view(caller);
            memory.receive(buffer, length, |bytes| action(bytes), |got| got.count)
        })
        .await?;
    let mut context = Context::of(caller);
    write_sender(
        &mut context,
        &received,
        arguments.pointer(4),
        arguments.pointer(5),
    )?;
    Ok(told_length(&received, flags))
}

/// What a receive returns: with `MSG_TRUNC` the datagram's whole length.
pub(super) fn told_length(received: &Received, flags: MessageFlags) -> i64 {
    if flags.contains(MessageFlags::TRUNC) {
        received.datagram_bytes as i64
    } else {
        received.count as i64
    }
}

fn setsockopt(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let (level, name) = (arguments.int(1), arguments.int(2));
    let length = arguments.word(4);
    if length.cast_signed() < 0 {
        return Err(Errno::EINVAL);
    }
    let length = (length as usize).min(OPTION_BYTES_MAX) as u64;
    let mut value = context
        .memory
        .read_bytes(arguments.address(3), length, OPTION_BYTES_MAX)?;
    if level == SOL_SOCKET && TIMEOUT_OPTIONS.contains(&name) {
        let layout = context.layout();
        if value.len() < layout.timespec_bytes() as usize {
            return Err(Errno::EINVAL);
        }
        let (seconds, microseconds) = layout.decode_timespec(&value);
        value = [seconds.to_le_bytes(), microseconds.to_le_bytes()].concat();
    }
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
    if level == SOL_SOCKET && TIMEOUT_OPTIONS.contains(&name) && value.len() == TIMEVAL_BYTES {
        let half = |at: usize| {
            let bytes = value[at..at + 8].try_into();
            i64::from_le_bytes(bytes.expect("eight bytes were taken"))
        };
        value = context.layout().encode_timespec(half(0), half(8) as u32);
    }
    value.truncate(length as usize);
    context.memory.write(arguments.address(3), &value)?;
    context
        .memory
        .write_u32(length_address, value.len() as u32)?;
    Ok(0)
}
