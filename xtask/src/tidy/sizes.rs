//! The limits on sizes: a function fits two screens, a file an hour.

use std::path::Path;

use super::Finding;
use super::ratchet::Ratchet;
use super::rust;
use super::tree::{SourceFile, Tree};

/// Lines of a function, from `fn` to its brace.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Lines of a file without its tests.
pub const FILE_LINES_MAX: usize = 1000;

/// What is over a limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Oversize {
    /// `PATH` of a file, or `PATH NAME` of a function.
    pub key: String,
    pub lines: usize,
    pub line: usize,
    pub limit: usize,
}

/// Everything that is over a limit, in all of our code that is no test.
pub fn oversizes(tree: &Tree) -> Vec<Oversize> {
    tree.ours()
        .filter(|it| !it.is_test())
        .flat_map(file_oversizes)
        .collect()
}

fn file_oversizes(file: &SourceFile) -> Vec<Oversize> {
    let tests = rust::test_lines(&file.code);
    let is_test = |line: usize| tests.iter().any(|it| it.contains(&line));
    let mut found = Vec::new();
    let lines = (1..=file.text.lines().count())
        .filter(|line| !is_test(*line))
        .count();
    if lines > FILE_LINES_MAX {
        found.push(Oversize {
            key: shown(&file.path),
            lines,
            line: 0,
            limit: FILE_LINES_MAX,
        });
    }
    for function in rust::functions(&file.code) {
        let (lines, line) = (function.lines_count(), *function.lines.start());
        if lines > FUNCTION_LINES_MAX && !is_test(line) {
            let key = format!("{} {}", shown(&file.path), function.name);
            found.push(Oversize {
                key,
                lines,
                line,
                limit: FUNCTION_LINES_MAX,
            });
        }
    }
    found
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Compares with the ratchet: new crossings, growth, and entries that have become too generous.
pub fn check(tree: &Tree, ratchet: &Ratchet) -> Vec<Finding> {
    let over = oversizes(tree);
    let mut findings: Vec<_> = over.iter().filter_map(|it| crossing(it, ratchet)).collect();
    for (key, allowed) in &ratchet.entries {
        let now = over
            .iter()
            .find(|it| it.key == *key)
            .map_or(0, |it| it.lines);
        if now < *allowed {
            findings.push(Finding {
                path: Ratchet::path().into(),
                line: 0,
                message: format!(
                    "`{key}` has shrunk below {allowed} lines\nhint: `cargo xtask tidy --ratchet`"
                ),
            });
        }
    }
    findings
}

fn crossing(over: &Oversize, ratchet: &Ratchet) -> Option<Finding> {
    let allowed = ratchet
        .entries
        .get(&over.key)
        .copied()
        .unwrap_or(over.limit);
    let path = over.key.split(' ').next().unwrap_or_default();
    (over.lines > allowed).then(|| Finding {
        path: path.into(),
        line: over.line,
        message: format!("{} lines, the limit is {allowed}", over.lines),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(lines: usize) -> Tree {
        let body = "    x();\n".repeat(lines - 2);
        let text = format!("fn long() {{\n{body}}}\n");
        Tree {
            files: vec![SourceFile::new("crates/a/src/lib.rs".into(), text)],
        }
    }

    fn ratchet(lines: usize) -> Ratchet {
        Ratchet {
            entries: [("crates/a/src/lib.rs long".to_string(), lines)].into(),
        }
    }

    #[test]
    fn a_function_of_the_limit_is_fine_and_one_more_line_is_not() {
        assert!(check(&tree(FUNCTION_LINES_MAX), &Ratchet::default()).is_empty());
        let findings = check(&tree(FUNCTION_LINES_MAX + 1), &Ratchet::default());
        assert_eq!(findings[0].message, "71 lines, the limit is 70");
    }

    #[test]
    fn what_is_in_the_ratchet_may_stay_but_not_grow() {
        assert!(check(&tree(90), &ratchet(90)).is_empty());
        assert_eq!(check(&tree(91), &ratchet(90)).len(), 1);
    }

    #[test]
    fn what_has_shrunk_must_be_taken_from_the_ratchet() {
        assert_eq!(check(&tree(80), &ratchet(90)).len(), 1);
        assert_eq!(check(&tree(10), &ratchet(90)).len(), 1);
    }

    #[test]
    fn tests_do_not_count() {
        let text = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// x\n".repeat(2000));
        let tree = Tree {
            files: vec![SourceFile::new("crates/a/src/lib.rs".into(), text)],
        };
        assert!(check(&tree, &Ratchet::default()).is_empty());
    }
}
