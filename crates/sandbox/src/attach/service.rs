//! The threads that serve attached commands: one sends what was printed, one takes what was typed.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::hub::Pending;
use super::{Frame, Hub, PATIENCE, TypedSink, WindowSize};
use crate::control::AttachRequest;

/// Stack of a thread: it calls nothing deep.
const STACK_BYTES: usize = 128 << 10;

/// How often a command whose bytes nobody reads is looked at, whether it is still there.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A program's attached commands.
pub(crate) struct Attached {
    pub(crate) hub: Arc<Hub>,
    input: Arc<dyn TypedSink>,
    /// Commands whose output is being sent.
    served: Mutex<usize>,
    changed: Condvar,
}

/// Whether what a command is typed reaches the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typing {
    Taken,
    Dropped,
}

impl Typing {
    pub(crate) fn of(request: &AttachRequest) -> Typing {
        match request.is_typed {
            true => Typing::Taken,
            false => Typing::Dropped,
        }
    }
}

impl Attached {
    pub(crate) fn new(hub: Arc<Hub>, input: Arc<dyn TypedSink>) -> Arc<Attached> {
        Arc::new(Attached {
            hub,
            input,
            served: Mutex::new(0),
            changed: Condvar::new(),
        })
    }

    /// Serves a command from now on, which gets `greeting` before anything else; an error is a message for it.
    pub(crate) fn admit(
        self: &Arc<Attached>,
        stream: UnixStream,
        typing: Typing,
        greeting: &[u8],
    ) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        stream.set_nonblocking(false).map_err(failed)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        let reading = stream.try_clone().map_err(failed)?;
        let pending = self
            .hub
            .add(greeting)
            .ok_or("it has ended, or too many commands are attached to it")?;
        let served = Served::begin(self, &pending);
        let (attached, own) = (Arc::clone(self), Arc::clone(&pending));
        start("attached", move || {
            served.send(&own, &stream);
            drop(attached);
        })
        .map_err(failed)?;
        let attached = Arc::clone(self);
        start("typed", move || {
            // A command that breaks the rules has gone, as one that has ended.
            let _ = attached.take_typed(&reading, typing);
            attached.hub.remove(&pending);
        })
        .map_err(failed)
    }

    /// Changes the size of the program's window, if it has one: that of whoever told last, as with Docker.
    pub(crate) fn set_window(&self, size: WindowSize) {
        self.input.set_window(size);
    }

    /// Tells all commands the exit code, and waits until they have everything that was printed, or [`PATIENCE`] is over.
    pub(crate) fn finish(&self, exit_code: u8) {
        self.end(exit_code);
        let served = self.lock();
        // Whoever has not taken it by then is too slow.
        let _ = self
            .changed
            .wait_timeout_while(served, PATIENCE, |served| *served > 0);
    }

    /// Tells all commands the exit code, and waits for nobody.
    pub(crate) fn end(&self, exit_code: u8) {
        self.hub.end(exit_code);
    }

    /// Takes what comes from a command until it goes.
    fn take_typed(&self, stream: &UnixStream, typing: Typing) -> io::Result<()> {
        let (mut inbox, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let count = match (&*stream).read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count?,
            };
            if count == 0 {
                if typing == Typing::Taken {
                    self.input.end();
                }
                return Ok(());
            }
            inbox.extend_from_slice(&buffer[..count]);
            while let Some(frame) = Frame::take(&mut inbox)? {
                match (frame, typing) {
                    (Frame::Typed(bytes), Typing::Taken) => self.give(&bytes, stream)?,
                    (Frame::TypedEnd, Typing::Taken) => self.input.end(),
                    (Frame::Window(size), _) => self.set_window(size),
                    _ => {}
                }
            }
        }
    }

    /// Gives bytes to the program, and waits until it has taken them, or the command has gone.
    fn give(&self, mut bytes: &[u8], stream: &UnixStream) -> io::Result<()> {
        loop {
            bytes = &bytes[self.input.offer(bytes)..];
            if bytes.is_empty() {
                return Ok(());
            }
            self.input.wait_for_room(LOOK_AGAIN);
            if has_hung_up(stream) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command whose output is being sent. When this goes away, nobody waits for it any more.
struct Served {
    attached: Arc<Attached>,
    pending: Arc<Pending>,
}

impl Served {
    fn begin(attached: &Arc<Attached>, pending: &Arc<Pending>) -> Served {
        *attached.lock() += 1;
        Served {
            attached: Arc::clone(attached),
            pending: Arc::clone(pending),
        }
    }

    /// Sends what is printed until that ends, or the command does not take it.
    fn send(self, pending: &Pending, stream: &UnixStream) {
        while let Some(bytes) = pending.take() {
            self.attached.hub.taken();
            if let Err(error) = (&*stream).write_all(&bytes) {
                tracing::debug!(%error, "an attached command is dropped");
                break;
            }
        }
        // The other thread reads the end.
        let _ = stream.shutdown(Shutdown::Both);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.attached.hub.remove(&self.pending);
        *self.attached.lock() -= 1;
        self.attached.changed.notify_all();
    }
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder.stack_size(STACK_BYTES).spawn(run).map(drop)
}

fn has_hung_up(stream: &UnixStream) -> bool {
    let mut fds = [PollFd::new(stream, PollFlags::RDHUP)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let polled = rustix::event::poll(&mut fds, Some(&now));
    polled.is_ok_and(|count| count > 0)
}
