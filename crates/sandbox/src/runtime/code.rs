//! A program's native code, and how it is left from outside.

use wasmtime::Module;

use crate::executor::{Exit, GuestCode};

/// The code of one module. Known to signal handlers while it lives.
pub(super) struct ProgramCode {
    known: GuestCode,
    /// Keeps the code mapped; dropped last.
    module: Module,
}

/// What the function consists of that the rewriting adds to leave guests' code through (`runtime::instrument`): among a few instructions
/// the one that Cranelift makes of `unreachable`.
///
/// Cranelift: `isa/x64` emits `ud2` for a trap, `isa/aarch64` `udf #0xc11f`.
const TRAP: &[u8] = if cfg!(target_arch = "x86_64") {
    &[0x0f, 0x0b]
} else {
    &[0x1f, 0xc1, 0x00, 0x00]
};

impl ProgramCode {
    /// Makes a module's code known. `None` when too many programs are loaded.
    pub(super) fn new(module: Module) -> Option<Self> {
        let image = module.image_range();
        Some(Self {
            known: GuestCode::new(&(image.start.addr()..image.end.addr()))?,
            module,
        })
    }

    pub(super) fn module(&self) -> &Module {
        &self.module
    }

    /// Makes known how the code is left. It takes some microseconds for each thousand functions, so it is done when it is
    /// needed first.
    pub(super) fn find_exit(&self) {
        self.known.set_exit(|| exit(&self.module));
    }
}

fn exit(module: &Module) -> Exit {
    let text = module.text();
    let start = text.as_ptr().expose_provenance();
    let mut last = 0..0;
    let mut functions: Vec<_> = module
        .functions()
        .map(|function| {
            last = function.offset..function.offset + function.len;
            start + last.start..start + last.end
        })
        .collect();
    functions.sort_unstable_by_key(|function| function.start);
    let mut instructions = text[last.clone()].windows(TRAP.len());
    let trap = instructions.position(|code| code == TRAP);
    // The rewriting puts the function last, and compiled modules of another rewriting are not looked for.
    let trap = trap.expect("the last function of a module is the one that traps");
    Exit {
        functions,
        trap: start + last.start + trap,
    }
}
