//! The list of what was over a size limit when the limit came: it may shrink, never grow.
//!
//! The file has a line `"PATH" = LINES` for each file and `"PATH NAME" = LINES` for each function.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};

use super::sizes::oversizes;
use super::tree::Tree;
use crate::layout::root;

const HEADER: &str = "# What is over a size limit, with its lines: it may shrink, never grow. Nothing may be added.\n\
                      # Written by `cargo xtask tidy --ratchet`.\n";

#[derive(Default)]
pub struct Ratchet {
    pub entries: BTreeMap<String, usize>,
}

impl Ratchet {
    pub fn path() -> &'static str {
        "xtask/tidy-ratchet.toml"
    }

    pub fn read() -> Result<Ratchet> {
        let text = fs::read_to_string(root().join(Self::path())).unwrap_or_default();
        parse(&text)
    }
}

fn parse(text: &str) -> Result<Ratchet> {
    let mut entries = BTreeMap::new();
    for line in text
        .lines()
        .filter(|it| !it.starts_with('#') && !it.trim().is_empty())
    {
        let Some((key, lines)) = line.split_once(" = ") else {
            bail!(
                "{}: expected `\"PATH\" = LINES`, found `{line}`",
                Ratchet::path()
            );
        };
        let lines = lines
            .parse()
            .with_context(|| format!("{}: `{line}`", Ratchet::path()))?;
        entries.insert(key.trim_matches('"').to_string(), lines);
    }
    Ok(Ratchet { entries })
}

/// Writes down the sizes of what the ratchet names, where they have shrunk; adds nothing.
pub fn tighten(tree: &Tree) -> Result<()> {
    let old = Ratchet::read()?;
    let mut text = HEADER.to_string();
    for over in oversizes(tree) {
        if let Some(allowed) = old.entries.get(&over.key) {
            text += &format!("\"{}\" = {}\n", over.key, over.lines.min(*allowed));
        }
    }
    fs::write(root().join(Ratchet::path()), text).context("cannot write the ratchet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_what_and_how_much() {
        let ratchet = parse("# note\n\n\"a/b.rs long\" = 80\n").expect("it is well formed");
        assert_eq!(
            ratchet.entries.into_iter().collect::<Vec<_>>(),
            [("a/b.rs long".to_string(), 80)]
        );
    }

    #[test]
    fn a_line_that_is_neither_is_refused() {
        assert!(parse("a/b.rs: 80").is_err());
    }
}
