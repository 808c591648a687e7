//! WASI preview 1, `wasi_unstable`, and the WasmEdge socket extension.

use minke_kernel::Task;
use wasmtime::{ImportType, Linker};

use crate::personality::Linked;
use crate::runtime::Guest;

/// What this personality keeps per wasm thread.
#[derive(Default)]
pub struct State {}

impl State {
    /// Prepares the state of a process's first thread.
    pub fn new(_task: &Task) -> State {
        State::default()
    }
}

/// Defines an import if it is one of WASI's.
pub fn link_import(
    _linker: &mut Linker<Guest>,
    _import: &ImportType<'_>,
) -> wasmtime::Result<Linked> {
    Ok(Linked::NotMine)
}
