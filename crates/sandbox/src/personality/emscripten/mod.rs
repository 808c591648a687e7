//! Emscripten: standalone modules and the modules that its JavaScript glue would run.

use minke_kernel::Task;
use wasmtime::{ImportType, Instance, Linker, Store};

use crate::personality::{Linked, ProgramContext};
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

/// Defines an import if it is one of Emscripten's.
pub fn link_import(
    _linker: &mut Linker<Guest>,
    _program: &ProgramContext,
    _import: &ImportType<'_>,
) -> wasmtime::Result<Linked> {
    Ok(Linked::NotMine)
}

/// Runs a module that has no `_start`: what its JavaScript glue would have done.
pub async fn enter(
    _store: &mut Store<Guest>,
    _instance: &Instance,
    program: &ProgramContext,
) -> wasmtime::Result<()> {
    Err(wasmtime::format_err!(
        "`{}` has no entry point",
        program.path
    ))
}
