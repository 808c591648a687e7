//! The host, as the kernel asks for it: implementations of `minke_kernel::platform`.
//!
//! | module | is |
//! |---|---|
//! | [`clock`] | clocks, and timers of the executor's reactor |
//! | [`directory`] | host directories and files in the container's tree |
//! | [`entropy`] | random bytes |
//! | [`root`] | the root's lower tree, from an image's layers |
//! | [`network`] | host sockets and published ports |
//! | [`resolver`] | host names, looked up on threads of their own |
//! | [`traffic`] | how much went through host sockets |
//! | [`stdio`] | standard streams: inherited descriptors, and lines for a log |

pub mod clock;
pub mod directory;
pub mod entropy;
pub mod network;
pub mod published;
pub mod resolver;
pub mod root;
pub mod stdio;
pub mod traffic;

pub use clock::HostClock;
pub use entropy::HostEntropy;
pub use network::HostInternet;
pub use published::{PublishError, PublishedSockets};
pub use resolver::Resolver;
pub use stdio::{HostStream, LogSink, LogStream};
pub use traffic::TRAFFIC;

use minke_abi::Errno;

/// Turns the host's error number into the kernel's; the numbers are the same.
fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}
