//! Descriptors that tell what has happened, through the calls of tasks.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

#[path = "../vfs/machine.rs"]
#[expect(dead_code, reason = "tests of files use the rest of it")]
mod machine;

#[path = "../sockets/blocking.rs"]
mod blocking;

mod counters;
mod epoll;
mod notify;
