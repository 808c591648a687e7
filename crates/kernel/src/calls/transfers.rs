//! Moving bytes between descriptors past the program's memory. Linux: fs/splice.c, fs/read_write.c.

use std::sync::Arc;

use bitflags::bitflags;
use minke_abi::linux::{FileType, OpenFlags, PollEvents};
use minke_abi::{Errno, Result};

use crate::descriptor::{Fd, FileDescription, SeekTarget};
use crate::stream::Consume;
use crate::task::{Deadline, Patience, Task};

/// Bytes that are moved at a time, through a buffer of the kernel.
const PIECE_BYTES: usize = 64 << 10;

/// Most bytes of one `sendfile`. Linux: `MAX_RW_COUNT`.
const SEND_BYTES_MAX: u64 = 0x7fff_f000;

/// Most bytes of one `copy_file_range`, which nothing interrupts; programs ask again for the rest.
const COPY_BYTES_MAX: u64 = 16 << 20;

bitflags! {
    /// How bytes are moved to and from pipes. Linux: include/linux/splice.h.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SpliceFlags: u32 {
        /// Pages are always copied, so this changes nothing.
        const MOVE = 1;
        const NONBLOCK = 2;
        const MORE = 4;
        const GIFT = 8;
    }
}

/// Where bytes are taken from or go to.
pub struct TransferEnd<'o> {
    pub fd: Fd,
    /// A position that is used and moved instead of the description's own.
    pub offset: Option<&'o mut u64>,
}

/// An end whose descriptor was looked up.
struct OpenEnd<'o> {
    description: Arc<FileDescription>,
    offset: Option<&'o mut u64>,
}

impl OpenEnd<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some(offset) = &mut self.offset else {
            return self.description.read(buffer);
        };
        let count = self.description.read_at(buffer, **offset)?;
        **offset += count as u64;
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let Some(offset) = &mut self.offset else {
            return self.description.write(bytes);
        };
        let count = self.description.write_at(bytes, **offset)?;
        **offset += count as u64;
        Ok(count)
    }

    fn position(&self) -> u64 {
        match &self.offset {
            Some(offset) => **offset,
            None => self.description.position(),
        }
    }

    /// Linux: fs/splice.c `do_splice()`: a pipe has no positions.
    fn check_offset(&self) -> Result<()> {
        match self.offset.is_some() && !self.description.file.is_seekable() {
            true => Err(Errno::ESPIPE),
            false => Ok(()),
        }
    }
}

impl Task {
    /// Sends a file's bytes to any descriptor, waiting for room; from `offset` on, which is moved then instead of the file's
    /// position. Returns how many, fewer at the end or when something comes in between. Linux: `sendfile(2)`.
    pub async fn send_file(&self, output: Fd, input: TransferEnd<'_>, count: u64) -> Result<u64> {
        let input = self.open_source(input)?;
        let output = self.process.fds.get(output)?;
        output.check_writable()?;
        input.check_offset()?;
        let can_be_sent = input.description.file.is_seekable();
        if !can_be_sent || output.flags().contains(OpenFlags::APPEND) {
            return Err(Errno::EINVAL);
        }
        let (start, count) = (input.position(), count.min(SEND_BYTES_MAX));
        let sent = self
            .send_range(&output, &input.description, start, count)
            .await?;
        match input.offset {
            Some(offset) => *offset = start + sent,
            None => {
                let end = SeekTarget::Start(start + sent);
                input.description.seek(end)?;
            }
        }
        Ok(sent)
    }

    async fn send_range(
        &self,
        output: &FileDescription,
        input: &FileDescription,
        start: u64,
        count: u64,
    ) -> Result<u64> {
        let mut buffer = vec![0; PIECE_BYTES.min(usize::try_from(count).unwrap_or(PIECE_BYTES))];
        let (mut sent, mut filled) = (0, 0..0);
        while sent < count {
            if filled.is_empty() {
                let wanted = usize::try_from(count - sent).unwrap_or(PIECE_BYTES);
                let room = wanted.min(buffer.len());
                filled = match input.read_at(&mut buffer[..room], start + sent) {
                    Ok(0) => break,
                    Ok(length) => 0..length,
                    Err(_) if sent > 0 => break,
                    Err(error) => return Err(error),
                };
            }
            let write = || output.write(&buffer[filled.clone()]);
            match self.block_on(output, PollEvents::OUT, write).await {
                Ok(length) => {
                    filled.start += length;
                    sent += length as u64;
                }
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Copies from one regular file to another, or inside one where the ranges do not overlap. Linux: `copy_file_range(2)`.
    pub fn copy_range(
        &self,
        input: TransferEnd<'_>,
        output: TransferEnd<'_>,
        count: u64,
    ) -> Result<u64> {
        let mut input = self.open_source(input)?;
        let mut output = self.open_target(output)?;
        let (source, target) = (&input.description, &output.description);
        if target.flags().contains(OpenFlags::APPEND) {
            return Err(Errno::EBADF);
        }
        check_regular(source)?;
        check_regular(target)?;
        let (from, to) = (source.file.metadata()?, target.file.metadata()?);
        let is_same = (from.device, from.inode) == (to.device, to.inode);
        let distance = input.position().abs_diff(output.position());
        let length = count.min(from.size.saturating_sub(input.position()));
        if is_same && distance < length {
            return Err(Errno::EINVAL);
        }
        let mut buffer = vec![0; PIECE_BYTES];
        let mut copied = 0;
        while copied < count.min(COPY_BYTES_MAX) {
            let room = usize::try_from(count - copied).unwrap_or(PIECE_BYTES);
            let position = input.position();
            let length = source_bytes(&mut input, &mut buffer[..room.min(PIECE_BYTES)], copied)?;
            let written = match output.write(&buffer[..length]) {
                Err(error) if copied == 0 => return Err(error),
                written => written.unwrap_or(0),
            };
            copied += written as u64;
            if written < length {
                input.go_back_to(position + written as u64)?;
            }
            if written == 0 || written < length {
                break;
            }
        }
        Ok(copied)
    }

    /// Moves bytes from or to a pipe. Linux: `splice(2)`.
    pub async fn splice(
        &self,
        input: TransferEnd<'_>,
        output: TransferEnd<'_>,
        count: usize,
        flags: SpliceFlags,
    ) -> Result<usize> {
        if count == 0 {
            return Ok(0);
        }
        let mut input = self.open_source(input)?;
        let mut output = self.open_target(output)?;
        let (source, target) = (
            Arc::clone(&input.description),
            Arc::clone(&output.description),
        );
        let patience = patience(flags, &source, &target);
        let register = |waker: &_| {
            source.file.register(PollEvents::IN, waker);
            target.file.register(PollEvents::OUT, waker);
        };
        input.check_offset()?;
        output.check_offset()?;
        match (source.file.pipe(), target.file.pipe()) {
            (None, None) => Err(Errno::EINVAL),
            (Some(from), Some(to)) => {
                let attempt = || from.move_to(to, count, Consume::Take);
                self.try_until(patience, register, attempt).await
            }
            (Some(_), None) if target.flags().contains(OpenFlags::APPEND) => Err(Errno::EINVAL),
            (Some(from), None) => {
                let attempt = || from.drain_into(count, |bytes| output.write(bytes));
                self.try_until(patience, register, attempt).await
            }
            (None, Some(to)) => {
                let attempt = || to.fill_from(count, |buffer| input.read(buffer));
                self.try_until(patience, register, attempt).await
            }
        }
    }

    /// Copies from one pipe to another what stays to be read in the first. Linux: `tee(2)`.
    pub async fn tee(
        &self,
        input: Fd,
        output: Fd,
        count: usize,
        flags: SpliceFlags,
    ) -> Result<usize> {
        if count == 0 {
            return Ok(0);
        }
        let end = |fd| TransferEnd { fd, offset: None };
        let source = self.open_source(end(input))?.description;
        let target = self.open_target(end(output))?.description;
        let (Some(from), Some(to)) = (source.file.pipe(), target.file.pipe()) else {
            return Err(Errno::EINVAL);
        };
        let register = |waker: &_| {
            source.file.register(PollEvents::IN, waker);
            target.file.register(PollEvents::OUT, waker);
        };
        let attempt = || from.move_to(to, count, Consume::Peek);
        self.try_until(patience(flags, &source, &target), register, attempt)
            .await
    }

    fn open_source<'o>(&self, end: TransferEnd<'o>) -> Result<OpenEnd<'o>> {
        let description = self.process.fds.get(end.fd)?;
        description.check_readable()?;
        Ok(OpenEnd {
            description,
            offset: end.offset,
        })
    }

    fn open_target<'o>(&self, end: TransferEnd<'o>) -> Result<OpenEnd<'o>> {
        let description = self.process.fds.get(end.fd)?;
        description.check_writable()?;
        Ok(OpenEnd {
            description,
            offset: end.offset,
        })
    }
}

impl OpenEnd<'_> {
    fn go_back_to(&mut self, position: u64) -> Result<()> {
        match &mut self.offset {
            Some(offset) => **offset = position,
            None => {
                self.description.seek(SeekTarget::Start(position))?;
            }
        }
        Ok(())
    }
}

/// Reads a piece; an error after the first piece is an end.
fn source_bytes(input: &mut OpenEnd<'_>, buffer: &mut [u8], copied: u64) -> Result<usize> {
    match input.read(buffer) {
        Err(error) if copied == 0 => Err(error),
        read => Ok(read.unwrap_or(0)),
    }
}

/// Linux: fs/read_write.c `generic_file_rw_checks()`.
fn check_regular(description: &FileDescription) -> Result<()> {
    match description.file.metadata()?.file_type {
        FileType::Regular => Ok(()),
        FileType::Directory => Err(Errno::EISDIR),
        _ => Err(Errno::EINVAL),
    }
}

fn patience(flags: SpliceFlags, source: &FileDescription, target: &FileDescription) -> Patience {
    let is_hasty = flags.contains(SpliceFlags::NONBLOCK);
    match is_hasty || source.is_nonblocking() || target.is_nonblocking() {
        true => Patience::None,
        false => Patience::Until(Deadline::Never),
    }
}
