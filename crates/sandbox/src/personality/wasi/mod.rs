//! WASI preview 1, `wasi_unstable`, and the WasmEdge socket extension.
//!
//! A call decodes its arguments, asks the kernel one thing, and encodes the answer. What can
//! never wait is a synchronous host function; what may wait tries first and only then suspends.
//!
//! | module | is |
//! |---|---|
//! | [`table`] | every call with its signature and how much of it is there |
//! | `process`, `clock` | arguments, environment, exit, signals; clocks and random bytes |
//! | `descriptor`, `io`, `directory` | calls on descriptors; reading and writing; listing directories |
//! | `path`, `preopen` | calls on paths; the pre-opened root and the working directory |
//! | `poll` | `poll_oneoff` |
//! | `socket` | preview 1's socket calls |
//! | `wasmedge`, `wasmedge_v2`, `lookup` | WasmEdge's socket calls, their later forms, and `sock_getaddrinfo` |
//! | `thread`, `state` | wasi-threads, and what the threads of a process share |
//! | `unstable` | the calls of `wasi_unstable` that differ from preview 1's |
//! | `vectors` | the buffers that reads and writes name |
//!
//! # Differences from the specification
//!
//! The container is the sandbox, so there is one pre-opened directory: its root. Paths may leave
//! a directory by `..` or by symbolic links as on Linux; only absolute paths and those that climb
//! above the root are refused (`PERM`, as by wasmtime). Rights are derived from how a descriptor
//! was opened; what a guest drops stays dropped for that descriptor.

use minke_abi::wasi::{Errno, Rights};
use minke_kernel::Task;
use wasmtime::{Caller, ImportType, Linker};

use crate::personality::{Linked, find};
use crate::runtime::stop::unless_ending;
use crate::runtime::{Guest, MemoryView};

mod clock;
mod descriptor;
mod directory;
mod io;
mod lookup;
mod path;
mod poll;
mod preopen;
mod process;
mod socket;
mod state;
pub mod table;
mod thread;
mod unstable;
mod wasmedge;
mod wasmedge_v2;

pub use preopen::preopen_root;
pub use state::State;

/// The module name that programs import WASI preview 1 from.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// What a call gives back: a value, or the error that the guest sees.
type Answer<T> = Result<T, Errno>;

/// A call that is under way: the guest's memory and its data.
struct Call<'a> {
    memory: MemoryView<'a>,
    guest: &'a mut Guest,
}

impl Call<'_> {
    fn task(&self) -> &Task {
        &self.guest.task
    }

    fn require(&self, fd: u32, rights: Rights) -> Answer<()> {
        self.guest.wasi.require(fd, rights)
    }
}

/// A call that may have to wait: its answer later.
type Pending<'a> = Box<dyn Future<Output = wasmtime::Result<u32>> + Send + 'a>;

/// An answer that is there already, as a call that may wait gives it.
fn ready<'a>(caller: &Caller<'_, Guest>, answer: Answer<()>) -> Pending<'a> {
    Box::new(std::future::ready(finish(caller.data(), answer)))
}

/// Turns an answer into the number that the guest gets, unless its process is to end.
fn finish(guest: &Guest, answer: Answer<()>) -> wasmtime::Result<u32> {
    let Err(errno) = answer else {
        return Ok(0);
    };
    if errno == Errno::INTR {
        // Only whether this is an end is asked for; the number stays.
        let _interrupted = unless_ending::<()>(guest, Err(minke_abi::Errno::EINTR))?;
    }
    Ok(u32::from(errno.raw()))
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
    linker: &mut Linker<Guest>,
    import: &ImportType<'_>,
    module: &str,
    name: &str,
) -> wasmtime::Result<Linked> {
    let call = match module {
        "wasi_snapshot_preview1" => find(table::PREVIEW1, import, name),
        "wasi_unstable" => {
            find(table::UNSTABLE, import, name).or_else(|| find(table::PREVIEW1, import, name))
        }
        "wasi" => find(table::THREADS, import, name),
        _ => None,
    };
    let Some(call) = call else {
        return Ok(Linked::NotMine);
    };
    (call.define)(linker, import.module(), import.name())?;
    Ok(Linked::Yes)
}
