//! Unix sockets. Linux: net/unix/af_unix.c; `unix(7)`.
//!
//! | module | is |
//! |---|---|
//! | `names` | which socket a path or an abstract name leads to |
//! | `connection` | stream and sequenced-packet sockets |
//! | `bytes` | connections that are streams |
//! | `packets` | connections that keep message boundaries |
//! | `datagram` | datagram sockets |
//! | `companions` | what travels beside a message |
//! | `rights` | descriptors on their way |

mod bytes;
mod companions;
mod connection;
mod datagram;
mod names;
mod packets;
mod rights;

use std::any::Any;
use std::sync::Arc;
use std::task::Waker;

use minke_abi::Result;
use minke_abi::linux::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};

use crate::anonymous::AnonymousInode;
use crate::file::File;
use crate::kernel::MemoryBudget;
use crate::net::{MessageFlags, Received, SocketKind, SocketOptions, UnixAddress, UserCredentials};
use crate::vfs::Location;

pub(crate) use companions::Companions;
pub(crate) use names::{UnixKey, UnixNames, UnixTarget};
pub(crate) use rights::{InFlight, Rights};

use connection::ConnectionSocket;
use datagram::DatagramSocket;

/// Longest path of an address, in bytes without a terminating zero. Linux: `UNIX_PATH_MAX`.
pub(crate) const PATH_BYTES_MAX: usize = 108;

/// What a Unix socket does with names that [`Task`](crate::Task) has resolved.
pub(crate) trait UnixSocket: Send + Sync {
    /// Gives the socket a name; `EINVAL` when it has one, `EADDRINUSE` when another has it.
    fn bind_to(
        &self,
        address: UnixAddress,
        key: UnixKey,
        location: Option<Arc<Location>>,
    ) -> Result<()>;

    /// Gives the socket an abstract name that nobody has.
    fn bind_anywhere(&self) -> Result<()>;

    /// Connects to a named socket; `EAGAIN` when its queue is full.
    fn connect_to(&self, target: &UnixTarget, who: UserCredentials) -> Result<()>;

    /// Sends to a named socket, or to the peer. Descriptors leave `companions` once they are queued.
    fn send_with(
        &self,
        bytes: &[u8],
        target: Option<&UnixTarget>,
        companions: &mut Companions,
    ) -> Result<usize>;

    /// Receives bytes and what travels beside them. Who sends is known always.
    fn receive_with(
        &self,
        buffer: &mut [u8],
        flags: MessageFlags,
    ) -> Result<(Received, Companions)>;

    /// Returns the descriptors that wait to be received.
    fn waiting_rights(&self) -> Vec<Arc<Rights>>;

    /// Wakes `waker` when a connection or message to `target` may go through.
    fn register_target(&self, target: &UnixTarget, waker: &Waker);
}

/// Returns the operations that take resolved names, if a file is a Unix socket.
pub(crate) fn unix_socket(file: &dyn File) -> Option<&dyn UnixSocket> {
    let file: &dyn Any = file;
    let connection = file.downcast_ref::<ConnectionSocket>();
    if let Some(socket) = connection {
        return Some(socket);
    }
    let socket = file.downcast_ref::<DatagramSocket>()?;
    Some(socket)
}

/// What the Unix sockets of one container share.
#[derive(Clone)]
pub(crate) struct UnixNetwork {
    pub(crate) names: Arc<UnixNames>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) memory: Arc<MemoryBudget>,
}

/// Whether a number is a kind of Unix socket.
pub(crate) fn is_kind(kind: u32) -> bool {
    matches!(kind, SOCK_STREAM | SOCK_DGRAM | SOCK_SEQPACKET)
}

/// Makes a socket without a name.
pub(crate) fn socket(
    network: &UnixNetwork,
    kind: SocketKind,
    inode: AnonymousInode,
) -> Arc<dyn File> {
    let options = SocketOptions::new(kind);
    match kind.kind {
        SOCK_DGRAM => Arc::new(DatagramSocket::new(network, inode, options)),
        _ => ConnectionSocket::new(network, inode, options),
    }
}

/// Makes two connected sockets without names.
pub(crate) fn socket_pair(
    network: &UnixNetwork,
    kind: SocketKind,
    inode: AnonymousInode,
) -> Result<(Arc<dyn File>, Arc<dyn File>)> {
    match kind.kind {
        SOCK_DGRAM => Ok(DatagramSocket::pair(network, inode, kind)),
        _ => ConnectionSocket::pair(network, inode, kind),
    }
}
