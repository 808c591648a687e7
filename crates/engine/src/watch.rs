//! Waiting for a directory to change.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify;
use rustix::io::Errno;

/// How often a directory is looked at that cannot be watched.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Tells when a file in a directory was written to, made, renamed or removed.
///
/// A user has a bounded number of watches (Linux: `fs.inotify.max_user_instances`, often 128). Beyond that every wait is short, and
/// callers, who look again after each, go on more slowly.
pub struct Watch {
    inotify: Option<OwnedFd>,
}

impl Watch {
    /// Watches a directory from now on.
    pub fn new(directory: &Path) -> io::Result<Watch> {
        match watch(directory) {
            Ok(inotify) => Ok(Watch {
                inotify: Some(inotify),
            }),
            Err(Errno::MFILE | Errno::NFILE | Errno::NOSPC | Errno::NOMEM) => {
                Ok(Watch { inotify: None })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns after a change, after `timeout`, or when one of `others` can be read; now and then also without any of that.
    pub fn wait(&self, timeout: Option<Duration>, others: &[&OwnedFd]) -> io::Result<()> {
        let timeout = match &self.inotify {
            Some(_) => timeout,
            None => Some(timeout.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)),
        };
        let fds = self.inotify.iter().chain(others.iter().copied());
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        match rustix::event::poll(&mut fds, timeout.map(timespec).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut events = [0; 4096];
        let Some(inotify) = &self.inotify else {
            return Ok(());
        };
        while rustix::io::read(inotify, &mut events[..]).is_ok_and(|count| count > 0) {}
        Ok(())
    }
}

fn watch(directory: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let inotify = inotify::init(flags)?;
    let changes = inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::CREATE
        | inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::DELETE
        | inotify::WatchFlags::DELETE_SELF;
    inotify::add_watch(&inotify, directory, changes)?;
    Ok(inotify)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().min(i64::MAX as u64) as i64,
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_ends_a_wait_and_a_directory_that_cannot_be_watched_is_looked_at() {
        let directory = tempfile::tempdir().expect("a directory");
        let watch = Watch::new(directory.path()).expect("a watch");
        std::fs::write(directory.path().join("file"), "").expect("written");
        // Without the change it would hang here for ever.
        watch.wait(None, &[]).expect("a change");
        let unwatched = Watch { inotify: None };
        unwatched.wait(None, &[]).expect("a short wait");
        assert!(Watch::new(&directory.path().join("missing")).is_err());
    }
}
