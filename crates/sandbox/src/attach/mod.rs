//! Commands that are attached to a program: what it prints goes to all of them, and what they are typed comes from any of them.
//!
//! A command gives its connection of the control socket up for that, and [`Frame`]s go over it in both directions: bytes that were printed,
//! and the exit code behind the last of them; bytes that were typed, and their end. In the sandbox two threads serve each
//! command, so nobody's guest or executor waits for one that does not read, other than by the rule below.
//!
//! **A command that is slow** holds up the program, as a pipe does, once [`PENDING_BYTES_MAX`] wait for it. One that takes nothing for
//! [`PATIENCE`] is dropped, and the program goes on. So each costs bounded memory, and can hold a program up once for a bounded time.
//!
//! | module | is |
//! |---|---|
//! | `frames` | what goes over the connection |
//! | `hub` | what was printed, on its way to each command |
//! | `input` | what was typed, on its way to the program |
//! | `output` | a standard stream: to the caller, to the log, and to commands |
//! | `terminal` | a terminal of the container's kernel in place of the streams |
//! | `service` | the threads that serve commands |
//! | `connection` | a command's side |

use std::time::Duration;

mod connection;
mod frames;
mod hub;
mod input;
mod output;
mod service;
mod terminal;
#[cfg(test)]
mod tests;

pub use connection::Connection;
pub use frames::Frame;
pub(crate) use hub::Hub;
pub(crate) use input::{InputEnd, NoInput, TypedInput, TypedSink};
pub(crate) use output::Output;
pub(crate) use service::{Attached, Typing};
pub(crate) use terminal::{Showing, Terminal};

/// The size of a terminal's window: rows, columns, pixels wide, pixels high. Linux: the order of `struct winsize`.
pub type WindowSize = [u16; 4];

/// Bounds what waits for one command besides what the host's socket holds; as much again is being written.
const PENDING_BYTES_MAX: usize = 64 << 10;

/// How long a command may take nothing before it is dropped, and how long all are waited for at the end. A write of which the host took a part
/// is noticed at the end of this time, and given up at the end of the next: the program waits twice as long at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bounds the commands that are attached to one program.
const COMMANDS_MAX: usize = 16;

/// Bounds what was typed and not read. Linux: a pipe's 64 KiB.
const TYPED_BYTES_MAX: usize = 64 << 10;
