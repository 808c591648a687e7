//! TCP sockets.
//!
//! In a private network a connection to the container's own addresses is a pair of byte
//! streams; any other is a socket of the host. A listening socket takes connections from inside
//! through its queue, and from outside through the host sockets that were bound for its port
//! when it is published. In host mode a socket is the host's from the start.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Waker;

use minke_abi::linux::PollEvents;
use minke_abi::{Errno, Result};

use crate::anonymous::AnonymousInode;
use crate::file::File;
use crate::net::address::{destination, is_own};
use crate::net::duplex::{Duplex, Manners};
use crate::net::host::HostConnection;
use crate::net::internet::Internet;
use crate::net::listener::AcceptQueue;
use crate::net::options::{IPV6_V6ONLY, SO_REUSEADDR, SO_REUSEPORT, SOL_IPV6, SOL_SOCKET};
use crate::net::ports::{Coverage, PortLease, Sharing};
use crate::net::{
    MessageFlags, NetworkMode, Received, Shutdown, Socket, SocketAddress, SocketOptions,
};
use crate::platform::{Family, HostSocket, SocketOption, Transport};
use crate::vfs::Metadata;
use crate::wait::WaitQueue;

/// A TCP socket of a guest.
pub(crate) struct TcpSocket {
    internet: Arc<Internet>,
    family: Family,
    inode: AnonymousInode,
    options: SocketOptions,
    /// What the socket has become. Above the port table and the queues in lock order; no waker runs under it.
    role: RwLock<Role>,
    /// Wakes those who wait on the socket when it changes its role.
    changes: WaitQueue,
}

/// What a socket is at the moment. Linux: `sk_state`.
enum Role {
    /// `TCP_CLOSE`, perhaps with a port.
    Idle(Option<Lease>),
    /// `TCP_SYN_SENT`: the listener's queue is full.
    Connecting {
        lease: Lease,
        peer: SocketAddr,
        listener: Arc<Listener>,
    },
    /// `TCP_LISTEN`.
    Listening {
        lease: Lease,
        listener: Arc<Listener>,
    },
    /// A connection inside the container.
    Local(LocalConnection),
    /// A socket of the host.
    Host(HostConnection),
}

type Lease = PortLease<Listener>;

/// What a listening socket takes connections from.
pub(crate) struct Listener {
    queue: AcceptQueue<LocalConnection>,
    hosts: Vec<Arc<dyn HostSocket>>,
}

impl Listener {
    /// Resets the connections that nobody accepted. Linux: inet_csk_listen_stop().
    fn stop(&self) {
        for connection in self.queue.close() {
            connection.duplex.abort();
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An end of a connection inside the container.
struct LocalConnection {
    duplex: Duplex,
    local: SocketAddr,
    peer: SocketAddr,
    /// The port of the side that connected; an accepted one shares its listener's.
    _lease: Option<Lease>,
}

impl TcpSocket {
    /// Makes an unconnected socket.
    pub(crate) fn new(
        internet: Arc<Internet>,
        family: Family,
        inode: AnonymousInode,
        options: SocketOptions,
    ) -> Result<Arc<TcpSocket>> {
        let role = match internet.mode {
            NetworkMode::Host => {
                let socket = internet.host.socket(Transport::Tcp, family)?;
                Role::Host(HostConnection::direct(socket))
            }
            NetworkMode::Private | NetworkMode::None => Role::Idle(None),
        };
        Ok(Arc::new(TcpSocket::with_role(
            internet, family, inode, options, role,
        )))
    }

    fn with_role(
        internet: Arc<Internet>,
        family: Family,
        inode: AnonymousInode,
        options: SocketOptions,
        role: Role,
    ) -> TcpSocket {
        TcpSocket {
            internet,
            family,
            inode,
            options,
            role: RwLock::new(role),
            changes: WaitQueue::default(),
        }
    }

    /// Makes the socket of a connection that this one has accepted.
    fn accepted(&self, role: Role) -> Arc<dyn File> {
        Arc::new(TcpSocket::with_role(
            Arc::clone(&self.internet),
            self.family,
            self.inode.sibling(),
            self.options.inherit(),
            role,
        ))
    }

    fn read(&self) -> RwLockReadGuard<'_, Role> {
        self.role.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Role> {
        self.role.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a port; 0 is an ephemeral one.
    fn lease(&self, address: SocketAddr) -> Result<Lease> {
        let coverage = Coverage {
            ip: address.ip(),
            is_v6_only: self.options.is_set(SOL_IPV6, IPV6_V6ONLY),
        };
        let sharing = Sharing {
            reuse_address: self.options.is_set(SOL_SOCKET, SO_REUSEADDR),
            reuse_port: self.options.is_set(SOL_SOCKET, SO_REUSEPORT),
        };
        self.internet.tcp.bind(coverage, address.port(), sharing)
    }

    /// Writes an address as this socket's family shows it.
    fn show(&self, address: SocketAddr) -> SocketAddress {
        SocketAddress::Inet(self.family.express(address).unwrap_or(address))
    }

    /// Connects to a listener inside the container. Linux: net/ipv4/tcp_ipv4.c tcp_v4_connect().
    fn connect_inside(&self, role: &mut Role, peer: SocketAddr) -> Result<Arc<Listener>> {
        let Some(listener) = self.internet.tcp.find(peer) else {
            return Err(Errno::ECONNREFUSED);
        };
        let lease = match std::mem::replace(role, Role::Idle(None)) {
            Role::Idle(Some(lease)) => lease,
            _ => self
                .lease(SocketAddr::new(peer.ip(), 0))
                .map_err(|_| Errno::EADDRNOTAVAIL)?,
        };
        *role = Role::Connecting {
            lease,
            peer,
            listener: Arc::clone(&listener),
        };
        self.finish(role)?;
        Ok(listener)
    }

    /// Puts the other end into the listener's queue, if that has room now; else `EINPROGRESS`.
    fn finish(&self, role: &mut Role) -> Result<()> {
        let (lease, peer, listener) = match std::mem::replace(role, Role::Idle(None)) {
            Role::Connecting {
                lease,
                peer,
                listener,
            } => (lease, peer, listener),
            other => {
                *role = other;
                return Ok(());
            }
        };
        let bound = lease.address();
        let ip = if bound.ip().is_unspecified() {
            peer.ip()
        } else {
            bound.ip()
        };
        let local = SocketAddr::new(ip, bound.port());
        let connected = listener.queue.push(|| {
            let (near, far) = Duplex::pair(Manners::Tcp, &self.internet.memory)?;
            let far = LocalConnection {
                duplex: far,
                local: peer,
                peer: local,
                _lease: None,
            };
            Ok((far, near))
        });
        match connected {
            Ok(duplex) => {
                *role = Role::Local(LocalConnection {
                    duplex,
                    local,
                    peer,
                    _lease: Some(lease),
                });
                Ok(())
            }
            Err(Errno::EAGAIN) => {
                *role = Role::Connecting {
                    lease,
                    peer,
                    listener,
                };
                Err(Errno::EINPROGRESS)
            }
            Err(error) => {
                *role = Role::Idle(Some(lease));
                Err(error)
            }
        }
    }

    /// Connects through a socket of the host.
    fn connect_outside(&self, role: &mut Role, peer: SocketAddr) -> Result<()> {
        let socket = self
            .internet
            .outgoing(Transport::Tcp, peer, &self.options)?;
        let started = socket.connect(peer);
        if matches!(started, Ok(()) | Err(Errno::EINPROGRESS)) {
            *role = Role::Host(HostConnection::outgoing(socket));
        }
        started
    }

    /// Goes on with a connection that waits for room in a listener's queue.
    fn advance(&self) {
        if !matches!(&*self.read(), Role::Connecting { .. }) {
            return;
        }
        let listener = {
            let mut role = self.write();
            let Role::Connecting { listener, .. } = &*role else {
                return;
            };
            let listener = Arc::clone(listener);
            match self.finish(&mut role) {
                Ok(()) => listener,
                Err(_) => return,
            }
        };
        listener.queue.announce();
        self.changes.wake_all();
    }

    fn accept_from(&self, listener: &Listener, guest_port: u16) -> Result<(Role, SocketAddress)> {
        match listener.queue.pop() {
            Ok(connection) => {
                let peer = self.show(connection.peer);
                return Ok((Role::Local(connection), peer));
            }
            Err(Errno::EAGAIN) => {}
            Err(error) => return Err(error),
        }
        for host in &listener.hosts {
            match host.accept() {
                Ok((socket, peer)) => {
                    let connection =
                        HostConnection::incoming(socket, guest_port, self.family, peer);
                    let peer = connection.peer_address()?;
                    return Ok((Role::Host(connection), SocketAddress::Inet(peer)));
                }
                // A peer that gave up while it waited concerns nobody.
                Err(Errno::EAGAIN | Errno::ECONNABORTED) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Errno::EAGAIN)
    }

    /// Stops listening; the port stays. Linux: net/ipv4/af_inet.c inet_shutdown(), `TCP_LISTEN`.
    fn stop_listening(&self) {
        let stopped = {
            let mut role = self.write();
            match std::mem::replace(&mut *role, Role::Idle(None)) {
                Role::Listening { lease, listener } => {
                    *role = Role::Idle(Some(lease));
                    Some(listener)
                }
                other => {
                    *role = other;
                    None
                }
            }
        };
        if let Some(listener) = stopped {
            listener.stop();
        }
        self.changes.wake_all();
    }
}

impl Socket for TcpSocket {
    fn options(&self) -> &SocketOptions {
        &self.options
    }

    fn apply_to_host(&self, option: SocketOption) -> Result<()> {
        match &*self.read() {
            Role::Host(connection) => connection.socket.set_option(option),
            _ => Ok(()),
        }
    }

    fn bind(&self, address: &SocketAddress) -> Result<()> {
        let mut role = self.write();
        if let Role::Host(connection) = &*role {
            return connection.bind(address);
        }
        let Role::Idle(None) = &*role else {
            return Err(Errno::EINVAL);
        };
        let address = self.family.accept(address)?;
        if !is_own(address.ip()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        *role = Role::Idle(Some(self.lease(address)?));
        Ok(())
    }

    fn listen(&self, backlog: u32) -> Result<()> {
        let mut role = self.write();
        match &*role {
            Role::Host(connection) => return connection.listen(backlog),
            Role::Listening { listener, .. } => {
                listener.queue.set_backlog(backlog);
                return Ok(());
            }
            Role::Idle(_) => {}
            Role::Connecting { .. } | Role::Local(_) => return Err(Errno::EINVAL),
        }
        let lease = match std::mem::replace(&mut *role, Role::Idle(None)) {
            Role::Idle(Some(lease)) => lease,
            _ => self.lease(SocketAddr::new(self.family.unspecified(), 0))?,
        };
        let listener = Arc::new(Listener {
            queue: AcceptQueue::new(backlog),
            hosts: self.internet.published(Transport::Tcp, lease.address()),
        });
        if let Err(error) = lease.receive_with(&listener) {
            *role = Role::Idle(Some(lease));
            return Err(error);
        }
        *role = Role::Listening { lease, listener };
        drop(role);
        self.changes.wake_all();
        Ok(())
    }

    fn connect(&self, address: &SocketAddress) -> Result<()> {
        self.advance();
        let mut role = self.write();
        match &*role {
            Role::Host(connection) => return connection.connect(address),
            Role::Connecting { .. } => return Err(Errno::EALREADY),
            Role::Listening { .. } | Role::Local(_) => return Err(Errno::EISCONN),
            Role::Idle(_) => {}
        }
        let peer = destination(self.family.accept(address)?);
        let connected = if is_own(peer.ip()) {
            self.connect_inside(&mut role, peer).map(Some)
        } else {
            self.connect_outside(&mut role, peer).map(|()| None)
        };
        drop(role);
        self.changes.wake_all();
        if let Some(listener) = connected? {
            listener.queue.announce();
        }
        Ok(())
    }

    fn accept(&self) -> Result<(Arc<dyn File>, SocketAddress)> {
        let (role, peer) = match &*self.read() {
            Role::Listening { lease, listener } => {
                self.accept_from(listener, lease.address().port())?
            }
            Role::Host(connection) => {
                let (connection, peer) = connection.accept()?;
                (Role::Host(connection), peer)
            }
            _ => return Err(Errno::EINVAL),
        };
        if let Role::Host(connection) = &role {
            connection.inherit(&self.options);
        }
        Ok((self.accepted(role), peer))
    }

    fn send(&self, bytes: &[u8], _to: Option<&SocketAddress>, _: MessageFlags) -> Result<usize> {
        match &*self.read() {
            Role::Local(connection) => connection.duplex.send(bytes),
            Role::Host(connection) => connection.socket.send(bytes, None),
            Role::Connecting { .. } => Err(Errno::EAGAIN),
            Role::Idle(_) | Role::Listening { .. } => Err(Errno::EPIPE),
        }
    }

    fn receive(&self, buffer: &mut [u8], flags: MessageFlags) -> Result<Received> {
        let consume = flags.consume();
        let count = match &*self.read() {
            Role::Local(connection) => connection.duplex.receive(buffer, consume)?,
            Role::Host(connection) => connection.socket.receive(buffer, consume)?.count,
            Role::Connecting { .. } => return Err(Errno::EAGAIN),
            Role::Idle(_) | Role::Listening { .. } => return Err(Errno::ENOTCONN),
        };
        Ok(Received::of_stream(count))
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        match &*self.read() {
            Role::Local(connection) => return connection.duplex.shutdown(how),
            Role::Host(connection) => return connection.socket.shutdown(how),
            Role::Idle(_) | Role::Connecting { .. } => return Err(Errno::ENOTCONN),
            Role::Listening { .. } => {}
        }
        if how != Shutdown::Write {
            self.stop_listening();
        }
        Ok(())
    }

    fn local_address(&self) -> Result<SocketAddress> {
        let address = match &*self.read() {
            Role::Idle(None) => SocketAddr::new(self.family.unspecified(), 0),
            Role::Idle(Some(lease))
            | Role::Connecting { lease, .. }
            | Role::Listening { lease, .. } => lease.address(),
            Role::Local(connection) => connection.local,
            Role::Host(connection) => connection.local_address(self.family)?,
        };
        Ok(self.show(address))
    }

    fn peer_address(&self) -> Result<SocketAddress> {
        match &*self.read() {
            Role::Local(connection) if !connection.duplex.is_over() => {
                Ok(self.show(connection.peer))
            }
            Role::Host(connection) => {
                let address = connection.peer_address()?;
                Ok(self.show(address))
            }
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn take_error(&self) -> Result<()> {
        self.advance();
        match &*self.read() {
            Role::Local(connection) => connection.duplex.take_error(),
            Role::Host(connection) => connection.socket.take_error(),
            _ => Ok(()),
        }
    }

    fn is_listening(&self) -> bool {
        match &*self.read() {
            Role::Listening { .. } => true,
            Role::Host(connection) => connection.is_listening(),
            _ => false,
        }
    }
}

impl File for TcpSocket {
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
        self.advance();
        let ready = match &*self.read() {
            // Linux: net/ipv4/tcp.c tcp_poll(), `TCP_CLOSE`.
            Role::Idle(_) => PollEvents::OUT | PollEvents::HUP,
            Role::Connecting { .. } => PollEvents::empty(),
            Role::Listening { listener, .. } => listener.poll(),
            Role::Local(connection) => connection.duplex.poll(),
            Role::Host(connection) => connection.socket.poll(interest),
        };
        ready & (interest | PollEvents::HUP | PollEvents::ERR)
    }

    fn register(&self, interest: PollEvents, waker: &Waker) {
        match &*self.read() {
            Role::Idle(_) => self.changes.register(waker),
            Role::Connecting { listener, .. } => {
                self.changes.register(waker);
                listener.queue.register_room(waker);
            }
            Role::Listening { listener, .. } => {
                self.changes.register(waker);
                listener.register(waker);
            }
            Role::Local(connection) => connection.duplex.register(interest, waker),
            Role::Host(connection) => connection.socket.register(interest, waker),
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
            Role::Local(connection) => Ok(connection.duplex.readable_bytes()),
            Role::Host(connection) => connection.socket.readable_bytes(),
            Role::Listening { .. } => Err(Errno::EINVAL),
            Role::Idle(_) | Role::Connecting { .. } => Ok(0),
        }
    }

    fn close(&self) {
        if let Role::Local(connection) = &*self.read()
            && self.options.resets_on_close()
        {
            connection.duplex.abort();
        }
    }
}

impl Listener {
    fn poll(&self) -> PollEvents {
        let has_host_arrival = || {
            let has_arrival = |host: &Arc<dyn HostSocket>| !host.poll(PollEvents::IN).is_empty();
            self.hosts.iter().any(has_arrival)
        };
        if self.queue.has_arrivals() || has_host_arrival() {
            PollEvents::IN
        } else {
            PollEvents::empty()
        }
    }

    fn register(&self, waker: &Waker) {
        self.queue.register_arrival(waker);
        for host in &self.hosts {
            host.register(PollEvents::IN, waker);
        }
    }
}
