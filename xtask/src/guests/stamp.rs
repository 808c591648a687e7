//! Knowing what is up to date: a digest of everything that a unit is made from, kept when it is made.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::Unit;
use crate::layout::{guests_dir, root, target_dir};

/// Directories that hold build products, never inputs.
const NOT_INPUTS: &[&str] = &["target", "dist"];

/// The digest of a unit's recipe, its compiler's version and its input files.
pub fn digest(unit: &Unit) -> Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(anywhere(&format!("{:?}\n", unit.recipe)));
    hasher.update(format!("{}\n", unit.recipe.compiler_version()?));
    let mut files = Vec::new();
    for input in &unit.inputs {
        collect(&root().join(input), &mut files)?;
    }
    files.sort();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = anywhere(&file.display().to_string());
        hasher.update(format!("{name} {}\n", bytes.len()));
        hasher.update(bytes);
    }
    Ok(hex(&hasher.finalize()))
}

/// A text without the places of this workspace, so that others that share its products find them current.
fn anywhere(text: &str) -> String {
    let target = format!("{}/", target_dir().display());
    let root = format!("{}/", root().display());
    text.replace(&target, "target/").replace(&root, "")
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
        let path = entry?.path();
        let is_product = path
            .file_name()
            .is_some_and(|it| NOT_INPUTS.iter().any(|name| it == *name));
        if !is_product {
            collect(&path, files)?;
        }
    }
    Ok(())
}

/// Whether the unit was made from the same inputs, and everything it left is still there.
pub fn is_current(unit: &Unit, digest: &str) -> bool {
    let kept = fs::read_to_string(file(unit)).is_ok_and(|it| it == digest);
    kept && unit.recipe.outputs().iter().all(|it| it.is_file())
}

/// Takes the mark away before a unit is made again, so that a failure is not taken for success.
pub fn forget(unit: &Unit) -> Result<()> {
    match fs::remove_file(file(unit)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

pub fn remember(unit: &Unit, digest: &str) -> Result<()> {
    let file = file(unit);
    fs::create_dir_all(file.parent().expect("stamps have a directory"))?;
    fs::write(&file, digest).with_context(|| format!("cannot write {}", file.display()))
}

fn file(unit: &Unit) -> PathBuf {
    guests_dir().join(".stamps").join(&unit.name)
}

/// The lower-case hexadecimal digits of some bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_does_not_know_where_the_workspace_is() {
        let source = root().join("guests/c/hello.c");
        let output = target_dir().join("guests/hello.wasm");
        let text = format!("{} {}", source.display(), output.display());
        assert_eq!(anywhere(&text), "guests/c/hello.c target/guests/hello.wasm");
    }
}
