//! Unix stream and sequenced-packet sockets.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Waker;

use minke_abi::linux::{PollEvents, SOCK_SEQPACKET};
use minke_abi::{Errno, Result};

use crate::anonymous::AnonymousInode;
use crate::file::File;
use crate::kernel::MemoryBudget;
use crate::net::listener::AcceptQueue;
use crate::net::options::{SO_PASSCRED, SOL_SOCKET};
use crate::net::unix::bytes::{Bytes, Senders};
use crate::net::unix::companions::Companions;
use crate::net::unix::names::UnixName;
use crate::net::unix::packets::Packets;
use crate::net::unix::rights::Rights;
use crate::net::unix::{UnixKey, UnixNetwork, UnixSocket, UnixTarget};
use crate::net::{
    MessageFlags, NamedSocket, Received, Shutdown, Socket, SocketAddress, SocketKind,
    SocketOptions, UnixAddress, UserCredentials,
};
use crate::stream::Consume;
use crate::vfs::{Location, Metadata};
use crate::wait::WaitQueue;

/// Where connections to a name arrive. Every socket has one; it takes connections once the socket listens.
pub(crate) struct Acceptor {
    /// `SOCK_STREAM` or `SOCK_SEQPACKET`: both ends must agree.
    kind: u32,
    /// Whose socket it is.
    owner: UserCredentials,
    /// The socket's number.
    inode: u64,
    state: Mutex<AcceptorState>,
}

#[derive(Default)]
struct AcceptorState {
    address: Option<UnixAddress>,
    queue: Option<Arc<AcceptQueue<Arrival>>>,
}

/// A connection that waits to be accepted.
struct Arrival {
    channel: Channel,
    /// The name of the socket that connected.
    peer: UnixAddress,
    /// Who connected.
    who: UserCredentials,
}

/// An end of a connection.
enum Channel {
    Bytes(Bytes),
    Packets(Packets),
}

/// A stream or sequenced-packet socket.
pub(super) struct ConnectionSocket {
    network: UnixNetwork,
    inode: AnonymousInode,
    options: SocketOptions,
    acceptor: Arc<Acceptor>,
    name: Mutex<Option<UnixName>>,
    /// What the socket has become. Above the acceptors' locks in lock order.
    role: RwLock<Role>,
    /// Wakes those who wait on the socket when it changes its role.
    changes: WaitQueue,
}

enum Role {
    Idle,
    Listening(Arc<AcceptQueue<Arrival>>),
    Connected {
        channel: Channel,
        /// The name of the other end.
        peer: UnixAddress,
        parties: Parties,
    },
}

/// Who made both ends of a connection.
#[derive(Clone, Copy)]
struct Parties {
    own: UserCredentials,
    peer: UserCredentials,
}

impl Acceptor {
    fn lock(&self) -> MutexGuard<'_, AcceptorState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self) -> UnixAddress {
        self.lock().address.clone().unwrap_or(UnixAddress::Unnamed)
    }

    /// Returns what `/proc` shows.
    pub(super) fn shown(&self) -> NamedSocket {
        NamedSocket {
            address: self.address(),
            kind: self.kind,
            is_listening: self.lock().queue.is_some(),
            inode: self.inode,
        }
    }
}

impl Channel {
    fn pair(kind: u32, memory: &Arc<MemoryBudget>) -> Result<(Channel, Channel)> {
        if kind == SOCK_SEQPACKET {
            let (near, far) = Packets::pair(memory)?;
            return Ok((Channel::Packets(near), Channel::Packets(far)));
        }
        let (near, far) = Bytes::pair(memory)?;
        Ok((Channel::Bytes(near), Channel::Bytes(far)))
    }

    fn send(&self, bytes: &[u8], companions: &mut Companions) -> Result<usize> {
        match self {
            Channel::Bytes(stream) => stream.send(bytes, companions),
            Channel::Packets(packets) => packets.send(bytes, companions),
        }
    }

    fn receive(
        &self,
        buffer: &mut [u8],
        consume: Consume,
        senders: Senders,
    ) -> Result<(Received, Companions)> {
        match self {
            Channel::Bytes(stream) => stream.receive(buffer, consume, senders),
            Channel::Packets(packets) => packets.receive(buffer, consume),
        }
    }

    fn waiting_rights(&self) -> Vec<Arc<Rights>> {
        match self {
            Channel::Bytes(stream) => stream.waiting_rights(),
            Channel::Packets(packets) => packets.waiting_rights(),
        }
    }
}

impl ConnectionSocket {
    /// Makes a socket without a name.
    pub(super) fn new(
        network: &UnixNetwork,
        inode: AnonymousInode,
        options: SocketOptions,
    ) -> Arc<ConnectionSocket> {
        Arc::new(ConnectionSocket::with_role(
            network,
            inode,
            options,
            Role::Idle,
        ))
    }

    /// Makes two sockets that are connected to each other.
    pub(super) fn pair(
        network: &UnixNetwork,
        inode: AnonymousInode,
        kind: SocketKind,
    ) -> Result<(Arc<dyn File>, Arc<dyn File>)> {
        let (near, far) = Channel::pair(kind.kind, &network.memory)?;
        let end = |inode, channel| {
            let who = UserCredentials::of(&inode);
            let role = Role::Connected {
                channel,
                peer: UnixAddress::Unnamed,
                parties: Parties {
                    own: who,
                    peer: who,
                },
            };
            let options = SocketOptions::new(kind);
            Arc::new(ConnectionSocket::with_role(network, inode, options, role))
        };
        Ok((end(inode, near), end(inode.sibling(), far)))
    }

    fn with_role(
        network: &UnixNetwork,
        inode: AnonymousInode,
        options: SocketOptions,
        role: Role,
    ) -> ConnectionSocket {
        ConnectionSocket {
            network: network.clone(),
            inode,
            acceptor: Arc::new(Acceptor {
                kind: options.kind.kind,
                owner: UserCredentials::of(&inode),
                inode: inode.metadata().inode,
                state: Mutex::default(),
            }),
            options,
            name: Mutex::default(),
            role: RwLock::new(role),
            changes: WaitQueue::default(),
        }
    }

    fn take_name(&self, enter: impl FnOnce(&UnixTarget) -> Result<UnixName>) -> Result<()> {
        let mut name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        if name.is_some() {
            return Err(Errno::EINVAL);
        }
        let entered = enter(&UnixTarget::Connection(Arc::clone(&self.acceptor)))?;
        self.acceptor.lock().address = Some(entered.address.clone());
        *name = Some(entered);
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Role> {
        self.role.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Role> {
        self.role.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnixSocket for ConnectionSocket {
    fn bind_to(
        &self,
        address: UnixAddress,
        key: UnixKey,
        location: Option<Arc<Location>>,
    ) -> Result<()> {
        let names = &self.network.names;
        self.take_name(|target| names.enter(address, key, target, location))
    }

    fn bind_anywhere(&self) -> Result<()> {
        self.take_name(|target| self.network.names.enter_any(target))
    }

    /// Linux: unix_stream_connect().
    fn connect_to(&self, target: &UnixTarget, who: UserCredentials) -> Result<()> {
        let UnixTarget::Connection(acceptor) = target else {
            return Err(Errno::EPROTOTYPE);
        };
        if acceptor.kind != self.acceptor.kind {
            return Err(Errno::EPROTOTYPE);
        }
        let queue = {
            let mut role = self.write();
            match &*role {
                Role::Idle => {}
                Role::Listening(_) => return Err(Errno::EINVAL),
                Role::Connected { .. } => return Err(Errno::EISCONN),
            }
            let queue = acceptor.lock().queue.clone();
            let queue = queue.ok_or(Errno::ECONNREFUSED)?;
            let channel = queue.push(|| {
                let (near, far) = Channel::pair(self.acceptor.kind, &self.network.memory)?;
                let arrival = Arrival {
                    channel: far,
                    peer: self.acceptor.address(),
                    who,
                };
                Ok((arrival, near))
            })?;
            *role = Role::Connected {
                channel,
                peer: acceptor.address(),
                parties: Parties {
                    own: who,
                    peer: acceptor.owner,
                },
            };
            queue
        };
        queue.announce();
        self.changes.wake_all();
        Ok(())
    }

    fn send_with(
        &self,
        bytes: &[u8],
        target: Option<&UnixTarget>,
        companions: &mut Companions,
    ) -> Result<usize> {
        match (&*self.read(), target) {
            (
                Role::Connected {
                    channel, parties, ..
                },
                None,
            ) => {
                let is_own = companions.credentials == Some(parties.own);
                companions.credentials = companions.credentials.filter(|_| !is_own);
                channel.send(bytes, companions)
            }
            (Role::Connected { .. }, Some(_)) => Err(Errno::EISCONN),
            (Role::Idle | Role::Listening(_), None) => Err(Errno::ENOTCONN),
            (Role::Idle | Role::Listening(_), Some(_)) => Err(Errno::EOPNOTSUPP),
        }
    }

    fn receive_with(
        &self,
        buffer: &mut [u8],
        flags: MessageFlags,
    ) -> Result<(Received, Companions)> {
        let senders = match self.options.is_set(SOL_SOCKET, SO_PASSCRED) {
            true => Senders::Apart,
            false => Senders::Mixed,
        };
        match &*self.read() {
            Role::Connected {
                channel, parties, ..
            } => {
                let received = channel.receive(buffer, flags.consume(), senders);
                let (received, mut companions) = received?;
                companions.credentials.get_or_insert(parties.peer);
                Ok((received, companions))
            }
            // Linux: unix_stream_read_generic() answers `EINVAL`, unix_seqpacket_recvmsg() `ENOTCONN`.
            Role::Idle | Role::Listening(_) if self.acceptor.kind == SOCK_SEQPACKET => {
                Err(Errno::ENOTCONN)
            }
            Role::Idle | Role::Listening(_) => Err(Errno::EINVAL),
        }
    }

    fn waiting_rights(&self) -> Vec<Arc<Rights>> {
        match &*self.read() {
            Role::Idle => Vec::new(),
            Role::Connected { channel, .. } => channel.waiting_rights(),
            Role::Listening(queue) => queue.of_all(|arrival| arrival.channel.waiting_rights()),
        }
    }

    fn register_target(&self, target: &UnixTarget, waker: &Waker) {
        if let UnixTarget::Connection(acceptor) = target
            && let Some(queue) = &acceptor.lock().queue
        {
            queue.register_room(waker);
        }
    }
}

impl Socket for ConnectionSocket {
    fn options(&self) -> &SocketOptions {
        &self.options
    }

    fn bind(&self, _address: &SocketAddress) -> Result<()> {
        Err(Errno::EINVAL)
    }

    /// Linux: unix_listen(): only a socket with a name.
    fn listen(&self, backlog: u32) -> Result<()> {
        {
            let mut role = self.write();
            match &*role {
                Role::Connected { .. } => return Err(Errno::EINVAL),
                Role::Listening(queue) => {
                    queue.set_backlog(backlog);
                    return Ok(());
                }
                Role::Idle => {}
            }
            let mut acceptor = self.acceptor.lock();
            if acceptor.address.is_none() {
                return Err(Errno::EINVAL);
            }
            let queue = Arc::new(AcceptQueue::new(backlog));
            acceptor.queue = Some(Arc::clone(&queue));
            *role = Role::Listening(queue);
        }
        self.changes.wake_all();
        Ok(())
    }

    fn connect(&self, _address: &SocketAddress) -> Result<()> {
        Err(Errno::EINVAL)
    }

    fn accept(&self) -> Result<(Arc<dyn File>, SocketAddress)> {
        let arrival = match &*self.read() {
            Role::Listening(queue) => queue.pop()?,
            Role::Idle | Role::Connected { .. } => return Err(Errno::EINVAL),
        };
        let peer = arrival.peer.clone();
        let role = Role::Connected {
            channel: arrival.channel,
            peer: arrival.peer,
            parties: Parties {
                own: self.acceptor.owner,
                peer: arrival.who,
            },
        };
        let options = self.options.inherit();
        let socket =
            ConnectionSocket::with_role(&self.network, self.inode.sibling(), options, role);
        // It has its listener's name without being found by it.
        socket.acceptor.lock().address = Some(self.acceptor.address());
        Ok((Arc::new(socket), SocketAddress::Unix(peer)))
    }

    fn send(&self, bytes: &[u8], _to: Option<&SocketAddress>, _: MessageFlags) -> Result<usize> {
        self.send_with(bytes, None, &mut Companions::default())
    }

    fn receive(&self, buffer: &mut [u8], flags: MessageFlags) -> Result<Received> {
        self.receive_with(buffer, flags)
            .map(|(received, _)| received)
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        match &*self.read() {
            Role::Connected { channel, .. } => match channel {
                Channel::Bytes(stream) => stream.duplex.shutdown(how)?,
                Channel::Packets(packets) => packets.shutdown(how),
            },
            Role::Listening(queue) => {
                queue.announce();
            }
            Role::Idle => {}
        }
        Ok(())
    }

    fn local_address(&self) -> Result<SocketAddress> {
        Ok(SocketAddress::Unix(self.acceptor.address()))
    }

    fn peer_address(&self) -> Result<SocketAddress> {
        match &*self.read() {
            Role::Connected { peer, .. } => Ok(SocketAddress::Unix(peer.clone())),
            Role::Idle | Role::Listening(_) => Err(Errno::ENOTCONN),
        }
    }

    fn take_error(&self) -> Result<()> {
        match &*self.read() {
            Role::Connected { channel, .. } => match channel {
                Channel::Bytes(stream) => stream.duplex.take_error(),
                Channel::Packets(packets) => packets.take_error(),
            },
            Role::Idle | Role::Listening(_) => Ok(()),
        }
    }

    fn peer_credentials(&self) -> UserCredentials {
        match &*self.read() {
            Role::Connected { parties, .. } => parties.peer,
            Role::Listening(_) => self.acceptor.owner,
            Role::Idle => UserCredentials::NOBODY,
        }
    }

    fn is_listening(&self) -> bool {
        matches!(&*self.read(), Role::Listening(_))
    }
}

impl File for ConnectionSocket {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let received = self.receive(buffer, MessageFlags::empty())?;
        Ok(received.count)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.send(bytes, None, MessageFlags::empty())
    }

    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        if let Some(waker) = waker {
            self.register(interest, waker);
        }
        let ready = match &*self.read() {
            // Linux: unix_poll(), `TCP_CLOSE`.
            Role::Idle => PollEvents::OUT | PollEvents::HUP,
            Role::Listening(queue) if queue.has_arrivals() => PollEvents::IN,
            Role::Listening(_) => PollEvents::empty(),
            Role::Connected { channel, .. } => match channel {
                Channel::Bytes(stream) => stream.duplex.poll(),
                Channel::Packets(packets) => packets.poll(),
            },
        };
        ready & (interest | PollEvents::HUP | PollEvents::ERR)
    }

    fn register(&self, interest: PollEvents, waker: &Waker) {
        match &*self.read() {
            Role::Idle => self.changes.register(waker),
            Role::Listening(queue) => queue.register_arrival(waker),
            Role::Connected { channel, .. } => match channel {
                Channel::Bytes(stream) => stream.duplex.register(interest, waker),
                Channel::Packets(packets) => packets.register(interest, waker),
            },
        }
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.inode.metadata())
    }

    fn socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn readable_bytes(&self) -> Result<usize> {
        match &*self.read() {
            Role::Connected { channel, .. } => match channel {
                Channel::Bytes(stream) => Ok(stream.duplex.readable_bytes()),
                Channel::Packets(packets) => Ok(packets.readable_bytes()),
            },
            Role::Listening(_) => Err(Errno::EINVAL),
            Role::Idle => Ok(0),
        }
    }
}

impl Drop for ConnectionSocket {
    fn drop(&mut self) {
        let queue = self.acceptor.lock().queue.take();
        let unaccepted = queue.map(|queue| queue.close()).unwrap_or_default();
        for arrival in unaccepted {
            // Linux: unix_release_sock(), `embrion`.
            match arrival.channel {
                Channel::Bytes(stream) => stream.duplex.abort(),
                Channel::Packets(packets) => packets.abort(),
            }
        }
        self.network.in_flight.collect();
    }
}
