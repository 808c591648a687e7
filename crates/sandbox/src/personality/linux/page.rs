//! `docs/compat/linux.md`, made from the tables.

use std::fmt::Write as _;

use super::spawn::FUNCTIONS;
use super::table::{FAMILIES, Interrupted};
use crate::personality::Support;

/// What stands above the tables.
const HEAD: &str = "\
# Linux programs

System calls that a program compiled for Linux on 32-bit wasm may import, and how much of each is there. Made from the table in
`crates/sandbox/src/personality/linux`; a test keeps the two equal.

A module speaks Linux if it imports from `wali` or `minke`. It exports its memory as `memory`, an entry `_start`, and for what
needs them a table `__indirect_function_table`, `resume`, `signal_deliver` and `thread_start`.

- Numbers, flags, constants and errors are x86-64's. So are structs, with pointers and `size_t` of four bytes and `long` of eight.
- Each call is `wali.SYS_<name>` and returns a value or a negative error as an `i64`. Parameters may be `i32` or `i64`.
- A call that is not in the tables below answers `ENOSYS`.
- Handlers of signals are called on the way out of a system call: `signal_deliver(handler, flags, signal, code, pid, uid, value)`,
  or `table[handler](signal)` without that export. A program that computes ends when a signal says so; it stops or calls handlers at the
  head of its next loop if it exports `signal_attend()`, which calls `minke.attend`, and at its next call that may wait or send a signal
  if not. Innermost loops that call nothing are such only where they look endless or load from one address again and again.
- Process 1 gets from other processes only signals that it handles, as on Linux; `minke stop` and `minke kill` reach it in any case.
- Threads are instances over one memory, which the module imports shared. A signal for the process goes to the first thread that does
  not block it. Such a program starts others by `minke.spawn`: it does not fork.
- Mapping memory is the C library's own work, over `memory.grow`.
- A program that is started needs execute permission, as on Linux. Its first bytes say what it is: a module of any personality, or a script
  with `#!`.

";

/// Renders the page.
pub fn support_page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("## Beside system calls\n\n| import | type | does |\n|---|---|---|\n");
    for function in FUNCTIONS {
        // A `String` takes everything.
        let _ = writeln!(
            page,
            "| `minke.{}` | `{}` | {} |",
            function.name, function.signature, function.does
        );
    }
    for family in FAMILIES {
        let _ = write!(
            page,
            "\n## {}\n\n| call | number | after a handler | support |\n|---|---|---|---|\n",
            family.title
        );
        for call in family.calls {
            let after = match call.interrupted {
                Interrupted::Restarts => "again with `SA_RESTART`",
                Interrupted::Fails => "",
            };
            let support = match call.support {
                Support::Whole => "whole".to_owned(),
                Support::Partial(difference) => format!("partial: {difference}"),
                Support::Refused(reason) => format!("refused: {reason}"),
            };
            let _ = writeln!(
                page,
                "| `{}` | {} | {after} | {support} |",
                call.name, call.number
            );
        }
    }
    page
}
