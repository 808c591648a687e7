//! Reading and writing.

use std::sync::Arc;

use minke_abi::linux::{PollEvents, Signal};
use minke_abi::resource::{FSIZE, UNLIMITED};
use minke_abi::{Errno, Result};
use minke_kernel::calls::transfers::{SpliceFlags, TransferEnd};
use minke_kernel::signal::code;
use minke_kernel::{FileDescription, Task};
use wasmtime::Caller;

use crate::personality::linux::context::{Arguments, Context, task_of};
use crate::personality::linux::table::Syscall;
use crate::runtime::guest::view;
use crate::runtime::vectors::Buffers;
use crate::runtime::{Guest, GuestAddr, MemoryView};

pub(in crate::personality::linux) static CALLS: &[Syscall] = &[
    Syscall::waiting("read", 0, |c, a| Box::pin(read(c, a, Shape::Buffer))).restarting(),
    Syscall::waiting("readv", 19, |c, a| Box::pin(read(c, a, Shape::Vector))).restarting(),
    Syscall::waiting("write", 1, |c, a| Box::pin(write(c, a, Shape::Buffer))).restarting(),
    Syscall::waiting("writev", 20, |c, a| Box::pin(write(c, a, Shape::Vector))).restarting(),
    Syscall::now("pread64", 17, |c, a| read_at(c, a, Shape::Buffer)),
    Syscall::now("preadv", 295, |c, a| read_at(c, a, Shape::Vector)),
    Syscall::now("pwrite64", 18, |c, a| write_at(c, a, Shape::Buffer)).attentive(),
    Syscall::now("pwritev", 296, |c, a| write_at(c, a, Shape::Vector)).attentive(),
    Syscall::waiting("sendfile", 40, |c, a| Box::pin(send_file(c, a))).restarting(),
    Syscall::now("copy_file_range", 326, copy_file_range).attentive(),
    Syscall::waiting("splice", 275, |c, a| Box::pin(splice(c, a))).restarting(),
    Syscall::waiting("tee", 276, |c, a| Box::pin(tee(c, a))).restarting(),
];

/// What the second and third argument are.
#[derive(Clone, Copy)]
enum Shape {
    /// Address and length.
    Buffer,
    /// Address and count of `struct iovec`.
    Vector,
}

fn buffers(context: &Context<'_>, arguments: &Arguments, shape: Shape) -> Result<Buffers> {
    match shape {
        Shape::Buffer => {
            let length = u64::from(arguments.word(2));
            Buffers::one(&context.memory, arguments.address(1), length)
        }
        Shape::Vector => Buffers::decode(&context.memory, arguments.word(1), arguments.word(2)),
    }
}

/// A descriptor is looked at before the buffers are. Linux: fs/read_write.c `ksys_read()`.
fn transfer(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
    shape: Shape,
) -> Result<(Arc<Task>, Arc<FileDescription>, Buffers)> {
    let task = task_of(caller);
    let description = task.process.fds.get(arguments.fd(0))?;
    let buffers = buffers(&Context::of(caller), arguments, shape)?;
    Ok((task, description, buffers))
}

async fn read(caller: &mut Caller<'_, Guest>, arguments: Arguments, shape: Shape) -> Result<i64> {
    let (task, description, buffers) = transfer(caller, &arguments, shape)?;
    let wanted = usize::try_from(buffers.total()).unwrap_or(usize::MAX);
    let count = task
        .block_on_read(&description, wanted, || {
            read_once(&description, &buffers, &mut view(caller).0)
        })
        .await?;
    Ok(count as i64)
}

fn read_once(
    description: &FileDescription,
    buffers: &Buffers,
    memory: &mut MemoryView<'_>,
) -> Result<u64> {
    if description.file.is_seekable() {
        return buffers.fill(memory, |bytes, _| description.read(bytes));
    }
    let read = buffers.receive(memory, |bytes| description.read(bytes), |count| *count);
    read.map(|count| count as u64)
}

/// A blocking stream takes all, unless a handler is called meanwhile; who writes where nobody reads gets `SIGPIPE`.
async fn write(caller: &mut Caller<'_, Guest>, arguments: Arguments, shape: Shape) -> Result<i64> {
    let (task, description, buffers) = transfer(caller, &arguments, shape)?;
    let mut done = 0;
    loop {
        let written = task
            .block_on(&description, PollEvents::OUT, || {
                let write = |bytes: &[u8]| description.write(bytes);
                buffers.send(&view(caller).0, done, write)
            })
            .await;
        match written {
            Ok(count) => done += count as u64,
            Err(errno) => {
                if done == 0 || errno != Errno::EFBIG {
                    broken(&task, errno);
                }
                return if done > 0 {
                    Ok(done as i64)
                } else {
                    Err(errno)
                };
            }
        }
        let goes_on = description.file.is_seekable() || !description.is_nonblocking();
        if written == Ok(0) || done >= buffers.total() || !goes_on {
            return Ok(done as i64);
        }
    }
}

/// Sends `SIGPIPE` to who writes where nobody reads, and `SIGXFSZ` to who goes beyond its limit of a file's size. POSIX: `write()`.
pub(super) fn broken(task: &Task, errno: Errno) {
    match errno {
        Errno::EPIPE => {
            let info = task.own_info(Signal::PIPE, code::USER);
            task.process.kill_with(info);
        }
        Errno::EFBIG if task.process.settings.limits().soft(FSIZE) != UNLIMITED => {
            let info = task.own_info(Signal::XFSZ, code::USER);
            // It cannot fail: who sends it is there, and it does not queue.
            let _ = task.signal_thread(Some(task.process.pid), task.tid, Some(info));
        }
        _ => {}
    }
}

/// Tells a failed change of a file's size as a failed write is told.
pub(super) fn of_size(context: &Context<'_>, changed: Result<i64>) -> Result<i64> {
    changed.inspect_err(|errno| broken(context.task(), *errno))
}

fn read_at(context: &mut Context<'_>, arguments: &Arguments, shape: Shape) -> Result<i64> {
    let description = context.task().process.fds.get(arguments.fd(0))?;
    let offset = arguments.size(3)?;
    let buffers = buffers(context, arguments, shape)?;
    let count = buffers.fill(&mut context.memory, |bytes, done| {
        description.read_at(bytes, offset + done)
    })?;
    Ok(count as i64)
}

fn write_at(context: &mut Context<'_>, arguments: &Arguments, shape: Shape) -> Result<i64> {
    let description = context.task().process.fds.get(arguments.fd(0))?;
    let offset = arguments.size(3)?;
    let buffers = buffers(context, arguments, shape)?;
    let mut done = 0;
    while done < buffers.total() {
        let write = |bytes: &[u8]| description.write_at(bytes, offset.saturating_add(done));
        match buffers.send(&context.memory, done, write) {
            Ok(0) => break,
            Ok(count) => done += count as u64,
            Err(_) if done > 0 => break,
            Err(errno) => {
                broken(context.task(), errno);
                return Err(errno);
            }
        }
    }
    Ok(done as i64)
}

/// Reads a position that a call is given by address.
fn read_offset(context: &Context<'_>, at: Option<GuestAddr>) -> Result<Option<u64>> {
    let Some(at) = at else {
        return Ok(None);
    };
    let offset = context.memory.read_u64(at)?.cast_signed();
    u64::try_from(offset).map(Some).map_err(|_| Errno::EINVAL)
}

fn write_offset(
    caller: &mut Caller<'_, Guest>,
    at: Option<GuestAddr>,
    offset: Option<u64>,
) -> Result<()> {
    match (at, offset) {
        (Some(at), Some(offset)) => Context::of(caller).memory.write_u64(at, offset),
        _ => Ok(()),
    }
}

/// Out, in, offset, count.
async fn send_file(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let task = task_of(caller);
    let at = arguments.pointer(2);
    let mut offset = read_offset(&Context::of(caller), at)?;
    let input = TransferEnd {
        fd: arguments.fd(1),
        offset: offset.as_mut(),
    };
    let count = u64::from(arguments.word(3));
    let sent = task.send_file(arguments.fd(0), input, count).await;
    let sent = sent.inspect_err(|errno| broken(&task, *errno))?;
    write_offset(caller, at, offset)?;
    Ok(sent as i64)
}

/// In, offset, out, offset, count, flags.
fn copy_file_range(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    if arguments.word(5) != 0 {
        return Err(Errno::EINVAL);
    }
    let at = [arguments.pointer(1), arguments.pointer(3)];
    let mut from = read_offset(context, at[0])?;
    let mut to = read_offset(context, at[1])?;
    let input = TransferEnd {
        fd: arguments.fd(0),
        offset: from.as_mut(),
    };
    let output = TransferEnd {
        fd: arguments.fd(2),
        offset: to.as_mut(),
    };
    let count = u64::from(arguments.word(4));
    let task = context.task();
    let copied = task.copy_range(input, output, count);
    let copied = copied.inspect_err(|errno| broken(task, *errno))?;
    for (at, offset) in at.into_iter().zip([from, to]) {
        if let (Some(at), Some(offset)) = (at, offset) {
            context.memory.write_u64(at, offset)?;
        }
    }
    Ok(copied as i64)
}

/// In, offset, out, offset, count, flags.
async fn splice(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let task = task_of(caller);
    let flags = splice_flags(arguments.word(5))?;
    let at = [arguments.pointer(1), arguments.pointer(3)];
    let mut from = read_offset(&Context::of(caller), at[0])?;
    let mut to = read_offset(&Context::of(caller), at[1])?;
    let input = TransferEnd {
        fd: arguments.fd(0),
        offset: from.as_mut(),
    };
    let output = TransferEnd {
        fd: arguments.fd(2),
        offset: to.as_mut(),
    };
    let count = arguments.word(4) as usize;
    let moved = task.splice(input, output, count, flags).await;
    let moved = moved.inspect_err(|errno| broken(&task, *errno))?;
    write_offset(caller, at[0], from)?;
    write_offset(caller, at[1], to)?;
    Ok(moved as i64)
}

/// In, out, count, flags.
async fn tee(caller: &mut Caller<'_, Guest>, arguments: Arguments) -> Result<i64> {
    let task = task_of(caller);
    let flags = splice_flags(arguments.word(3))?;
    let count = arguments.word(2) as usize;
    let copied = task.tee(arguments.fd(0), arguments.fd(1), count, flags);
    let copied = copied.await.inspect_err(|errno| broken(&task, *errno))?;
    Ok(copied as i64)
}

fn splice_flags(raw: u32) -> Result<SpliceFlags> {
    SpliceFlags::from_bits(raw).ok_or(Errno::EINVAL)
}
