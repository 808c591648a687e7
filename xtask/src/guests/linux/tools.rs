//! The compiler and the rewriter, and which versions of them are known to agree.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::super::fetch;
use super::super::recipe::NpmPackage;
use super::work_dir;
use crate::process::{find, run_quietly};

pub const CLANG: &str = "clang-22";
pub const TARGET: &str = "wasm32-linux-muslwali";
pub const AR: &str = "llvm-ar-22";
pub const RANLIB: &str = "llvm-ranlib-22";

/// What clang calls for arithmetic that wasm has no instructions for; Debian packages it for WASI, but it calls nothing.
pub const RUNTIME: &str = "/usr/lib/llvm-22/lib/clang/22/lib/wasi/libclang_rt.builtins-wasm32.a";

/// What the modules use of wasm. Binaryen's `--all-features` writes what other readers refuse.
const FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-call-indirect-overlong",
    "--enable-extended-const",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// The compiler's place and time of installation: to ask it would take longer.
pub fn version() -> Result<String> {
    let path = find(CLANG)
        .with_context(|| format!("`{CLANG}` is missing\nhint: `cargo xtask setup`"))?
        .canonicalize()?;
    let modified = path.metadata()?.modified()?;
    Ok(format!("{} {modified:?} {:?}", path.display(), FEATURES))
}

/// Rewrites a module so that it can write its frames into memory and restore them. No import takes part in
/// that, so none is named: the C library asks for it by imports that the rewriting resolves.
pub fn asyncify(from: &Path, to: &Path) -> Result<()> {
    run_quietly(
        Command::new("node")
            .arg(rewriter()?)
            .args(FEATURES)
            .args(["--asyncify", "--pass-arg=asyncify-imports@none.none", "-O2"])
            .arg(from)
            .arg("-o")
            .arg(to),
    )
}

/// Binaryen's `wasm-opt`, a newer one than Debian's.
fn rewriter() -> Result<PathBuf> {
    let directory = work_dir().join("binaryen");
    let program = directory.join("wasm-opt");
    if !program.exists() {
        std::fs::create_dir_all(&directory)?;
        fetch::npm(&NpmPackage {
            name: "binaryen",
            version: "132.0.0",
            sha256: "6543555fb29bb92548f325c7dc18e9ab7dbb1215edda25993d1e3f71d85b8618",
            files: vec![
                ("package/bin/package.json", directory.join("package.json")),
                ("package/bin/wasm-opt", program.clone()),
            ],
        })?;
    }
    Ok(program)
}
