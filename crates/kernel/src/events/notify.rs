//! What happens to files and in directories. Linux: fs/notify; `inotify(7)`.
//!
//! Calls that change names, attributes or contents tell the container's [`Notifier`], which knows by file who watches. While
//! nobody watches anything, that costs one look at a number. A watch holds its file, until its last name is gone.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use bitflags::bitflags;
use minke_abi::linux::{FileType, PollEvents};
use minke_abi::{Errno, Result};

use crate::anonymous::AnonymousInode;
use crate::file::File;
use crate::kernel::{MemoryBudget, Use};
use crate::task::Task;
use crate::vfs::{Inode, Location, Metadata};
use crate::wait::WaitQueue;

/// What a watch costs the container's memory budget.
const WATCH_BYTES: u64 = 256;

/// Most watches of one descriptor. Linux: `/proc/sys/fs/inotify/max_user_watches`, there for each user.
const WATCHES_MAX: usize = 65_536;

/// Most events that wait to be read; what comes then is told as one loss. Linux: `max_queued_events`.
const EVENTS_MAX: usize = 16_384;

/// What a queued event costs the container's memory budget, beside its name.
const EVENT_BYTES: u64 = 64;

/// Bytes of `struct inotify_event` without a name, and what names are padded to.
const HEADER_BYTES: usize = 16;

bitflags! {
    /// What happens, and how it is watched. Linux: include/uapi/linux/inotify.h.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Happening: u32 {
        const ACCESS = 0x1;
        const MODIFY = 0x2;
        const ATTRIB = 0x4;
        const CLOSE_WRITE = 0x8;
        const CLOSE_NOWRITE = 0x10;
        const OPEN = 0x20;
        const MOVED_FROM = 0x40;
        const MOVED_TO = 0x80;
        const CREATE = 0x100;
        const DELETE = 0x200;
        const DELETE_SELF = 0x400;
        const MOVE_SELF = 0x800;
        /// All of the above.
        const ALL = 0xfff;
        const UNMOUNT = 0x2000;
        const Q_OVERFLOW = 0x4000;
        const IGNORED = 0x8000;
        const ONLYDIR = 0x0100_0000;
        const DONT_FOLLOW = 0x0200_0000;
        const EXCL_UNLINK = 0x0400_0000;
        const MASK_CREATE = 0x1000_0000;
        const MASK_ADD = 0x2000_0000;
        const ISDIR = 0x4000_0000;
        const ONESHOT = 0x8000_0000;
    }
}

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FileKey {
    device: u64,
    inode: u64,
}

impl FileKey {
    fn of(inode: &dyn Inode) -> Option<FileKey> {
        let metadata = inode.metadata().ok()?;
        Some(FileKey {
            device: metadata.device,
            inode: metadata.inode,
        })
    }
}

/// Who watches which file, for a whole container. Linux: `fsnotify`.
#[derive(Default)]
pub struct Notifier {
    watches: AtomicUsize,
    watchers: Mutex<HashMap<FileKey, Vec<Watcher>>>,
    last_cookie: AtomicU32,
}

#[derive(Clone)]
struct Watcher {
    watches: Weak<Watches>,
    number: i32,
}

impl Notifier {
    /// Whether anybody watches anything.
    pub fn is_watched(&self) -> bool {
        self.watches.load(Ordering::Relaxed) > 0
    }

    /// Tells what happened to a file: to who watches it, and to who watches the directory that it was found in.
    pub fn tell(&self, location: &Location, what: Happening) {
        if !self.is_watched() {
            return;
        }
        let what = what | directory_flag(&*location.inode);
        self.tell_file(&*location.inode, what);
        match &location.parent {
            Some(parent) => self.tell_directory(&**parent, &location.name, what, 0),
            None => {
                let found = location.inode.parent().and_then(|parent| {
                    let name = location.inode.name()?;
                    Ok((parent, name))
                });
                // What has no directory above it is a root.
                if let Ok((parent, name)) = found
                    && parent.number() != location.inode.number()
                {
                    self.tell_directory(&*parent, &name, what, 0);
                }
            }
        }
    }

    /// Tells what happened to a file itself.
    pub fn tell_file(&self, inode: &dyn Inode, what: Happening) {
        if self.is_watched() {
            self.deliver(inode, what, 0, &[]);
        }
    }

    /// Tells what happened to a name in a directory. Two ends of a move have the same cookie.
    pub fn tell_directory(&self, directory: &dyn Inode, name: &[u8], what: Happening, cookie: u32) {
        if self.is_watched() {
            self.deliver(directory, what, cookie, name);
        }
    }

    /// Tells that a name is gone from a directory, and the file too if it was its last. Linux: fs/namei.c `vfs_unlink()`.
    pub fn tell_removed(&self, directory: &dyn Inode, name: &[u8], inode: &dyn Inode) {
        if !self.is_watched() {
            return;
        }
        let flag = directory_flag(inode);
        if flag.is_empty() {
            self.tell_file(inode, Happening::ATTRIB);
        }
        self.tell_directory(directory, name, Happening::DELETE | flag, 0);
        self.tell_end(inode);
    }

    /// Tells a file that another has taken a name from it.
    pub fn tell_replaced(&self, inode: &dyn Inode) {
        if !self.is_watched() {
            return;
        }
        self.tell_file(inode, Happening::ATTRIB | directory_flag(inode));
        self.tell_end(inode);
    }

    /// Tells a file without names that it is gone. Linux waits with that until nobody has it open any more.
    fn tell_end(&self, inode: &dyn Inode) {
        let is_gone = inode.file_type() == FileType::Directory
            || inode.metadata().is_ok_and(|metadata| metadata.links == 0);
        if is_gone {
            self.deliver(inode, Happening::DELETE_SELF, 0, &[]);
            self.forget(inode);
        }
    }

    /// Returns a number that ties the two ends of a move together.
    pub fn next_cookie(&self) -> u32 {
        self.last_cookie
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1)
    }

    fn deliver(&self, inode: &dyn Inode, what: Happening, cookie: u32, name: &[u8]) {
        let Some(key) = FileKey::of(inode) else {
            return;
        };
        for watcher in self.watchers_of(key) {
            if let Some(watches) = watcher.watches.upgrade() {
                watches.happened(watcher.number, what, cookie, name, self);
            }
        }
    }

    /// Forgets all watches of a file that is gone.
    fn forget(&self, inode: &dyn Inode) {
        let Some(key) = FileKey::of(inode) else {
            return;
        };
        for watcher in self.watchers_of(key) {
            if let Some(watches) = watcher.watches.upgrade() {
                // It may have gone meanwhile.
                let _ = watches.remove(watcher.number, self);
            }
        }
    }

    fn watchers_of(&self, key: FileKey) -> Vec<Watcher> {
        self.lock().get(&key).cloned().unwrap_or_default()
    }

    fn add(&self, key: FileKey, watcher: Watcher) {
        self.lock().entry(key).or_default().push(watcher);
        self.watches.fetch_add(1, Ordering::Relaxed);
    }

    fn remove(&self, key: FileKey, watches: &Weak<Watches>, number: i32) {
        let mut watchers = self.lock();
        let Some(of_file) = watchers.get_mut(&key) else {
            return;
        };
        of_file.retain(|it| it.number != number || !it.watches.ptr_eq(watches));
        if of_file.is_empty() {
            watchers.remove(&key);
        }
        self.watches.fetch_sub(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FileKey, Vec<Watcher>>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn directory_flag(inode: &dyn Inode) -> Happening {
    match inode.file_type() {
        FileType::Directory => Happening::ISDIR,
        _ => Happening::empty(),
    }
}

/// The watches of one descriptor, and what has happened to them.
struct Watches {
    memory: Arc<MemoryBudget>,
    state: Mutex<State>,
    waiters: WaitQueue,
    own: Weak<Watches>,
}

#[derive(Default)]
struct State {
    watches: BTreeMap<i32, Watch>,
    last_number: i32,
    events: VecDeque<Event>,
}

struct Watch {
    key: FileKey,
    wanted: Happening,
    /// Keeps the file's number its own.
    _inode: Arc<dyn Inode>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    number: i32,
    what: Happening,
    cookie: u32,
    name: Vec<u8>,
}

impl Event {
    fn overflow() -> Event {
        Event {
            number: -1,
            what: Happening::Q_OVERFLOW,
            cookie: 0,
            name: Vec::new(),
        }
    }

    fn cost(&self) -> u64 {
        EVENT_BYTES + self.name.len() as u64
    }

    /// Bytes that its name takes: with a zero, padded to the header's size; none for no name.
    fn name_bytes(&self) -> usize {
        match self.name.len() {
            0 => 0,
            length => (length + 1).next_multiple_of(HEADER_BYTES),
        }
    }

    fn encode_into(&self, bytes: &mut [u8]) {
        let words = [
            self.number.cast_unsigned(),
            self.what.bits(),
            self.cookie,
            self.name_bytes() as u32,
        ];
        let header = words.map(u32::to_le_bytes);
        bytes[..HEADER_BYTES].copy_from_slice(header.as_flattened());
        let name = &mut bytes[HEADER_BYTES..];
        name.fill(0);
        name[..self.name.len()].copy_from_slice(&self.name);
    }
}

impl Watches {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues what happened, if it is wanted.
    fn happened(&self, number: i32, what: Happening, cookie: u32, name: &[u8], all: &Notifier) {
        let is_once = {
            let mut state = self.lock();
            let Some(watch) = state.watches.get(&number) else {
                return;
            };
            if !watch.wanted.intersects(what & Happening::ALL) {
                return;
            }
            let is_once = watch.wanted.contains(Happening::ONESHOT);
            let event = Event {
                number,
                what,
                cookie,
                name: name.to_vec(),
            };
            self.queue(&mut state, event);
            is_once
        };
        self.waiters.wake_all();
        if is_once {
            let _ = self.remove(number, all);
        }
    }

    /// An event that is the same as the last is not told twice; what there is no room for is told as lost.
    fn queue(&self, state: &mut State, event: Event) {
        if state.events.back() == Some(&event) {
            return;
        }
        let fits = state.events.len() < EVENTS_MAX
            && self.memory.charge_for(Use::Kernel, event.cost()).is_ok();
        if fits {
            state.events.push_back(event);
        } else if state.events.back() != Some(&Event::overflow()) {
            // It has no name, and there is one at most behind others: it is not charged.
            state.events.push_back(Event::overflow());
        }
    }

    fn remove(&self, number: i32, all: &Notifier) -> Result<()> {
        let watch = {
            let mut state = self.lock();
            let watch = state.watches.remove(&number).ok_or(Errno::EINVAL)?;
            let event = Event {
                number,
                what: Happening::IGNORED,
                cookie: 0,
                name: Vec::new(),
            };
            self.queue(&mut state, event);
            watch
        };
        all.remove(watch.key, &self.own, number);
        self.memory.release_for(Use::Kernel, WATCH_BYTES);
        self.waiters.wake_all();
        // The file may go with it, without a lock.
        drop(watch);
        Ok(())
    }

    fn release(&self, event: &Event) {
        if *event != Event::overflow() {
            self.memory.release_for(Use::Kernel, event.cost());
        }
    }
}

/// A descriptor that tells what happens to files.
pub struct Inotify {
    watches: Arc<Watches>,
    all: Arc<Notifier>,
    inode: AnonymousInode,
}

impl Inotify {
    /// Makes one that watches nothing and belongs to a task's user.
    pub fn new(task: &Task) -> Inotify {
        let kernel = &task.process.kernel;
        Inotify {
            watches: Arc::new_cyclic(|own| Watches {
                memory: Arc::clone(&kernel.memory),
                state: Mutex::default(),
                waiters: WaitQueue::default(),
                own: own.clone(),
            }),
            all: Arc::clone(&kernel.notifier),
            inode: AnonymousInode::of(task, FileType::Fifo),
        }
    }

    /// Watches a file, or changes what is wanted of it; returns the watch's number.
    pub fn watch(&self, inode: &Arc<dyn Inode>, wanted: Happening) -> Result<i32> {
        let key = FileKey::of(&**inode).ok_or(Errno::EACCES)?;
        let kept = wanted & (Happening::ALL | Happening::ONESHOT | Happening::EXCL_UNLINK);
        let mut state = self.watches.lock();
        let known = state.watches.iter_mut().find(|(_, it)| it.key == key);
        if let Some((number, watch)) = known {
            if wanted.contains(Happening::MASK_CREATE) {
                return Err(Errno::EEXIST);
            }
            watch.wanted = match wanted.contains(Happening::MASK_ADD) {
                true => watch.wanted | kept,
                false => kept,
            };
            return Ok(*number);
        }
        if state.watches.len() >= WATCHES_MAX {
            return Err(Errno::ENOSPC);
        }
        self.watches.memory.charge_for(Use::Kernel, WATCH_BYTES)?;
        state.last_number = state.last_number.wrapping_add(1).max(1);
        let number = state.last_number;
        state.watches.insert(
            number,
            Watch {
                key,
                wanted: kept,
                _inode: Arc::clone(inode),
            },
        );
        drop(state);
        let watches = Arc::downgrade(&self.watches);
        self.all.add(key, Watcher { watches, number });
        Ok(number)
    }

    /// Stops watching; `EINVAL` for a number that no watch has.
    pub fn forget(&self, number: i32) -> Result<()> {
        self.watches.remove(number, &self.all)
    }
}

impl File for Inotify {
    /// Reads as many events as fit whole; `EINVAL` if not even one does.
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let mut state = self.watches.lock();
        let mut length = 0;
        while let Some(event) = state.events.front() {
            let end = length + HEADER_BYTES + event.name_bytes();
            let Some(room) = buffer.get_mut(length..end) else {
                break;
            };
            event.encode_into(room);
            length = end;
            if let Some(event) = state.events.pop_front() {
                self.watches.release(&event);
            }
        }
        match (length, state.events.is_empty()) {
            (0, true) => Err(Errno::EAGAIN),
            (0, false) => Err(Errno::EINVAL),
            (length, _) => Ok(length),
        }
    }

    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        if let Some(waker) = waker {
            self.watches.waiters.register(waker);
        }
        let mut ready = PollEvents::empty();
        ready.set(PollEvents::IN, !self.watches.lock().events.is_empty());
        ready & interest
    }

    fn readable_bytes(&self) -> Result<usize> {
        let state = self.watches.lock();
        let events = state.events.iter();
        Ok(events.map(|event| HEADER_BYTES + event.name_bytes()).sum())
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.inode.metadata())
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        let state = std::mem::take(&mut *self.watches.lock());
        for (number, watch) in &state.watches {
            self.all.remove(watch.key, &self.watches.own, *number);
            self.watches.memory.release_for(Use::Kernel, WATCH_BYTES);
        }
        for event in &state.events {
            self.watches.release(event);
        }
    }
}
