//! `.dockerignore`: which files of the context do not exist for the build.
//!
//! Spec: Dockerfile reference, ".dockerignore files"; moby/patternmatcher `MatchesOrParentMatches` and `ignorefile`.

use crate::glob::Glob;
use crate::source::{Diagnostic, Source, Span};

/// Bounds the patterns, each of which is tried on each path and its parents.
const PATTERNS_MAX: usize = 1000;

/// The patterns of an ignore file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IgnoreFile {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    glob: Glob,
    /// `!pattern`: matching files exist after all.
    is_exception: bool,
}

impl IgnoreFile {
    /// Parses an ignore file.
    pub fn parse(source: &Source) -> Result<Self, Diagnostic> {
        let mut patterns = Vec::new();
        let mut start = 0;
        for line in source.text().split_inclusive('\n') {
            let span = Span {
                start,
                end: start + line.trim_end().len(),
            };
            start += line.len();
            if line.starts_with('#') {
                continue;
            }
            patterns.extend(pattern(line.trim()).map_err(|problem| {
                source.error(
                    span,
                    format!("`{}` is not a pattern: {problem}", line.trim()),
                    Some("write a backslash before a special character"),
                )
            })?);
            if patterns.len() > PATTERNS_MAX {
                return Err(source.error(
                    span,
                    format!("more than {PATTERNS_MAX} patterns"),
                    Some("name directories instead of files"),
                ));
            }
        }
        Ok(Self { patterns })
    }

    /// Makes patterns of the values of `--exclude`, relative to what is copied. Fails with the first that is none.
    pub fn from_patterns<'text>(
        texts: impl IntoIterator<Item = &'text str>,
    ) -> Result<Self, (&'text str, &'static str)> {
        let mut patterns = Vec::new();
        for text in texts {
            patterns.extend(pattern(text.trim()).map_err(|problem| (text, problem))?);
        }
        Ok(Self { patterns })
    }

    /// Returns whether a path of the context does not exist for the build. The last pattern that matches it or one of its parents decides.
    pub fn is_ignored(&self, path: &str) -> bool {
        let is_hit = |pattern: &&Pattern| with_parents(path).any(|path| pattern.glob.matches(path));
        self.patterns
            .iter()
            .rev()
            .find(is_hit)
            .is_some_and(|pattern| !pattern.is_exception)
    }

    /// Returns whether an ignored directory may hold files that are not ignored.
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_exception)
    }
}

/// Returns a path and the directories above it, without the root.
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    let ends = path
        .match_indices('/')
        .map(|(at, _)| at)
        .filter(|at| *at > 0);
    std::iter::once(path).chain(ends.map(|end| &path[..end]))
}

fn pattern(line: &str) -> Result<Option<Pattern>, &'static str> {
    let (is_exception, text) = match line.strip_prefix('!') {
        Some(text) if text.trim().is_empty() => return Err("an exception needs a pattern"),
        Some(text) => (true, text.trim()),
        None => (false, line),
    };
    let cleaned = clean(text);
    // The root itself cannot be ignored.
    if cleaned.is_empty() {
        return Ok(None);
    }
    Ok(Some(Pattern {
        glob: Glob::for_ignore(&cleaned)?,
        is_exception,
    }))
}

/// Drops `.`, resolves `..` and empty parts, as Go's `filepath.Clean` and a leading slash removed.
fn clean(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(text: &str, paths: &[&str]) -> Vec<bool> {
        let source = Source::new(".dockerignore", text.as_bytes()).expect("it is a text");
        let file = IgnoreFile::parse(&source).expect("the patterns are valid");
        paths.iter().map(|path| file.is_ignored(path)).collect()
    }

    #[test]
    fn a_directory_takes_what_is_in_it_along() {
        assert_eq!(
            ignored("target\n", &["target", "target/a", "src/target", "targets"]),
            [true, true, false, false]
        );
        assert_eq!(ignored("/./target/\n", &["target/a"]), [true]);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let text = "# all but one\r\n*.md\r\n!README.md\r\n  docs  \r\n!docs/keep\r\n";
        let paths = [
            "a.md",
            "README.md",
            "docs/x",
            "docs/keep",
            "docs/keep/y",
            "sub/a.md",
        ];
        assert_eq!(
            ignored(text, &paths),
            [true, false, true, false, false, false]
        );
        assert_eq!(ignored("!README.md\n*.md\n", &["README.md"]), [true]);
    }

    #[test]
    fn patterns_are_those_of_docker() {
        for (text, hits, misses) in [
            // The examples of the reference.
            (
                "*/temp*",
                vec!["a/temporary.txt", "a/temp"],
                vec!["temp", "a/b/temp"],
            ),
            ("*/*/temp*", vec!["a/b/temporary.txt"], vec!["a/temp"]),
            ("temp?", vec!["tempa", "tempb/x"], vec!["temp", "tempab"]),
            ("**/*.go", vec!["a.go", "b/c/d.go"], vec!["a.gon"]),
            ("*.md\n!README.md", vec!["a.md"], vec!["README.md"]),
            (
                "*.md\n!README*.md\nREADME-secret.md",
                vec!["README-secret.md"],
                vec!["README-x.md"],
            ),
            (
                "*.md\nREADME-secret.md\n!README*.md",
                vec!["a.md"],
                vec!["README-secret.md"],
            ),
            // What Go's Clean makes of a path.
            ("/a//./b/../c/", vec!["a/c", "a/c/d"], vec!["a/b", "c"]),
            ("foo/..", vec![], vec!["foo"]),
            ("../a", vec!["a"], vec!["b"]),
            // White space, comments and ends of lines.
            ("  a b  \t\r\n", vec!["a b"], vec!["a"]),
            ("#a\n #b", vec!["#b"], vec!["#a", "b"]),
            ("! a\n*\n! a ", vec!["b"], vec!["a"]),
            ("\u{feff}a", vec!["a"], vec![]),
            // What is special in a pattern.
            ("a[b-d]?", vec!["abx", "adx"], vec!["aex", "ab"]),
            ("[^a]", vec!["b"], vec!["a"]),
            ("a\\*b", vec!["a*b"], vec!["axb"]),
            ("a.b+c(d)$", vec!["a.b+c(d)$"], vec!["axb+c(d)$"]),
            ("**/a/**", vec!["a/b", "x/a/b"], vec!["a", "x/a"]),
            ("a/**/**/b", vec!["a/b", "a/x/y/b"], vec!["ab"]),
            ("**", vec!["a", "a/b"], vec![]),
            ("*", vec!["a", "a/b"], vec![]),
            ("*/*", vec!["a/b"], vec!["a"]),
            ("a/b\n!a", vec![], vec!["a/b", "a"]),
            ("A", vec!["A"], vec!["a"]),
        ] {
            assert_eq!(
                ignored(text, &hits),
                vec![true; hits.len()],
                "{text:?} {hits:?}"
            );
            assert_eq!(
                ignored(text, &misses),
                vec![false; misses.len()],
                "{text:?} {misses:?}"
            );
        }
    }

    #[test]
    fn exclusions_of_a_copy_are_the_same_patterns() {
        let file = IgnoreFile::from_patterns(["*.o", "!a.o"]).expect("the patterns are valid");
        assert!(file.is_ignored("b.o") && !file.is_ignored("a.o"));
        assert_eq!(
            IgnoreFile::from_patterns(["a", "[b"]).map_err(|(text, _)| text),
            Err("[b")
        );
    }

    #[test]
    fn the_root_is_never_ignored() {
        assert_eq!(ignored(".\n/\n\n", &["a"]), [false]);
        assert_eq!(ignored("**\n!a\n", &["a", "b"]), [false, true]);
    }

    #[test]
    fn a_malformed_pattern_is_shown_with_its_line() {
        let source = Source::new(".dockerignore", b"a\n[b\n").expect("it is a text");
        let error = IgnoreFile::parse(&source).expect_err("the class is not closed");
        insta::assert_snapshot!(error, @r"
        .dockerignore:2:1: `[b` is not a pattern: a `[` is not closed, or has nothing in it
         2 | [b
           | ^^
        ");
    }
}
