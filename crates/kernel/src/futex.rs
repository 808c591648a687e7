//! Futexes: threads of a process that wait for a number in their memory to change.
//!
//! A waiter looks at the number and joins the queue of its address under one lock, and [`Task::futex_wake`] takes
//! the same lock: a wake-up that follows a change of the number is never missed. The kernel does not know the
//! memory; whoever waits brings the look.
//!
//! Queues are as long as the process has threads, which `pids_max` bounds.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use minke_abi::{Errno, Result};

use crate::task::{Deadline, Task};

/// How a wait ended.
///
/// Spec: WebAssembly threads, `memory.atomic.wait32`, which returns these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FutexWait {
    Woken = 0,
    /// The number was another one already.
    NotEqual = 1,
    TimedOut = 2,
}

/// The waiters of a process by address. Linux: `futex_queues`, there one table for all.
#[derive(Debug, Default)]
pub(crate) struct Futexes {
    /// An address is in the map while somebody waits there.
    queues: Mutex<Queues>,
}

/// A thread that waits.
#[derive(Debug)]
struct Waiter {
    /// Whose queue it is in. Written under the lock of the queues.
    address: AtomicU64,
    /// Who names none of these does not wake it.
    bits: u32,
    /// Written under the lock of the queues.
    is_woken: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// A place in a queue, left when it is dropped.
struct Place<'a> {
    futexes: &'a Futexes,
    waiter: Arc<Waiter>,
}

/// Bits that every waiter has, and every wake-up names. Linux: `FUTEX_BITSET_MATCH_ANY`.
pub const ALL_BITS: u32 = u32::MAX;

impl Task {
    /// Waits at an address until it is woken there, unless `is_expected` finds another number; `EINTR` when
    /// the process is to end. `is_expected` runs under the lock and must not wait.
    pub async fn futex_wait(
        &self,
        address: u64,
        deadline: Deadline,
        is_expected: impl FnOnce() -> bool,
    ) -> Result<FutexWait> {
        self.futex_wait_for(address, ALL_BITS, deadline, is_expected)
            .await
    }

    /// As [`Task::futex_wait`], for who names one of some bits. Linux: `FUTEX_WAIT_BITSET`.
    pub async fn futex_wait_for(
        &self,
        address: u64,
        bits: u32,
        deadline: Deadline,
        is_expected: impl FnOnce() -> bool,
    ) -> Result<FutexWait> {
        let Some(place) = self.process.futexes.join(address, bits, is_expected) else {
            return Ok(FutexWait::NotEqual);
        };
        let woken = self.wait_for(deadline, |cx| place.waiter.poll(cx).then_some(Ok(())));
        match woken.await {
            Some(Ok(())) => Ok(FutexWait::Woken),
            Some(Err(errno)) => Err(errno),
            // Whoever woke it meanwhile has counted it.
            None if place.leave() => Ok(FutexWait::Woken),
            None => Ok(FutexWait::TimedOut),
        }
    }

    /// Wakes up to `count` threads that wait at an address, the longest waiting first; returns how many.
    pub fn futex_wake(&self, address: u64, count: u32) -> u32 {
        self.futex_wake_some(address, ALL_BITS, count)
    }

    /// As [`Task::futex_wake`], of those that wait for one of some bits. Linux: `FUTEX_WAKE_BITSET`.
    pub fn futex_wake_some(&self, address: u64, bits: u32, count: u32) -> u32 {
        let woken = take(&mut self.process.futexes.lock(), address, bits, count);
        for waiter in &woken {
            waiter.wake();
        }
        woken.len() as u32
    }

    /// Wakes up to `woken_max` threads that wait at an address and has up to `moved_max` others wait at another one;
    /// returns how many that were, or `EAGAIN` when `is_expected` finds another number. Linux: `FUTEX_CMP_REQUEUE`.
    pub fn futex_requeue(
        &self,
        from: u64,
        to: u64,
        woken_max: u32,
        moved_max: u32,
        is_expected: impl FnOnce() -> bool,
    ) -> Result<(u32, u32)> {
        let futexes = &self.process.futexes;
        let mut queues = futexes.lock();
        if !is_expected() {
            return Err(Errno::EAGAIN);
        }
        let woken = take(&mut queues, from, ALL_BITS, woken_max);
        let moved = move_queue(&mut queues, from, to, moved_max);
        drop(queues);
        for waiter in &woken {
            waiter.wake();
        }
        Ok((woken.len() as u32, moved))
    }
}

/// The waiters by address.
type Queues = HashMap<u64, VecDeque<Arc<Waiter>>>;

/// Takes the first waiters out of a queue and marks them as woken.
fn take(queues: &mut Queues, address: u64, bits: u32, count: u32) -> Vec<Arc<Waiter>> {
    let taken = take_first(queues, address, bits, count);
    for waiter in &taken {
        waiter.is_woken.store(true, Ordering::Release);
    }
    taken
}

fn take_first(queues: &mut Queues, address: u64, bits: u32, count: u32) -> Vec<Arc<Waiter>> {
    let Some(queue) = queues.get_mut(&address) else {
        return Vec::new();
    };
    let mut taken = Vec::new();
    queue.retain(|waiter| {
        let is_meant = taken.len() < count as usize && waiter.bits & bits != 0;
        if is_meant {
            taken.push(Arc::clone(waiter));
        }
        !is_meant
    });
    if queue.is_empty() {
        queues.remove(&address);
    }
    taken
}

/// Puts the first waiters of a queue at the end of another; returns how many they are.
fn move_queue(queues: &mut Queues, from: u64, to: u64, count: u32) -> u32 {
    let moved = take_first(queues, from, ALL_BITS, count);
    if moved.is_empty() {
        return 0;
    }
    let count = moved.len() as u32;
    for waiter in &moved {
        waiter.address.store(to, Ordering::Relaxed);
    }
    queues.entry(to).or_default().extend(moved);
    count
}

impl Futexes {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(
        &self,
        address: u64,
        bits: u32,
        is_expected: impl FnOnce() -> bool,
    ) -> Option<Place<'_>> {
        let mut queues = self.lock();
        if !is_expected() {
            return None;
        }
        let waiter = Arc::new(Waiter {
            address: AtomicU64::new(address),
            bits,
            is_woken: AtomicBool::new(false),
            waker: Mutex::new(None),
        });
        queues
            .entry(address)
            .or_default()
            .push_back(Arc::clone(&waiter));
        Some(Place {
            futexes: self,
            waiter,
        })
    }

    /// Takes a waiter out of its queue; returns whether it was woken already.
    fn remove(&self, waiter: &Arc<Waiter>) -> bool {
        let mut queues = self.lock();
        if waiter.is_woken.load(Ordering::Acquire) {
            return true;
        }
        let address = waiter.address.load(Ordering::Relaxed);
        if let Some(queue) = queues.get_mut(&address) {
            queue.retain(|queued| !Arc::ptr_eq(queued, waiter));
            if queue.is_empty() {
                queues.remove(&address);
            }
        }
        false
    }
}

impl Waiter {
    /// Returns whether it was woken, else wakes the context's task when it is.
    fn poll(&self, cx: &Context<'_>) -> bool {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        self.is_woken.load(Ordering::Acquire)
    }

    fn wake(&self) {
        let waker = {
            let mut slot = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            slot.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Place<'_> {
    /// Leaves the queue; returns whether it was woken before.
    fn leave(&self) -> bool {
        self.futexes.remove(&self.waiter)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(futexes: &Futexes, address: u64) -> Place<'_> {
        futexes
            .join(address, ALL_BITS, || true)
            .expect("the number is the expected one")
    }

    #[test]
    fn the_longest_waiting_are_woken_first_and_only_at_their_address() {
        let futexes = Futexes::default();
        let (first, second, other) = (join(&futexes, 8), join(&futexes, 8), join(&futexes, 16));
        assert_eq!(take(&mut futexes.lock(), 8, ALL_BITS, 1).len(), 1);
        assert!(first.leave());
        assert!(!second.leave());
        assert_eq!(
            take(&mut futexes.lock(), 8, ALL_BITS, u32::MAX).len(),
            0,
            "the second has left"
        );
        assert!(!other.leave());
    }

    #[test]
    fn nobody_waits_for_a_number_that_has_changed() {
        let futexes = Futexes::default();
        assert!(futexes.join(8, ALL_BITS, || false).is_none());
        assert_eq!(take(&mut futexes.lock(), 8, ALL_BITS, 1).len(), 0);
    }

    #[test]
    fn a_waiter_that_gave_up_is_not_counted_and_leaves_nothing() {
        let futexes = Futexes::default();
        drop(join(&futexes, 8));
        assert_eq!(take(&mut futexes.lock(), 8, ALL_BITS, 1).len(), 0);
        assert!(futexes.lock().is_empty());
    }

    #[test]
    fn who_is_moved_waits_at_the_other_address() {
        let futexes = Futexes::default();
        let (first, second) = (join(&futexes, 8), join(&futexes, 8));
        assert_eq!(move_queue(&mut futexes.lock(), 8, 16, 1), 1);
        assert_eq!(take(&mut futexes.lock(), 16, ALL_BITS, 5).len(), 1);
        assert!(first.leave());
        assert_eq!(move_queue(&mut futexes.lock(), 8, 16, 5), 1);
        assert!(!second.leave());
        assert!(futexes.lock().is_empty());
    }

    #[test]
    fn who_names_other_bits_wakes_nobody() {
        let futexes = Futexes::default();
        let waiting = |bits| {
            futexes
                .join(8, bits, || true)
                .expect("the number is the expected one")
        };
        let (first, second) = (waiting(1), waiting(2));
        assert_eq!(take(&mut futexes.lock(), 8, 4, 5).len(), 0);
        assert_eq!(take(&mut futexes.lock(), 8, 2, 5).len(), 1);
        assert!(second.leave());
        assert!(!first.leave());
    }
}
