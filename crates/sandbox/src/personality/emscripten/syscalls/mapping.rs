//! Mapped files, which wasm has none of: a mapping is a copy in the guest's heap.
//!
//! Anonymous mappings never leave the guest. A shared mapping that may be written goes back to its
//! file by `msync` and `munmap`. Source: Emscripten `system/lib/libc/emscripten_mmap.c`.

use std::sync::Arc;

use minke_abi::emscripten::errno_number;
use minke_abi::{Errno, Result};
use minke_kernel::{Fd, FileDescription};
use wasmtime::Caller;

use crate::personality::emscripten::context::{Arguments, Context, task_of};
use crate::personality::emscripten::exports;
use crate::personality::emscripten::table::{Function, Kind, Pending, WORDS};
use crate::runtime::{Guest, GuestAddr};

/// Alignment of a mapping: wasm's page.
const PAGE_BYTES: i32 = 65_536;
const PROT_WRITE: u32 = 2;
const MAP_SHARED: u32 = 1;

/// The difference from Linux of every call here.
const COPY: &str = "a mapping is a copy: others' changes are not seen, and its own reach the file by `msync` and `munmap`";

/// Rows with more parameters come first, because spare ones are allowed.
pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    // Newer: length, protection, flags, descriptor, 64-bit offset, allocated, where to put the address.
    Function::waiting(
        "_mmap_js",
        &[
            Kind::Word,
            Kind::Word,
            Kind::Word,
            Kind::Word,
            Kind::Long,
            Kind::Word,
            Kind::Word,
        ],
        |caller, arguments| {
            let request = Request {
                length: arguments.word(0),
                fd: arguments.fd(3),
                offset: arguments.0[4],
                allocated: arguments.address(5),
                address: Some(arguments.address(6)),
            };
            map(caller, request)
        },
    )
    .partial(COPY),
    // 3.1.6: address, length, protection, flags, descriptor, offset, where to say that memory was taken.
    Function::waiting("_mmap_js", WORDS[7], |caller, arguments| {
        let request = Request {
            length: arguments.word(1),
            fd: arguments.fd(4),
            offset: u64::from(arguments.word(5)),
            allocated: arguments.address(6),
            address: None,
        };
        map(caller, request)
    })
    .partial(COPY),
    Function::syscall(
        "_munmap_js",
        &[
            Kind::Word,
            Kind::Word,
            Kind::Word,
            Kind::Word,
            Kind::Word,
            Kind::Long,
        ],
        unmap,
    )
    .partial(COPY),
    Function::syscall("_munmap_js", WORDS[6], unmap).partial(COPY),
    Function::syscall(
        "_msync_js",
        &[
            Kind::Word,
            Kind::Word,
            Kind::Word,
            Kind::Word,
            Kind::Word,
            Kind::Long,
        ],
        |c, a| write_back(c, a, a.word(3), a.fd(4), a.size(5)?),
    )
    .partial(COPY),
    Function::syscall("_msync_js", WORDS[4], |c, a| {
        write_back(c, a, a.word(2), a.fd(3), 0)
    })
    .partial("3.1.6 does not tell where in the file: the mapping is taken to start at 0"),
];

/// What a guest wants mapped.
struct Request {
    length: u32,
    fd: Fd,
    offset: u64,
    allocated: GuestAddr,
    /// Where newer versions want the address; older ones take it as the result.
    address: Option<GuestAddr>,
}

fn map(mut caller: Caller<'_, Guest>, request: Request) -> Pending<'_> {
    Box::new(async move {
        let description = task_of(&caller).process.fds.get(request.fd);
        let taken = match description.and_then(|file| check_mappable(&file).map(|()| file)) {
            Ok(file) => take(&mut caller, &request)
                .await?
                .map(|block| (file, block)),
            Err(errno) => Err(errno),
        };
        let result = taken.and_then(|(file, block)| fill(&mut caller, &request, &file, block));
        Ok(result.unwrap_or_else(|errno| -i64::from(errno_number(errno))))
    })
}

/// Linux: mm/mmap.c do_mmap(): only files that have positions can be mapped.
fn check_mappable(file: &Arc<FileDescription>) -> Result<()> {
    if !file.file.is_seekable() {
        return Err(Errno::ENODEV);
    }
    if !file.flags().is_readable() {
        return Err(Errno::EACCES);
    }
    Ok(())
}

/// Takes memory from the guest's heap.
async fn take(
    caller: &mut Caller<'_, Guest>,
    request: &Request,
) -> wasmtime::Result<Result<GuestAddr>> {
    let Ok(bytes) = i32::try_from(request.length) else {
        return Ok(Err(Errno::ENOMEM));
    };
    if bytes == 0 {
        return Ok(Err(Errno::EINVAL));
    }
    let name = "emscripten_builtin_memalign";
    let block = exports::call(caller, name, |e| &e.aligned_alloc, (PAGE_BYTES, bytes)).await?;
    Ok(if block == 0 {
        Err(Errno::ENOMEM)
    } else {
        Ok(GuestAddr::from(block))
    })
}

/// Copies the file into the block, zeros after its end.
fn fill(
    caller: &mut Caller<'_, Guest>,
    request: &Request,
    file: &FileDescription,
    block: GuestAddr,
) -> Result<i64> {
    let mut context = Context::of(caller);
    let memory = &mut context.memory;
    let length = u64::from(request.length);
    let mut done = 0;
    while done < length {
        let read = |bytes: &mut [u8]| file.read_at(bytes, request.offset + done);
        let count = memory.receive(block.offset(done), length - done, read, |count| *count)?;
        if count == 0 {
            break;
        }
        done += count as u64;
    }
    memory.fill(block.offset(done), length - done, 0)?;
    memory.write_u32(request.allocated, 1)?;
    match request.address {
        Some(target) => memory.write_u32(target, block.0 as u32).map(|()| 0),
        None => Ok(block.0 as i64),
    }
}

/// Address, length, protection, flags, descriptor, offset. The guest frees the memory itself.
fn unmap(context: &mut Context<'_>, arguments: &Arguments) -> Result<i64> {
    if arguments.word(2) & PROT_WRITE == 0 {
        return Ok(0);
    }
    let (fd, offset) = (arguments.fd(4), arguments.0[5]);
    match write_back(context, arguments, arguments.word(3), fd, offset) {
        // A mapping outlives the descriptor that it was made from: then there is nothing to write to.
        Err(Errno::EBADF) => Ok(0),
        other => other,
    }
}

/// Writes a shared mapping to its file, but not beyond the file's end.
fn write_back(
    context: &mut Context<'_>,
    arguments: &Arguments,
    flags: u32,
    fd: Fd,
    offset: u64,
) -> Result<i64> {
    if flags & MAP_SHARED == 0 {
        return Ok(0);
    }
    let file = context.task().process.fds.get(fd)?;
    let size = file.file.metadata()?.size;
    let length = u64::from(arguments.word(1)).min(size.saturating_sub(offset));
    let mut done = 0;
    while done < length {
        let from = arguments.address(0).offset(done);
        let write = |bytes: &[u8]| file.write_at(bytes, offset + done);
        match context.memory.with_slice(from, length - done, write)? {
            0 => return Err(Errno::EIO),
            count => done += count as u64,
        }
    }
    Ok(0)
}
