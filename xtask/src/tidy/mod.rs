//! `cargo xtask tidy`: the rules of the project that a reviewer would otherwise have to remember.
//!
//! Each rule is a function from what was read ([`Tree`]) to findings; a finding names its place and
//! says what to do. Sizes are held by a ratchet ([`ratchet`]): nothing new may cross a limit, and
//! what is over may only shrink.

mod layers;
mod ratchet;
mod required;
mod rust;
mod sizes;
mod tree;
mod words;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};

use tree::Tree;

/// One place where a rule does not hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: PathBuf,
    /// Counted from one; zero when the whole file is meant.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path.display(), self.message),
            line => write!(f, "{}:{line}: {}", self.path.display(), self.message),
        }
    }
}

/// `tidy [--ratchet]`.
pub fn command(args: &[String]) -> Result<()> {
    let tree = Tree::read()?;
    match args {
        [] => check(&tree),
        [flag] if flag == "--ratchet" => ratchet::tighten(&tree),
        [other, ..] => bail!("unknown argument `{other}`, expected `--ratchet`"),
    }
}

fn check(tree: &Tree) -> Result<()> {
    let mut findings = layers::check()?;
    findings.extend(words::check(tree));
    findings.extend(sizes::check(tree, &ratchet::Ratchet::read()?));
    findings.extend(required::check(tree)?);
    findings.iter().for_each(|it| eprintln!("{it}"));
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} findings"),
    }
}
