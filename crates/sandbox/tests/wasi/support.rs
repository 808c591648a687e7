//! The support page is what the tables say. `MINKE_BLESS=1 cargo test -p minke-sandbox --test wasi` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use minke_sandbox::personality::wasi::table::{PREVIEW1, THREADS, UNSTABLE};
use minke_sandbox::personality::{HostCall, Support};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compat/wasi.md");

const INTRODUCTION: &str = "\
# WASI preview 1

What minke gives to programs that import `wasi_snapshot_preview1` or `wasi_unstable`. Made from the
table in `crates/sandbox/src/personality/wasi/table.rs`; a test compares them.

- The container is the sandbox: its root is the one pre-opened directory, descriptor 3, named `/`.
  Absolute symbolic links and `..` work as on Linux; absolute paths in a call, and paths that climb above
  the root, are refused with `perm`, as by wasmtime.
- WASI has no working directory, and its libc drops the slash of absolute paths. With `--workdir` other than
  `/`, a path is looked for in the working directory first and from the root then; what is new is made in the
  working directory if its parent is there, else in the root. `PWD` is set unless the environment has it.
- Rights follow from how a descriptor was opened. Those that `fd_fdstat_set_rights` drops stay dropped.
- A write to a pipe or connection that nobody reads gives `pipe`; no signal is sent.
- Sockets beyond preview 1 are WasmEdge's, in the forms of the crate `wasmedge_wasi_socket` 0.3 to 0.5.
  A name that stands here twice is chosen by the type of the import.
- Threads are wasi-threads': a module that imports its memory shared (one, under any name) and exports
  `wasi_thread_start`. They share descriptors and everything else of the process, count against `--pids-limit`, and run
  at the same time. A trap or `proc_exit` in any of them, or the return of `_start`, ends the process. What
  `thread-spawn` returns on failure is the negative of an error number: `again` when the container has no room.
- `memory.atomic.wait32`, `wait64`, `notify` and `memory.grow` of a shared memory are served by the host: a wait ends when
  the process is killed, and growth counts against `--memory`. A module with two shared memories is refused.
";

#[test]
fn the_support_page_is_what_the_tables_say() {
    let mut page = String::from(INTRODUCTION);
    write_table(&mut page, "`wasi_snapshot_preview1`", PREVIEW1);
    write_table(
        &mut page,
        "`wasi_unstable`, where it differs in more than its name",
        UNSTABLE,
    );
    write_table(&mut page, "`wasi`: wasi-threads", THREADS);
    if std::env::var_os("MINKE_BLESS").is_some() {
        std::fs::create_dir_all(Path::new(PAGE).parent().unwrap()).unwrap();
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        written == page,
        "`docs/compat/wasi.md` is out of date\n\
         hint: MINKE_BLESS=1 cargo test -p minke-sandbox --test wasi support"
    );
}

fn write_table(page: &mut String, title: &str, rows: &[HostCall]) {
    write!(
        page,
        "\n## {title}\n\n| call | type | support |\n|---|---|---|\n"
    )
    .unwrap();
    for row in rows {
        let support = match row.support {
            Support::Whole => "whole".to_owned(),
            Support::Partial(difference) => format!("partial: {difference}"),
            Support::Refused(reason) => format!("refused: {reason}"),
        };
        writeln!(page, "| `{}` | `{}` | {support} |", row.name, row.signature).unwrap();
    }
}
