//! Every text file of the repository, read once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::rust;
use crate::layout::root;

/// Directories that hold nothing of ours.
const SKIPPED: &[&str] = &["target", "dist", ".git"];

pub struct Tree {
    pub files: Vec<SourceFile>,
}

pub struct SourceFile {
    /// Relative to the workspace's root.
    pub path: PathBuf,
    pub text: String,
    /// The text with comments and literals blanked, for Rust; empty for other files.
    pub code: String,
}

impl Tree {
    pub fn read() -> Result<Tree> {
        let mut files = Vec::new();
        collect(root(), &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Tree { files })
    }

    /// The Rust sources of minke and its tool; guest programs and examples live by other rules.
    pub fn ours(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|it| it.is_rust() && it.is_ours())
    }

    pub fn get(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|it| it.path == Path::new(path))
    }
}

impl SourceFile {
    pub fn new(path: PathBuf, text: String) -> SourceFile {
        let is_rust = path.extension().is_some_and(|it| it == "rs");
        let code = if is_rust {
            rust::blank_literals(&text)
        } else {
            String::new()
        };
        SourceFile { path, text, code }
    }

    pub fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|it| it == "rs")
    }

    fn is_ours(&self) -> bool {
        ["crates", "xtask", "tests"]
            .iter()
            .any(|it| self.path.starts_with(it))
    }

    /// Whether all of the file is tests or benchmarks.
    pub fn is_test(&self) -> bool {
        let mut parts = self.path.iter().filter_map(|it| it.to_str());
        parts.any(|it| matches!(it, "tests" | "benches" | "tests.rs"))
    }

    /// The directory below `crates/`, or `xtask`.
    pub fn crate_name(&self) -> Option<&str> {
        let mut parts = self.path.iter().filter_map(|it| it.to_str());
        match parts.next()? {
            "crates" => parts.next(),
            "xtask" => Some("xtask"),
            _ => None,
        }
    }
}

fn collect(directory: &Path, files: &mut Vec<SourceFile>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_symlink() || SKIPPED.iter().any(|it| name == *it) {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
        } else if let Ok(text) = fs::read_to_string(&path) {
            // What is no text is somebody's image or archive.
            let relative = path
                .strip_prefix(root())
                .expect("the walk starts at the root");
            files.push(SourceFile::new(relative.to_path_buf(), text));
        }
    }
    Ok(())
}
