//! Calls on descriptors of which something is read that has happened.

use std::any::Any;
use std::sync::Arc;

use minke_abi::linux::OpenFlags;
use minke_abi::signal::SignalSet;
use minke_abi::{Errno, Result};

use crate::alarm::Remaining;
use crate::calls::paths::{Access, At, Follow};
use crate::descriptor::{Fd, FileDescription};
use crate::events::counter::{EventCounter, Takes};
use crate::events::epoll::{Epoll, Interest, Ready, WatchFlags};
use crate::events::notify::{Happening, Inotify};
use crate::events::signals::SignalFile;
use crate::events::timer::TimerFile;
use crate::file::File;
use crate::task::{Deadline, Task};
use crate::vfs::permission::check;

/// What `epoll_ctl` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchChange {
    Add(Interest),
    Modify(Interest),
    Remove,
}

impl Task {
    /// Makes a set of watched descriptors. Flags: `O_CLOEXEC`. Linux: `epoll_create1(2)`.
    pub fn make_epoll(&self, flags: OpenFlags) -> Result<Fd> {
        self.give_number(Arc::new(Epoll::new(self)), flags)
    }

    /// Makes a counter. Flags: `O_CLOEXEC`, `O_NONBLOCK`. Linux: `eventfd2(2)`.
    pub fn make_event_counter(&self, count: u32, takes: Takes, flags: OpenFlags) -> Result<Fd> {
        self.give_number(Arc::new(EventCounter::new(self, count, takes)), flags)
    }

    /// Makes a timer for the clock of a number. Flags: `O_CLOEXEC`, `O_NONBLOCK`. Linux: `timerfd_create(2)`.
    pub fn make_timer(&self, flags: OpenFlags, clock_number: u32) -> Result<Fd> {
        self.give_number(Arc::new(TimerFile::new(self, clock_number)), flags)
    }

    /// Makes a descriptor for signals of the process. Flags: `O_CLOEXEC`, `O_NONBLOCK`. Linux: `signalfd4(2)`.
    pub fn make_signal_file(&self, set: SignalSet, flags: OpenFlags) -> Result<Fd> {
        self.give_number(Arc::new(SignalFile::new(self, set)), flags)
    }

    /// Changes which signals a descriptor means; `EINVAL` for what means none.
    pub fn set_file_signals(&self, fd: Fd, set: SignalSet) -> Result<()> {
        let description = self.process.fds.get(fd)?;
        let file: &dyn Any = &*description.file;
        let file: &SignalFile = file.downcast_ref().ok_or(Errno::EINVAL)?;
        file.set_signals(set);
        Ok(())
    }

    /// Makes a descriptor that tells what happens to files. Flags: `O_CLOEXEC`, `O_NONBLOCK`. Linux: `inotify_init1(2)`.
    pub fn make_inotify(&self, flags: OpenFlags) -> Result<Fd> {
        self.give_number(Arc::new(Inotify::new(self)), flags)
    }

    /// Watches what a path names; returns the watch's number. Linux: `inotify_add_watch(2)`.
    pub fn watch_file(&self, fd: Fd, path: &[u8], wanted: Happening) -> Result<i32> {
        let adds_and_creates = Happening::MASK_ADD | Happening::MASK_CREATE;
        if wanted.is_empty() || wanted.contains(adds_and_creates) {
            return Err(Errno::EINVAL);
        }
        let description = self.process.fds.get(fd)?;
        let inotify = inotify_of(&description)?;
        let credentials = self.process.credentials();
        let follow = match wanted.contains(Happening::DONT_FOLLOW) {
            true => Follow::No,
            false => Follow::Yes,
        };
        let place = self.find(At::Cwd, path, follow, &credentials)?;
        if wanted.contains(Happening::ONLYDIR) && !place.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        check(&*place.inode, &credentials, Access::READ)?;
        inotify.watch(&place.inode, wanted)
    }

    /// Stops watching. Linux: `inotify_rm_watch(2)`.
    pub fn forget_watch(&self, fd: Fd, number: i32) -> Result<()> {
        let description = self.process.fds.get(fd)?;
        inotify_of(&description)?.forget(number)
    }

    /// Gives a file without a name a descriptor to read and write it.
    pub(crate) fn give_number(&self, file: Arc<dyn File>, flags: OpenFlags) -> Result<Fd> {
        let status = flags & OpenFlags::NONBLOCK;
        let description = FileDescription::new(file, None, status | OpenFlags::RDWR);
        let is_close_on_exec = flags.contains(OpenFlags::CLOEXEC);
        self.process.fds.insert(description, is_close_on_exec)
    }

    /// Sets a timer; returns what was set. `EINVAL` for what is no timer. Linux: `timerfd_settime(2)`.
    pub fn set_timer(&self, fd: Fd, wanted: Remaining) -> Result<Remaining> {
        let description = self.process.fds.get(fd)?;
        timer_of(&description).map(|timer| timer.set(wanted))
    }

    /// Returns how long a timer still has. Linux: `timerfd_gettime(2)`.
    pub fn timer(&self, fd: Fd) -> Result<Remaining> {
        let description = self.process.fds.get(fd)?;
        timer_of(&description).map(TimerFile::remaining)
    }

    /// Returns the number of the clock that a timer was made for.
    pub fn timer_clock(&self, fd: Fd) -> Result<u32> {
        let description = self.process.fds.get(fd)?;
        timer_of(&description).map(|timer| timer.clock_number)
    }

    /// Changes which descriptors a set watches. Linux: `epoll_ctl(2)`.
    pub fn change_watch(&self, set: Fd, fd: Fd, change: WatchChange) -> Result<()> {
        let set_description = self.process.fds.get(set)?;
        let description = self.process.fds.get(fd)?;
        if Arc::ptr_eq(&set_description, &description) {
            return Err(Errno::EINVAL);
        }
        let set = Epoll::of(&set_description)?;
        match change {
            WatchChange::Add(interest) => {
                let is_exclusive = interest.flags.contains(WatchFlags::EXCLUSIVE);
                let is_odd = interest.flags.contains(WatchFlags::ONESHOT);
                if is_exclusive && (is_odd || Epoll::of(&description).is_ok()) {
                    return Err(Errno::EINVAL);
                }
                set.add(fd, &description, interest)
            }
            WatchChange::Modify(interest) if interest.flags.contains(WatchFlags::EXCLUSIVE) => {
                Err(Errno::EINVAL)
            }
            WatchChange::Modify(interest) => set.modify(fd, &description, interest),
            WatchChange::Remove => set.remove(fd, &description),
        }
    }

    /// Waits until something in a set is ready, and returns at most so much of it; nothing when the deadline has passed.
    /// Linux: `epoll_wait(2)`.
    pub async fn wait_for_events(
        &self,
        set: Fd,
        count_max: usize,
        deadline: Deadline,
    ) -> Result<Vec<Ready>> {
        let set = Epoll::of(&*self.process.fds.get(set)?)?;
        let ready = set.take_ready(count_max, None);
        if !ready.is_empty() || self.is_past(deadline) {
            return Ok(ready);
        }
        let found = self.wait_for(deadline, |cx| {
            let ready = set.take_ready(count_max, Some(cx.waker()));
            (!ready.is_empty()).then_some(Ok(ready))
        });
        found.await.unwrap_or(Ok(Vec::new()))
    }
}

fn timer_of(description: &FileDescription) -> Result<&TimerFile> {
    let file: &dyn Any = &*description.file;
    file.downcast_ref().ok_or(Errno::EINVAL)
}

fn inotify_of(description: &FileDescription) -> Result<&Inotify> {
    let file: &dyn Any = &*description.file;
    file.downcast_ref().ok_or(Errno::EINVAL)
}
