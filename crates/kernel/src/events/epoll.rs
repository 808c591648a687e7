//! Which of many descriptors are ready. Linux: fs/eventpoll.c; `epoll(7)`.
//!
//! Each watched description has a waker of its own, which puts the watch into a queue. A wait looks only at what is queued,
//! so its cost does not grow with what is watched. What is level-triggered goes back to the queue's end when it was told.
//!
//! A watch does not keep its description open: once the last descriptor is closed it is forgotten at the next look.
//! Descriptions are asked without any lock of the set, since they may be sets themselves; how deep those nest is bounded.
//!
//! Where a waker fires though nothing is new (sockets of the host do), an edge may be told again.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};

use bitflags::bitflags;
use minke_abi::linux::{FileType, OpenFlags, PollEvents};
use minke_abi::{Errno, Result};

use crate::anonymous::AnonymousInode;
use crate::descriptor::{Fd, FileDescription};
use crate::file::File;
use crate::kernel::{MemoryBudget, Use};
use crate::task::Task;
use crate::vfs::Metadata;
use crate::wait::WaitQueue;

/// What a watch costs the container's memory budget: its entries, its bell and its place in the file's queue.
const WATCH_BYTES: u64 = 256;

/// Most watches of one set: bounds what one look may cost. Linux: `/proc/sys/fs/epoll/max_user_watches`.
const WATCHES_MAX: usize = 65_536;

/// Sets that are watched by one another, one in the other. Linux: `EP_MAX_NESTS`.
const NESTING_MAX: usize = 4;

/// Queued names of watches that are gone, before they are taken out.
const STALE_MAX: usize = 64;

/// One change at a time to which sets watch which: otherwise two could close a loop together. Linux: `epnested_mutex`.
static NESTING: Mutex<()> = Mutex::new(());

bitflags! {
    /// How a description is watched, beside for what.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct WatchFlags: u32 {
        /// One waiter of those of several sets is enough: all are woken here.
        const EXCLUSIVE = 1 << 28;
        const WAKEUP = 1 << 29;
        /// Told once, until it is changed.
        const ONESHOT = 1 << 30;
        /// Told when something happens, not while it holds.
        const EDGE = 1 << 31;
    }
}

/// What a description is watched for, and what is told then. Linux: `struct epoll_event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    pub events: PollEvents,
    pub flags: WatchFlags,
    pub data: u64,
}

impl Interest {
    /// Reads the field `events`; bits that are not known are dropped, as Linux does.
    pub fn decode(events: u32, data: u64) -> Interest {
        Interest {
            events: PollEvents::from_bits_truncate(events as u16),
            flags: WatchFlags::from_bits_truncate(events),
            data,
        }
    }
}

/// A description that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    pub events: PollEvents,
    pub data: u64,
}

/// A set of watched descriptions.
pub struct Epoll {
    memory: Arc<MemoryBudget>,
    queue: Arc<Queue>,
    watches: Mutex<Watches>,
    /// Sets that watch this one; written under [`NESTING`].
    watchers: Mutex<Vec<Weak<Epoll>>>,
    inode: AnonymousInode,
}

#[derive(Default)]
struct Watches {
    by_number: BTreeMap<u64, Watch>,
    /// A description may be watched once under each of its descriptors.
    numbers: BTreeMap<(Fd, usize), u64>,
    last_number: u64,
}

#[derive(Clone)]
struct Watch {
    fd: Fd,
    description: Weak<FileDescription>,
    interest: Interest,
    /// It was told, and is told once.
    is_spent: bool,
    bell: Arc<Bell>,
    waker: Waker,
}

impl Watch {
    fn key(&self) -> (Fd, usize) {
        (self.fd, self.description.as_ptr().addr())
    }
}

/// Numbers of watches that may be ready, in the order in which they became so.
#[derive(Default)]
struct Queue {
    numbers: Mutex<VecDeque<u64>>,
    waiters: WaitQueue,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queues its watch, once.
struct Bell {
    number: u64,
    /// Set too when the watch is gone, so that it never rings again.
    is_queued: AtomicBool,
    queue: Weak<Queue>,
}

impl Bell {
    fn ring(&self) {
        let Some(queue) = self.queue.upgrade() else {
            return;
        };
        if !self.is_queued.swap(true, Ordering::SeqCst) {
            queue.lock().push_back(self.number);
            queue.waiters.wake_all();
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

impl Epoll {
    /// Makes a set that watches nothing and belongs to a task's user.
    pub fn new(task: &Task) -> Epoll {
        Epoll {
            memory: Arc::clone(&task.process.kernel.memory),
            queue: Arc::default(),
            watches: Mutex::default(),
            watchers: Mutex::default(),
            inode: AnonymousInode::of(task, FileType::Fifo),
        }
    }

    /// Returns the set behind a description; `EINVAL` for what is none.
    pub(crate) fn of(description: &FileDescription) -> Result<Arc<Epoll>> {
        let file: Arc<dyn Any + Send + Sync> = Arc::clone(&description.file) as _;
        file.downcast().map_err(|_| Errno::EINVAL)
    }

    /// Begins to watch; `EEXIST` if it does already, `EPERM` for what is always ready, `ELOOP` for sets in a circle or too deep.
    pub fn add(
        self: &Arc<Self>,
        fd: Fd,
        description: &Arc<FileDescription>,
        interest: Interest,
    ) -> Result<()> {
        if description.file.is_seekable() || description.flags().contains(OpenFlags::PATH) {
            return Err(Errno::EPERM);
        }
        match Epoll::of(description) {
            Ok(inner) => {
                let _guard = NESTING.lock().unwrap_or_else(PoisonError::into_inner);
                self.check_nesting(&inner)?;
                self.insert(fd, description, interest)?;
                inner.remember_watcher(self);
                Ok(())
            }
            Err(_) => self.insert(fd, description, interest),
        }
    }

    fn insert(&self, fd: Fd, description: &Arc<FileDescription>, interest: Interest) -> Result<()> {
        let key = (fd, Arc::as_ptr(description).addr());
        let bell = {
            let mut watches = self.lock();
            if watches.numbers.contains_key(&key) {
                return Err(Errno::EEXIST);
            }
            if watches.by_number.len() >= WATCHES_MAX {
                self.forget_closed(&mut watches);
            }
            if watches.by_number.len() >= WATCHES_MAX {
                return Err(Errno::ENOSPC);
            }
            self.memory.charge_for(Use::Kernel, WATCH_BYTES)?;
            watches.last_number += 1;
            let number = watches.last_number;
            let bell = Arc::new(Bell {
                number,
                is_queued: AtomicBool::new(false),
                queue: Arc::downgrade(&self.queue),
            });
            watches.numbers.insert(key, number);
            watches.by_number.insert(
                number,
                Watch {
                    fd,
                    description: Arc::downgrade(description),
                    interest,
                    is_spent: false,
                    waker: Waker::from(Arc::clone(&bell)),
                    bell: Arc::clone(&bell),
                },
            );
            self.drop_stale(&watches);
            bell
        };
        // Whether it is ready is found out by who waits.
        bell.ring();
        Ok(())
    }

    /// Changes what is watched for; `ENOENT` for what is not watched.
    pub fn modify(&self, fd: Fd, description: &FileDescription, interest: Interest) -> Result<()> {
        let bell = {
            let mut watches = self.lock();
            let number = watches.number(fd, description)?;
            let watch = watches.by_number.get_mut(&number).ok_or(Errno::ENOENT)?;
            if watch.interest.flags.contains(WatchFlags::EXCLUSIVE) {
                return Err(Errno::EINVAL);
            }
            watch.interest = interest;
            watch.is_spent = false;
            Arc::clone(&watch.bell)
        };
        bell.ring();
        Ok(())
    }

    /// Stops watching; `ENOENT` for what is not watched.
    pub fn remove(&self, fd: Fd, description: &FileDescription) -> Result<()> {
        let removed = {
            let mut watches = self.lock();
            let number = watches.number(fd, description)?;
            let removed = watches.remove(number);
            self.drop_stale(&watches);
            removed
        };
        self.forget(removed);
        Ok(())
    }

    /// Returns what is ready now, at most so much of it, and queues `waker` for when that changes.
    pub fn take_ready(&self, count_max: usize, waker: Option<&Waker>) -> Vec<Ready> {
        if let Some(waker) = waker {
            self.queue.waiters.register(waker);
        }
        let mut queued = std::mem::take(&mut *self.queue.lock());
        let mut found = Vec::new();
        let mut again = VecDeque::new();
        while found.len() < count_max
            && let Some(number) = queued.pop_front()
        {
            let Some((watch, events)) = self.look(number) else {
                continue;
            };
            found.push(Ready {
                events,
                data: watch.interest.data,
            });
            if self.told(number) && !watch.bell.is_queued.swap(true, Ordering::SeqCst) {
                again.push_back(number);
            }
        }
        self.put_back(queued, again);
        found
    }

    /// Queues again what was not looked at, before what came meanwhile, and what stays ready, behind it.
    fn put_back(&self, unseen: VecDeque<u64>, again: VecDeque<u64>) {
        if unseen.is_empty() && again.is_empty() {
            return;
        }
        {
            let mut numbers = self.queue.lock();
            let came = std::mem::replace(&mut *numbers, unseen);
            numbers.extend(came);
            numbers.extend(again);
        }
        // Who has looked meanwhile found nothing.
        self.queue.waiters.wake_all();
    }

    /// Asks a queued watch's description what holds. From here on its bell rings again.
    fn look(&self, number: u64) -> Option<(Watch, PollEvents)> {
        let watch = self.lock().by_number.get(&number).cloned()?;
        watch.bell.is_queued.store(false, Ordering::SeqCst);
        let Some(description) = watch.description.upgrade() else {
            let removed = self.lock().remove(number);
            self.forget(removed);
            return None;
        };
        if watch.is_spent {
            return None;
        }
        let events = description.poll(watch.interest.events, Some(&watch.waker));
        (!events.is_empty()).then_some((watch, events))
    }

    /// Notes that a watch was told; says whether it is told again as long as it holds.
    fn told(&self, number: u64) -> bool {
        let mut watches = self.lock();
        let Some(watch) = watches.by_number.get_mut(&number) else {
            return false;
        };
        let flags = watch.interest.flags;
        watch.is_spent = flags.contains(WatchFlags::ONESHOT);
        !flags.intersects(WatchFlags::ONESHOT | WatchFlags::EDGE)
    }

    /// Whether something is ready, which stays queued.
    fn has_ready(&self) -> bool {
        let mut queued = std::mem::take(&mut *self.queue.lock());
        let mut is_ready = false;
        let mut again = VecDeque::new();
        while !is_ready && let Some(number) = queued.pop_front() {
            if let Some((watch, _)) = self.look(number) {
                is_ready = true;
                if !watch.bell.is_queued.swap(true, Ordering::SeqCst) {
                    again.push_back(number);
                }
            }
        }
        // What is ready is told before the rest.
        again.extend(queued);
        let mut numbers = self.queue.lock();
        let came = std::mem::replace(&mut *numbers, again);
        numbers.extend(came);
        is_ready
    }

    /// Refuses circles, and chains that are too long to be asked one in the other.
    fn check_nesting(self: &Arc<Self>, inner: &Arc<Epoll>) -> Result<()> {
        let below = inner.depth(NESTING_MAX, &|set| set.watched_sets(), self);
        let above = self.depth(NESTING_MAX, &|set| set.watching_sets(), inner);
        match (below, above) {
            (Some(below), Some(above)) if below + above < NESTING_MAX => Ok(()),
            _ => Err(Errno::ELOOP),
        }
    }

    /// How many sets follow one another from here at most; `None` if `other` is among them, or they are too many.
    fn depth(
        self: &Arc<Self>,
        depth_max: usize,
        next: &impl Fn(&Epoll) -> Vec<Arc<Epoll>>,
        other: &Arc<Epoll>,
    ) -> Option<usize> {
        if Arc::ptr_eq(self, other) {
            return None;
        }
        let mut deepest = 0;
        for set in next(self) {
            let below = set.depth(depth_max.checked_sub(1)?, next, other)?;
            deepest = deepest.max(below + 1);
        }
        Some(deepest)
    }

    fn watched_sets(&self) -> Vec<Arc<Epoll>> {
        let watches = self.lock();
        let descriptions: Vec<_> = watches
            .by_number
            .values()
            .filter_map(|watch| watch.description.upgrade())
            .collect();
        // The last holder of a description may be this one.
        drop(watches);
        let sets = descriptions.iter().filter_map(|it| Epoll::of(it).ok());
        sets.collect()
    }

    fn watching_sets(&self) -> Vec<Arc<Epoll>> {
        let watchers = self.watchers.lock();
        let watchers = watchers.unwrap_or_else(PoisonError::into_inner);
        watchers.iter().filter_map(Weak::upgrade).collect()
    }

    fn remember_watcher(&self, watcher: &Arc<Epoll>) {
        let watchers = self.watchers.lock();
        let mut watchers = watchers.unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|known| known.strong_count() > 0 && known.as_ptr() != Arc::as_ptr(watcher));
        watchers.push(Arc::downgrade(watcher));
    }

    /// Takes out of the queue what is not watched any more, once that is much.
    fn drop_stale(&self, watches: &Watches) {
        let mut numbers = self.queue.lock();
        if numbers.len() > watches.by_number.len() + STALE_MAX {
            numbers.retain(|number| watches.by_number.contains_key(number));
        }
    }

    /// Forgets watches whose descriptions are closed.
    fn forget_closed(&self, watches: &mut Watches) {
        let is_closed = |watch: &Watch| watch.description.strong_count() == 0;
        let closed = watches.by_number.iter().filter(|(_, it)| is_closed(it));
        let closed: Vec<_> = closed.map(|(number, _)| *number).collect();
        for number in closed {
            let removed = watches.remove(number);
            self.forget(removed);
        }
    }

    fn forget(&self, removed: Option<Watch>) {
        if let Some(watch) = removed {
            watch.bell.is_queued.store(true, Ordering::SeqCst);
            self.memory.release_for(Use::Kernel, WATCH_BYTES);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watches> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watches {
    fn number(&self, fd: Fd, description: &FileDescription) -> Result<u64> {
        let key = (fd, std::ptr::from_ref(description).addr());
        self.numbers.get(&key).copied().ok_or(Errno::ENOENT)
    }

    fn remove(&mut self, number: u64) -> Option<Watch> {
        let watch = self.by_number.remove(&number)?;
        self.numbers.remove(&watch.key());
        Some(watch)
    }
}

impl File for Epoll {
    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        if let Some(waker) = waker {
            self.queue.waiters.register(waker);
        }
        let mut ready = PollEvents::empty();
        ready.set(PollEvents::IN, self.has_ready());
        ready & interest
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.inode.metadata())
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        let watches = std::mem::take(&mut *self.lock());
        for watch in watches.by_number.into_values() {
            self.forget(Some(watch));
        }
    }
}
