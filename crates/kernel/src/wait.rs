//! Wait queues: who is to be woken when an object changes.

use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// Wakers of the tasks that wait for one object. Linux: `wait_queue_head_t`.
///
/// A wake-up may be spurious; a waiter always tries again. Bounded by the number of tasks,
/// because a waker that is queued already is not queued twice.
#[derive(Debug, Default)]
pub struct WaitQueue {
    wakers: Mutex<Vec<Waker>>,
}

impl WaitQueue {
    /// Queues `waker` for the next [`WaitQueue::wake_all`].
    pub fn register(&self, waker: &Waker) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|queued| queued.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    /// Wakes every waiter and empties the queue.
    pub fn wake_all(&self) {
        let wakers = {
            let mut queued = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            if queued.is_empty() {
                return;
            }
            std::mem::take(&mut *queued)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}
