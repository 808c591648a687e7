//! The C++ library: LLVM's libc++ and libc++abi, built over our C library for each way in which a program can be linked.
//!
//! Debian has their sources only with all of LLVM's, twice as large as the package of the Python index that they are taken from.
//! It is the same release as the compiler's, which they must fit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::super::fetch;
use super::super::recipe::Wheel;
use super::{library, sources, tools, work_dir};
use crate::layout::root;
use crate::process::run_quietly;

/// Our part: how the library is configured and compiled.
pub const PORT: &str = "guests/linux/cxx";

/// What of the C library its headers depend on.
pub const HEADERS_PORT: &[&str] = &["guests/linux/musl/arch", "guests/linux/musl/patches"];

/// Zig's compiler carries the libraries of the LLVM that it is made of.
const SOURCES: Wheel = Wheel {
    name: "ziglang",
    version: "0.17.1",
    platform: "manylinux_2_12_x86_64",
    sha256: "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54",
    below: "ziglang/lib",
    directories: &["libcxx", "libcxxabi", "libunwind"],
};

/// What stands in Zig's headers where LLVM's have the other line.
const WITHOUT_CONFIGURATION: &str =
    "/* zig patch: instead of including __config_site, zig adds -D flags when compiling */";
const WITH_CONFIGURATION: &str = "#include <__config_site>";

/// A build of the library: where it lies, how exceptions are written, and what a shared memory needs.
const BUILDS: &[(&str, &str)] = &[
    ("", "-mllvm -wasm-use-legacy-eh=false"),
    ("fork", "-mllvm -wasm-use-legacy-eh=true"),
    (
        "threads",
        "-mllvm -wasm-use-legacy-eh=false -pthread -ftls-model=local-exec",
    ),
];

/// Where the library lies, with `include`, `lib` and `share`.
pub fn directory() -> PathBuf {
    work_dir().join("cxx")
}

/// The library of the last build, which stands for all.
pub fn output() -> PathBuf {
    directory().join("lib/threads/libc++.a")
}

/// Compiles the library.
pub fn make() -> Result<()> {
    let sources = work_dir().join("packages/libcxx");
    fetch::wheel(&SOURCES, &sources)?;
    sources::remove(&directory())?;
    let headers = directory().join("include/c++/v1");
    install_headers(&sources, &headers)?;
    install_licence(&sources)?;
    for (name, flags) in BUILDS {
        build(&sources, &headers, name, flags)?;
    }
    Ok(())
}

fn install_headers(sources: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for part in ["libcxx", "libcxxabi"] {
        let headers = sources.join(part).join("include/.");
        run_quietly(Command::new("cp").arg("-R").arg(headers).arg(to))?;
    }
    fs::copy(
        root().join(PORT).join("__config_site"),
        to.join("__config_site"),
    )
    .context("the C++ library has no configuration")?;
    configure(&to.join("__config"))?;
    for entry in fs::read_dir(to.join("__configuration"))? {
        configure(&entry?.path())?;
    }
    Ok(())
}

/// Has a header read how the library is built.
fn configure(header: &Path) -> Result<()> {
    let text =
        fs::read_to_string(header).with_context(|| format!("cannot read {}", header.display()))?;
    let configured = text.replace(WITHOUT_CONFIGURATION, WITH_CONFIGURATION);
    fs::write(header, configured).with_context(|| format!("cannot write {}", header.display()))
}

fn install_licence(sources: &Path) -> Result<()> {
    let directory = directory().join("share");
    fs::create_dir_all(&directory)?;
    fs::copy(
        sources.join("libcxx/LICENSE.TXT"),
        directory.join("libc++.LICENSE"),
    )
    .context("the C++ library has no licence")?;
    Ok(())
}

fn build(sources: &Path, headers: &Path, name: &str, flags: &str) -> Result<()> {
    let objects = work_dir().join("build/libcxx");
    sources::remove(&objects)?;
    fs::create_dir_all(&objects)?;
    let argument = |name: &str, path: &Path| format!("{name}={}", path.display());
    run_quietly(
        Command::new("make")
            .args(["--silent", "-j2", "-f"])
            .arg(root().join(PORT).join("Makefile"))
            .arg(argument("SOURCES", sources))
            .arg(argument("HEADERS", headers))
            .arg(argument("SYSTEM", &library::directory()))
            .arg(argument("OUTPUT", &objects))
            .arg(format!("CC={} --target={}", tools::CLANG, tools::TARGET))
            .arg(format!("AR={}", tools::AR))
            .arg(format!("FLAGS={flags}")),
    )?;
    let to = directory().join("lib").join(name);
    fs::create_dir_all(&to)?;
    fs::copy(objects.join("libc++.a"), to.join("libc++.a"))
        .context("the C++ library was not made")?;
    sources::remove(&objects)
}
