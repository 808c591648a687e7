//! Connections that keep message boundaries (`SOCK_SEQPACKET`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::Waker;

use minke_abi::linux::PollEvents;
use minke_abi::{Errno, Result};

use crate::kernel::{MemoryBudget, Use};
use crate::net::datagrams::DatagramQueue;
use crate::net::duplex::CONNECTION_BYTES;
use crate::net::unix::companions::Companions;
use crate::net::unix::rights::Rights;
use crate::net::{Received, Shutdown};
use crate::stream::Consume;

/// What both ends share.
struct Link {
    /// Is charged [`CONNECTION_BYTES`].
    memory: Arc<MemoryBudget>,
    /// `queues[n]` is what side `n` reads.
    queues: [DatagramQueue<Companions>; 2],
    /// `SO_ERROR` of each side; 0 when nothing is pending.
    errors: [AtomicU16; 2],
}

impl Drop for Link {
    fn drop(&mut self) {
        self.memory.release_for(Use::Kernel, CONNECTION_BYTES);
    }
}

/// One end of a connection; dropped, it is closed.
pub(super) struct Packets {
    link: Arc<Link>,
    side: usize,
}

impl Packets {
    /// Makes the two ends of a connection; `ENOMEM` when the container has no memory left.
    pub(super) fn pair(memory: &Arc<MemoryBudget>) -> Result<(Packets, Packets)> {
        memory.charge_for(Use::Kernel, CONNECTION_BYTES)?;
        let queue = || DatagramQueue::new(Arc::clone(memory), usize::MAX);
        let link = Arc::new(Link {
            memory: Arc::clone(memory),
            queues: [queue(), queue()],
            errors: Default::default(),
        });
        let first = Packets {
            link: Arc::clone(&link),
            side: 0,
        };
        Ok((first, Packets { link, side: 1 }))
    }

    /// Receives a message, cut to the buffer; an empty one at the end. A pending error comes first.
    pub(super) fn receive(
        &self,
        buffer: &mut [u8],
        consume: Consume,
    ) -> Result<(Received, Companions)> {
        self.take_error()?;
        let Some(popped) = self.incoming().pop(buffer, consume)? else {
            return Ok((Received::of_stream(0), Companions::default()));
        };
        let received = Received {
            count: popped.count,
            datagram_bytes: popped.message_bytes,
            from: None,
        };
        Ok((received, popped.from))
    }

    /// Sends a message whole.
    pub(super) fn send(&self, bytes: &[u8], companions: &mut Companions) -> Result<usize> {
        self.take_error()?;
        // A direction that was shut down is both ended and refusing.
        self.outgoing().push(bytes, companions.clone())?;
        companions.rights = None;
        Ok(bytes.len())
    }

    /// Returns the descriptors that wait to be received.
    pub(super) fn waiting_rights(&self) -> Vec<Arc<Rights>> {
        self.incoming().all_from(|it| it.rights.clone())
    }

    /// Ends one or both directions. Linux: unix_shutdown().
    pub(super) fn shutdown(&self, how: Shutdown) {
        if how != Shutdown::Write {
            close(self.incoming());
        }
        if how != Shutdown::Read {
            close(self.outgoing());
        }
    }

    /// Lets the peer find a reset.
    pub(super) fn abort(&self) {
        let number = u16::try_from(Errno::ECONNRESET.raw()).unwrap_or(0);
        self.link.errors[1 - self.side].store(number, Ordering::SeqCst);
    }

    /// Takes the pending error.
    pub(super) fn take_error(&self) -> Result<()> {
        match self.link.errors[self.side].swap(0, Ordering::SeqCst) {
            0 => Ok(()),
            number => Err(Errno::from_raw(i32::from(number))),
        }
    }

    /// Length of all messages that wait.
    pub(super) fn readable_bytes(&self) -> usize {
        self.incoming().all_bytes()
    }

    /// Wakes `waker` when either direction changes.
    pub(super) fn register(&self, interest: PollEvents, waker: &Waker) {
        self.incoming().register_arrival(waker);
        if interest.contains(PollEvents::OUT) {
            self.outgoing().register_room(waker);
        }
    }

    /// Returns everything that holds. Linux: unix_poll().
    pub(super) fn poll(&self) -> PollEvents {
        let is_read_over = self.incoming().is_ended();
        let is_write_over = self.outgoing().is_refusing();
        let has_error = self.link.errors[self.side].load(Ordering::SeqCst) != 0;
        let mut ready = PollEvents::empty();
        ready.set(
            PollEvents::IN,
            is_read_over || self.incoming().has_messages(),
        );
        ready.set(PollEvents::RDHUP, is_read_over);
        ready.set(PollEvents::HUP, is_read_over && is_write_over);
        ready.set(PollEvents::OUT, is_write_over || self.outgoing().has_room());
        ready.set(PollEvents::ERR, has_error);
        ready
    }

    fn incoming(&self) -> &DatagramQueue<Companions> {
        &self.link.queues[self.side]
    }

    fn outgoing(&self) -> &DatagramQueue<Companions> {
        &self.link.queues[1 - self.side]
    }
}

impl Drop for Packets {
    /// Linux: unix_release_sock() resets a peer whose messages were left unread.
    fn drop(&mut self) {
        if self.incoming().has_messages() {
            self.abort();
        }
        close(self.incoming());
        close(self.outgoing());
    }
}

/// Lets the reader find an end and the writer a refusal.
fn close(queue: &DatagramQueue<Companions>) {
    queue.refuse();
    queue.end();
}
