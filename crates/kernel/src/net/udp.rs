//! UDP sockets of a private network.
//!
//! Datagrams between the container's own addresses go from queue to queue. Others leave through
//! a socket of the host, or, when they answer one that came through a published port, through
//! the host socket that it came by. In host mode a socket is [`super::host_datagram`]'s.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use minke_abi::linux::PollEvents;
use minke_abi::{Errno, Result};
use smallvec::SmallVec;

use crate::anonymous::AnonymousInode;
use crate::file::File;
use crate::net::address::{CONTAINER_ADDRESS, destination, is_own, present_peer};
use crate::net::datagrams::DatagramQueue;
use crate::net::internet::Internet;
use crate::net::options::{IPV6_V6ONLY, SO_REUSEADDR, SO_REUSEPORT, SOL_IPV6, SOL_SOCKET};
use crate::net::ports::{Coverage, PortLease, Sharing};
use crate::net::{MessageFlags, Received, Shutdown, Socket, SocketAddress, SocketOptions};
use crate::platform::{Family, HostSocket, SocketOption, Transport};
use crate::stream::Consume;
use crate::vfs::Metadata;

/// The longest datagram. Spec: RFC 768 with the headers of IPv4.
const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Outside peers whose way back is remembered; the oldest is forgotten first. Bounds what strangers make us hold.
const CORRESPONDENTS_MAX: usize = 1024;

/// Datagrams of strangers that a connected socket throws away in one receive.
const DISCARDED_MAX: usize = 64;

/// Where datagrams from inside the container arrive.
pub(crate) struct Inbox {
    queue: DatagramQueue<SocketAddr>,
    /// The only sender that a connected socket hears.
    peer: Mutex<Option<SocketAddr>>,
}

/// A UDP socket of a guest.
pub(crate) struct UdpSocket {
    internet: Arc<Internet>,
    family: Family,
    inode: AnonymousInode,
    options: SocketOptions,
    inbox: Arc<Inbox>,
    /// `SO_ERROR`; 0 when nothing is pending.
    error: AtomicU16,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lease: Option<PortLease<Inbox>>,
    peer: Option<SocketAddr>,
    is_write_shut: bool,
    /// The host's sockets for the published port.
    published: Vec<Arc<dyn HostSocket>>,
    /// The host's sockets for traffic that starts here, by family.
    outgoing: [Option<Arc<dyn HostSocket>>; 2],
    correspondents: Correspondents,
}

/// How to answer those who wrote through a published port.
#[derive(Default)]
struct Correspondents {
    /// By the address that the guest was shown: which published socket, and the real address.
    by_shown: BTreeMap<SocketAddr, (usize, SocketAddr)>,
    oldest_first: VecDeque<SocketAddr>,
}

impl Correspondents {
    fn remember(&mut self, shown: SocketAddr, socket_index: usize, real: SocketAddr) {
        if self.by_shown.insert(shown, (socket_index, real)).is_some() {
            return;
        }
        self.oldest_first.push_back(shown);
        if self.oldest_first.len() > CORRESPONDENTS_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.by_shown.remove(&oldest);
        }
    }
}

impl UdpSocket {
    /// Makes an unbound socket.
    pub(crate) fn new(
        internet: Arc<Internet>,
        family: Family,
        inode: AnonymousInode,
        options: SocketOptions,
    ) -> Arc<UdpSocket> {
        let queue = DatagramQueue::new(Arc::clone(&internet.memory), usize::MAX);
        Arc::new(UdpSocket {
            internet,
            family,
            inode,
            options,
            inbox: Arc::new(Inbox {
                queue,
                peer: Mutex::default(),
            }),
            error: AtomicU16::new(0),
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a port and what is published for it.
    fn take_port(&self, state: &mut State, address: SocketAddr) -> Result<()> {
        let coverage = Coverage {
            ip: address.ip(),
            is_v6_only: self.options.is_set(SOL_IPV6, IPV6_V6ONLY),
        };
        let sharing = Sharing {
            reuse_address: self.options.is_set(SOL_SOCKET, SO_REUSEADDR),
            reuse_port: self.options.is_set(SOL_SOCKET, SO_REUSEPORT),
        };
        let lease = self.internet.udp.bind(coverage, address.port(), sharing)?;
        lease.receive_with(&self.inbox)?;
        if address.port() != 0 {
            state.published = self.internet.published(Transport::Udp, lease.address());
        }
        state.lease = Some(lease);
        Ok(())
    }

    /// Binds to an ephemeral port unless bound. Linux: net/ipv4/af_inet.c inet_autobind().
    fn take_any_port(&self, state: &mut State) -> Result<SocketAddr> {
        if state.lease.is_none() {
            let any = SocketAddr::new(self.family.unspecified(), 0);
            self.take_port(state, any).map_err(|_| Errno::EAGAIN)?;
        }
        Ok(self.bound(state))
    }

    fn bound(&self, state: &State) -> SocketAddr {
        let unbound = SocketAddr::new(self.family.unspecified(), 0);
        state.lease.as_ref().map_or(unbound, PortLease::address)
    }

    fn take_error(&self) -> Result<()> {
        match self.error.swap(0, Ordering::SeqCst) {
            0 => Ok(()),
            number => Err(Errno::from_raw(i32::from(number))),
        }
    }

    /// Delivers a datagram inside the container; what does not fit is lost, as datagrams are.
    fn send_inside(&self, bytes: &[u8], from: SocketAddr, to: SocketAddr, is_connected: bool) {
        let inbox = self.internet.udp.find(to);
        let hears = |inbox: &Arc<Inbox>| {
            let peer = *inbox.peer.lock().unwrap_or_else(PoisonError::into_inner);
            peer.is_none_or(|peer| peer == from)
        };
        match inbox.filter(hears) {
            Some(inbox) => {
                let _ = inbox.queue.push(bytes, from);
            }
            None if is_connected => {
                let number = u16::try_from(Errno::ECONNREFUSED.raw()).unwrap_or(0);
                self.error.store(number, Ordering::SeqCst);
                self.inbox.queue.wake_all();
            }
            None => {}
        }
    }

    /// Returns the host socket, and the real address, by which a datagram leaves the container.
    fn way_out(
        &self,
        state: &mut State,
        to: SocketAddr,
    ) -> Result<(Arc<dyn HostSocket>, Option<SocketAddr>)> {
        if let Some((index, real)) = state.correspondents.by_shown.get(&to)
            && let Some(socket) = state.published.get(*index)
        {
            return Ok((Arc::clone(socket), Some(*real)));
        }
        let is_connected = state.peer == Some(to);
        let slot = &mut state.outgoing[usize::from(to.is_ipv6())];
        let socket = match slot {
            Some(socket) => Arc::clone(socket),
            None => {
                let socket = self.internet.outgoing(Transport::Udp, to, &self.options)?;
                if is_connected {
                    socket.connect(to)?;
                }
                Arc::clone(slot.insert(socket))
            }
        };
        // Who polls must hear of the new socket's answers too.
        self.inbox.queue.wake_all();
        Ok((socket, (!is_connected).then_some(to)))
    }

    /// Receives from the host's sockets, those of the published port first.
    fn receive_outside(&self, buffer: &mut [u8], consume: Consume) -> Result<Received> {
        let sockets = self.host_sockets();
        for (index, socket) in sockets.iter().enumerate() {
            for _ in 0..DISCARDED_MAX {
                let received = match socket.receive(buffer, consume) {
                    Ok(received) => received,
                    Err(Errno::EAGAIN) => break,
                    Err(error) => return Err(error),
                };
                let mut state = self.lock();
                let real = received.from.or(state.peer).ok_or(Errno::EAGAIN)?;
                let shown = present_peer(self.family, real);
                let canonical = super::address::canonical(shown);
                if state.peer.is_some_and(|peer| peer != canonical) {
                    continue;
                }
                if index < state.published.len() {
                    state.correspondents.remember(canonical, index, real);
                }
                return Ok(Received {
                    count: received.count,
                    datagram_bytes: received.datagram_bytes,
                    from: Some(SocketAddress::Inet(shown)),
                });
            }
        }
        Err(Errno::EAGAIN)
    }

    /// Returns the host's sockets behind this one, those of the published port first.
    fn host_sockets(&self) -> SmallVec<[Arc<dyn HostSocket>; 4]> {
        let state = self.lock();
        let outgoing = state.outgoing.iter().flatten();
        state.published.iter().chain(outgoing).cloned().collect()
    }

    fn show(&self, address: SocketAddr) -> SocketAddress {
        SocketAddress::Inet(self.family.express(address).unwrap_or(address))
    }
}

impl Socket for UdpSocket {
    fn options(&self) -> &SocketOptions {
        &self.options
    }

    fn apply_to_host(&self, option: SocketOption) -> Result<()> {
        self.host_sockets()
            .iter()
            .try_for_each(|socket| socket.set_option(option))
    }

    fn bind(&self, address: &SocketAddress) -> Result<()> {
        let mut state = self.lock();
        if state.lease.is_some() {
            return Err(Errno::EINVAL);
        }
        let address = self.family.accept(address)?;
        if !is_own(address.ip()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        self.take_port(&mut state, address)
    }

    fn listen(&self, _backlog: u32) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Chooses the peer of `send` and the only sender that is heard.
    fn connect(&self, address: &SocketAddress) -> Result<()> {
        let peer = destination(self.family.accept(address)?);
        {
            let mut state = self.lock();
            self.take_any_port(&mut state)?;
            state.peer = Some(peer);
            if !is_own(peer.ip()) {
                // A socket that was connected to another peer would refuse this one's answers.
                state.outgoing = Default::default();
                self.way_out(&mut state, peer)?;
            }
            *self
                .inbox
                .peer
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(peer);
        }
        drop(self.inbox.queue.retain(|from| *from == peer));
        Ok(())
    }

    fn accept(&self) -> Result<(Arc<dyn File>, SocketAddress)> {
        Err(Errno::EOPNOTSUPP)
    }

    fn send(&self, bytes: &[u8], to: Option<&SocketAddress>, _: MessageFlags) -> Result<usize> {
        self.take_error()?;
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return Err(Errno::EMSGSIZE);
        }
        let mut state = self.lock();
        if state.is_write_shut {
            return Err(Errno::EPIPE);
        }
        let to = match to {
            Some(to) => destination(self.family.accept(to)?),
            None => state.peer.ok_or(Errno::EDESTADDRREQ)?,
        };
        if to.port() == 0 {
            return Err(Errno::EINVAL);
        }
        let bound = self.take_any_port(&mut state)?;
        if is_own(to.ip()) {
            let is_connected = state.peer == Some(to);
            drop(state);
            let ip = if bound.ip().is_unspecified() {
                to.ip()
            } else {
                bound.ip()
            };
            self.send_inside(bytes, SocketAddr::new(ip, bound.port()), to, is_connected);
            return Ok(bytes.len());
        }
        let (socket, to) = self.way_out(&mut state, to)?;
        drop(state);
        socket.send(bytes, to)
    }

    fn receive(&self, buffer: &mut [u8], flags: MessageFlags) -> Result<Received> {
        self.take_error()?;
        match self.inbox.queue.pop(buffer, flags.consume()) {
            Ok(Some(popped)) => Ok(Received {
                count: popped.count,
                datagram_bytes: popped.message_bytes,
                from: Some(self.show(popped.from)),
            }),
            Ok(None) => Ok(Received::of_stream(0)),
            Err(Errno::EAGAIN) => self.receive_outside(buffer, flags.consume()),
            Err(error) => Err(error),
        }
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        let mut state = self.lock();
        if state.peer.is_none() {
            return Err(Errno::ENOTCONN);
        }
        state.is_write_shut |= how != Shutdown::Read;
        drop(state);
        if how != Shutdown::Write {
            self.inbox.queue.end();
        }
        Ok(())
    }

    fn local_address(&self) -> Result<SocketAddress> {
        let state = self.lock();
        let bound = self.bound(&state);
        let ip = match state.peer {
            Some(peer) if bound.ip().is_unspecified() && is_own(peer.ip()) => peer.ip(),
            Some(_) if bound.ip().is_unspecified() => CONTAINER_ADDRESS.into(),
            _ => bound.ip(),
        };
        Ok(self.show(SocketAddr::new(ip, bound.port())))
    }

    fn peer_address(&self) -> Result<SocketAddress> {
        let peer = self.lock().peer.ok_or(Errno::ENOTCONN)?;
        Ok(self.show(peer))
    }

    fn take_error(&self) -> Result<()> {
        UdpSocket::take_error(self)?;
        self.host_sockets()
            .iter()
            .try_for_each(|socket| socket.take_error())
    }
}

impl File for UdpSocket {
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let received = self.receive(buffer, MessageFlags::empty())?;
        Ok(received.count)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.send(bytes, None, MessageFlags::empty())
    }

    /// Linux: net/ipv4/udp.c udp_poll().
    fn poll(&self, interest: PollEvents, waker: Option<&Waker>) -> PollEvents {
        if let Some(waker) = waker {
            self.register(interest, waker);
        }
        let queue = &self.inbox.queue;
        let has_outside = || {
            let is_ready = |s: &Arc<dyn HostSocket>| !s.poll(PollEvents::IN).is_empty();
            self.host_sockets().iter().any(is_ready)
        };
        let mut ready = PollEvents::OUT;
        let is_ended = queue.is_ended();
        let has_error = self.error.load(Ordering::SeqCst) != 0;
        ready.set(
            PollEvents::IN,
            queue.has_messages() || is_ended || has_outside(),
        );
        ready.set(PollEvents::RDHUP, is_ended);
        ready.set(PollEvents::HUP, is_ended && self.lock().is_write_shut);
        ready.set(PollEvents::ERR, has_error);
        ready & (interest | PollEvents::HUP | PollEvents::ERR)
    }

    fn register(&self, interest: PollEvents, waker: &Waker) {
        self.inbox.queue.register_arrival(waker);
        for socket in self.host_sockets() {
            socket.register(interest, waker);
        }
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.inode.metadata())
    }

    fn socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn readable_bytes(&self) -> Result<usize> {
        match self.inbox.queue.first_bytes() {
            0 => {}
            bytes => return Ok(bytes),
        }
        for socket in self.host_sockets() {
            match socket.readable_bytes()? {
                0 => {}
                bytes => return Ok(bytes),
            }
        }
        Ok(0)
    }
}
