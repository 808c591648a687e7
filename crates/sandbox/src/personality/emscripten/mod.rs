//! Emscripten: standalone modules and the modules that its JavaScript glue would run.
//!
//! A guest of `emcc` calls the host through imports of `env`: system calls under musl's names
//! (`__syscall_openat`), and what Emscripten's JavaScript library does for it. Both are declared
//! in one [`table`]; a row says its arguments as the guest's C sees them, and [`link`] fits the
//! row to the import's type, because older toolchains split 64-bit numbers into pairs.
//!
//! | module | is |
//! |---|---|
//! | [`glue`] | names that the `.js` beside a module restores |
//! | [`table`], [`link`] | the calls, and how an import becomes one |
//! | [`context`] | what a call sees of its guest |
//! | [`exports`] | functions of the guest that the host calls |
//! | [`page`] | the support page of the table |
//! | [`entry`] | what the glue does before and after `main` |
//! | [`invoke`], [`exceptions`] | `setjmp`, `longjmp` and C++ exceptions |
//! | [`threads`] | threads of `-pthread` programs |
//! | `syscalls` | system calls, one file per family |
//! | `library` | functions of the JavaScript library, one file per subject |

use std::sync::Arc;

use minke_abi::emscripten::StatLayout;
use minke_kernel::Task;

mod context;
mod entry;
mod exceptions;
mod exports;
mod glue;
mod invoke;
mod library;
mod link;
mod page;
mod syscalls;
mod table;
#[cfg(test)]
mod tests;
mod threads;

pub use entry::{enter, prepare};
pub use glue::{GlueCell, restored_name};
pub use link::link_as;
pub use page::support_page;
pub use table::MODULE;

/// What this personality keeps per wasm thread.
#[derive(Default)]
pub struct State {
    exports: exports::Exports,
    layout: StatLayout,
    /// The upper half of a 64-bit result that a call has split (`getTempRet0`).
    upper_result: u32,
    /// `invoke_*` calls that are under way.
    invoke_depth: u32,
    exceptions: exceptions::Exceptions,
    zone: library::zone::ZoneCell,
    names: Arc<minke_glue::GlueNames>,
    thread_glue: minke_glue::ThreadGlue,
    /// The address of the thread's `struct pthread`; 0 in a program without threads.
    pthread: u32,
    pthreads: Arc<threads::Pthreads>,
}

impl State {
    /// Prepares the state of a process's first thread.
    pub fn new(_task: &Task) -> State {
        State::default()
    }

    /// Prepares the state of another thread of the same process.
    pub fn for_thread(&self) -> State {
        State {
            pthreads: Arc::clone(&self.pthreads),
            ..State::default()
        }
    }
}
