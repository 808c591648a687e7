//! Host names, looked up by the host's resolver on threads of their own.
//!
//! `getaddrinfo` blocks for seconds when a name server is away, so it runs beside the executor.
//! Threads are started when there is something to look up, and end when there is nothing left.

use std::collections::VecDeque;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use minke_abi::{Errno, Result};
use minke_kernel::platform::HostLookup;
use minke_kernel::wait::WaitQueue;

/// Look-ups that run at the same time; each holds a thread.
const THREADS_MAX: usize = 4;

/// Look-ups that wait for a thread. More answer `ENOBUFS`: bounds what a guest can queue.
const WAITING_MAX: usize = 64;

/// Addresses taken from one answer. Bounds what a name server makes us hold.
const ADDRESSES_MAX: usize = 64;

/// Longest host name, in bytes. Spec: RFC 1035, 2.3.4.
const NAME_BYTES_MAX: usize = 255;

/// Stack of a thread: the C library's resolver needs more than the smallest.
const STACK_BYTES: usize = 256 * 1024;

/// Looks names up.
#[derive(Default)]
pub struct Resolver {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Lookup>>,
    threads: usize,
}

/// A look-up, from the question to the answer.
struct Lookup {
    name: String,
    answer: Mutex<Option<Result<Vec<IpAddr>>>>,
    waiters: WaitQueue,
}

impl Resolver {
    /// Makes a resolver that has no thread yet.
    pub fn new() -> Arc<Resolver> {
        Arc::default()
    }

    /// Starts to look a name up.
    pub fn resolve(self: &Arc<Self>, name: &str) -> Arc<dyn HostLookup> {
        let lookup = Arc::new(Lookup {
            name: name.to_owned(),
            answer: Mutex::default(),
            waiters: WaitQueue::default(),
        });
        if let Err(error) = self.enqueue(&lookup) {
            lookup.finish(Err(error));
        }
        lookup
    }

    fn enqueue(self: &Arc<Self>, lookup: &Arc<Lookup>) -> Result<()> {
        if lookup.name.is_empty() || lookup.name.len() > NAME_BYTES_MAX {
            return Err(Errno::ENOENT);
        }
        let mut queue = self.lock();
        if queue.waiting.len() >= WAITING_MAX {
            return Err(Errno::ENOBUFS);
        }
        queue.waiting.push_back(Arc::clone(lookup));
        if queue.threads >= THREADS_MAX {
            return Ok(());
        }
        let resolver = Arc::clone(self);
        let started = std::thread::Builder::new()
            .name("resolver".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || resolver.work());
        if started.is_ok() {
            queue.threads += 1;
        } else if queue.threads == 0 {
            queue.waiting.pop_back();
            return Err(Errno::ENOBUFS);
        }
        Ok(())
    }

    /// Answers what waits, then ends.
    fn work(&self) {
        loop {
            let lookup = {
                let mut queue = self.lock();
                let Some(lookup) = queue.waiting.pop_front() else {
                    queue.threads -= 1;
                    return;
                };
                lookup
            };
            lookup.finish(ask_host(&lookup.name));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookup {
    fn finish(&self, answer: Result<Vec<IpAddr>>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.waiters.wake_all();
    }
}

impl HostLookup for Lookup {
    fn poll(&self, waker: &Waker) -> Result<Vec<IpAddr>> {
        self.waiters.register(waker);
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.clone().unwrap_or(Err(Errno::EAGAIN))
    }
}

/// Asks `getaddrinfo`. The library does not tell "no such name" from "no answer"; both are `ENOENT`.
fn ask_host(name: &str) -> Result<Vec<IpAddr>> {
    let found = (name, 0).to_socket_addrs().map_err(|_| Errno::ENOENT)?;
    let mut addresses = Vec::new();
    for address in found.map(|found| found.ip()).take(ADDRESSES_MAX) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(Errno::ENOENT);
    }
    Ok(addresses)
}
