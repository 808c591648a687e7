//! Descriptors, and the file descriptions that they name.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use minke_abi::linux::{OpenFlags, PollEvents};
use minke_abi::{Errno, Result};

use crate::events::notify::{Happening, Notifier};
use crate::file::File;
use crate::locks::{DescriptionLocks, FileId, FileLocks, ProcessLocks};
use crate::process::Process;
use crate::vfs::{Inode, Location};

/// A descriptor number of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fd(pub u32);

/// An open file description: what `dup`ed descriptors share. Linux: `struct file`.
pub struct FileDescription {
    /// The operations of what was opened.
    pub file: Arc<dyn File>,
    /// Where it was opened, for `openat`, `fchdir` and `/proc/self/fd`; `None` for pipes and sockets.
    pub location: Option<Arc<Location>>,
    flags: AtomicU32,
    offset: Mutex<u64>,
    /// No write goes beyond this size (`RLIMIT_FSIZE`).
    size_max: u64,
    /// Told what is read and written, and when it is closed.
    notifier: Option<Arc<Notifier>>,
    /// Set when it is first locked.
    locks: OnceLock<DescriptionLocks>,
}

impl FileDescription {
    /// Wraps an opened file at position 0. Creation flags (`O_CREAT` and the like) are dropped.
    pub fn new(
        file: Arc<dyn File>,
        location: Option<Arc<Location>>,
        flags: OpenFlags,
    ) -> Arc<FileDescription> {
        FileDescription::limited(file, location, flags, u64::MAX, None)
    }

    /// Wraps an opened file that may be written up to a size, and tells a notifier what happens to it.
    pub fn limited(
        file: Arc<dyn File>,
        location: Option<Arc<Location>>,
        flags: OpenFlags,
        size_max: u64,
        notifier: Option<Arc<Notifier>>,
    ) -> Arc<FileDescription> {
        let kept = flags
            - (OpenFlags::CREAT
                | OpenFlags::EXCL
                | OpenFlags::TRUNC
                | OpenFlags::CLOEXEC
                | OpenFlags::NOCTTY);
        Arc::new(FileDescription {
            file,
            location,
            flags: AtomicU32::new(kept.bits()),
            offset: Mutex::new(0),
            size_max,
            notifier,
            locks: OnceLock::new(),
        })
    }

    /// Returns the access mode and status flags, as `F_GETFL` does.
    pub fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// Replaces the flags that `F_SETFL` may change: `O_APPEND`, `O_NONBLOCK`, `O_DIRECT`, `O_NOATIME`.
    pub fn set_status_flags(&self, flags: OpenFlags) {
        let settable =
            OpenFlags::APPEND | OpenFlags::NONBLOCK | OpenFlags::DIRECT | OpenFlags::NOATIME;
        let new = (self.flags() - settable) | (flags & settable);
        self.flags.store(new.bits(), Ordering::Relaxed);
    }

    /// Whether a call that would block answers `EAGAIN` instead.
    pub fn is_nonblocking(&self) -> bool {
        self.flags().contains(OpenFlags::NONBLOCK)
    }

    /// Reads at the current position and moves it. `EAGAIN` when a stream has nothing yet.
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.check_readable()?;
        if !self.file.is_seekable() {
            return self.file.read(buffer);
        }
        let mut offset = self.offset_guard();
        let count = self.file.read_at(buffer, *offset)?;
        *offset += count as u64;
        drop(offset);
        self.tell(count, Happening::ACCESS);
        Ok(count)
    }

    /// Writes at the current position (at the end with `O_APPEND`) and moves it. What writes nothing moves nothing. Linux:
    /// `generic_write_checks()` in `fs/read_write.c`.
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.check_writable()?;
        if !self.file.is_seekable() {
            return self.file.write(bytes);
        }
        let mut offset = self.offset_guard();
        if self.flags().contains(OpenFlags::APPEND) && !bytes.is_empty() {
            let (count, end) = self.file.append(self.within_limit_at_end(bytes)?)?;
            *offset = end;
            drop(offset);
            self.tell(count, Happening::MODIFY);
            return Ok(count);
        }
        let count = self
            .file
            .write_at(self.within_limit(bytes, *offset)?, *offset)?;
        *offset += count as u64;
        drop(offset);
        self.tell(count, Happening::MODIFY);
        Ok(count)
    }

    /// Reads at a position without moving the description's own (`pread`).
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.check_readable()?;
        let count = self.file.read_at(buffer, offset)?;
        self.tell(count, Happening::ACCESS);
        Ok(count)
    }

    /// Writes at a position without moving the description's own (`pwrite`); appends with `O_APPEND`, as Linux does.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        self.check_writable()?;
        if self.flags().contains(OpenFlags::APPEND) {
            let bytes = self.within_limit_at_end(bytes)?;
            let (count, _) = self.file.append(bytes)?;
            self.tell(count, Happening::MODIFY);
            return Ok(count);
        }
        let bytes = self.within_limit(bytes, offset)?;
        let count = self.file.write_at(bytes, offset)?;
        self.tell(count, Happening::MODIFY);
        Ok(count)
    }

    /// Tells who watches the file that so many bytes were read or written.
    fn tell(&self, count: usize, what: Happening) {
        if count > 0 {
            self.tell_all(what);
        }
    }

    fn tell_all(&self, what: Happening) {
        if let (Some(notifier), Some(location)) = (&self.notifier, &self.location) {
            notifier.tell(location, what);
        }
    }

    /// Returns what of `bytes` may be written at an offset; `EFBIG` when that is nothing. Linux: mm/filemap.c
    /// `generic_write_check_limits()`; `SIGXFSZ` is sent by who answers a program that has signals.
    fn within_limit<'b>(&self, bytes: &'b [u8], offset: u64) -> Result<&'b [u8]> {
        let room = self.size_max.saturating_sub(offset);
        if bytes.len() as u64 <= room {
            return Ok(bytes);
        }
        match usize::try_from(room) {
            Ok(0) | Err(_) => Err(Errno::EFBIG),
            Ok(room) => Ok(&bytes[..room]),
        }
    }

    fn within_limit_at_end<'b>(&self, bytes: &'b [u8]) -> Result<&'b [u8]> {
        if self.size_max == u64::MAX {
            return Ok(bytes);
        }
        self.within_limit(bytes, self.file.metadata()?.size)
    }

    /// Moves the position. POSIX: `lseek()`.
    pub fn seek(&self, target: SeekTarget) -> Result<u64> {
        if !self.file.is_seekable() {
            return Err(Errno::ESPIPE);
        }
        let mut offset = self.offset_guard();
        let (base, delta) = match target {
            SeekTarget::Start(position) => (position, 0),
            SeekTarget::Current(delta) => (*offset, delta),
            SeekTarget::End(delta) => (self.file.metadata()?.size, delta),
            SeekTarget::Data(from) => (self.file.seek_data(from)?, 0),
            SeekTarget::Hole(from) => (self.file.seek_hole(from)?, 0),
        };
        let position = base
            .checked_add_signed(delta)
            .filter(|p| *p <= i64::MAX as u64)
            .ok_or(Errno::EINVAL)?;
        *offset = position;
        Ok(position)
    }

    /// Returns the current position; 0 for a stream.
    pub(crate) fn position(&self) -> u64 {
        *self.offset_guard()
    }

    /// Returns the description's name as a holder of locks, with the file that they are of.
    pub(crate) fn locks(&self, locks: &Arc<FileLocks>) -> Result<&DescriptionLocks> {
        if let Some(held) = self.locks.get() {
            return Ok(held);
        }
        let file = FileId::of(self)?;
        Ok(self
            .locks
            .get_or_init(|| DescriptionLocks::new(locks, file)))
    }

    /// Returns the inode that was opened; `EBADF` for what has none, such as a pipe.
    pub fn inode(&self) -> Result<&Arc<dyn Inode>> {
        let location = self.location.as_ref().ok_or(Errno::EBADF)?;
        Ok(&location.inode)
    }

    /// Returns what of `interest` holds; registers `waker` for changes when given.
    pub fn poll(&self, interest: PollEvents, waker: Option<&std::task::Waker>) -> PollEvents {
        self.file.poll(interest, waker)
    }

    pub(crate) fn check_readable(&self) -> Result<()> {
        let flags = self.flags();
        if flags.contains(OpenFlags::PATH) || !flags.is_readable() {
            Err(Errno::EBADF)
        } else {
            Ok(())
        }
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        let flags = self.flags();
        if flags.contains(OpenFlags::PATH) || !flags.is_writable() {
            Err(Errno::EBADF)
        } else {
            Ok(())
        }
    }

    fn offset_guard(&self) -> MutexGuard<'_, u64> {
        self.offset.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FileDescription {
    fn drop(&mut self) {
        // While the file is open: then nothing else gets its inode number.
        drop(self.locks.take());
        self.tell_all(match self.flags().is_writable() {
            true => Happening::CLOSE_WRITE,
            false => Happening::CLOSE_NOWRITE,
        });
        self.file.close();
    }
}

/// Where [`FileDescription::seek`] goes, from which base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTarget {
    Start(u64),
    Current(i64),
    End(i64),
    /// The next data from a position on (`SEEK_DATA`).
    Data(u64),
    /// The next hole from a position on (`SEEK_HOLE`).
    Hole(u64),
}

/// A slot of a descriptor table.
#[derive(Clone)]
struct Descriptor {
    description: Arc<FileDescription>,
    is_close_on_exec: bool,
}

/// The descriptors of one process. Linux: `struct files_struct`.
pub struct FdTable {
    slots: Mutex<Slots>,
    /// `RLIMIT_NOFILE`: bounds what a guest can make the kernel hold.
    fds_max: AtomicU32,
    /// The process's record locks, which go with any descriptor of their file.
    locks: ProcessLocks,
}

#[derive(Default)]
struct Slots {
    entries: Vec<Option<Descriptor>>,
    /// No slot below this index is free.
    first_free: usize,
}

impl FdTable {
    /// Makes an empty table that holds at most `fds_max` descriptors.
    pub(crate) fn new(fds_max: u32, locks: ProcessLocks) -> FdTable {
        FdTable {
            slots: Mutex::default(),
            fds_max: AtomicU32::new(fds_max),
            locks,
        }
    }

    /// Makes a table with the same descriptors for a child.
    pub(crate) fn fork(&self, locks: ProcessLocks) -> FdTable {
        let slots = self.lock();
        FdTable {
            slots: Mutex::new(Slots {
                entries: slots.entries.clone(),
                first_free: slots.first_free,
            }),
            fds_max: AtomicU32::new(self.fds_max()),
            locks,
        }
    }

    /// Gives a child, whose table this is, what it has instead of what it has inherited ([`File::inherited`]).
    pub(crate) fn become_of(&self, child: &Arc<Process>) {
        let replaced: Vec<_> = {
            let mut slots = self.lock();
            let entries = slots.entries.iter_mut().flatten();
            let own = entries.filter_map(|entry| {
                let file = entry.description.file.inherited(child)?;
                let flags = entry.description.flags();
                let own = FileDescription::new(file, None, flags);
                Some(std::mem::replace(&mut entry.description, own))
            });
            own.collect()
        };
        // The parent has them still.
        drop(replaced);
    }

    /// Closes what is marked so. POSIX: `exec`, `FD_CLOEXEC`.
    pub(crate) fn close_on_exec(&self) {
        let is_marked =
            |entry: &Option<Descriptor>| entry.as_ref().is_some_and(|d| d.is_close_on_exec);
        let closed: Vec<_> = {
            let mut slots = self.lock();
            let marked = (0..slots.entries.len()).filter(|index| is_marked(&slots.entries[*index]));
            let marked: Vec<_> = marked.collect();
            slots.first_free = marked
                .first()
                .map_or(slots.first_free, |first| slots.first_free.min(*first));
            marked
                .iter()
                .filter_map(|index| slots.entries[*index].take())
                .collect()
        };
        for descriptor in &closed {
            self.locks.closed(&descriptor.description);
        }
    }

    /// Notes that the process is about to take a record lock, so that closing gives it back.
    pub(crate) fn expect_locks(&self) {
        self.locks.expect_some();
    }

    /// Returns the description that `fd` names, or `EBADF`.
    pub fn get(&self, fd: Fd) -> Result<Arc<FileDescription>> {
        let slots = self.lock();
        let entry = slots
            .entries
            .get(fd.0 as usize)
            .and_then(Option::as_ref)
            .ok_or(Errno::EBADF)?;
        Ok(Arc::clone(&entry.description))
    }

    /// Gives a description the lowest free number; `EMFILE` when the limit is reached.
    pub fn insert(&self, description: Arc<FileDescription>, is_close_on_exec: bool) -> Result<Fd> {
        self.insert_from(Fd(0), description, is_close_on_exec)
    }

    /// Answers `EMFILE` when no number is free, before something is made that would need one.
    pub fn check_room(&self) -> Result<()> {
        let slots = self.lock();
        let has_gap = || {
            slots
                .entries
                .iter()
                .skip(slots.first_free)
                .any(Option::is_none)
        };
        if slots.entries.len() < self.fds_max() as usize || has_gap() {
            Ok(())
        } else {
            Err(Errno::EMFILE)
        }
    }

    /// Gives a description the lowest free number that is not below `minimum` (`F_DUPFD`).
    pub fn insert_from(
        &self,
        minimum: Fd,
        description: Arc<FileDescription>,
        is_close_on_exec: bool,
    ) -> Result<Fd> {
        let mut slots = self.lock();
        let start = slots.first_free.max(minimum.0 as usize);
        let index = (start..slots.entries.len()).find(|i| slots.entries[*i].is_none());
        let index = index.unwrap_or_else(|| start.max(slots.entries.len()));
        if index >= self.fds_max() as usize {
            return Err(Errno::EMFILE);
        }
        if index >= slots.entries.len() {
            slots.entries.resize_with(index + 1, || None);
        }
        if start == slots.first_free {
            slots.first_free = index + 1;
        }
        slots.entries[index] = Some(Descriptor {
            description,
            is_close_on_exec,
        });
        Ok(Fd(index as u32))
    }

    /// Puts a description at `fd`, closing what was there (`dup2`). `EBADF` above the limit.
    pub fn replace(
        &self,
        fd: Fd,
        description: Arc<FileDescription>,
        is_close_on_exec: bool,
    ) -> Result<()> {
        if fd.0 >= self.fds_max() {
            return Err(Errno::EBADF);
        }
        let index = fd.0 as usize;
        let previous = {
            let mut slots = self.lock();
            if index >= slots.entries.len() {
                slots.entries.resize_with(index + 1, || None);
            }
            slots.entries[index].replace(Descriptor {
                description,
                is_close_on_exec,
            })
        };
        if let Some(previous) = previous {
            self.locks.closed(&previous.description);
        }
        Ok(())
    }

    /// Frees a number and returns what it named; the file closes when its last holder drops it.
    pub fn remove(&self, fd: Fd) -> Result<Arc<FileDescription>> {
        let entry = {
            let mut slots = self.lock();
            let entry = slots
                .entries
                .get_mut(fd.0 as usize)
                .and_then(Option::take)
                .ok_or(Errno::EBADF)?;
            slots.first_free = slots.first_free.min(fd.0 as usize);
            entry
        };
        self.locks.closed(&entry.description);
        Ok(entry.description)
    }

    /// Returns the close-on-exec flag.
    pub fn is_close_on_exec(&self, fd: Fd) -> Result<bool> {
        let slots = self.lock();
        let entry = slots
            .entries
            .get(fd.0 as usize)
            .and_then(Option::as_ref)
            .ok_or(Errno::EBADF)?;
        Ok(entry.is_close_on_exec)
    }

    /// Sets the close-on-exec flag.
    pub fn set_close_on_exec(&self, fd: Fd, is_close_on_exec: bool) -> Result<()> {
        let mut slots = self.lock();
        let entry = slots
            .entries
            .get_mut(fd.0 as usize)
            .and_then(Option::as_mut)
            .ok_or(Errno::EBADF)?;
        entry.is_close_on_exec = is_close_on_exec;
        Ok(())
    }

    /// Lists the numbers in use, ascending.
    pub fn list(&self) -> Vec<Fd> {
        let slots = self.lock();
        slots
            .entries
            .iter()
            .enumerate()
            .filter(|(_, e)| e.is_some())
            .map(|(i, _)| Fd(i as u32))
            .collect()
    }

    /// Closes everything: the process has ended.
    pub fn clear(&self) {
        let entries = {
            let mut slots = self.lock();
            slots.first_free = 0;
            std::mem::take(&mut slots.entries)
        };
        self.locks.closed_all();
        drop(entries);
    }

    /// The most descriptors that the table holds.
    pub fn fds_max(&self) -> u32 {
        self.fds_max.load(Ordering::Relaxed)
    }

    /// Changes how many descriptors the table holds; those that are there stay.
    pub(crate) fn set_fds_max(&self, fds_max: u32) {
        self.fds_max.store(fds_max, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
