//! One-way streams of bytes: the middle of pipes and of connected sockets.
//!
//! A [`Stream`] is a bounded buffer between readers and writers, each side counted, so that
//! the other notices its end. Its memory grows with what is queued and is charged to the
//! container's [`MemoryBudget`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use minke_abi::{Errno, Result};

use crate::kernel::{MemoryBudget, Use};
use crate::wait::WaitQueue;

/// The first allocation of a buffer, in bytes: most messages between programs are shorter.
const FIRST_ALLOCATION_BYTES: usize = 512;

/// How much a stream holds and when it counts as writable.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// The most bytes that wait to be read.
    pub capacity_bytes: usize,
    /// Writes up to this length happen whole or not at all.
    pub atomic_bytes_max: usize,
    /// Writers are woken, and `POLLOUT` holds, from this much room on.
    pub room_bytes_min: usize,
}

/// Whether a read takes the bytes out of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consume {
    Take,
    Peek,
}

/// A bounded buffer between readers and writers.
pub struct Stream {
    limits: StreamLimits,
    memory: Arc<MemoryBudget>,
    state: Mutex<State>,
    readers: WaitQueue,
    writers: WaitQueue,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// What `bytes` has cost the memory budget.
    charged_bytes: usize,
    readers: u32,
    writers: u32,
    /// Readers and writers that ever came. Linux: `r_counter`, `w_counter`.
    reader_arrivals: u64,
    writer_arrivals: u64,
}

impl State {
    /// What a reader finds where there are no bytes: the end, or `EAGAIN`.
    fn nothing(&self) -> Result<usize> {
        match self.writers {
            0 => Ok(0),
            _ => Err(Errno::EAGAIN),
        }
    }
}

/// What a stream looked like at one moment.
#[derive(Clone, Copy, Debug)]
pub struct StreamStatus {
    pub readable_bytes: usize,
    pub has_room: bool,
    pub has_readers: bool,
    pub has_writers: bool,
    pub reader_arrivals: u64,
    pub writer_arrivals: u64,
}

impl Stream {
    /// Makes an empty stream that nobody has opened.
    pub fn new(limits: StreamLimits, memory: Arc<MemoryBudget>) -> Stream {
        Stream {
            limits,
            memory,
            state: Mutex::default(),
            readers: WaitQueue::default(),
            writers: WaitQueue::default(),
        }
    }

    /// Makes an empty stream with one reader and one writer.
    pub fn open(limits: StreamLimits, memory: Arc<MemoryBudget>) -> Stream {
        let stream = Stream::new(limits, memory);
        stream.add_reader();
        stream.add_writer();
        stream
    }

    /// Reads what is there; 0 when nothing is and all writers have gone, `EAGAIN` while one is left.
    pub fn read(&self, buffer: &mut [u8], consume: Consume) -> Result<usize> {
        let (count, has_room) = {
            let mut state = self.lock();
            if state.bytes.is_empty() {
                let is_at_end = state.writers == 0 || buffer.is_empty();
                return if is_at_end { Ok(0) } else { Err(Errno::EAGAIN) };
            }
            let count = copy_front(&state.bytes, buffer);
            if consume == Consume::Take {
                state.bytes.drain(..count);
            }
            (count, self.has_room(&state))
        };
        if consume == Consume::Take && has_room {
            self.writers.wake_all();
        }
        Ok(count)
    }

    /// Writes what fits; `EAGAIN` when that is nothing, `EPIPE` when all readers have gone.
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        let count = {
            let mut state = self.lock();
            if state.readers == 0 {
                return Err(Errno::EPIPE);
            }
            if bytes.is_empty() {
                return Ok(0);
            }
            let room = self.limits.capacity_bytes - state.bytes.len();
            let is_atomic = bytes.len() <= self.limits.atomic_bytes_max;
            if room == 0 || (is_atomic && room < bytes.len()) {
                return Err(Errno::EAGAIN);
            }
            let count = room.min(bytes.len());
            self.reserve(&mut state, count)?;
            state.bytes.extend(&bytes[..count]);
            count
        };
        self.readers.wake_all();
        Ok(count)
    }

    /// Moves or copies bytes into another stream; `EAGAIN` when there are none or there is no room, `EINVAL` for the same stream.
    pub fn move_to(&self, target: &Stream, count: usize, consume: Consume) -> Result<usize> {
        let (own_at, their_at) = (std::ptr::from_ref(self), std::ptr::from_ref(target));
        if own_at == their_at {
            return Err(Errno::EINVAL);
        }
        let (mut own, mut theirs);
        // Two may move bytes in opposite directions.
        if own_at < their_at {
            own = self.lock();
            theirs = target.lock();
        } else {
            theirs = target.lock();
            own = self.lock();
        }
        if theirs.readers == 0 {
            return Err(Errno::EPIPE);
        }
        if own.bytes.is_empty() {
            return own.nothing();
        }
        let room = target.limits.capacity_bytes - theirs.bytes.len();
        let count = count.min(room).min(own.bytes.len());
        if count == 0 {
            return Err(Errno::EAGAIN);
        }
        target.reserve(&mut theirs, count)?;
        theirs.bytes.extend(own.bytes.range(..count));
        if consume == Consume::Take {
            own.bytes.drain(..count);
        }
        let has_room = self.has_room(&own);
        drop((own, theirs));
        target.readers.wake_all();
        if consume == Consume::Take && has_room {
            self.writers.wake_all();
        }
        Ok(count)
    }

    /// Hands bytes to `sink`, which says how many it has taken. It is called under the stream's lock, above those of other files.
    pub fn drain_into(
        &self,
        count: usize,
        sink: impl FnOnce(&[u8]) -> Result<usize>,
    ) -> Result<usize> {
        let mut state = self.lock();
        if state.bytes.is_empty() {
            return state.nothing();
        }
        let bytes = state.bytes.make_contiguous();
        let taken = sink(&bytes[..count.min(bytes.len())])?;
        state.bytes.drain(..taken);
        let has_room = self.has_room(&state);
        drop(state);
        if has_room {
            self.writers.wake_all();
        }
        Ok(taken)
    }

    /// Takes bytes from `source`, which fills a buffer. It is called under the stream's lock, above those of other files.
    pub fn fill_from(
        &self,
        count: usize,
        source: impl FnOnce(&mut [u8]) -> Result<usize>,
    ) -> Result<usize> {
        let mut state = self.lock();
        if state.readers == 0 {
            return Err(Errno::EPIPE);
        }
        let count = count.min(self.limits.capacity_bytes - state.bytes.len());
        if count == 0 {
            return Err(Errno::EAGAIN);
        }
        self.reserve(&mut state, count)?;
        let mut buffer = vec![0; count];
        let filled = source(&mut buffer)?;
        state.bytes.extend(&buffer[..filled]);
        drop(state);
        self.readers.wake_all();
        Ok(filled)
    }

    /// Returns how the stream looks now.
    pub fn status(&self) -> StreamStatus {
        self.status_of(&self.lock())
    }

    fn status_of(&self, state: &State) -> StreamStatus {
        StreamStatus {
            readable_bytes: state.bytes.len(),
            has_room: self.has_room(state),
            has_readers: state.readers > 0,
            has_writers: state.writers > 0,
            reader_arrivals: state.reader_arrivals,
            writer_arrivals: state.writer_arrivals,
        }
    }

    /// Wakes `waker` when there is something to read, or an end.
    pub fn register_reader(&self, waker: &Waker) {
        self.readers.register(waker);
    }

    /// Wakes `waker` when there is room to write, or nobody left to read.
    pub fn register_writer(&self, waker: &Waker) {
        self.writers.register(waker);
    }

    /// Wakes both sides: something beside the bytes has changed.
    pub fn wake_all(&self) {
        self.readers.wake_all();
        self.writers.wake_all();
    }

    /// Counts one more reader; returns how the stream looks at that moment, before a writer can come or go.
    pub fn add_reader(&self) -> StreamStatus {
        let mut state = self.lock();
        state.readers += 1;
        state.reader_arrivals += 1;
        let status = self.status_of(&state);
        drop(state);
        self.writers.wake_all();
        status
    }

    /// Counts one more writer; returns how the stream looks at that moment, before a reader can come or go.
    pub fn add_writer(&self) -> StreamStatus {
        let mut state = self.lock();
        state.writers += 1;
        state.writer_arrivals += 1;
        let status = self.status_of(&state);
        drop(state);
        self.readers.wake_all();
        status
    }

    /// Counts one reader less, if one is left; writers hear of it.
    pub fn remove_reader(&self) {
        let mut state = self.lock();
        state.readers = state.readers.saturating_sub(1);
        drop(state);
        self.wake_all();
    }

    /// Counts one writer less, if one is left; readers hear of it.
    pub fn remove_writer(&self) {
        let mut state = self.lock();
        state.writers = state.writers.saturating_sub(1);
        drop(state);
        self.wake_all();
    }

    /// Forgets the bytes when neither readers nor writers are left.
    pub fn discard_if_abandoned(&self) {
        let mut state = self.lock();
        if state.readers == 0 && state.writers == 0 {
            state.bytes = VecDeque::new();
            self.memory
                .release_for(Use::Kernel, std::mem::take(&mut state.charged_bytes) as u64);
        }
    }

    fn has_room(&self, state: &State) -> bool {
        self.limits.capacity_bytes - state.bytes.len() >= self.limits.room_bytes_min
    }

    /// Makes room for `count` more bytes, doubling so that a long stream pays for few copies.
    fn reserve(&self, state: &mut State, count: usize) -> Result<()> {
        let needed = state.bytes.len() + count;
        if needed <= state.charged_bytes {
            return Ok(());
        }
        let wanted = needed
            .max(state.charged_bytes * 2)
            .max(FIRST_ALLOCATION_BYTES)
            .min(self.limits.capacity_bytes);
        self.memory
            .charge_for(Use::Kernel, (wanted - state.charged_bytes) as u64)?;
        state.charged_bytes = wanted;
        let more = wanted - state.bytes.len();
        state.bytes.reserve_exact(more);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let charged = self.lock().charged_bytes;
        self.memory.release_for(Use::Kernel, charged as u64);
    }
}

/// Copies from the front of a queue; returns how much.
fn copy_front(bytes: &VecDeque<u8>, buffer: &mut [u8]) -> usize {
    let count = buffer.len().min(bytes.len());
    let (front, back) = bytes.as_slices();
    let split = front.len().min(count);
    buffer[..split].copy_from_slice(&front[..split]);
    buffer[split..count].copy_from_slice(&back[..count - split]);
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: StreamLimits = StreamLimits {
        capacity_bytes: 2000,
        atomic_bytes_max: 100,
        room_bytes_min: 100,
    };

    /// What is done with a stream, with a length.
    #[derive(Clone, Copy, Debug)]
    enum Action {
        Write(usize),
        Read(usize),
        Peek(usize),
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            (0..1500_usize).prop_map(Action::Write),
            (0..1500_usize).prop_map(Action::Read),
            (0..1500_usize).prop_map(Action::Peek),
        ]
    }

    /// Does an action on the stream and on a queue without limits of its own, and compares.
    fn compare(stream: &Stream, model: &mut VecDeque<u8>, next: &mut u8, action: Action) {
        match action {
            Action::Write(length) => {
                let bytes: Vec<u8> = (0..length).map(|i| next.wrapping_add(i as u8)).collect();
                let room = LIMITS.capacity_bytes - model.len();
                let expected = match length {
                    0 => Ok(0),
                    1..=100 if length > room => Err(Errno::EAGAIN),
                    _ if room == 0 => Err(Errno::EAGAIN),
                    _ => Ok(length.min(room)),
                };
                assert_eq!(stream.write(&bytes), expected);
                let taken = expected.unwrap_or(0);
                model.extend(&bytes[..taken]);
                *next = next.wrapping_add(taken as u8);
            }
            Action::Read(length) | Action::Peek(length) => {
                let consume = match action {
                    Action::Peek(_) => Consume::Peek,
                    _ => Consume::Take,
                };
                let mut buffer = vec![0; length];
                let count = stream.read(&mut buffer, consume).unwrap_or(0);
                assert_eq!(count, length.min(model.len()));
                assert!(model.iter().zip(&buffer[..count]).all(|(m, b)| m == b));
                if consume == Consume::Take {
                    model.drain(..count);
                }
            }
        }
        assert_eq!(stream.status().readable_bytes, model.len());
    }

    proptest! {
        #[test]
        fn a_stream_is_a_queue_with_limits(actions in prop::collection::vec(action(), 0..60)) {
            let memory = MemoryBudget::new(1 << 20);
            let stream = Stream::open(LIMITS, Arc::clone(&memory));
            let (mut model, mut next) = (VecDeque::new(), 0);
            for action in actions {
                compare(&stream, &mut model, &mut next, action);
                assert!(memory.used() <= LIMITS.capacity_bytes as u64);
            }
            drop(stream);
            assert_eq!(memory.used(), 0);
        }
    }

    #[test]
    fn a_container_without_memory_says_so_and_keeps_what_was_sent() {
        let memory = MemoryBudget::new(600);
        let stream = Stream::open(LIMITS, memory);
        assert_eq!(stream.write(&[1; 500]), Ok(500));
        assert_eq!(stream.write(&[2; 500]), Err(Errno::ENOMEM));
        assert_eq!(stream.read(&mut [0; 1000], Consume::Take), Ok(500));
    }
}
