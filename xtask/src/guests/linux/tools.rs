//! The compiler and the rewriter, and which versions of them are known to agree.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use minke_sdk::rewriting::{self, FEATURES};

use super::super::fetch;
use super::super::recipe::NpmPackage;
use super::{Casts, work_dir};
use crate::process::{find, run_quietly};

pub const CLANG: &str = "clang-22";
pub const TARGET: &str = "wasm32-linux-muslwali";
pub const AR: &str = "llvm-ar-22";
pub const RANLIB: &str = "llvm-ranlib-22";

/// What clang calls for arithmetic that wasm has no instructions for; Debian packages it for WASI, but it calls nothing.
pub const RUNTIME: &str = "/usr/lib/llvm-22/lib/clang/22/lib/wasi/libclang_rt.builtins-wasm32.a";

/// Changes when what [`rewrite`] does changes.
const REWRITING: u32 = 2;

/// The compiler's place and time of installation, since to ask it would take longer, and how its output is rewritten.
pub fn version() -> Result<String> {
    let path = find(CLANG)
        .with_context(|| format!("`{CLANG}` is missing\nhint: `cargo xtask setup`"))?
        .canonicalize()?;
    let modified = path.metadata()?.modified()?;
    Ok(format!(
        "{} {modified:?} {FEATURES:?} {REWRITING}",
        path.display()
    ))
}

/// Makes a program of a linked module, as `minke cc` does.
pub fn rewrite(from: &Path, to: &Path, casts: Casts) -> Result<()> {
    let directory = directory_beside(to)?;
    let result = rewrite_in(&directory, from, to, casts);
    fs::remove_dir_all(&directory)
        .with_context(|| format!("cannot remove {}", directory.display()))?;
    result
}

fn rewrite_in(directory: &Path, from: &Path, to: &Path, casts: Casts) -> Result<()> {
    // Which functions may fork is found by the types of calls, so those come first.
    let callable = match casts {
        Casts::None => from.to_owned(),
        Casts::OfFunctions => with_one_type(from, directory)?,
    };
    run_quietly(
        Command::new("node")
            .arg(rewriter()?)
            .args(rewriting::arguments(&callable, to, directory)?),
    )
}

/// Makes all calls through pointers be of one type, and keeps names.
fn with_one_type(from: &Path, directory: &Path) -> Result<PathBuf> {
    let callable = directory.join("callable.wasm");
    run_quietly(
        Command::new("node")
            .arg(rewriter()?)
            .args(FEATURES)
            .args(["--debuginfo", "--fpcast-emu"])
            .arg(from)
            .arg("-o")
            .arg(&callable),
    )?;
    Ok(callable)
}

/// Makes a directory for what lies between the steps.
fn directory_beside(output: &Path) -> Result<PathBuf> {
    let directory = output.with_extension("rewriting");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory)
}

/// Binaryen's `wasm-opt`, a newer one than Debian's.
pub fn rewriter() -> Result<PathBuf> {
    let directory = work_dir().join("binaryen");
    let program = directory.join("wasm-opt");
    if !program.exists() {
        fs::create_dir_all(&directory)?;
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
    // `minke cc` runs it as a program.
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
    Ok(program)
}
