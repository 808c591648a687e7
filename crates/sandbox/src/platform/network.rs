//! Sockets of the host, non-blocking, woken by the executor's reactor.
//!
//! A socket is registered with the reactor when a task waits for it first: one that never
//! has to wait costs no call beyond its own.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

use minke_abi::linux::PollEvents;
use minke_abi::{Errno, Result};
use minke_kernel::net::Shutdown;
use minke_kernel::platform::{
    Family, HostLookup, HostNetwork, HostReceived, HostSocket, SocketOption, Transport,
};
use minke_kernel::stream::Consume;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

use super::errno;
use super::published::PublishedSockets;
use super::resolver::Resolver;
use super::traffic::TRAFFIC;
use crate::executor::{PolledFd, Reactor};

/// The host's network as a container may use it.
pub struct HostInternet {
    reactor: Arc<Reactor>,
    published: Vec<Published>,
    resolver: Arc<Resolver>,
}

/// A host socket that stands for a guest's port.
struct Published {
    transport: Transport,
    guest_port: u16,
    socket: Arc<dyn HostSocket>,
}

impl HostInternet {
    /// Makes the network of a container whose published ports are bound already.
    pub fn new(
        reactor: Arc<Reactor>,
        published: PublishedSockets,
        resolver: Arc<Resolver>,
    ) -> HostInternet {
        let published = published
            .sockets
            .into_iter()
            .map(|bound| Published {
                transport: bound.transport,
                guest_port: bound.guest_port,
                socket: Socket::wrap(&reactor, bound.fd, bound.transport),
            })
            .collect();
        HostInternet {
            reactor,
            published,
            resolver,
        }
    }
}

impl HostNetwork for HostInternet {
    fn socket(&self, transport: Transport, family: Family) -> Result<Arc<dyn HostSocket>> {
        let fd = open(transport, family).map_err(errno)?;
        Ok(Socket::wrap(&self.reactor, fd, transport))
    }

    fn published(&self, transport: Transport, guest_port: u16) -> Vec<Arc<dyn HostSocket>> {
        self.published
            .iter()
            .filter(|p| p.transport == transport && p.guest_port == guest_port)
            .map(|p| Arc::clone(&p.socket))
            .collect()
    }

    fn resolve(&self, name: &str) -> Arc<dyn HostLookup> {
        self.resolver.resolve(name)
    }
}

/// Makes a non-blocking socket.
pub(super) fn open(transport: Transport, family: Family) -> rustix::io::Result<OwnedFd> {
    let family = match family {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    let (kind, protocol) = match transport {
        Transport::Tcp => (SocketType::STREAM, ipproto::TCP),
        Transport::Udp => (SocketType::DGRAM, ipproto::UDP),
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socket_with(family, kind, flags, Some(protocol))
}

/// A socket of the host.
struct Socket {
    reactor: Arc<Reactor>,
    transport: Transport,
    /// Registers the descriptor when somebody waits for it first. Dropped before `fd`.
    polled: OnceLock<PolledFd>,
    fd: Arc<OwnedFd>,
}

impl Socket {
    fn wrap(reactor: &Arc<Reactor>, fd: OwnedFd, transport: Transport) -> Arc<dyn HostSocket> {
        Arc::new(Socket {
            reactor: Arc::clone(reactor),
            transport,
            polled: OnceLock::new(),
            fd: Arc::new(fd),
        })
    }

    /// Runs an operation, unless the reactor knows that it would have to wait.
    fn attempt<T>(
        &self,
        interest: PollEvents,
        operation: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Result<T> {
        let result = match self.polled.get() {
            Some(polled) => polled.attempt(interest, operation),
            None => operation(self.fd.as_fd()),
        };
        result.map_err(errno)
    }

    fn receive_stream(&self, buffer: &mut [u8], flags: RecvFlags) -> Result<HostReceived> {
        let asked = buffer.len();
        let is_taken = !flags.contains(RecvFlags::PEEK);
        let is_drained = |got: &(usize, usize)| is_taken && (1..asked).contains(&got.0);
        let mut receive = |fd: BorrowedFd<'_>| rustix::net::recv(fd, &mut *buffer, flags);
        let result = match self.polled.get() {
            Some(polled) => polled.attempt_to_drain(PollEvents::IN, receive, is_drained),
            None => receive(self.fd.as_fd()),
        };
        let (count, _) = result.map_err(errno)?;
        Ok(HostReceived {
            count,
            datagram_bytes: count,
            from: None,
        })
    }

    fn receive_datagram(&self, buffer: &mut [u8], flags: RecvFlags) -> Result<HostReceived> {
        let flags = flags | RecvFlags::TRUNC;
        let receive = |fd: BorrowedFd<'_>| rustix::net::recvfrom(fd, &mut *buffer, flags);
        let (count, datagram_bytes, from) = self.attempt(PollEvents::IN, receive)?;
        let from = from.and_then(|from| SocketAddr::try_from(from).ok());
        Ok(HostReceived {
            count,
            datagram_bytes,
            from,
        })
    }
}

impl HostSocket for Socket {
    fn bind(&self, address: SocketAddr) -> Result<()> {
        rustix::net::bind(&self.fd, &address).map_err(errno)
    }

    fn listen(&self, backlog: u32) -> Result<()> {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        rustix::net::listen(&self.fd, backlog).map_err(errno)
    }

    fn connect(&self, address: SocketAddr) -> Result<()> {
        rustix::net::connect(&self.fd, &address).map_err(errno)
    }

    fn accept(&self) -> Result<(Arc<dyn HostSocket>, SocketAddr)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let accept = |fd: BorrowedFd<'_>| rustix::net::acceptfrom_with(fd, flags);
        let (fd, peer) = self.attempt(PollEvents::IN, accept)?;
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        let peer = peer.ok_or(Errno::ECONNABORTED)?;
        Ok((Socket::wrap(&self.reactor, fd, self.transport), peer))
    }

    fn receive(&self, buffer: &mut [u8], consume: Consume) -> Result<HostReceived> {
        let flags = match consume {
            Consume::Take => RecvFlags::empty(),
            Consume::Peek => RecvFlags::PEEK,
        };
        let received = match self.transport {
            Transport::Tcp => self.receive_stream(buffer, flags),
            Transport::Udp => self.receive_datagram(buffer, flags),
        }?;
        if matches!(consume, Consume::Take) {
            TRAFFIC.count_received(received.count);
        }
        Ok(received)
    }

    fn send(&self, bytes: &[u8], to: Option<SocketAddr>) -> Result<usize> {
        // The sandbox itself must not die of a guest's broken connection.
        let flags = SendFlags::NOSIGNAL;
        let count = self.attempt(PollEvents::OUT, |fd| match to {
            None => rustix::net::send(fd, bytes, flags),
            Some(to) => rustix::net::sendto(fd, bytes, flags, &to),
        })?;
        TRAFFIC.count_sent(count);
        Ok(count)
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        let how = match how {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        rustix::net::shutdown(&self.fd, how).map_err(errno)
    }

    fn local_address(&self) -> Result<SocketAddr> {
        let address = rustix::net::getsockname(&self.fd).map_err(errno)?;
        SocketAddr::try_from(address).map_err(errno)
    }

    fn peer_address(&self) -> Result<SocketAddr> {
        let address = rustix::net::getpeername(&self.fd).map_err(errno)?;
        let address = address.ok_or(Errno::ENOTCONN)?;
        SocketAddr::try_from(address).map_err(errno)
    }

    fn take_error(&self) -> Result<()> {
        sockopt::socket_error(&self.fd)
            .and_then(|pending| pending)
            .map_err(errno)
    }

    fn set_option(&self, option: SocketOption) -> Result<()> {
        set_option(self.fd.as_fd(), option).map_err(errno)
    }

    fn readable_bytes(&self) -> Result<usize> {
        let bytes = rustix::io::ioctl_fionread(&self.fd).map_err(errno)?;
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    fn poll(&self, interest: PollEvents) -> PollEvents {
        match self.polled.get() {
            Some(polled) => polled.poll_own(interest),
            None => poll_now(self.fd.as_fd(), interest),
        }
    }

    fn register(&self, _interest: PollEvents, waker: &Waker) {
        if self.polled.get().is_none() {
            match PolledFd::new(&self.reactor, Arc::clone(&self.fd)) {
                // Another task may have been quicker; then this registration goes again.
                Ok(polled) => drop(self.polled.set(polled)),
                // The host has no room to watch one more: look again instead of sleeping for ever.
                Err(_) => waker.wake_by_ref(),
            }
        }
        if let Some(polled) = self.polled.get() {
            polled.register(waker);
        }
    }
}

/// Asks the host what holds of a descriptor now.
pub(super) fn poll_now(fd: BorrowedFd<'_>, interest: PollEvents) -> PollEvents {
    let wanted = PollFlags::from_bits_retain(interest.bits());
    let mut fds = [PollFd::from_borrowed_fd(fd, wanted)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match rustix::event::poll(&mut fds, Some(&at_once)) {
        Ok(_) => PollEvents::from_bits_truncate(fds[0].revents().bits()),
        Err(_) => PollEvents::empty(),
    }
}

fn set_option(fd: BorrowedFd<'_>, option: SocketOption) -> rustix::io::Result<()> {
    let seconds = |count: u32| Duration::from_secs(u64::from(count));
    match option {
        SocketOption::ReuseAddress(is_on) => sockopt::set_socket_reuseaddr(fd, is_on),
        SocketOption::ReusePort(is_on) => sockopt::set_socket_reuseport(fd, is_on),
        SocketOption::NoDelay(is_on) => sockopt::set_tcp_nodelay(fd, is_on),
        SocketOption::KeepAlive(is_on) => sockopt::set_socket_keepalive(fd, is_on),
        SocketOption::KeepAliveIdle(count) => sockopt::set_tcp_keepidle(fd, seconds(count)),
        SocketOption::KeepAliveInterval(count) => sockopt::set_tcp_keepintvl(fd, seconds(count)),
        SocketOption::KeepAliveProbes(count) => sockopt::set_tcp_keepcnt(fd, count),
        SocketOption::Broadcast(is_on) => sockopt::set_socket_broadcast(fd, is_on),
        SocketOption::SendBufferBytes(bytes) => {
            sockopt::set_socket_send_buffer_size(fd, bytes as usize)
        }
        SocketOption::ReceiveBufferBytes(bytes) => {
            sockopt::set_socket_recv_buffer_size(fd, bytes as usize)
        }
        SocketOption::IpV6Only(is_on) => sockopt::set_ipv6_v6only(fd, is_on),
        SocketOption::HopLimit(hops) => set_hop_limit(fd, hops),
        SocketOption::Linger(timeout) => {
            let timeout = timeout.map(|count| seconds(u32::from(count)));
            sockopt::set_socket_linger(fd, timeout)
        }
    }
}

fn set_hop_limit(fd: BorrowedFd<'_>, hops: u8) -> rustix::io::Result<()> {
    match sockopt::socket_domain(fd)? {
        AddressFamily::INET6 => sockopt::set_ipv6_unicast_hops(fd, Some(hops)),
        _ => sockopt::set_ip_ttl(fd, u32::from(hops)),
    }
}
