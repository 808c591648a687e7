//! How commands reach a running container: requests over a Unix socket in its run directory.
//!
//! A message is its length (four bytes, little-endian) and JSON. A client sends one [`Request`] at a time and
//! reads one [`Response`] to it. The directory is the owner's alone, so whoever connects may do everything.
//!
//! Descriptors come beside the first byte of an [`ExecRequest`] ([`descriptors`]).
//!
//! The socket is served by the sandbox's first thread ([`server`]), not by the executor: it answers however busy the
//! guests are, and it needs no host calls that the jail forbids.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use minke_abi::linux::Signal;
use rustix::fs::{Mode, OFlags};

mod client;
pub(crate) mod descriptors;
pub mod message;
mod request;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Client, ExecClient};
pub use request::{
    AttachRequest, ExecRequest, LimitsChange, ProcessStatus, Request, Response, Statistics,
    take_request,
};
pub use server::{Controlled, Fate, Listener, Server};

/// The socket's name in the run directory.
pub const SOCKET_NAME: &str = "control.sock";

/// Parses a signal as people type it: `TERM`, `SIGTERM` or `15`.
pub fn parse_signal(text: &str) -> Option<u8> {
    Signal::parse(text).map(Signal::raw)
}

/// Opens a directory in order to name what is in it by a short path.
///
/// A socket's address holds 108 bytes (Linux: `struct sockaddr_un`), a home directory's path may be longer:
/// `/proc/self/fd/N/control.sock` is the same file and always fits.
fn open_directory(directory: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        directory,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

fn short_path(directory: &OwnedFd) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}/{SOCKET_NAME}", directory.as_raw_fd())
}
