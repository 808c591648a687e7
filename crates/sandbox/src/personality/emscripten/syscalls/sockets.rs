//! Socket calls. Addresses, options and flags are Linux's, but for the width of `time_t`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use minke_abi::linux::{AF_INET, AF_INET6, AF_UNIX, OpenFlags};
use minke_abi::{Errno, Result};
use minke_kernel::net::{MessageFlags, Received, Shutdown, SocketAddress, UnixAddress};
use wasmtime::Caller;

use crate::personality::emscripten::context::{Arguments, Context, task_of};
use crate::personality::emscripten::syscalls::poll::finish;
use crate::personality::emscripten::table::{Function, Pending, WORDS};
use crate::runtime::guest::view;
use crate::runtime::{Guest, GuestAddr};

/// `SOCK_NONBLOCK` and `SOCK_CLOEXEC`, which are `O_NONBLOCK` and `O_CLOEXEC`.
const KIND_FLAGS: OpenFlags = OpenFlags::NONBLOCK.union(OpenFlags::CLOEXEC);
/// Bytes of `struct sockaddr_storage`: the longest address.
const ADDRESS_BYTES_MAX: usize = 128;
const INET_BYTES: usize = 16;
const INET6_BYTES: usize = 28;
/// `sun_path` of `struct sockaddr_un`.
const UNIX_PATH_BYTES: usize = 108;
/// Longest socket option value that is copied in.
const OPTION_BYTES_MAX: usize = 256;
/// `SOL_SOCKET`, and its options that hold a `struct timeval`.
const SOL_SOCKET: i32 = 1;
const TIMEOUT_OPTIONS: [i32; 4] = [20, 21, 66, 67];
/// Bytes of the kernel's `struct timeval`.
const TIMEVAL_BYTES: usize = 16;
/// Most parts of one message. Linux: `UIO_MAXIOV`.
const PARTS_MAX: u32 = 1024;
/// Most bytes that a message of several parts copies aside; a longer one is sent or filled short.
const GATHERED_BYTES_MAX: usize = 1 << 20;

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
fn message_flags(raw: u32) -> MessageFlags {
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
            memory.with_slice_mut(buffer, length, |bytes| action(bytes))
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
fn told_length(received: &Received, flags: MessageFlags) -> i64 {
    if flags.contains(MessageFlags::TRUNC) {
        received.datagram_bytes as i64
    } else {
        received.count as i64
    }
}

/// A connected stream knows no sender: the length becomes 0.
fn write_sender(
    context: &mut Context<'_>,
    received: &Received,
    address: Option<GuestAddr>,
    length: Option<GuestAddr>,
) -> Result<()> {
    match (&received.from, address, length) {
        (Some(from), _, _) => write_address(context, from, address, length),
        (None, Some(_), Some(length)) => context.memory.write_u32(length, 0),
        _ => Ok(()),
    }
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

fn sendmsg(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
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

fn recvmsg(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
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

/// Reads an address. Linux: net/socket.c move_addr_to_kernel().
pub(in crate::personality::emscripten) fn read_address(
    context: &Context<'_>,
    address: GuestAddr,
    length: u32,
) -> Result<SocketAddress> {
    if length as usize > ADDRESS_BYTES_MAX || length < 2 {
        return Err(Errno::EINVAL);
    }
    let bytes = context
        .memory
        .read_bytes(address, u64::from(length), ADDRESS_BYTES_MAX)?;
    match u16::from_le_bytes([bytes[0], bytes[1]]) {
        AF_INET => decode_inet(&bytes).map(SocketAddress::Inet),
        AF_INET6 => decode_inet6(&bytes).map(SocketAddress::Inet),
        AF_UNIX => decode_unix(&bytes[2..]).map(SocketAddress::Unix),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

fn port_of(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[2], bytes[3]])
}

fn decode_inet(bytes: &[u8]) -> Result<SocketAddr> {
    if bytes.len() < INET_BYTES {
        return Err(Errno::EINVAL);
    }
    let address = Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]);
    Ok(SocketAddr::from((address, port_of(bytes))))
}

fn decode_inet6(bytes: &[u8]) -> Result<SocketAddr> {
    if bytes.len() < INET6_BYTES {
        return Err(Errno::EINVAL);
    }
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let octets: [u8; 16] = bytes[8..24].try_into().map_err(|_| Errno::EINVAL)?;
    let address = SocketAddrV6::new(Ipv6Addr::from(octets), port_of(bytes), word(4), word(24));
    Ok(SocketAddr::V6(address))
}

/// A path ends at its first zero; one that starts with a zero is abstract. Linux: `unix(7)`.
fn decode_unix(path: &[u8]) -> Result<UnixAddress> {
    if path.len() > UNIX_PATH_BYTES {
        return Err(Errno::EINVAL);
    }
    Ok(match path.first() {
        None => UnixAddress::Unnamed,
        Some(0) => UnixAddress::Abstract(path[1..].to_vec()),
        Some(_) => {
            let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
            UnixAddress::Path(path.to_vec())
        }
    })
}

/// Lays an address out as `struct sockaddr_*`.
pub(in crate::personality::emscripten) fn encode_address(address: &SocketAddress) -> Vec<u8> {
    match address {
        SocketAddress::Inet(address) => encode_inet(address),
        SocketAddress::Unix(address) => {
            let mut bytes = AF_UNIX.to_le_bytes().to_vec();
            match address {
                UnixAddress::Unnamed => {}
                UnixAddress::Path(path) => {
                    bytes.extend(path);
                    bytes.push(0);
                }
                UnixAddress::Abstract(name) => {
                    bytes.push(0);
                    bytes.extend(name);
                }
            }
            bytes
        }
    }
}

fn encode_inet(address: &SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(INET6_BYTES);
    let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    bytes.extend(family.to_le_bytes());
    bytes.extend(address.port().to_be_bytes());
    match (address.ip(), address) {
        (IpAddr::V4(ip), _) => {
            bytes.extend(ip.octets());
            bytes.resize(INET_BYTES, 0);
        }
        (IpAddr::V6(ip), SocketAddr::V6(whole)) => {
            bytes.extend(whole.flowinfo().to_le_bytes());
            bytes.extend(ip.octets());
            bytes.extend(whole.scope_id().to_le_bytes());
        }
        (IpAddr::V6(_), SocketAddr::V4(_)) => {}
    }
    bytes
}

/// Writes an address where the guest has room for it, and its whole length. Linux: net/socket.c move_addr_to_user().
fn write_address(
    context: &mut Context<'_>,
    address: &SocketAddress,
    target: Option<GuestAddr>,
    length: Option<GuestAddr>,
) -> Result<()> {
    let Some(target) = target else {
        return Ok(());
    };
    let length = length.ok_or(Errno::EFAULT)?;
    let room = context.memory.read_u32(length)?;
    if room.cast_signed() < 0 {
        return Err(Errno::EINVAL);
    }
    let bytes = encode_address(address);
    let shown = bytes.len().min(room as usize);
    context.memory.write(target, &bytes[..shown])?;
    context.memory.write_u32(length, bytes.len() as u32)
}
