//! Descriptors on their way between processes. Linux: net/core/scm.c, net/unix/garbage.c; `unix(7)`, `SCM_RIGHTS`.
//!
//! What is on its way is open. Sockets that wait in each other's queues, and are named by no descriptor, could be received by
//! nobody: [`InFlight::collect`] finds them and closes them. Descriptors are closed one after the other, however deep sockets lie
//! in each other's queues.
//!
//! Lock order: [`InFlight`]'s, then a socket's role, then its queue, then a message's own. No description is dropped under any.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use minke_abi::{Errno, Result};

use crate::descriptor::FileDescription;
use crate::kernel::{MemoryBudget, Use};
use crate::net::unix::unix_socket;

/// Most descriptors on their way in one container. Linux bounds them for each user by `RLIMIT_NOFILE`.
const IN_FLIGHT_MAX: usize = 16_384;

/// What a descriptor on its way costs the container's memory budget.
const RIGHT_BYTES: u64 = 64;

/// The descriptors of one message.
pub(crate) struct Rights {
    number: u64,
    descriptions: Mutex<Vec<Arc<FileDescription>>>,
    in_flight: Arc<InFlight>,
}

impl Rights {
    /// Takes the descriptors: the message was received.
    pub(crate) fn take(&self) -> Vec<Arc<FileDescription>> {
        // Nothing is judged to be out of reach meanwhile.
        let mut state = self.in_flight.lock();
        let taken = std::mem::take(&mut *self.lock());
        self.in_flight.left(&mut state, &taken);
        taken
    }

    /// Copies the descriptors: the message was looked at.
    pub(crate) fn copies(&self) -> Vec<Arc<FileDescription>> {
        let _state = self.in_flight.lock();
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<FileDescription>>> {
        self.descriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        let descriptions = std::mem::take(&mut *self.lock());
        {
            let mut state = self.in_flight.lock();
            state.messages.remove(&self.number);
            self.in_flight.left(&mut state, &descriptions);
        }
        self.in_flight.close(descriptions);
    }
}

/// All descriptors on their way in one container.
pub(crate) struct InFlight {
    memory: Arc<MemoryBudget>,
    state: Mutex<State>,
    /// How many of them are Unix sockets.
    sockets: AtomicUsize,
    /// What is to be closed, while one thread does that.
    closing: Mutex<Vec<Arc<FileDescription>>>,
    is_closing: AtomicBool,
}

#[derive(Default)]
struct State {
    messages: BTreeMap<u64, Weak<Rights>>,
    last_number: u64,
    descriptors: usize,
}

impl InFlight {
    /// Makes the register of a container.
    pub(crate) fn new(memory: Arc<MemoryBudget>) -> Arc<InFlight> {
        Arc::new(InFlight {
            memory,
            state: Mutex::default(),
            sockets: AtomicUsize::new(0),
            closing: Mutex::default(),
            is_closing: AtomicBool::new(false),
        })
    }

    /// Puts descriptors on their way; `ETOOMANYREFS` when too many are.
    pub(crate) fn send(
        self: &Arc<InFlight>,
        descriptions: Vec<Arc<FileDescription>>,
    ) -> Result<Arc<Rights>> {
        if self.lock().descriptors + descriptions.len() > IN_FLIGHT_MAX {
            self.collect();
        }
        let mut state = self.lock();
        if state.descriptors + descriptions.len() > IN_FLIGHT_MAX {
            return Err(Errno::ETOOMANYREFS);
        }
        let cost = descriptions.len() as u64 * RIGHT_BYTES;
        self.memory.charge_for(Use::Kernel, cost)?;
        state.descriptors += descriptions.len();
        self.sockets
            .fetch_add(count_sockets(&descriptions), Ordering::Relaxed);
        state.last_number += 1;
        let rights = Arc::new(Rights {
            number: state.last_number,
            descriptions: Mutex::new(descriptions),
            in_flight: Arc::clone(self),
        });
        state
            .messages
            .insert(rights.number, Arc::downgrade(&rights));
        Ok(rights)
    }

    /// Closes what nobody can receive any more; not for each of many sockets that are being closed, which would cost their square. Linux: net/unix/garbage.c `unix_gc()`.
    pub(crate) fn collect(&self) {
        let is_closing = self.is_closing.load(Ordering::SeqCst);
        if is_closing || self.sockets.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut lost = Vec::new();
        let judged = {
            let mut state = self.lock();
            let messages: Vec<_> = state.messages.values().filter_map(Weak::upgrade).collect();
            let reach = Reach::of(&messages);
            for message in reach.lost(&messages) {
                let taken = std::mem::take(&mut *message.lock());
                self.left(&mut state, &taken);
                lost.extend(taken);
            }
            (messages, reach)
        };
        // The last reference to a message takes the lock itself.
        drop(judged);
        self.close(lost);
    }

    /// Counts descriptors that are not on their way any more.
    fn left(&self, state: &mut State, descriptions: &[Arc<FileDescription>]) {
        state.descriptors -= descriptions.len();
        self.sockets
            .fetch_sub(count_sockets(descriptions), Ordering::Relaxed);
        let cost = descriptions.len() as u64 * RIGHT_BYTES;
        self.memory.release_for(Use::Kernel, cost);
    }

    /// Closes descriptors one after the other: to close a socket may close what waits in it.
    fn close(&self, descriptions: Vec<Arc<FileDescription>>) {
        if descriptions.is_empty() {
            return;
        }
        self.closing().extend(descriptions);
        while !self.closing().is_empty() && !self.is_closing.swap(true, Ordering::SeqCst) {
            loop {
                let next = self.closing().pop();
                let Some(next) = next else { break };
                drop(next);
            }
            self.is_closing.store(false, Ordering::SeqCst);
        }
    }

    fn closing(&self) -> MutexGuard<'_, Vec<Arc<FileDescription>>> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count_sockets(descriptions: &[Arc<FileDescription>]) -> usize {
    let is_socket = |it: &&Arc<FileDescription>| unix_socket(&*it.file).is_some();
    descriptions.iter().filter(is_socket).count()
}

/// A socket on its way.
struct Traveller {
    /// References that messages have to it.
    references: usize,
    /// References that anybody has.
    references_all: usize,
    /// Messages that wait in it. Held, because nobody may drop the last reference to one under the lock.
    waiting: Vec<Arc<Rights>>,
}

impl Traveller {
    fn is_named_elsewhere(&self) -> bool {
        self.references_all > self.references
    }

    fn waiting_numbers(&self) -> impl Iterator<Item = u64> {
        self.waiting.iter().map(|message| message.number)
    }
}

/// Which sockets are on their way, and what waits in each.
struct Reach {
    /// By the address of the description, which is only compared.
    travellers: HashMap<usize, Traveller>,
}

impl Reach {
    fn of(messages: &[Arc<Rights>]) -> Reach {
        let mut travellers = HashMap::new();
        for message in messages {
            for description in message.lock().iter() {
                let Some(socket) = unix_socket(&*description.file) else {
                    continue;
                };
                let new = || Traveller {
                    references: 0,
                    references_all: Arc::strong_count(description),
                    waiting: socket.waiting_rights(),
                };
                let traveller = travellers.entry(key(description)).or_insert_with(new);
                traveller.references += 1;
            }
        }
        Reach { travellers }
    }

    /// Returns the messages that wait only in sockets which nobody can reach.
    fn lost<'m>(&self, messages: &'m [Arc<Rights>]) -> Vec<&'m Arc<Rights>> {
        let reached = self.reached(messages);
        let is_lost = |it: &&Arc<Rights>| !reached.contains(&it.number);
        messages.iter().filter(is_lost).collect()
    }

    /// Follows messages that wait in sockets which are not on their way, or are named elsewhere too.
    fn reached(&self, messages: &[Arc<Rights>]) -> BTreeSet<u64> {
        let travellers = || self.travellers.values();
        let hidden: BTreeSet<u64> = travellers().flat_map(Traveller::waiting_numbers).collect();
        let numbers = messages.iter().map(|message| message.number);
        let mut next: Vec<u64> = numbers.filter(|it| !hidden.contains(it)).collect();
        let named = travellers().filter(|it| it.is_named_elsewhere());
        next.extend(named.flat_map(Traveller::waiting_numbers));
        let by_number: HashMap<u64, &Arc<Rights>> =
            messages.iter().map(|it| (it.number, it)).collect();
        let mut reached = BTreeSet::new();
        while let Some(number) = next.pop() {
            let Some(message) = by_number.get(&number).filter(|_| reached.insert(number)) else {
                continue;
            };
            for description in message.lock().iter() {
                if let Some(traveller) = self.travellers.get(&key(description)) {
                    next.extend(traveller.waiting_numbers());
                }
            }
        }
        reached
    }
}

fn key(description: &Arc<FileDescription>) -> usize {
    Arc::as_ptr(description).addr()
}
