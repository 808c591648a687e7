//! The SDK: what `minke cc` compiles and links with, as a directory and as the archive that a release carries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::super::stamp::hex;
use super::{cplusplus, library, sources, tools, work_dir};
use crate::layout::{guests_dir, root};
use crate::process::run_quietly;

/// What is in it beside the C and C++ libraries.
pub const FILES: &str = "guests/linux/sdk";

/// The archive, which `crates/cli/build.rs` looks for, and its digest.
pub fn outputs() -> Vec<PathBuf> {
    vec![archive().with_extension("digest"), archive()]
}

fn archive() -> PathBuf {
    guests_dir().join("sdk").join("minke-sdk.tgz")
}

/// What `minke cc` finds in the archive, unpacked.
pub fn directory() -> PathBuf {
    work_dir().join("sdk")
}

/// Puts the directory together, and packs it so that equal contents give equal bytes. What rewrites programs that fork is fetched,
/// and lies beside it.
pub fn make() -> Result<()> {
    tools::rewriter()?;
    let directory = directory();
    sources::remove(&directory)?;
    copy(&library::directory().join("."), &directory)?;
    copy(&cplusplus::directory().join("."), &directory)?;
    copy(&root().join(FILES).join("."), &directory)?;
    library::install_configuration(&directory)?;
    let packed = work_dir().join("sdk.tgz");
    pack(&directory, &packed)?;
    let digest = hex(&Sha256::digest(fs::read(&packed)?));
    // The archive last: who waits for it finds the digest.
    fs::write(archive().with_extension("digest"), digest)?;
    fs::rename(&packed, archive()).context("cannot write the archive of the SDK")
}

fn pack(directory: &Path, to: &Path) -> Result<()> {
    run_quietly(
        Command::new("tar")
            .args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0"])
            .args(["--numeric-owner", "--use-compress-program=gzip -9n", "-cf"])
            .arg(to)
            .arg("-C")
            .arg(directory)
            .arg("."),
    )
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    run_quietly(Command::new("cp").arg("-R").arg(from).arg(to))
}
