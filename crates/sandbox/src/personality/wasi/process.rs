//! Arguments, environment, and how a process ends.

use std::future::poll_fn;
use std::task::Poll;

use minke_abi::wasi::{Errno, signal_from_raw};
use minke_kernel::process::ProcessImage;
use wasmtime::Caller;

use super::{Answer, Call};
use crate::runtime::{Guest, GuestAddr, MemoryView, Stop};

/// Writes the arguments: pointers to zero-terminated strings, and the strings.
pub(super) fn args_get(call: &mut Call<'_>, argv: u32, buffer: u32) -> Answer<()> {
    let image = call.guest.task.process.image();
    let args = image.args.iter().map(Vec::as_slice);
    write_strings(&mut call.memory, args, argv, buffer)
}

/// Tells how many arguments there are, and how many bytes they take.
pub(super) fn args_sizes_get(call: &mut Call<'_>, count: u32, bytes: u32) -> Answer<()> {
    let image = call.guest.task.process.image();
    let args = image.args.iter().map(Vec::as_slice);
    write_sizes(&mut call.memory, args, count, bytes)
}

/// Writes the environment as `args_get` writes the arguments.
pub(super) fn environ_get(call: &mut Call<'_>, environ: u32, buffer: u32) -> Answer<()> {
    let image = call.guest.task.process.image();
    let strings = environment(call.guest, &image);
    write_strings(&mut call.memory, strings, environ, buffer)
}

/// Tells how many variables there are, and how many bytes they take.
pub(super) fn environ_sizes_get(call: &mut Call<'_>, count: u32, bytes: u32) -> Answer<()> {
    let image = call.guest.task.process.image();
    let strings = environment(call.guest, &image);
    write_sizes(&mut call.memory, strings, count, bytes)
}

/// Ends the process; every code is let through, and its low eight bits are seen outside.
pub(super) fn proc_exit(_caller: Caller<'_, Guest>, code: u32) -> wasmtime::Result<()> {
    Err(Stop::Exit(code.cast_signed()).into())
}

/// Sends the process a signal.
pub(super) fn proc_raise(call: &mut Call<'_>, signal: u32) -> Answer<()> {
    if signal == 0 {
        return Ok(());
    }
    let signal = signal_from_raw(signal).ok_or(Errno::INVAL)?;
    call.task().process.kill(signal);
    unless_fatal(call.guest)
}

/// Lets others run.
pub(super) async fn sched_yield(caller: &mut Caller<'_, Guest>) -> Answer<()> {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    unless_fatal(caller.data())
}

/// Answers `INTR`, which ends the guest, when its process is to end.
pub(super) fn unless_fatal(guest: &Guest) -> Answer<()> {
    match guest.task.process.signals.fatal() {
        Some(_) => Err(Errno::INTR),
        None => Ok(()),
    }
}

/// The environment, with `PWD` for those languages that take the working directory from it
/// (Go's `wasip1`): WASI has no other way to tell it.
fn environment<'s>(
    guest: &'s Guest,
    image: &'s ProcessImage,
) -> impl Iterator<Item = &'s [u8]> + Clone {
    let env = image.env.iter().map(Vec::as_slice);
    let has_pwd = env.clone().any(|entry| entry.starts_with(b"PWD="));
    env.chain(guest.wasi.pwd_variable().filter(|_| !has_pwd))
}

fn write_sizes<'s>(
    memory: &mut MemoryView<'_>,
    strings: impl Iterator<Item = &'s [u8]>,
    count_result: u32,
    bytes_result: u32,
) -> Answer<()> {
    let (mut count, mut bytes) = (0_usize, 0_usize);
    for string in strings {
        count += 1;
        bytes += string.len() + 1;
    }
    let fits = |number| u32::try_from(number).map_err(|_| Errno::OVERFLOW);
    memory.write_u32(count_result.into(), fits(count)?)?;
    memory.write_u32(bytes_result.into(), fits(bytes)?)?;
    Ok(())
}

fn write_strings<'s>(
    memory: &mut MemoryView<'_>,
    strings: impl Iterator<Item = &'s [u8]>,
    pointers: u32,
    buffer: u32,
) -> Answer<()> {
    let mut pointer = GuestAddr::from(pointers);
    let mut target = GuestAddr::from(buffer);
    for string in strings {
        let address = u32::try_from(target.0).map_err(|_| Errno::FAULT)?;
        memory.write_u32(pointer, address)?;
        memory.write(target, string)?;
        memory.write(target.offset(string.len() as u64), &[0])?;
        pointer = pointer.offset(4);
        target = target.offset(string.len() as u64 + 1);
    }
    Ok(())
}
