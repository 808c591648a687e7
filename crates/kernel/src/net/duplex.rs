//! Connected stream sockets inside the container: two byte streams and who has closed what.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::task::Waker;

use minke_abi::linux::PollEvents;
use minke_abi::{Errno, Result};

use crate::kernel::{MemoryBudget, Use};
use crate::net::Shutdown;
use crate::stream::{Consume, Stream, StreamLimits};

/// Bytes that wait in each direction of a connection. Linux: `net.core.wmem_default`.
pub(crate) const STREAM_CAPACITY_BYTES: usize = 212_992;

const STREAM_LIMITS: StreamLimits = StreamLimits {
    capacity_bytes: STREAM_CAPACITY_BYTES,
    atomic_bytes_max: 1,
    // Linux: net/core/stream.c sk_stream_is_writeable().
    room_bytes_min: STREAM_CAPACITY_BYTES / 3,
};

/// Whose rules a connection follows where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// A write to a peer that has closed is refused at once. Linux: net/unix/af_unix.c.
    Unix,
    /// The first write to a peer that has closed is taken, and answered by a reset. Linux: net/ipv4/tcp.c.
    Tcp,
}

/// What a connection costs before a byte is sent, and what its socket does. Charged, because connections that
/// nobody accepts outlive the descriptors that made them: a guest could queue any number.
pub(crate) const CONNECTION_BYTES: u64 = 1024;

/// What both ends of a connection share.
struct Link {
    /// Is charged [`CONNECTION_BYTES`].
    memory: Arc<MemoryBudget>,
    manners: Manners,
    /// `streams[n]` is what side `n` reads.
    streams: [Stream; 2],
    sides: [Side; 2],
}

impl Drop for Link {
    fn drop(&mut self) {
        self.memory.release_for(Use::Kernel, CONNECTION_BYTES);
    }
}

#[derive(Default)]
struct Side {
    /// `SO_ERROR`; 0 when nothing is pending.
    error: AtomicU16,
    is_read_shut: AtomicBool,
    is_write_shut: AtomicBool,
    /// The peer has said that it sends nothing more. Linux: `SOCK_DONE`.
    is_finished: AtomicBool,
    /// The peer has reset the connection: nothing goes in either direction any more.
    is_reset: AtomicBool,
}

/// One end of a connection; dropped, it is closed.
pub(crate) struct Duplex {
    link: Arc<Link>,
    side: usize,
}

impl Duplex {
    /// Makes the two ends of a connection; `ENOMEM` when the container has no memory left.
    pub(crate) fn pair(manners: Manners, memory: &Arc<MemoryBudget>) -> Result<(Duplex, Duplex)> {
        memory.charge_for(Use::Kernel, CONNECTION_BYTES)?;
        let stream = || Stream::open(STREAM_LIMITS, Arc::clone(memory));
        let link = Arc::new(Link {
            memory: Arc::clone(memory),
            manners,
            streams: [stream(), stream()],
            sides: Default::default(),
        });
        let first = Duplex {
            link: Arc::clone(&link),
            side: 0,
        };
        Ok((first, Duplex { link, side: 1 }))
    }

    /// Receives bytes; 0 at the end. Bytes come before a pending error.
    pub(crate) fn receive(&self, buffer: &mut [u8], consume: Consume) -> Result<usize> {
        match self.incoming().read(buffer, consume) {
            Ok(count) if count > 0 || buffer.is_empty() => return Ok(count),
            Ok(_) | Err(Errno::EAGAIN) => {}
            Err(error) => return Err(error),
        }
        let own = self.own();
        let is_tcp = self.link.manners == Manners::Tcp;
        if !(is_tcp && load(&own.is_finished)) {
            self.take_error()?;
        }
        let is_shut = load(&own.is_read_shut) || load(&own.is_reset);
        // A writer may have come between the two looks.
        match self.incoming().read(buffer, consume) {
            Err(Errno::EAGAIN) if is_shut => Ok(0),
            result => result,
        }
    }

    /// Sends bytes; may take fewer than given. `EPIPE` after the connection has ended.
    ///
    /// TCP learns from a reset, so after the fact, that the peer has closed, or has shut both
    /// directions down. Linux: net/ipv4/tcp_input.c tcp_rcv_state_process(), `FIN_WAIT2`.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<usize> {
        let own = self.own();
        if self.link.manners == Manners::Tcp {
            self.take_error()?;
        }
        if load(&own.is_write_shut) || load(&own.is_reset) {
            return Err(Errno::EPIPE);
        }
        if self.link.manners == Manners::Unix {
            return self.outgoing().write(bytes);
        }
        let peer = &self.link.sides[1 - self.side];
        let is_deaf = load(&peer.is_read_shut) && load(&peer.is_write_shut);
        let written = match is_deaf {
            true => Err(Errno::EPIPE),
            false => self.outgoing().write(bytes),
        };
        if written == Err(Errno::EPIPE) {
            self.reset(self.side);
            self.reset(1 - self.side);
            return Ok(bytes.len());
        }
        written
    }

    /// Whether TCP has forgotten the connection: it was reset, or both ends have finished. Linux: `TCP_CLOSE`.
    pub(crate) fn is_over(&self) -> bool {
        let own = self.own();
        let is_finished = load(&own.is_write_shut) && load(&own.is_finished);
        self.link.manners == Manners::Tcp && (load(&own.is_reset) || is_finished)
    }

    /// Ends one or both directions; `ENOTCONN` when that is over.
    pub(crate) fn shutdown(&self, how: Shutdown) -> Result<()> {
        if self.is_over() {
            return Err(Errno::ENOTCONN);
        }
        if how != Shutdown::Write && !self.own().is_read_shut.swap(true, Ordering::SeqCst) {
            if self.link.manners == Manners::Unix {
                self.incoming().remove_reader();
                self.incoming().remove_writer();
            }
            self.incoming().wake_all();
        }
        if how != Shutdown::Read && !self.own().is_write_shut.swap(true, Ordering::SeqCst) {
            self.finish();
        }
        Ok(())
    }

    /// Ends the connection so that the peer sees a reset instead of an end (`SO_LINGER` of 0 seconds).
    pub(crate) fn abort(&self) {
        self.reset(1 - self.side);
    }

    /// Takes the pending error.
    pub(crate) fn take_error(&self) -> Result<()> {
        match self.own().error.swap(0, Ordering::SeqCst) {
            0 => Ok(()),
            number => Err(Errno::from_raw(i32::from(number))),
        }
    }

    /// Bytes that wait to be received.
    pub(crate) fn readable_bytes(&self) -> usize {
        self.incoming().status().readable_bytes
    }

    /// Wakes `waker` when either direction changes.
    pub(crate) fn register(&self, interest: PollEvents, waker: &Waker) {
        // An end or an error concerns every waiter, and shows on the incoming side.
        self.incoming().register_reader(waker);
        if interest.contains(PollEvents::OUT) {
            self.outgoing().register_writer(waker);
        }
    }

    /// Returns everything that holds. Linux: net/ipv4/tcp.c tcp_poll(), net/unix/af_unix.c unix_poll().
    pub(crate) fn poll(&self) -> PollEvents {
        let (incoming, outgoing) = (self.incoming().status(), self.outgoing().status());
        let own = self.own();
        let is_reset = load(&own.is_reset);
        let is_read_over = !incoming.has_writers || load(&own.is_read_shut) || is_reset;
        let is_refused = self.link.manners == Manners::Unix && !outgoing.has_readers;
        let is_write_over = load(&own.is_write_shut) || is_refused || is_reset;
        let mut ready = PollEvents::empty();
        ready.set(PollEvents::IN, incoming.readable_bytes > 0 || is_read_over);
        ready.set(PollEvents::RDHUP, is_read_over);
        ready.set(PollEvents::HUP, is_read_over && is_write_over);
        ready.set(PollEvents::OUT, outgoing.has_room || is_write_over);
        ready.set(PollEvents::ERR, own.error.load(Ordering::SeqCst) != 0);
        ready
    }

    /// Lets a side know that the connection is broken. Linux: net/ipv4/tcp_input.c tcp_reset().
    fn reset(&self, side: usize) {
        let target = &self.link.sides[side];
        let is_tcp = self.link.manners == Manners::Tcp;
        let error = match is_tcp && load(&target.is_finished) {
            true => Errno::EPIPE,
            false => Errno::ECONNRESET,
        };
        let number = u16::try_from(error.raw()).unwrap_or(0);
        target.error.store(number, Ordering::SeqCst);
        target.is_reset.store(is_tcp, Ordering::SeqCst);
        self.link.streams.iter().for_each(Stream::wake_all);
    }

    /// Tells the peer that nothing more is sent.
    fn finish(&self) {
        let peer = &self.link.sides[1 - self.side];
        peer.is_finished.store(true, Ordering::SeqCst);
        self.outgoing().remove_writer();
    }

    fn own(&self) -> &Side {
        &self.link.sides[self.side]
    }

    fn incoming(&self) -> &Stream {
        &self.link.streams[self.side]
    }

    fn outgoing(&self) -> &Stream {
        &self.link.streams[1 - self.side]
    }
}

impl Drop for Duplex {
    /// Linux: unix_release_sock() and tcp_close() reset a peer whose bytes were left unread.
    fn drop(&mut self) {
        self.incoming().remove_reader();
        if self.readable_bytes() > 0 {
            self.abort();
        }
        // A reset takes the place of an orderly end.
        if load(&self.link.sides[1 - self.side].is_reset) {
            self.outgoing().remove_writer();
        } else if !load(&self.own().is_write_shut) {
            self.finish();
        }
    }
}

fn load(flag: &AtomicBool) -> bool {
    flag.load(Ordering::SeqCst)
}
