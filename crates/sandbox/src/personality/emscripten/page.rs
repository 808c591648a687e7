//! `docs/compat/emscripten.md`, made from the table.

use std::fmt::Write as _;

use crate::personality::Support;
use crate::personality::emscripten::table::{FAMILIES, Function, Kind, Returns, float_calls};

/// What stands above the tables.
const HEAD: &str = "\
# Emscripten

What a program made by `emcc` may import, and how much of it is there. Made from the table in
`crates/sandbox/src/personality/emscripten`; a test keeps the two equal.

Programs run unmodified: standalone modules (`-sSTANDALONE_WASM`) and modules with JavaScript glue
(`emcc x.c -o x.js`, `-O0` to `-O3` and `-Os`), of which nothing is run: from `-O3` on the `.js` has to stand
beside the `.wasm`, because it holds the real names of minified imports and exports. Seen with Emscripten 3.1.6;
the forms of newer versions, up to 6.0.5, are read from their glue.

- Numbers of 64 bits are taken whole or as two of 32 bits, whichever the import's type asks for.
- `time_t` has 32 bits up to 3.1.15 and 64 from 3.1.16 on; the glue tells which, and a program without glue has 32.
- `invoke_*` (for `setjmp`, `longjmp` and C++ exceptions) is there for every signature; at most 256 of them run inside
  one another, each on a stack of its own. wasm's own exceptions need their final form (`-sWASM_LEGACY_EXCEPTIONS=0`).
- `abort` and a failed `assert` end the program by `SIGABRT`, exit code 134, as on Linux; under node it is 1.
- What `printf` still holds when `main` returns is written if the program kept the means: all output of a standalone
  program, and all of a glue program linked with `-sEXIT_RUNTIME`. Others lose an unfinished last line, as under node.
- Some calls never leave a module: Emscripten 3.1.6 answers `link`, `umask`, `getpid`, `uname` and `getrlimit` inside
  it, newer standalone modules also `select`, `poll`, `stat` and `open`; a standalone module of 3.1.6 exits with 1
  where it throws a C++ exception. No host can change that.
- `sleep` and `usleep` of 3.1.6 spin inside the module until the time has come; `poll`, `select` and blocking reads wait.
- `EM_ASM`, `EM_JS` and `emscripten_run_script` are JavaScript: such a program is refused when it is loaded.
- Threads (`-pthread`, with glue: standalone modules of 3.1.6 have none): each runs by itself and calls the host itself, and
  `pthread_create` needs no pool of workers. The return of `main` ends the program whatever its threads do, as on Linux;
  `pthread_exit` in the first thread ends it too, since 3.1.6 calls `exit` there. What a program queues for another thread
  runs when that thread waits next. Seen with 3.1.6; the names of newer versions are read from their sources.

";

/// Renders the page.
pub fn support_page() -> String {
    let mut page = HEAD.to_owned();
    for family in FAMILIES {
        start_table(&mut page, family.title);
        for function in family.functions {
            add_row(
                &mut page,
                function.name,
                &signature(function),
                function.support,
            );
        }
        page.push('\n');
    }
    start_table(&mut page, "Floating-point numbers");
    for call in float_calls() {
        add_row(&mut page, call.name, call.signature, call.support);
    }
    page
}

fn start_table(page: &mut String, title: &str) {
    // A `String` takes everything.
    let _ = writeln!(
        page,
        "## {title}\n\n| import | type | support |\n|---|---|---|"
    );
}

fn add_row(page: &mut String, name: &str, signature: &str, support: Support) {
    let support = match support {
        Support::Whole => "whole".to_owned(),
        Support::Partial(difference) => format!("partial: {difference}"),
        Support::Refused(reason) => format!("refused: {reason}"),
    };
    let _ = writeln!(page, "| `{name}` | `{signature}` | {support} |");
}

/// Writes a row's type, with 64-bit numbers whole.
fn signature(function: &Function) -> String {
    let kinds = function.arguments.iter().map(|kind| match kind {
        Kind::Word => "i32",
        Kind::Long => "i64",
        Kind::Split => "i32, i32",
    });
    let arguments = kinds.collect::<Vec<_>>().join(", ");
    match function.returns {
        Returns::Nothing => format!("({arguments})"),
        Returns::Word => format!("({arguments}) -> i32"),
        Returns::Long => format!("({arguments}) -> i64"),
    }
}
