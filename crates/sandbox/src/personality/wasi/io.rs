//! Reading and writing: the hot calls. An answer that is there costs one copy and no allocation of ours.

use std::sync::Arc;

use minke_abi::linux::PollEvents;
use minke_abi::wasi::{Errno, Rights};
use minke_kernel::{Errno as LinuxErrno, Fd, FileDescription, Result, Task};
use wasmtime::Caller;

use super::{Answer, Call, Pending, finish, ready};
use crate::runtime::guest::view;
use crate::runtime::vectors::Buffers;
use crate::runtime::{Guest, MemoryView};

/// A read or write whose arguments were checked.
struct Transfer {
    task: Arc<Task>,
    description: Arc<FileDescription>,
    buffers: Buffers,
    /// Where the count of bytes goes.
    result: u32,
}

impl Transfer {
    fn decode(
        call: &Call<'_>,
        fd: u32,
        right: Rights,
        iovecs: u32,
        count: u32,
        result: u32,
    ) -> Answer<Transfer> {
        call.require(fd, right)?;
        let task = Arc::clone(&call.guest.task);
        let description = task.process.fds.get(Fd(fd))?;
        let buffers = Buffers::decode(&call.memory, iovecs, count)?;
        call.memory.check(result.into(), 4)?;
        Ok(Transfer {
            task,
            description,
            buffers,
            result,
        })
    }

    fn read(&self, memory: &mut MemoryView<'_>) -> Result<u64> {
        let description = &*self.description;
        if description.file.is_seekable() {
            return self
                .buffers
                .fill(memory, |bytes, _| description.read(bytes));
        }
        let read = self
            .buffers
            .receive(memory, |bytes| description.read(bytes), |count| *count);
        read.map(|count| count as u64)
    }

    fn write(&self, memory: &MemoryView<'_>, done: u64) -> Result<u64> {
        self.check_alive(done)?;
        let write = |bytes: &[u8]| self.description.write(bytes);
        let count = self.buffers.send(memory, done, write)?;
        Ok(count as u64)
    }

    /// Whether a write that took so many bytes goes on: a blocking stream takes all, and a file too.
    fn is_unfinished(&self, done: u64) -> bool {
        let is_short = 0 < done && done < self.buffers.total();
        is_short && (self.description.file.is_seekable() || !self.description.is_nonblocking())
    }

    /// Ends a long transfer between two pieces when the process is to end.
    fn check_alive(&self, done: u64) -> Result<()> {
        match self.task.process.signals.fatal() {
            Some(_) if done > 0 => Err(LinuxErrno::EINTR),
            _ => Ok(()),
        }
    }

    /// Whether an error means that the call has to wait.
    fn must_wait<T>(&self, result: &Result<T>) -> bool {
        matches!(result, Err(LinuxErrno::EAGAIN)) && !self.description.is_nonblocking()
    }

    fn answer(&self, memory: &mut MemoryView<'_>, result: Result<u64>) -> Answer<()> {
        // `Buffers` bounds the count by `MAX_RW_COUNT`.
        Ok(memory.write_u32(self.result.into(), result? as u32)?)
    }
}

/// Reads from a descriptor's position, or from a stream.
pub(super) fn fd_read(
    mut caller: Caller<'_, Guest>,
    fd: u32,
    iovecs: u32,
    count: u32,
    result: u32,
) -> Pending<'_> {
    let (memory, guest) = view(&mut caller);
    let mut call = Call { memory, guest };
    let transfer = match Transfer::decode(&call, fd, Rights::FD_READ, iovecs, count, result) {
        Ok(transfer) => transfer,
        Err(errno) => return ready(&caller, Err(errno)),
    };
    // A terminal may stop who reads, even where there is something to read.
    if transfer.description.file.terminal().is_some() {
        return Box::new(wait_and_read(caller, transfer));
    }
    let read = transfer.read(&mut call.memory);
    if transfer.must_wait(&read) {
        return Box::new(wait_and_read(caller, transfer));
    }
    let answer = transfer.answer(&mut call.memory, read);
    ready(&caller, answer)
}

async fn wait_and_read(mut caller: Caller<'_, Guest>, transfer: Transfer) -> wasmtime::Result<u32> {
    let wanted = usize::try_from(transfer.buffers.total()).unwrap_or(usize::MAX);
    let read = transfer
        .task
        .block_on_read(&transfer.description, wanted, || {
            transfer.read(&mut view(&mut caller).0)
        });
    let read = read.await;
    let answer = transfer.answer(&mut view(&mut caller).0, read);
    finish(caller.data(), answer)
}

/// Writes at a descriptor's position, or to a stream.
pub(super) fn fd_write(
    mut caller: Caller<'_, Guest>,
    fd: u32,
    iovecs: u32,
    count: u32,
    result: u32,
) -> Pending<'_> {
    let (memory, guest) = view(&mut caller);
    let mut call = Call { memory, guest };
    let transfer = match Transfer::decode(&call, fd, Rights::FD_WRITE, iovecs, count, result) {
        Ok(transfer) => transfer,
        Err(errno) => return ready(&caller, Err(errno)),
    };
    let written = transfer.write(&call.memory, 0);
    let done = *written.as_ref().unwrap_or(&0);
    if transfer.must_wait(&written) || transfer.is_unfinished(done) {
        return Box::new(wait_and_write(caller, transfer, done));
    }
    let answer = transfer.answer(&mut call.memory, written);
    ready(&caller, answer)
}

/// Goes on with a write until everything is taken. POSIX: a blocking `write()` to a pipe is whole.
async fn wait_and_write(
    mut caller: Caller<'_, Guest>,
    transfer: Transfer,
    mut done: u64,
) -> wasmtime::Result<u32> {
    let written = loop {
        let attempt = transfer
            .task
            .block_on(&transfer.description, PollEvents::OUT, || {
                transfer.write(&view(&mut caller).0, done)
            });
        match attempt.await {
            Ok(0) => break Ok(done),
            Ok(count) => done += count,
            Err(_) if done > 0 => break Ok(done),
            Err(error) => break Err(error),
        }
        if !transfer.is_unfinished(done) {
            break Ok(done);
        }
    };
    let answer = transfer.answer(&mut view(&mut caller).0, written);
    finish(caller.data(), answer)
}

/// Reads at a position.
pub(super) fn fd_pread(
    call: &mut Call<'_>,
    fd: u32,
    iovecs: u32,
    count: u32,
    offset: u64,
    result: u32,
) -> Answer<()> {
    let rights = Rights::FD_READ | Rights::FD_SEEK;
    let transfer = Transfer::decode(call, fd, rights, iovecs, count, result)?;
    check_end(offset, &transfer)?;
    let read = transfer.buffers.fill(&mut call.memory, |bytes, done| {
        transfer.check_alive(done)?;
        transfer.description.read_at(bytes, offset + done)
    });
    transfer.answer(&mut call.memory, read)
}

/// Writes at a position.
pub(super) fn fd_pwrite(
    call: &mut Call<'_>,
    fd: u32,
    iovecs: u32,
    count: u32,
    offset: u64,
    result: u32,
) -> Answer<()> {
    let rights = Rights::FD_WRITE | Rights::FD_SEEK;
    let transfer = Transfer::decode(call, fd, rights, iovecs, count, result)?;
    check_end(offset, &transfer)?;
    let mut done = 0;
    let written = loop {
        let attempt = transfer.check_alive(done).and_then(|()| {
            transfer.buffers.send(&call.memory, done, |bytes| {
                transfer.description.write_at(bytes, offset + done)
            })
        });
        match attempt {
            Ok(0) => break Ok(done),
            Ok(count) => done += count as u64,
            Err(_) if done > 0 => break Ok(done),
            Err(error) => break Err(error),
        }
        if done >= transfer.buffers.total() {
            break Ok(done);
        }
    };
    transfer.answer(&mut call.memory, written)
}

/// Checks that a transfer ends where a file can. Linux: `EINVAL` for negative offsets.
fn check_end(offset: u64, transfer: &Transfer) -> Answer<()> {
    match offset.checked_add(transfer.buffers.total()) {
        Some(end) if end <= i64::MAX as u64 => Ok(()),
        _ => Err(Errno::INVAL),
    }
}
