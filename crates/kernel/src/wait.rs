//! Wait queues: who is to be woken when an object changes.

use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use smallvec::SmallVec;

/// Wakers that one queue holds before it wakes them all and starts again.
///
/// A waiter that gives up (a poll that ended elsewhere, a task that was killed) leaves its waker
/// behind. Wake-ups may be spurious, so waking everybody is a correct way to forget those; the
/// number is above the tasks that a container may sensibly have, so live waiters rarely pay.
const WAKERS_MAX: usize = 8_192;

/// Wakers of the tasks that wait for one object. Linux: `wait_queue_head_t`.
///
/// A wake-up may be spurious; a waiter always tries again. A waker that is queued already is
/// not queued twice. The usual single waiter costs no allocation.
#[derive(Debug, Default)]
pub struct WaitQueue {
    wakers: Mutex<Wakers>,
}

type Wakers = SmallVec<[Waker; 1]>;

impl WaitQueue {
    /// Queues `waker` for the next [`WaitQueue::wake_all`].
    pub fn register(&self, waker: &Waker) {
        let overflowing = {
            let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            if wakers.iter().any(|queued| queued.will_wake(waker)) {
                return;
            }
            let overflowing = if wakers.len() >= WAKERS_MAX {
                std::mem::take(&mut *wakers)
            } else {
                Wakers::new()
            };
            wakers.push(waker.clone());
            overflowing
        };
        overflowing.into_iter().for_each(Waker::wake);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_waiter_is_queued_once_and_woken_once() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let queue = WaitQueue::default();
        for _ in 0..3 {
            queue.register(&waker);
        }
        queue.wake_all();
        queue.wake_all();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn waiters_that_gave_up_are_forgotten_in_the_end() {
        let count = Arc::new(Count::default());
        let queue = WaitQueue::default();
        for _ in 0..=WAKERS_MAX {
            // Each waker has an identity of its own, as of another task.
            let relay = Arc::clone(&count);
            queue.register(&Waker::from(Arc::new(Relay(relay))));
        }
        assert_eq!(count.0.load(Ordering::SeqCst), WAKERS_MAX);
    }

    struct Relay(Arc<Count>);

    impl Wake for Relay {
        fn wake(self: Arc<Self>) {
            Arc::clone(&self.0).wake();
        }
    }
}
