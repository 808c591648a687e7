//! Why a program cannot be loaded.

use std::fmt;
use std::io;

use super::instrument::InstrumentError;

/// Why a program cannot be loaded. The text says what was found; [`LoadError::hint`] what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is something else.
    #[error("`{program}` is not a WebAssembly module: it is {found}")]
    NotWasm {
        /// Path, for messages.
        program: String,
        /// What it looks like.
        found: Found,
    },
    /// The file ends in the middle of a section.
    #[error(
        "`{program}` is truncated: it ends at byte {size}, but a section goes on to byte {end}"
    )]
    Truncated {
        /// Path, for messages.
        program: String,
        /// Bytes that are there.
        size: u64,
        /// Bytes that should be there at least.
        end: u64,
    },
    /// The file is a component, not a core module.
    #[error("`{program}` is a WebAssembly component, which minke cannot run yet")]
    Component {
        /// Path, for messages.
        program: String,
    },
    /// The module does not validate.
    #[error("`{program}` is not a valid WebAssembly module: {reason}")]
    Invalid {
        /// Path, for messages.
        program: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// The module is larger than what minke compiles.
    #[error("`{program}` has {size} bytes, more than the {max} that a module may have")]
    TooLarge {
        /// Path, for messages.
        program: String,
        /// Bytes that it has.
        size: u64,
        /// Bytes that it may have.
        max: u64,
    },
    /// The module imports what nobody provides.
    #[error("`{program}` imports `{module}` `{name}` {signature}, which minke does not provide")]
    MissingImport {
        /// Path, for messages.
        program: String,
        /// Module that is imported from.
        module: String,
        /// Name that is imported.
        name: String,
        /// Its type as text.
        signature: String,
    },
    /// The personality could not define an import.
    #[error("`{program}` cannot be linked: {reason}")]
    Link {
        /// Path, for messages.
        program: String,
        /// wasmtime's or the personality's words.
        reason: String,
    },
    /// Cranelift or wasmtime failed on a valid module.
    #[error("`{program}` cannot be compiled: {reason}")]
    Compile {
        /// Path, for messages.
        program: String,
        /// wasmtime's words.
        reason: String,
    },
    /// The file cannot be read.
    #[error("cannot read `{program}`")]
    Read {
        /// Path, for messages.
        program: String,
        /// The host's error.
        #[source]
        source: io::Error,
    },
    /// The code of too many programs is mapped.
    #[error("cannot load `{program}`: too many programs run in this container")]
    TooManyPrograms {
        /// Path, for messages.
        program: String,
    },
    /// There is no engine.
    #[error("cannot start the WebAssembly engine: {0}")]
    Engine(String),
}

/// What a file that is not wasm looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Zero bytes.
    Empty,
    /// Starts with `#!`.
    Script,
    /// A native program of Linux.
    Elf,
    /// WebAssembly's text format.
    Text,
    /// Starts like wasm, with an unknown version.
    Version(u32),
    /// Anything else, with its first bytes.
    Other([u8; 4]),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Script => f.write_str("a script"),
            Self::Elf => f.write_str("a native program (ELF)"),
            Self::Text => f.write_str("WebAssembly text"),
            Self::Version(version) => write!(f, "WebAssembly of unknown version {version}"),
            Self::Other(bytes) => write!(f, "a file that starts with {bytes:02x?}"),
        }
    }
}

impl LoadError {
    /// Returns what to do about it, where that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotWasm { found, .. } => Some(match found {
                Found::Script => {
                    "give the interpreter as the program and the script as its argument"
                }
                Found::Text => "convert it with `wat2wasm` or `wasm-tools parse`",
                Found::Elf => {
                    "compile it for WebAssembly, for example for `wasm32-wasip1` or with Emscripten"
                }
                _ => "give a file that a compiler for WebAssembly made",
            }),
            Self::Truncated { .. } => Some("build or download the file again"),
            Self::Invalid { .. } => Some(
                "build it again with a current compiler; `wasm-tools validate` tells what a tool made wrong",
            ),
            Self::Component { .. } => {
                Some("compile it as a core module, for example for `wasm32-wasip1`")
            }
            Self::TooManyPrograms { .. } => {
                Some("spread the programs over several containers, or wait until some have ended")
            }
            Self::TooLarge { .. } => Some("strip debug information: `wasm-opt --strip-debug`"),
            Self::MissingImport { .. } => Some(
                "compile it for WASI preview 1 or with Emscripten; `docs/compat/` lists what is provided",
            ),
            _ => None,
        }
    }

    /// Returns the words for what the rewriting found.
    pub(super) fn reason_of(error: &InstrumentError) -> String {
        match error {
            InstrumentError::Invalid(invalid) => {
                format!("{}, at byte {:#x}", invalid.message(), invalid.offset())
            }
            other => other.to_string(),
        }
    }
}

/// The first bytes of every wasm file.
const MAGIC: [u8; 4] = *b"\0asm";

/// The version of core modules.
///
/// Spec: WebAssembly 3.0, "Modules" of the binary format.
const MODULE_VERSION: [u8; 4] = [1, 0, 0, 0];

/// The layer that components have in the upper half of the version.
///
/// Spec: Component Model, Binary.md.
const COMPONENT_LAYER: [u8; 2] = [1, 0];

/// The largest module that is compiled: code takes some 30 times its size in memory while Cranelift
/// works on it, and Linux programs of a gigabyte do not exist.
pub const MODULE_BYTES_MAX: u64 = 1 << 30;

/// Checks that a file is a whole core module, as far as its first bytes and its sections' sizes tell.
pub(super) fn check_outline(wasm: &[u8], program: &str) -> Result<(), LoadError> {
    let size = wasm.len() as u64;
    let program = program.to_owned();
    if size > MODULE_BYTES_MAX {
        let max = MODULE_BYTES_MAX;
        return Err(LoadError::TooLarge { program, size, max });
    }
    if !wasm.starts_with(&MAGIC) {
        let found = recognise(wasm);
        return Err(LoadError::NotWasm { program, found });
    }
    let Some(version) = wasm.get(4..8) else {
        let end = 8;
        return Err(LoadError::Truncated { program, size, end });
    };
    if version[2..] == COMPONENT_LAYER {
        return Err(LoadError::Component { program });
    }
    if version != MODULE_VERSION {
        let number = u32::from_le_bytes(version.try_into().expect("four bytes were taken"));
        let found = Found::Version(number);
        return Err(LoadError::NotWasm { program, found });
    }
    match end_of_sections(wasm) {
        end if end > size => Err(LoadError::Truncated { program, size, end }),
        _ => Ok(()),
    }
}

/// Returns where the sections end by their sizes; beyond the file when it is truncated.
fn end_of_sections(wasm: &[u8]) -> u64 {
    let mut at = 8;
    while at < wasm.len() {
        let mut reader = wasmparser::BinaryReader::new(&wasm[at + 1..], at + 1);
        let Ok(size) = reader.read_var_u32() else {
            return wasm.len() as u64 + 1;
        };
        let end = reader.original_position() as u64 + u64::from(size);
        if end > wasm.len() as u64 {
            return end;
        }
        at = end as usize;
    }
    at as u64
}

fn recognise(bytes: &[u8]) -> Found {
    let text = bytes.trim_ascii_start();
    match bytes {
        [] => Found::Empty,
        [b'#', b'!', ..] => Found::Script,
        [0x7f, b'E', b'L', b'F', ..] => Found::Elf,
        _ if text.starts_with(b"(module") => Found::Text,
        _ => {
            let mut first = [0; 4];
            let length = bytes.len().min(4);
            first[..length].copy_from_slice(&bytes[..length]);
            Found::Other(first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let text = match check_outline(bytes, "p.wasm") {
            Ok(()) => "whole".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_no_module_is_named() {
        check(b"", "`p.wasm` is not a WebAssembly module: it is empty");
        check(
            b"#!/bin/sh",
            "`p.wasm` is not a WebAssembly module: it is a script",
        );
        check(
            b"\x7fELF\x02",
            "`p.wasm` is not a WebAssembly module: it is a native program (ELF)",
        );
        check(
            b" (module)",
            "`p.wasm` is not a WebAssembly module: it is WebAssembly text",
        );
        check(
            b"\x01\x02",
            "`p.wasm` is not a WebAssembly module: it is a file that starts with [01, 02, 00, 00]",
        );
        check(
            b"\0asm\x02\0\0\0",
            "`p.wasm` is not a WebAssembly module: it is WebAssembly of unknown version 2",
        );
        check(
            b"\0asm\x0d\0\x01\0",
            "`p.wasm` is a WebAssembly component, which minke cannot run yet",
        );
    }

    #[test]
    fn every_proper_prefix_of_a_module_is_truncated_or_ends_between_sections() {
        let wasm = wat::parse_str("(module (memory 1) (func (export \"f\")))").unwrap();
        check(&wasm, "whole");
        check(
            &wasm[..wasm.len() - 1],
            &format!(
                "`p.wasm` is truncated: it ends at byte {}, but a section goes on to byte {}",
                wasm.len() - 1,
                wasm.len()
            ),
        );
        check(
            &wasm[..6],
            "`p.wasm` is truncated: it ends at byte 6, but a section goes on to byte 8",
        );
    }
}
