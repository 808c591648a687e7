//! Rewrites a module when it is loaded, so that its running code can be stopped.
//!
//! # The exit
//! The last function of the rewritten module does nothing but trap, and nobody calls it. A signal to a thread that runs the guest's
//! code lets it go on there (`executor::code`), whatever it was about: loops and calls cost nothing.
//!
//! # Checks
//! Some operators run in the host, for a time that grows with what they are given: a guest that did little else would hardly ever
//! be found in its own code. So before each of those stands a *check*: a load, whose result is dropped, from one memory more, of
//! one page, that no code of the guest can name. To stop the guest, the host also makes the page
//! unreadable (`mprotect`); the next load faults, and wasmtime turns the fault into a trap. Modules without such operators have no such
//! memory.
//!
//! A load that may trap is never removed for being dead or moved out of a loop, but one that repeats an earlier load
//! of the same address, with no store between, is. So each check of a function loads another byte, and when the bytes
//! of the page are used up, the rest are atomic loads, which are never merged. Inlining between
//! functions stays off (`runtime::engine`), or two functions' bytes would meet.
//!
//! # Polls
//! A program that exports [`POLL_EXPORT`] has handlers that are to be called while it computes. At the head of its loops, and
//! in functions that call themselves, stands a *poll*: a load from the hidden memory, of another byte each as in checks, and a
//! call of that export where it is not 0. The host sets [`ATTENTION_BYTES`] at once. Loops without calls and loops in them have none where
//! they look bounded, for there a poll would cost as much as the rest (`loops`).
//!
//! # What else changes
//! - Calls of `memory.fill` and `memory.copy` that are not known to be short become calls of functions
//!   appended to the module, which work in chunks of [`BULK_CHUNK_BYTES`] with a check before each.
//! - On a shared memory, `memory.atomic.wait32`, `wait64` and `notify` and `memory.grow` become calls of the host, through a
//!   hidden table ([`TABLE_EXPORT`]); the memory is exported as [`SHARED_EXPORT`].
//! - The start function is exported instead, as [`START_EXPORT`], and called by the host once the
//!   page's address is known: `instantiate` itself then runs no code of the guest.
//! - Custom sections are dropped but for `name`.
//!
//! No index changes: all that is added stands last in its index space. Sections are copied as bytes, so
//! a proposal that this module has never heard of survives as long as `wasmparser` can walk it.
//!
//! # Neighbours
//! `scan` validates and finds the places, `loops` those of polls, `bulk` makes the helper functions, `shared` the calls of the host, `rewrite`
//! writes the new module.

mod bulk;
mod loops;
mod rewrite;
mod scan;
mod shared;
#[cfg(test)]
mod tests;

pub use shared::{Number, SHARED_CALLS, SharedCall};

/// The version of the rewriting: part of the key under which compiled modules are cached, so
/// it must change whenever the output does.
pub const VERSION: u32 = 7;

/// The name under which the hidden memory is exported. A guest that exports it itself is refused.
pub const MEMORY_EXPORT: &str = "minke:interrupt";

/// The name under which the start function is exported, where there was one.
pub const START_EXPORT: &str = "minke:start";

/// The name under which the shared memory is exported, where there is one.
pub const SHARED_EXPORT: &str = "minke:shared";

/// The name under which the table is exported that the host fills with [`SHARED_CALLS`], where they are called.
pub const TABLE_EXPORT: &str = "minke:host";

/// Every name that a guest must not use.
const RESERVED_EXPORTS: [&str; 4] = [MEMORY_EXPORT, START_EXPORT, SHARED_EXPORT, TABLE_EXPORT];

/// How many bytes a bulk memory operation may touch between two checks: 1 MiB takes 0.1 ms where the
/// memory is there, 0.5 ms where the pages are yet to be faulted in.
pub const BULK_CHUNK_BYTES: u32 = 1 << 20;

/// A bulk memory operation that is known to touch no more needs no check: the guest is found in its own code often enough.
const UNCHECKED_BULK_BYTES_MAX: u64 = 256;

/// The export that a guest's loops call when its byte is set: no parameters, no results.
pub const POLL_EXPORT: &str = "signal_attend";

/// The size of the hidden memory in bytes: one wasm page.
pub const MEMORY_BYTES: usize = 65_536;

/// The bytes of the hidden memory that polls look at, from its beginning.
pub const ATTENTION_BYTES: usize = 4096;

/// Why a module cannot be instrumented.
#[derive(Debug, thiserror::Error)]
pub enum InstrumentError {
    /// The module does not validate.
    #[error("{}", .0.message())]
    Invalid(#[from] wasmparser::BinaryReaderError),
    /// The module exports a name that the runtime needs.
    #[error("exports the reserved name `{0}`")]
    ReservedExport(String),
    /// A process has one memory that its threads share.
    #[error("has more than one shared memory")]
    SharedMemories,
    /// The module is larger than the format's 32-bit sizes hold.
    #[error("grows beyond 4 GiB")]
    TooLarge,
}

/// Validates `wasm` against `features` and returns it with what stops it added.
pub fn instrument(
    wasm: &[u8],
    features: wasmparser::WasmFeatures,
) -> Result<Vec<u8>, InstrumentError> {
    let scan = scan::scan(wasm, features)?;
    Ok(rewrite::rewrite(wasm, &scan)?.wasm)
}

/// Returns where the code of `wasm` is in its instrumented form, which must be that of the same [`VERSION`].
pub fn origins(
    wasm: &[u8],
    features: wasmparser::WasmFeatures,
) -> Result<Origins, InstrumentError> {
    let scan = scan::scan(wasm, features)?;
    Ok(Origins(rewrite::rewrite(wasm, &scan)?.pieces))
}

/// Leads from positions in an instrumented module back to those in the original.
pub struct Origins(Vec<rewrite::Piece>);

impl Origins {
    /// Returns where a position's instruction stood, or the one that it stands for; `None` for functions that were added.
    pub fn original(&self, position: usize) -> Option<usize> {
        let after = self.0.partition_point(|piece| piece.new <= position);
        let piece = self.0[..after].last()?;
        let distance = position - piece.new;
        let is_added = after == self.0.len() && distance >= piece.length;
        (!is_added).then(|| piece.old + distance.min(piece.length))
    }
}
