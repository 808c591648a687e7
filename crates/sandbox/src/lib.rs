//! One container running: wasmtime as the CPU, personalities as its system call interface, and
//! the host seen through the traits of `minke_kernel::platform`.
//!
//! | module | is |
//! |---|---|
//! | [`spec`] | what the engine asks for: root, mounts, process, network, limits |
//! | [`personality`] | guest ABIs: WASI preview 1 with sockets, Emscripten |
//! | [`runtime`] | compiled modules, instances, guest memory, traps, interruption |
//! | [`executor`] | guests' threads as futures, with the reactor and timers |
//! | `platform` | clock, entropy, host sockets, host files, standard streams |
//!
//! Only this crate names wasmtime.

pub mod executor;
pub mod jail;
pub mod personality;
pub mod platform;
pub mod runtime;
pub mod spec;
