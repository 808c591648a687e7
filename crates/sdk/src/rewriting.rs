//! What Binaryen does to a linked module.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::{SdkError, unwinding};

/// What modules use of wasm, beside what they say themselves. Binaryen's `--all-features` would write what other readers refuse.
pub const FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-call-indirect-overlong",
    "--enable-exception-handling",
    "--enable-extended-const",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Returns the arguments with which `wasm-opt` lets a program write its frames into memory and restore them, if it forks, and
/// translates its exceptions into the form that is final. `directory` is for what `wasm-opt` reads.
///
/// No import takes part in the first, so none is named: the C library asks for it by imports that the rewriting resolves.
///
/// # Errors
/// [`SdkError::NoModule`] for what the linker has not made, [`SdkError::FinalExceptions`], and [`SdkError::Io`].
pub fn arguments(
    linked: &Path,
    output: &Path,
    directory: &Path,
) -> Result<Vec<OsString>, SdkError> {
    let module = fs::read(linked).map_err(SdkError::io("read", linked))?;
    let forking = unwinding::forking_functions(&module).map_err(|source| SdkError::NoModule {
        path: linked.display().to_string(),
        source,
    })?;
    if forking.has_final_exceptions {
        return Err(SdkError::FinalExceptions);
    }
    let functions = forking.functions;
    let input = directory.join("input.wasm");
    fs::write(&input, forking.module).map_err(SdkError::io("write", &input))?;
    let mut arguments: Vec<OsString> = FEATURES.iter().map(OsString::from).collect();
    if !functions.is_empty() {
        let list = directory.join("forking");
        fs::write(&list, functions.join("\n")).map_err(SdkError::io("write", &list))?;
        arguments.extend(["--asyncify", "--pass-arg=asyncify-imports@none.none"].map(Into::into));
        let mut named = OsString::from("--pass-arg=asyncify-onlylist@@");
        named.push(&list);
        arguments.push(named);
    }
    arguments.extend(["-O2", "--translate-to-exnref"].map(Into::into));
    arguments.extend([input.into(), "-o".into(), output.into()]);
    Ok(arguments)
}
