//! The compiler and the rewriter, and which versions of them are known to agree.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::super::fetch;
use super::super::recipe::NpmPackage;
use super::{Casts, unwinding, work_dir};
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
    "--enable-exception-handling",
    "--enable-extended-const",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

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

/// Rewrites a module so that it can write its frames into memory and restore them, if it forks, and translates its exceptions
/// into the form that is final. No import takes part in the first, so none is named: the C library asks for it by imports that the
/// rewriting resolves.
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
    let linked = fs::read(&callable).with_context(|| format!("cannot read {}", from.display()))?;
    let (renamed, functions) = unwinding::forking_functions(&linked)
        .with_context(|| format!("{} is no module", from.display()))?;
    let input = directory.join("input.wasm");
    fs::write(&input, renamed)?;
    let mut rewriting = Command::new("node");
    rewriting.arg(rewriter()?).args(FEATURES);
    if !functions.is_empty() {
        let list = directory.join("forking");
        fs::write(&list, functions.join("\n"))?;
        rewriting
            .args(["--asyncify", "--pass-arg=asyncify-imports@none.none"])
            .arg(format!("--pass-arg=asyncify-onlylist@@{}", list.display()));
    }
    run_quietly(
        rewriting
            .args(["-O2", "--translate-to-exnref"])
            .arg(&input)
            .arg("-o")
            .arg(to),
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
