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
    linker: &mut Linker<Guest>,
    import: &ImportType<'_>,
) -> wasmtime::Result<Linked> {
    link_as(linker, import, import.module(), import.name())
}

/// Defines an import whose module and name were minified, by the names that it had before.
pub fn link_as(
    _linker: &mut Linker<Guest>,
    _import: &ImportType<'_>,
    _module: &str,
    _name: &str,
) -> wasmtime::Result<Linked> {
    Ok(Linked::NotMine)
}
