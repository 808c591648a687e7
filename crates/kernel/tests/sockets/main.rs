//! Pipes, sockets and poll, through the calls of a task; compared with Linux where it can be asked.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

#[path = "../vfs/machine.rs"]
#[expect(dead_code, reason = "tests of files use the rest of it")]
mod machine;

mod blocking;
mod fifo;
mod internet;
mod oracle;
mod outside;
mod pair;
mod poll;
mod rights;
mod support_page;
mod unix;
