//! Programs for the container's own Linux: in C, with musl as their C library ([`library`]).
//!
//! A program that forks is rewritten by Binaryen's asyncify, which lets it write its frames
//! into its memory and restore them; `guests/linux/musl/src/host/frames.c` is the other half of that.

pub mod busybox;
pub mod library;
mod sources;
mod tools;
mod unwinding;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::layout::{guests_dir, root};
use crate::process::run_quietly;
pub use tools::version;

/// One program.
#[derive(Debug)]
pub struct LinuxBuild {
    pub program: Program,
    pub output: PathBuf,
}

#[derive(Debug)]
pub enum Program {
    /// One C source of ours, relative to the workspace.
    Source { path: PathBuf, returns: Returns },
    /// Debian's shell for scripts.
    Dash,
    /// Debian's many small programs in one.
    Busybox,
}

/// How often calls of a program return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    Once,
    /// It calls `fork` or `setjmp`.
    Twice,
}

impl LinuxBuild {
    pub fn make(&self) -> Result<()> {
        match &self.program {
            Program::Source { path, returns } => {
                let linked = match returns {
                    Returns::Once => self.output.clone(),
                    Returns::Twice => self.output.with_extension("linked"),
                };
                run_quietly(
                    Command::new(tools::CLANG)
                        .args(library::compiler_flags()?)
                        .args(["-O2", "-o"])
                        .arg(&linked)
                        .arg(root().join(path)),
                )?;
                match returns {
                    Returns::Once => Ok(()),
                    Returns::Twice => self.finish(&linked),
                }
            }
            Program::Dash => self.finish(&dash()?),
            Program::Busybox => self.finish(&busybox::link()?),
        }
    }

    /// Makes the program of a linked module whose frames must be restorable.
    fn finish(&self, linked: &Path) -> Result<()> {
        tools::rewrite(linked, &self.output)?;
        fs::remove_file(linked).with_context(|| format!("cannot remove {}", linked.display()))
    }
}

/// Where sources are unpacked and compiled, and the C library lies.
fn work_dir() -> PathBuf {
    guests_dir().join(".linux")
}

/// Builds dash as its authors have released it: Debian's patches would need more tools.
fn dash() -> Result<PathBuf> {
    let directory = sources::DASH.unpack(sources::Patches::None)?;
    let compiler = [vec![tools::CLANG.to_string()], library::compiler_flags()?].concat();
    run_quietly(
        Command::new("./configure")
            .args([
                "--host=wasm32-unknown-linux",
                "--disable-dependency-tracking",
            ])
            .args(["--without-libedit", "--disable-fnmatch", "--disable-glob"])
            .arg(format!("CC={}", compiler.join(" ")))
            .args(["CC_FOR_BUILD=cc", "CFLAGS=-O2 -w"])
            .current_dir(&directory),
    )?;
    run_quietly(Command::new("make").arg("--silent").current_dir(&directory))?;
    Ok(directory.join("src/dash"))
}
