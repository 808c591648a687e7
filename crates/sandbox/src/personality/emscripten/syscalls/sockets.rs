//! Socket calls. Addresses, options and flags are Linux's, but for the width of `time_t`.

use minke_abi::linux::OpenFlags;
use minke_abi::{Errno, Result};

use crate::personality::emscripten::context::{Arguments, Context};
use crate::personality::emscripten::syscalls::poll::finish;
use crate::personality::emscripten::table::{Function, WORDS};
use crate::personality::musl::messages::{MessageLayout, receive_message, send_message};
use crate::personality::musl::sockets::{
    accept, bind, connect, getpeername, getsockname, listen, option_room, read_option, receive,
    send, shutdown, socket, socketpair, write_option,
};

/// `SOL_SOCKET`, and its options that hold a `struct timeval`.
const SOL_SOCKET: i32 = 1;
const TIMEOUT_OPTIONS: [i32; 4] = [20, 21, 66, 67];
/// Bytes of the kernel's `struct timeval`.
const TIMEVAL_BYTES: usize = 16;

/// `struct msghdr` of 28 bytes.
const MESSAGE: MessageLayout = MessageLayout {
    control: 16,
    control_bytes: 20,
    flags: 24,
    control_header_bytes: 12,
    control_length_bytes: 4,
    control_alignment: 4,
};

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    Function::syscall("__syscall_socket", WORDS[3], socket),
    Function::syscall("__syscall_socketpair", WORDS[4], socketpair),
    Function::syscall("__syscall_bind", WORDS[3], bind),
    Function::syscall("__syscall_listen", WORDS[2], listen),
    Function::waiting("__syscall_accept4", WORDS[4], |mut caller, arguments| {
        Box::new(async move {
            let flags = OpenFlags::from_bits_retain(arguments.word(3));
            let result = accept(&mut caller, &arguments, flags).await;
            finish(caller.data(), result)
        })
    }),
    Function::waiting("__syscall_connect", WORDS[3], |mut caller, arguments| {
        Box::new(async move {
            let result = connect(&mut caller, &arguments).await;
            finish(caller.data(), result)
        })
    }),
    Function::waiting("__syscall_sendto", WORDS[6], |mut caller, arguments| {
        Box::new(async move {
            let result = send(&mut caller, &arguments).await;
            finish(caller.data(), result)
        })
    }),
    Function::waiting("__syscall_recvfrom", WORDS[6], |mut caller, arguments| {
        Box::new(async move {
            let result = receive(&mut caller, &arguments).await;
            finish(caller.data(), result)
        })
    }),
    Function::waiting("__syscall_sendmsg", WORDS[3], |mut caller, arguments| {
        Box::new(async move {
            let result = send_message(&mut caller, &arguments, MESSAGE).await;
            finish(caller.data(), result)
        })
    }),
    Function::waiting("__syscall_recvmsg", WORDS[3], |mut caller, arguments| {
        Box::new(async move {
            let result = receive_message(&mut caller, &arguments, MESSAGE).await;
            finish(caller.data(), result)
        })
    })
    .partial("beside the bytes, `SCM_RIGHTS` and `SCM_CREDENTIALS` only"),
    Function::syscall("__syscall_sendmmsg", WORDS[4], |_, _| Err(Errno::ENOSYS))
        .refused("`ENOSYS`: `sendmsg` sends one message"),
    Function::syscall("__syscall_recvmmsg", WORDS[5], |_, _| Err(Errno::ENOSYS))
        .refused("`ENOSYS`: `recvmsg` receives one message"),
    Function::syscall("__syscall_getsockname", WORDS[3], getsockname),
    Function::syscall("__syscall_getpeername", WORDS[3], getpeername),
    Function::syscall("__syscall_setsockopt", WORDS[5], setsockopt),
    Function::syscall("__syscall_getsockopt", WORDS[5], getsockopt),
    Function::syscall("__syscall_shutdown", WORDS[2], shutdown),
];

fn setsockopt(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let (level, name) = (arguments.int(1), arguments.int(2));
    let mut value = read_option(context, arguments)?;
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
    let room = option_room(context, arguments)?;
    let mut value = context.task().socket_option(arguments.fd(0), level, name)?;
    if level == SOL_SOCKET && TIMEOUT_OPTIONS.contains(&name) && value.len() == TIMEVAL_BYTES {
        let half = |at: usize| {
            let bytes = value[at..at + 8].try_into();
            i64::from_le_bytes(bytes.expect("eight bytes were taken"))
        };
        value = context.layout().encode_timespec(half(0), half(8) as u32);
    }
    write_option(context, arguments, value, room)
}
