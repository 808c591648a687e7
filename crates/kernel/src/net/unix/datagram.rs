//! Unix datagram sockets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use minke_abi::linux::{PollEvents, SOCK_DGRAM};
use minke_abi::{Errno, Result};

use crate::anonymous::AnonymousInode;
use crate::file::File;
use crate::net::datagrams::DatagramQueue;
use crate::net::unix::companions::Companions;
use crate::net::unix::names::UnixName;
use crate::net::unix::rights::Rights;
use crate::net::unix::{UnixKey, UnixNetwork, UnixSocket, UnixTarget};
use crate::net::{
    MessageFlags, NamedSocket, Received, Shutdown, Socket, SocketAddress, SocketKind,
    SocketOptions, UnixAddress, UserCredentials,
};
use crate::vfs::{Location, Metadata};

/// Messages that wait for one receiver. Linux: one more than `net.unix.max_dgram_qlen`.
const MESSAGES_MAX: usize = 11;

/// Where datagrams arrive.
pub(crate) struct Inbox {
    queue: DatagramQueue<Sent>,
    /// The socket's number.
    inode: u64,
    /// The socket has gone, as opposed to being shut down.
    is_closed: AtomicBool,
    /// The name of the socket, and whom it is connected to: a connected socket hears its peer only.
    ends: Mutex<Ends>,
}

#[derive(Default)]
struct Ends {
    address: Option<UnixAddress>,
    peer: Option<Weak<Inbox>>,
}

/// What comes with a datagram.
#[derive(Clone)]
struct Sent {
    from: UnixAddress,
    companions: Companions,
}

/// A datagram socket.
pub(super) struct DatagramSocket {
    network: UnixNetwork,
    inode: AnonymousInode,
    options: SocketOptions,
    is_of_pair: bool,
    inbox: Arc<Inbox>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    name: Option<UnixName>,
    peer: Option<Arc<Inbox>>,
    is_write_shut: bool,
}

impl Inbox {
    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self) -> UnixAddress {
        self.ends().address.clone().unwrap_or(UnixAddress::Unnamed)
    }

    /// Returns what `/proc` shows.
    pub(super) fn shown(&self) -> NamedSocket {
        NamedSocket {
            address: self.address(),
            kind: SOCK_DGRAM,
            is_listening: false,
            inode: self.inode,
        }
    }

    /// Whether a sender is heard. Linux: unix_may_send().
    fn hears(&self, sender: &Arc<Inbox>) -> bool {
        let ends = self.ends();
        ends.peer
            .as_ref()
            .is_none_or(|peer| Weak::as_ptr(peer) == Arc::as_ptr(sender))
    }
}

impl DatagramSocket {
    /// Makes a socket without a name.
    pub(super) fn new(
        network: &UnixNetwork,
        inode: AnonymousInode,
        options: SocketOptions,
    ) -> DatagramSocket {
        DatagramSocket {
            network: network.clone(),
            inode,
            options,
            is_of_pair: false,
            inbox: Arc::new(Inbox {
                queue: DatagramQueue::new(Arc::clone(&network.memory), MESSAGES_MAX),
                inode: inode.metadata().inode,
                is_closed: AtomicBool::new(false),
                ends: Mutex::default(),
            }),
            state: Mutex::default(),
        }
    }

    /// Makes two sockets that are connected to each other.
    pub(super) fn pair(
        network: &UnixNetwork,
        inode: AnonymousInode,
        kind: SocketKind,
    ) -> (Arc<dyn File>, Arc<dyn File>) {
        let mut first = DatagramSocket::new(network, inode, SocketOptions::new(kind));
        let mut second = DatagramSocket::new(network, inode.sibling(), SocketOptions::new(kind));
        first.choose_peer(&second.inbox);
        second.choose_peer(&first.inbox);
        (first.is_of_pair, second.is_of_pair) = (true, true);
        (Arc::new(first), Arc::new(second))
    }

    fn choose_peer(&self, peer: &Arc<Inbox>) {
        self.lock().peer = Some(Arc::clone(peer));
        self.inbox.ends().peer = Some(Arc::downgrade(peer));
    }

    fn target(&self) -> UnixTarget {
        UnixTarget::Datagram(Arc::clone(&self.inbox))
    }

    fn name(&self, name: UnixName) {
        self.inbox.ends().address = Some(name.address.clone());
        self.lock().name = Some(name);
    }

    /// Linux: unix_dgram_sendmsg().
    fn deliver(
        &self,
        bytes: &[u8],
        inbox: &Arc<Inbox>,
        companions: &mut Companions,
    ) -> Result<usize> {
        if self.lock().is_write_shut {
            return Err(Errno::EPIPE);
        }
        if !inbox.hears(&self.inbox) {
            return Err(Errno::EPERM);
        }
        let credentials = companions.credentials;
        let sent = Sent {
            from: self.inbox.address(),
            companions: Companions {
                credentials: credentials.or(Some(UserCredentials::of(&self.inode))),
                rights: companions.rights.clone(),
            },
        };
        match inbox.queue.push(bytes, sent) {
            Ok(()) => {
                companions.rights = None;
                Ok(bytes.len())
            }
            Err(Errno::EPIPE) if inbox.is_closed.load(Ordering::SeqCst) => Err(Errno::ECONNREFUSED),
            Err(error) => Err(error),
        }
    }

    fn send_to_peer(&self, bytes: &[u8], companions: &mut Companions) -> Result<usize> {
        if self.lock().is_write_shut {
            return Err(Errno::EPIPE);
        }
        let peer = self.peer().ok_or(Errno::ENOTCONN)?;
        let sent = self.deliver(bytes, &peer, companions);
        if sent == Err(Errno::ECONNREFUSED) {
            // Linux: unix_dgram_disconnected().
            self.lock().peer = None;
            self.inbox.ends().peer = None;
            drop(self.inbox.queue.retain(|_| false));
        }
        sent
    }

    fn peer(&self) -> Option<Arc<Inbox>> {
        self.lock().peer.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnixSocket for DatagramSocket {
    fn bind_to(
        &self,
        address: UnixAddress,
        key: UnixKey,
        location: Option<Arc<Location>>,
    ) -> Result<()> {
        if self.lock().name.is_some() {
            return Err(Errno::EINVAL);
        }
        let names = &self.network.names;
        self.name(names.enter(address, key, &self.target(), location)?);
        Ok(())
    }

    fn bind_anywhere(&self) -> Result<()> {
        if self.lock().name.is_some() {
            return Err(Errno::EINVAL);
        }
        self.name(self.network.names.enter_any(&self.target())?);
        Ok(())
    }

    fn connect_to(&self, target: &UnixTarget, _who: UserCredentials) -> Result<()> {
        let UnixTarget::Datagram(inbox) = target else {
            return Err(Errno::EPROTOTYPE);
        };
        if !inbox.hears(&self.inbox) {
            return Err(Errno::EPERM);
        }
        self.choose_peer(inbox);
        Ok(())
    }

    fn send_with(
        &self,
        bytes: &[u8],
        target: Option<&UnixTarget>,
        companions: &mut Companions,
    ) -> Result<usize> {
        match target {
            None => self.send_to_peer(bytes, companions),
            Some(UnixTarget::Datagram(inbox)) => self.deliver(bytes, inbox, companions),
            Some(UnixTarget::Connection(_)) => Err(Errno::EPROTOTYPE),
        }
    }

    fn receive_with(
        &self,
        buffer: &mut [u8],
        flags: MessageFlags,
    ) -> Result<(Received, Companions)> {
        let Some(popped) = self.inbox.queue.pop(buffer, flags.consume())? else {
            return Ok((Received::of_stream(0), Companions::default()));
        };
        let received = Received {
            count: popped.count,
            datagram_bytes: popped.message_bytes,
            from: Some(SocketAddress::Unix(popped.from.from)),
        };
        Ok((received, popped.from.companions))
    }

    fn waiting_rights(&self) -> Vec<Arc<Rights>> {
        let queue = &self.inbox.queue;
        queue.all_from(|it| it.companions.rights.clone())
    }

    fn register_target(&self, target: &UnixTarget, waker: &Waker) {
        if let UnixTarget::Datagram(inbox) = target {
            inbox.queue.register_room(waker);
        }
    }
}

impl Socket for DatagramSocket {
    fn options(&self) -> &SocketOptions {
        &self.options
    }

    fn bind(&self, _address: &SocketAddress) -> Result<()> {
        Err(Errno::EINVAL)
    }

    fn listen(&self, _backlog: u32) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn connect(&self, _address: &SocketAddress) -> Result<()> {
        Err(Errno::EINVAL)
    }

    fn accept(&self) -> Result<(Arc<dyn File>, SocketAddress)> {
        Err(Errno::EOPNOTSUPP)
    }

    fn send(&self, bytes: &[u8], _to: Option<&SocketAddress>, _: MessageFlags) -> Result<usize> {
        self.send_to_peer(bytes, &mut Companions::default())
    }

    fn receive(&self, buffer: &mut [u8], flags: MessageFlags) -> Result<Received> {
        self.receive_with(buffer, flags)
            .map(|(received, _)| received)
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        if how != Shutdown::Write {
            self.inbox.queue.refuse();
            self.inbox.queue.end();
        }
        if how != Shutdown::Read {
            self.lock().is_write_shut = true;
        }
        self.inbox.queue.wake_all();
        Ok(())
    }

    fn local_address(&self) -> Result<SocketAddress> {
        Ok(SocketAddress::Unix(self.inbox.address()))
    }

    fn peer_address(&self) -> Result<SocketAddress> {
        let peer = self.peer().ok_or(Errno::ENOTCONN)?;
        Ok(SocketAddress::Unix(peer.address()))
    }

    fn take_error(&self) -> Result<()> {
        Ok(())
    }

    /// Only those of a pair know it. Linux: unix_socketpair().
    fn peer_credentials(&self) -> UserCredentials {
        match self.is_of_pair {
            true => UserCredentials::of(&self.inode),
            false => UserCredentials::NOBODY,
        }
    }
}

impl File for DatagramSocket {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let received = self.receive(buffer, MessageFlags::empty())?;
        Ok(received.count)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.send(bytes, None, MessageFlags::empty())
    }

    /// Linux: unix_dgram_poll().
    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        if let Some(waker) = waker {
            self.register(interest, waker);
        }
        let queue = &self.inbox.queue;
        let is_ended = queue.is_ended();
        let peer = self.peer();
        let is_open = |peer: &Arc<Inbox>| !peer.is_closed.load(Ordering::SeqCst);
        let has_room = peer
            .filter(is_open)
            .is_none_or(|peer| peer.queue.has_room());
        let mut ready = PollEvents::empty();
        ready.set(PollEvents::IN, queue.has_messages() || is_ended);
        ready.set(PollEvents::RDHUP, is_ended);
        ready.set(PollEvents::HUP, is_ended && self.lock().is_write_shut);
        ready.set(PollEvents::OUT, has_room);
        ready & (interest | PollEvents::HUP | PollEvents::ERR)
    }

    fn register(&self, interest: PollEvents, waker: &Waker) {
        self.inbox.queue.register_arrival(waker);
        if interest.contains(PollEvents::OUT)
            && let Some(peer) = self.peer()
        {
            peer.queue.register_room(waker);
        }
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.inode.metadata())
    }

    fn socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.inbox.queue.first_bytes())
    }
}

impl Drop for DatagramSocket {
    fn drop(&mut self) {
        self.inbox.is_closed.store(true, Ordering::SeqCst);
        self.inbox.queue.refuse();
        self.network.in_flight.collect();
    }
}
