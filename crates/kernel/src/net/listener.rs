//! Where connections wait to be accepted: a queue inside the container, and the host's listening sockets.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use minke_abi::{Errno, Result};

use crate::wait::WaitQueue;

/// Most connections that wait for `accept`, whatever a guest asks for. Linux: `net.core.somaxconn`.
pub(crate) const BACKLOG_MAX: u32 = 4096;

/// A bounded queue of connections. Linux: `sk_ack_backlog`.
pub(crate) struct AcceptQueue<T> {
    arrived: Mutex<VecDeque<T>>,
    backlog: AtomicU32,
    arrivals: WaitQueue,
    room: WaitQueue,
}

impl<T> AcceptQueue<T> {
    /// Makes an empty queue.
    pub(crate) fn new(backlog: u32) -> AcceptQueue<T> {
        AcceptQueue {
            arrived: Mutex::default(),
            backlog: AtomicU32::new(backlog.min(BACKLOG_MAX)),
            arrivals: WaitQueue::default(),
            room: WaitQueue::default(),
        }
    }

    /// Changes how many connections may wait.
    pub(crate) fn set_backlog(&self, backlog: u32) {
        self.backlog
            .store(backlog.min(BACKLOG_MAX), Ordering::Relaxed);
    }

    /// Queues what `connect` makes, or answers `EAGAIN` without calling it when the queue is full. An error of `connect` is passed on.
    ///
    /// As on Linux one more fits than the backlog says (sk_acceptq_is_full). The caller wakes
    /// the other side with [`AcceptQueue::announce`] once it holds no lock.
    pub(crate) fn push<R>(&self, connect: impl FnOnce() -> Result<(T, R)>) -> Result<R> {
        let mut arrived = self.lock();
        if arrived.len() > self.backlog.load(Ordering::Relaxed) as usize {
            return Err(Errno::EAGAIN);
        }
        let (arrival, result) = connect()?;
        arrived.push_back(arrival);
        Ok(result)
    }

    /// Wakes those who wait to accept.
    pub(crate) fn announce(&self) {
        self.arrivals.wake_all();
    }

    /// Takes the connection that has waited longest, or answers `EAGAIN`.
    pub(crate) fn pop(&self) -> Result<T> {
        let arrival = self.lock().pop_front().ok_or(Errno::EAGAIN)?;
        self.room.wake_all();
        Ok(arrival)
    }

    /// Returns what is found in each connection that waits.
    pub(crate) fn of_all<R>(&self, find: impl Fn(&T) -> Vec<R>) -> Vec<R> {
        self.lock().iter().flat_map(find).collect()
    }

    /// Whether a connection waits.
    pub(crate) fn has_arrivals(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Wakes `waker` when a connection has arrived.
    pub(crate) fn register_arrival(&self, waker: &Waker) {
        self.arrivals.register(waker);
    }

    /// Wakes `waker` when a connection was accepted, or the queue has gone.
    pub(crate) fn register_room(&self, waker: &Waker) {
        self.room.register(waker);
    }

    /// Takes all that has arrived and wakes everybody: the queue's owner has stopped listening.
    pub(crate) fn close(&self) -> VecDeque<T> {
        let arrived = std::mem::take(&mut *self.lock());
        self.arrivals.wake_all();
        self.room.wake_all();
        arrived
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
