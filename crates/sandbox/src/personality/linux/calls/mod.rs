//! System calls, one file per family. Names and numbers are those of x86-64.

pub(super) mod attributes;
pub(super) mod clocks;
pub(super) mod descriptors;
pub(super) mod events;
pub(super) mod extended;
pub(super) mod files;
pub(super) mod identity;
pub(super) mod paths;
pub(super) mod poll;
pub(super) mod process_files;
pub(super) mod processes;
pub(super) mod settings;
pub(super) mod signals;
pub(super) mod sockets;
pub(super) mod system;
pub(super) mod terminals;
pub(super) mod threads;
pub(super) mod timers;
pub(super) mod transfers;
