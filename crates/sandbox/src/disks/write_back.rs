//! Writing to disks what guests wrote a while ago.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use minke_kernel::vfs::ext4::Ext4FileSystem;

/// How long what was written stays in memory alone, unless it is asked to be durable. Linux: `dirty_expire` of a mounted ext4,
/// `commit=5`.
const WRITE_BACK_AFTER: Duration = Duration::from_secs(5);

/// Whether there is something to write back; nothing ticks while there is not.
#[derive(Default)]
pub(super) struct Pending {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_dirty: bool,
    has_ended: bool,
}

impl Pending {
    /// Says that something was written.
    pub(super) fn mark(&self) {
        let mut state = self.lock();
        if !state.is_dirty {
            state.is_dirty = true;
            self.changed.notify_one();
        }
    }

    fn end(&self) {
        self.lock().has_ended = true;
        self.changed.notify_one();
    }

    /// Waits until something was written and its time has come; `false` at the end.
    fn wait(&self) -> bool {
        let idle = |state: &mut State| !state.is_dirty && !state.has_ended;
        let state = self.changed.wait_while(self.lock(), idle);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let running = |state: &mut State| !state.has_ended;
        let waited = self
            .changed
            .wait_timeout_while(state, WRITE_BACK_AFTER, running);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_dirty = false;
        !state.has_ended
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that writes back.
pub(super) struct Writer {
    pending: Arc<Pending>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread. After the jail has closed, which it inherits.
    pub(super) fn start(
        pending: &Arc<Pending>,
        disks: Vec<Arc<Ext4FileSystem>>,
    ) -> std::io::Result<Writer> {
        let pending = Arc::clone(pending);
        let of_thread = Arc::clone(&pending);
        let thread = thread::Builder::new()
            .name("write-back".to_owned())
            .spawn(move || {
                while of_thread.wait() {
                    write_back(&of_thread, &disks);
                }
            })?;
        Ok(Writer { pending, thread })
    }

    /// Ends the thread; what it has not written is the caller's.
    pub(super) fn finish(self) {
        self.pending.end();
        // It panics for no reason but a defect of ours, and the caller writes back next.
        let _ = self.thread.join();
    }
}

fn write_back(pending: &Pending, disks: &[Arc<Ext4FileSystem>]) {
    for disk in disks {
        if let Err(errno) = disk.write_back() {
            tracing::warn!(%errno, "cannot write back");
            // Another time there may be room.
            pending.mark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_not_waited_for() {
        let pending = Arc::new(Pending::default());
        let writer = Writer::start(&pending, Vec::new()).expect("a thread");
        pending.mark();
        // It hangs here for ever if the thread does not see the end.
        writer.finish();
    }
}
