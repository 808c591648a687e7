//! The host platform: sockets against peers on this machine, standard streams, names, timers.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod container;
mod names;
mod published;
mod sockets;
mod streams;
