//! The calls that guests make, as methods of [`Task`](crate::Task), one file per family.
//!
//! A personality decodes and checks; what happens is decided here. Every method that may wait
//! is `async` and ends with `EINTR` when the process is to end.

pub mod attributes;
pub mod descriptors;
pub mod directories;
pub mod events;
pub mod extended;
pub mod files;
pub mod identity;
pub mod locks;
pub mod memory_files;
pub mod names;
pub mod open;
pub mod paths;
pub mod poll;
pub mod process_files;
pub mod processes;
pub mod resolve;
pub mod signals;
pub mod sockets;
pub mod terminals;
pub mod transfers;
mod unix;

pub use paths::{At, Follow};
