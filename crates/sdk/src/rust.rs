//! What cargo finds in its environment to build programs for containers.
//!
//! Rust's library is compiled with each program, for a target that the SDK describes: rustc's own `wasm32-wali-linux-musl` tells
//! programs that they are of the family `wasm`, for which tokio and others leave out what they have for Linux.

use std::path::Path;

use crate::{SdkError, System, Tools};

/// The target's name, which is clang's for it too: build scripts compile C with it.
pub const TARGET: &str = "wasm32-linux-muslwali";

/// Returns names and values; `minke` is the program that is run as `minke cc` and `minke run`.
///
/// # Errors
/// [`SdkError::NoTool`] and [`SdkError::OldTool`].
pub fn variables(
    system: &System,
    tools: &Tools,
    minke: &Path,
) -> Result<Vec<(String, String)>, SdkError> {
    let archiver = tools.kin(&tools.clang()?, "llvm-ar");
    let below = |name: &str| system.directory.join(name).display().to_string();
    let compiler = below("bin/minke-cc");
    let minke = minke.display().to_string();
    let of_cargo = |what: &str| format!("CARGO_TARGET_WASM32_LINUX_MUSLWALI_{what}");
    // As the crate `cc` looks them up.
    let of_scripts = |what: &str| format!("{what}_{}", TARGET.replace('-', "_"));
    let variables = [
        (
            "CARGO_BUILD_TARGET".into(),
            below(&format!("{TARGET}.json")),
        ),
        ("CARGO_UNSTABLE_BUILD_STD".into(), "std,panic_abort".into()),
        ("CARGO_UNSTABLE_JSON_TARGET_SPEC".into(), "true".into()),
        // Both are for cargos that call themselves unstable only.
        ("RUSTC_BOOTSTRAP".into(), "1".into()),
        ("RUSTC_WRAPPER".into(), below("bin/minke-rustc")),
        (of_cargo("LINKER"), compiler.clone()),
        (of_cargo("RUNNER"), format!("{minke} run --rm -i")),
        (of_scripts("CC"), compiler),
        (of_scripts("CFLAGS"), "-pthread".into()),
        (of_scripts("CXX"), below("bin/minke-c++")),
        (of_scripts("CXXFLAGS"), "-pthread".into()),
        (of_scripts("AR"), archiver.display().to_string()),
        ("MINKE".into(), minke),
    ];
    Ok(variables.to_vec())
}
