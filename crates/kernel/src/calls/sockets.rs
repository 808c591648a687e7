//! Socket calls.

use std::net::IpAddr;

use minke_abi::linux::OpenFlags;
use minke_abi::{Errno, Result};

use crate::descriptor::Fd;
use crate::net::{MessageFlags, Received, Shutdown, SocketAddress};
use crate::task::Task;

impl Task {
    /// Makes a socket. `domain` is `AF_*`, `kind` `SOCK_*` without flags; flags: `O_NONBLOCK`, `O_CLOEXEC`.
    pub fn socket(&self, domain: u16, kind: u32, protocol: i32, flags: OpenFlags) -> Result<Fd> {
        let _ = (domain, kind, protocol, flags);
        Err(Errno::ENOSYS)
    }

    /// Makes two connected Unix sockets.
    pub fn socket_pair(&self, domain: u16, kind: u32, flags: OpenFlags) -> Result<(Fd, Fd)> {
        let _ = (domain, kind, flags);
        Err(Errno::ENOSYS)
    }

    /// Binds a socket; a Unix path makes a socket file.
    pub fn bind(&self, fd: Fd, address: &SocketAddress) -> Result<()> {
        let _ = (fd, address);
        Err(Errno::ENOSYS)
    }

    /// Makes a socket take connections.
    pub fn listen(&self, fd: Fd, backlog: u32) -> Result<()> {
        let _ = (fd, backlog);
        Err(Errno::ENOSYS)
    }

    /// Takes a connection, waiting for one. Flags are those of the new descriptor.
    pub async fn accept(&self, fd: Fd, flags: OpenFlags) -> Result<(Fd, SocketAddress)> {
        let _ = (fd, flags);
        Err(Errno::ENOSYS)
    }

    /// Connects, waiting for the end unless the socket is non-blocking (`EINPROGRESS`).
    pub async fn connect(&self, fd: Fd, address: &SocketAddress) -> Result<()> {
        let _ = (fd, address);
        Err(Errno::ENOSYS)
    }

    /// Sends, waiting for room. `with_bytes` hands the guest's bytes to the given action, once per try.
    pub async fn send_with(
        &self,
        fd: Fd,
        to: Option<&SocketAddress>,
        flags: MessageFlags,
        with_bytes: impl FnMut(&mut dyn FnMut(&[u8]) -> Result<usize>) -> Result<usize>,
    ) -> Result<usize> {
        let _ = (fd, to, flags, with_bytes);
        Err(Errno::ENOSYS)
    }

    /// Receives, waiting for data. `with_buffer` hands the guest's buffer to the given action, once per try.
    pub async fn receive_with(
        &self,
        fd: Fd,
        flags: MessageFlags,
        with_buffer: impl FnMut(&mut dyn FnMut(&mut [u8]) -> Result<Received>) -> Result<Received>,
    ) -> Result<Received> {
        let _ = (fd, flags, with_buffer);
        Err(Errno::ENOSYS)
    }

    /// Ends one or both directions of a connection.
    pub fn shutdown(&self, fd: Fd, how: Shutdown) -> Result<()> {
        let _ = (fd, how);
        Err(Errno::ENOSYS)
    }

    /// Returns a socket's own address.
    pub fn socket_name(&self, fd: Fd) -> Result<SocketAddress> {
        let _ = fd;
        Err(Errno::ENOSYS)
    }

    /// Returns the address of a socket's peer.
    pub fn peer_name(&self, fd: Fd) -> Result<SocketAddress> {
        let _ = fd;
        Err(Errno::ENOSYS)
    }

    /// Sets a socket option, Linux's numbers and layout.
    pub fn set_socket_option(&self, fd: Fd, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let _ = (fd, level, name, value);
        Err(Errno::ENOSYS)
    }

    /// Returns a socket option's value, Linux's numbers and layout.
    pub fn socket_option(&self, fd: Fd, level: i32, name: i32) -> Result<Vec<u8>> {
        let _ = (fd, level, name);
        Err(Errno::ENOSYS)
    }

    /// Resolves a host name: numbers, `localhost`, the container's own name, `/etc/hosts`, then the host's resolver.
    pub async fn resolve_host(&self, name: &str) -> Result<Vec<IpAddr>> {
        let _ = name;
        Err(Errno::ENOSYS)
    }
}
