//! Numbers, names and byte layouts that guests and the kernel agree on: Linux's and WASI's.
//!
//! Nothing here behaves: the crate has no state, no I/O and no allocation of its own.
//! `kernel` speaks [`Errno`] and the types of [`linux`]; each personality of the sandbox
//! translates between those and what its guests expect.

pub mod emscripten;
pub mod errno;
pub mod linux;
pub mod resource;
pub mod signal;
pub mod terminal;
pub mod wait;
pub mod wali;
pub mod wasi;
pub mod wasmedge;

pub use errno::Errno;

/// What a kernel operation returns: a value, or the error that the guest sees.
pub type Result<T> = std::result::Result<T, Errno>;
