//! Makes modules of native code that this program compiled.
#![expect(
    unsafe_code,
    reason = "wasmtime cannot check that native code is what it compiled; the cache does"
)]

use std::fs::File;

use wasmtime::{Engine, Module};

/// Maps an artefact that [`ModuleCache::artefact`](super::cache::ModuleCache::artefact) has opened, or that a
/// [compiling child](super::compiler) has left in memory, or that a [module server](super::module_server) has opened so.
pub(super) fn from_file(engine: &Engine, artefact: File) -> wasmtime::Result<Module> {
    // SAFETY: the file holds what `Engine::precompile_module` returned. It lies in a directory that only our user may
    // write, and its identity or its digest is the one that was noted when it was
    // written; it is never written again, only replaced by renaming. Or it has no name, and the child that wrote
    // it has ended. wasmtime compares version, configuration and CPU features itself.
    unsafe { Module::deserialize_open_file(engine, artefact) }
}

/// Makes a module of an artefact in memory.
pub(super) fn from_memory(engine: &Engine, artefact: &[u8]) -> wasmtime::Result<Module> {
    // SAFETY: the callers pass what `Engine::precompile_module` or `Module::serialize` has just returned.
    unsafe { Module::deserialize(engine, artefact) }
}
