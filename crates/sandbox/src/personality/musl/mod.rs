//! System calls as the C libraries for 32-bit wasm make them, which are ports of musl.
//!
//! The Linux and the Emscripten personality have the same pointers, numbers of flags and most structures. What both decode
//! stands here once, below both, and knows neither; where their structures differ in width, the caller gives the width, or
//! what was read. Errors are the kernel's: each personality has its own way to tell them. Source of each call's rule: its Linux
//! manual page.

pub(super) mod addresses;
pub(super) mod attributes;
pub(super) mod context;
mod control;
pub(super) mod descriptors;
pub(super) mod files;
pub(super) mod identity;
pub(super) mod messages;
pub(super) mod paths;
pub(super) mod poll;
pub(super) mod sockets;
