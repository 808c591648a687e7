//! Calls that lock files: `flock(2)`, and `F_GETLK`, `F_SETLK`, `F_SETLKW` of `fcntl(2)` with their forms for descriptions.

use std::sync::Arc;
use std::task::Waker;

use minke_abi::linux::{OpenFlags, RecordLock};
use minke_abi::{Errno, Result};

use crate::descriptor::{Fd, FileDescription};
use crate::locks::{FileId, Holder, LockKind, LockedRange, Record, Waiter};
use crate::task::{Patience, Task};

/// Who is to hold a record lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordOwner {
    /// `F_SETLK` and its kin.
    Process,
    /// `F_OFD_SETLK` and its kin.
    Description,
}

impl Task {
    /// Locks a whole file for an open file description, or gives the lock back (`None`). Linux: `flock(2)`.
    ///
    /// # Errors
    /// `EAGAIN` when another description's lock stands in the way and patience has ended; then a lock of the other kind
    /// that the description had is lost, as on Linux. `EINTR` when the process is to end.
    pub async fn lock_file(
        &self,
        fd: Fd,
        kind: Option<LockKind>,
        patience: Patience,
    ) -> Result<()> {
        let description = self.open_description_of(fd)?;
        let locks = &self.process.kernel.locks;
        let held = description.locks(locks)?;
        let Some(kind) = kind else {
            locks.release_whole(held.file, held.id);
            return Ok(());
        };
        let attempt = |waker: Option<&Waker>| locks.take_whole(held.file, held.id, kind, waker);
        self.try_locking(patience, attempt).await
    }

    /// Returns the lock of somebody else that stands in the way of one. Linux: `F_GETLK`, `F_OFD_GETLK`; the second
    /// asks with [`RecordLock::UNLOCK`] for a lock of the description itself, since Linux 6.6.
    pub fn conflicting_record_lock(
        &self,
        fd: Fd,
        wanted: &RecordLock,
        owner: RecordOwner,
    ) -> Result<Option<RecordLock>> {
        let description = self.open_description_of(fd)?;
        let range = range_of(&description, wanted)?;
        let kind = kind_of(wanted)?;
        let (file, holder) = self.holder(&description, wanted, owner)?;
        let locks = &self.process.kernel.locks;
        let found = match (kind, owner) {
            (Some(kind), _) => {
                let wanted = Record {
                    holder,
                    range,
                    kind,
                };
                locks.record_conflict(file, &wanted)
            }
            (None, RecordOwner::Description) => locks.record_of(file, holder, &range),
            (None, RecordOwner::Process) => return Err(Errno::EINVAL),
        };
        Ok(found.map(|record| shown(&record)))
    }

    /// Locks a range of a file, or gives it back. Linux: `F_SETLK`, `F_SETLKW` and their `F_OFD_` forms.
    ///
    /// # Errors
    /// `EBADF` if the descriptor is not open for reading or writing as the lock asks; `EAGAIN` when somebody's lock stands
    /// in the way and patience has ended; `EDEADLK` if the process would wait for itself; `ENOLCK` beyond
    /// [`RECORDS_MAX`](crate::locks::RECORDS_MAX); `EINTR` when the process is to end.
    pub async fn set_record_lock(
        &self,
        fd: Fd,
        wanted: &RecordLock,
        owner: RecordOwner,
        patience: Patience,
    ) -> Result<()> {
        let description = self.open_description_of(fd)?;
        let range = range_of(&description, wanted)?;
        let kind = kind_of(wanted)?;
        check_mode(&description, kind)?;
        let (file, holder) = self.holder(&description, wanted, owner)?;
        let locks = &self.process.kernel.locks;
        let Some(kind) = kind else {
            return locks.release_record(file, holder, range);
        };
        if owner == RecordOwner::Process {
            self.process.fds.expect_locks();
        }
        let wanted = Record {
            holder,
            range,
            kind,
        };
        let end = EndWait(self);
        let attempt = |waker: Option<&Waker>| {
            let tid = self.tid;
            let waiter = waker.map(|waker| Waiter { tid, waker });
            locks.take_record(file, &wanted, waiter)
        };
        self.try_locking(patience, attempt).await?;
        drop(end);
        self.give_back_if_closed(fd, &description, file, holder);
        Ok(())
    }

    /// Another thread may have closed the descriptor meanwhile, and found nothing to give back. Linux: fs/locks.c
    /// `fcntl_setlk()`, the close/fcntl race.
    fn give_back_if_closed(
        &self,
        fd: Fd,
        description: &Arc<FileDescription>,
        file: FileId,
        holder: Holder,
    ) {
        let now = self.process.fds.get(fd);
        let is_closed = !now.is_ok_and(|now| Arc::ptr_eq(&now, description));
        if is_closed && matches!(holder, Holder::Process(_)) {
            self.process.kernel.locks.release_records(file, holder);
        }
    }

    /// Tries to lock; between tries, the waker that an attempt was given is woken when the file's locks change.
    async fn try_locking(
        &self,
        patience: Patience,
        mut attempt: impl FnMut(Option<&Waker>) -> Result<()>,
    ) -> Result<()> {
        let deadline = match (attempt(None), patience) {
            (Err(Errno::EAGAIN), Patience::Until(deadline)) => deadline,
            (done, _) => return done,
        };
        self.wait_for(deadline, |cx| match attempt(Some(cx.waker())) {
            Err(Errno::EAGAIN) => None,
            done => Some(done),
        })
        .await
        .unwrap_or(Err(Errno::EAGAIN))
    }

    fn holder(
        &self,
        description: &FileDescription,
        wanted: &RecordLock,
        owner: RecordOwner,
    ) -> Result<(FileId, Holder)> {
        match owner {
            RecordOwner::Process => {
                Ok((FileId::of(description)?, Holder::Process(self.process.pid)))
            }
            // Linux: `fcntl_setlk()`: no process is named.
            RecordOwner::Description if wanted.pid != 0 => Err(Errno::EINVAL),
            RecordOwner::Description => {
                let held = description.locks(&self.process.kernel.locks)?;
                Ok((held.file, Holder::Description(held.id)))
            }
        }
    }
}

/// Forgets that a task waits, however its wait ends.
struct EndWait<'a>(&'a Task);

impl Drop for EndWait<'_> {
    fn drop(&mut self) {
        self.0.process.kernel.locks.end_wait(self.0.tid);
    }
}

fn kind_of(lock: &RecordLock) -> Result<Option<LockKind>> {
    match lock.kind {
        RecordLock::READ => Ok(Some(LockKind::Shared)),
        RecordLock::WRITE => Ok(Some(LockKind::Exclusive)),
        RecordLock::UNLOCK => Ok(None),
        _ => Err(Errno::EINVAL),
    }
}

/// Checks that a description is open for what its lock lets it do.
fn check_mode(description: &FileDescription, kind: Option<LockKind>) -> Result<()> {
    let flags: OpenFlags = description.flags();
    let is_open = match kind {
        Some(LockKind::Shared) => flags.is_readable(),
        Some(LockKind::Exclusive) => flags.is_writable(),
        None => true,
    };
    if is_open { Ok(()) } else { Err(Errno::EBADF) }
}

/// Returns the bytes that a lock names. POSIX: `fcntl()`, "the interpretation of l_start and l_len".
fn range_of(description: &FileDescription, lock: &RecordLock) -> Result<LockedRange> {
    let base = match lock.whence {
        0 => 0,
        1 => description.position(),
        2 => description.file.metadata()?.size,
        _ => return Err(Errno::EINVAL),
    };
    let start = i64::try_from(base)
        .ok()
        .and_then(|base| base.checked_add(lock.start))
        .ok_or(Errno::EOVERFLOW)?;
    let (start, last) = match lock.length {
        0 => (start, i64::MAX),
        length if length > 0 => {
            let last = start.checked_add(length - 1).ok_or(Errno::EOVERFLOW)?;
            (start, last)
        }
        length => (
            start.checked_add(length).ok_or(Errno::EINVAL)?,
            start.checked_sub(1).ok_or(Errno::EINVAL)?,
        ),
    };
    let (Ok(start), Ok(last)) = (u64::try_from(start), u64::try_from(last)) else {
        return Err(Errno::EINVAL);
    };
    Ok(LockedRange { start, last })
}

/// Returns a lock as `F_GETLK` tells it.
fn shown(record: &Record) -> RecordLock {
    let LockedRange { start, last } = record.range;
    let length = match last {
        LockedRange::LAST_MAX => 0,
        last => last - start + 1,
    };
    RecordLock {
        kind: match record.kind {
            LockKind::Shared => RecordLock::READ,
            LockKind::Exclusive => RecordLock::WRITE,
        },
        whence: 0,
        start: start.cast_signed(),
        length: length.cast_signed(),
        pid: match record.holder {
            Holder::Process(pid) => pid.0.cast_signed(),
            Holder::Description(_) => -1,
        },
    }
}
