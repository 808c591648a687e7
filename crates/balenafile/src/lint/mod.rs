//! Lint: what is allowed and better avoided.
//!
//! The rules are data, in [`RULES`]. Those that need no more than the text are applied when it is read, and are in
//! [`crate::Balenafile::warnings`]; the others by [`crate::Balenafile::review`], once the stages are known.

mod bases;
mod names;
mod options;
mod review;
mod rules;
mod steps;
mod style;

use std::fmt::Write;

pub use options::LintOptions;
pub use review::{BaseFacts, Facts};
pub use rules::RULES;
pub(crate) use style::check_style;

use crate::source::{Diagnostic, Source, Span};

/// Bounds what is said about one file, each of which looks for its line.
const WARNINGS_MAX: usize = 100;

/// Something to look for.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// As `# check=skip=NAME` has it.
    pub name: &'static str,
    /// One sentence on what should be.
    pub description: &'static str,
    pub reach: Reach,
    /// Whether it is applied only if `# check=experimental=NAME` asks for it.
    pub is_experimental: bool,
}

/// When a rule's findings are worth saying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// In each build.
    Build,
    /// Only when the file is checked: here it has no effect on what runs.
    Check,
}

/// Returns the rules as a table in Markdown, for the support page.
pub fn rules_to_markdown() -> String {
    let mut page = String::from("| rule | in each build | what should be |\n|---|---|---|\n");
    for rule in RULES {
        let in_build = match (rule.is_experimental, rule.reach) {
            (true, _) => "if asked for",
            (false, Reach::Build) => "yes",
            (false, Reach::Check) => "no",
        };
        let description = rule.description.replace('|', "\\|");
        writeln!(page, "| `{}` | {in_build} | {description} |", rule.name)
            .expect("writing to a string does not fail");
    }
    page
}

/// Collects what the rules find.
pub(crate) struct Linter<'file> {
    source: &'file Source,
    options: &'file LintOptions,
    found: Vec<(usize, Diagnostic)>,
}

impl<'file> Linter<'file> {
    pub(crate) fn new(source: &'file Source, options: &'file LintOptions) -> Self {
        Self {
            source,
            options,
            found: Vec::new(),
        }
    }

    /// Adds a finding, unless the file's options or the comments above the instruction skip the rule.
    pub(crate) fn report(
        &mut self,
        rule: &'static Rule,
        comments: &[String],
        span: Span,
        message: String,
        hint: &str,
    ) {
        let is_wanted = || self.options.with_comments(comments).includes(rule);
        if self.found.len() < WARNINGS_MAX && is_wanted() {
            let finding = self.source.finding(rule, span, message, hint);
            self.found.push((span.start, finding));
        }
    }

    /// Returns what was found, in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|(start, _)| *start);
        self.found.into_iter().map(|(_, finding)| finding).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_sorted_and_unique() {
        assert!(RULES.is_sorted_by(|left, right| left.name < right.name));
    }
}
