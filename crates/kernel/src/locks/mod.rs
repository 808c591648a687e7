//! Locks on files that programs agree on: `flock(2)` and the record locks of `fcntl(2)`.
//!
//! One table serves all file systems of a container, host directories too: it knows a file by its device and inode
//! numbers, which nothing else gets while somebody holds a lock, because whoever does has the file open. Locks of
//! other containers and of the host's programs are not seen (see `docs/compat/vfs.md`).
//!
//! | kind | held by | given back |
//! |---|---|---|
//! | record lock (`F_SETLK`) | the process | when the process closes any descriptor of the file |
//! | record lock (`F_OFD_SETLK`) | the open file description | when its last descriptor is closed |
//! | whole file (`flock`) | the open file description | when its last descriptor is closed |
//!
//! The two kinds of record locks conflict with each other, and neither with those of whole files. Linux: `fs/locks.c`,
//! `flock(2)`, `fcntl(2)` "Advisory record locking".

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use minke_abi::{Errno, Result};

use crate::descriptor::FileDescription;
use crate::process::Pid;
use crate::wait::WaitQueue;

mod records;

use records::Records;
pub use records::{LockedRange, Record};

/// Record locks that the processes of a container hold together: `ENOLCK` beyond. Each look goes through a file's locks.
/// Locks of whole files are at most as many as there are open descriptions.
pub const RECORDS_MAX: usize = 4_096;

/// Which file. Linux: `struct inode *`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(description: &FileDescription) -> Result<FileId> {
        let metadata = description.file.metadata()?;
        Ok(FileId {
            device: metadata.device,
            inode: metadata.inode,
        })
    }
}

/// Names a description that has held a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptionId(u64);

/// Who holds a record lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Process(Pid),
    Description(DescriptionId),
}

/// What a lock lets others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Others may hold such a lock too.
    Shared,
    Exclusive,
}

impl LockKind {
    fn conflicts(self, other: LockKind) -> bool {
        self == LockKind::Exclusive || other == LockKind::Exclusive
    }
}

/// A task that waits when there is a conflict: its number and what wakes it.
#[derive(Clone, Copy)]
pub(crate) struct Waiter<'a> {
    pub(crate) tid: u32,
    pub(crate) waker: &'a Waker,
}

/// All locks of a container. Its lock is a leaf.
#[derive(Debug, Default)]
pub struct FileLocks {
    table: Mutex<Table>,
    /// Numbers for [`DescriptionId`].
    descriptions_count: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    /// Files that somebody has locked.
    files: HashMap<FileId, LockedFile>,
    records_count: usize,
    /// Processes that wait for record locks.
    waits: Vec<Wait>,
}

/// A task that waits for a record lock.
#[derive(Debug)]
struct Wait {
    tid: u32,
    pid: Pid,
    file: FileId,
    blocker: Holder,
}

#[derive(Debug, Default)]
struct LockedFile {
    records: Records,
    /// Locks of the whole file, one of each description at most.
    whole: Vec<(DescriptionId, LockKind)>,
    waiters: Arc<WaitQueue>,
}

impl LockedFile {
    fn is_free(&self) -> bool {
        self.records.is_empty() && self.whole.is_empty()
    }
}

impl FileLocks {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a lock that stands in the way of a record lock.
    pub(crate) fn record_conflict(&self, file: FileId, wanted: &Record) -> Option<Record> {
        let table = self.table();
        table.files.get(&file)?.records.conflict(wanted).copied()
    }

    /// Returns the first lock of a holder that lies in a range.
    pub(crate) fn record_of(
        &self,
        file: FileId,
        holder: Holder,
        range: &LockedRange,
    ) -> Option<Record> {
        let table = self.table();
        table.files.get(&file)?.records.of(holder, range).copied()
    }

    /// Takes a record lock. `EAGAIN` when somebody else's stands in the way: then `waiter`, if there is one, is
    /// woken when the file's locks change; `EDEADLK` when it would wait for itself; `ENOLCK` at the limit.
    pub(crate) fn take_record(
        &self,
        file: FileId,
        wanted: &Record,
        waiter: Option<Waiter<'_>>,
    ) -> Result<()> {
        let mut table = self.table();
        table.forget_wait(waiter);
        let locked = table.files.get(&file);
        if let Some(conflict) = locked.and_then(|it| it.records.conflict(wanted)) {
            let blocker = conflict.holder;
            return Err(table.wait_for_record(file, wanted.holder, blocker, waiter));
        }
        let woken = table.set_record(file, wanted.holder, wanted.range, Some(wanted.kind))?;
        drop(table);
        wake(woken);
        Ok(())
    }

    /// Takes a range away from its holder; `ENOLCK` when that would make more locks than there may be.
    pub(crate) fn release_record(
        &self,
        file: FileId,
        holder: Holder,
        range: LockedRange,
    ) -> Result<()> {
        let woken = self.table().set_record(file, holder, range, None)?;
        wake(woken);
        Ok(())
    }

    /// Takes the lock of a whole file. A lock of another kind is given back first, and stays so when this gives
    /// `EAGAIN`. Linux: `flock(2)`, "converting a lock".
    pub(crate) fn take_whole(
        &self,
        file: FileId,
        holder: DescriptionId,
        kind: LockKind,
        waker: Option<&Waker>,
    ) -> Result<()> {
        let mut table = self.table();
        let locked = table.files.entry(file).or_default();
        if locked.whole.contains(&(holder, kind)) {
            return Ok(());
        }
        let before = locked.whole.len();
        locked.whole.retain(|(other, _)| *other != holder);
        let woken = (locked.whole.len() < before).then(|| Arc::clone(&locked.waiters));
        let is_free = !locked.whole.iter().any(|(_, held)| held.conflicts(kind));
        if is_free {
            locked.whole.push((holder, kind));
        } else if let Some(waker) = waker {
            locked.waiters.register(waker);
        }
        drop(table);
        wake(woken);
        if is_free { Ok(()) } else { Err(Errno::EAGAIN) }
    }

    /// Gives the lock of a whole file back, if there is one.
    pub(crate) fn release_whole(&self, file: FileId, holder: DescriptionId) {
        let woken = self.table().change(file, |locked| {
            locked.whole.retain(|(other, _)| *other != holder);
        });
        wake(woken);
    }

    /// Takes all record locks of a file away from a holder.
    pub(crate) fn release_records(&self, file: FileId, holder: Holder) {
        let mut table = self.table();
        let woken = table.release_holder(file, holder);
        drop(table);
        wake(woken);
    }

    /// Takes the record locks of all files away from a process that has ended.
    fn release_process(&self, pid: Pid) {
        let mut table = self.table();
        let files: Vec<FileId> = table.files.keys().copied().collect();
        let woken: Vec<_> = files
            .into_iter()
            .filter_map(|file| table.release_holder(file, Holder::Process(pid)))
            .collect();
        drop(table);
        woken.into_iter().for_each(|waiters| waiters.wake_all());
    }

    /// Forgets that a task waits.
    pub(crate) fn end_wait(&self, tid: u32) {
        self.table().waits.retain(|wait| wait.tid != tid);
    }

    fn next_description(&self) -> DescriptionId {
        DescriptionId(self.descriptions_count.fetch_add(1, Ordering::Relaxed))
    }
}

/// Wakes those who wait for a file's locks; not under the table's lock.
fn wake(waiters: Option<Arc<WaitQueue>>) {
    if let Some(waiters) = waiters {
        waiters.wake_all();
    }
}

impl Table {
    fn forget_wait(&mut self, waiter: Option<Waiter<'_>>) {
        if let Some(waiter) = waiter {
            self.waits.retain(|wait| wait.tid != waiter.tid);
        }
    }

    /// Changes a file's locks; returns who is to be woken. Who waited looks again, so nobody waits for what was.
    fn change(
        &mut self,
        file: FileId,
        change: impl FnOnce(&mut LockedFile),
    ) -> Option<Arc<WaitQueue>> {
        let locked = self.files.get_mut(&file)?;
        let before = locked.records.len();
        change(locked);
        self.records_count = self.records_count + locked.records.len() - before;
        let waiters = Arc::clone(&locked.waiters);
        if locked.is_free() {
            self.files.remove(&file);
        }
        self.waits.retain(|wait| wait.file != file);
        Some(waiters)
    }

    fn set_record(
        &mut self,
        file: FileId,
        holder: Holder,
        range: LockedRange,
        kind: Option<LockKind>,
    ) -> Result<Option<Arc<WaitQueue>>> {
        if kind.is_some() {
            self.files.entry(file).or_default();
        }
        let Some(locked) = self.files.get(&file) else {
            return Ok(None);
        };
        let may_be_full = self.records_count + Records::GROWTH_MAX > RECORDS_MAX;
        let growth = || locked.records.growth_max(holder, &range, kind);
        if may_be_full && self.records_count + growth() > RECORDS_MAX {
            // An entry that was made for this lock goes again.
            self.change(file, |_| {});
            return Err(Errno::ENOLCK);
        }
        Ok(self.change(file, |locked| locked.records.set(holder, range, kind)))
    }

    fn release_holder(&mut self, file: FileId, holder: Holder) -> Option<Arc<WaitQueue>> {
        let mut had_any = false;
        let waiters = self.change(file, |locked| had_any = locked.records.release(holder));
        waiters.filter(|_| had_any)
    }

    /// Notes whom a task waits for; returns what the try answers.
    fn wait_for_record(
        &mut self,
        file: FileId,
        holder: Holder,
        blocker: Holder,
        waiter: Option<Waiter<'_>>,
    ) -> Errno {
        let Some(waiter) = waiter else {
            return Errno::EAGAIN;
        };
        // Descriptions have no waits of their own, so only processes are found out. Linux: fcntl(2), "Open file
        // description locks": no deadlock detection.
        if let Holder::Process(pid) = holder {
            if self.waits_for(blocker, holder) {
                return Errno::EDEADLK;
            }
            self.waits.push(Wait {
                tid: waiter.tid,
                pid,
                file,
                blocker,
            });
        }
        if let Some(locked) = self.files.get(&file) {
            locked.waiters.register(waiter.waker);
        }
        Errno::EAGAIN
    }

    /// Whether somebody waits for `end`, himself or through others.
    fn waits_for(&self, start: Holder, end: Holder) -> bool {
        let mut reached = vec![start];
        let mut index = 0;
        while let Some(&holder) = reached.get(index) {
            if holder == end {
                return true;
            }
            let of_holder = |wait: &&Wait| Holder::Process(wait.pid) == holder;
            for wait in self.waits.iter().filter(of_holder) {
                if !reached.contains(&wait.blocker) {
                    reached.push(wait.blocker);
                }
            }
            index += 1;
        }
        false
    }
}

/// What a process needs to give its record locks back. Linux: `locks_remove_posix()`.
#[derive(Debug)]
pub(crate) struct ProcessLocks {
    locks: Arc<FileLocks>,
    pid: Pid,
    /// It has taken one at some time, so that closing has to look.
    has_any: AtomicBool,
}

impl ProcessLocks {
    pub(crate) fn new(locks: Arc<FileLocks>, pid: Pid) -> ProcessLocks {
        ProcessLocks {
            locks,
            pid,
            has_any: AtomicBool::new(false),
        }
    }

    /// Notes that the process is about to take a lock.
    pub(crate) fn expect_some(&self) {
        self.has_any.store(true, Ordering::Release);
    }

    /// Gives back what the process holds of a file, because it has closed a descriptor of it.
    pub(crate) fn closed(&self, description: &FileDescription) {
        if !self.has_any.load(Ordering::Acquire) {
            return;
        }
        if let Ok(file) = FileId::of(description) {
            self.locks.release_records(file, Holder::Process(self.pid));
        }
    }

    /// Gives everything back.
    pub(crate) fn closed_all(&self) {
        if self.has_any.swap(false, Ordering::AcqRel) {
            self.locks.release_process(self.pid);
        }
    }
}

/// The locks of one description, given back when it is dropped. Linux: `locks_remove_file()`.
#[derive(Debug)]
pub(crate) struct DescriptionLocks {
    locks: Arc<FileLocks>,
    pub(crate) file: FileId,
    pub(crate) id: DescriptionId,
}

impl DescriptionLocks {
    pub(crate) fn new(locks: &Arc<FileLocks>, file: FileId) -> DescriptionLocks {
        DescriptionLocks {
            locks: Arc::clone(locks),
            file,
            id: locks.next_description(),
        }
    }
}

impl Drop for DescriptionLocks {
    fn drop(&mut self) {
        self.locks.release_whole(self.file, self.id);
        self.locks
            .release_records(self.file, Holder::Description(self.id));
    }
}
