//! What was typed for a program, on its way to it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use minke_abi::linux::PollEvents;
use minke_abi::{Errno, Result};
use minke_kernel::File;
use minke_kernel::vfs::Metadata;
use minke_kernel::wait::WaitQueue;

use super::{TYPED_BYTES_MAX, WindowSize, output};

/// Takes what commands are typed.
pub(crate) trait TypedSink: Send + Sync {
    /// Takes as many bytes as there is room for; how many is returned.
    fn offer(&self, bytes: &[u8]) -> usize;

    /// Waits until there may be room, or the time is over.
    fn wait_for_room(&self, within: Duration);

    /// A command has no more.
    fn end(&self) {}

    /// The window of a command has this size.
    fn set_window(&self, _size: WindowSize) {}
}

/// Takes what is typed for a program that reads nothing.
pub(crate) struct NoInput;

impl TypedSink for NoInput {
    fn offer(&self, bytes: &[u8]) -> usize {
        bytes.len()
    }

    fn wait_for_room(&self, _within: Duration) {}
}

/// What becomes of the input when a command that is attached has no more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputEnd {
    /// It stays open for others. Docker: `run -d -i`.
    Open,
    /// The program reads the end. Docker: `StdinOnce`.
    Closed,
}

/// A standard input of what commands are typed, and before that of the caller's.
pub(crate) struct TypedInput {
    /// Of the process that the sandbox runs in, if it is read.
    host: Option<Arc<dyn File>>,
    end: InputEnd,
    state: Mutex<State>,
    readers: WaitQueue,
    room: Condvar,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    is_ended: bool,
}

impl TypedInput {
    pub(crate) fn new(host: Option<Arc<dyn File>>, end: InputEnd) -> Arc<TypedInput> {
        Arc::new(TypedInput {
            host,
            end,
            state: Mutex::default(),
            readers: WaitQueue::default(),
            room: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TypedSink for TypedInput {
    fn offer(&self, bytes: &[u8]) -> usize {
        let mut state = self.lock();
        if state.is_ended {
            // As a pipe whose reader has gone.
            return bytes.len();
        }
        let room = TYPED_BYTES_MAX - state.bytes.len();
        let taken = bytes.len().min(room);
        state.bytes.extend(&bytes[..taken]);
        drop(state);
        self.readers.wake_all();
        taken
    }

    fn wait_for_room(&self, within: Duration) {
        let is_full = |state: &mut State| state.bytes.len() >= TYPED_BYTES_MAX;
        // Whatever ends the wait, the caller looks again.
        let _ = self.room.wait_timeout_while(self.lock(), within, is_full);
    }

    fn end(&self) {
        if self.end == InputEnd::Closed {
            self.lock().is_ended = true;
            self.readers.wake_all();
        }
    }
}

impl File for TypedInput {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let mut state = self.lock();
        if !state.bytes.is_empty() {
            let count = buffer.len().min(state.bytes.len());
            for (place, byte) in buffer.iter_mut().zip(state.bytes.drain(..count)) {
                *place = byte;
            }
            self.room.notify_all();
            return Ok(count);
        }
        match &self.host {
            _ if state.is_ended => Ok(0),
            Some(host) => host.read(buffer),
            None => Err(Errno::EAGAIN),
        }
    }

    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        if let Some(waker) = waker {
            self.register(interest, waker);
        }
        let state = self.lock();
        if state.is_ended || !state.bytes.is_empty() {
            return interest & PollEvents::IN;
        }
        drop(state);
        let host = self.host.as_ref();
        host.map_or(PollEvents::empty(), |host| host.poll(interest, None))
    }

    fn register(&self, interest: PollEvents, waker: &Waker) {
        self.readers.register(waker);
        if let Some(host) = &self.host {
            host.register(interest, waker);
        }
    }

    fn metadata(&self) -> Result<Metadata> {
        match &self.host {
            Some(host) => host.metadata(),
            None => Ok(output::metadata_of_pipe()),
        }
    }

    fn readable_bytes(&self) -> Result<usize> {
        let typed = self.lock().bytes.len();
        match &self.host {
            Some(host) if typed == 0 => host.readable_bytes(),
            _ => Ok(typed),
        }
    }
}
