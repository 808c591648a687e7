//! Linux: system calls as imports, `wali.SYS_*`, and what a system call cannot say, `minke.*`.
//!
//! Programs are compiled against a C library for 32-bit wasm with Linux's numbers and x86-64's layouts
//! (`docs/compat/linux.md`). Each call is a row of a [`table`]; it is decoded, calls one method of the kernel's
//! [`Task`](minke_kernel::Task), and on the way out signals are attended to: handlers are called then and only then.
//!
//! `fork` and `longjmp` are the guest's own work as far as its frames are concerned: it leaves them by itself, and comes back
//! to them in its export `resume`. Here only memory is copied (`runtime::fork`), and frames are dropped.
//!
//! | module | is |
//! |---|---|
//! | [`table`], [`link`], [`typed`] | the calls, and how an import becomes one |
//! | [`context`] | what a call sees of its guest |
//! | [`page`] | the support page of the table |
//! | [`entry`] | entering a program, and what it is started with |
//! | [`signals`] | what happens on the way out of a call |
//! | [`spawn`] | `minke.*`: starting processes |
//! | [`threads`] | their threads |
//! | [`alternate_stack`] | where handlers run that ask for it |
//! | `calls` | system calls, one file per family |

use minke_abi::signal::SignalSet;
use wasmtime::{Module, TypedFunc};

use crate::runtime::{GuestAddr, Stop};

mod alternate_stack;
mod calls;
mod context;
mod entry;
mod link;
mod page;
mod signals;
mod spawn;
mod table;
#[cfg(test)]
mod tests;
mod threads;
mod typed;

pub use entry::enter;
pub use link::link;
pub use page::support_page;

/// The export that calls a handler: handler, flags, signal, code, process, user, value.
type Deliver = TypedFunc<(i32, i32, i32, i32, i32, i32, i64), ()>;

/// What this personality keeps per instance.
#[derive(Default)]
pub struct State {
    /// Calls handlers; without it, they are called through the table.
    deliver: Option<Deliver>,
    /// What the program is started with, once it has asked how long that is.
    start_block: Option<entry::StartBlock>,
    /// What is blocked again when the call under way has called its handlers.
    mask_after: Option<SignalSet>,
    /// What ends the code instead of returning to it.
    stop: Option<Stop>,
    /// What becomes zero when the thread has ended.
    clear_tid: Option<GuestAddr>,
    /// Handlers that are under way.
    handlers: u32,
    alternate_stack: alternate_stack::AlternateStack,
}

impl State {
    /// Returns what a child begins with, which has a copy of the memory. POSIX: `fork()`.
    pub fn fork(&self) -> State {
        State {
            alternate_stack: self.alternate_stack,
            ..State::default()
        }
    }
}

/// The modules that programs import Linux's calls from.
pub const MODULES: [&str; 2] = [table::MODULE, spawn::MODULE];

/// Whether a module may set handlers of signals.
pub fn has_handlers(module: &Module) -> bool {
    let mut imports = module.imports();
    imports.any(|import| import.module() == table::MODULE && import.name() == SET_HANDLER)
}

/// The import that sets handlers.
const SET_HANDLER: &str = "SYS_rt_sigaction";

/// Whether a module speaks Linux.
pub fn is_spoken_by(module: &Module) -> bool {
    let mut imports = module.imports();
    imports.any(|import| MODULES.contains(&import.module()))
}
