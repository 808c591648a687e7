//! Compiled modules and their instances.
//!
//! [`Runtime::load`] turns a file into a [`Program`]: found in the [`cache`] by its digest, or checked, instrumented and
//! compiled; then linked with what personalities provide. [`Program::run`] makes an instance of it and
//! runs it as a process, on whatever executor polls the future.
//!
//! | module | is |
//! |---|---|
//! | [`instrument`] | adds to a module what `interrupt` stops it through |
//! | `code`, `interrupt` | stopping |
//! | [`engine`] | wasmtime's configuration; the pool, and the engine for what does not fit |
//! | [`cache`] | compiled modules on disk |
//! | [`compiler`] | compiling, in a child that ends with it |
//! | [`program`], `needs`, `link`, `native` | loading |
//! | `lines` | source lines, from a module's debug information |
//! | `instance`, `limits`, [`stop`], `trap` | running, up to the exit status |
//! | [`threads`], `process_memory`, `shared_calls`, `shared` | threads and the memory that they share |
//! | [`fork`], `pagemap` | another instance with the same memory |
//! | [`module_server`] | loading from inside of the jail |
//! | [`guest`], [`memory`], [`vectors`] | what host calls see of their caller |

pub mod cache;
mod cache_faults;
mod code;
pub mod compiler;
pub mod engine;
mod error;
pub(crate) mod fork;
pub mod guest;
mod instance;
pub mod instrument;
mod interrupt;
mod limits;
mod lines;
mod link;
pub mod memory;
pub mod module_server;
mod native;
mod needs;
pub(crate) mod pagemap;
pub mod process_memory;
pub mod program;
mod shared;
mod shared_calls;
pub mod stop;
pub mod threads;
mod trap;
pub(crate) mod vectors;

pub use cache::FileIdentity;
pub use compiler::Compiler;
pub use engine::Pool;
pub use error::{Found, LoadError, MODULE_BYTES_MAX};
pub use guest::{Guest, Started};
pub use memory::{GuestAddr, GuestMemory, MemoryView};
pub use program::{
    ModuleBytes, ModuleFile, ModuleSource, Program, Progress, Runtime, RuntimeConfig,
};
pub use stop::Stop;
