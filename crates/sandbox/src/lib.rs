//! One container running: wasmtime as the CPU, personalities as its system call interface, and
//! the host seen through the traits of `minke_kernel::platform`.
//!
//! | module | is |
//! |---|---|
//! | [`spec`] | what the engine asks for: root, mounts, process, network, limits |
//! | [`personality`] | guest ABIs: WASI preview 1 with sockets, Emscripten, Linux |
//! | [`processes`] | starting programs that processes ask for |
//! | [`runtime`] | compiled modules, instances, guest memory, traps, interruption |
//! | [`executor`] | guests' threads as futures, with the reactor and timers |
//! | [`container`] | the parts put together, from the specification to the end |
//! | [`disks`] | disks that the container has mounted: opened, written back, given back |
//! | [`control`] | how commands reach a running container |
//! | [`files`] | a container's files for commands: changes, tars out and in |
//! | [`logs`] | what programs print, kept on disk |
//! | [`signals`] | signals of the host that are meant for the guest |
//! | [`platform`] | clock, entropy, host sockets, host files, standard streams |
//!
//! Only this crate names wasmtime.

pub mod attach;
pub mod container;
pub mod control;
pub mod disks;
pub mod executor;
pub mod files;
pub mod jail;
pub mod logs;
pub mod personality;
pub mod platform;
pub mod processes;
pub mod runtime;
pub mod signals;
pub mod spec;
