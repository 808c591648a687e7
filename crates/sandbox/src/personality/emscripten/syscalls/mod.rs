//! System calls under musl's names, one file per family: decode, one kernel call, encode.
//!
//! A failed call returns the negated error number. Source of each call's rule: its Linux manual page.

pub(super) mod attributes;
pub(super) mod descriptors;
pub(super) mod files;
pub(super) mod mapping;
pub(super) mod paths;
pub(super) mod poll;
pub(super) mod process;
pub(super) mod sockets;
pub(super) mod wasi_split;
