//! What must be there: documents, the parts of an example, a test for every guest program.

use anyhow::Result;

use super::Finding;
use super::rust::word_places;
use super::tree::{SourceFile, Tree};
use crate::guests;

const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "LICENSE",
    "docs/SPECIFICATION.md",
    "docs/glossary.md",
    "guests/README.md",
];

/// Lines of the changelog within which its unreleased part must begin.
const CHANGELOG_HEAD_LINES: usize = 12;

pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings: Vec<_> = DOCUMENTS
        .iter()
        .filter_map(|it| missing(tree, it))
        .collect();
    for example in guests::EXAMPLES {
        findings.extend(missing(tree, &format!("examples/{example}/README.md")));
        findings.extend(missing(tree, &format!("examples/{example}/Balenafile")));
    }
    findings.extend(unlisted_examples(tree));
    findings.extend(changelog(tree));
    let programs = guests::programs()?;
    findings.extend(untested(tree, &programs));
    Ok(findings)
}

fn missing(tree: &Tree, path: &str) -> Option<Finding> {
    let is_there = tree.get(path).is_some_and(|it| !it.text.trim().is_empty());
    (!is_there).then(|| Finding {
        path: path.into(),
        line: 0,
        message: "is missing or empty".to_string(),
    })
}

fn unlisted_examples(tree: &Tree) -> Vec<Finding> {
    let mut names: Vec<_> = tree
        .files
        .iter()
        .filter_map(|it| {
            it.path
                .strip_prefix("examples")
                .ok()?
                .iter()
                .next()?
                .to_str()
        })
        .filter(|it| !guests::EXAMPLES.contains(it))
        .collect();
    names.dedup();
    let message = "is not in the catalogue of guests".to_string();
    names
        .into_iter()
        .map(|it| Finding {
            path: format!("examples/{it}").into(),
            line: 0,
            message: message.clone(),
        })
        .collect()
}

fn changelog(tree: &Tree) -> Option<Finding> {
    let text = &tree.get("CHANGELOG.md")?.text;
    let has_it = text
        .lines()
        .take(CHANGELOG_HEAD_LINES)
        .any(|it| it.trim() == "## [Unreleased]");
    let message = "has no `## [Unreleased]` on top".to_string();
    (!has_it).then(|| Finding {
        path: "CHANGELOG.md".into(),
        line: 0,
        message,
    })
}

/// Guest programs and examples that no test names.
fn untested(tree: &Tree, programs: &[String]) -> Vec<Finding> {
    let tests: Vec<_> = tree.files.iter().filter(|it| names_guests(it)).collect();
    let is_tested = |name: &str| {
        tests
            .iter()
            .any(|it| word_places(&it.text, name).next().is_some())
    };
    let message = "is named by no test".to_string();
    programs
        .iter()
        .filter(|it| !is_tested(it))
        .map(|it| Finding {
            path: format!("guests: {it}").into(),
            line: 0,
            message: message.clone(),
        })
        .collect()
}

/// Tests of minke run guest programs, and so does the benchmarks' table.
fn names_guests(file: &SourceFile) -> bool {
    match file.crate_name() {
        Some("xtask") => file.path.starts_with("xtask/src/bench"),
        Some(_) => file.is_test() || file.code.contains("#[cfg(test)]"),
        None => file.path.starts_with("tests"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let files = files
            .iter()
            .map(|(path, text)| SourceFile::new(path.into(), text.to_string()));
        Tree {
            files: files.collect(),
        }
    }

    #[test]
    fn a_program_counts_as_tested_when_a_test_names_it() {
        let tree = tree(&[("tests/product/run.rs", "fn f() { run(\"probe.wasm\"); }")]);
        let programs = ["probe".to_string(), "wild".to_string()];
        let findings = untested(&tree, &programs);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].to_string(), "guests: wild: is named by no test");
    }

    #[test]
    fn an_example_outside_the_catalogue_is_found_once() {
        let tree = tree(&[
            ("examples/new/a.c", ""),
            ("examples/new/b.c", ""),
            ("examples/hello-c/a.c", ""),
        ]);
        assert_eq!(unlisted_examples(&tree).len(), 1);
    }

    #[test]
    fn a_changelog_has_an_unreleased_part_on_top() {
        assert!(
            changelog(&tree(&[(
                "CHANGELOG.md",
                "# Changelog\n\n## [Unreleased]\n"
            )]))
            .is_none()
        );
        assert!(changelog(&tree(&[("CHANGELOG.md", "# Changelog\n\n## 1.0\n")])).is_some());
    }
}
