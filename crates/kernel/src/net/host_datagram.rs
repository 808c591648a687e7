//! UDP sockets of a container that has the host's network: the host's own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;

use minke_abi::linux::PollEvents;
use minke_abi::{Errno, Result};

use crate::anonymous::AnonymousInode;
use crate::file::File;
use crate::net::{MessageFlags, Received, Shutdown, Socket, SocketAddress, SocketOptions};
use crate::platform::{HostSocket, SocketOption};
use crate::vfs::Metadata;

/// A datagram socket of the host.
pub(crate) struct HostDatagramSocket {
    pub(crate) socket: Arc<dyn HostSocket>,
    pub(crate) inode: AnonymousInode,
    pub(crate) options: SocketOptions,
}

impl Socket for HostDatagramSocket {
    fn options(&self) -> &SocketOptions {
        &self.options
    }

    fn apply_to_host(&self, option: SocketOption) -> Result<()> {
        self.socket.set_option(option)
    }

    fn bind(&self, address: &SocketAddress) -> Result<()> {
        self.socket.bind(internet(address)?)
    }

    fn listen(&self, _backlog: u32) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn connect(&self, address: &SocketAddress) -> Result<()> {
        self.socket.connect(internet(address)?)
    }

    fn accept(&self) -> Result<(Arc<dyn File>, SocketAddress)> {
        Err(Errno::EOPNOTSUPP)
    }

    fn send(&self, bytes: &[u8], to: Option<&SocketAddress>, _: MessageFlags) -> Result<usize> {
        let to = to.map(internet).transpose()?;
        self.socket.send(bytes, to)
    }

    fn receive(&self, buffer: &mut [u8], flags: MessageFlags) -> Result<Received> {
        let received = self.socket.receive(buffer, flags.consume())?;
        Ok(Received {
            count: received.count,
            datagram_bytes: received.datagram_bytes,
            from: received.from.map(SocketAddress::Inet),
        })
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        self.socket.shutdown(how)
    }

    fn local_address(&self) -> Result<SocketAddress> {
        self.socket.local_address().map(SocketAddress::Inet)
    }

    fn peer_address(&self) -> Result<SocketAddress> {
        self.socket.peer_address().map(SocketAddress::Inet)
    }

    fn take_error(&self) -> Result<()> {
        self.socket.take_error()
    }
}

impl File for HostDatagramSocket {
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
        self.socket.poll(interest)
    }

    fn register(&self, interest: PollEvents, waker: &Waker) {
        self.socket.register(interest, waker);
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.inode.metadata())
    }

    fn socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn readable_bytes(&self) -> Result<usize> {
        self.socket.readable_bytes()
    }
}

fn internet(address: &SocketAddress) -> Result<SocketAddr> {
    match address {
        SocketAddress::Inet(address) => Ok(*address),
        SocketAddress::Unix(_) => Err(Errno::EAFNOSUPPORT),
    }
}
