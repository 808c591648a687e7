//! What the kernel needs of the world below it, as traits that the sandbox implements.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Waker;

use minke_abi::Result;
use minke_abi::linux::PollEvents;

use crate::net::Shutdown;
use crate::stream::Consume;

/// Nanoseconds, of a clock or of a duration.
pub type Nanoseconds = u64;

/// Names a timer that [`Clock::wake_at`] has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId(pub u64);

/// Clocks and timers.
pub trait Clock: Send + Sync {
    /// Returns the time since an arbitrary point that never goes back (`CLOCK_MONOTONIC`).
    fn monotonic(&self) -> Nanoseconds;

    /// Returns the time since 1970-01-01 UTC (`CLOCK_REALTIME`).
    fn realtime(&self) -> Nanoseconds;

    /// Returns the CPU time that the container's process has used.
    fn cpu_time(&self) -> Nanoseconds;

    /// Wakes `waker` once the monotonic clock has reached `deadline`.
    fn wake_at(&self, deadline: Nanoseconds, waker: Waker) -> TimerId;

    /// Forgets a timer; one that has fired already is no error.
    fn cancel(&self, timer: TimerId);
}

/// A source of unpredictable bytes.
pub trait Entropy: Send + Sync {
    /// Fills `buffer` with bytes fit for keys.
    fn fill(&self, buffer: &mut [u8]);
}

/// Transport of an Internet socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Tcp,
    Udp,
}

/// Address family of an Internet socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    V4,
    V6,
}

/// The host's network, as far as the container's policy lets it through.
pub trait HostNetwork: Send + Sync {
    /// Makes an unbound host socket for outgoing traffic (or any, in host mode).
    fn socket(&self, transport: Transport, family: Family) -> Result<Arc<dyn HostSocket>>;

    /// Returns the host sockets that were bound when the container started because `guest_port`
    /// is published: listening for TCP, bound for UDP. A guest that closes its socket and listens
    /// again gets the same ones; two that share a port (`SO_REUSEPORT`) take turns on them.
    fn published(&self, transport: Transport, guest_port: u16) -> Vec<Arc<dyn HostSocket>>;

    /// Starts to resolve a host name; the look-up is polled like a file.
    fn resolve(&self, name: &str) -> Arc<dyn HostLookup>;
}

/// A look-up of a host name that is under way.
pub trait HostLookup: Send + Sync {
    /// Returns the addresses, `EAGAIN` after registering `waker`, or `ENOENT` when there is no such name.
    fn poll(&self, waker: &Waker) -> Result<Vec<IpAddr>>;
}

/// What [`HostSocket::receive`] gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostReceived {
    /// Bytes put into the buffer.
    pub count: usize,
    /// Whole length of a datagram; equals `count` unless it was cut.
    pub datagram_bytes: usize,
    /// The sender, where the transport knows one.
    pub from: Option<SocketAddr>,
}

/// A non-blocking socket of the host. Errors are the host's; `EAGAIN` means wait with [`HostSocket::register`].
pub trait HostSocket: Send + Sync {
    fn bind(&self, address: SocketAddr) -> Result<()>;
    fn listen(&self, backlog: u32) -> Result<()>;
    fn connect(&self, address: SocketAddr) -> Result<()>;
    fn accept(&self) -> Result<(Arc<dyn HostSocket>, SocketAddr)>;
    fn receive(&self, buffer: &mut [u8], consume: Consume) -> Result<HostReceived>;
    fn send(&self, bytes: &[u8], to: Option<SocketAddr>) -> Result<usize>;
    fn shutdown(&self, how: Shutdown) -> Result<()>;
    fn local_address(&self) -> Result<SocketAddr>;
    fn peer_address(&self) -> Result<SocketAddr>;
    /// Takes the pending error (`SO_ERROR`).
    fn take_error(&self) -> Result<()>;
    fn set_option(&self, option: SocketOption) -> Result<()>;
    /// Bytes that wait to be received (`FIONREAD`).
    fn readable_bytes(&self) -> Result<usize>;
    /// Returns what of `interest` holds now, plus `ERR` and `HUP`.
    fn poll(&self, interest: PollEvents) -> PollEvents;
    /// Wakes `waker` when something of `interest` may have changed.
    fn register(&self, interest: PollEvents, waker: &Waker);
}

/// A socket option that reaches the host; others are kept by the kernel alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption {
    ReuseAddress(bool),
    ReusePort(bool),
    NoDelay(bool),
    KeepAlive(bool),
    /// Seconds without traffic before the first probe.
    KeepAliveIdle(u32),
    /// Seconds between probes.
    KeepAliveInterval(u32),
    KeepAliveProbes(u32),
    Broadcast(bool),
    SendBufferBytes(u32),
    ReceiveBufferBytes(u32),
    IpV6Only(bool),
    HopLimit(u8),
    /// Seconds to wait for unsent data in `close`, or `None` not to.
    Linger(Option<u16>),
}
