//! Bounded queues of messages with boundaries: datagrams and sequenced packets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use minke_abi::{Errno, Result};

use crate::kernel::{MemoryBudget, Use};
use crate::stream::Consume;
use crate::wait::WaitQueue;

/// Bytes, with their bookkeeping, that wait in one queue. Linux: `net.core.rmem_default`.
pub(crate) const QUEUE_BYTES_MAX: usize = 212_992;

/// What a message costs beside its bytes, so that empty ones are bounded too. Linux: `SKB_TRUESIZE(0)`, about.
const MESSAGE_OVERHEAD_BYTES: usize = 768;

/// The longest message, which alone fills a queue. Linux: net/unix/af_unix.c, `sk_sndbuf - 32`.
pub(crate) const MESSAGE_BYTES_MAX: usize = QUEUE_BYTES_MAX - MESSAGE_OVERHEAD_BYTES;

/// A message, and where it came from.
struct Message<A> {
    bytes: Box<[u8]>,
    from: A,
}

impl<A> Message<A> {
    fn cost_bytes(&self) -> usize {
        self.bytes.len() + MESSAGE_OVERHEAD_BYTES
    }
}

/// What [`DatagramQueue::pop`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Popped<A> {
    /// Bytes put into the buffer.
    pub(crate) count: usize,
    /// Whole length of the message.
    pub(crate) message_bytes: usize,
    pub(crate) from: A,
}

/// A bounded queue of messages; `A` is an address.
pub(crate) struct DatagramQueue<A> {
    memory: Arc<MemoryBudget>,
    /// Messages that wait, at most.
    messages_max: usize,
    state: Mutex<State<A>>,
    arrivals: WaitQueue,
    room: WaitQueue,
}

struct State<A> {
    messages: VecDeque<Message<A>>,
    cost_bytes: usize,
    /// Nothing is taken any more: the reader has gone.
    is_refusing: bool,
    /// Nothing comes any more: the writer has gone.
    is_ended: bool,
}

impl<A: Clone> DatagramQueue<A> {
    /// Makes an empty queue.
    pub(crate) fn new(memory: Arc<MemoryBudget>, messages_max: usize) -> DatagramQueue<A> {
        DatagramQueue {
            memory,
            messages_max,
            state: Mutex::new(State {
                messages: VecDeque::new(),
                cost_bytes: 0,
                is_refusing: false,
                is_ended: false,
            }),
            arrivals: WaitQueue::default(),
            room: WaitQueue::default(),
        }
    }

    /// Queues a message; `EAGAIN` when there is no room, `EPIPE` when nobody will read it, `EMSGSIZE` when it never fits.
    pub(crate) fn push(&self, bytes: &[u8], from: A) -> Result<()> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(Errno::EMSGSIZE);
        }
        let cost_bytes = bytes.len() + MESSAGE_OVERHEAD_BYTES;
        {
            let mut state = self.lock();
            if state.is_refusing {
                return Err(Errno::EPIPE);
            }
            let has_room = state.cost_bytes + cost_bytes <= QUEUE_BYTES_MAX;
            if !has_room || state.messages.len() >= self.messages_max {
                return Err(Errno::EAGAIN);
            }
            self.memory
                .charge_for(Use::Kernel, cost_bytes as u64)
                .map_err(|_| Errno::ENOBUFS)?;
            state.cost_bytes += cost_bytes;
            state.messages.push_back(Message {
                bytes: bytes.into(),
                from,
            });
        }
        self.arrivals.wake_all();
        Ok(())
    }

    /// Takes or looks at the first message; `EAGAIN` when there is none, `None` when none will come.
    pub(crate) fn pop(&self, buffer: &mut [u8], consume: Consume) -> Result<Option<Popped<A>>> {
        let popped = {
            let mut state = self.lock();
            let Some(message) = state.messages.front() else {
                return if state.is_ended {
                    Ok(None)
                } else {
                    Err(Errno::EAGAIN)
                };
            };
            let count = buffer.len().min(message.bytes.len());
            buffer[..count].copy_from_slice(&message.bytes[..count]);
            let popped = Popped {
                count,
                message_bytes: message.bytes.len(),
                from: message.from.clone(),
            };
            if consume == Consume::Peek {
                return Ok(Some(popped));
            }
            let cost_bytes = message.cost_bytes();
            state.messages.pop_front();
            state.cost_bytes -= cost_bytes;
            self.memory.release_for(Use::Kernel, cost_bytes as u64);
            popped
        };
        self.room.wake_all();
        Ok(Some(popped))
    }

    /// Takes nothing more; what waits can still be read.
    pub(crate) fn refuse(&self) {
        self.lock().is_refusing = true;
        self.wake_all();
    }

    /// Lets the reader find the end after what waits.
    pub(crate) fn end(&self) {
        self.lock().is_ended = true;
        self.wake_all();
    }

    /// Drops messages that `keeps` does not want: the reader has connected to one sender.
    ///
    /// Returns what came with them, which may be dropped without a lock only.
    pub(crate) fn retain(&self, keeps: impl Fn(&A) -> bool) -> Vec<A> {
        let mut state = self.lock();
        let messages = std::mem::take(&mut state.messages);
        let (kept, dropped): (VecDeque<_>, VecDeque<_>) =
            messages.into_iter().partition(|it| keeps(&it.from));
        state.messages = kept;
        let cost_bytes = state.messages.iter().map(Message::cost_bytes).sum();
        let before = std::mem::replace(&mut state.cost_bytes, cost_bytes);
        self.memory
            .release_for(Use::Kernel, (before - cost_bytes) as u64);
        dropped.into_iter().map(|message| message.from).collect()
    }

    /// Returns what comes with each message that waits.
    pub(crate) fn all_from<T>(&self, found: impl Fn(&A) -> Option<T>) -> Vec<T> {
        let state = self.lock();
        state
            .messages
            .iter()
            .filter_map(|it| found(&it.from))
            .collect()
    }

    /// Whether a message waits.
    pub(crate) fn has_messages(&self) -> bool {
        !self.lock().messages.is_empty()
    }

    /// Whether the writer has gone.
    pub(crate) fn is_ended(&self) -> bool {
        self.lock().is_ended
    }

    /// Whether the reader has gone.
    pub(crate) fn is_refusing(&self) -> bool {
        self.lock().is_refusing
    }

    /// Whether a message of no great length would be taken. Linux: sock_writeable() asks for half.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.lock();
        state.messages.len() < self.messages_max && state.cost_bytes <= QUEUE_BYTES_MAX / 2
    }

    /// Length of the first message (`FIONREAD`); 0 when there is none.
    pub(crate) fn first_bytes(&self) -> usize {
        self.lock().messages.front().map_or(0, |m| m.bytes.len())
    }

    /// Length of all messages together: `FIONREAD` of a connection. Linux: unix_inq_len().
    pub(crate) fn all_bytes(&self) -> usize {
        let state = self.lock();
        state.cost_bytes - state.messages.len() * MESSAGE_OVERHEAD_BYTES
    }

    /// Wakes `waker` when a message has come, or the end.
    pub(crate) fn register_arrival(&self, waker: &Waker) {
        self.arrivals.register(waker);
    }

    /// Wakes `waker` when a message was taken, or none will be.
    pub(crate) fn register_room(&self, waker: &Waker) {
        self.room.register(waker);
    }

    /// Wakes both sides: something beside the messages has changed.
    pub(crate) fn wake_all(&self) {
        self.arrivals.wake_all();
        self.room.wake_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Drop for DatagramQueue<A> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.memory
            .release_for(Use::Kernel, state.cost_bytes as u64);
    }
}
