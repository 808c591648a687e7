//! WASI guests on a real kernel: every call by small scripts, and the programs of `guests/`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod files;
mod machine;
mod processes;
mod programs;
mod script;
mod sockets;
mod support;
mod waits;
mod wild;
