//! Programs for the container's own Linux: in C, with musl as their C library ([`library`]).
//!
//! A program that forks is rewritten by Binaryen's asyncify, which lets it write its frames
//! into its memory and restore them; `guests/linux/musl/src/host/frames.c` is the other half of that.

pub mod busybox;
pub mod configured;
pub mod cplusplus;
pub mod library;
pub mod rust;
pub mod sdk;
pub mod sources;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::layout::{guests_dir, root};
use crate::process::run_quietly;
use configured::Configured;
pub use library::Threads;
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
    Source {
        path: PathBuf,
        returns: Returns,
        threads: Threads,
    },
    /// A package of Debian that configures itself.
    Configured(&'static Configured),
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

/// Whether a program calls functions through pointers of other types than theirs, which wasm refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Casts {
    None,
    /// All calls through pointers are made to be of one type.
    OfFunctions,
}

impl LinuxBuild {
    pub fn make(&self) -> Result<()> {
        match &self.program {
            Program::Source {
                path,
                returns,
                threads,
            } => {
                let linked = match returns {
                    Returns::Once => self.output.clone(),
                    Returns::Twice => self.output.with_extension("linked"),
                };
                run_quietly(
                    Command::new(tools::CLANG)
                        .args(library::compiler_flags(*threads)?)
                        .args(["-O2", "-o"])
                        .arg(&linked)
                        .arg(root().join(path)),
                )?;
                match returns {
                    Returns::Once => Ok(()),
                    Returns::Twice => self.finish(&linked, Casts::None),
                }
            }
            Program::Configured(it) => {
                let linked = it.link()?;
                match it.returns {
                    Returns::Once => keep(&linked, &self.output),
                    Returns::Twice => self.finish(&linked, it.casts),
                }
            }
            Program::Busybox => {
                let linked = busybox::link()?;
                keep(&linked.with_file_name(busybox::LINKS), &self.links())?;
                self.finish(&linked, Casts::None)
            }
        }
    }

    /// Every file that is left.
    pub fn outputs(&self) -> Vec<PathBuf> {
        match self.program {
            Program::Busybox => vec![self.output.clone(), self.links()],
            _ => vec![self.output.clone()],
        }
    }

    /// The list of BusyBox's names, a path on each line.
    fn links(&self) -> PathBuf {
        self.output.with_extension("links")
    }

    /// Makes the program of a linked module whose frames must be restorable.
    fn finish(&self, linked: &Path, casts: Casts) -> Result<()> {
        tools::rewrite(linked, &self.output, casts)?;
        fs::remove_file(linked).with_context(|| format!("cannot remove {}", linked.display()))
    }
}

fn keep(made: &Path, output: &Path) -> Result<()> {
    let copied = fs::copy(made, output);
    copied.with_context(|| format!("cannot copy {}", made.display()))?;
    Ok(())
}

/// Where sources are unpacked and compiled, and the C library lies.
fn work_dir() -> PathBuf {
    guests_dir().join(".linux")
}
