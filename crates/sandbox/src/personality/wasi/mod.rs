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
//! | `unstable` | the calls of `wasi_unstable` that differ from preview 1's |
//! | `vectors` | the buffers that reads and writes name |
//!
//! # Differences from the specification
//!
//! The container is the sandbox, so there is one pre-opened directory: its root. Paths may leave
//! a directory by `..` or by symbolic links as on Linux; only absolute paths and those that climb
//! above the root are refused (`PERM`, as by wasmtime). Rights are derived from how a descriptor
//! was opened; what a guest drops stays dropped for that descriptor.

use std::collections::BTreeMap;

use minke_abi::wasi::{Errno, Rights};
use minke_kernel::{Fd, Task};
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
pub mod table;
mod unstable;
mod vectors;
mod wasmedge;
mod wasmedge_v2;

pub use preopen::preopen_root;

/// The module name that programs import WASI preview 1 from.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// What this personality keeps per wasm thread.
#[derive(Default)]
pub struct State {
    /// The descriptor of the pre-opened root, until the guest closes it.
    root: Option<Fd>,
    /// The working directory, unless it is the root.
    working_directory: Option<Vec<u8>>,
    /// What is left of the rights of descriptors whose rights were dropped: base and inheriting.
    limits: BTreeMap<Fd, RightsLimit>,
}

/// What a guest left itself of a descriptor's rights.
#[derive(Clone, Copy)]
struct RightsLimit {
    base: Rights,
    inheriting: Rights,
}

impl State {
    /// Prepares the state of a process's first thread.
    pub fn new(_task: &Task) -> State {
        State::default()
    }

    /// Refuses what the guest has dropped the right to.
    fn require(&self, fd: u32, rights: Rights) -> Answer<()> {
        match self.limits.get(&Fd(fd)) {
            Some(limit) if !limit.base.contains(rights) => Err(Errno::NOTCAPABLE),
            _ => Ok(()),
        }
    }

    /// Forgets what was known of a descriptor that is closed now.
    fn forget(&mut self, fd: Fd) {
        self.limits.remove(&fd);
        if self.root == Some(fd) {
            self.root = None;
        }
    }

    /// Moves what is known of a descriptor to its new number.
    fn renumber(&mut self, from: Fd, to: Fd) {
        let limit = self.limits.remove(&from);
        let was_root = self.root == Some(from);
        self.forget(to);
        if let Some(limit) = limit {
            self.limits.insert(to, limit);
        }
        if was_root {
            self.root = Some(to);
        }
    }
}

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
        _ => None,
    };
    let Some(call) = call else {
        return Ok(Linked::NotMine);
    };
    (call.define)(linker, import.module(), import.name())?;
    Ok(Linked::Yes)
}
