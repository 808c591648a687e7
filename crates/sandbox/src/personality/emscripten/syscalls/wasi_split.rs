//! WASI calls whose 64-bit numbers the JavaScript border has split into pairs.
//!
//! Glue of older versions cannot pass an `i64`, so `emcc` gives these imports of
//! `wasi_snapshot_preview1` another type than WASI's. They return WASI's positive error numbers.

use minke_abi::emscripten::errno_number;
use minke_abi::{Errno, Result};
use minke_kernel::FileDescription;
use minke_kernel::descriptor::SeekTarget;
use wasmtime::Caller;

use crate::personality::emscripten::context::{Arguments, Context};
use crate::personality::emscripten::library::clocks::{Clock, now};
use crate::personality::emscripten::table::{Function, Kind, Returns};
use crate::runtime::{Guest, GuestAddr, MemoryView};

/// Most parts of one vector. Linux: `UIO_MAXIOV`.
const PARTS_MAX: u32 = 1024;

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    Function::library(
        "fd_seek",
        &[Kind::Word, Kind::Split, Kind::Word, Kind::Word],
        Returns::Word,
        |caller, arguments| told(caller, arguments, seek),
    ),
    Function::library(
        "fd_pread",
        &[Kind::Word, Kind::Word, Kind::Word, Kind::Split, Kind::Word],
        Returns::Word,
        |caller, arguments| told(caller, arguments, pread),
    ),
    Function::library(
        "fd_pwrite",
        &[Kind::Word, Kind::Word, Kind::Word, Kind::Split, Kind::Word],
        Returns::Word,
        |caller, arguments| told(caller, arguments, pwrite),
    ),
    Function::library(
        "clock_time_get",
        &[Kind::Word, Kind::Split, Kind::Word],
        Returns::Word,
        |caller, arguments| told(caller, arguments, clock_time_get),
    ),
];

/// Returns 0 or the positive error number.
fn told(
    caller: &mut Caller<'_, Guest>,
    arguments: &Arguments,
    action: fn(&mut Context<'_>, &Arguments) -> Result<()>,
) -> wasmtime::Result<i64> {
    let result = action(&mut Context::of(caller), arguments);
    Ok(result.map_or_else(|errno| i64::from(errno_number(errno)), |()| 0))
}

fn seek(context: &mut Context<'_>, arguments: &Arguments) -> Result<()> {
    let target = match arguments.word(2) {
        0 => SeekTarget::Start(arguments.size(1)?),
        1 => SeekTarget::Current(arguments.long(1)),
        2 => SeekTarget::End(arguments.long(1)),
        _ => return Err(Errno::EINVAL),
    };
    let position = context.task().seek(arguments.fd(0), target)?;
    context.memory.write_u64(arguments.address(3), position)
}

fn pread(context: &mut Context<'_>, arguments: &Arguments) -> Result<()> {
    each_part(
        context,
        arguments,
        |memory, file, (address, length), offset| {
            memory.receive(
                address,
                length,
                |bytes| file.read_at(bytes, offset),
                |count| *count,
            )
        },
    )
}

fn pwrite(context: &mut Context<'_>, arguments: &Arguments) -> Result<()> {
    each_part(
        context,
        arguments,
        |memory, file, (address, length), offset| {
            memory.with_slice(address, length, |bytes| file.write_at(bytes, offset))
        },
    )
}

/// Moves the bytes of one part of a vector; returns how many.
type MovePart =
    fn(&mut MemoryView<'_>, &FileDescription, (GuestAddr, u64), offset: u64) -> Result<usize>;

/// Moves the parts of a vector one after the other, until one is not moved whole; tells how many bytes it were.
fn each_part(context: &mut Context<'_>, arguments: &Arguments, action: MovePart) -> Result<()> {
    let file = context.task().process.fds.get(arguments.fd(0))?;
    let start = arguments.size(3)?;
    let mut total = 0;
    for (address, length) in parts(context, arguments)? {
        let part = (address, u64::from(length));
        let count = action(&mut context.memory, &file, part, start + u64::from(total))?;
        total += count as u32;
        if count < length as usize {
            break;
        }
    }
    context.memory.write_u32(arguments.address(4), total)
}

/// Reads a vector of addresses and lengths; its bytes together must be countable in 31 bits.
fn parts(context: &Context<'_>, arguments: &Arguments) -> Result<Vec<(GuestAddr, u32)>> {
    let (vector, count) = (arguments.address(1), arguments.word(2));
    if count > PARTS_MAX {
        return Err(Errno::EINVAL);
    }
    let mut parts = Vec::with_capacity(count as usize);
    let mut total = 0_u64;
    for index in 0..u64::from(count) {
        let part = vector.offset(index * 8);
        let address = GuestAddr::from(context.memory.read_u32(part)?);
        let length = context.memory.read_u32(part.offset(4))?;
        context.memory.check(address, u64::from(length))?;
        total += u64::from(length);
        parts.push((address, length));
    }
    if total > i32::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    Ok(parts)
}

fn clock_time_get(context: &mut Context<'_>, arguments: &Arguments) -> Result<()> {
    let clock = Clock::from_number(arguments.int(0)).ok_or(Errno::EINVAL)?;
    let time = now(context.task(), clock);
    context.memory.write_u64(arguments.address(2), time)
}
