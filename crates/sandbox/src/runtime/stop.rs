//! What stops a guest, as opposed to what it is told.

use std::sync::OnceLock;

use minke_abi::linux::Signal;
use minke_abi::{Errno, Result};

use wasmtime::{Engine, Store, WasmBacktrace};

use crate::runtime::guest::Guest;

/// A host call's error that ends the guest's code instead of returning to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The guest asked to exit; the low eight bits of the code are kept.
    #[error("exited with {0}")]
    Exit(i32),
    /// A signal ends the process.
    #[error("ended by signal {}", .0.raw())]
    Signal(Signal),
    /// The thread ends, and its process does not.
    #[error("the thread has ended")]
    Thread,
    /// The process becomes another program, [`Guest::next_program`].
    #[error("became another program")]
    Exec,
}

impl Stop {
    /// Makes an error that leaves the guest's code at once. wasmtime finds out for any other where the guest stood, which nobody
    /// asks when a process ends by itself, and takes longer than the rest of its end.
    pub fn leaving(self, engine: &Engine) -> wasmtime::Error {
        /// In which no guest runs, so the backtrace that it gives is empty.
        static NOWHERE: OnceLock<Store<()>> = OnceLock::new();
        let nowhere = NOWHERE.get_or_init(|| Store::new(engine, ()));
        wasmtime::Error::new(self).context(WasmBacktrace::capture(nowhere))
    }
}

/// Gives a guest its result, unless the process is to end: then the call does not return.
///
/// Personalities call this on the way out of every call that may have waited.
pub fn unless_ending<T>(guest: &Guest, result: Result<T>) -> std::result::Result<Result<T>, Stop> {
    match (&result, guest.task.process.signals.fatal()) {
        (Err(Errno::EINTR), Some(signal)) => Err(Stop::Signal(signal)),
        _ => Ok(result),
    }
}
