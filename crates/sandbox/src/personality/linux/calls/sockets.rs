//! Socket calls.

use minke_abi::Result;
use minke_abi::linux::OpenFlags;
use wasmtime::Caller;

use super::transfers::broken;
use crate::personality::linux::context::{Arguments, Context, task_of};
use crate::personality::linux::table::Syscall;
use crate::personality::musl::messages::{MessageLayout, receive_message, send_message};
use crate::personality::musl::sockets::{
    accept, bind, connect, getpeername, getsockname, listen, option_room, read_option, receive,
    send, shutdown, socket, socketpair, write_option,
};
use crate::runtime::Guest;

/// `MSG_NOSIGNAL`.
const NO_SIGNAL: u32 = 0x4000;

/// `struct msghdr` of 36 bytes.
const MESSAGE: MessageLayout = MessageLayout {
    control: 20,
    control_bytes: 24,
    flags: 32,
    control_header_bytes: 16,
    control_length_bytes: 8,
    control_alignment: 8,
};

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::now("socket", 41, socket),
    Syscall::now("socketpair", 53, socketpair),
    Syscall::now("bind", 49, bind),
    Syscall::now("listen", 50, listen),
    Syscall::waiting("accept", 43, |c, a| {
        Box::pin(async move { accept(c, &a, OpenFlags::empty()).await })
    })
    .restarting(),
    Syscall::waiting("accept4", 288, |c, a| {
        let flags = OpenFlags::from_bits_retain(a.word(3));
        Box::pin(async move { accept(c, &a, flags).await })
    })
    .restarting(),
    Syscall::waiting("connect", 42, |c, a| {
        Box::pin(async move { connect(c, &a).await })
    })
    .restarting(),
    Syscall::waiting("sendto", 44, |c, a| {
        Box::pin(async move {
            let sent = send(c, &a).await;
            told(c, a.word(3), sent)
        })
    })
    .restarting(),
    Syscall::waiting("recvfrom", 45, |c, a| {
        Box::pin(async move { receive(c, &a).await })
    })
    .restarting(),
    Syscall::waiting("sendmsg", 46, |c, a| {
        Box::pin(async move {
            let sent = send_message(c, &a, MESSAGE).await;
            told(c, a.word(2), sent)
        })
    })
    .restarting(),
    Syscall::waiting("recvmsg", 47, |c, a| {
        Box::pin(async move { receive_message(c, &a, MESSAGE).await })
    })
    .restarting()
    .partial("beside the bytes, `SCM_RIGHTS` and `SCM_CREDENTIALS` only"),
    Syscall::now("getsockname", 51, getsockname),
    Syscall::now("getpeername", 52, getpeername),
    Syscall::now("setsockopt", 54, setsockopt),
    Syscall::now("getsockopt", 55, getsockopt),
    Syscall::now("shutdown", 48, shutdown),
];

/// Who sends where nobody reads gets `SIGPIPE`, unless the flags forbid it. POSIX: `send()`.
fn told(caller: &Caller<'_, Guest>, flags: u32, sent: Result<i64>) -> Result<i64> {
    if flags & NO_SIGNAL == 0 {
        sent.inspect_err(|errno| broken(&task_of(caller), *errno))
    } else {
        sent
    }
}

fn setsockopt(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let (fd, level, name) = (arguments.fd(0), arguments.int(1), arguments.int(2));
    let value = read_option(context, arguments)?;
    let task = context.task();
    task.set_socket_option(fd, level, name, &value).map(|()| 0)
}

fn getsockopt(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    let room = option_room(context, arguments)?;
    let (fd, level, name) = (arguments.fd(0), arguments.int(1), arguments.int(2));
    let value = context.task().socket_option(fd, level, name)?;
    write_option(context, arguments, value, room)
}
